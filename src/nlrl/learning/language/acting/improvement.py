"""From values to better decisions.

    Enumerate()                    look one step ahead along every legal action, compare, decide
    Enumerate(draws=8, top=3)      only along the 3 actions that 8 draws of the policy name most often
    Refine()                       do not compare: tell the policy what would follow, and let it think again (NLAC)
    LookAhead(evaluator, Refine()) a policy that decides so wherever it acts, and learns nothing

A decision by `Enumerate` costs one policy draw for each of `draws`, then for each candidate action one value for every
place it may lead to, one G2 for every way there, and one G1; and one I. `expected_calls` says so in numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from nlrl.core import UserError
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.boundary import imagine, legal_actions
from nlrl.learning.language.acting.desk import Role
from nlrl.learning.language.acting.evaluation import Evaluator
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.policies import ActionPolicy, count, proposals
from nlrl.learning.language.acting.texts import Decision, decide, refine_prompt
from nlrl.learning.language.acting.values import LanguageValue, Taken
from nlrl.learning.language.side_by_side import side_by_side


@dataclass(frozen=True, slots=True)
class Improved:
    """A decision with what it was made from: (action, evaluation) pairs."""

    decision: Decision
    evaluations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Enumerate:
    """Compare the evaluations of candidate actions.

    draws  decisions drawn from the policy to find candidates; None: every legal action is one
    top    how many distinct legal ones are kept, the most frequent first; None: all
    """

    draws: int | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("draws", self.draws), ("top", self.top)):
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
        if self.top is not None and self.draws is None:
            raise UserError("top keeps the actions that draws name most often; say how many draws, such as draws=8.")

    async def better(self, evaluator: Evaluator, state: State) -> Improved | None:
        """The improved decision, legal or not; None if the policy names no legal action. Raises EnvironmentFailed."""
        operators = evaluator.operators
        actions = await self.candidates(operators, evaluator.policy, state)
        if not actions:
            return None
        texts = await side_by_side(evaluator.of(state, action) for action in actions)
        evaluations = tuple((a, _one_line(text)) for a, text in zip(actions, texts, strict=True) if text)
        if not evaluations:
            return None
        decision = await operators.improve(state, evaluations)
        count([decision], operators.heard)
        return Improved(decision, evaluations)

    async def candidates(self, operators: Operators, policy: ActionPolicy, state: State) -> tuple[str, ...]:
        """The actions that are looked at."""
        if self.draws is None:
            return legal_actions(operators.env, state)
        drawn = await proposals(policy, state, self.draws)
        count(drawn, operators.heard)
        legal = Counter(d.action for d in drawn if d.legal and d.action is not None)
        return tuple(action for action, _ in legal.most_common(self.top))

    def expected_calls(
        self, env: FiniteEnvironment, state: State, actions: tuple[str, ...], fan_in: int
    ) -> dict[Role, int]:
        """Calls of one decision with one-step look-ahead along `actions`, the policy asked at a model."""
        calls: Counter[Role] = Counter({Role.POLICY: self.draws or 0, Role.IMPROVE: 1})
        seen: set[State] = set()
        for action in actions:
            outcomes = imagine(env, state, action)
            calls[Role.JOIN] += len(outcomes)
            seen.update(o.state for o in outcomes if not o.terminal)
            calls[Role.AGGREGATE] += merges(len(outcomes), fan_in)
        calls[Role.VALUE] = len(seen)
        return {role: n for role, n in calls.items() if n}


@dataclass(frozen=True, slots=True)
class Refine:
    """Let the policy think again after hearing what would follow (NLAC, 2512.04601): 3 calls a round once a successor
    text is fitted, however many actions there are. It needs a model that can think; an oracle gains nothing by it.

    rounds      how often; it ends early when the decision stays
    successors  texts by (state, action); None: what would follow is worked out by one step of look-ahead
    """

    rounds: int = 1
    successors: LanguageValue | None = None

    async def better(self, evaluator: Evaluator, state: State) -> Improved | None:
        """The refined decision, legal or not; None if the first draw is not legal. Raises EnvironmentFailed."""
        operators = evaluator.operators
        decision = (await evaluator.policy.draws(state, 1))[0]
        count([decision], operators.heard)
        told: list[tuple[str, str]] = []
        for _ in range(self.rounds):
            if decision.action is None or not decision.legal:
                break
            action = decision.action
            if self.successors is not None:
                future: str | None = await self.successors.read(Taken(state, action))
            else:
                future = await evaluator.of(state, action)
            if not future:
                break
            told.append((action, _one_line(future)))
            prompt = refine_prompt(operators.env, state, action, future)
            said = await operators.desk.say(Role.REFINE, operators.env.rules, prompt)
            decision = decide(operators.env, state, said)
            count([decision], operators.heard)
            if decision.action == action:
                break
        return Improved(decision, tuple(told)) if told else None


Improver = Enumerate | Refine


@dataclass(frozen=True, slots=True)
class LookAhead:
    """The policy of prompt-only iteration: what the evaluator's policy decides, improved wherever it is asked.

    Nothing of it is kept, so each decision costs what an improvement costs. Where that comes to nothing legal, the
    evaluator's policy decides alone.
    """

    evaluator: Evaluator
    improver: Improver

    async def draws(self, state: State, n: int) -> list[Decision]:
        """The improved decision, n times."""
        improved = await self.improver.better(self.evaluator, state)
        if improved is None or not improved.decision.legal:
            return await self.evaluator.policy.draws(state, n)
        return [improved.decision] * n

    async def fit(self, decisions: Sequence[tuple[State, Decision]], *, seed: int) -> None:
        """Raises TypeError: it keeps nothing."""
        raise TypeError("a policy that looks ahead keeps nothing; improve a Table instead, or say fit=False")


def merges(variations: int, fan_in: int) -> int:
    """Calls that G1 makes for so many different variations."""
    calls = 0
    while True:
        variations = ceil(variations / fan_in)
        calls += variations
        if variations == 1:
            return calls


def _one_line(text: str) -> str:
    return " ".join(text.split())
