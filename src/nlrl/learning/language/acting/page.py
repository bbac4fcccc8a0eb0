"""A run of language policy iteration as one HTML file: what is said of each state, what changed, and why.

All text of models is escaped, and the page's policy allows no script at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nlrl.learning.language.acting.plot import curve
from nlrl.report.html_page import write_page

_MOST_STATES = 400  # that open on the page; learned.json has all


def save_page(
    title: str,
    facts: Mapping[str, str],
    lines: Sequence[dict[str, Any]],
    learned: Mapping[int, Sequence[tuple[str, str, str]]],
    path: Path,
    picture: Path | None,
) -> Path:
    """Write the page; the picture goes into it."""
    body = [_table(lines)]
    body += [_iteration(each) for each in lines if each["changes"]]
    body += [_learned(seed, rows) for seed, rows in learned.items() if rows]
    return write_page(path, title, "language policy iteration", facts, picture, body)


def _table(lines: Sequence[dict[str, Any]]) -> str:
    rows = []
    returns = {number: spread for number, spread, _ in curve(lines)}
    for number in sorted({each["iteration"] for each in lines}):
        those = [each for each in lines if each["iteration"] == number]
        spread = returns.get(number)
        told = [each["success"] for each in those if each["success"] is not None]
        heard: dict[str, int] = {}
        for each in those:
            for what, n in each["heard"].items():
                heard[what] = heard.get(what, 0) + n
        cells = [
            str(number),
            f"{spread.mean:.3f} ({spread.low:.3f} to {spread.high:.3f})" if spread else "",
            f"{100 * sum(told) / len(told):.1f} %" if told else "",
            str(sum(len(each["changes"]) for each in those)),
            f"{sum(sum(each['calls'].values()) for each in those):,}",
            f"{sum(each['prompt_tokens'] + each['completion_tokens'] for each in those):,}",
            ", ".join(f"{n} {what}" for what, n in heard.items() if n),
        ]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    heads = (
        "iteration",
        "mean return",
        "success",
        "decisions changed",
        "calls so far",
        "tokens so far",
        "heard so far",
    )
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        '<h2>Learning curve</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _iteration(each: dict[str, Any]) -> str:
    changes = [
        f"<details><summary>{escape(c['state'])}: "
        f"{escape(str(c['before'] or 'nothing'))} → <strong>{escape(str(c['after']))}</strong></summary>"
        f'<div class="in">{_evaluations(c["evaluations"])}<p>Decided:</p><pre>{escape(c["text"])}</pre></div></details>'
        for c in each["changes"][:_MOST_STATES]
    ]
    left = len(each["changes"]) - len(changes)
    more = f'<p class="soft">{left} more stand in iterations.jsonl.</p>' if left else ""
    count = len(each["changes"])
    title = f"Seed {each['seed']}, iteration {each['iteration']}: {count} decision{'s' * (count != 1)} changed"
    return (
        f'<details class="problem"><summary>{title}</summary><div class="in">{"".join(changes)}{more}</div></details>'
    )


def _evaluations(evaluations: Sequence[Sequence[str]]) -> str:
    items = "".join(f"<li><strong>{escape(action)}</strong>: {escape(text)}</li>" for action, text in evaluations)
    return f"<p>What was known of the actions:</p><ul>{items}</ul>"


def _learned(seed: int, rows: Sequence[tuple[str, str, str]]) -> str:
    states = [
        f"<details><summary>{escape(state)}</summary>"
        f'<div class="in"><p>Value:</p><pre>{escape(value)}</pre>'
        f"<p>Decision:</p><pre>{escape(decision)}</pre></div></details>"
        for state, value, decision in rows[:_MOST_STATES]
    ]
    left = len(rows) - len(states)
    more = f'<p class="soft">{left} more stand in learned.json.</p>' if left else ""
    return f"<h2>What was learned, seed {seed}</h2>{''.join(states)}{more}"
