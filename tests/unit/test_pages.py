"""Pages that say where something is and what shows it: every file and every test they name is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/requirements.md",
    "docs/explanation/threat-model.md",
    "docs/explanation/privacy.md",
    "docs/explanation/research_integration.md",
    "docs/explanation/glossary.md",
    "docs/explanation/speed_and_scale.md",
)
TOP = "src|tests|benchmarks|deploy|docs|scripts|examples|\\.ci|\\.github"
NAMED = re.compile(rf"`((?:{TOP})/[\w./*-]*)(?:::(\w+))?`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
# the documents' own numbers, in their order
SECTIONS = (
    "1", "2", "3", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "5.1", "5.2", "5.3", "5.4", "6.1", "6.2", "6.3",
    "7", "8", "9", "9.1", "9.2", "9.3", "9.4", "9.5", "10", "11", "12.1", "12.2", "13.1", "13.2", "13.3", "14", "15",
    "16",
)  # fmt: skip
GUIDE = (
    "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "2.1.1", "2.2.1", "2.3.1", "2.4.1", "3.1", "4.1", "4.2",
    "5", "6.1", "6.2", "7",
)  # fmt: skip


@cache
def functions_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_test_that_a_page_names_is_there(page: str) -> None:
    named = set(NAMED.findall((ROOT / page).read_text(encoding="utf-8")))
    assert named, "a page without a single path is none of these"
    for path, test in sorted(named):
        assert list(ROOT.glob(path.rstrip("/"))), f"{page} names {path}"
        assert not test or test in functions_in(ROOT / path), f"{page} names {path}::{test}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    for target, heading in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if heading:
            assert heading in headings(file), f"{page} links to {target}#{heading}"


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_every_section_of_both_documents_has_its_lines() -> None:
    page = (ROOT / "docs/requirements.md").read_text(encoding="utf-8")
    requirement, guide = page.split("## The implementation guide")
    for text, sections in ((requirement, SECTIONS), (guide, GUIDE)):
        firsts = " ".join(re.findall(r"^(?:#+|\|) \**([\d.]+[^|]*)", text, re.MULTILINE))
        numbers = set(re.findall(r"\d+(?:\.\d+)*", firsts))
        assert set(sections) <= numbers, sorted(set(sections) - numbers)


def test_every_line_says_how_it_stands() -> None:
    page = (ROOT / "docs/requirements.md").read_text(encoding="utf-8").split("## Deviations")[0]
    rows = [row for row in page.splitlines() if re.match(r"\| \**\d", row)]
    states = r"met|partly|no software|deviation|built|kept to|as 5\.3"
    assert len(rows) > 120
    for row in rows:
        assert re.search(states, row.split("|")[2].replace("*", "")), row
