"""Rows whose tests are pairs of input and output: which are public, which hidden, and how the program is called."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from nlrl.core import CodeTests, DataError, InputOutput, Problem, TaskType
from nlrl.tasks import load_problems
from nlrl.tasks.prompts import messages_for
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
    assert problem.tests.checks == ("assert as_json(add(1, 2)) in ([3], 3)", "assert add(3, 4) == 7")
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
            ["assert as_json(srt([3, 1, 2])) == [1, 2, 3]"],
        ),
        (
            {"problem": "Sort.", "entry_point": "srt",
             "test_cases": [{"input": [3, 1], "output": [1, 3]}, {"input": [2], "output": [2]}]},
            ["assert as_json(srt([3, 1])) == [1, 3]", "assert as_json(srt([2])) == [2]"],
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


STDIN = [
    {"input": "1 2\n", "output": "3\n", "testtype": "stdin"},
    {"input": "5 6", "output": "11", "testtype": "stdin"},
]


@pytest.mark.parametrize(
    ("row", "public", "tolerance"),
    [
        (lcb(public_test_cases=json.dumps(STDIN[:1]), private_test_cases=packed(STDIN[1:]), starter_code=""), 1, 0.0),
        ({"question": "Add.", "input_output": {"inputs": ["1 2\n", ["5 6"]], "outputs": ["3\n", ["11"]]}}, 0, 1e-5),
        (
            {"description": "Add.", "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
             "private_tests": {"input": ["5 6"], "output": ["11"]}, "generated_tests": {"input": [], "output": []}},
            1,
            1e-5,
        ),
        (
            {"question": "Add.",
             "test_cases": [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "5 6", "stdout": 11}]},
            0,
            1e-6,
        ),
    ],
)  # fmt: skip
def test_pairs_on_standard_input(row: dict[str, Any], public: int, tolerance: float) -> None:
    problem = problem_of(row)
    assert problem.task_type is TaskType.CODING
    assert problem.tests is not None and problem.tests.entry_point is None
    first, second = problem.tests.checks
    assert first == InputOutput("1 2\n", "3\n", tolerance=tolerance)
    assert second == InputOutput("5 6", "11", tolerance=tolerance)
    assert problem.tests.public == problem.tests.checks[:public]
    assert "standard input" in problem.question


def test_public_pairs_are_shown_where_the_question_does_not() -> None:
    problem = problem_of(lcb(public_test_cases=json.dumps(STDIN[:1]), private_test_cases="[]", starter_code=""))
    assert "input:\n1 2\noutput:\n3" in messages_for(problem)[-1].content
    shown = problem_of(
        lcb(
            public_test_cases=json.dumps(STDIN[:1]),
            private_test_cases="[]",
            starter_code="",
            question_content="1 2 gives 3",
        )
    )
    assert "output:" not in messages_for(shown)[-1].content


def test_ids_of_tests_without_pairs_stay_what_they_were() -> None:
    tests = CodeTests(("assert f(1) == 1",), ("assert f(1) == 1",), "f", "x = 1")
    assert Problem("q", tests=tests).id == "aad345e08f655705"
    assert Problem("q", tests=CodeTests((InputOutput("1", "2"),))).id != Problem("q", tests=CodeTests(())).id
