"""The learning curve of a language policy: the incumbent's accuracy on the validation split against tokens spent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nlrl.evaluation.intervals import Interval, mean_interval
from nlrl.evaluation.plot import drawable, matplotlib_parts
from nlrl.learning.language.asking.log import Entry
from nlrl.learning.language.asking.rollouts import value_of


class Point(NamedTuple):
    """After one iteration: tokens spent so far (the mean over seeds), and the incumbent's accuracy."""

    iteration: int
    tokens: float
    accuracy: Interval


def curve(runs: Sequence[Sequence[Entry]]) -> list[Point]:
    """One point an iteration. Of several runs (seeds) the interval is over runs, of one over validation problems.

    A run that ended early stays where it ended: the mean of those that went on would be one of other runs. One whose
    start policy was never measured has no accuracy; NaN where none has.
    """
    points = []
    for number in range(max(map(len, runs), default=0)):
        those = [run[: number + 1] for run in runs]
        tokens = sum(i.tokens for run in those for i in run) / len(those)
        if len(runs) > 1:
            spread = mean_interval([run[-1].accuracy for run in those if run and run[0].decision != "stopped"])
        else:
            spread = mean_interval(incumbent_values(those[0]))
        points.append(Point(number, tokens, spread))
    return points


def incumbent_values(run: Sequence[Entry]) -> list[float]:
    """The values of the last incumbent on the validation split: all the problems that the start was rolled on first."""
    asked = {r.problem for r in run[0].rollouts}
    rolled: dict[str, list] = {}
    for iteration in run:
        for r in iteration.rollouts:
            if r.policy == run[-1].incumbent and r.problem in asked:
                rolled.setdefault(r.problem, []).append(r)
    return [value for found in rolled.values() if (value := value_of(found)) is not None]


def save_png(title: str, runs: Sequence[Sequence[Entry]], path: Path) -> Path:
    """Write the picture. Raises MissingExtra without matplotlib."""
    figure_class, rc_context = matplotlib_parts()
    points = curve(runs)
    with rc_context({"font.size": 10}):
        figure = figure_class(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        x = [p.tokens for p in points]
        low, middle, high = ([100 * getattr(p.accuracy, end) for p in points] for end in ("low", "mean", "high"))
        axes.step(x, middle, where="post", color="#0072B2", lw=2, zorder=3, label="incumbent")
        axes.fill_between(x, low, high, step="post", color="#0072B2", alpha=0.18, lw=0)
        for run in runs:
            spent = 0
            for i in run:
                spent += i.tokens
                if i.validation is not None:
                    taken = i.decision == "accepted"
                    axes.plot(
                        spent,
                        100 * i.validation.candidate,
                        "o" if taken else "x",
                        color="#009E73" if taken else "#777777",
                    )
        axes.set_xlabel("tokens spent on improving, all included")
        axes.set_ylabel("accuracy on the validation split in %")
        axes.set_title(drawable(title))
        axes.grid(alpha=0.3)
        figure.savefig(path, format="png", dpi=120)
    return path
