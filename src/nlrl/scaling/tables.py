"""What a calibration found, as tables: the policy, every fixed strategy, what pays where, savings, confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlrl.evaluation.intervals import (
    LEAST_GROUPS,
    Floats,
    Interval,
    beyond_luck,
    clusters_of,
    gain_chance,
    gain_interval,
)
from nlrl.scaling.calibrate import Calibration, same_tokens
from nlrl.scaling.cells import Cells, share_right
from nlrl.scaling.choose import Picks, Sure, folds, held_out_sureness
from nlrl.scaling.difficulty import oracle_bins, place
from nlrl.strategies import parse_strategy, todays_name

_RESAMPLES = 2000


@dataclass(frozen=True)
class Saving:
    """The policy's tokens beside a family of strategies at equal accuracy.

    family    such as "best_of_n"
    accuracy  the highest that both reach
    ratio     tokens of the family over tokens of the policy, with its paired bootstrap interval over problems; above 1
              the policy is cheaper. The accuracy to be met is looked up anew in every resample
    """

    family: str
    accuracy: float
    ratio: Interval


def family_rows(cells: Cells) -> dict[str, list[int]]:
    """Rows without a cap by the strategies' names, cheapest first."""
    rows: dict[str, list[int]] = {}
    for i, (name, cap) in enumerate(cells.keys):
        if cap is None:
            rows.setdefault(parse_strategy(name).name, []).append(i)
    return {name: sorted(found, key=lambda i: cells.tokens[i].mean()) for name, found in rows.items()}


def savings(done: Calibration) -> list[Saving]:
    """Token ratios at equal accuracy against every family with more than one size, on problems not calibrated on."""
    found = []
    for family, rows in family_rows(done.plain).items():
        if len(rows) > 1:
            right = [done.plain.right[i] for i in rows]
            tokens = [done.plain.tokens[i] for i in rows]
            found.append(token_ratio(family, right, tokens, done.validation.by_price, done.plain.groups))
    return found


def token_ratio(
    family: str, right: Sequence[Floats], tokens: Sequence[Floats], picks: Sequence[Picks], groups: Sequence[str] = ()
) -> Saving:
    """Tokens of a family of settings over those of a policy, at the highest accuracy that both reach.

    The one interval that is still a percentile bootstrap: a ratio of interpolated curves has no likelihood to tilt.
    Clusters are drawn whole; fewer than LEAST_GROUPS have no interval.
    """
    ours_right, ours_tokens = np.array([p.right for p in picks]), np.array([p.tokens for p in picks])
    theirs_right, theirs_tokens = np.array(right), np.array(tokens)
    judged = np.isfinite(ours_right).all(axis=0) & np.isfinite(theirs_right).all(axis=0)
    tables = [t[:, judged] for t in (ours_right, ours_tokens, theirs_right, theirs_tokens)]
    n = int(judged.sum())

    def at(counts: Floats) -> tuple[float, float]:
        acc, tok, their_acc, their_tok = (t @ counts / n for t in tables)
        goal = min(acc.max(), their_acc.max())
        ours = same_tokens(acc.tolist(), tok.tolist(), goal)
        return goal, same_tokens(their_acc.tolist(), their_tok.tolist(), goal) / ours

    goal, ratio = at(np.ones(n))
    place = clusters_of(np.array(groups)[judged].tolist() if groups else [""] * n)
    units = int(place.max()) + 1
    if any(groups) and units < LEAST_GROUPS:
        return Saving(family, float(goal), Interval(float(ratio), float("nan"), float("nan")))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_RESAMPLES):
        counts = np.bincount(rng.integers(units, size=units), minlength=units)[place].astype(float)
        drawn.append(at(counts * n / max(counts.sum(), 1.0))[1])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Saving(family, float(goal), Interval(float(ratio), float(low), float(high)))


def confidences(done: Calibration) -> Sure | None:
    """Stated and calibrated confidence of the policy at price 0, on problems they were not calibrated on."""
    return held_out_sureness(done.validation, folds(len(done.problems), done.settings.seed))


def bins_of(done: Calibration) -> tuple[np.ndarray, int]:
    """The bin of every problem by the policy's prediction (by the oracle where it has one bin only), and their number.

    0 is the easiest.
    """
    policy = done.policy
    if policy.borders:
        chances = [policy.chance(tuple(f)) for f in done.probed.features]
        return np.array([place(c, policy.borders) for c in chances]), len(policy.bins)
    known = np.where(np.isfinite(done.plain.pass_at_1), done.plain.pass_at_1, 0.0)
    bins = np.array(oracle_bins(known.tolist(), done.settings.bins))
    return bins, int(bins.max()) + 1


