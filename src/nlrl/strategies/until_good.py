"""Attempts until the verifier is satisfied: the simplest way to spend by difficulty when there is a good verifier."""

from __future__ import annotations

from collections.abc import Sequence

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Stopped, UserError
from nlrl.strategies.beam_search import beam_search
from nlrl.strategies.best_of_n import sampling_for
from nlrl.strategies.selection import select_answer, worth


async def until_good(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 16,
    width: int = 1,
    threshold: float = 0.8,
    verifier: str = "default",
) -> Answer:
    """Up to n attempts one after the other, until the verifier gives one of them at least `threshold`.

    With `width` above 1 an attempt is a greedy search: of so many next steps the best by the process reward model is
    taken (beam_search(n=width, width=width)). The answer is the weighted vote of all attempts. (Best-of-N with an early
    exit; with search inside, the cheap end of Snell et al. 2024, section 5.)

    One unit of budget buys one more attempt where none was good yet, so easy problems cost one. Fails with a verifier
    that likes wrong answers: it stops at the first of them. Attempts wait for each other, so it is slow.
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"until_good: threshold must lie between 0 and 1, got {threshold}.")
    return await go_on(problem, compute, (), n=n, width=width, threshold=threshold, verifier=verifier)


async def go_on(
    problem: Problem,
    compute: Compute,
    attempts: Sequence[Candidate],
    *,
    n: int,
    width: int,
    threshold: float,
    verifier: str = "default",
) -> Answer:
    """`until_good` after some attempts that are scored already, and count."""
    judge = compute.verifier(verifier)
    sampling = sampling_for(judge, problem, compute)
    made = [*attempts]
    good = any(worth(c) >= threshold for c in made)
    while len(made) < n and not good:
        if width == 1:
            fresh = await compute.score(problem, await compute.sample(problem, 1, sampling=sampling), judge)
        else:
            found = await beam_search(problem, compute, n=width, width=width, verifier=verifier)
            fresh = [c for c in found.candidates if c.id == found.chosen]
        if not fresh:
            break
        made += fresh
        good = worth(fresh[-1]) >= threshold
    chosen = await select_answer(problem, made, "weighted")
    return compute.answer(chosen.best, confidence=chosen.sureness, stopped=Stopped.SETTLED if good else Stopped.DONE)
