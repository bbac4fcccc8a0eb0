"""Language Generalized Policy Iteration (Feng et al. 2024, 2411.14251): evaluate in words, improve in words, again.

    env = make("frozen_lake(slippery=true)")
    operators = Operators(env, Desk(OracleModel()))
    value, policy = Store(operators), Table(env, Uniform(env))
    result = await language_policy_iteration(operators, value, policy, ActingSettings(iterations=20, sweeps=10))

All targets of a sweep are computed before any is fitted, so V is that of the sweep before (a frozen copy). Values are
fitted to the union of the last `window` sweeps' targets, each as often as it was found. With `OracleModel`, a store and
all transitions, this is policy iteration; with one sweep an iteration, value iteration.

Prompt-only iteration (`fit=False`, with a `PromptedValue` and a `PromptedPolicy`) skips the fits, and with them the
sweeps that would find what to fit: decisions are improved by what the model says of the states that they lead to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from nlrl.core import BudgetExhausted, EnvironmentFailed, Usage, UserError
from nlrl.environments.finite import State
from nlrl.learning.language.acting.boundary import guarded
from nlrl.learning.language.acting.desk import Role
from nlrl.learning.language.acting.episodes import Played, play
from nlrl.learning.language.acting.evaluation import Evaluation, Evaluator, Read, once
from nlrl.learning.language.acting.improvement import Enumerate, Improved, Improver, LookAhead, Refine
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.policies import ActionPolicy, Uniform
from nlrl.learning.language.acting.texts import UNKNOWN, Decision, worth
from nlrl.learning.language.acting.values import Key, LanguageValue, Taken, Target
from nlrl.learning.language.side_by_side import side_by_side

QUIET = 5  # iterations without a change or a new state, before it is called converged, where one says little

_T = TypeVar("_T")
_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class ActingSettings:
    """How long and how wide.

    sweeps       evaluations of all states before each improvement
    window       sweeps whose targets are fitted together (values), and iterations whose decisions are (policy)
    episodes     states are those met in so many episodes an iteration; None: all states of the environment
    explore      share of those episodes played by chance, so that new states are met
    held_out     seeds that the policy is tried on after each iteration
    tolerance    converged when no decision changes and no value moves by more
    fit          False: prompt-only; nothing is fitted, and what was improved is improved again wherever it is needed
    """

    iterations: int = 10
    sweeps: int = 1
    evaluation: Evaluation = field(default_factory=Evaluation)
    improvement: Improver = field(default_factory=Enumerate)
    window: int = 1
    episodes: int | None = None
    explore: float = 0.5
    held_out: tuple[int, ...] = ()
    tolerance: float = 1e-9
    seed: int = 0
    fit: bool = True

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.sweeps < 0 or self.window < 1 or not 0 <= self.explore <= 1:
            raise UserError(
                "iterations and sweeps must not be negative, window at least 1 and explore a share, got "
                f"{self.iterations}, {self.sweeps}, {self.window}, {self.explore}."
            )


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that changed, and the evaluations it was made from."""

    state: State
    before: str | None
    after: str | None
    text: str
    evaluations: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Iteration:
    """One round of evaluating and improving.

    moved      largest change of a value's number; None where values have none
    calls      by role, so far
    heard      what was illegal, unparsed, empty or failed, so far
    played     the test episodes; None if there are none
    """

    number: int
    states: int
    changes: tuple[Change, ...]
    moved: float | None
    calls: Mapping[Role, int]
    heard: Mapping[str, int]
    usage: Usage
    played: Played | None
    seconds: float


@dataclass(frozen=True)
class Result:
    """What a run came to.

    stopped  "converged", "iterations" or the budget that was spent
    policy   the one to act by: that which was given; where nothing is fitted, one that looks ahead
    """

    iterations: tuple[Iteration, ...]
    stopped: str
    policy: ActionPolicy


