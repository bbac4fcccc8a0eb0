"""One HTML file for a whole run: settings, tables, pictures, and every problem with its attempts.

It needs no other file and no network. Model text is hostile: it travels as JSON inside inert script elements, becomes
text nodes only, and a content security policy forbids everything that is not this page's own script.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from nlrl.compute.machine import in_words
from nlrl.core import MissingExtra, Verdict
from nlrl.core.kept_files import write_whole
from nlrl.evaluation.details import detail_scripts, in_script, problem_index
from nlrl.evaluation.records import PANEL, Record
from nlrl.evaluation.software import software_rows
from nlrl.evaluation.summary import DomainSummary, PanelSummary, StrategySummary, Summary
from nlrl.evaluation.tables import CURVE_NAMES, curve_notes, gain, interval_notes, percent, second_look
from nlrl.strategies import todays_name

_Group = tuple[str, Sequence[Sequence[Any]], Sequence[bool]]  # its name, its rows, and which of them to mark


def save_page(summary: Summary, records: Sequence[Record], path: Path) -> Path:
    """Write the page and return its path."""
    # a lone surrogate in a file name or a question must not keep the page from being written
    write_whole(path, page(summary, records).encode("utf-8", "replace"))
    return path


def page(summary: Summary, records: Sequence[Record]) -> str:
    """The page as text."""
    style = (files("nlrl.report") / "assets" / "page.css").read_text("utf-8")
    script = (files("nlrl.evaluation") / "assets" / "page.js").read_text("utf-8")
    policy = f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    name = escape(str(summary.run.get("name", "run")))
    scripts, note = detail_scripts(records)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="nlrl {escape(str(summary.run.get("version", "")))}">
<title>{name}: nlrl benchmark</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{name}</h1>
{_settings(summary)}
</header>
<main>
<section aria-labelledby="figures">
<h2 id="figures">Figures</h2>
{_strategies(summary)}
{_pictures(summary)}
{_curves(summary)}
{_failures(summary)}
</section>
<section aria-labelledby="problems">
<h2 id="problems">Problems</h2>
{f'<p class="soft">{escape(note)}</p>' if note else ""}
{_filters(summary, records)}
<p class="soft" id="count" aria-live="polite"></p>
<div id="list"></div>
<p><button type="button" id="more" hidden>Show more</button></p>
<noscript><p>Opening the problems needs JavaScript; everything is also in records.jsonl.</p></noscript>
</section>
</main>
<script type="application/json" id="index">{in_script(problem_index(records))}</script>
{scripts}
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _settings(summary: Summary) -> str:
    run = summary.run
    machine = run.get("machine") or {}
    rows = {
        "model": run.get("model_name"),
        "data": f"{run.get('data') or 'not named'}, {summary.problems} problems",
        "strategies": ", ".join(run.get("strategies") or []),
        "samples": run.get("samples"),
        "budget per problem": _pairs(run.get("budget")) or "none",
        "sampling": _pairs(run.get("sampling")) or "defaults",
        "seed": run.get("seed"),
        "verifier": run.get("verifier"),
        "second look": run.get("second_look"),
        "spent": f"{summary.tokens:,} tokens in {summary.records:,} records",
        "machine": ", ".join(f"{name} {value}" for name, value in machine.items()),
        "used": "; ".join(map(in_words, run.get("used") or [])),
        **software_rows(run),
    }
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in rows.items() if v not in (None, ""))
    return f'<dl class="settings">{items}</dl>'


def _pairs(values: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items()) if isinstance(values, dict) else ""


def _strategies(summary: Summary) -> str:
    every = [s for d in summary.domains for s in d.strategies]
    if not every:
        return ""
    columns: dict[str, Callable[[StrategySummary], str]] = {
        "accuracy": lambda s: percent(s.accuracy),
        "gain": gain,
        "tokens": lambda s: f"{s.tokens:,.0f}",
        "strict": lambda s: f"{100 * s.strict:.0f}",
        "unparsed": lambda s: f"{100 * s.unparsed:.0f}",
        "longest chain": lambda s: f"{s.critical_path_tokens:,.0f}",
        "calls": lambda s: f"{s.calls:.1f}",
        "calibration error": lambda s: "" if s.calibration is None else f"{100 * s.calibration:.0f}",
        "2nd look": lambda s: f"{100 * s.second:.1f}" if summary.run.get("second_look") else "",
        "failed": lambda s: str(s.failed or ""),
        "unjudged": lambda s: str(s.abstained or ""),
    }
    used = {name: cell for name, cell in columns.items() if any(cell(s) for s in every)}
    groups = []
    for domain in summary.domains:
        rows = [(s.name, *(cell(s) for cell in used.values())) for s in domain.strategies]
        better = [s.pays for s in domain.strategies]
        groups.append((f"{domain.name}, {domain.problems} problems", rows, better))
    about = " ".join(interval_notes(summary))
    about += f" {told}" if (told := second_look(summary)) else ""
    table = _table("What each strategy reached", ("strategy", *used), groups)
    return f'{table}<p class="soft">{escape(about)}</p>'


def _curves(summary: Summary) -> str:
    groups = []
    names = list(dict.fromkeys(name for d in summary.domains if d.panel for name in d.panel.curves))
    for domain in summary.domains:
        panel = domain.panel
        if panel:
            title = (
                f"{domain.name}: one of {panel.attempts:.0f} samples is right {percent(panel.accuracy)}, "
                f"strictly {percent(panel.strict)}, unparsed {percent(panel.unparsed)}"
            )
            rows = [
                (k, f"{panel.tokens[i]:,.0f}", *(_point(panel, n, i) for n in names)) for i, k in enumerate(panel.k)
            ]
            groups.append((title, rows, ()))
    if not groups:
        return ""
    table = _table("What k samples would reach", ("samples", "tokens", *(CURVE_NAMES[n] for n in names)), groups)
    return f'{table}<p class="soft">{escape(" ".join(curve_notes(summary)))}</p>'


def _point(panel: PanelSummary, name: str, i: int) -> str:
    return percent(panel.curves[name][i]) if name in panel.curves else ""


def _table(title: str, heads: Sequence[str], groups: Sequence[_Group]) -> str:
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    body = ""
    for name, rows, better in groups:
        body += f'<tbody><tr><th scope="rowgroup" colspan="{len(heads)}">{escape(name)}</th></tr>'
        for i, row in enumerate(rows):
            mark = ' class="gain"' if better and better[i] else ""
            cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in row[1:])
            body += f'<tr{mark}><th scope="row">{escape(str(row[0]))}</th>{cells}</tr>'
        body += "</tbody>"
    # a region that scrolls must be reachable by keyboard, and so needs a name
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}"><table>'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>{body}</table></div>"
    )


def _pictures(summary: Summary) -> str:
    from nlrl.evaluation.plot import picture

    drawn = [d for d in summary.domains if d.panel or d.strategies]
    try:
        figures = ""
        for d in drawn:
            light, dark = (_embedded(picture(summary, [d], theme=theme, title=False)) for theme in ("light", "dark"))
            figures += (
                f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
                f'<img src="{light}" alt="{escape(_described(d))}"></picture></figure>'
            )
    except MissingExtra as missing:
        return f'<p class="soft">No pictures: {escape(str(missing))}</p>'
    return f'<div class="pictures">{figures}</div>'


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _described(domain: DomainSummary) -> str:
    points = "; ".join(
        f"{s.name} {100 * s.accuracy.mean:.0f} % at {s.tokens:,.0f} tokens"
        for s in domain.strategies
        if not math.isnan(s.accuracy.mean)
    )
    return f"Accuracy against tokens per problem, {domain.name}. {points}. The tables hold all figures."


def _failures(summary: Summary) -> str:
    if not summary.failures:
        return ""
    named = ", ".join(f"{count} x {name}" for name, count in sorted(summary.failures.items()))
    return f"<p>Failures: {escape(named)}</p>"


def _filters(summary: Summary, records: Sequence[Record]) -> str:
    domains = list(dict.fromkeys(r.problem.domain for r in records))
    names = list(dict.fromkeys(todays_name(r.strategy) for r in records if r.strategy != PANEL))
    verdicts = [*Verdict, "failed"]
    return (
        '<form role="search" aria-label="Filter the problems">'
        '<label class="search">Search in questions<input type="search" name="text"></label>'
        f"{_choice('Domain', 'domain', domains)}{_choice('Strategy', 'strategy', names)}"
        f"{_choice('Verdict', 'verdict', verdicts)}</form>"
    )


def _choice(label: str, name: str, values: Sequence[str]) -> str:
    options = "".join(f'<option value="{escape(v)}">{escape(v)}</option>' for v in values)
    return f'<label>{label}<select name="{name}"><option value="">any</option>{options}</select></label>'
