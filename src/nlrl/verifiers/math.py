"""The grader of mathematics: is the answer equivalent to the reference?"""

from __future__ import annotations

from collections.abc import Sequence

from nlrl.answers.equivalence import Equivalence, default_equivalence
from nlrl.core import Candidate, Problem, Score, TaskType, Verdict
from nlrl.verifiers._verdicts import NO_REFERENCE, unparsed


class MathVerifier:
    """Right if the answer equals the reference or one of the aliases, as `equivalence` judges.

    Verdicts: unparsed where no answer was read, abstain without a reference; value 1 for right, 0.5 for abstain, 0 for
    all else.
    """

    def __init__(self, equivalence: Equivalence | None = None) -> None:
        self._equivalence = equivalence or default_equivalence()

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        references = [final(r) for r in (problem.reference, *problem.aliases) if r is not None and r.strip()]
        known: dict[str, Score] = {}
        scores: list[Score] = []
        for candidate in candidates:
            if candidate.answer is None or not candidate.answer.strip():
                scores.append(unparsed())
            elif not references:
                scores.append(NO_REFERENCE)
            else:
                if candidate.answer not in known:
                    known[candidate.answer] = self._grade(candidate.answer, references)
                scores.append(known[candidate.answer])
        return scores

    def _grade(self, answer: str, references: Sequence[str]) -> Score:
        for reference in references:
            if self._equivalence.equal_sync(reference, answer, task_type=TaskType.MATH):
                return Score(1.0, Verdict.RIGHT, reason=f"{_short(answer)} equals {_short(reference)}")
        return Score(0.0, Verdict.WRONG, reason=f"{_short(answer)} is not {_short(references[0])}")


def final(reference: str) -> str:
    """A reference without a worked solution before it: GSM8K writes "... #### 70"."""
    return reference.rsplit("####", 1)[-1].strip()


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
