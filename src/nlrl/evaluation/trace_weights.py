"""Calibration of the umpire on recorded traces: what a trace's shape is worth, and which calls pay.

    weights = fit_trace_weights(bank.problems("aime24"), bank, "panel:aime24")
    save_weights(weights, "weights.json")          # then: umpire(thrift=0.5, weights="weights.json")

A logistic regression on shapes (`nlrl.strategies.trace_shape`) is fitted by Newton's method, its penalty and the power
of a vote chosen by cross-validation over problems. Then every call of a grid is replayed on traces that were weighed
by a model which had not seen their problem, in several random orders, and for each thrift the best call is kept.
Nothing is generated.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nlrl.bank import Bank
from nlrl.core import Problem, UserError
from nlrl.evaluation.intervals import Floats
from nlrl.evaluation.races import Race, read_races
from nlrl.evaluation.trace_calls import choose_calls
from nlrl.strategies.trace_shape import FEATURES, TraceWeights, sibling_features
from nlrl.strategies.umpire import MOST

FOLDS = 5
PENALTIES = (3.0, 30.0, 300.0)
POWERS = (1.0, 2.0, 3.0, 4.0)
_SIBLINGS = (4, 8, 16, 32)  # sizes of the groups in which training traces see each other
LEAST_PROBLEMS = 4


def fit_trace_weights(
    problems: Sequence[Problem],
    bank: Bank,
    model_name: str | Sequence[str],
    *,
    traces: int = MOST,
    orders: int = 6,
    seed: int = 0,
    calls: bool = True,
) -> TraceWeights:
    """Weights for `umpire` from recorded traces of problems with references; call it outside of an event loop.

    model_name  of the draws in the bank: "panel:NAME" for an imported panel; several are learned from together, each
                for those of the problems that it has draws of
    traces      at most so many of each problem
    orders      random orders in which each problem is replayed, fewer where there are hundreds of problems
    calls       whether to choose calls too, which takes most of the time

    Raises UserError if fewer than 4 problems have traces, or all traces are right, or all wrong.
    """
    names = [model_name] if isinstance(model_name, str) else list(model_name)
    races = [r for name in names for r in asyncio.run(read_races(problems, bank, name, traces=traces))]
    return fit_races(races, orders=orders, seed=seed, calls=calls, source=", ".join(names))


def fit_races(
    races: Sequence[Race], *, orders: int = 6, seed: int = 0, calls: bool = True, source: str = ""
) -> TraceWeights:
    """As `fit_trace_weights`, on what `read_races` gave."""
    races = [race for race in races if race.traces and race.judged]
    names = sorted({race.problem_id for race in races})
    if len(names) < LEAST_PROBLEMS:
        raise UserError(
            f"Weights need traces of at least {LEAST_PROBLEMS} problems with references, found {len(names)}."
        )
    tables = [_rows(race, np.random.default_rng([seed, i])) for i, race in enumerate(races)]
    rights = np.concatenate([y for _, y in tables])
    if not 0 < rights.mean() < 1:
        raise UserError(f"Weights need right and wrong traces; all are {'right' if rights.any() else 'wrong'}.")
    shuffled = np.random.default_rng([seed, 1]).permutation(len(names)) % min(FOLDS, len(names))
    fold_by_name = dict(zip(names, shuffled.tolist(), strict=True))  # one problem's races are never on both sides
    fold_of = np.array([fold_by_name[race.problem_id] for race in races])
    scored = [(_held_out(tables, fold_of, penalty), penalty) for penalty in PENALTIES]
    (_, area), penalty = min(scored, key=lambda found: (found[0][0], -found[1]))
    apart = {
        f: _fitted([t for t, g in zip(tables, fold_of, strict=True) if g != f], penalty) for f in set(fold_of.tolist())
    }
    power = _best_power(races, [apart[f] for f in fold_of.tolist()], seed)
    whole = replace(_fitted(tables, penalty), power=power)
    models = [replace(apart[f], power=power) for f in fold_of.tolist()]
    chosen = choose_calls(races, models, orders=orders, seed=seed) if calls else ()
    x = np.concatenate([x for x, _ in tables])
    provenance = {
        "source": source,
        "problems": len(names),
        "traces": sum(len(r.traces) for r in races),
        "right": round(float(rights.mean()), 4),
        "penalty": penalty,
        "orders": orders,
        "seed": seed,
    }
    means = {name: round(float(m), 4) for name, m in zip(FEATURES, x.mean(0), strict=True)}
    return replace(whole, calls=chosen, held_out_auc=area, means=means, provenance=provenance)


def _rows(race: Race, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Features and rightness of traces as they look among groups of siblings of several sizes."""
    x, y = [], []
    n = len(race.traces)
    for size in sorted({min(size, n) for size in (*_SIBLINGS, n)}):
        chosen = [race.traces[i] for i in rng.permutation(n)[:size]]
        sure = [float("nan") if t.shape.logprob is None else t.shape.logprob for t in chosen]
        for trace, siblings in zip(chosen, sibling_features([t.tokens for t in chosen], sure).T, strict=True):
            if trace.label >= 0:
                x.append((*trace.shape.own, *siblings))
                y.append(trace.label in race.right)
    return np.array(x, dtype=np.float64).reshape(-1, len(FEATURES)), np.array(y, dtype=np.float64)


