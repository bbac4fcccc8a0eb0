"""Several verifiers as one, by weight.

    Composite([(ConstraintVerifier(), 2.0), (SelfCertainty(), 1.0)])

Who abstains has no vote: an abstention is not half a point. (An abstaining verdict with a value other than 0.5, as
self-certainty gives, is an opinion about quality and counts in the value.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from nlrl.core import Candidate, Model, Problem, Score, SpendingVerifier, UserError, Verdict, Verifier, VerifierError


class Composite:
    """The weighted mean of those that have an opinion; 0.5 and abstain where nobody has.

    The verdict is that of the weighted majority of right and wrong; a tie abstains. A candidate is unparsed if any
    member says so. Raises UserError for no members or weights that are not positive, VerifierError if a member
    returns the wrong number of scores.
    """

    def __init__(self, members: Sequence[tuple[Verifier, float]]) -> None:
        if not members or not all(weight > 0 for _, weight in members):
            raise UserError("Composite needs at least one (verifier, weight) with weight above zero.")
        self.members = tuple(members)

    def metered(self, meter: Callable[[Model | None], Model]) -> Verifier:
        """A copy in which every member that asks a model is charged."""
        return Composite([(v.metered(meter) if isinstance(v, SpendingVerifier) else v, w) for v, w in self.members])

    def needs_logprobs(self, problem: Problem) -> bool:
        """Whether a member scores this problem by the draws' log-probabilities."""
        needs = [getattr(verifier, "needs_logprobs", False) for verifier, _ in self.members]
        return any(need(problem) if callable(need) else need for need in needs)

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order; the members work at the same time."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_scores(v, problem, candidates)) for v, _ in self.members]
        except BaseExceptionGroup as failures:  # the first says what is wrong; callers expect it, not a group
            raise failures.exceptions[0] from None
        columns = [task.result() for task in tasks]
        weights = [weight for _, weight in self.members]
        return [_combined(row, weights) for row in zip(*columns, strict=True)]


async def _scores(verifier: Verifier, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
    scores = await verifier.score(problem, candidates)
    if len(scores) != len(candidates):
        raise VerifierError(f"{type(verifier).__name__} gave {len(scores)} scores for {len(candidates)} candidates.")
    return scores


def _has_opinion(score: Score) -> bool:
    return score.verdict in (Verdict.RIGHT, Verdict.WRONG) or (score.verdict is Verdict.ABSTAIN and score.value != 0.5)


def _combined(scores: Sequence[Score], weights: Sequence[float]) -> Score:
    reason = "; ".join(s.reason for s in scores if s.reason)[:500]
    if any(s.verdict is Verdict.UNPARSED for s in scores):
        return Score(0.0, Verdict.UNPARSED, reason=reason)
    voters = [(s, w) for s, w in zip(scores, weights, strict=True) if _has_opinion(s)]
    if not voters:
        late = any(s.verdict is Verdict.TIMEOUT for s in scores)
        return Score(0.0 if late else 0.5, Verdict.TIMEOUT if late else Verdict.ABSTAIN, reason=reason)
    value = sum(s.value * w for s, w in voters) / sum(w for _, w in voters)
    sides = {Verdict.RIGHT: 1, Verdict.WRONG: -1}
    balance = sum(sides.get(s.verdict, 0) * w for s, w in voters)
    verdict = Verdict.RIGHT if balance > 0 else Verdict.WRONG if balance < 0 else Verdict.ABSTAIN
    by = next((s.by for s in scores if s.by), "")
    return Score(min(1.0, max(0.0, value)), verdict, reason=reason, by=by)
