"""COLLIE: its families become constraints that can be checked, and its file is read without running anything."""

import json
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nlrl.core import DataError, TaskType, UserError
from nlrl.tasks import load_problems
from nlrl.tasks.collie import FAMILIES, constraints_of
from nlrl.verifiers.constraints import check

# Of each family a prompt as COLLIE renders it, its targets in COLLIE's form, a text that meets them, one that does not.
CASES = [
    ("english_c01", "Please generate a word with at least 11 characters.", [11], "lighthouses", "lighthouse"),
    ("english_c02", "Please generate a word:\n1) with exactly 11 characters;\n2) with the 4th, 8th, 11th characters to "
     "be 'h', 'u', 's' respectively.", [11, ["h", "u", "s"]], "lighthouses", "lighthousex"),
    ("english_c03", "Please generate a word:\n1) with exactly 5 characters;\n2) with the last character to be 'z'.",
     [5, "z"], "waltz", "polka"),
    ("ccnews_c04", "Please generate a sentence with exactly 17 characters. Include whitespace into your character "
     "count.", 17, "The sea was calm.", "The sea was rough."),
    ("wiki_c05", "Please generate a sentence:\n1) with exactly 11 words;\n2) with the 4th, 8th, 11th words to be "
     "'ran', 'hill', 'rain' respectively.", [11, ["ran", "hill", "rain"]],
     "The old dog ran up the steep hill in the rain.", "The old dog ran up the steep slope in the rain."),
    ("guten_c06a", "Please generate a sentence:\n1) with at least 5 words;\n2) with all words having at most 6 "
     "characters.", [5, 6], "We sail home at dawn.", "We sail home at daybreak."),
    ("wiki_c07", "Please generate a sentence containing the word 'have', 'rising', 'the'.", ["have", "rising", "the"],
     "Prices have been rising since the war.", "Prices have risen since the war."),
    ("guten_c08", "Please generate a paragraph with all sentences having the 1st word to be 'He'.", "He",
     "He came. He saw.", "He came. She saw."),
    ("ccnews_c09", "Please generate a paragraph:\n1) with exactly 2 sentences;\n2) not containing the word 'the';\n3) "
     "not containing the word 'of';\n4) not containing the word 'is'.", [2, "the", "of", "is"],
     "Rain fell all night. We stayed in.", "Rain fell all night. The town was quiet."),
    ("wiki_c10", "Please generate a paragraph:\n1) with exactly 2 sentences;\n2) with all sentences having at least 3 "
     "words;\n3) with all sentences having at most 5 words.", [2, 3, 5], "We left at noon. It rained all day.",
     "We left at noon. It rained all day and all night."),
    ("guten_c11", "Please generate a paragraph:\n1) with at least 2 sentences;\n2) with all sentences having at least "
     "3 words.", [2, 3], "We left at noon. It rained all day.", "We left at noon. It rained."),
    ("ccnews_c12", "Please generate a paragraph:\n1) with exactly 2 sentences;\n2) with sentences having the last word "
     "to be 'noon', 'rain', respectively.", [2, ["noon", "rain"]], "We left at noon. Then came rain.",
     "We left at noon. Then came snow."),
    ("wiki_c14", "Please generate a passage:\n1) with paragraphs having the last sentence to be 'It was late', 'Nobody "
     "came', respectively;\n2) with all paragraphs having at least 2 sentences.", [["It was late", "Nobody came"], 2],
     "The sun sank. It was late.\n\nWe waited. Nobody came.", "The sun sank. It was late.\n\nNobody came."),
]  # fmt: skip
IDS = [name for name, *_ in CASES]


def row(case):
    name, prompt, targets, *_ = case
    return {"collie": name, "prompt": prompt, "targets": targets}


def meets(text, constraints):
    return all(check(text, constraint)[0] for constraint in constraints)


def test_every_family_is_shown():
    assert {name.split("_")[1] for name in IDS} == set(FAMILIES)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_targets_become_constraints_that_tell_right_from_wrong(case):
    name, _, targets, right, wrong = case
    constraints = constraints_of(name, targets)
    assert meets(right, constraints) and not meets(wrong, constraints)
    assert constraints_of(name.split("_")[1], targets) == constraints


