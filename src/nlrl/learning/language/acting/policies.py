"""Policies that decide in words: pi(reasoning, action | state).

Uniform         any legal action, without a word: where learning starts
PromptedPolicy  the rules and the state, put to a model
Table           the decision written down for a state, with the policy before it for all other states
TrainedPolicy   a small model that is trained on decisions

One more, which decides by looking ahead, is in `improvement`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.boundary import describe, legal_actions
from nlrl.learning.language.acting.desk import Desk, Role
from nlrl.learning.language.acting.texts import Decision, decide, policy_prompt, state_text
from nlrl.learning.learner import TextLearner


class ActionPolicy(Protocol):
    """`draws` may hold illegal and unreadable decisions: they are for the caller to count.

    fit  makes the policy say what the improved decisions say
    """

    async def draws(self, state: State, n: int) -> list[Decision]: ...
    async def fit(self, decisions: Sequence[tuple[State, Decision]], *, seed: int) -> None: ...


@dataclass
class Uniform:
    """Any legal action with equal chance. The k-th visit of a state draws the same every time, given the seed."""

    env: FiniteEnvironment
    seed: int = 0
    _visits: Counter[State] = field(default_factory=Counter)

    async def draws(self, state: State, n: int) -> list[Decision]:
        """n decisions without a call."""
        self._visits[state] += 1
        rng = random.Random(f"{self.seed}:{self._visits[state]}:{state!r}")
        return [_plain(action) for action in rng.choices(legal_actions(self.env, state), k=n)]

    async def fit(self, decisions: Sequence[tuple[State, Decision]], *, seed: int) -> None:
        """Raises TypeError: it does not learn. Put a `Table` before it, or iterate with fit=False."""
        raise TypeError("a uniform policy does not learn; put a Table before it, or say fit=False")


@dataclass
class PromptedPolicy:
    """A model that is told the rules, the state and the legal actions."""

    env: FiniteEnvironment
    desk: Desk

    async def draws(self, state: State, n: int) -> list[Decision]:
        """One request for n texts."""
        texts = await self.desk.draws(Role.POLICY, self.env.rules, policy_prompt(self.env, state), n)
        return [decide(self.env, state, text) for text in texts]

    async def fit(self, decisions: Sequence[tuple[State, Decision]], *, seed: int) -> None:
        """Raises TypeError: a prompted model does not change. Put a `Table` before it, or iterate with fit=False."""
        raise TypeError("a prompted policy does not learn; put a Table before it, or say fit=False")


@dataclass
class Table:
    """The decisions that were written down, by the state's text; every other state is left to the policy `before`."""

    env: FiniteEnvironment
    before: ActionPolicy
    table: dict[str, Decision] = field(default_factory=dict)

    def written(self, state: State) -> Decision | None:
        """What stands in the table for a state."""
        return self.table.get(describe(self.env, state))

    async def draws(self, state: State, n: int) -> list[Decision]:
        """The written decision, n times, without a call; else those of the policy before."""
        written = self.written(state)
        return [written] * n if written else await self.before.draws(state, n)

    async def fit(self, decisions: Sequence[tuple[State, Decision]], *, seed: int) -> None:
        """Write the decisions down; of several for a state's text, the one made most often (the later of equals)."""
        made: dict[str, Counter[Decision]] = {}
        for state, decision in reversed(decisions):
            made.setdefault(describe(self.env, state), Counter())[decision] += 1
        self.table.update({text: counts.most_common(1)[0][0] for text, counts in made.items()})


@dataclass
class TrainedPolicy:
    """A small model that is trained on decisions, shown the state and nothing else. Before that, `before` decides."""

    env: FiniteEnvironment
    desk: Desk
    learner: TextLearner
    before: ActionPolicy
    fitted: bool = False

    async def draws(self, state: State, n: int) -> list[Decision]:
        """One request for n texts."""
        if not self.fitted:
            return await self.before.draws(state, n)
        texts = await self.desk.draws(Role.POLICY, "", state_text(self.env, state), n)
        return [decide(self.env, state, text) for text in texts]

    async def fit(self, decisions: Sequence[tuple[State, Decision]], *, seed: int) -> None:
        """Train on every decision as often as it was made; without any, nothing is learned."""
        if not decisions:
            return
        pairs = [(state_text(self.env, state), decision.text) for state, decision in decisions]
        await self.learner.fit(pairs, seed=seed)
        self.desk.employ(Role.POLICY, self.learner.model)
        self.fitted = True


def acting(policy: ActionPolicy, state: State) -> ActionPolicy:
    """The policy that decides at a state: behind a table that says nothing of it, and a model that was never fitted."""
    while (isinstance(policy, Table) and policy.written(state) is None) or (
        isinstance(policy, TrainedPolicy) and not policy.fitted
    ):
        policy = policy.before
    return policy


async def proposals(policy: ActionPolicy, state: State, n: int) -> list[Decision]:
    """n decisions to find candidate actions by. A table has only one to offer, so the policy before it is asked too:
    what was once decided must stay open to doubt."""
    if not isinstance(policy, Table):
        return await policy.draws(state, n)
    written = policy.written(state)
    return [*([written] if written else []), *await proposals(policy.before, state, n)]


async def distribution(
    policy: ActionPolicy, env: FiniteEnvironment, state: State, draws: int, heard: Counter[str]
) -> Mapping[str, float]:
    """Chances of the legal actions: exact for policies that never call a model, else the shares of `draws` draws.

    What was illegal or could not be read is counted in `heard` and has no share; {} if nothing was left.
    """
    policy = acting(policy, state)
    if isinstance(policy, Uniform):
        actions = legal_actions(env, state)
        return dict.fromkeys(actions, 1 / len(actions))
    made = await policy.draws(state, 1 if isinstance(policy, Table) else draws)
    count(made, heard)
    legal = Counter(d.action for d in made if d.legal and d.action is not None)
    return {action: n / legal.total() for action, n in legal.items()}


def count(decisions: Sequence[Decision], heard: Counter[str]) -> None:
    """Count what was not a legal action: never replaced, never silent."""
    heard["unparsed decisions"] += sum(d.action is None for d in decisions)
    heard["illegal decisions"] += sum(d.action is not None and not d.legal for d in decisions)


def _plain(action: str) -> Decision:
    return Decision(f"Action: {action}", action, legal=True)
