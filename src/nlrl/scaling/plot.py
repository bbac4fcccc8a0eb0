"""A calibration as a picture: what the policy reaches, what pays where, and how honest its two predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlrl.evaluation.intervals import Interval, reliability
from nlrl.evaluation.plot import drawable, locator, matplotlib_parts
from nlrl.scaling.calibrate import Calibration
from nlrl.scaling.cells import Cells, share_right
from nlrl.scaling.tables import bins_of, confidences, family_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008): told apart with any common colour blindness
_COLOURS = ["#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#777777", "#009E73"]
_MARKERS = "osD^vPX"
_OURS = "#009E73"


def save_png(done: Calibration, path: Path) -> Path:
    """Write the picture. Raises MissingExtra without matplotlib."""
    figure_class, rc_context = matplotlib_parts()
    bins, count = bins_of(done)
    columns = max(3, min(count, 5))
    with rc_context({"font.size": 9, "axes.titlesize": 10}):
        figure = figure_class(figsize=(3.5 * columns, 8.2), layout="constrained")
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1))
        first, second, third = top.subplots(1, 3)
        _draw_policy(first, done)
        _draw_difficulty(second, done)
        _draw_confidence(third, done)
        _draw_bins(np.atleast_1d(bottom.subplots(1, count, sharey=True)), done, bins)
        model = done.policy.model or "model"
        figure.suptitle(drawable(f"{model} on {len(done.problems)} problems: what pays where"))
        figure.savefig(path, format="png", dpi=120)
    return path


def _curve(
    axes: Axes, x: Any, spread: Sequence[Interval], colour: str, marker: str, label: str, *, band: bool = False
) -> None:
    order = np.argsort(x)
    x, mean = np.asarray(x)[order], 100 * np.array([s.mean for s in spread])[order]
    axes.plot(x, mean, color=colour, marker=marker, ms=4, lw=2 if band else 1.2, label=label, zorder=3 if band else 2)
    if band:
        low, high = (100 * np.array([s[i] for s in spread])[order] for i in (1, 2))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def _shares(cells: Cells, rows: Sequence[int]) -> list[Interval]:
    return [share_right(cells.right[i], cells.groups) for i in rows]


def _tokens_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(locator(*axes.get_xlim()))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("tokens per problem, all included")
    axes.grid(color="#dddddd", lw=0.6)


def _draw_policy(axes: Axes, done: Calibration) -> None:
    for i, (family, rows) in enumerate(family_rows(done.plain).items()):
        tokens = done.plain.tokens[rows].mean(axis=1)
        _curve(axes, tokens, _shares(done.plain, rows), _COLOURS[i % 6], _MARKERS[i % 7], drawable(family))
    picks = done.validation.by_price
    tokens = [float(p.tokens.mean()) for p in picks]
    label = "policy, on unseen problems"
    _curve(axes, tokens, [p.accuracy for p in picks], _OURS, "", label, band=True)
    _tokens_axis(axes)
    axes.set_ylabel("accuracy in %")
    axes.set_title("Accuracy against tokens (95 % band)")
    axes.legend(fontsize=7, frameon=False)


def _draw_bins(grid: Any, done: Calibration, bins: np.ndarray) -> None:
    cells: Cells = done.plain
    for b, axes in enumerate(grid):
        here = bins == b
        for i, (family, rows) in enumerate(family_rows(cells).items()):
            if here.any():
                part = cells.columns(here)
                _curve(
                    axes,
                    part.tokens[rows].mean(axis=1),
                    _shares(part, rows),
                    _COLOURS[i % 6],
                    _MARKERS[i % 7],
                    drawable(family),
                )
        name = "easiest" if b == 0 else "hardest" if b == len(grid) - 1 else ""
        axes.set_title(f"bin {b + 1} {name} ({int(here.sum())} problems)".replace("  ", " "))
        axes.set_ylim(-3, 103)
        _tokens_axis(axes)
        if b == 0:
            axes.set_ylabel("accuracy in %")


def _draw_difficulty(axes: Axes, done: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color="#aaaaaa", lw=1, ls="--")
    chances, truth = done.validation.by_price[0].chances, done.plain.pass_at_1
    known = np.isfinite(truth)
    axes.scatter(chances[known], truth[known], s=9, alpha=0.35, color=_COLOURS[1], lw=0)
    order = np.argsort(chances[known])
    for part in np.array_split(order, min(8, max(1, known.sum() // 5))):
        if len(part):
            axes.plot(chances[known][part].mean(), truth[known][part].mean(), "o", color=_COLOURS[0], ms=6)
    axes.set_xlabel("predicted pass@1 (on unseen problems)")
    axes.set_ylabel("measured pass@1")
    axes.set_title("Difficulty" if done.validation.probed else "Difficulty (no probe in the policy)")
    axes.grid(color="#dddddd", lw=0.6)


def _draw_confidence(axes: Axes, done: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color="#aaaaaa", lw=1, ls="--")
    sure = confidences(done)
    if sure is not None:
        right = [bool(r) for r in sure.right]
        errors = sure.errors
        for values, colour, name, error in (
            (sure.stated, _COLOURS[0], "as stated", errors[0]),
            (sure.calibrated, _OURS, "calibrated", errors[1]),
        ):
            bars = reliability(values.tolist(), right, bins=8)
            axes.plot(
                [b.confidence for b in bars],
                [b.accuracy for b in bars],
                "o-",
                color=colour,
                label=f"{name}: error {100 * error:.0f} points",
            )
        axes.legend(fontsize=7, frameon=False)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    axes.set_title("Confidence (on unseen problems)")
    axes.grid(color="#dddddd", lw=0.6)
