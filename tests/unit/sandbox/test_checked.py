"""A test that checks nothing never passes: it is run for what it is, or it is an error that says what was missed."""

# ruff: noqa: E501  (tests in strings)
from __future__ import annotations

import re

import pytest

from nlrl.core import CodeTests
from nlrl.sandbox import Sandbox, TestOutcome, TestReport, run_code_tests

RIGHT, WRONG = "def f(x): return x", "def f(x): return x + 1"

RUN_FOR_WHAT_THEY_ARE = {
    "unittest": """
import unittest
class Cases(unittest.TestCase):
    def setUp(self): self.value = 1
    def test_a(self): self.assertEqual(f(self.value), 1)
    def test_b(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertEqual(f(i), i)
if __name__ == '__main__':
    unittest.main()
""",
    "unittest by its long name": """
from unittest import TestCase, main
class F(TestCase):
    def test_a(self):
        self.assertTrue(f(1) == 1)
main()
""",
    "async unittest": """
import unittest
class F(unittest.IsolatedAsyncioTestCase):
    async def test_a(self):
        self.assertEqual(f(1), 1)
""",
    "test class": """
class TestF:
    def setup_method(self): self.want = 1
    def test_a(self): assert f(1) == self.want
    def helper(self): return 3
""",
    "inherited tests": """
class Base:
    def test_a(self): assert f(self.given) == self.given
class TestF(Base):
    given = 5
""",
    "async test": "async def test_a():\n    assert f(1) == 1",
    "functions, set up first": "def setup_module():\n    global want\n    want = 1\ndef test_a():\n    assert f(1) == want",
    "bare comparison": "f(1) == 1",
    "bare comparisons in a function": "def test_a():\n    f(1) == 1\n    f(2) == 2",
    "a bare truth": "all(f(x) == x for x in range(3))",
    "behind the main guard": "if __name__ == '__main__':\n    assert f(1) == 1",
    "a function called behind the main guard": (
        "def run():\n    assert f(1) == 1\n\nif __name__ == '__main__':\n    run()"
    ),
    "a session": ">>> f(1)\n1\n>>> f('a')\n'a'",
    "a session in a docstring": '"""\nTry it.\n\n>>> f(1)\n1\n"""',
    "a docstring of a function": 'def about():\n    """\n    >>> f(1)\n    1\n    """',
    "raising a standard error by itself": "if f(1) == 1:\n    pass\nelse:\n    raise ValueError('no')",
    "swallowed, and remembered": (
        "bad = []\ntry:\n    assert f(1) == 1\nexcept AssertionError:\n    bad.append(1)\nassert not bad"
    ),
    "swallowed, and raised again": "try:\n    assert f(1) == 1\nexcept AssertionError as e:\n    raise Exception('no') from e",
    "raising by itself": "if f(1) != 1:\n    raise AssertionError('no')",
    "leaving by itself": "import sys\nif f(1) != 1:\n    sys.exit(1)",
    "helper with an assert": "def same(a, b):\n    assert a == b\n\nsame(f(1), 1)",
    "check that is called by the text": "def check(g):\n    assert g(1) == 1\n\ncheck(f)",
    "a test with the candidate": "def test_a(candidate):\n    assert candidate(1) == 1",
    "a loose TestCase": "import unittest\ncase = unittest.TestCase()\ncase.assertEqual(f(1), 1)",
}


@pytest.mark.parametrize("kind", RUN_FOR_WHAT_THEY_ARE)
def test_run_for_what_it_is(sandbox: Sandbox, kind: str) -> None:
    tests = RUN_FOR_WHAT_THEY_ARE[kind]
    entry = "f" if "candidate" in tests else None
    right = run_code_tests(RIGHT, tests, entry_point=entry, sandbox=sandbox)
    assert right.passed, right.first_failure
    wrong = run_code_tests(WRONG, tests, entry_point=entry, sandbox=sandbox)
    assert wrong.first_failure is not None
    assert wrong.first_failure.outcome in (TestOutcome.FAILED, TestOutcome.ERROR)