def tables(done: Calibration) -> list[tuple[str, list[str], list[list[str]]]]:
    """What people should read first: (title, column names, rows)."""
    validation = done.validation
    how = "by difficulty" if validation.probed else "one choice for all problems"
    found = []
    rows = []
    for p in sorted(validation.by_price, key=lambda p: p.tokens.mean()):
        line = [_percent(p.accuracy), f"{p.tokens.mean():,.0f}", f"{p.price:.3g}"]
        if not rows or rows[-1][:2] != line[:2]:
            rows.append(line)
    found.append(
        (
            f"The policy ({how}), each half of the problems by what the other half taught",
            ["accuracy", "tokens", "price of 1,000 tokens"],
            rows,
        )
    )
    if rows := beside_fixed(done):
        columns = ["price", "fixed", "accuracy", "tokens", "by difficulty", "tokens", "difference in points"]
        found.append(("The best fixed strategy, chosen on the other half, and the choice by difficulty", columns, rows))
    if validation.by_cap:
        rows = [[f"{p.cap:,}", _percent(p.accuracy), f"{p.tokens.mean():,.0f}"] for p in validation.by_cap]
        found.append(("The same under budgets per problem", ["budget", "accuracy", "tokens"], rows))
    rows = [
        [
            todays_name(done.plain.keys[i][0]),
            _percent(share_right(done.plain.right[i], done.plain.groups)),
            f"{done.plain.tokens[i].mean():,.0f}",
        ]
        for at in family_rows(done.plain).values()
        for i in at
    ]
    title = "Every fixed strategy on the same problems (the best of them is known in hindsight only)"
    found.append((title, ["strategy", "accuracy", "tokens"], rows))
    rows = []
    for b, here in enumerate(done.policy.bins):
        for o in here.options:
            if o.cap is None:
                who = [f"{b + 1}", f"{here.problems}", f"{here.pass_at_1:.2f}"]
                rows.append([*who, todays_name(o.strategy), f"{100 * o.accuracy:.0f}", f"{o.tokens:,.0f}"])
    columns = ["bin", "problems", "pass@1", "efficient strategies", "accuracy", "tokens"]
    found.append(("What pays where (bin 1 is the easiest; accuracy shrunk towards all bins)", columns, rows))
    if ratios := ratio_rows(done):
        bins, count = bins_of(done)
        rows = []
        for (n, ratio), i in ratios:
            parts = [done.plain.columns(bins == b) for b in range(count)]
            cells = [_percent(share_right(part.right[i], part.groups)) for part in parts]
            rows.append([f"{n}", f"{ratio:g}", *cells])
        columns = ["attempts", "sequential to parallel", *(f"bin {b + 1}" for b in range(count))]
        found.append(("Revisions: one after the other, or side by side?", columns, rows))
    rows = []
    for s in savings(done):
        ends = f"{s.ratio.low:.2f} to {s.ratio.high:.2f}" if s.ratio.known else "-"
        rows.append([s.family, f"{100 * s.accuracy:.1f}", f"{s.ratio.mean:.2f}", ends])
    found.append(
        ("Tokens of a family over the policy's, at equal accuracy", ["family", "accuracy", "ratio", "95 %"], rows)
    )
    sure = confidences(done)
    if sure is not None:
        before, after = sure.errors
        rows = [["as stated", f"{100 * before:.1f}"], ["calibrated", f"{100 * after:.1f}"]]
        found.append(("Expected calibration error of confidence, in points", ["", "error"], rows))
    return found


def beside_fixed(done: Calibration) -> list[list[str]]:
    """At each price of tokens: the strategy that was best on the other half of the problems, whatever the difficulty,
    beside the choice by difficulty on the same problems. A tie is what is not beyond luck, of all rows together. Empty
    where no probe was tried, so that there is no choice."""
    by = {v.probed: v for v in (done.validation, done.other)}
    if len(by) < 2:
        return []
    pairs = sorted(zip(by[False].by_price, by[True].by_price, strict=True), key=lambda pair: pair[0].tokens.mean())
    gains, chances = [], []
    for fixed, ours in pairs:
        known = np.isfinite(ours.right) & np.isfinite(fixed.right)
        groups = np.array(ours.groups)[known].tolist() if ours.groups else None
        gains.append(gain_interval(ours.right[known], fixed.right[known], groups=groups))
        chances.append(gain_chance(ours.right[known], fixed.right[known], groups=groups))
    rows: list[list[str]] = []
    for (fixed, ours), gain, sure in zip(pairs, gains, beyond_luck(chances), strict=True):
        names = dict.fromkeys(todays_name(done.plain.keys[row][0]) for row in fixed.rows)
        ends = f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if gain.known else "(-)"
        line = [
            " or ".join(names),
            _percent(fixed.accuracy),
            f"{fixed.tokens.mean():,.0f}",
            _percent(ours.accuracy),
            f"{ours.tokens.mean():,.0f}",
            f"{100 * gain.mean:+.1f} {ends}" + ("" if sure else " (a tie)"),
        ]
        if not rows or rows[-1][1:] != line:
            rows.append([f"{fixed.price:.3g}", *line])
    return rows


def ratio_rows(done: Calibration) -> list[tuple[tuple[int, float], int]]:
    """((attempts, sequential-to-parallel ratio), row of the cells) of the revisions among the strategies, in order."""
    found = []
    for i, (name, cap) in enumerate(done.plain.keys):
        spec = parse_strategy(name)
        if cap is None and spec.name == "revisions":
            n = int(spec.parameters.get("n", 16))
            chains = spec.parameters.get("chains")
            ratio = n / chains / chains if chains else float(spec.parameters.get("ratio", 1.0))
            found.append(((n, ratio), i))
    return sorted(found)


def _percent(spread: Interval) -> str:
    ends = f"{100 * spread.low:.0f}-{100 * spread.high:.0f}" if spread.known else "-"
    return f"{100 * spread.mean:.1f} ({ends})"
