"""Ridge logistic regression and monotone calibration: small enough to be read in a policy file.

    line = fit_logistic(features, share_right)       # labels may be shares in [0, 1]
    line.chance([0.75, 0.4])                         # 0.62

Everything a policy learns is one of these two, so a policy can be applied without any library, and read by people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import ArrayLike

_STEPS = 50  # Newton's method needs 5 to 10


class Logistic(msgspec.Struct, frozen=True):
    """P(right) = 1 / (1 + exp(-(bias + sum of weight * (x - mean) / scale)))."""

    bias: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[Annotated[float, msgspec.Meta(gt=0)], ...]

    def chance(self, x: Sequence[float]) -> float:
        """The chance for one row of features. Raises ValueError for a row of another length."""
        z = self.bias
        for value, weight, mean, scale in zip(x, self.weights, self.means, self.scales, strict=True):
            z += weight * (value - mean) / scale
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def fit_logistic(x: ArrayLike, y: ArrayLike, *, ridge: float = 1.0) -> Logistic:
    """Newton's method with a penalty of `ridge` on the standardised weights, none on the bias.

    x  rows x features, finite
    y  one label per row in [0, 1]; shares are fine

    All labels equal (or no rows) gives a bias near that label and weights of zero.
    """
    table = np.asarray(x, dtype=np.float64)
    labels = np.asarray(y, dtype=np.float64)
    if table.ndim != 2 or labels.shape != (len(table),):
        raise ValueError(f"expected rows x features and one label a row, got {table.shape} and {labels.shape}")
    if not (np.isfinite(table).all() and np.isfinite(labels).all()):
        raise ValueError("features and labels must be finite")
    means = table.mean(axis=0) if len(table) else np.zeros(table.shape[1])
    spread = table.std(axis=0) if len(table) else np.ones(table.shape[1])
    scales = np.where(spread > 1e-12, spread, 1.0)
    design = np.column_stack([np.ones(len(table)), (table - means) / scales])
    penalty = np.diag([1e-3, *[ridge] * table.shape[1]])  # a touch on the bias keeps all-right sets finite
    beta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        slope = design.T @ (labels - chance) - penalty @ beta
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        beta = np.clip(beta + step, -30, 30)
        if np.abs(step).max() < 1e-8:
            break
    return Logistic(float(beta[0]), *(tuple(map(float, v)) for v in (beta[1:], means, scales)))


class Staircase(msgspec.Struct, frozen=True):
    """A rising function by its knots, linear between them and flat outside."""

    at: tuple[float, ...]
    value: tuple[float, ...]

    def __call__(self, x: float) -> float:
        """The value at x; x itself where nothing was learned."""
        return float(np.interp(x, self.at, self.value)) if self.at else x


def fit_staircase(x: ArrayLike, y: ArrayLike, *, least: int = 8) -> Staircase:
    """Isotonic regression of y on x by pooling adjacent violators (Barlow et al. 1972; for probabilities Zadrozny and
    Elkan 2002). Blocks hold at least `least` rows, and are shrunk towards the mean of all by two rows' worth, so that
    a few lucky rows do not promise certainty. No rows give the identity.
    """
    order = np.argsort(np.asarray(x, dtype=np.float64), kind="stable")
    xs, ys = np.asarray(x, dtype=np.float64)[order], np.asarray(y, dtype=np.float64)[order]
    if not len(xs):
        return Staircase((), ())
    blocks: list[list[float]] = []  # [sum of x, sum of y, rows]
    for start in range(0, len(xs), least):
        part = slice(start, start + least)
        blocks.append([float(xs[part].sum()), float(ys[part].sum()), float(len(xs[part]))])
        if len(blocks) > 1 and blocks[-1][2] < least:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    mean = float(ys.mean())
    at = tuple(b[0] / b[2] for b in blocks)
    return Staircase(at, tuple((b[1] + 2 * mean) / (b[2] + 2) for b in blocks))
