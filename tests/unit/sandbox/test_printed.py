"""Whole programs against what they read and must print."""

# ruff: noqa: E501  (programs in strings)

from __future__ import annotations

import pytest

from nlrl.core import CodeTests, InputOutput
from nlrl.sandbox import Limits, Sandbox, TestOutcome, run_code_tests
from nlrl.sandbox.printed import complaint

SUM = "n = int(input())\nprint(sum(map(int, input().split())))"
PAIRS = (InputOutput("2\n1 2\n", "3\n"), InputOutput("3\n1 2 3\n", "6\n"))


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [
        ("1 2\n3\n", "1 2\n3", ("exact", "tokens", "numbers")),
        ("1 2  \n3\n\n\n", "1 2\n3", ("exact", "tokens", "numbers")),
        ("1  2\n3", "1 2\n3", ("tokens", "numbers")),
        ("1\n2\n3", "1 2 3", ("tokens", "numbers")),
        ("0.50", "0.5", ("numbers",)),
        ("3.0", "3", ("numbers",)),
        ("3.0000001", "3", ()),
        ("3.0000001", "3.0", ("numbers",)),
        ("3.1", "3.0", ()),
        ("1e3", "1000.0", ("numbers",)),
        ("1000000007", "1000000008", ()),
        ("9007199254740993", "9007199254740992", ()),
        ("yes", "YES", ()),
        ("1 2", "1 2 3", ()),
        ("1 2 3", "1 2", ()),
        ("", "1", ()),
        ("nan", "nan", ("exact", "tokens", "numbers")),
        ("nan", "1.0", ()),
        ("inf", "1.0", ()),
        ("1_000", "1000", ()),
        ("٣", "3", ()),
        ("9" * 5000, "1.0", ()),
        ("1e99999", "1.0", ()),
    ],
)
def test_comparisons(printed: str, wanted: str, same: tuple[str, ...]) -> None:
    for compare in ("exact", "tokens", "numbers"):
        test = InputOutput("", wanted, compare)  # type: ignore[arg-type]
        assert (complaint(printed, test) == "") is (compare in same), compare


def test_a_tolerance_of_nothing() -> None:
    assert complaint("0.3333333", InputOutput("", "0.33333333", tolerance=0.0))
    assert not complaint("0.330", InputOutput("", "0.33", tolerance=0.0))


def test_whole_programs(sandbox: Sandbox) -> None:
    assert run_code_tests(SUM, CodeTests(PAIRS), sandbox=sandbox).passed
    wrong = run_code_tests("input()\nprint(3)", CodeTests(PAIRS), sandbox=sandbox)
    assert [r.outcome for r in wrong.results] == [TestOutcome.PASSED, TestOutcome.FAILED]
    assert wrong.results[1].message == "got '3', expected '6' (word 1)"
    assert wrong.results[1].name == "input '3 1 2 3'"


def test_a_main_guard_is_run_here_and_standard_input_may_be_read_in_any_way(sandbox: Sandbox) -> None:
    program = "import sys\ndef main():\n    data = sys.stdin.buffer.read().split()\n    print(sum(map(int, data[1:])))\nif __name__ == '__main__':\n    main()\n    sys.exit(0)"
    assert run_code_tests(program, CodeTests(PAIRS), sandbox=sandbox).passed
    assert run_code_tests("print(sum(map(int, open(0).read().split()[1:])))", CodeTests(PAIRS), sandbox=sandbox).passed


def test_what_went_wrong_is_told(sandbox: Sandbox) -> None:
    def outcome(program: str) -> tuple[TestOutcome, str]:
        result = run_code_tests(program, CodeTests(PAIRS), limits=Limits(wall_s=1, cpu_s=1), sandbox=sandbox).results[0]
        return result.outcome, result.message

    assert outcome("1 / 0") == (TestOutcome.ERROR, "program: ZeroDivisionError: division by zero")
    assert outcome("def f(")[0] is TestOutcome.ERROR
    assert outcome("print(3)\nraise SystemExit(4)") == (TestOutcome.ERROR, "program: exit code 4")
    assert outcome("print('x' * 10**7)") == (TestOutcome.ERROR, "it printed too much")
    assert outcome("while True: pass")[0] is TestOutcome.TIMEOUT


def test_a_hanging_program_costs_its_limit_once(sandbox: Sandbox) -> None:
    tests = CodeTests(tuple(InputOutput(str(i), "1") for i in range(50)))
    report = run_code_tests("while True: pass", tests, limits=Limits(wall_s=1, cpu_s=1), sandbox=sandbox)
    assert {r.outcome for r in report.results} == {TestOutcome.TIMEOUT}
    assert report.seconds < 5


def test_statements_and_pairs_keep_their_order(sandbox: Sandbox) -> None:
    program = "def f(x): return x\nif __name__ == '__main__': print(f(input()))"
    tests = CodeTests(("assert f(1) == 1", InputOutput("a", "a"), "assert f(2) == 3", InputOutput("b", "c")))
    report = run_code_tests(program, tests, sandbox=sandbox)
    P, F = TestOutcome.PASSED, TestOutcome.FAILED
    assert [r.outcome for r in report.results] == [P, P, F, F]


def test_a_prelude_is_run_before_the_program(sandbox: Sandbox) -> None:
    tests = CodeTests(
        ("assert f([1]) == 1", InputOutput("", "5")), prelude="from typing import *\nfrom math import *\n"
    )
    program = "def f(x: List[int]) -> int: return floor(x[0])\nif __name__ == '__main__': print(floor(5.5))"
    assert run_code_tests(program, tests, sandbox=sandbox).passed
    (failed, _) = run_code_tests("1 / 0", tests, sandbox=sandbox).results
    assert "line 1 of the program" in failed.message


def test_public_pairs(sandbox: Sandbox) -> None:
    tests = CodeTests(PAIRS, public=PAIRS[:1])
    assert run_code_tests("print(3)", tests, which="public", sandbox=sandbox).passed
    assert not run_code_tests("print(3)", tests, sandbox=sandbox).passed
