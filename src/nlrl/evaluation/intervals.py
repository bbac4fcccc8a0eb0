"""How sure a mean over problems is: one interval for accuracies and paired gains, by problem or by cluster.

    >>> mean_interval([1, 0, 1, 1] * 5)
    Interval(mean=0.75, low=0.525..., high=0.898...)
    >>> gain_interval([1, 1, 1, 1], [1, 0, 1, 0])
    Interval(mean=0.5, low=-0.328..., high=0.907...)

Every mean which the data, reweighted, could have without becoming too unlikely lies inside: the empirical likelihood of
Owen (1988). For plain 0/1 it is the binomial likelihood interval, about as wide as Wilson's; for shares and differences
it follows their own spread and skew; one rule for all. By itself it has no width where all values are equal, so a
fraction of a problem is added at each end of what is possible (0 and 1, or -1 and 1). Its coverage, beside Wilson's,
Clopper's and Pearson's, is measured by benchmarks/coverage.py and told in docs/explanation/intervals.md.

Problems are what varies from one benchmark to the next, never attempts. Where problems come in groups (variants of one
exercise, questions on one text), the groups are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEAST_GROUPS = 8  # below, no interval: the spread between so few clusters is not known (Cameron and Miller 2015)
# Small samples: the likelihood ratio is compared with chi-square after Bartlett's division by 1 + b/n. For a mean b is
# between .5 (fair coins) and 1.5 (a normal) (DiCiccio, Hall and Romano 1991); 1.25 was best in simulations of the kinds
# that coverage.py draws.
_BARTLETT = 1.25
_STEPS = 36  # of bisection over 37 units of a logarithm: ends are good to 1e-9 of the range
_NAN = float("nan")


class Interval(NamedTuple):
    """A mean and its interval. The ends are NaN where there is no telling; all three where there was nothing."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is larger than its interval."""
        return self.low > 0 or self.high < 0

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return math.isfinite(self.low) and math.isfinite(self.high)


class Scale(NamedTuple):
    """What values are possible, and how many problems are added at each end of it.

    The weights were best in simulations of the kinds that coverage.py draws: a third is the offset of medians of shares
    (Tukey 1962), and a fifth agrees with Tango's score interval on pairs of 0/1.
    """

    low: float
    high: float
    weight: float


SHARE = Scale(0.0, 1.0, 1 / 3)
GAIN = Scale(-1.0, 1.0, 1 / 5)


def intervals(
    values: ArrayLike, *, scale: Scale | None = SHARE, groups: Sequence[str] | None = None, level: float = 0.95
) -> list[Interval]:
    """Intervals of the column means of `values` (problems x columns), each column by itself.

    scale   what is possible: SHARE, GAIN, or None for values without known ends (returns, prices), which are taken to
            reach beyond the data on either side by half of what these span
    groups  the cluster of each problem, "" for one that stands alone; with fewer than LEAST_GROUPS clusters the
            ends are NaN

    Raises ValueError for values outside the scale, which a wrong scale would hide.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    table = _checked(values, scale)
    if len(table) == 0:
        return [Interval(_NAN, _NAN, _NAN)] * table.shape[1]
    means = table.mean(axis=0)
    units = _units(table, groups)
    if units is None:
        return [Interval(float(m), _NAN, _NAN) for m in means]
    reach = NormalDist().inv_cdf((1 + level) / 2) ** 2 / 2 * (1 + _BARTLETT / len(units))
    turn = scale.low + scale.high if scale else 0.0  # the highest mean is the lowest of the mirror image
    low, high = np.split(_lowest(np.hstack([units, turn - units]), scale, reach), 2)
    high = turn - high
    if scale:
        low, high = np.maximum(low, scale.low), np.minimum(high, scale.high)
    low, high = np.minimum(low, means), np.maximum(high, means)
    return [Interval(*map(float, ends)) for ends in zip(means, low, high, strict=True)]


def mean_interval(
    values: ArrayLike, *, scale: Scale | None = SHARE, groups: Sequence[str] | None = None, level: float = 0.95
) -> Interval:
    """The mean of one value per problem, such as an accuracy."""
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    return intervals(column, scale=scale, groups=groups, level=level)[0]


def gain_interval(a: ArrayLike, b: ArrayLike, *, groups: Sequence[str] | None = None, level: float = 0.95) -> Interval:
    """Mean of a - b, shares of the same problems in the same order: the difficulty that they have in common cancels."""
    return mean_interval(_paired(a, b), scale=GAIN, groups=groups, level=level)


def gain_chance(a: ArrayLike, b: ArrayLike, *, groups: Sequence[str] | None = None) -> float:
    """Chance of a difference at least as large, either way, if on the average there were none.

    Below 0.05 exactly where the 95 % `gain_interval` excludes zero; 1 where there is no interval.
    """
    table = _checked(_paired(a, b).reshape(-1, 1), GAIN)
    units = _units(table, groups) if len(table) else None
    if units is None:
        return 1.0
    points, weights, low, span = _with_ends(units, GAIN)
    aim = (0.0 - low) / span
    if aim[0] > np.average(points[:, 0], weights=weights):
        points, aim = 1 - points, 1 - aim
    (_, gap) = _tilted(points, weights, _bisect(lambda e: _tilted(points, weights, e)[0] < aim, 1))
    root = math.sqrt(max(2 * float(gap[0]) / (1 + _BARTLETT / len(units)), 0.0))
    return 2 * (1 - NormalDist().cdf(root))


def beyond_luck(chances: Sequence[float], *, level: float = 0.95) -> list[bool]:
    """Which of several differences hold, with a chance of at most 1 - level that any without a true one is among them.

    (Holm 1979: the smallest chance is compared with (1 - level) / m, the next with (1 - level) / (m - 1), until one
    fails. It needs nothing about how the differences hang together.)
    """
    held = [False] * len(chances)
    for rank, i in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        if not chances[i] <= (1 - level) / (len(chances) - rank):
            break
        held[i] = True
    return held


def clusters_of(groups: Sequence[str]) -> NDArray[np.int64]:
    """The number of each problem's cluster, from 0: a group, or itself where it has no name of one."""
    numbers: dict[tuple[str, int], int] = {}
    keys = [(group, -1 if group else i) for i, group in enumerate(groups)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _paired(a: ArrayLike, b: ArrayLike) -> Floats:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values need the same problems: {first.shape} against {second.shape}")
    return first - second


def _checked(values: ArrayLike, scale: Scale | None) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"expected problems x columns, got {table.ndim} dimensions")
    if scale and table.size and not (table.min() >= scale.low - 1e-9 and table.max() <= scale.high + 1e-9):
        raise ValueError(
            f"values must lie in [{scale.low:g}, {scale.high:g}], got {table.min():g} to {table.max():g}; "
            "differences need scale=GAIN, and what has no ends scale=None"
        )
    return table


