"""One attempt, taken as it is: what everything else is compared with."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Problem


async def direct(problem: Problem, compute: Compute) -> Answer:
    """Draw one attempt and believe it.

    One unit of budget buys one attempt. Fails wherever the model is not sure of itself.
    """
    attempts = await compute.sample(problem, 1)
    return compute.answer(attempts[0] if attempts else None)
