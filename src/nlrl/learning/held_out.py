"""How good are predictions of soft labels? AUC, Brier score, calibration.

A label of 0.75 counts as three quarters of a right step and one quarter of a wrong one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

BINS = 10
FOLDS = 5


def folds_of(groups: Sequence[str], seed: int, folds: int = FOLDS) -> list[int]:
    """A fold for each row; the rows of one problem are in one fold."""
    names = sorted(set(groups))
    random.Random(seed).shuffle(names)
    fold = {name: i % min(folds, len(names)) for i, name in enumerate(names)}
    return [fold[name] for name in groups]


def auc(predictions: Sequence[float], labels: Sequence[float]) -> float | None:
    """The chance that a right step is ranked above a wrong one (ties count half); None without both kinds."""
    import numpy as np

    p, y = np.asarray(predictions, dtype=float), np.asarray(labels, dtype=float)
    right, wrong = y.sum(), (1 - y).sum()
    if not len(p) or right <= 0 or wrong <= 0:
        return None
    values, at = np.unique(p, return_inverse=True)
    rights = np.bincount(at, weights=y, minlength=len(values))
    wrongs = np.bincount(at, weights=1 - y, minlength=len(values))
    below = np.concatenate([[0.0], np.cumsum(wrongs)[:-1]])
    return float((rights * (below + wrongs / 2)).sum() / (right * wrong))


def brier(predictions: Sequence[float], labels: Sequence[float]) -> float:
    """Mean squared distance between prediction and label; smaller is better."""
    return sum((p - y) ** 2 for p, y in zip(predictions, labels, strict=True)) / len(labels)


def calibration(predictions: Sequence[float], labels: Sequence[float], bins: int = BINS) -> list[dict[str, Any]]:
    """By equal stretches of the prediction: how many steps, what was predicted and what came true on average."""
    rows = []
    for b in range(bins):
        held = [(p, y) for p, y in zip(predictions, labels, strict=True) if min(int(p * bins), bins - 1) == b]
        if held:
            rows.append(
                {
                    "from": b / bins,
                    "to": (b + 1) / bins,
                    "steps": len(held),
                    "predicted": sum(p for p, _ in held) / len(held),
                    "observed": sum(y for _, y in held) / len(held),
                }
            )
    return rows


def calibration_error(rows: Sequence[dict[str, Any]]) -> float:
    """Expected calibration error: the mean distance between predicted and observed, by steps."""
    total = sum(row["steps"] for row in rows)
    return sum(row["steps"] * abs(row["predicted"] - row["observed"]) for row in rows) / total if total else 0.0


def measure(predictions: Sequence[float], labels: Sequence[float]) -> dict[str, Any]:
    """All of it, beside what predicting the mean label everywhere would give."""
    mean = sum(labels) / len(labels)
    rows = calibration(predictions, labels)
    return {
        "steps": len(labels),
        "mean_label": mean,
        "auc": auc(predictions, labels),
        "brier": brier(predictions, labels),
        "brier_of_mean": brier([mean] * len(labels), labels),
        "calibration_error": calibration_error(rows),
        "calibration": rows,
    }
