"""A run as tables: what each strategy reached and what k samples would reach, with the notes that belong to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlrl.evaluation.intervals import LEAST_GROUPS
from nlrl.evaluation.software import software_rows

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nlrl.evaluation.intervals import Interval
    from nlrl.evaluation.summary import StrategySummary, Summary

STAR_RULE = "* where it is no luck: at most 5 % of reports star any of their {} gains where none is (Holm 1979)."
CURVE_NAMES = {
    "pass": "pass@k",
    "majority": "majority@k",
    "best": "best-of-k",
    "weighted": "weighted vote@k",
}
# what `auto` scores with, by task type (see `nlrl.verifiers.registry.AutoVerifier`); else the model's own certainty
_SCORED_BY = {"coding": "public tests", "writing": "the constraints"}
_CERTAINTY = "the model's own certainty"


def tables(summary: Summary, *, width: int = 80) -> list[RenderableType]:
    """The summary as tables for the terminal: strategies, then what k samples would reach, domain by domain."""
    from rich.text import Text

    run = summary.run
    about = f"{run.get('name', 'run')}: {run.get('model_name', '?')}, {summary.problems} problems"
    parts: list[RenderableType] = [Text(about, style="bold")]
    if any(d.strategies for d in summary.domains):
        parts.append(_strategies(summary, wide=width >= 110))
    if any(d.panel for d in summary.domains):
        parts.append(_curves(summary, wide=width >= 110))
    notes = interval_notes(summary)
    if told := second_look(summary):
        notes.append(told)
    if any(d.panel for d in summary.domains):
        notes += curve_notes(summary)
    if mixed := software_rows(run).get("went on with"):
        notes.append(f"Begun with one version of the software, and gone on with another: {mixed}.")
    parts.append(Text("\n".join(notes), style="dim"))
    if summary.failures:
        named = ", ".join(f"{count} x {name}" for name, count in sorted(summary.failures.items()))
        parts.append(Text(f"Failures: {named}", style="yellow"))
    return parts


def _strategies(summary: Summary, *, wide: bool) -> RenderableType:
    from rich.padding import Padding
    from rich.text import Text

    every = [s for d in summary.domains for s in d.strategies]
    columns = ["accuracy", "gain", "tokens", "strict", "unparsed"]
    columns += ["longest chain", "calls", "calibration error"] if wide else []
    columns += ["2nd look"] if summary.run.get("second_look") else []
    columns += ["failed"] if any(s.failed for s in every) else []
    columns += ["unjudged"] if any(s.abstained for s in every) else []
    if not wide and {"failed", "unjudged"} <= set(columns):
        columns.remove("strict")  # what nobody could judge must not fall off the edge
    table = _table(["strategy", *columns], wide)
    for domain in summary.domains:
        table.add_row(f"{domain.name} ({domain.problems})", style="bold")
        for s in domain.strategies:
            cells = {
                "accuracy": percent(s.accuracy),
                "gain": gain(s),
                "tokens": f"{s.tokens:,.0f}",
                "strict": f"{100 * s.strict:.0f}",
                "unparsed": f"{100 * s.unparsed:.0f}",
                "longest chain": f"{s.critical_path_tokens:,.0f}",
                "calls": f"{s.calls:.1f}",
                "calibration error": "" if s.calibration is None else f"{100 * s.calibration:.0f}",
                "2nd look": f"{100 * s.second:.1f}",
                "failed": str(s.failed),
                "unjudged": str(s.abstained),
            }
            style = "green" if s.pays else ""
            table.add_row(Padding(Text(s.name), (0, 0, 0, 2)), *(cells[name] for name in columns), style=style)
        table.add_section()
    return table


def _curves(summary: Summary, *, wide: bool) -> RenderableType:
    names = list(dict.fromkeys(name for d in summary.domains if d.panel for name in d.panel.curves))
    table = _table(["samples", "tokens", *(CURVE_NAMES[name] for name in names)], wide)
    for domain in summary.domains:
        panel = domain.panel
        if not panel:
            continue
        table.add_row(domain.name, style="bold")
        for i, k in enumerate(panel.k):
            points = [percent(panel.curves[name][i]) if name in panel.curves else "" for name in names]
            table.add_row(f"  {k}", f"{panel.tokens[i]:,.0f}", *points)
        table.add_section()
    return table


def curve_notes(summary: Summary) -> list[str]:
    """What pass@k needs, and what the scores of the other curves are: a vote weighted by certainty must say so."""
    notes = ["pass@k is an oracle: it needs to know the answer."]
    if not any(d.panel and "best" in d.panel.curves for d in summary.domains):
        return notes
    scores = str(summary.run.get("verifier") or "auto")
    if scores == "auto":
        by: dict[str, list[str]] = {}
        for name in (d.name for d in summary.domains if d.name != "all"):
            by.setdefault(_SCORED_BY.get(name, _CERTAINTY), []).append(name)
        scores = "; ".join(f"{score} ({', '.join(names)})" for score, names in by.items())
        scores = scores or f"public tests, the constraints, else {_CERTAINTY}"
    notes.append(
        "best-of-k takes the one attempt with the highest score, weighted vote@k the answer with the largest sum "
        f"of scores. Scores: {scores}."
    )
    return notes


def _table(columns: Sequence[str], wide: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, int(wide), 0, 0), pad_edge=False)
    table.add_column(columns[0], overflow="fold", min_width=32 if wide and columns[0] == "strategy" else 12)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def second_look(summary: Summary) -> str:
    """How much of the accuracy is a model's word, and what that cost; "" for a run without second looks."""
    looker = summary.run.get("second_look")
    if not looker:
        return ""
    whole = summary.domains[0] if summary.domains else None
    panel = whole.panel if whole else None
    tokens = panel.grading_tokens if panel else sum(s.grading_tokens for s in whole.strategies) if whole else 0.0
    of_panel = f", {100 * panel.second:.1f} % of the samples" if panel else ""
    return (
        f"2nd look: right by the word of {looker} alone, where the rules said no{of_panel}; part of the accuracy. "
        f"It cost {tokens:,.0f} tokens per problem, charged as verification and apart from what the strategies spent."
    )