def _units(table: Floats, groups: Sequence[str] | None) -> Floats | None:
    """What is independent: the problems; or one value per cluster, whose mean is that of the problems and whose spread
    is that of a ratio estimator (Cochran 1977, section 9A.3). None for too few clusters."""
    if groups is None or not any(groups):
        return table
    if len(groups) != len(table):
        raise ValueError(f"one group per problem: {len(groups)} against {len(table)}")
    place = clusters_of(groups)
    if place.max() + 1 < LEAST_GROUPS:
        return None
    sizes = np.bincount(place).astype(np.float64)[:, None]
    mean = table.mean(axis=0)
    sums = np.zeros((len(sizes), table.shape[1]))
    np.add.at(sums, place, table)
    return mean + (sums - sizes * mean) / sizes.mean()


def _lowest(units: Floats, scale: Scale | None, reach: float) -> Floats:
    """The lowest mean of each column whose likelihood ratio is within `reach`; NaN where nothing varies."""
    points, weights, low, span = _with_ends(units, scale)
    loose = _bisect(lambda e: _tilted(points, weights, e)[1] > reach, points.shape[1])
    mean, _ = _tilted(points, weights, loose)
    return np.where(span > 0, low + span * mean, _NAN)


def _with_ends(units: Floats, scale: Scale | None) -> tuple[Floats, Floats, Floats, Floats]:
    """The units and the two ends, as shares of the way between the outermost points; their weights; where that way
    begins, and how long it is."""
    low, high = units.min(axis=0), units.max(axis=0)
    if scale is None:
        low, high, weight = low - (high - low) / 2, high + (high - low) / 2, SHARE.weight
    else:  # values of unequal clusters may lie a little outside
        low, high, weight = np.minimum(low, scale.low), np.maximum(high, scale.high), scale.weight
    span = high - low
    points = (np.vstack([units, low, high]) - low) / np.where(span > 0, span, 1.0)
    return points, np.concatenate([np.ones(len(units)), [weight, weight]]), low, span


def _tilted(points: Floats, weights: Floats, looseness: Floats) -> tuple[Floats, Floats]:
    """Mean of each column when weight moves towards its lowest point, and how much likelihood that costs.

    Of all reweightings with that mean the one that costs least is proportional to w / (x - a), with a below the lowest
    point (Owen 2001, section 2.9); looseness is their distance: near 0 all weight lies on the lowest point.
    """
    shares = weights[:, None] / (points + looseness)
    shares /= shares.sum(axis=0)
    plain = weights / weights.sum()
    return (shares * points).sum(axis=0), -(weights[:, None] * np.log(shares / plain[:, None])).sum(axis=0)


def _bisect(too_far: Callable[[Floats], NDArray[np.bool_]], columns: int) -> Floats:
    """The smallest looseness of each column that is not too far."""
    least, most = np.full(columns, -25.0), np.full(columns, 12.0)
    for _ in range(_STEPS):
        middle = (least + most) / 2
        far = too_far(np.exp(middle))
        least, most = np.where(far, middle, least), np.where(far, most, middle)
    return np.exp(most)


class Bin(NamedTuple):
    """One bar of a reliability diagram."""

    low: float
    high: float
    size: int
    confidence: float
    accuracy: float


def reliability(confidence: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> list[Bin]:
    """Stated confidence against accuracy in `bins` bins of equal width; empty bins are left out."""
    stated = np.asarray(confidence, dtype=np.float64)
    good = np.asarray(right, dtype=np.float64)
    if stated.shape != good.shape:
        raise ValueError(f"one verdict per confidence: {stated.shape} against {good.shape}")
    if stated.size and not (np.isfinite(stated).all() and stated.min() >= 0 and stated.max() <= 1):
        raise ValueError("confidences must lie in [0, 1]")
    place = np.minimum((stated * bins).astype(int), bins - 1)
    found = []
    for i in range(bins):
        here = place == i
        if here.any():
            mean, accuracy = float(stated[here].mean()), float(good[here].mean())
            found.append(Bin(i / bins, (i + 1) / bins, int(here.sum()), mean, accuracy))
    return found


def calibration_error(confidence: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017, 1706.04599, equation 3); NaN without any confidence."""
    found = reliability(confidence, right, bins=bins)
    total = sum(b.size for b in found)
    return sum(b.size * abs(b.confidence - b.accuracy) for b in found) / total if total else float("nan")
