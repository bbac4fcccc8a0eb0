"""The marks of a benchmark, its RESULT line, and that every script ends with it."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from equipment.marks import Marks

SCRIPTS = sorted((Path(__file__).parents[3] / "benchmarks").glob("*.py"))


def result_of(capsys) -> dict:
    return json.loads(capsys.readouterr().out.rpartition("RESULT ")[2])


@pytest.mark.parametrize(
    ("figure", "bounds", "met"),
    [
        (True, {}, True),
        (False, {}, False),
        (None, {}, False),
        (np.bool_(True), {}, True),
        (0.97, {"at_least": 0.97}, True),
        (0.969, {"at_least": 0.97}, False),
        (3, {"at_most": 3}, True),
        (4, {"at_most": 3}, False),
        (0.0, {"above": 0}, False),
        (1e-3, {"above": 0}, True),
        (2.0, {"below": 2}, False),
        (0, {"equal_to": 0}, True),
        (1, {"equal_to": 0}, False),
        (0.74, {"above": 0.735, "below": 0.745}, True),
        (0.75, {"above": 0.735, "below": 0.745}, False),
        (float("nan"), {"at_least": 0}, False),
        (float("nan"), {"at_most": 0}, False),
        (None, {"above": 0}, False),
    ],
)
def test_a_mark_is_met_by_its_figure(figure, bounds, met, capsys):
    marks = Marks("some")
    assert marks.exact("it", figure, **bounds) is met
    assert marks.result() == (0 if met else 1)
    assert result_of(capsys)["marks"]["it"]["met"] is met


def test_the_line_says_which_marks_depend_on_a_clock(capsys):
    marks = Marks("some", quick=True)
    marks.exact("lost", 0, equal_to=0)
    marks.timing("seconds", np.float64(61.5), below=60)
    marks.line("a thing seen", True, "so many ms", exact=False)
    assert marks.result(rows=[np.int64(1)]) == 1
    found = result_of(capsys)
    assert found["benchmark"] == "some" and found["quick"] and not found["met"] and found["rows"] == [1]
    assert found["marks"] == {
        "lost": {"met": True, "exact": True, "figure": 0, "mark": "equal to 0"},
        "seconds": {"met": False, "exact": False, "figure": 61.5, "mark": "below 60"},
        "a thing seen": {"met": True, "exact": False, "figure": True, "mark": "holds"},
    }


def test_a_name_is_told_once():
    marks = Marks("some")
    marks.exact("it", True)
    with pytest.raises(ValueError, match="twice"):
        marks.timing("it", True)


def test_what_could_not_be_measured_is_not_met(capsys):
    assert Marks("some").skip("there is no data") == 2
    found = result_of(capsys)
    assert found["skipped"] == "there is no data" and "met" not in found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_tells_its_marks_by_this_one_mechanism(script):
    tree = ast.parse(script.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert names & {"Marks", "Bench"}, "print the result by equipment.marks.Marks"
    assert not any(text.lstrip().startswith("RESULT") for text in texts), "the RESULT line is printed by Marks alone"
