"""Offline: from measured accuracy against tokens per bin, who gets how much of a total budget.

    curves = [Curve("easy", 40, ((100, 0.9), (400, 0.92))), Curve("hard", 60, ((100, 0.2), (400, 0.5)))]
    plan = allocate(curves, total_tokens=25_000)
    plan.given[1]           # Given(curve='hard', counts=((100, 8), (400, 52)), tokens=21600, right=27.6)

Of each curve only the upper concave hull can be optimal. Every step along a hull has a slope, accuracy per token, and
the steepest steps come first: the Lagrangian solution of Everett (1963), whose multiplier is the slope at which the
money ran out. Problems of one bin are whole, so the plan may fall short of the optimum by less than the gain of one
step of one problem, and `bound` says what no plan can pass.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nlrl.core import UserError


@dataclass(frozen=True)
class Curve:
    """What was measured in one bin, or for one problem.

    size    number of problems in the bin
    points  (tokens per problem, accuracy) of each setting, in any order. Spending nothing is always possible, and
            then nothing is right
    """

    name: str
    size: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Given:
    """How the problems of one bin are split over settings: `counts` holds (tokens of the setting, problems).

    tokens  in all
    right   expected number of right answers
    """

    curve: str
    counts: tuple[tuple[float, int], ...]
    tokens: float
    right: float


@dataclass(frozen=True)
class Allocation:
    """The plan.

    multiplier  accuracy per token of the first step that did not fit: what a token more is worth; 0 if all fitted
    bound       expected right answers if problems could be split, which no plan under this total can pass
    """

    given: tuple[Given, ...]
    tokens: float
    right: float
    multiplier: float
    bound: float


def allocate(curves: Sequence[Curve], total_tokens: float) -> Allocation:
    """Spend at most `total_tokens` on all problems of all curves, by steepest gain.

    Raises UserError for no curves, NaN or impossible numbers, or a total below zero.
    """
    if not curves:
        raise UserError("There is nothing to allocate to: give at least one curve.")
    if not (math.isfinite(total_tokens) and total_tokens >= 0):
        raise UserError(f"The total must be a number of tokens, zero or more; got {total_tokens!r}.")
    hulls = [upper_hull(_checked(c)) for c in curves]
    steps = []  # (-slope, curve, step), steepest first
    for i, hull in enumerate(hulls):
        for k in range(1, len(hull)):
            tokens, gain = hull[k][0] - hull[k - 1][0], hull[k][1] - hull[k - 1][1]
            steps.append((-gain / tokens if tokens > 0 else -math.inf, i, k))
    steps.sort()
    counts = [[c.size] + [0] * (len(h) - 1) for c, h in zip(curves, hulls, strict=True)]
    left = float(total_tokens)
    right, multiplier, bound, free = 0.0, 0.0, 0.0, True
    for slope, i, k in steps:
        tokens, gain = hulls[i][k][0] - hulls[i][k - 1][0], hulls[i][k][1] - hulls[i][k - 1][1]
        ready = counts[i][k - 1]
        fits = ready if tokens <= 0 else min(ready, int(left / tokens + 1e-12))
        while fits and fits * tokens > left:  # the quotient was rounded up
            fits -= 1
        counts[i][k - 1] -= fits
        counts[i][k] += fits
        if free:
            bound += fits * gain
        left -= fits * tokens
        right += fits * gain
        if fits < curves[i].size and free:
            multiplier, free = -slope, False
            bound += left * -slope if tokens > 0 else 0.0
    given = tuple(_given(c, h, n) for c, h, n in zip(curves, hulls, counts, strict=True))
    return Allocation(given, sum(g.tokens for g in given), right, multiplier, max(bound, right))


def _given(curve: Curve, hull: Sequence[tuple[float, float]], counts: Sequence[int]) -> Given:
    used = [(hull[k], n) for k, n in enumerate(counts) if n]
    return Given(
        curve.name,
        tuple((point[0], n) for point, n in used),
        sum(point[0] * n for point, n in used),
        sum(point[1] * n for point, n in used),
    )


def upper_hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of the upper concave hull of (tokens, accuracy) from (0, 0) to the best point, cheapest first."""
    hull: list[tuple[float, float]] = [(0.0, 0.0)]
    for tokens, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if accuracy <= hull[-1][1]:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], (tokens, accuracy)):
            hull.pop()
        hull.append((tokens, accuracy))
    return hull


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0]) if b[0] > a[0] else math.inf


def _checked(curve: Curve) -> tuple[tuple[float, float], ...]:
    if curve.size < 1:
        raise UserError(f"The curve {curve.name!r} must stand for at least one problem; got {curve.size}.")
    if not curve.points:
        raise UserError(f"The curve {curve.name!r} has no points; measure at least one setting.")
    for tokens, accuracy in curve.points:
        if not (math.isfinite(tokens) and tokens >= 0):
            raise UserError(f"The curve {curve.name!r} has {tokens!r} tokens; they must be numbers, zero or more.")
        if not (math.isfinite(accuracy) and 0 <= accuracy <= 1):
            raise UserError(
                f"The curve {curve.name!r} has the accuracy {accuracy!r} at {tokens:g} tokens; it must lie in [0, 1]. "
                "Leave out settings that could not be judged."
            )
    return curve.points


def curves_of(right: ArrayLike, tokens: ArrayLike, bins: Sequence[Hashable]) -> list[Curve]:
    """Mean curves per bin from tables of settings x problems; problems that no one could judge (NaN) are left out.

    bins  the bin of each problem; curves come in order of first appearance

    Raises UserError for tables of different shapes, or a bin in which nothing could be judged.
    """
    good, cost = np.asarray(right, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    if good.ndim != 2 or good.shape != cost.shape or good.shape[1] != len(bins):
        raise UserError(
            f"Expected two tables of settings x problems and a bin per problem; got {good.shape}, {cost.shape} "
            f"and {len(bins)} bins."
        )
    names = list(dict.fromkeys(bins))
    found = []
    for name in names:
        mine = np.array([b == name for b in bins])
        judged = mine & np.isfinite(good).all(axis=0) & np.isfinite(cost).all(axis=0)
        if not judged.any():
            raise UserError(f"No problem of the bin {name!r} could be judged; give references, or drop the bin.")
        points = zip(cost[:, judged].mean(axis=1), good[:, judged].mean(axis=1), strict=True)
        found.append(Curve(str(name), int(mine.sum()), tuple((float(t), float(a)) for t, a in points)))
    return found
