"""Rows whose tests are pairs of input and output: which are public, which hidden, and how the program is called."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from nlrl.core import DataError, TaskType
from nlrl.tasks import load_problems
from nlrl.tasks.rows import problem_of


def packed(cases: list[dict[str, str]]) -> str:
    """As LiveCodeBench packs its private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


STARTER = "class Solution:\n    def total(self, nums: List[int], k: int) -> int:\n        "
CALLS = [{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]
HIDDEN = [{"input": "[]\n1", "output": "1", "testtype": "functional"}]


def lcb(**more: Any) -> dict[str, Any]:
    return {
        "question_title": "Total", "question_content": "Add all.", "platform": "leetcode", "starter_code": STARTER,
        "public_test_cases": json.dumps(CALLS), "private_test_cases": json.dumps(HIDDEN),
        "metadata": json.dumps({"func_name": "total"}), **more,
    }  # fmt: skip


@pytest.mark.parametrize("private", [json.dumps(HIDDEN), packed(HIDDEN)])
def test_livecodebench_calls(private: str) -> None:
    problem = problem_of(lcb(private_test_cases=private))
    assert problem.task_type is TaskType.CODING
    assert problem.question.startswith("Add all.") and STARTER.strip() in problem.question
    assert problem.tests is not None and problem.tests.entry_point == "Solution"
    assert problem.tests.public == ("assert Solution().total([1, 2], 3) == 6",)
    assert problem.tests.checks == (*problem.tests.public, "assert Solution().total([], 1) == 1")


def test_private_tests_are_unpacked_without_running_anything() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return print, ("ran",)

    text = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(DataError, match="private_test_cases"):
        problem_of(lcb(private_test_cases=text))
    with pytest.raises(DataError, match="private_test_cases"):
        problem_of(lcb(private_test_cases="%%%"))


def test_apps_calls() -> None:
    pairs = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], 7]}
    row = {
        "question": "Add.",
        "input_output": json.dumps(pairs),
        "starter_code": "\ndef add(a, b):\n\t",
        "solutions": "[]",
    }
    problem = problem_of(row)
    assert problem.tests is not None and problem.tests.public == () and problem.tests.entry_point == "add"
    assert problem.tests.checks == ("assert add(1, 2) in ([3], 3)", "assert add(3, 4) == 7")
    assert "def add(a, b):" in problem.question


@pytest.mark.parametrize(
    ("row", "checks"),
    [
        (
            {"question": "Write `add(a, b)`.", "test_cases": [{"input": [1, 3], "expected": 4}]},
            ["assert add(1, 3) == 4"],
        ),
        (
            {"problem": "Reverse it.", "answer": "def rev(s): return s[::-1]",
             "test_cases": [{"input": "ab", "expected": "ba"}]},
            ["assert rev('ab') == 'ba'"],
        ),
        (
            {"problem": "Search.", "answer": "def find(arr, target): ...",
             "test_cases": [{"input": {"arr": [1, 2], "target": 2}, "expected": 1}]},
            ["assert find(arr=[1, 2], target=2) == 1"],
        ),
        (
            {"problem": "Sort.", "answer": "def srt(xs):\n    return sorted(xs)",
             "test_cases": [{"input": [3, 1, 2], "expected": [1, 2, 3]}]},
            ["assert srt([3, 1, 2]) == [1, 2, 3]"],
        ),
        (
            {"problem": "Sort.", "entry_point": "srt",
             "test_cases": [{"input": [3, 1], "output": [1, 3]}, {"input": [2], "output": [2]}]},
            ["assert srt([3, 1]) == [1, 3]", "assert srt([2]) == [2]"],
        ),
        (
            {"problem": "Write a function named twice.", "test_cases": '[{"input": 4, "expected_output": 8}]'},
            ["assert twice(4) == 8"],
        ),
    ],
)  # fmt: skip
def test_test_cases_call_a_function(row: dict[str, Any], checks: list[str]) -> None:
    problem = problem_of(row)
    assert problem.tests is not None and list(problem.tests.checks) == checks
    assert problem.tests.entry_point and problem.tests.entry_point in problem.question
    assert problem.reference is None or "def" in problem.reference


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "Do it.", "test_cases": [{"input": [1], "expected": 2}]}, "entry_point"),
        ({"question": "Do `f(x)`.", "test_cases": [{"in": [1], "expected": 2}]}, "'input'.*in, expected"),
        ({"question": "Do `f(x)`.", "test_cases": [{"input": [1]}]}, "expected"),
        ({"question": "Do `f(x)`.", "test_cases": "f(1) is 2"}, "test_cases"),
        ({"question": "Add.", "input_output": "{}"}, "input_output"),
        ({"question": "Add.", "input_output": json.dumps({"inputs": ["1"], "outputs": []})}, "1 inputs and 0 outputs"),
        (lcb(public_test_cases="[]", private_test_cases="[]"), "no tests"),
    ],
)
def test_pairs_that_cannot_be_used_are_errors(row: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        problem_of(row)


def test_no_test_cases_are_none() -> None:
    data = load_problems([{"question": "Write a sentence.", "answer": "I run.", "test_cases": []}])
    assert data.problems[0].tests is None and data.problems[0].reference == "I run."
