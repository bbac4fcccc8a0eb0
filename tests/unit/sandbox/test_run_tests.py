"""Tests against programs: what passes, what fails, and what is said about it. For each kind of isolation."""

# ruff: noqa: E501  (programs in strings)
from __future__ import annotations

import asyncio

import pytest

from nlrl.core import CodeTests
from nlrl.sandbox import Limits, Sandbox, TestOutcome, TestReport, run_code_tests, split_tests


def judged(sandbox: Sandbox, program: str, *checks: str, setup: str = "", entry_point: str | None = None) -> TestReport:
    return run_code_tests(program, CodeTests(checks, entry_point=entry_point, setup=setup), sandbox=sandbox)


def test_each_assert_has_its_own_result(sandbox: Sandbox) -> None:
    report = judged(sandbox, "def f(x): return x * 2", "assert f(1) == 2", "assert f(2) == 5", "assert f(3) == 6")
    assert [r.outcome for r in report.results] == [TestOutcome.PASSED, TestOutcome.FAILED, TestOutcome.PASSED]
    assert report.results[1].name == "assert f(2) == 5"
    assert "got 4, expected == 5" in report.results[1].message
    assert not report.passed
    assert not report
    assert report.fraction == pytest.approx(2 / 3)
    assert report.isolation == sandbox.isolation().kind


def test_humaneval_style_with_helpers_in_the_setup(sandbox: Sandbox) -> None:
    setup = "def double(x):\n    return 2 * x\n\ndef half(x):\n    '''undo double'''\n"
    block = (
        "METADATA = {}\n\n\ndef check(candidate):\n    for i in range(5):\n        assert candidate(double(i)) == i\n"
    )
    assert judged(sandbox, "def half(x): return x // 2", block, setup=setup, entry_point="half").passed
    wrong = judged(sandbox, "def half(x): return x", block, setup=setup, entry_point="half")
    assert wrong.results[0].outcome is TestOutcome.FAILED
    assert "assert candidate(double(i)) == i" in wrong.results[0].message


def test_the_setup_cannot_stand_in_for_the_program(sandbox: Sandbox) -> None:
    report = judged(sandbox, "x = 1", "assert f(1) == 1", setup="def f(x): return x", entry_point="f")
    assert report.results[0].outcome is TestOutcome.ERROR
    assert "does not define 'f'" in report.results[0].message


def test_pytest_style_functions(sandbox: Sandbox) -> None:
    block = "def test_one():\n    assert f(1) == 2\n\ndef test_two():\n    assert f(2) == 3\n"
    assert judged(sandbox, "def f(x): return x + 1", block).passed
    assert not judged(sandbox, "def f(x): return 2", block).passed


def test_objects_of_the_programs_own_classes(sandbox: Sandbox) -> None:
    program = """
class Node:
    def __init__(self, data): self.data, self.left, self.right = data, None, None
def height(n): return 0 if n is None else 1 + max(height(n.left), height(n.right))
def grow(n): n.left = Node(0); return n
"""
    setup = "root = Node(1)\nroot.left = Node(2)\nroot.left.right = Node(3)"
    checks = (
        "assert height(root) == 3",
        "assert root.left.right.data == 3 and root.right is None",
        "assert grow(root) is root and root.left.data == 0",
        "assert isinstance(root, Node) and not isinstance(3, Node)",
    )
    assert judged(sandbox, program, *checks, setup=setup).passed


def test_containers_with_methods_stay_objects(sandbox: Sandbox) -> None:
    program = """
class Stack(list):
    def push(self, x): self.append(x); return self
class Bag:
    def __init__(self): self.items = {}
    def __getitem__(self, k): return self.items[k]
    def __setitem__(self, k, v): self.items[k] = v
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __str__(self): return 'a bag'
    def __bool__(self): return False
"""
    checks = (
        "s = Stack(); s.push(1).push(2)\nassert s.pop() == 2 and len(s) == 1 and s[0] == 1 and list(s) == [1]",
        "b = Bag(); b['x'] = [1]\nassert b['x'] == [1] and len(b) == 1 and list(b) == ['x'] and str(b) == 'a bag' and not b",
    )
    assert judged(sandbox, program, *checks).passed


