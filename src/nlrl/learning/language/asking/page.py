"""An improvement run as one HTML file: each iteration opens to its evaluations, what changed and why, and each problem
to its attempts under every policy.

All text of models is escaped, and the page's policy allows no script at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from nlrl.core import Problem
from nlrl.evaluation.intervals import Interval
from nlrl.learning.language.asking.acceptance import Comparison
from nlrl.learning.language.asking.log import Entry
from nlrl.learning.language.asking.plot import curve
from nlrl.learning.language.asking.policy import LanguagePolicy, diff
from nlrl.learning.language.asking.rollouts import Rollout
from nlrl.report.html_page import write_page

_MOST_PROBLEMS = 300  # that open on the page; the log has all

_DECISIONS = {
    "accepted": "accepted: it is better on the validation split by more than luck",
    "specialist": "kept as a specialist: best on some problems, not better on the whole",
    "rejected": "rejected",
    "unparsed": "no candidate: the reply was none of the edits that are possible",
    "nothing": "no candidate: nothing to propose",
    "known": "no candidate: it was tried before",
    "stopped": "the budget ended in the middle",
}


def save_page(
    title: str,
    facts: Mapping[str, str],
    runs: Sequence[Sequence[Entry]],
    problems: Mapping[str, Problem],
    path: Path,
    picture: Path | None = None,
) -> Path:
    """Write the page; the picture goes into it. `runs` are one a seed, `problems` are by id."""
    body = [_table(runs)]
    for seed, run in enumerate(runs):
        if len(runs) > 1:
            body.append(f"<h2>Run {seed + 1}</h2>")
        body += ["<h2>Policy</h2>", _policy(run), "<h2>Iterations</h2>", *_iterations(run)]
        body += ["<h2>Problems</h2>", *_problems(run, problems)]
    return write_page(path, title, "language policy", facts, picture, body)


def _table(runs: Sequence[Sequence[Entry]]) -> str:
    rows = []
    for point in curve(runs):
        those = [run[point.iteration] for run in runs if len(run) > point.iteration]
        cells = [
            str(point.iteration),
            ", ".join(f"{i.kind}: {i.decision}" for i in those),
            "; ".join(in_words(i.validation) for i in those if i.validation),
            _in_percent(point.accuracy),
            f"{point.tokens:,.0f}",
        ]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    heads = ("iteration", "proposal", "candidate on validation", "incumbent in %", "tokens so far")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Iterations"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="soft">With 95 % intervals: over validation problems, or over several runs. '
        "They are the figures that candidates were chosen by, which flatters: judge the policy on other problems.</p>"
    )


def _in_percent(found: Interval) -> str:
    if math.isnan(found.mean):
        return "not measured"
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def in_words(c: Comparison) -> str:
    """A comparison on one line."""
    return f"{100 * c.candidate:.1f} against {100 * c.other:.1f} % ({c.wins} better, {c.losses} worse, p = {c.p:.2f})"


def policies_of(run: Sequence[Entry]) -> dict[str, LanguagePolicy]:
    """Every policy of a run by its id, the start first."""
    return {i.policy.id: i.policy for i in run if i.policy is not None}


def _policy(run: Sequence[Entry]) -> str:
    changes = diff(LanguagePolicy(), policies_of(run)[run[-1].incumbent])
    text = "\n".join(changes) or "The prompt of the task, unchanged."
    return f"<pre>{escape(text)}</pre>"


def _iterations(run: Sequence[Entry]) -> list[str]:
    known, body = policies_of(run), []
    for i in run:
        said = (
            _DECISIONS.get(i.decision, i.decision)
            if i.iteration
            else "the policy to start from, on the validation split"
        )
        inside = [f"<p>{escape(said)}. {escape(i.note)}</p>"]
        if i.proposal is not None:
            inside.append(f"<p>{escape(i.proposal.why)}</p>")
        if i.iteration and i.policy is not None and i.parents:
            inside.append(f"<pre>{escape(chr(10).join(diff(known[i.parents[0]], i.policy)))}</pre>")
        for label, found in (("minibatch", i.minibatch), ("validation", i.validation)):
            if found is not None:
                inside.append(f"<p>On the {label}: {escape(in_words(found))}, {found.problems} problems.</p>")
        if i.proposal is not None and i.proposal.notes:
            notes = "".join(
                f"<li>{_badge(n.verdict)} {escape(n.text or n.error or '(nothing)')} "
                f'<a href="#p{escape(n.problem)}">{escape(n.problem)}</a></li>'
                for n in i.proposal.notes
            )
            inside.append(f"<h3>Evaluations</h3><ul>{notes}</ul>")
            inside.append(f"<h3>What they have in common</h3><pre>{escape(i.proposal.lesson)}</pre>")
            inside.append(f"<h3>Reply</h3><pre>{escape(i.proposal.raw)}</pre>")
        spent = ", ".join(f"{name} {tokens:,}" for name, tokens in i.phases.items())
        inside.append(f'<p class="soft">{i.tokens:,} tokens ({escape(spent)}), {i.calls:,} calls</p>')
        name = f"{i.iteration}. {i.kind or 'nothing'}: {i.decision}"
        body.append(f'<details><summary>{escape(name)}</summary><div class="in">{"".join(inside)}</div></details>')
    return body


def _problems(run: Sequence[Entry], problems: Mapping[str, Problem]) -> list[str]:
    rolled: dict[str, list[Rollout]] = {}
    for i in run:
        for r in i.rollouts:
            rolled.setdefault(r.problem, []).append(r)
    order = {name: number for number, name in enumerate(policies_of(run))}
    body = []
    for name, attempts in list(rolled.items())[:_MOST_PROBLEMS]:
        problem = problems.get(name)
        asked = problem.question if problem else name
        badges = "".join(_badge(r.verdict, f"policy {order.get(r.policy, '?')}: {r.verdict}") for r in attempts)
        inside = [f"<pre>{escape(asked)}</pre>"]
        if problem and problem.reference is not None:
            inside.append(f"<p>Reference: {escape(problem.reference[:500])}</p>")
        for r in attempts:
            inside.append(
                f'<div class="run"><h3>Policy {order.get(r.policy, "?")}, answer {r.index + 1} {_badge(r.verdict)}</h3>'
                f"<pre>{escape(r.text)}</pre><p class='soft'>{escape(r.reason)}</p></div>"
            )
        body.append(
            f'<details class="problem" id="p{escape(name)}"><summary>{escape(asked[:160])}'
            f'<div class="verdicts">{badges}</div></summary><div class="in">{"".join(inside)}</div></details>'
        )
    if len(rolled) > _MOST_PROBLEMS:
        body.append(f'<p class="soft">{len(rolled) - _MOST_PROBLEMS} more are in the log.</p>')
    return body


def _badge(verdict: str, text: str = "") -> str:
    kind = verdict if verdict in ("right", "wrong") else ""
    return f'<span class="badge {kind}">{escape(text or verdict)}</span>'
