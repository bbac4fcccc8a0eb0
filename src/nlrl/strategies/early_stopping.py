"""Early-stopping self-consistency, ESC (Li et al. 2024, 2401.10480)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Stopped
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.voting import count_votes


async def early_stopping(problem: Problem, compute: Compute, *, n: int = 40, window: int = 5) -> Answer:
    """Draw a window of attempts at a time, and stop when all of a window give the same answer; at most n attempts.

    The answer is the most common one of all windows drawn. An attempt without an answer agrees with nobody.

    One unit of budget buys one more voter; a window of w on which all agree by chance, at a wrong answer, is as likely
    as that answer's share to the power of w. Fails as self-consistency does, and saves nothing where attempts scatter.
    """
    attempts: list[Candidate] = []
    vote = RunningVote(problem)
    settled = False
    while len(attempts) < n and not settled:
        drawn = await compute.sample(problem, min(window, n - len(attempts)))
        if not drawn:
            break
        attempts += drawn
        labels = await vote.labels([a.answer for a in drawn])
        settled = len(drawn) == window and len(set(labels)) == 1 and labels[0] >= 0
        if len(drawn) < window and compute.stopped:
            break
    counted = await count_votes(problem, attempts)
    stopped = Stopped.SETTLED if settled else Stopped.DONE
    return compute.answer(counted.leader, confidence=counted.share, stopped=stopped)
