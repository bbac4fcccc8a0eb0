"""Weighted vote (Li et al. 2023, 2206.02336; Snell et al. 2024, section 5.1, call it best-of-N weighted)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Problem
from nlrl.strategies.best_of_n import best_of_n
from nlrl.strategies.selection import selects


@selects("weighted")
async def weighted_vote(
    problem: Problem, compute: Compute, *, n: int = 8, aggregate: str = "last", verifier: str = "default"
) -> Answer:
    """Draw n independent attempts; the answer with the largest sum of the verifier's scores wins.

    Equivalent answers add up, which forgives a verifier its single blunders. `verifier` is a registered name;
    "default" is the handle's own, and where it has none "auto", which runs a coding problem's public tests, checks the
    constraints of a writing problem, and else reads the model's own certainty: then this is a vote weighted by
    certainty, and no verifier in the sense of something that can tell right from wrong. `aggregate` as in best_of_n.

    One unit of budget buys one more attempt and its verification. Fails where the most attractive answer is wrong, as
    every vote does, unless the scores tell. Confidence is the winner's part of all scores.
    """
    return await best_of_n(problem, compute, n=n, select="weighted", aggregate=aggregate, verifier=verifier)
