"""What 3,000 answers are read as, and what a short text states, is what it was: a change is seen before it is meant.

python tests/unit/answers/test_same_readings.py        # writes the files anew, where a change is meant
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction
from pathlib import Path

from nlrl.answers._phrases import dates, words
from nlrl.answers.forms import read
from nlrl.answers.forms.shapes import Scalar
from nlrl.answers.short_text import same_answer

HERE = Path(__file__)
PAIRS = HERE.parents[3] / "benchmarks" / "data" / "equivalence_pairs.jsonl"
TRICKS = HERE.parents[3] / "benchmarks" / "data" / "grader_tricks.json"
READINGS = HERE.parents[2] / "data" / "readings.txt"
STATED = HERE.parents[2] / "data" / "stated.txt"
STATEMENTS = (
    "{r}", "The answer is {r}.", "{r}, I think", "It is {r} ({o}'s rival)", "{r} or {o}", "{o}, not {r}", "Not {r}",
    "{r} was the first of them, in 1921.", "{o} and {r}", "Everybody knows {o}; still, it was {r}.",
    "I doubt it is {r}.",
    "{r}'s brother", "the {r}", "{r} Smith", "{o}", "{o} {r}", "Both {r} and {o} are said to be right", "{r}; {r}",
    "Was it {r}?", "If anybody, {r}.", "{r}, who died on the 3rd of May 1840, was it.", "It used to be {o}, now {r}.",
    "As far as is known, {q} {r}.", "{q} {r}", "{o}. {r}.", "{r} (not {o})", "Neither {r} nor {o}", "{r}!", "~{r}",
    "more than {r}", "about {r}", "{r} percent", "3 {r}", "{r} of {o}", "mister {r}", "{r}, {r} and {r}",
)  # fmt: skip


def plain(value):
    """A value without any order that sets have by chance, and fractions as far as all machines agree."""
    match value:
        case Scalar():
            known = [plain(r) for r in value.reals]
            parts = [value.exact, value.node, value.unit, value.decimals, value.digits, value.fingerprint]
            return ["scalar", *map(plain, parts), plain(value.names), plain(value.integers), known]
        case float():
            return f"{round(value, 9) + 0.0:.6g}"  # what is left of a zero is another one elsewhere
        case complex():
            return [plain(value.real), plain(value.imag)]
        case Fraction():
            return [plain(value.numerator), plain(value.denominator)]
        case bool() | None | str():
            return value
        case int():
            return hex(value)
        case frozenset() | set():
            return sorted(map(str, map(plain, value)))
        case dict():
            return sorted((str(k), plain(v)) for k, v in value.items())
        case list() | tuple():
            return [plain(v) for v in value]
    if dataclasses.is_dataclass(value):
        return [type(value).__name__, *(plain(getattr(value, f.name)) for f in dataclasses.fields(value))]
    return str(value)


def texts() -> list[str]:
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    return list(dict.fromkeys(row[side] for row in rows for side in ("a", "b")))


def digest(value) -> str:
    return hashlib.sha256(json.dumps(plain(value), ensure_ascii=False).encode()).hexdigest()[:8]


def stated() -> list[str]:
    """Which rule takes a statement for the reference, or "-"; with what the statement's words and dates are."""
    out = []
    for row in json.loads(TRICKS.read_text("utf-8"))["problems"]:
        for statement in STATEMENTS:
            asked = row["question"].rstrip("?")
            text = statement.format(r=row["reference"], o=row["others"][0], q=asked)
            rule = same_answer(row["question"], text, [row["reference"]])
            out.append(f"{rule or '-'} {digest([words(text), list(dates(text))])}")
    return out


def test_answers_are_read_as_they_were() -> None:
    kept, now = READINGS.read_text("utf-8").split(), texts()
    assert len(kept) == len(now) > 2000
    assert [text for text, hashed in zip(now, kept, strict=True) if digest(read(text)) != hashed] == []


def test_statements_are_taken_as_they_were() -> None:
    kept = STATED.read_text("utf-8").splitlines()
    assert {line.rpartition(" ")[0] for line in kept} > {"-"}
    assert [pair for pair in zip(stated(), kept, strict=True) if pair[0] != pair[1]] == []


if __name__ == "__main__":
    READINGS.write_text("\n".join(digest(read(text)) for text in texts()) + "\n", "utf-8")
    STATED.write_text("\n".join(stated()) + "\n", "utf-8")
