"""Verifiers by name, as the command line and records write them.

get_verifier("auto")   what may honestly be used to choose between answers of this problem
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nlrl.core import Candidate, Problem, Score, UnknownName, Verifier
from nlrl.rewards.confidence import SelfCertainty
from nlrl.rewards.constraints import ConstraintVerifier


class AutoVerifier:
    """The best honest verifier for each problem: its public tests, else its constraints, else self-certainty.

    It never reads the reference, the aliases or the hidden tests.
    """

    def __init__(self) -> None:
        self._certainty = SelfCertainty()
        self._constraints = ConstraintVerifier()
        self._tests: Verifier | None = None

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        return await self._for(problem).score(problem, candidates)

    def needs_logprobs(self, problem: Problem) -> bool:
        """Whether this problem's verifier reads token log-probabilities, which must be asked for when drawing."""
        return self._for(problem) is self._certainty

    def _for(self, problem: Problem) -> Verifier:
        if problem.tests is not None and problem.tests.public:
            if self._tests is None:
                self._tests = _public_tests()
            return self._tests
        return self._constraints if problem.constraints else self._certainty


def _public_tests() -> Verifier:
    from nlrl.rewards.code import CodeVerifier  # it needs the sandbox

    return CodeVerifier(which="public")


def _reference() -> Verifier:
    from nlrl.rewards.reference import ReferenceVerifier

    return ReferenceVerifier()


def _judge() -> Verifier:
    from nlrl.rewards.judge import LLMJudge

    return LLMJudge()


def _mock() -> Verifier:
    from nlrl.rewards.mocks import MockRewardModel

    return MockRewardModel()


_VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "auto": AutoVerifier,
    "reference": _reference,  # the grader: it knows the solution
    "public_tests": _public_tests,
    "constraints": ConstraintVerifier,
    "self_certainty": SelfCertainty,
    "mean_logprob": lambda: SelfCertainty("mean_logprob"),
    "lowest_group": lambda: SelfCertainty("lowest_group"),
    "judge": _judge,
    "mock": _mock,
}
VERIFIER_NAMES = tuple(sorted(_VERIFIERS))


def get_verifier(name: str) -> Verifier:
    """A new verifier. Raises UnknownName with the nearest names."""
    if name not in _VERIFIERS:
        raise UnknownName("verifier", name, VERIFIER_NAMES)
    return _VERIFIERS[name]()
