"""The part of the page that opens on demand: each problem's attempts as JSON, small enough for a browser.

A text that several strategies share is stored once. A run too big for a page loses, step by step, the gists, the ends
of long texts and the later attempts of each strategy; what was left out is said, and records.jsonl has it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nlrl.evaluation.records import PANEL, Attempt, Record
from nlrl.strategies import todays_name

MOST_BYTES = 20_000_000  # of details: a browser opens that without a pause
_PREVIEW = 1000  # characters of a question that the list can search


@dataclass(frozen=True)
class _Limits:
    text: int | None
    attempts: int | None
    gists: bool


_STEPS = (
    _Limits(None, None, True),
    _Limits(None, None, False),
    _Limits(4000, None, False),
    _Limits(1000, None, False),
    _Limits(1000, 16, False),
    _Limits(400, 8, False),
    _Limits(200, 2, False),
)


def in_script(data: Any) -> str:
    """JSON that cannot end its script element, whatever strings are in it."""
    text = msgspec.json.encode(data).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def problem_index(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the list shows and searches: one entry per problem, with each strategy's verdict."""
    entries = []
    for group in _by_problem(records):
        p = group[0].problem
        verdicts = [[todays_name(r.strategy), _verdict(r)] for r in group if r.strategy != PANEL]
        entries.append(
            {
                "row": group[0].row,
                "domain": p.domain,
                "q": _short(p.question, _PREVIEW),
                "ref": _short(p.reference or "", 60),
                "v": verdicts,
            }
        )
    return entries


def detail_scripts(records: Sequence[Record], most_bytes: int = MOST_BYTES) -> tuple[str, str]:
    """One inert script element per problem, and a note on what had to be left out (empty if nothing)."""
    groups = _by_problem(records)
    scripts: list[str] = []
    for step, limits in enumerate(_STEPS):
        scripts = []
        size = 0
        for group in groups:
            body = in_script(_problem(group, limits))
            size += len(body)
            if size > most_bytes:
                break
            scripts.append(f'<script type="application/json" id="p{group[0].row}">{body}</script>')
        else:
            return "\n".join(scripts), _note(limits) if step else ""
    missing = len(groups) - len(scripts)
    return "\n".join(scripts), f"{_note(_STEPS[-1])} The last {missing} problems have no details here at all."


def _note(limits: _Limits) -> str:
    left = ["gists"]
    if limits.text:
        left.append(f"text beyond {limits.text} characters")
    if limits.attempts:
        left.append(f"all but {limits.attempts} attempts of each strategy")
    return f"To keep this page small it leaves out: {', '.join(left)}. Everything is in records.jsonl."


def _problem(group: Sequence[Record], limits: _Limits) -> dict[str, Any]:
    p = group[0].problem
    places: dict[Any, int] = {}
    bodies: list[dict[str, Any]] = []
    strategies_first = sorted(group, key=lambda r: r.strategy == PANEL)
    runs = [_run(record, limits, places, bodies) for record in strategies_first]
    return {
        "id": p.id,
        "source": p.source,
        "question": _cut(p.question, limits)[0],
        "choices": p.choices,
        "reference": p.reference,
        "prompt": [(role, _cut(text, limits)[0]) for role, text in group[0].messages],
        "bodies": bodies,
        "runs": runs,
    }


def _run(record: Record, limits: _Limits, places: dict[Any, int], bodies: list[dict[str, Any]]) -> dict[str, Any]:
    answer, usage = record.answer, record.usage
    chosen = answer.chosen if answer else None
    shown = list(record.attempts)
    if limits.attempts is not None:
        first = shown[: limits.attempts]
        shown = first + [a for a in shown[limits.attempts :] if a.id == chosen]
    attempts = []
    for a in shown:
        key = (a.text, a.answer, a.verdict, a.reasoning)
        if key not in places:
            places[key] = len(bodies)
            bodies.append(_body(a, limits))
        attempts.append(
            {
                "id": a.id,
                "body": places[key],
                "score": a.score if a.score is None else round(a.score, 3),
                "why": a.score_reason[:300],
                "parents": a.parents,
            }
        )
    return {
        "strategy": todays_name(record.strategy),
        "answered": answer is not None,
        "verdict": "" if record.strategy == PANEL else _verdict(record),
        "value": _short(answer.value, 1000) if answer and answer.value is not None else None,
        "reason": answer.reason[:500] if answer else "",
        "notes": answer.notes if answer else (),
        "why": _why(record),
        "error": f"{record.error.kind}: {record.error.message}" if record.error else "",
        "spent": (
            f"Spent: {usage.total.tokens:,} tokens on {usage.total.calls} draw{'s' * (usage.total.calls != 1)}, "
            f"longest chain {usage.critical_path_tokens:,} tokens, {usage.seconds:.1f} s here"
        ),
        "chosen": chosen,
        "attempts": attempts,
        "left": len(record.attempts) - len(shown),
    }


def _body(a: Attempt, limits: _Limits) -> dict[str, Any]:
    text, cut = _cut(a.text, limits)
    reasoning, cut_too = _cut(a.reasoning, limits)
    return {
        "text": text,
        "cut": cut + cut_too,
        "reasoning": reasoning,
        "answer": None if a.answer is None else _short(a.answer, 1000),
        "verdict": a.verdict,
        "reason": a.reason[:500],
        "tokens": a.tokens,
        "finish": a.finish,
        "strict": a.strict,
        "gists": list(a.pieces()) if limits.gists else [],
    }


def _why(record: Record) -> str:
    """Why this answer: who agrees with it, how the verifier ranks it, and why the strategy stopped."""
    answer = record.answer
    if not answer:
        return ""
    parts = []
    place = next((i for i, a in enumerate(record.attempts) if a.id == answer.chosen), None)
    if place is None:
        parts.append("No attempt was chosen" if answer.chosen is None else f"Chosen: {answer.chosen}")
    else:
        chosen = record.attempts[place]
        parts.append(f"Chosen: {chosen.id}")
        label = record.classes[place] if place < len(record.classes) else -1
        if label >= 0 and len(record.attempts) > 1:
            parts.append(f"{record.classes.count(label)} of {len(record.attempts)} attempts agree with it")
        scores = [a.score for a in record.attempts if a.score is not None]
        if chosen.score is not None and len(scores) > 1:
            parts.append(f"its score {chosen.score:.2f} is number {1 + sum(s > chosen.score for s in scores)}")
    if answer.confidence is not None:
        parts.append(f"confidence {answer.confidence:.2f}")
    return f"{'; '.join(parts)}; stopped: {answer.stopped}."


def _verdict(record: Record) -> str:
    if record.error:
        return "failed"
    return record.answer.verdict if record.answer else ""


def _by_problem(records: Sequence[Record]) -> list[list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.problem.id, []).append(record)
    return list(groups.values())


def _cut(text: str, limits: _Limits) -> tuple[str, int]:
    if limits.text is None or len(text) <= limits.text:
        return text, 0
    return text[: limits.text], len(text) - limits.text


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