def interval_notes(summary: Summary) -> list[str]:
    """How the figures are meant: what the intervals are over, where there are none and why, what a star says."""
    grouped = [d for d in summary.domains if d.clusters is not None]
    over = "over groups of problems" if grouped else "over problems"
    notes = [f"In %, with 95 % intervals {over}, each by itself. Tokens are means per problem, prompt included."]
    for d in grouped:
        if d.clusters is not None and d.clusters < LEAST_GROUPS:
            notes.append(
                f"No intervals for {d.name}: {d.problems} problems in {d.clusters} groups, and from fewer than "
                f"{LEAST_GROUPS} nothing can be said of the next ones. Add problems of other groups."
            )
    gains = [s.gain for d in summary.domains for s in d.strategies if s.gain]
    if gains:
        notes.append(f"gain: points over {summary.one_sample}, paired by problem. {STAR_RULE.format(len(gains))}")
    if summary.unjudged:
        notes.append(f"Left out, because nothing on them could be judged: {summary.unjudged} of the problems.")
    if any(s.abstained for d in summary.domains for s in d.strategies):
        notes.append("unjudged: answers that the grader could not judge. They count as not right.")
    return notes


def percent(value: Interval) -> str:
    """ "62.5 (50-75)", "62.5 (-)" without an interval, or a dash where there was nothing to average."""
    if math.isnan(value.mean):
        return "-"
    mean = f"{100 * value.mean:.1f}".replace("100.0", "100")
    return f"{mean} ({100 * value.low:.0f}-{100 * value.high:.0f})" if value.known else f"{mean} (-)"


def gain(strategy: StrategySummary) -> str:
    """ "+12.5 (+4,+21)*"; the star is explained by `STAR_RULE`."""
    value = strategy.gain
    if value is None or math.isnan(value.mean):
        return ""
    star = "*" if strategy.sure else " "
    ends = f"({100 * value.low:+.0f},{100 * value.high:+.0f})" if value.known else "(-)"
    return f"{100 * value.mean:+.1f} {ends}{star}"
