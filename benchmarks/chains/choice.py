"""The compute-optimal choice per difficulty bin, cross-validated, and how many times fewer tokens it needs.

For a price of a token, the best arm of a bin is the one with the highest accuracy less price times tokens on the
calibration fold; it is then used on the other fold. Going through the prices draws a curve of accuracy against tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
PRICES = np.concatenate([[0.0], np.geomspace(1e-6, 1e-2, 41)])  # accuracy per token
FOLDS = 2


@dataclass(frozen=True)
class Chosen:
    """Prices x problems: what the policies of all folds got on problems they were not calibrated on.

    arms  index of the arm taken
    """

    right: Floats
    tokens: Floats
    arms: Whole


def cross_validate(right: Floats, tokens: Floats, bins_of: Callable[[Whole], Whole], prior: float = 2.0) -> Chosen:
    """Choose per bin on one fold, apply on the other. Inputs are arms x problems; problems alternate between folds,
    which keeps all kinds of problems in both.

    bins_of  (calibration problems) -> bin of every problem, cut points taken from the calibration problems alone
    prior    pseudo-problems with the arm's overall mean that every bin is given, against small bins' chance
    """
    count = right.shape[1]
    fold = (np.arange(count) // 2) % FOLDS
    got = Chosen(*(np.zeros((len(PRICES), count)) for _ in range(2)), np.zeros((len(PRICES), count), np.int64))
    for f in range(FOLDS):
        known, new = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        bins = bins_of(known)
        for b in np.unique(bins):
            here, there = known[bins[known] == b], new[bins[new] == b]
            size = len(here)
            accuracy = (right[:, here].sum(1) + prior * right[:, known].mean(1)) / (size + prior)
            cost = (tokens[:, here].sum(1) + prior * tokens[:, known].mean(1)) / (size + prior)
            for i, price in enumerate(PRICES):
                arm = int(np.argmax(accuracy - price * cost))
                got.arms[i, there] = arm
                got.right[i, there] = right[arm, there]
                got.tokens[i, there] = tokens[arm, there]
    return got


def one_bin(problems: int) -> Callable[[Whole], Whole]:
    """No difficulty: with it `cross_validate` finds the best fixed strategy on one fold and uses it on the other."""
    return lambda known: np.zeros(problems, np.int64)


def quantile_bins(score: Floats, count: int) -> Callable[[Whole], Whole]:
    """Bins of equal size on the calibration problems, hardest (lowest score) first."""

    def bins_of(known: Whole) -> Whole:
        cuts = np.quantile(score[known], np.arange(1, count) / count)
        return np.searchsorted(np.unique(cuts), score, side="right")

    return bins_of


def tokens_for(accuracy: float, rights: Floats, tokens: Floats) -> float:
    """Tokens at which a curve first reaches an accuracy, on straight lines between its points; infinite if never.

    rights, tokens  the points, in any order; a point that costs more and is no better is passed over
    """
    order = np.lexsort((-rights, tokens))
    best, cost = np.maximum.accumulate(rights[order]), tokens[order]
    at = int(np.searchsorted(best, accuracy - 1e-12))
    if at == len(best):
        return float("inf")
    if at == 0 or best[at] == best[at - 1]:
        return float(cost[at])
    share = (accuracy - best[at - 1]) / (best[at] - best[at - 1])
    return float(cost[at - 1] + share * (cost[at] - cost[at - 1]))


@dataclass(frozen=True)
class Seed:
    """One seed's baseline (sizes x problems) and compute-optimal (prices x problems) outcomes."""

    base_right: Floats
    base_tokens: Floats
    right: Floats
    tokens: Floats


def ratios(seeds: Sequence[Seed], weights: Sequence[Floats] | None = None) -> Floats:
    """For every size of the baseline: its tokens by those of the compute-optimal curve at the same accuracy."""
    weights = [np.ones(s.right.shape[1]) for s in seeds] if weights is None else weights
    total = sum(w.sum() for w in weights)

    def mean(tables: Sequence[Floats]) -> Floats:
        return sum((t @ w for t, w in zip(tables, weights, strict=True)), start=np.zeros(len(tables[0]))) / total

    base_right, base_tokens = mean([s.base_right for s in seeds]), mean([s.base_tokens for s in seeds])
    right, tokens = mean([s.right for s in seeds]), mean([s.tokens for s in seeds])
    return np.array([t / tokens_for(r, right, tokens) for r, t in zip(base_right, base_tokens, strict=True)])


def ratio_intervals(seeds: Sequence[Seed], *, resamples: int = 2000, level: float = 0.95) -> tuple[Floats, Floats]:
    """Ends of percentile intervals of `ratios`: seeds are resampled, and within each its problems, baseline and
    policy always on the same ones. A resample in which the curve never reaches the accuracy counts as 0."""
    return ends(resampled(seeds, resamples), level)


def quotient_intervals(ours: Sequence[Seed], theirs: Sequence[Seed], *, resamples: int = 2000) -> tuple[Floats, Floats]:
    """Ends of intervals of `ratios(ours) / ratios(theirs)`, both on the same resamples: tokens of theirs by ours at the
    baseline's accuracies. Where theirs never gets there and ours does it is infinite; where neither does it is 1."""
    a, b = resampled(ours, resamples), resampled(theirs, resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where((a == 0) & (b == 0), 1.0, a / b)
    return ends(quotient, 0.95)


def ends(found: Floats, level: float) -> tuple[Floats, Floats]:
    """Percentiles over the first axis; by rank, so that infinities may be among them."""
    tail = (1 - level) / 2
    ranked = np.sort(found, axis=0)
    last = len(ranked) - 1
    return ranked[round(tail * last)], ranked[round((1 - tail) * last)]


def resampled(seeds: Sequence[Seed], resamples: int) -> Floats:
    """Resamples x sizes of `ratios`; the same number of seeds and problems is resampled in the same way."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(resamples):
        drawn = [seeds[i] for i in rng.integers(len(seeds), size=len(seeds))]
        counts = []
        for s in drawn:
            n = s.right.shape[1]
            counts.append(np.bincount(rng.integers(n, size=n), minlength=n).astype(float))
        found.append(ratios(drawn, counts))
    return np.array(found)