def test_values_arrive_as_genuine_standard_objects(sandbox: Sandbox) -> None:
    program = """
import collections, datetime, decimal, fractions, re, typing
from math import isclose
class P(typing.NamedTuple):
    x: int
    y: int
def f(kind): return {
    'counter': collections.Counter('aab'), 'ordered': collections.OrderedDict([(1, 2)]), 'deque': collections.deque([1]),
    'default': collections.defaultdict(int, {1: 2}), 'fraction': fractions.Fraction(1, 3), 'decimal': decimal.Decimal('1.5'),
    'date': datetime.date(2024, 2, 29), 'named': P(1, 2), 'huge': 7 ** 5000, 'nan': float('nan'), 'keys': {1: 2}.keys(),
    'range': range(3), 'type': int, 'match': re.match('a', 'abc'), 'none': None, 'complex': 1j, 'set': {frozenset({1})}}[kind]
def gen(n):
    for i in range(n): yield i
"""
    checks = (
        "from collections import Counter\nassert f('counter') == Counter('aab') and f('counter').most_common(1) == [('a', 2)]",
        "assert f('ordered') == {1: 2} and list(f('deque')) == [1] and f('default')[5] == 0",
        "from fractions import Fraction as F\nassert f('fraction') + F(2, 3) == 1 and f('decimal') * 2 == 3",
        "import datetime\nassert f('date') == datetime.date(2024, 2, 29)",
        "assert f('named') == (1, 2) and f('named').x == 1 and f('huge') == 7 ** 5000 and f('nan') != f('nan')",
        "assert f('keys') == {1} and list(f('range')) == [0, 1, 2] and f('type') is int and f('match') and f('none') is None",
        "assert f('complex') ** 2 == -1 and f('set') == {frozenset([1])}",
        "assert list(gen(3)) == [0, 1, 2] and sum(gen(4)) == 6 and next(gen(1)) == 0",
        "assert isclose(0.1 + 0.2, 0.3)",  # a name that only the program imported: the judge takes its own
    )
    assert judged(sandbox, program, *checks).passed


def test_arguments_changed_in_place_are_seen(sandbox: Sandbox) -> None:
    program = """
def rotate(m): m[:] = [list(r) for r in zip(*m[::-1])]
def forget(d, *, s): d.clear(); s.add(9); return len(d)
def keep(x): return x[0]
"""
    checks = (
        "m = [[1, 2], [3, 4]]; rotate(m)\nassert m == [[3, 1], [4, 2]]",
        "d, s = {1: 2}, {1}\nassert forget(d, s=s) == 0 and d == {} and s == {1, 9}",
        "a = [[1], [2]]; inner = a[0]\nassert keep(a) == [1] and a[0] is inner",
    )
    assert judged(sandbox, program, *checks).passed


def test_functions_of_the_tests_can_be_handed_over(sandbox: Sandbox) -> None:
    program = """
def apply(f, xs): return [f(x) for x in xs]
def compose(f, g): return lambda x: f(g(x))
def safely(f):
    try: return f()
    except ZeroDivisionError as e: return 'caught ' + str(e)
"""
    checks = (
        "assert apply(lambda x: x * 3, [1, 2]) == [3, 6]",
        "assert apply(str, [1, 2]) == ['1', '2'] and apply(len, ['abc']) == [3]",
        "assert compose(lambda x: x + 1, lambda x: x * 2)(5) == 11",
        "assert safely(lambda: 1 / 0) == 'caught division by zero'",
        "def twice(x):\n    return apply(lambda y: y * 2, [x])[0]\nassert apply(twice, [4]) == [8]",
    )
    assert judged(sandbox, program, *checks).passed


