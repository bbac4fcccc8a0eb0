"""The grader: whatever decides a problem of its kind, with the reference in hand.

It is for measuring, never for choosing between answers: a strategy that selects by it would know the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from nlrl.answers.forms import read
from nlrl.core import Candidate, Problem, Score, TaskType, Verifier
from nlrl.verifiers.constraints import ConstraintVerifier
from nlrl.verifiers.math import MathVerifier
from nlrl.verifiers.text import TextVerifier


class ReferenceVerifier:
    """Mathematics by equivalence, code by all its tests, text by exact match, writing by its constraints.

    Where a problem has no task type, its content decides: tests, constraints, options, then whether the reference
    reads as mathematics.
    """

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        return await self._for(problem).score(problem, candidates)

    def _for(self, problem: Problem) -> Verifier:
        task = problem.task_type
        if task is TaskType.CODING or (task is None and problem.tests is not None):
            return self._code
        if task is TaskType.WRITING or (task is None and problem.constraints):
            return self._writing
        if task is TaskType.MATH:
            return self._math
        if task is TaskType.COMMONSENSE or problem.choices:
            return self._text
        return self._math if problem.reference is None or read(problem.reference).readings else self._text

    @cached_property
    def _code(self) -> Verifier:
        from nlrl.verifiers.code import CodeVerifier  # it needs the sandbox

        return CodeVerifier(which="all")

    @cached_property
    def _math(self) -> Verifier:
        return MathVerifier()

    @cached_property
    def _text(self) -> Verifier:
        return TextVerifier()

    @cached_property
    def _writing(self) -> Verifier:
        return ConstraintVerifier()
