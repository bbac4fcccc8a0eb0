"""Accuracy against tokens, as a picture: curves from the panel, points for the strategies that were run.

pass@k is dashed and named an oracle: it shows what the samples hold, for whoever could tell which one is right.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlrl.core import MissingExtra
from nlrl.evaluation.summary import DomainSummary, StrategySummary, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any common colour blindness
_CURVES = {
    "pass": ({"light": "#777777", "dark": "#aaaaaa"}, "--", "pass@k (oracle: needs to know the answer)"),
    "majority": ({"light": "#0072B2", "dark": "#4aa3e0"}, "-", "majority vote of k"),
    "best": ({"light": "#D55E00", "dark": "#ee7f33"}, "-", "best of k: the highest scored attempt"),
    "weighted": ({"light": "#7b3f9e", "dark": "#b487d6"}, "-", "vote of k weighted by scores"),
}
_POINTS = ["#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#0072B2", "#D55E00", "#999999"]
_MARKERS = "osD^vPX*"
_THEMES = {"light": ("#ffffff", "#222222", "#dddddd"), "dark": ("#16181c", "#e6e6e6", "#3a3d44")}


def save_png(summary: Summary, path: Path) -> Path:
    """One picture with a panel for every domain and one for all. Raises MissingExtra without matplotlib."""
    path.write_bytes(picture(summary, summary.domains))
    return path


def picture(summary: Summary, domains: Sequence[DomainSummary], *, theme: str = "light", title: bool = True) -> bytes:
    """A PNG of the given domains side by side, at most three to a row."""
    figure_class, rc_context = matplotlib_parts()
    columns = 2 if len(domains) == 4 else min(len(domains), 3)
    rows = math.ceil(len(domains) / columns)
    with rc_context({"font.size": 10, "axes.titlesize": 11, "svg.fonttype": "none"}):
        figure = figure_class(figsize=(5.6 * columns + 0.4, 4.1 * rows + 1.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        styles = _styles(summary)
        for axes, domain in zip(grid, domains, strict=False):
            _draw(axes, domain, styles, theme)
        for axes in grid[len(domains) :]:
            axes.set_visible(False)
        for i, axes in enumerate(grid[: len(domains)]):
            if i % columns == 0:
                axes.set_ylabel("accuracy in %", color=_THEMES[theme][1])
            if i + columns >= len(domains):
                axes.set_xlabel("tokens per problem: prompt, attempts, verification", color=_THEMES[theme][1])
        _finish(figure, grid[: len(domains)], summary, theme, title, columns)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=130, facecolor=_THEMES[theme][0])
    return out.getvalue()


def _styles(summary: Summary) -> dict[str, tuple[str, str]]:
    """A colour and a marker for every strategy, the same in all panels."""
    names = list(dict.fromkeys(s.name for d in summary.domains for s in d.strategies))
    return {name: (_POINTS[i % len(_POINTS)], _MARKERS[i % len(_MARKERS)]) for i, name in enumerate(names)}


def _draw(axes: Axes, domain: DomainSummary, styles: dict[str, tuple[str, str]], theme: str) -> None:
    ink, faint = _THEMES[theme][1:]
    panel = domain.panel
    if panel:
        for name, (colours, line, label) in _CURVES.items():
            curve = panel.curves.get(name)
            if curve is None:
                continue
            colour = colours[theme]
            axes.plot(panel.tokens, [100 * p.mean for p in curve], line, color=colour, lw=1.8, label=label, zorder=2)
            low, high = [100 * p.low for p in curve], [100 * p.high for p in curve]
            faded = 0.07 if name == "pass" else 0.14
            axes.fill_between(panel.tokens, low, high, color=colour, alpha=faded, lw=0, zorder=1)
    for s, tokens in _apart([s for s in domain.strategies if s.tokens > 0 and not math.isnan(s.accuracy.mean)]):
        colour, marker = styles[s.name]
        mean, low, high = (100 * x for x in s.accuracy)
        axes.errorbar(
            [tokens], [mean], yerr=[[mean - low], [high - mean]], fmt=marker, color=colour, ms=8, mec=ink, mew=0.8,
            ecolor=colour, elinewidth=1.4, capsize=3, label=drawable(s.name), zorder=3,
        )  # fmt: skip
        if s.pays:
            axes.annotate("*", (tokens, high), xytext=(0, 1), textcoords="offset points", ha="center", color=ink)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(locator(*axes.get_xlim()))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_ylim(-2, 102)
    axes.set_title(f"{domain.name}, {domain.problems} problems", color=ink)
    axes.set_facecolor(_THEMES[theme][0])
    axes.grid(color=faint, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=ink, which="both")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(faint)


def _apart(strategies: Sequence[StrategySummary]) -> list[tuple[StrategySummary, float]]:
    """Each strategy with where to draw it: those that cost almost the same stand side by side, 4 % apart."""
    placed: list[tuple[StrategySummary, float]] = []
    groups: list[list[StrategySummary]] = []
    for s in sorted(strategies, key=lambda s: s.tokens):
        if groups and s.tokens < 1.04 * groups[-1][0].tokens:
            groups[-1].append(s)
        else:
            groups.append([s])
    for group in groups:
        middle = (len(group) - 1) / 2
        placed += [(s, s.tokens * 1.04 ** (i - middle)) for i, s in enumerate(group)]
    return placed


def _finish(figure: Figure, grid: Any, summary: Summary, theme: str, title: bool, columns: int) -> None:
    ink = _THEMES[theme][1]
    if title:
        run = summary.run
        about = f"{run.get('model_name', 'model')} on {run.get('data') or run.get('name', 'a benchmark')}"
        what = "mean accuracy with 95 % intervals"
        if any(s.pays for d in summary.domains for s in d.strategies):
            what += "; * more compute paid, by more than luck (one rule for the whole report)"
        figure.suptitle(f"{drawable(about[:110])}\n{what}", color=ink, fontsize=11)
    labels: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    if labels:
        figure.legend(
            labels.values(), labels.keys(), loc="outside lower center", ncols=min(columns + 1, 3), frameon=False,
            labelcolor=ink, fontsize=9,
        )  # fmt: skip


def drawable(text: str) -> str:
    """What the font has, with dollar signs that do not begin a formula; anything else becomes a question mark."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(c if ord(c) in known else "?" for c in text).replace("$", r"\$")


def matplotlib_parts() -> Any:
    """`Figure` and `rc_context`. Figure without pyplot: no global state, no display, safe in any thread."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", "Drawing a picture") from error
    return Figure, rc_context


def locator(low: float, high: float) -> Any:
    """Where a log axis from `low` to `high` has its ticks: denser where it spans little."""
    from matplotlib.ticker import LogLocator

    subs = (1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0) if high < 3 * low else (1.0, 2.0, 5.0)
    return LogLocator(base=10, subs=subs, numticks=12)
