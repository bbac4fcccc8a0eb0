"""The marks of a build against the list of known misses and against the last build: what changed, what fails.

Only exact marks decide (see benchmarks/equipment/marks.py): whether a busy machine was too slow is told, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]  # what a script printed behind RESULT
KEPT = ("benchmark", "quick", "marks", "skipped", "seconds", "processor_seconds", "machine")


@dataclass(frozen=True)
class Miss:
    """A mark that is known to be missed. `figure` and `needed` are for the reader; `quick` is the form that misses."""

    script: str
    mark: str
    reason: str
    figure: Any = None
    needed: str = ""
    quick: bool = False


@dataclass(frozen=True)
class Finding:
    """Something to tell of one script; `fails` the build."""

    script: str
    text: str
    fails: bool = False


def form(result: Result) -> tuple[str, bool]:
    """By what a result is found again: its script, and whether it was the quick form."""
    return result["benchmark"], bool(result.get("quick"))


def read_misses(path: Path) -> list[Miss]:
    """The list of known misses. ValueError where an entry lacks its reason or is there twice."""
    import tomllib  # not above: `bootstrap` must be able to say that a Python is too old

    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("miss", [])
    try:
        misses = [Miss(**row) for row in rows]
    except TypeError as error:
        raise ValueError(f"{path}: an entry is not as it must be (script, mark, reason, ...): {error}") from error
    named = [(miss.script, miss.quick, miss.mark) for miss in misses]
    for miss in misses:
        if not miss.reason.strip():
            raise ValueError(f"{path}: {miss.script}, {miss.mark!r}: say the reason")
        if named.count((miss.script, miss.quick, miss.mark)) > 1:
            raise ValueError(f"{path}: {miss.script}, {miss.mark!r} is there twice")
    return misses


def read_results(path: Path) -> dict[tuple[str, bool], dict[str, Any]]:
    """The results of the last build by form; none where there is no file."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return {form(row): row for row in rows}


def write_results(path: Path, results: Iterable[Result]) -> None:
    """A line for each, in a fixed order, without tables: only what the next build is compared with."""
    kept = sorted(({k: r[k] for k in KEPT if k in r} for r in results), key=form)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")


def judge(result: Result, last: Result | None, misses: Iterable[Miss]) -> Iterator[Finding]:
    """Every mark of one result that is not as expected, and every mark that is no longer told."""
    script, marks = result["benchmark"], result.get("marks")
    if result.get("skipped"):
        yield Finding(script, f"SKIPPED: {result['skipped']}")
    if marks is None:
        yield Finding(script, "tells no marks: print its result by equipment.marks.Marks", fails=True)
        return
    listed = {miss.mark: miss for miss in misses if (miss.script, miss.quick) == form(result)}
    for name, mark in marks.items():
        told = f"{name}: {mark['figure']}, mark {mark['mark']}"
        if mark["met"] and name in listed:
            text = f"MET, though listed as missed: {told}. Strike it from the list of known misses"
            yield Finding(script, text, fails=mark["exact"])
        elif not mark["met"] and name in listed:
            yield Finding(script, f"known miss: {told} ({listed[name].reason})")
        elif not mark["met"]:
            text = f"MISSED: {told}" if mark["exact"] else f"missed, which a busy machine may: {told}"
            yield Finding(script, text, fails=mark["exact"])
    if result.get("skipped"):
        return  # what was not there to be measured cannot be told
    for name in listed.keys() - marks.keys():
        yield Finding(script, f"the list of known misses has a mark that is not told: {name}", fails=True)
    for name, mark in (last or {}).get("marks", {}).items():
        if name not in marks and mark["exact"]:
            text = f"GONE: the last build told the exact mark {name!r}. Bring it back, or keep this build's results"
            yield Finding(script, text, fails=True)


def changes(result: Result, last: Result | None) -> Iterator[str]:
    """Figures that are not those of the last build, a line each."""
    if last is None:
        yield "new: there is nothing to compare with"
        return
    for name, mark in result.get("marks", {}).items():
        before = last.get("marks", {}).get(name)
        if before is None:
            yield f"{name}: new, {mark['figure']}"
        elif before["figure"] != mark["figure"]:
            yield f"{name}: {before['figure']} -> {mark['figure']}{_times(before, mark)}"


def _times(before: Mapping[str, Any], mark: Mapping[str, Any]) -> str:
    """Of a timing, by how much; its digits say little."""
    old, new = before["figure"], mark["figure"]
    if mark["exact"] or not isinstance(old, int | float) or not isinstance(new, int | float) or not old:
        return "" if mark["exact"] else " (timing)"
    return f" (timing, x {new / old:.2f})"
