"""Rows, questions and problems: each is a problem."""

from __future__ import annotations

import pytest

from nlrl.core import DataError, Problem, TaskType, UserError
from nlrl.tasks import as_problem


def test_each_way_to_say_it():
    asked = Problem("What is 2 + 2?", reference="4", task_type=TaskType.MATH)
    assert as_problem(asked) is asked
    assert as_problem("What is 2 + 2?").task_type is TaskType.MATH
    for name in ("question", "problem"):
        assert as_problem({name: "What is 2 + 2?", "answer": "4"}) == asked


def test_the_tests_of_a_row_decide_a_program_only():
    cases = [{"input": [1, 3], "expected": 4}]
    row = {"problem": "Solve the sum of 1 + 3.", "answer": "4", "test_cases": cases}
    assert (as_problem(row).task_type, as_problem(row).tests) == (TaskType.MATH, None)
    row = {"problem": "Write a Python function that adds two numbers.", "test_cases": cases}
    problem = as_problem(row)
    assert problem.tests is not None and problem.tests.entry_point == "solution"
    assert "`solution`" in problem.question
    row["answer"] = "def plus(a, b): return a + b"
    assert as_problem(row).tests.entry_point == "plus"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "empty", ["", "  ", {"question": "Write f(x).", "entry_point": "f", "test_cases": [{}]}, {"answer": "4"}, 7, None]
)
def test_what_asks_nothing_is_refused(empty: object):
    with pytest.raises((UserError, DataError)):
        as_problem(empty)  # type: ignore[arg-type]


def test_a_list_of_nothing_is_no_choice():
    row = {"choices": [None], "question": "Is it so?", "answer": False}
    assert (as_problem(row).choices, as_problem(row).reference) == ((), "no")
