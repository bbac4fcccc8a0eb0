# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""Gradient-boosted trees on soft labels, fitted by scikit-learn and exported as plain data.

Every step enters twice: as a right one with the weight of its label, and as a wrong one with the rest, which makes the
log loss that of the soft label. It enters once more without its log-probabilities, so that the trees also know what to
do where a backend gives none.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nlrl.core import MissingExtra, NlrlError
from nlrl.learning.held_out import folds_of
from nlrl.verifiers.prm.features import LOGPROB_FEATURES, TEXT_FEATURES
from nlrl.verifiers.prm.trees import PRMFile, TreeData, forest_of

if TYPE_CHECKING:
    import numpy as np

# Small and slow to learn: a few hundred to a few thousand noisy labels are what a laptop makes in minutes.
SETTINGS = {"learning_rate": 0.08, "max_iter": 100, "max_leaf_nodes": 8, "l2_regularization": 1.0}
_INNER_FOLDS = 3  # by problem; they choose how many trees are kept
_BLIND_WEIGHT = 0.5  # of the copy without log-probabilities


def require_sklearn() -> str:
    """The version of scikit-learn. Raises MissingExtra."""
    try:
        return str(importlib.import_module("sklearn").__version__)
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise MissingExtra("scikit-learn", "learn", "Training a reward model") from error


def fit_trees(
    rows: Sequence[Sequence[float]], labels: Sequence[float], groups: Sequence[str], seed: int = 0
) -> tuple[float, list[TreeData]]:
    """The baseline in log-odds and the trees: as many as predict unseen groups best, which may be none."""
    trees = _best_count(rows, labels, groups, seed)
    if trees == 0:
        mean = sum(labels) / len(labels)
        return math.log(mean / (1 - mean)), []
    return _fit(rows, labels, seed, trees)


def _best_count(rows: Sequence[Sequence[float]], labels: Sequence[float], groups: Sequence[str], seed: int) -> int:
    """How many trees have the least log loss on groups that they did not see."""
    import numpy as np

    x, y = np.asarray(rows, dtype=float), np.asarray(labels, dtype=float)
    fold = np.asarray(folds_of(groups, seed + 1, _INNER_FOLDS))
    loss = np.zeros(int(SETTINGS["max_iter"]) + 1)
    for held in set(fold.tolist()):
        seen = fold != held
        if not 0 < y[seen].sum() < seen.sum():
            continue
        baseline, trees = _fit(x[seen], y[seen], seed, int(SETTINGS["max_iter"]))
        forest = forest_of(PRMFile("", 0, "trees", {}, {}, baseline=baseline, trees=trees))
        added = np.cumsum(forest.contributions(x[~seen]), axis=1)
        logits = baseline + np.concatenate([np.zeros((len(added), 1)), added], axis=1)
        truth = y[~seen][:, None]
        loss += (np.logaddexp(0, -logits) * truth + np.logaddexp(0, logits) * (1 - truth)).sum(axis=0)
    return int(loss.argmin())


def _fit(
    rows: Sequence[Sequence[float]] | np.ndarray, labels: Sequence[float] | np.ndarray, seed: int, trees: int
) -> tuple[float, list[TreeData]]:
    """So many trees, checked to predict what scikit-learn's own estimator does."""
    import numpy as np

    require_sklearn()
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    x, y, weight = _doubled(np.asarray(rows, dtype=float), np.asarray(labels, dtype=float))
    leaf = max(5, min(20, len(rows) // 20))
    options: dict[str, Any] = {
        "min_samples_leaf": leaf,
        "early_stopping": False,
        "random_state": seed,
        **SETTINGS,
        "max_iter": trees,
    }
    estimator = HistGradientBoostingClassifier(**options)
    with threadpool_limits(1):  # so little data is slower on many threads, and far slower on a busy machine
        estimator.fit(x, y, sample_weight=weight)
    baseline = float(np.ravel(estimator._baseline_prediction)[0])
    made = [_exported(stage[0].nodes) for stage in estimator._predictors]
    file = PRMFile("", 0, "trees", {}, {}, baseline=baseline, trees=made)
    sample = np.asarray(rows[:500], dtype=float)
    with threadpool_limits(1):
        ours, theirs = forest_of(file).probabilities(sample), estimator.predict_proba(sample)[:, 1]
    if not np.allclose(ours, theirs, atol=1e-9):
        raise NlrlError(
            f"The trees disagree with scikit-learn {require_sklearn()} by {np.max(np.abs(ours - theirs)):.3g}. "
            "This version stores its trees in another way; install another one (1.4 to 1.9 are known to work)."
        )
    return baseline, made


def _doubled(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, hard labels and weights."""
    import numpy as np

    weight = np.ones(len(y))
    sure = slice(len(TEXT_FEATURES), len(TEXT_FEATURES) + len(LOGPROB_FEATURES))
    seeing = ~np.isnan(x[:, sure]).all(axis=1)
    if seeing.any():
        blind = x[seeing].copy()
        blind[:, sure] = math.nan
        x, y = np.concatenate([x, blind]), np.concatenate([y, y[seeing]])
        weight = np.concatenate([weight, np.full(len(blind), _BLIND_WEIGHT)])
    both = np.concatenate([x, x])
    hard = np.concatenate([np.ones(len(y), int), np.zeros(len(y), int)])
    weights = np.concatenate([y * weight, (1 - y) * weight])
    both[:, np.isnan(both).all(axis=0)] = 0.0  # a column of which nothing is known: scikit-learn wants some value
    kept = weights > 0
    return both[kept], hard[kept], weights[kept]


def _exported(nodes: Any) -> TreeData:
    """One tree of scikit-learn's as columns."""
    import numpy as np

    leaf = nodes["is_leaf"].astype(bool)
    threshold = nodes["num_threshold"]
    return TreeData(
        feature=[-1 if end else int(f) for end, f in zip(leaf, nodes["feature_idx"], strict=True)],
        threshold=[None if end or not np.isfinite(t) else float(t) for end, t in zip(leaf, threshold, strict=True)],
        missing_left=[bool(m) for m in nodes["missing_go_to_left"]],
        left=[0 if end else int(i) for end, i in zip(leaf, nodes["left"], strict=True)],
        right=[0 if end else int(i) for end, i in zip(leaf, nodes["right"], strict=True)],
        value=[float(v) if end else 0.0 for end, v in zip(leaf, nodes["value"], strict=True)],
    )
