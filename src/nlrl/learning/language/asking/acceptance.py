"""When a candidate may take over: paired on the same problems, and better by more than luck.

found = compare(values_of(candidate), values_of(incumbent))
holds(found, confidence=0.9)                # 7 wins against 2 losses hold, 3 against 1 do not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from nlrl.evaluation.intervals import gain_interval

_EXACT, _FLIPS = 12, 20_000


class Comparison(msgspec.Struct, frozen=True):
    """A candidate beside another policy on the same problems.

    difference, low, high  mean of the paired differences, with its 95 % interval
    wins, losses           problems where the candidate is better, and worse
    p                      of the one-sided flip test of "not better"
    """

    problems: int
    candidate: float
    other: float
    difference: float
    low: float
    high: float
    wins: int
    losses: int
    p: float


def compare(candidate: Mapping[str, float], other: Mapping[str, float]) -> Comparison | None:
    """Two policies on the problems that could be judged for both; None if there is none."""
    both = [p for p in candidate if p in other]
    if not both:
        return None
    a, b = [candidate[p] for p in both], [other[p] for p in both]
    wins, losses = sum(x > y for x, y in zip(a, b, strict=True)), sum(x < y for x, y in zip(a, b, strict=True))
    gap = gain_interval(a, b)
    p = flip_test([x - y for x, y in zip(a, b, strict=True)])
    return Comparison(len(both), sum(a) / len(a), sum(b) / len(b), gap.mean, gap.low, gap.high, wins, losses, p)


def flip_test(differences: Sequence[float]) -> float:
    """The chance of at least such a mean difference if each one's sign were as likely the other way round: one-sided
    (Fisher 1935, section 21). Exact for few differences, else by 20,000 flips. Of wins and losses of equal size it is
    the sign test; zeros do not count.
    """
    sizes = np.abs([d for d in differences if d])
    n, total = len(sizes), sum(differences)
    if n <= _EXACT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(signs @ sizes >= total - 1e-9)) if n else 1.0
    signs = 1 - 2 * np.random.default_rng(0).integers(2, size=(_FLIPS, n))
    return float((1 + np.count_nonzero(signs @ sizes >= total - 1e-9)) / (1 + _FLIPS))


def holds(comparison: Comparison, confidence: float) -> bool:
    """Whether a candidate is better by more than luck."""
    return comparison.difference > 0 and comparison.p <= 1 - confidence
