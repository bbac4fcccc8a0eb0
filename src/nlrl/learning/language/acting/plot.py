"""Learning curves: the mean return of test episodes after each iteration, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlrl.evaluation.intervals import Interval, mean_interval
from nlrl.evaluation.plot import drawable, matplotlib_parts


def curve(lines: Sequence[dict[str, Any]]) -> list[tuple[int, Interval, int]]:
    """(iteration, mean return with its interval, seeds) in order. Of several seeds the interval is over seeds, of one
    over its episodes. A seed that ended early stays at what it had reached. Without test episodes: nothing."""
    points = []
    runs = [[e for e in lines if e["seed"] == seed and e["returns"]] for seed in sorted({e["seed"] for e in lines})]
    for number in sorted({each["iteration"] for each in lines}):
        so_far = [[each["returns"] for each in run if each["iteration"] <= number] for run in runs]
        returns = [run[-1] for run in so_far if run]
        if returns:
            values = [sum(r) / len(r) for r in returns] if len(returns) > 1 else returns[0]
            points.append((number, mean_interval(values, scale=None), len(returns)))
    return points


def save_png(title: str, lines: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write the picture. Raises MissingExtra without matplotlib."""
    figure_class, rc_context = matplotlib_parts()
    points = curve(lines)
    with rc_context({"font.size": 10}):
        figure = figure_class(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        if points:
            numbers, spreads, _ = zip(*points, strict=True)
            axes.plot(numbers, [s.mean for s in spreads], color="#0072B2", marker="o", ms=4, zorder=3)
            axes.fill_between(
                numbers, [s.low for s in spreads], [s.high for s in spreads], color="#0072B2", alpha=0.18, lw=0
            )
        seeds = sorted({each["seed"] for each in lines})
        for seed in seeds if len(seeds) > 1 else ():
            own = [(e["iteration"], sum(e["returns"]) / len(e["returns"])) for e in lines
                   if e["seed"] == seed and e["returns"]]  # fmt: skip
            axes.plot(*zip(*own, strict=True), color="#777777", lw=0.7, alpha=0.7)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlim(-0.3, max([1, *(each["iteration"] for each in lines)]) + 0.3)
        axes.set_xlabel("iteration")
        axes.set_ylabel("mean return, test episodes")
        axes.grid(alpha=0.3)
        axes.set_title(drawable(title), fontsize=9, wrap=True)
        figure.savefig(path, format="png", dpi=120)
    return path
