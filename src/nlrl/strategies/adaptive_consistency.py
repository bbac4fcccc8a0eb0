"""Adaptive-Consistency (Aggarwal et al. 2023, 2305.11860)."""

from __future__ import annotations

from math import comb

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Stopped
from nlrl.strategies.voting import Vote, count_votes


async def adaptive_consistency(
    problem: Problem, compute: Compute, *, n: int = 16, threshold: float = 0.95, wave: int = 4
) -> Answer:
    """Draw attempts until the leading answer is unlikely to be overtaken, at most n; cancel what still runs.

    After every attempt the Beta posterior over leader against runner-up is asked whether the leader truly is the more
    common answer; above `threshold` it stops. `wave` attempts are in flight at a time.

    One unit of budget buys one more voter, and easy problems give theirs back. Fails as self-consistency does, and
    may stop too early when the first few attempts agree by accident.
    """
    attempts: list[Candidate] = []
    settled = False
    async with compute.sampling(problem, n, wave=wave) as stream:
        async for attempt in stream:
            attempts.append(attempt)
            vote = await count_votes(problem, attempts)
            if len(attempts) > 1 and _lead(vote) > threshold:
                settled = True
                break
    vote = await count_votes(problem, attempts)
    stopped = Stopped.SETTLED if settled else Stopped.DONE
    return compute.answer(vote.leader, confidence=_lead(vote) * vote.share if vote.parties else 0.0, stopped=stopped)


def _lead(vote: Vote) -> float:
    first, second = ([len(p.members) for p in vote.parties] + [0, 0])[:2]
    return leader_holds(first, second)


def leader_holds(first: int, second: int) -> float:
    """P(p > 1/2) under Beta(first + 1, second + 1): whether the leader is the more common of the two answers.

    For whole numbers the regularised incomplete beta function is a binomial sum, so no library is needed.
    """
    if first == 0:
        return 0.0
    n = first + second + 1
    return sum(comb(n, k) for k in range(first + 1)) / 2**n
