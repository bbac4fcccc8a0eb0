"""docs/reference/answers.md says what is read and what is equal: each of its rows is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nlrl.answers import default_equivalence, extract_answer
from nlrl.core import Problem, TaskType

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "answers.md"
_PAIR = re.compile(r"`([^`]+)` = `([^`]+)`")


def _pairs() -> list[tuple[str, str, bool]]:
    section = PAGE.read_text(encoding="utf-8").split("## Comparing")[1].split("\n## ")[0]
    out = []
    for line in section.splitlines():
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        if len(cells) in (3, 4):
            for cell, equal in ((cells[-2], True), (cells[-1], False)):
                out += [(a.replace(r"\|", "|"), b.replace(r"\|", "|"), equal) for a, b in _PAIR.findall(cell)]
    return out


@pytest.mark.skipif(not PAGE.exists(), reason="the page is part of a source checkout")
def test_every_row_of_the_page_on_comparing() -> None:
    pairs = _pairs()
    assert len(pairs) > 120
    equal = default_equivalence().equal_sync
    assert [p for p in pairs if (equal(p[0], p[1]), equal(p[1], p[0])) != (p[2], p[2])] == []


CITIES = ("Paris", "London", "Rome", "Berlin")
_READERS = {
    "Which part of the text": Problem("?", task_type=TaskType.MATH),
    "The value in a statement": Problem("?", task_type=TaskType.MATH),
    "Words": Problem("?", task_type=TaskType.COMMONSENSE),
    "Options": Problem("?", task_type=TaskType.COMMONSENSE, choices=CITIES),
}
_CODE = re.compile(r"\s*`(.*)`\s*")


def _readings() -> list[tuple[str, str, str]]:
    """(heading, text, answer) of the rows on reading."""
    section = PAGE.read_text(encoding="utf-8").split("## Reading")[1].split("\n## ")[0]
    out = []
    for part in section.split("\n### ")[1:]:
        heading, _, body = part.partition("\n")
        for line in body.splitlines():
            cells = [_CODE.fullmatch(cell) for cell in re.split(r"(?<!\\)\|", line)[2:-1]]
            if len(cells) == 2 and cells[0] and cells[1]:
                text, answer = (cell.group(1).replace("⏎", "\n").replace(r"\|", "|") for cell in cells if cell)
                out.append((heading, text, answer))
    return out


@pytest.mark.skipif(not PAGE.exists(), reason="the page is part of a source checkout")
def test_every_row_of_the_page_on_reading() -> None:
    rows = _readings()
    assert len(rows) > 45 and {heading for heading, *_ in rows} == set(_READERS)
    read = [(heading, text, extract_answer(text, _READERS[heading]).answer) for heading, text, _ in rows]
    assert read == rows
