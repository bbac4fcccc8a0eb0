"""How sure a mean over problems is: percentile bootstrap, alone and paired, and how honest a confidence is.

    >>> mean_interval([1, 0, 1, 1])
    Interval(mean=0.75, low=0.25, high=1.0)

Problems are resampled, never attempts: what varies between one run and the next benchmark is the problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000  # percentile ends are then good to about 0.2 points of coverage
_CHUNK = 4_000_000  # random numbers held at a time: 32 MB


class Interval(NamedTuple):
    """A mean and its bootstrap interval; NaN where there was nothing to average."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is larger than its interval."""
        return self.low > 0 or self.high < 0


def bootstrap(values: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """Intervals of the column means of `values` (problems x columns), all columns on the same resamples.

    (Efron and Tibshirani 1993, chapter 13.) With one problem the interval is that one value: no spread is known.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"expected problems x columns, got {table.ndim} dimensions")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    problems, columns = table.shape
    if problems == 0:
        return [Interval(float("nan"), float("nan"), float("nan"))] * columns
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // problems)
    means = np.empty((resamples, columns))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(problems, size=(rows, problems), dtype=np.int64)
        drawn += np.arange(rows)[:, None] * problems
        counts = np.bincount(drawn.ravel(), minlength=rows * problems).reshape(rows, problems)
        means[start : start + rows] = counts @ table / problems
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [Interval(*map(float, ends)) for ends in zip(table.mean(axis=0), low, high, strict=True)]


def mean_interval(values: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The mean of one value per problem."""
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    return bootstrap(column, level=level, resamples=resamples, seed=seed)[0]


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean of a - b over the same problems in the same order: the shared difficulty of the problems cancels."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values need the same problems: {first.shape} against {second.shape}")
    return mean_interval(first - second, level=level, resamples=resamples, seed=seed)


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
