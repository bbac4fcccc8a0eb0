"""From the table of cells to a policy, and what it reaches on problems it has not seen.

policy = make_policy(plain, probed, settings)          # fitted on all problems
picks = cross_validate(plain, probed, settings)        # two-fold: every problem under a policy made without it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from nlrl.evaluation.intervals import Floats, Interval, calibration_error, intervals, mean_interval
from nlrl.scaling.auto import sureness_features
from nlrl.scaling.cells import Cells, share_right
from nlrl.scaling.difficulty import edges, place
from nlrl.scaling.logistic import Logistic, fit_logistic, fit_staircase
from nlrl.scaling.policy import Bin, Option, Policy, Sureness, best_option

SHRINK = 8.0  # problems' worth of the whole set that a bin's accuracy is mixed with
LEAST_IN_BIN = 8  # problems; smaller bins are merged
FOLDS = 2
_PRICES = 9  # prices of tokens between "nothing counts but accuracy" and "nothing counts but tokens"


@dataclass(frozen=True)
class Settings:
    """What shapes a policy beside the cells."""

    bins: int = 5
    least: int = LEAST_IN_BIN
    probe: int = 4
    caps: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """The parts of a policy that are learned: how hard, which bin, and which cells pay there.

    options  per bin, (row of the cells, shrunk accuracy, mean tokens, most tokens), cheapest first
    """

    difficulty: Logistic | None
    borders: tuple[float, ...]
    sizes: tuple[int, ...]
    pass_at_1: tuple[float, ...]
    options: tuple[tuple[tuple[int, float, float, int], ...], ...]

    def chances(self, features: Floats) -> Floats:
        """Predicted pass@1 of every problem."""
        if self.difficulty is None:
            return np.full(len(features), self.pass_at_1[0])
        return np.array([self.difficulty.chance(f) for f in features])

    def pick(self, chance: float, cap: int | None, price: float, keys: Sequence[tuple[str, int | None]]) -> int:
        """The row of the cells that `Policy.choose` would take."""
        options = self.options[place(chance, self.borders)]
        at = best_option([(keys[o[0]][1], o[1], o[2], o[3]) for o in options], cap, price, capped=True)
        return options[at][0]


def fit(cells: Cells, settings: Settings, *, probed: bool) -> Fitted:
    """Learn difficulty, bins and options from cells; without a probe there is one bin."""
    judged = np.isfinite(cells.pass_at_1)
    difficulty, borders = None, ()
    bin_of = np.zeros(cells.right.shape[1], dtype=int)
    if probed and judged.any():
        difficulty = fit_logistic(cells.features[judged], cells.pass_at_1[judged], ridge=2.0)
        chances = [difficulty.chance(f) for f in cells.features]
        borders = edges(chances, settings.bins, least=settings.least)
        bin_of = np.array([place(c, borders) for c in chances])
    whole = _means(cells.right)
    options, sizes, passed = [], [], []
    for b in range(len(borders) + 1):
        here = bin_of == b
        n = np.isfinite(cells.right[:, here]).sum(axis=1)
        accuracy = (np.nansum(cells.right[:, here], axis=1) + SHRINK * whole) / (n + SHRINK)
        tokens = cells.tokens[:, here].mean(axis=1) if here.any() else cells.tokens.mean(axis=1)
        most = cells.tokens[:, here].max(axis=1) if here.any() else cells.tokens.max(axis=1)
        rows = _efficient(accuracy, tokens, [key[1] for key in cells.keys])
        options.append(tuple((i, float(accuracy[i]), float(tokens[i]), int(most[i])) for i in rows))
        sizes.append(int(here.sum()))
        known = cells.pass_at_1[here & judged]
        passed.append(float(known.mean()) if len(known) else float(np.nanmean(whole)))
    return Fitted(difficulty, borders, tuple(sizes), tuple(passed), tuple(options))


def _means(right: Floats) -> Floats:
    """Row means over what could be judged; 0 where nothing could."""
    n = np.isfinite(right).sum(axis=1)
    return np.nansum(right, axis=1) / np.maximum(n, 1)


def _efficient(accuracy: Floats, tokens: Floats, caps: Sequence[int | None]) -> list[int]:
    """Rows that some price and some budget would choose, cheapest first: the upper concave hull of accuracy over
    tokens among those without a cap, and for every cap among those measured under it or under a smaller one."""
    order = np.lexsort((-accuracy, tokens)).tolist()
    kept: set[int] = set()
    for limit in (None, *sorted({c for c in caps if c is not None})):
        rows = [i for i in order if _under(caps[i], limit)]
        hull: list[int] = []
        for i in rows:
            if hull and accuracy[i] <= accuracy[hull[-1]]:
                continue
            while len(hull) > 1 and _slope(hull[-2], hull[-1], accuracy, tokens) <= _slope(
                hull[-1], i, accuracy, tokens
            ):
                hull.pop()
            hull.append(i)
        kept.update(hull)
    return sorted(kept, key=lambda i: (tokens[i], -accuracy[i]))


def _under(cap: int | None, limit: int | None) -> bool:
    if limit is None or cap is None:
        return limit is cap
    return cap <= limit


def _slope(i: int, j: int, accuracy: Floats, tokens: Floats) -> float:
    return float((accuracy[j] - accuracy[i]) / max(tokens[j] - tokens[i], 1e-9))


@dataclass(frozen=True)
class Picks:
    """What a policy did on problems it was not made from.

    rows     problem -> row of the cells
    chances  predicted pass@1
    """

    cap: int | None
    price: float
    rows: np.ndarray
    chances: Floats
    right: Floats
    tokens: Floats
    stated: Floats
    groups: tuple[str, ...] = ()

    @property
    def accuracy(self) -> Interval:
        """Share right, with its interval over problems."""
        return share_right(self.right, self.groups)


@dataclass(frozen=True)
class Validation:
    """Both ways, cross-validated: with a probe and bins, and without. `by_cap` at price 0, `by_price` without a cap."""

    probed: bool
    by_cap: list[Picks] = field(default_factory=list)
    by_price: list[Picks] = field(default_factory=list)


def folds(problems: int, seed: int) -> np.ndarray:
    """The fold of every problem, balanced and shuffled."""
    return np.random.default_rng([seed, 7]).permutation(problems) % FOLDS


def prices(cells: Cells) -> list[float]:
    """Prices of 1,000 tokens between which the choice changes: 0, and a geometric range of the slopes there are."""
    accuracy, tokens = _means(cells.right), cells.tokens.mean(axis=1)
    rows = _efficient(accuracy, tokens, [None] * len(tokens))
    slopes = [1000 * _slope(i, j, accuracy, tokens) for i, j in pairwise(rows)]
    known = [s for s in slopes if s > 0] or [0.01]
    return [0.0, *np.geomspace(min(known) / 4, max(known) * 2, _PRICES - 1).tolist()]


def cross_validate(cells: Cells, settings: Settings, *, probed: bool, at: Sequence[float]) -> Validation:
    """Every problem under a policy that was made from the other fold, at each price of `at` and under each cap."""
    n = cells.right.shape[1]
    fold = folds(n, settings.seed)
    made = [fit(cells.columns(fold != f), settings, probed=probed) for f in range(FOLDS)]
    chances = np.empty(n)
    for f in range(FOLDS):
        chances[fold == f] = made[f].chances(cells.features[fold == f])

    def picks(cap: int | None, price: float) -> Picks:
        rows = np.array([made[fold[i]].pick(chances[i], cap, price, cells.keys) for i in range(n)])
        here = np.arange(n)
        right, tokens, stated = (t[rows, here] for t in (cells.right, cells.tokens, cells.stated))
        return Picks(cap, price, rows, chances, right, tokens, stated, cells.groups)

    return Validation(probed, [picks(cap, 0.0) for cap in settings.caps], [picks(None, price) for price in at])


def better(probed: Validation, plain: Validation) -> bool:
    """Whether choosing by difficulty pays: the paired interval of its worth over that of one choice for all problems
    lies above 0, every price counting the same."""
    gain = np.mean([_utility(a) - _utility(b) for a, b in zip(probed.by_price, plain.by_price, strict=True)], axis=0)
    known, groups = np.isfinite(gain), np.array(plain.by_price[0].groups)
    # a mean over prices moves far less than an answer, so that its own spread says what is possible
    return mean_interval(gain[known], scale=None, groups=groups[known].tolist() if len(groups) else None).low > 0


def _utility(p: Picks) -> Floats:
    return p.right - p.price * p.tokens / 1000


def fit_sureness(picks: Sequence[Picks]) -> Sureness | None:
    """A calibrated confidence from what strategies stated on problems they were not chosen on; None without any."""
    x, y = sureness_rows(picks)
    if not len(y):
        return None
    line = fit_logistic(x, y, ridge=2.0)
    return Sureness(line, fit_staircase([line.chance(row) for row in x], y))


def sureness_rows(picks: Sequence[Picks]) -> tuple[Floats, Floats]:
    """Features and rightness of all answers that could be judged."""
    x, y = [], []
    for p in picks:
        for chance, stated, right in zip(p.chances, p.stated, p.right, strict=True):
            if np.isfinite(right):
                x.append(sureness_features(float(chance), float(stated) if np.isfinite(stated) else None))
                y.append(right)
    return np.array(x, dtype=np.float64).reshape(-1, 2), np.array(y, dtype=np.float64)


@dataclass(frozen=True)
class Sure:
    """How honest the confidence is, before and after its calibration, on problems it was not calibrated on."""

    stated: Floats
    calibrated: Floats
    right: Floats

    @property
    def errors(self) -> tuple[float, float]:
        """Expected calibration error before and after."""
        right = [bool(r) for r in self.right]
        return (
            calibration_error(self.stated.tolist(), right),
            calibration_error(self.calibrated.tolist(), right),
        )

    @property
    def squared(self) -> tuple[float, float]:
        """Mean squared error before and after (Brier 1950)."""
        before, after = (float(np.mean((c - self.right) ** 2)) for c in (self.stated, self.calibrated))
        return before, after


def as_used(validation: Validation) -> list[Picks]:
    """What confidence is calibrated on: the policy as it is used, at price 0, with and without budgets."""
    return [*validation.by_price[:1], *validation.by_cap]


def held_out_sureness(validation: Validation, fold: np.ndarray) -> Sure | None:
    """Stated and calibrated confidence at price 0; the calibration of each fold comes from the other."""
    picks = as_used(validation)
    stated, calibrated, right = [], [], []
    for f in range(FOLDS):
        learned = fit_sureness([_part(p, fold != f) for p in picks])
        here = _part(picks[0], fold == f)
        rows, verdicts = sureness_rows([here])
        if learned is None or not len(rows):
            continue
        known = np.isfinite(here.right)
        said = np.where(np.isfinite(here.stated), here.stated, here.chances)[known]
        stated.append(np.clip(said, 0, 1))
        calibrated.append(np.array([learned.steps(learned.line.chance(row)) for row in rows]))
        right.append(verdicts)
    if not right:
        return None
    return Sure(np.concatenate(stated), np.clip(np.concatenate(calibrated), 0, 1), np.concatenate(right))


def _part(p: Picks, chosen: np.ndarray) -> Picks:
    rows, chances, right, tokens, stated = (t[chosen] for t in (p.rows, p.chances, p.right, p.tokens, p.stated))
    return Picks(
        p.cap,
        p.price,
        rows,
        chances,
        right,
        tokens,
        stated,
        tuple(np.array(p.groups)[chosen].tolist()) if p.groups else (),
    )


def make_bins(fitted: Fitted, cells: Cells) -> tuple[Bin, ...]:
    """The bins as a policy file writes them, with intervals."""
    chances = fitted.chances(cells.features)
    bin_of = np.array([place(c, fitted.borders) for c in chances])
    made = []
    for b, options in enumerate(fitted.options):
        here = bin_of == b
        rows = [o[0] for o in options]
        known = cells.right[rows][:, here]
        # what the grader cannot judge counts as the mean of the rest
        filled = np.where(np.isfinite(known), known, _means(known)[:, None]).T
        groups = np.array(cells.groups)[here].tolist() if cells.groups else None
        spread = intervals(filled, groups=groups) if here.any() else [Interval(0.0, 0.0, 1.0)] * len(rows)
        made.append(
            Bin(
                fitted.sizes[b],
                round(min(max(fitted.pass_at_1[b], 0.0), 1.0), 4),
                tuple(
                    Option(
                        strategy=cells.keys[row][0],
                        tokens=round(tokens, 1),
                        most=most,
                        accuracy=round(accuracy, 4),
                        low=round(s.low, 4) if s.known else 0.0,  # too few groups to tell: it may be anything
                        high=round(s.high, 4) if s.known else 1.0,
                        cap=cells.keys[row][1],
                    )
                    for (row, accuracy, tokens, most), s in zip(options, spread, strict=True)
                ),
            )
        )
    return tuple(made)


def assemble(fitted: Fitted, cells: Cells, *, model: str, verifier: str, probe: int, **rest: object) -> Policy:
    """A policy from its learned parts."""
    return Policy(
        model=model,
        probe=probe if fitted.difficulty else 0,
        verifier=verifier,
        difficulty=fitted.difficulty,
        borders=fitted.borders,
        bins=make_bins(fitted, cells),
        **rest,  # type: ignore[arg-type]
    )