def test_exceptions_come_back_as_the_same_standard_class(sandbox: Sandbox) -> None:
    program = """
class Own(KeyError): pass
def f(x):
    if x == 0: raise ValueError('bad', 3)
    if x == 1: raise Own('k')
    if x == 2: return [][5]
    if x == 3: b'\\xff'.decode()
"""
    expects = """
def raises(kind, x):
    try: f(x)
    except kind as e: return e
    raise AssertionError('did not raise')
"""
    checks = (
        "assert raises(ValueError, 0).args == ('bad', 3)",
        "assert type(raises(KeyError, 1)) is Own and isinstance(raises(KeyError, 1), KeyError)",
        "raises(IndexError, 2)",
        "raises(Exception, 3)",
        "assert f(0)",
    )
    report = judged(sandbox, program, *checks, setup=expects)
    assert [r.outcome for r in report.results] == [TestOutcome.PASSED] * 4 + [TestOutcome.ERROR]
    assert "ValueError" in report.results[4].message
    assert "line 4 of the program" in report.results[4].message


def test_an_exception_cannot_end_a_loop_of_the_tests_early(sandbox: Sandbox) -> None:
    program = "def f(x): raise StopIteration"
    checks = (
        "assert all(map(lambda x: f(x) == 1, [1, 2]))",
        "assert not list(map(f, [1]))",
        "assert all(map(f, [1, 2]))",
    )
    assert {r.outcome for r in judged(sandbox, program, *checks).results} == {TestOutcome.ERROR}


def test_builtins_are_pythons_own_except_the_one_under_test(sandbox: Sandbox) -> None:
    program = "def sum(a, b): return 6\ndef set(x): return 'mine'\ndef f(x): return x"
    assert judged(sandbox, program, "assert sum(10, 15) == 6", "assert sum(1, 2) == 6").passed
    assert judged(sandbox, program, "assert sum(10, 15) == 6", entry_point="sum").passed
    assert judged(sandbox, program, "assert set(f([1, 1])) == {1}", "assert set(f([2])) == {2}").passed