@dataclass
class _Loop:
    operators: Operators
    value: LanguageValue
    policy: ActionPolicy
    settings: ActingSettings
    targets: deque[list[Target]] = field(init=False)
    decisions: deque[list[tuple[State, Decision]]] = field(init=False)
    last: dict[State, str | None] = field(default_factory=dict)
    numbers: dict[Key, float | None] = field(default_factory=dict)
    fresh: int = 0  # states met for the first time
    still: int = 0  # iterations in a row in which nothing changed

    def settled(self, changes: Sequence[Change], moved: float | None) -> bool:
        """Whether there is nothing more to learn. Where states are met by chance, or values have no numbers, one quiet
        iteration says little."""
        quiet = not changes and not self.fresh and (moved is None or moved <= self.settings.tolerance)
        self.still = self.still + 1 if quiet else 0
        told = moved is not None or not self.settings.fit
        return self.still >= (1 if self.settings.episodes is None and told else QUIET)

    def __post_init__(self) -> None:
        self.targets = deque(maxlen=self.settings.window)
        self.decisions = deque(maxlen=self.settings.window)

    def acting(self) -> ActionPolicy:
        """The policy as it has been improved so far."""
        if self.settings.fit or not self.last:
            return self.policy
        return LookAhead(self.evaluator(self.value.read, str(self.settings.seed)), self.settings.improvement)

    def evaluator(self, read: Read, seed: str) -> Evaluator:
        """What values are found by: `read` is V before this."""
        return Evaluator(self.settings.evaluation, self.operators, self.policy, read, seed)

    async def states(self, iteration: int) -> list[State]:
        """All states, or those that this iteration's episodes meet, in the order they were met."""
        env, episodes = self.operators.env, self.settings.episodes
        if episodes is None:
            try:
                return list(guarded(env, "states", env.states))
            except UserError as error:
                raise UserError(f"{error} Learn where episodes lead instead: episodes=20, or --episodes 20.") from None
        by_chance = round(episodes * self.settings.explore)
        seeds = [_seed(self.settings.seed, iteration, k) for k in range(episodes)]
        wild = [await play(env, Uniform(env, seed), [seed]) for seed in seeds[:by_chance]]
        own = await play(env, self.acting(), seeds[by_chance:])
        self.operators.heard.update(own.heard)
        met = [move.state for p in (*wild, own) for episode in p.episodes for move in episode.moves]
        found = list(dict.fromkeys(met))
        self.fresh = sum(state not in self.last for state in found)
        return found

    async def sweep(self, states: Sequence[State], seed: str) -> float | None:
        """Evaluate every state and fit; the largest change of a number."""
        found = await self._of_each(states, self.evaluator(once(self.value.read), seed).of)
        self.targets.append([(state, text) for state, text in found if text])
        await self.value.fit([t for some in self.targets for t in some], seed=self.settings.seed)
        moved = [
            abs(now - (self.numbers.get(state) or 0.0))
            for state, text in self.targets[-1]
            if (now := worth(text)) is not None
        ]
        self.numbers.update({state: worth(text) for state, text in self.targets[-1]})
        return max(moved, default=None)

    async def improve(self, states: Sequence[State], seed: str) -> list[Change]:
        """Decide anew in every state and fit; what changed. Decisions that are not legal change nothing."""
        evaluator, s = self.evaluator(once(self.value.read), seed), self.settings

        async def better(state: State) -> Improved | None:
            return await s.improvement.better(evaluator, state)

        found = [(state, i) for state, i in await self._of_each(states, better) if i is not None]
        if s.fit and isinstance(s.improvement, Refine) and s.improvement.successors is not None:
            await self._fit_successors(s.improvement.successors, found, seed)
        legal = [(state, i) for state, i in found if i.decision.legal]
        if s.fit:
            self.decisions.append([(state, i.decision) for state, i in legal])
            await self.policy.fit([d for some in self.decisions for d in some], seed=s.seed)
        changes = [
            Change(state, self.last.get(state), i.decision.action, i.decision.text, i.evaluations)
            for state, i in legal
            if self.last.get(state) != i.decision.action
        ]
        self.last.update({state: i.decision.action for state, i in legal})
        return changes

    async def _fit_successors(
        self, successors: LanguageValue, found: Sequence[tuple[State, Improved]], seed: str
    ) -> None:
        """One-step backups: what follows (s, a) is r and what follows the policy's own action in s'."""

        async def follows(state: State) -> str:
            decision = (await self.policy.draws(state, 1))[0]
            return (
                await successors.read(Taken(state, decision.action)) if decision.legal and decision.action else UNKNOWN
            )

        evaluator = self.evaluator(once(follows), seed)
        taken = dict.fromkeys(Taken(state, action) for state, i in found for action, _ in i.evaluations)

        async def target(key: Taken) -> str | None:
            return await evaluator.of(key.state, key.action)

        told = await self._of_each(list(taken), target)
        await successors.fit([(key, text) for key, text in told if text], seed=self.settings.seed)

    async def _of_each(
        self, states: Sequence[_K], of: Callable[[_K], Awaitable[_T | None]]
    ) -> list[tuple[_K, _T | None]]:
        """`of` each state, side by side. A state where the environment fails is counted and left out."""

        async def one(state: _K) -> _T | None:
            try:
                return await of(state)
            except EnvironmentFailed:
                self.operators.heard["environment failures"] += 1
                return None

        return list(zip(states, await side_by_side(one(state) for state in states), strict=True))


async def language_policy_iteration(
    operators: Operators,
    value: LanguageValue,
    policy: ActionPolicy,
    settings: ActingSettings,
    *,
    on_iteration: Callable[[Iteration], None] | None = None,
) -> Result:
    """Evaluate and improve until nothing changes, the iterations are done or the budget is spent.

    `value` and `policy` are changed in place, and hold what was learned however it ends. Raises ModelError, and
    EnvironmentFailed where the environment cannot even say what its states are.
    """
    loop = _Loop(operators, value, policy, settings)
    done: list[Iteration] = []
    for number in range(1, settings.iterations + 1):
        begun = time.monotonic()
        seed = f"{settings.seed}:{number}"
        try:
            states = await loop.states(number)
            moved: float | None = None
            for k in range(settings.sweeps if settings.fit else 0):
                moved = await loop.sweep(states, f"{seed}:{k}")
            changes = await loop.improve(states, seed)
            played = await play(operators.env, loop.acting(), settings.held_out) if settings.held_out else None
        except BudgetExhausted as spent:
            return Result(tuple(done), spent.reason, loop.acting())
        desk = operators.desk
        if played:
            operators.heard.update(played.heard)
        done.append(
            Iteration(
                number,
                len(states),
                tuple(changes),
                moved,
                dict(desk.calls),
                dict(operators.heard),
                desk.ledger.usage(),
                played,
                time.monotonic() - begun,
            )
        )
        if on_iteration:
            on_iteration(done[-1])
        if loop.settled(changes, moved):
            return Result(tuple(done), "converged", loop.acting())
    return Result(tuple(done), "iterations", loop.acting())


def _seed(seed: int, iteration: int, k: int) -> int:
    return (seed * 1_000_003 + iteration * 10_007 + k) % 2**31
