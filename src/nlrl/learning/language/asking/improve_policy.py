"""Language GPI on single-turn problems: propose a changed policy, evaluate it, keep what holds.

    found = await improve_policy(model, problems, settings=AskingSettings(iterations=4), budget=Budget(tokens=40_000))
    found.policy, found.iterations[-1].decision, found.tokens

Problems are split in two by a hash. On *feedback* problems policies are rolled out, read, and changed; on *validation*
problems a candidate must beat the incumbent (paired, one-sided) to take its place. Candidates that are best
on some validation problem stay in a pool as parents. One ledger is charged for everything. The run goes on from its
log, and what a killed process was in the middle of is made again from the bank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlrl.bank import Bank
from nlrl.compute.ledger import Ledger
from nlrl.core import Budget, Model, Problem, UserError, Verifier
from nlrl.core.kept_files import write_whole
from nlrl.evaluation.config import given
from nlrl.learning.language.asking.critique import Critic
from nlrl.learning.language.asking.log import LOG, POLICY, Entry, PolicyLog
from nlrl.learning.language.asking.policy import LanguagePolicy
from nlrl.learning.language.asking.rollouts import Judge, Roller
from nlrl.learning.language.asking.turn import AskingSettings, RunState, Turn, split


@dataclass(frozen=True)
class Improvement:
    """What a run came to.

    policy      the incumbent at the end
    iterations  all of them, the start first; also in the log
    stopped     None: all iterations were made, or it has converged; else the resource that ended
    converged   why nothing more was tried; "" where all iterations were made, or the budget ended
    """

    policy: LanguagePolicy
    iterations: tuple[Entry, ...]
    stopped: str | None = None
    converged: str = ""

    @property
    def ended(self) -> str:
        """What ended the run: "converged", "iterations" or "budget"."""
        return "budget" if self.stopped else "converged" if self.converged else "iterations"

    @property
    def tokens(self) -> int:
        """Everything that was spent."""
        return sum(i.tokens for i in self.iterations)

    @property
    def unparsed(self) -> int:
        """Replies of the critic that were no edit."""
        return sum(bool(i.proposal and i.proposal.unparsed) for i in self.iterations)

    @property
    def failed_notes(self) -> int:
        """Rollouts on which the critic failed."""
        read = [i.assessment or i.proposal for i in self.iterations]
        return sum(bool(n.error) for one in read if one for n in one.notes)


async def improve_policy(
    model: Model,
    problems: Sequence[Problem],
    *,
    validation: Sequence[Problem] | None = None,
    held_out: Sequence[Problem] = (),
    settings: AskingSettings | None = None,
    start: LanguagePolicy | None = None,
    critic: Model | None = None,
    reward_models: Sequence[Verifier | str] = (),
    rewards_first: bool = False,
    budget: Budget | None = None,
    bank: Bank | None = None,
    out: str | Path | None = None,
    concurrency: int = 4,
    on_iteration: Callable[[Entry], None] | None = None,
) -> Improvement:
    """A better policy for problems like these, or the one to start from.

    validation     problems that decide; else a share of `problems` (`AskingSettings.validation`)
    held_out       problems that every incumbent is measured on and nothing is decided by
    critic         the model that evaluates and proposes; the policy's own if not given
    reward_models  judge the rollouts of problems without reference or tests; with `rewards_first` of all problems
    out            a directory for the log and the policy; a run that is already there is gone on with, also with more
                   iterations or a larger budget

    Raises UserError for too few problems or none that can be judged, and for other settings than the run's in `out`.
    """
    settings, start, budget = settings or AskingSettings(), start or LanguagePolicy(), budget or Budget()
    judge = Judge(reward_models, rewards_first=rewards_first)
    feedback, deciding, apart = ([p for p in some if judge.can(p)] for some in (problems, validation or (), held_out))
    if validation is None:
        feedback, deciding = split(feedback, settings)
    if not feedback or not deciding:
        raise UserError(
            f"{len(problems)} problems do not give a feedback and a validation split of judgeable ones: it takes at "
            "least two different problems with a reference or tests, or a reward model to judge them."
        )
    if budget != Budget(budget.tokens, budget.calls):
        raise UserError("An improvement run is limited by tokens or calls; its log does not add up anything else.")
    if objection := start.objection():
        raise UserError(f"The start policy cannot be used: {objection}.")
    about = _about(model, critic, feedback, deciding, settings, start, reward_models, budget)
    if settings.assess or apart or rewards_first:  # a log without them says nothing of them
        about |= {"assess": settings.assess, "held_out": len(apart), "rewards_first": rewards_first}
    path = None if out is None else Path(out)
    with PolicyLog(path and path / LOG, about) as log:
        state = RunState(start, settings, feedback, deciding, apart)
        for iteration in log.iterations:
            state.apply(iteration)
        stopped = log.iterations[-1].note if log.iterations and log.iterations[-1].decision == "stopped" else None
        for number in range(len(log.iterations), settings.iterations + 1):
            if stopped or state.converged:
                break
            ledger = Ledger(_left(budget, log.iterations))
            roller = Roller(
                model, bank or Bank(), ledger, judge, settings.strategy, settings.sampling, settings.samples,
                settings.draw_seed, concurrency, dict(state.known),
            )  # fmt: skip
            reader = Critic(critic or model, roller.bank, ledger, seed=settings.draw_seed)
            done = log.append(await Turn(state, roller, reader, number).take())
            state.apply(done)
            if path is not None:
                write_whole(path / POLICY, state.incumbent.policy.to_json())
            if on_iteration:
                on_iteration(done)
            stopped = done.note if done.decision == "stopped" else None
        return Improvement(state.incumbent.policy, tuple(log.iterations), stopped, state.converged)


def _left(budget: Budget, done: Sequence[Entry]) -> Budget:
    """What the iterations before have left."""
    tokens, calls = sum(i.tokens for i in done), sum(i.calls for i in done)
    return Budget(
        None if budget.tokens is None else max(budget.tokens - tokens, 0),
        None if budget.calls is None else max(budget.calls - calls, 0),
    )


def _about(
    model: Model, critic: Model | None, feedback: Sequence[Problem], validation: Sequence[Problem],
    settings: AskingSettings, start: LanguagePolicy, reward_models: Sequence[Verifier | str], budget: Budget,
) -> dict[str, Any]:  # fmt: skip
    digest = hashlib.sha256("\n".join(p.id for p in (*feedback, *validation)).encode()).hexdigest()[:16]
    return {
        "model": model.name,
        "critic": (critic or model).name,
        "problems": {"feedback": len(feedback), "validation": len(validation), "digest": digest},
        "strategy": settings.strategy,
        "minibatch": settings.minibatch,
        "samples": settings.samples,
        "confidence": settings.confidence,
        "kinds": list(settings.kinds),
        "sampling": given(settings.sampling),
        "seed": settings.seed,
        "start": start.id,
        "reward_models": [m if isinstance(m, str) else type(m).__name__ for m in reward_models],
        "budget": given(budget),
    }