def test_the_programs_own_failures(sandbox: Sandbox) -> None:
    for program, said in (
        ("def f(x:", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = '\ud800'", ""),
        ("x = 1\0", ""),
        ("", "does not define 'f'"),
        ("raise SystemExit(0)", "SystemExit"),
    ):
        report = judged(sandbox, program, "assert f(1) == 1")
        assert report.results[0].outcome is TestOutcome.ERROR
        assert said in report.results[0].message


def test_a_main_guard_is_not_run_and_dataclasses_work(sandbox: Sandbox) -> None:
    program = """
from dataclasses import dataclass
@dataclass
class P:
    x: int = 3
def f(): return P().x
if __name__ == '__main__':
    raise SystemExit(1)
"""
    assert judged(sandbox, program, "assert f() == 3", "assert P(x=4).x == 4").passed


def test_time_and_memory_are_told_apart(sandbox: Sandbox) -> None:
    program = "def f(x):\n    while x: pass\n    return 1\ndef g(): return len('x' * 10**10)"
    limits = Limits(wall_s=20, cpu_s=1, memory_bytes=256 << 20)
    tests = CodeTests(("assert f(0) == 1", "assert g()", "assert f(1) == 1", "assert f(0) == 1"))
    report = run_code_tests(program, tests, limits=limits, sandbox=sandbox)
    T = TestOutcome
    assert [r.outcome for r in report.results] == [T.PASSED, T.MEMORY, T.TIMEOUT, T.TIMEOUT]
    assert "processor time" in report.results[2].message
    slept = run_code_tests("import time\ntime.sleep(99)", tests, limits=Limits(wall_s=0.5), sandbox=sandbox)
    assert {r.outcome for r in slept.results} == {T.TIMEOUT}
    assert slept.seconds < 5


def test_broken_tests_are_not_the_programs_fault(sandbox: Sandbox) -> None:
    program = "def f(x): return x"
    invalid = TestOutcome.INVALID
    assert judged(sandbox, program, "assert f(1) == == 1").results[0].outcome is invalid
    assert judged(sandbox, program, "assert f(1) == 1", setup="import no_such").results[0].outcome is invalid
    assert judged(sandbox, program, "assert f(1) == 1", setup="def (").results[0].outcome is invalid
    # but a program cannot make them look broken
    assert (
        judged(sandbox, "import os\nos.write(3, b'xxxxxxxx')", "assert f(1) == 1").results[0].outcome
        is TestOutcome.ERROR
    )


def test_hostile_tests_are_contained_too(sandbox: Sandbox) -> None:
    limits = Limits(wall_s=3, cpu_s=1)
    for check in (
        "while True: pass",
        "import os; os._exit(0)",
        "import os\nwhile True: os.fork()",
        "x = 'x' * 10**11",
        "exit(0)",
    ):
        tests = CodeTests((f"assert f()\n{check}", "assert f() == 1"))
        report = run_code_tests("def f(): return 1", tests, limits=limits, sandbox=sandbox)
        assert not report.passed
        assert report.results[0].outcome in (TestOutcome.ERROR, TestOutcome.TIMEOUT)


def test_a_lost_program_fails_every_later_test(sandbox: Sandbox) -> None:
    checks = (
        "assert f(1) == 1",
        "try:\n    assert f(0)\nexcept Exception as error:\n    assert not error",
        "assert 1 + 1 == 2",
        "assert f(1) == 1",
    )
    report = judged(sandbox, "import os\ndef f(x): return x or os._exit(0)", *checks)
    assert [r.outcome for r in report.results] == [TestOutcome.PASSED] + [TestOutcome.ERROR] * 3
    assert "exit code 0" in report.results[1].message


def test_what_a_test_cannot_hand_over(sandbox: Sandbox) -> None:
    check = "class Mine: pass\nassert f(Mine()) == 1"
    report = judged(sandbox, "def f(x): return 1", check)
    assert "tests' own class 'Mine'" in report.results[0].message


def test_deep_recursion_has_the_room_it_has_in_a_bare_run(sandbox: Sandbox) -> None:
    program = "def f(n): return 0 if n == 0 else 1 + f(n - 1)"
    assert judged(sandbox, program, "assert f(990) == 990").passed
    assert "RecursionError" in judged(sandbox, program, "assert f(1100) == 1100").results[0].message


def test_public_tests_only(sandbox: Sandbox) -> None:
    tests = CodeTests(("assert f(1) == 1", "assert f(2) == 2"), public=("assert f(1) == 1",))
    assert run_code_tests("def f(x): return 1", tests, which="public", sandbox=sandbox).passed
    assert not run_code_tests("def f(x): return 1", tests, sandbox=sandbox).passed


def test_no_tests_is_no_pass(sandbox: Sandbox) -> None:
    report = run_code_tests("x = 1", CodeTests(()), sandbox=sandbox)
    assert not report.passed
    assert report.results == ()
    assert report.fraction == 0.0


def test_tests_as_text(sandbox: Sandbox) -> None:
    assert run_code_tests("def f(x): return x", "x = 3\nassert f(x) == 3\nassert f(4) == 4", sandbox=sandbox).passed
    assert not run_code_tests("def f(x): return 3", ["assert f(3) == 3", "assert f(4) == 4"], sandbox=sandbox).passed
    block = "def check(candidate):\n    assert candidate(1) == 1"
    assert run_code_tests("def f(x): return x", block, entry_point="f", sandbox=sandbox).passed


def test_splitting_a_text_of_tests() -> None:
    assert split_tests("x = 1\nassert x\n\nassert (x ==\n 1)\ny = 2") == (
        "x = 1\nassert x",
        "assert (x ==\n 1)\ny = 2",
    )
    assert split_tests("def check(c): pass\nassert 1") == ("def check(c): pass\nassert 1",)
    assert split_tests("assert ((") == ("assert ((",)
    assert split_tests("") == ()


def test_many_at_once_do_not_mix(sandbox: Sandbox) -> None:
    async def run() -> list[TestReport]:
        return await asyncio.gather(
            *(
                sandbox.run_tests(f"def f(): return {i}", CodeTests((f"assert f() == {i if i % 3 else -1}",)))
                for i in range(30)
            )
        )

    assert [r.passed for r in asyncio.run(run())] == [bool(i % 3) for i in range(30)]


def test_a_large_program_and_many_tests(sandbox: Sandbox) -> None:
    program = "\n".join(f"def f{i}(x): return x + {i}" for i in range(5000))
    checks = tuple(f"assert f{i}([{i}] * 50 and 1) == {i + 1}" for i in range(500))
    report = run_code_tests(program, CodeTests(checks), sandbox=sandbox)
    assert report.passed
    assert len(report.results) == 500
