"""Sequential revisions, side by side (Snell et al. 2024, 2408.03314, section 6; Qu et al. 2024, 2407.18219)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, UserError
from nlrl.strategies._revising import attempt_each, revision_prompt
from nlrl.strategies.best_of_n import sampling_for
from nlrl.strategies.selection import check_selection, select_answer, worth
from nlrl.strategies.step_scores import check_aggregate, score_steps
from nlrl.strategies.voting import count_votes


async def revisions(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 16,
    ratio: float = 1.0,
    chains: int | None = None,
    select: str = "weighted",
    aggregate: str = "last",
    verifier: str = "default",
) -> Answer:
    """Draw n attempts as several chains side by side, in each of which an attempt sees the last four and revises them.

    `ratio` is the sequential-to-parallel ratio: the length of the chains over their number (0.25 for n=16 is 8 chains
    of 2; 16 is one of 16); `chains` sets the number itself. The last revision is no better than any other, because a
    good third of right answers are revised to wrong ones: so the best answer is chosen within every chain, and then
    among the chains. `select=weighted` weighs by the verifier's scores, `majority` counts votes and asks no verifier,
    `best` takes the highest score.

    One unit of n buys one attempt; longer chains cost latency and carry their history in the prompt, more chains
    widen the search. Long chains pay on easy problems, a balance on hard ones (Snell et al. 2024, section 6.2). Fails
    with models that only repeat themselves, or give in to the doubt in the prompt: without training for revisions,
    small ones do both.
    """
    check_selection(select)
    check_aggregate(aggregate)
    shape = Shape.of(n, ratio, chains)
    judge = None if select == "majority" else compute.verifier(verifier)
    sampling = sampling_for(judge, problem, compute) if judge else None
    prompt = compute.prompt(problem)
    lines: list[list[Candidate]] = [[] for _ in range(shape.chains)]
    for _ in range(shape.length):
        prompts = [revision_prompt(prompt, line) for line in lines]
        drawn = await attempt_each(problem, compute, prompts, [line[-1:] for line in lines], sampling)
        fresh = [c for c in drawn if c is not None]
        scored = iter(await score_steps(problem, compute, fresh, judge, aggregate) if judge else fresh)
        for line, candidate in zip(lines, drawn, strict=True):
            line += [next(scored)] if candidate is not None else []
        if compute.stopped:
            break
    best, share = await select_hierarchically(problem, lines, select)
    best = best or next((c for line in lines for c in line), None)  # without an answer, still a text
    return compute.answer(best, confidence=share)


@dataclass(frozen=True, slots=True)
class Shape:
    """`chains` chains of `length` attempts each."""

    chains: int
    length: int

    @classmethod
    def of(cls, n: int, ratio: float, chains: int | None = None) -> Shape:
        """The shape with n attempts in all whose length / chains is nearest to `ratio`, as a factor.

        Raises UserError for a ratio that is not positive, or chains that do not divide n.
        """
        if chains is not None:
            if isinstance(chains, bool) or not isinstance(chains, int) or not 1 <= chains <= n or n % chains:
                raise UserError(f"revisions: chains must be a whole number that divides n={n}, got {chains!r}.")
            return cls(chains, n // chains)
        if not 0 < ratio < float("inf"):
            raise UserError(f"revisions: ratio must be a number above 0, got {ratio!r}.")
        ideal = sqrt(n / ratio)
        fitting = min((d for d in range(1, n + 1) if n % d == 0), key=lambda d: abs(log(d / ideal)))
        return cls(fitting, n // fitting)


async def select_hierarchically(
    problem: Problem, lines: Sequence[Sequence[Candidate]], select: str
) -> tuple[Candidate | None, float | None]:
    """The best of every chain, then the best of those; and its part of all weight.

    Each chain speaks for one answer, with the weight that the answer has in the chain: its share of the chain's
    votes, or the scores of the attempts that reached it over the chain's length.
    """
    spokesmen: list[Candidate] = []
    weights: list[float] = []
    for line in lines:
        chosen = await select_answer(problem, line, select)
        if chosen.best is None or chosen.best.answer is None:
            continue
        whole = len(line) if select == "majority" else sum(map(worth, line))
        spokesmen.append(chosen.best)
        weights.append((chosen.share or 0.0) * whole / len(line))
    if select == "best":
        final = await select_answer(problem, spokesmen, "best")
        return final.best, final.share
    vote = await count_votes(problem, spokesmen, weights)
    return vote.leader, vote.share if sum(weights) > 0 else None
