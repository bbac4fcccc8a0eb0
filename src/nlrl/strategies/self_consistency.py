"""Self-consistency (Wang et al. 2022, 2203.11171)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Problem
from nlrl.strategies.selection import selects
from nlrl.strategies.voting import count_votes


@selects("majority")
async def self_consistency(problem: Problem, compute: Compute, *, n: int = 8) -> Answer:
    """Draw n independent attempts and take the answer that most of them reach.

    Votes are counted over equivalence classes of answers, not over strings. Ties go to the earlier answer and are
    reported. Confidence is the share of the votes, unparsed attempts included.

    One unit of budget buys one more voter. Fails when the model's most common answer is a wrong one: more voters
    then make it surer of the error.
    """
    attempts = await compute.sample(problem, n)
    vote = await count_votes(problem, attempts)
    if vote.tied:
        names = " and ".join(repr(p.spokesman.answer) for p in vote.parties[:2])
        compute.note(f"Tie between {names}; the earlier one was taken.")
    return compute.answer(vote.leader, confidence=vote.share)
