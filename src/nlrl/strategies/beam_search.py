"""Beam search against a process reward model (Snell et al. 2024, 2408.03314, section 5.2; Yao et al. 2023)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem
from nlrl.strategies._step_search import (
    Stem,
    StepSearch,
    after_the_round,
    best_of,
    check_width,
    distinct,
    is_over,
)


async def beam_search(
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
    """Draw n first steps, keep the n / width best, continue each of them `width` ways, until n texts are finished.

    A step is a line. Texts are scored as far as they are by a process reward model (`aggregate` makes one number of
    its step scores), and the answer is chosen among the finished ones (`select`: weighted, best, majority). A text
    that is over stays as a finished candidate whatever its score, because a weighted vote forgives what a sharp cut
    does not. It competes no longer, so its place is free for the next best open text; but the rounds grow narrower by
    it, so that at most n texts are ever finished and the vote is as large as that of best_of_n(n). Equal open texts
    are one beam.

    One unit of n buys one more text in every round: at most n steps a round, up to `steps` rounds in sequence. Fails
    when the reward model is weak: search finds what it likes wrongly, above all on easy problems and at large n
    (Snell et al. 2024, section 5.3). Needs a model that can prefill.
    """
    search = StepSearch(problem, compute, aggregate, select, verifier, steps)
    return await search_beams(search, n, width)


async def search_beams(search: StepSearch, n: int, width: int, lookahead: int = 0) -> Answer:
    """Beam search; with `lookahead`, a text has the score of its greedy continuation by so many steps."""
    check_width("beam search", n, width)
    finished: list[Candidate] = []
    opened: list[Candidate] = []
    stems: list[Stem] = [None]
    for depth in range(search.steps):
        missing = n - len(finished)
        grown = await search.grow(stems, min(width, missing) if depth else n, rollout=lookahead)
        texts = [c for siblings in grown for c in siblings]
        scored = await (search.look(texts, lookahead) if lookahead else search.score(texts))
        finished += [c for c in scored if is_over(c)]
        rivals = distinct(c for c in scored if not is_over(c))
        opened = rivals or opened
        places = max(1, (n - len(finished)) // width)
        stems = [*after_the_round(best_of(rivals, places), search.compute)]
        if not stems or len(finished) >= n:
            break
    return await search.answer(finished, opened)
