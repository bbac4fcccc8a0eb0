"""Lookahead search (Snell et al. 2024, 2408.03314, section 5.2): beam search that scores after a rollout."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Problem
from nlrl.strategies._step_search import StepSearch
from nlrl.strategies.beam_search import search_beams


async def lookahead_search(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 16,
    width: int = 4,
    k: int = 1,
    steps: int = 16,
    aggregate: str = "last",
    select: str = "weighted",
    verifier: str = "default",
) -> Answer:
    """Beam search in which every text is continued by k greedy steps before it is scored, and goes on without them.

    The rollout (temperature 0) shows the reward model where a step leads, so a step is judged by its consequences:
    MCTS with its chance taken out. Texts that are over need no rollout, and a rollout that ends early stops there.
    All else is as in beam_search.

    One unit of n buys one more text and its rollout in every round: n (k + 1) steps a round, all of them charged;
    only the greedy step of a text that already had one is not drawn again. Fails where beam search fails, and at
    equal budget it mostly loses to it, since the rollouts eat the width (Snell et al. 2024, section 5.3).
    """
    search = StepSearch(problem, compute, aggregate, select, verifier, steps)
    return await search_beams(search, n, width, lookahead=k)
