"""Plain functions as verifiers: a reward model of one line is enough.

    as_verifier(lambda text: 1.0 if "42" in text else 0.0)
    as_verifier({"math": judge_sum, "coding": lambda text, test_cases: run(text, test_cases)})
    as_verifier("judge"); as_verifier(my_verifier)

A function is called with the text of an attempt; where its first parameter is called question, prompt or problem and a
second one follows, with the question and the text; with the row's test cases too if it has a parameter `test_cases`. It
may be async.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from nlrl.core import Candidate, Problem, Score, TaskType, UserError, Verdict, Verifier, VerifierError
from nlrl.verifiers.registry import get_verifier

Reward = Callable[..., float | Awaitable[float]]
RewardModel = Verifier | Reward | str
RewardModels = RewardModel | Mapping[str, RewardModel] | None
TestCases = Mapping[str, Sequence[Any]]  # by problem id
_QUESTIONS = ("question", "prompt", "problem")


def as_verifier(reward: RewardModels, *, test_cases: TestCases | None = None) -> Verifier | None:
    """A verifier for whatever a caller calls a reward model: a function, a verifier, its registered name, or a mapping
    of these by the kind of problem, which abstains on the kinds it lacks. None stays None.

    test_cases  for functions that take them, by problem id
    Raises UserError for anything else, UnknownName for a name or a kind that does not exist.
    """
    if reward is None:
        return None
    if isinstance(reward, str):
        return get_verifier(reward)
    if isinstance(reward, Mapping):
        kinds = {_kind(name): as_verifier(one, test_cases=test_cases) for name, one in reward.items()}
        return ByKind({kind: verifier for kind, verifier in kinds.items() if verifier is not None})
    if hasattr(type(reward), "score"):  # asked of the class: a mock has every attribute
        return cast(Verifier, reward)
    if callable(reward):
        return FunctionVerifier(reward, test_cases)
    raise UserError(
        f"{type(reward).__name__} is no reward model. Give a function of the text, a verifier, its name, or a mapping "
        "of them by task type."
    )


def _kind(name: str) -> TaskType:
    try:
        return TaskType(name)
    except ValueError:
        raise UserError(f"{name!r} is no kind of problem. Reward models are named by: {', '.join(TaskType)}.") from None


class ByKind:
    """A verifier for each kind of problem; it abstains on the others."""

    def __init__(self, verifiers: Mapping[TaskType, Verifier]) -> None:
        self.verifiers = dict(verifiers)

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        verifier = self.verifiers.get(problem.task_type) if problem.task_type else None
        if verifier is None:
            reason = f"there is no reward model for {problem.task_type or 'a problem without a kind'}"
            return [Score(0.5, Verdict.ABSTAIN, reason=reason) for _ in candidates]
        return await verifier.score(problem, candidates)


class FunctionVerifier:
    """A function as a verifier; values outside of [0, 1] are cut to it. Raises what the function raises.

    test_cases  by problem id, for functions that take them
    keywords    passed on with every call
    """

    def __init__(
        self, function: Reward, test_cases: TestCases | None = None, keywords: Mapping[str, Any] | None = None
    ) -> None:
        self.function = function
        self.test_cases = test_cases or {}
        self.keywords = keywords or {}
        self.takes_question, self.takes_tests, self.takes_anything = _parameters(function)

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        return [Score(await self.value(problem, c.text)) for c in candidates]

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of that name, beside the text and the question that it is given."""
        try:
            parameters = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return False
        return name in list(parameters)[2 if self.takes_question else 1 :]

    async def value(self, problem: Problem, text: str) -> float:
        """What the function gives for a text, in [0, 1]."""
        keywords = dict(self.keywords)
        if self.takes_tests or (self.takes_anything and problem.task_type is TaskType.CODING):
            keywords.setdefault("test_cases", list(self.test_cases.get(problem.id, ())))
        arguments = (problem.question, text) if self.takes_question else (text,)
        return await checked_value(self.function(*arguments, **keywords))


async def checked_value(value: Any) -> float:
    """What a reward function gave, awaited if need be and cut to [0, 1]. Raises VerifierError for what is no number."""
    if inspect.isawaitable(value):
        value = await value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise VerifierError(f"A reward model must give a number from 0 to 1, and gave {value!r}.")
    return min(max(number, 0.0), 1.0)


def _parameters(function: Reward) -> tuple[bool, bool, bool]:
    """Whether it takes the question before the text, a parameter `test_cases`, and any keyword at all."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in functions do not say
        return False, False, False
    positional = [
        p for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty and p.name != "test_cases"
    ]  # fmt: skip
    named = any(p.name == "test_cases" for p in parameters)
    asks = len(positional) >= 2 and positional[0].name in _QUESTIONS
    return asks, named, any(p.kind is p.VAR_KEYWORD for p in parameters)
