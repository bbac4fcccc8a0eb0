"""Run a strategy so that it always ends with an answer and a full account.

answer = await solve("self_consistency(n=8)", Problem("What is 17 + 25?"), Compute(model))
"""

from __future__ import annotations

from nlrl.compute import Compute, Strategy
from nlrl.core import Answer, BudgetExhausted, Candidate, Problem, Stopped
from nlrl.strategies.registry import get_strategy
from nlrl.strategies.voting import count_votes


async def solve(strategy: str | Strategy, problem: Problem, compute: Compute) -> Answer:
    """The strategy's answer; when the budget ends in the middle of it, the best so far, and `stopped` says so.

    Raises UnknownName for a strategy that is not registered, ModelError when the model can do nothing at all.
    """
    run = get_strategy(strategy) if isinstance(strategy, str) else strategy
    try:
        return await run(problem, compute)
    except BudgetExhausted as spent:
        vote = await count_votes(problem, compute.candidates, [_worth(c) for c in compute.candidates])
        best = vote.leader or next(iter(compute.candidates), None)
        return compute.answer(best, confidence=vote.share if best else None, stopped=Stopped(spent.reason))


def _worth(candidate: Candidate) -> float:
    return candidate.score.value if candidate.score else 0.5