CHECK_NOTHING = {
    "an assert of a constant": ("assert True, 'fine'", "checks nothing"),
    "an assert of a tuple": ("assert (f(1) == 1, 'no')\nassert f(2) == 2 or True", "line 1 asserts a tuple"),
    "an assert that is swallowed": (
        "try:\n    assert f(1) == 1\nexcept AssertionError:\n    print('no')",
        "checks nothing",
    ),
    "an assert that is swallowed in a test": (
        "def test_a():\n    try:\n        assert f(1) == 1\n    except Exception:\n        pass",
        "checks nothing",
    ),
    "a value of a comparison": ("ok = f(1) == 1\nprint(ok)", "checks nothing"),
    "a check that returns": ("def test_a():\n    return f(1) == 1", "checks nothing"),
    "comment": ("# assert f(1) == 1", "checks nothing"),
    "print": ("print(f(1))", "checks nothing"),
    "a call": ("f(1)", "checks nothing"),
    "a value": ("x = f(1)", "checks nothing"),
    "nothing": ("", "checks nothing"),
    "a docstring": ("'''assert f(1) == 1'''", "checks nothing"),
    "a function nobody calls": ("def run_tests():\n    assert f(1) == 1", "'run_tests' .*never called"),
    "a function nobody calls, beside a test": (
        "def more():\n    assert f(2) == 2\n\nassert f(1) == 1 or True",
        "'more' .*never called",
    ),
    "a method nobody calls": (
        "class Checker:\n    def go(self):\n        assert f(1) == 1\nx = 1",
        "'go' .*never called",
    ),
    "check without the function's name": ("def check(candidate):\n    assert candidate(1) == 1", "entry_point"),
    "a test that only calls": (
        "def test_a():\n    assert f(1) == 1\n\ndef test_b():\n    f(2)",
        "'test_b' checks nothing",
    ),
    "a case that only prints": (
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): print(f(1))",
        "'T.test_a' checks nothing",
    ),
    "a fixture": ("def test_a(client):\n    assert f(1) == 1", "'client'"),
    "a loop over nothing": ("for x in []:\n    assert f(x) == x", "checked nothing"),
    "a branch never taken": ("import os\nif os.environ.get('NO_SUCH'):\n    assert f(1) == 1", "checked nothing"),
}


@pytest.mark.parametrize("kind", CHECK_NOTHING)
def test_what_checks_nothing_is_an_error_that_says_which_part(sandbox: Sandbox, kind: str) -> None:
    source, said = CHECK_NOTHING[kind]
    for program in (RIGHT, WRONG, "def f(", "import os; os._exit(0)"):
        report = run_code_tests(program, CodeTests((source,)), sandbox=sandbox)
        (result,) = report.results
        if program in (RIGHT, WRONG) or kind not in ("a loop over nothing", "a branch never taken"):
            assert result.outcome is TestOutcome.INVALID, result
            assert re.search(said, result.message)
        assert not report.passed


def test_a_program_cannot_make_a_test_look_idle(sandbox: Sandbox) -> None:
    program = "def f(x): return []"
    for check in ("for v in f(3):\n    assert v == 1", "def test_a():\n    for v in f(3):\n        assert v == 1"):
        (result,) = run_code_tests(program, CodeTests((check,)), sandbox=sandbox).results
        assert result.outcome is TestOutcome.ERROR
        assert "checked nothing" in result.message


def test_preparation_goes_with_the_test_behind_it(sandbox: Sandbox) -> None:
    def judged(*checks: str) -> TestReport:
        return run_code_tests(RIGHT, CodeTests(checks), sandbox=sandbox)

    report = judged("import math", "x = 3", "assert f(x) == math.floor(3.5)", "assert f(1) == 2")
    assert [r.outcome for r in report.results] == [TestOutcome.PASSED] * 3 + [TestOutcome.FAILED]
    report = judged("def same(a, b):\n    assert a == b", "same(f(1), 1)")
    assert report.passed
    report = judged("assert f(1) == 1", "x = f(2)")
    assert [r.outcome for r in report.results] == [TestOutcome.PASSED, TestOutcome.INVALID]


def test_skipped_tests_are_named(sandbox: Sandbox) -> None:
    tests = (
        "import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('later')\n"
        "    def test_a(self): self.assertEqual(f(1), 1)"
    )
    (result,) = run_code_tests(RIGHT, tests, sandbox=sandbox).results
    assert result.outcome in (TestOutcome.ERROR, TestOutcome.INVALID)
    assert "skipped" in result.message
