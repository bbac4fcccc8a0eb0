"""Diverse verifier tree search (Beeching, Tunstall and Rush 2024, "Scaling test-time compute with open models")."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem
from nlrl.strategies._step_search import StepSearch, best_of, check_width, is_over


async def dvts(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 16,
    width: int = 4,
    steps: int = 16,
    aggregate: str = "last",
    select: str = "weighted",
    verifier: str = "default",
) -> Answer:
    """Split a beam of n into n / width subtrees that know nothing of each other; each keeps the best of `width`.

    Every subtree is a greedy search against the process reward model: draw `width` next steps, go on with the best.
    Since none can crowd out the others, the finished texts stay as different as the first steps were, which is what
    beam search loses at large n. A subtree ends when the best of its texts is over; texts that are over, best or not,
    are finished candidates.

    One unit of n buys one more text a round: n steps a round, up to `steps` rounds in sequence. A rest of n that fills
    no subtree is not drawn. Fails at small n, where beam search's sharper cut is worth more than diversity, and
    wherever the reward model is weak. Needs a model that can prefill.
    """
    check_width("dvts", n, width)
    search = StepSearch(problem, compute, aggregate, select, verifier, steps)
    trees = n // width
    finished: list[Candidate] = []
    opened: list[Candidate] = []
    stems: list[Candidate] = []
    for depth in range(steps):
        if depth == 0:
            (drawn,) = await search.grow([None], trees * width)
            groups = [drawn[i::trees] for i in range(trees)]  # also a short draw gives to every subtree
        else:
            groups = await search.grow(stems, width)
        groups = await search.score_groups(groups)
        finished += [c for group in groups for c in group if is_over(c)]
        leaders = [best_of(group, 1)[0] for group in groups if group]
        stems = [c for c in leaders if not is_over(c)]
        opened = stems or opened
        if not stems:
            break
    return await search.answer(finished, opened)
