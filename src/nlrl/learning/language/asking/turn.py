"""One iteration of Language GPI on single-turn problems, and the state that it builds on."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nlrl.core import BudgetExhausted, Phase, Problem, Sampling, Spend, UserError
from nlrl.learning.language.asking.acceptance import compare, holds
from nlrl.learning.language.asking.critique import Assessment, Critic, counted
from nlrl.learning.language.asking.log import Entry
from nlrl.learning.language.asking.policy import LanguagePolicy
from nlrl.learning.language.asking.pool import Member, Pool, merge
from nlrl.learning.language.asking.proposals import KINDS, Proposal, bare, from_critic, mistakes_of_form, successes
from nlrl.learning.language.asking.rollouts import Rolled, Roller, Rollout, values_of

ALL_RIGHT = "everything is right"
_BLOCK = 20  # validation problems between two looks at whether a candidate has fallen behind


@dataclass(frozen=True)
class AskingSettings:
    """What shapes an improvement run, beside its model and problems.

    iterations   proposals to try
    strategy     how each answer is made, such as "direct" or "weighted_vote(n=4)"
    minibatch    feedback problems that a proposal is made from and first tried on
    validation   share of the problems kept for validation
    samples      answers per problem
    confidence   of the one-sided test by which a candidate takes over; 0.9 accepts 7 wins against 2 losses
    kinds        of proposals, taken in turn
    assess       every iteration evaluates the incumbent on all feedback problems, and the critic aggregates evaluations
                 of a minibatch of them in words (`Entry.assessment`), whatever is proposed then; else the critic is
                 asked where its own kind has its turn, and policies are rolled out as far as needed
    patience     iterations without an accepted change after which the run has converged; None: they are all made
    seed         of splits, minibatches and parents, and of the draws unless `sampling` has a seed of its own
    """

    iterations: int = 4
    strategy: str = "direct"
    minibatch: int = 8
    validation: float = 0.5
    samples: int = 1
    confidence: float = 0.9
    kinds: tuple[str, ...] = KINDS
    assess: bool = False
    patience: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.minibatch < 1 or self.samples < 1:
            raise UserError("iterations must be 0 or more, minibatch and samples at least 1.")
        if not (0 < self.validation < 1 and 0.5 <= self.confidence < 1):
            raise UserError("validation must lie between 0 and 1, confidence from 0.5 to below 1.")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise UserError(f"kinds must be some of {', '.join(KINDS)}, got {', '.join(self.kinds) or 'none'}.")
        if self.patience is not None and self.patience < 1:
            raise UserError("patience must be at least 1 iteration, or None to make them all.")

    @property
    def draw_seed(self) -> int:
        """The seed of what the model and the critic say, where they take seeds."""
        return self.seed if self.sampling.seed is None else self.sampling.seed


def split(problems: Sequence[Problem], settings: AskingSettings) -> tuple[list[Problem], list[Problem]]:
    """(feedback, validation), in the order of a hash of each problem: that of the file does not matter."""

    def place(problem: Problem) -> str:
        return hashlib.sha256(f"{settings.seed}:{problem.id}".encode()).hexdigest()

    unique = sorted({p.id: p for p in problems}.values(), key=place)
    size = min(max(round(len(unique) * settings.validation), 1), len(unique) - 1) if len(unique) > 1 else 0
    return unique[size:], unique[:size]


class RunState:
    """All that an iteration builds on: a fold over the log.

    held_out  problems that every incumbent is measured on, and that nothing is decided by
    """

    def __init__(
        self,
        start: LanguagePolicy,
        settings: AskingSettings,
        feedback: Sequence[Problem],
        validation: Sequence[Problem],
        held_out: Sequence[Problem] = (),
    ) -> None:
        self.settings, self.feedback, self.validation, self.held_out = settings, feedback, validation, held_out
        self.incumbent = Member(start, {})
        self.pool = Pool()
        self.known: Rolled = {}
        self.tried = {start.id}
        self.merged: list[tuple[str, str]] = []
        self.turn = 0  # of the kinds of proposals
        self.converged = ""  # why nothing more is worth trying
        self._idle = 0  # iterations since the last accepted change

    def apply(self, done: Entry) -> None:
        """Count an iteration in, made now or read from the log."""
        for rollout in done.rollouts:
            key = (rollout.policy, rollout.problem)
            self.known[key] = (*self.known.get(key, ()), rollout)
        if done.proposal is not None and done.kind in self.settings.kinds:
            self.turn = self.settings.kinds.index(done.kind) + 1
        self._idle = 0 if done.decision == "accepted" else self._idle + 1
        patience = self.settings.patience
        if patience is not None and done.note == ALL_RIGHT:
            self.converged = ALL_RIGHT
        elif patience is not None and self._idle >= patience:
            self.converged = f"no change was accepted in {self._idle} iteration{'s' if self._idle > 1 else ''}"
        if done.kind == "merge" and len(done.parents) == 2:
            self.merged.append((done.parents[0], done.parents[1]))
        if done.policy is None or done.decision == "stopped":
            return
        self.tried.add(done.policy.id)
        if done.decision not in ("accepted", "specialist"):
            return
        member = self.member(done.policy)
        self.pool.add(member)
        if done.incumbent == done.policy.id:
            self.incumbent = member

    def member(self, policy: LanguagePolicy) -> Member:
        """A policy with its values on the validation split, as far as they are known."""
        rolled = {p.id: self.known[policy.id, p.id] for p in self.validation if (policy.id, p.id) in self.known}
        return Member(policy, values_of(rolled))

    def minibatch(self, number: int) -> list[Problem]:
        """The feedback problems of an iteration: each once before any comes again, in a new order every time round."""
        size = min(self.settings.minibatch, len(self.feedback))
        first = (number - 1) * size
        picked: list[Problem] = []
        for at in range(first, first + size):
            order = list(self.feedback)
            random.Random(f"{self.settings.seed}:{at // len(order)}").shuffle(order)
            picked.append(order[at % len(order)])
        return list({p.id: p for p in picked}.values())


@dataclass(eq=False)
class Turn:
    """One iteration."""

    state: RunState
    roller: Roller
    critic: Critic
    number: int
    _parts: dict[str, Any] = field(default_factory=dict)

    async def take(self) -> Entry:
        """The record of it; a spent budget ends it with the decision "stopped"."""
        self._parts = {"kind": "" if self.number else "start"}
        try:
            await (self._start() if self.number == 0 else self._improve())
        except BudgetExhausted as spent:
            self._parts |= {"decision": "stopped", "note": str(spent.reason)}
        ledger, state = self.roller.ledger, self.state
        parts = {"incumbent": state.incumbent.policy.id, "accuracy": state.incumbent.mean} | self._parts
        if math.isnan(parts["accuracy"]):
            parts["accuracy"] = 0.0
        return Entry(
            self.number,
            rollouts=tuple(self.roller.fresh),
            tokens=ledger.total.tokens,
            calls=ledger.total.calls,
            phases={str(phase): ledger.phases.get(phase, Spend()).tokens for phase in Phase if phase in ledger.phases},
            **parts,
        )

    async def _start(self) -> None:
        policy = self.state.incumbent.policy
        self._parts |= {"policy": policy, "incumbent": policy.id}  # a run that ends here still has a policy
        values = values_of(await self.roller.roll(policy, self.state.validation))
        if not values:
            raise UserError("None of the validation problems could be judged: every reward model abstained.")
        mean = sum(values.values()) / len(values)
        self._parts |= {"accuracy": mean, "decision": "accepted"}
        await self._measure(policy)

    async def _measure(self, policy: LanguagePolicy) -> None:
        """A new incumbent on what is held out. It is accepted, whether or not the budget holds this too."""
        try:
            await self.roller.roll(policy, self.state.held_out)
        except BudgetExhausted:
            self._parts["note"] = "the budget ended before all held-out problems were tried"

    async def _assess(self, batch: Sequence[Problem]) -> bool:
        """Evaluate the incumbent in full, and aggregate in words; whether there is anything left to improve."""
        state, policy = self.state, self.state.incumbent.policy
        every = {p.id: p for p in (*state.feedback, *state.validation)}.values()
        rolled = await self.roller.roll(policy, list(every))
        rollouts = [r for some in rolled.values() for r in some]
        values = values_of(rolled)
        if values and min(values.values()) >= 1:
            self._parts |= {"assessment": Assessment(counted(rollouts)), "decision": "nothing", "note": ALL_RIGHT}
            return False
        self._parts["assessment"] = await self.critic.assess(rollouts, self._worst(policy, batch))
        return True

    def _worst(self, policy: LanguagePolicy, batch: Sequence[Problem]) -> list[tuple[Problem, Rollout]]:
        """The worst rollout of each problem of a minibatch: what the critic reads."""
        known = self.roller.known
        judged = [(p, r) for p in self.state.feedback for r in known.get((policy.id, p.id), ()) if r.value is not None]
        worst = {p.id: (p, r) for p, r in sorted(judged, key=lambda j: -(j[1].value or 0.0)) if p in batch}
        return list(worst.values())

    async def _improve(self) -> None:
        state, roller = self.state, self.roller
        rng = random.Random(f"{state.settings.seed}:turn:{self.number}")
        kinds = state.settings.kinds
        pair = state.pool.specialists(state.merged) if kinds[state.turn % len(kinds)] == "merge" else None
        batch = state.minibatch(self.number)
        if state.settings.assess and not await self._assess(batch):
            return
        # what was said is said of the incumbent
        parent = pair[0] if pair else state.incumbent if state.settings.assess else state.pool.pick(rng)
        rolled = await roller.roll(parent.policy, batch)
        if pair:
            self._parts["parents"] = (pair[0].policy.id, pair[1].policy.id)
            proposal = Proposal("merge", merge(pair[0].policy, pair[1].policy), "two specialists in one")
        else:
            self._parts["parents"] = (parent.policy.id,)
            proposal = await self._propose(parent, batch, rng)
        self._parts |= {"proposal": proposal, "kind": proposal.kind}
        candidate = proposal.policy
        if candidate is None:
            self._parts["decision"] = "unparsed" if proposal.unparsed else "nothing"
            return
        if candidate.id in state.tried:
            self._parts["decision"] = "known"
            return
        self._parts["policy"] = candidate
        first = compare(values_of(await roller.roll(candidate, batch)), values_of(rolled))
        self._parts["minibatch"] = first
        if first is None or first.difference < 0 or not first.wins:  # a change that changes nothing is not worth more
            self._parts["decision"] = "rejected"
            return
        values = await self._validate(candidate)
        found = self._parts["validation"]
        if values is None:
            self._parts["decision"] = "rejected"
        elif found is not None and holds(found, state.settings.confidence):
            self._parts |= {"decision": "accepted", "incumbent": candidate.id, "accuracy": found.candidate}
            await self._measure(candidate)
        else:
            stays = Pool(list(state.pool.members)).add(Member(candidate, values))
            self._parts["decision"] = "specialist" if stays else "rejected"

    async def _validate(self, candidate: LanguagePolicy) -> dict[str, float] | None:
        """Its values on the validation split; None if it fell behind on the way, which saves the rest of the tokens
        (stopping a loser early makes the test only stricter)."""
        state, values = self.state, dict[str, float]()
        for first in range(0, len(state.validation), _BLOCK):
            block = state.validation[first : first + _BLOCK]
            values |= values_of(await self.roller.roll(candidate, block))
            found = self._parts["validation"] = compare(values, state.incumbent.values)
            if found is not None and found.wins < found.losses:
                return None
        return values

    async def _propose(self, parent: Member, batch: Sequence[Problem], rng: random.Random) -> Proposal:
        """The next kind of proposal, in turn, that has something to propose for a single parent.

        What costs nothing to read is read of all the parent's rollouts on feedback problems so far; the critic reads
        the worst one of each problem of the minibatch.
        """
        state, known = self.state, self.roller.known
        seen = [(p, r) for p in state.feedback for r in known.get((parent.policy.id, p.id), ()) if r.value is not None]
        kinds = state.settings.kinds
        proposal = Proposal("merge", None, "there are no two specialists that were not merged before")
        for step in range(len(kinds)):
            kind = kinds[(state.turn + step) % len(kinds)]
            if kind == "merge":
                continue
            if kind == "successes":
                proposal = successes(parent.policy, seen, rng)
            elif kind == "format":
                proposal = mistakes_of_form(parent.policy, seen)
            elif kind == "bare":
                proposal = bare(parent.policy)
            else:
                judged = self._worst(parent.policy, batch)
                proposal = await from_critic(parent.policy, judged, self.critic, self._parts.get("assessment"))
            if proposal.policy is not None or proposal.unparsed:
                return proposal
        return proposal
