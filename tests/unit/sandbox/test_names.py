"""Which names of a test are the program's, and which are Python's own."""

from __future__ import annotations

import ast
import math

import pytest

from nlrl.sandbox.box.names import Namespace


def resolved(
    names: list[str], *tests: str, defined: tuple[str, ...] = (), under_test: str | None = None
) -> list[object]:
    def ask(name: str) -> object:
        if name not in defined:
            raise NameError(name)
        return f"program's {name}"

    namespace = Namespace(ask, [ast.parse(test) for test in tests], under_test)
    return [namespace[name] for name in names]


def test_unknown_names_are_asked_of_the_program() -> None:
    assert resolved(["f"], "assert f(1) == 1", defined=("f",)) == ["program's f"]
    with pytest.raises(NameError):
        resolved(["g"], "assert g(1) == 1", defined=("f",))


def test_builtins_are_genuine_whatever_the_program_defines() -> None:
    defined = ("f", "set", "abs", "len", "sorted")
    assert resolved(["set", "abs"], "assert set(f(1)) == {1}", "assert abs(f(1)) < 1", defined=defined) == [set, abs]
    assert resolved(["len"], "assert len(f) == 1", "s = Stack()\nassert len(s) == 0", defined=defined) == [len]


def test_a_builtin_that_alone_is_called_everywhere_is_under_test() -> None:
    tests = ("assert sum(10, 15) == 6", "assert sum(100, 150) == 93")
    assert resolved(["sum"], *tests, defined=("sum",)) == ["program's sum"]
    assert resolved(["sum"], *tests) == [sum]
    assert resolved(["sum"], *tests, defined=("sum",), under_test="add") == [sum]


def test_a_module_that_is_used_as_one_is_the_judges_own() -> None:
    assert resolved(["math"], "assert math.isclose(f(1), 2)", defined=("f", "math")) == [math]
    assert resolved(["math"], "assert math(3) == 1", defined=("math",)) == ["program's math"]