def _fitted(tables: Sequence[tuple[Floats, Floats]], penalty: float) -> TraceWeights:
    """Ridge logistic regression by Newton's method, every problem weighing the same."""
    x = np.concatenate([t for t, _ in tables])
    y = np.concatenate([r for _, r in tables])
    heft = np.concatenate([np.full(len(r), 1 / max(len(r), 1)) for _, r in tables])
    heft *= len(y) / heft.sum()
    mean, spread = x.mean(0), x.std(0)
    spread[spread < 1e-9] = 1.0
    z = np.c_[np.ones(len(x)), (x - mean) / spread]
    ridge = penalty * np.eye(z.shape[1])
    ridge[0, 0] = 1e-6
    b = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(z @ b, -30, 30)))
        slope = z.T @ (heft * (y - p)) - ridge @ b
        bend = (z * (heft * p * (1 - p))[:, None]).T @ z + ridge
        step = np.linalg.solve(bend, slope)
        b += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    plain = b[1:] / spread
    return TraceWeights(float(b[0] - plain @ mean), {name: float(v) for name, v in zip(FEATURES, plain, strict=True)})


def _held_out(
    tables: Sequence[tuple[Floats, Floats]], fold_of: NDArray[np.int64], penalty: float
) -> tuple[float, float]:
    """Log loss and AUC of chances by models that had not seen the problem."""
    chances, right = [], []
    for fold in sorted(set(fold_of.tolist())):
        model = _fitted([t for t, f in zip(tables, fold_of, strict=True) if f != fold], penalty)
        b = np.array([model.coefficients[name] for name in FEATURES])
        for (x, y), f in zip(tables, fold_of, strict=True):
            if f == fold and len(y):
                chances.append(1 / (1 + np.exp(-np.clip(x @ b + model.intercept, -30, 30))))
                right.append(y)
    p, y = np.concatenate(chances), np.concatenate(right)
    loss = float(-np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12)))
    return loss, ranking_quality(p, y)


def ranking_quality(scores: Floats, right: Floats) -> float:
    """Area under the ROC curve: how often a right one scores above a wrong one; NaN without both."""
    good, bad = int(right.sum()), int(len(right) - right.sum())
    if not good or not bad:
        return float("nan")
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(size) - (size - 1) / 2)[place]
    return float((ranks[right > 0].sum() - good * (good + 1) / 2) / (good * bad))


def _best_power(races: Sequence[Race], models: Sequence[TraceWeights], seed: int) -> float:
    """The power whose weighted votes of 16 and of all were right most often; 2 where it makes no difference."""
    hits = dict.fromkeys(POWERS, 0.0)
    for i, (race, model) in enumerate(zip(races, models, strict=True)):
        rng = random.Random(f"{seed} {i}")
        groups = [list(race.traces)] * 8 + [rng.sample(race.traces, min(16, len(race.traces))) for _ in range(8)]
        for group in groups:
            chances = model.chances_of([t.shape for t in group])
            for power in POWERS:
                sums: dict[int, float] = {}
                for trace, p in zip(group, chances, strict=True):
                    if trace.label >= 0:
                        sums[trace.label] = sums.get(trace.label, 0.0) + p**power
                hits[power] += bool(sums) and max(sums, key=sums.__getitem__) in race.right
    most = max(hits.values())
    near = 0.002 * 16 * len(races)
    return min((p for p in POWERS if hits[p] >= most - near), key=lambda p: abs(p - 2.0))
