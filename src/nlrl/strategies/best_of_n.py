"""Best-of-N (Cobbe et al. 2021, 2110.14168; Snell et al. 2024, section 5)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Problem, Sampling, Verifier
from nlrl.strategies.selection import check_selection, select_answer, selects
from nlrl.strategies.step_scores import check_aggregate, score_steps

ALTERNATIVES = 5  # per token, for verifiers that read the model's confidence


@selects("select")
async def best_of_n(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 8,
    select: str = "weighted",  # what records and policies mean that name none
    aggregate: str = "last",
    verifier: str = "default",
) -> Answer:
    """Draw n independent attempts; select=best keeps the one that the verifier scores highest.

    `select=weighted`, and no `select` at all, is the old spelling of `weighted_vote`, which sums the scores over
    equivalent answers; reports show it under that name. `verifier` is a registered name; "default" is the handle's own,
    and where it has none "auto", which runs a coding problem's public tests, checks the constraints of a writing
    problem, and else reads the model's own certainty. It never sees the reference.
    `aggregate` (last, min, prod, mean) makes one score of a process reward model's scores per step; other verifiers
    do not have any.

    One unit of budget buys one more attempt and its verification. Fails when the verifier can be fooled: with more
    attempts it finds more that look right (Snell et al. 2024, section 5.2);
    by the model's own certainty it is often below the plain vote. Confidence is the winner's part of all
    scores.
    """
    check_selection(select, ("weighted", "best"))
    check_aggregate(aggregate)
    judge = compute.verifier(verifier)
    attempts = await compute.sample(problem, n, sampling=sampling_for(judge, problem, compute))
    scored = await score_steps(problem, compute, attempts, judge, aggregate)
    chosen = await select_answer(problem, scored, select)
    if chosen.tied:
        compute.note("The first two answers weigh the same; the earlier one was taken.")
    return compute.answer(chosen.best, confidence=chosen.share)


def sampling_for(verifier: Verifier, problem: Problem, compute: Compute) -> Sampling | None:
    """What draws must report for this verifier to read: token log-probabilities, or nothing special."""
    needs = getattr(verifier, "needs_logprobs", False)
    reads = compute.model.can.logprobs and bool(needs(problem) if callable(needs) else needs)
    return Sampling(logprobs=ALTERNATIVES) if reads else None
