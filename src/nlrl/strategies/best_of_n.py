"""Best-of-N (Cobbe et al. 2021, 2110.14168; weighted: Li et al. 2023, 2206.02336; Snell et al. 2024, section 5)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Problem, Sampling, UnknownName
from nlrl.strategies.voting import count_votes

ALTERNATIVES = 5  # per token, for verifiers that read the model's confidence


async def best_of_n(
    problem: Problem, compute: Compute, *, n: int = 8, select: str = "weighted", verifier: str = "default"
) -> Answer:
    """Draw n independent attempts and keep what the verifier likes best.

    `select=best` takes the attempt with the highest score; `select=weighted` sums the scores over equivalent answers
    and takes the best class, which forgives a verifier its single blunders. `verifier` is a registered name; "default"
    is the handle's own, and where it has none "auto", which runs a coding problem's public tests, checks the
    constraints of a writing problem, and else reads the model's own confidence. It never sees the reference.

    One unit of budget buys one more attempt and its verification. Fails when the verifier can be fooled: with more
    attempts it finds more that look right (Snell et al. 2024, section 5.2). Confidence is the winner's part of all
    scores.
    """
    if select not in ("weighted", "best"):
        raise UnknownName("selection", select, ["weighted", "best"])
    judge = compute.verifier(verifier)
    sampling = Sampling(logprobs=ALTERNATIVES) if _reads_logprobs(judge, problem, compute) else None
    attempts = await compute.sample(problem, n, sampling=sampling)
    scored = await compute.score(problem, attempts, judge)
    scores = [c.score.value if c.score else 0.0 for c in scored]
    vote = await count_votes(problem, scored, scores)
    if select == "weighted":
        best = vote.leader
        if vote.tied:
            compute.note("The first two answers weigh the same; the earlier one was taken.")
    else:
        best = max(scored, key=lambda c: c.score.value if c.score else 0.0, default=None)
    share = next((p.weight / sum(scores) for p in vote.parties if best in p.members and sum(scores) > 0), None)
    return compute.answer(best, confidence=share)


def _reads_logprobs(verifier: object, problem: Problem, compute: Compute) -> bool:
    needs = getattr(verifier, "needs_logprobs", False)
    return compute.model.can.logprobs and bool(needs(problem) if callable(needs) else needs)
