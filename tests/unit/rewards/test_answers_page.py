"""docs/reference/answers.md says what is read and what is equal: each of its rows is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nlrl.rewards import default_equivalence

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