@pytest.mark.parametrize(
    ("name", "targets", "said"),
    [
        ("wiki_c13", [3], "no family"), ("", [3], "no family"), ("wiki_c07", [], "do not fit"),
        ("wiki_c10", [3, 4], "do not fit"), ("wiki_c04", "80", "do not fit"), ("wiki_c04", [True], "do not fit"),
        ("wiki_c05", [11, ["ran", "hill"]], "do not fit"), ("wiki_c12", [2, "rain"], "do not fit"),
        ("wiki_c14", [[1, 2], 2], "do not fit"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit_are_an_error_and_no_constraint_that_counts_as_met(name, targets, said):
    with pytest.raises(DataError, match=said):
        constraints_of(name, targets)


def test_a_file_of_rows(tmp_path):
    path = tmp_path / "collie.jsonl"
    rows = [*map(row, CASES), row(CASES[0]) | {"targets": ["x"]}]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    data = load_problems(path)
    assert len(data) == len(CASES) and len(data.errors) == 1
    assert {p.task_type for p in data} == {TaskType.WRITING} and all(p.reference is None for p in data)
    assert [p.question for p in data] == [case[1] for case in CASES]
    assert "all with constraints" in data.about()


@pytest.fixture
def authors_file(tmp_path):
    """A file like the authors': lists of rows by family, each with an object of their classes, which are not here."""
    module = ModuleType("collie.constraints")
    made = type("Constraint", (), {"__module__": module.__name__})
    module.Constraint = made
    sys.modules["collie"], sys.modules["collie.constraints"] = ModuleType("collie"), module
    try:
        table = {}
        for case in CASES:
            constraint = made()
            constraint.relation, constraint.parts = "==", [made(), made()]
            example = {"example": case[3], "metadata": {"title": "x"}, "constraint": constraint}
            table.setdefault(case[0], []).append(example | {"prompt": case[1], "targets": case[2]})
        data = pickle.dumps(table, protocol=4)
    finally:
        del sys.modules["collie"], sys.modules["collie.constraints"]
    (tmp_path / "collie").mkdir()
    path = tmp_path / "collie" / "all_data.dill"
    path.write_bytes(data)
    return path


def test_the_authors_file_by_name_and_by_path(authors_file, monkeypatch):
    monkeypatch.setenv("NLRL_DATA", str(authors_file.parent.parent))
    named, given = load_problems("collie"), load_problems(authors_file)
    assert [p.id for p in named] == [p.id for p in given] and len(named) == len(CASES) and not named.errors
    assert "MIT" in named.licence
    for problem, case in zip(named, CASES, strict=True):
        assert meets(case[3], problem.constraints) and not meets(case[4], problem.constraints)
    assert "collie" not in sys.modules


def test_without_the_file_it_says_where_it_belongs(tmp_path):
    with pytest.raises(UserError, match=r"collie/all_data\.dill"):
        load_problems("collie", data_root=tmp_path)


class Runs:
    """A pickle that makes a folder where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_the_file_is_run(tmp_path):
    trap, path = str(tmp_path / "trap"), tmp_path / "bad.dill"
    prompt, targets = CASES[0][1:3]
    good = {"prompt": prompt, "targets": targets}
    path.write_bytes(pickle.dumps({"english_c01": [good | {"constraint": Runs(trap)}, Runs(trap)], "x": [Runs(trap)]}))
    assert [p.question for p in load_problems(path)] == [prompt]
    path.write_bytes(pickle.dumps(Runs(trap)))
    with pytest.raises(DataError, match="not the file of COLLIE"):
        load_problems(path)
    for source in (
        b"cbuiltins\neval\n(Vopen('trap','w')\ntR.",
        b"cos\nsystem\n(Vtouch trap\ntR.",
        b"ios\nsystem\nVx\n.",
    ):
        path.write_bytes(source)
        with pytest.raises(DataError):
            load_problems(path)
    assert not Path(trap).exists() and not Path("trap").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\x80\x04N.", b"\x80\x04]\x94.", b"\x80\x04}\x94(K\x01K\x02u.", b"\x80\x04B\xff\xff\xff\x7fab."],
)  # fmt: skip
def test_a_file_that_is_none_is_an_error(tmp_path, content):
    path = tmp_path / "x.dill"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not the file of COLLIE"):
        load_problems(path)


def test_a_torn_file_is_an_error(authors_file):
    whole = authors_file.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        authors_file.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load_problems(authors_file)
