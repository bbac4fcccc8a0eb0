"""Adaptive-Consistency (Aggarwal et al. 2023, 2305.11860)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Stopped
from nlrl.strategies.lead import leader_holds
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.selection import selects
from nlrl.strategies.voting import count_votes

__all__ = ["adaptive_consistency", "leader_holds"]


@selects("majority")
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
    running = RunningVote(problem)
    settled = False
    async with compute.sampling(problem, n, wave=wave) as stream:
        async for attempt in stream:
            attempts.append(attempt)
            await running.add(attempt.answer)
            if len(attempts) > 1 and leader_holds(*running.top_two()) > threshold:
                settled = True
                break
    vote = await count_votes(problem, attempts)
    stopped = Stopped.SETTLED if settled else Stopped.DONE
    sure = None if vote.share is None else leader_holds(*running.top_two()) * vote.share
    return compute.answer(vote.leader, confidence=sure, stopped=stopped)
