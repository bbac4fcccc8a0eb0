"""Mutants: one change each, the right function, and a real change."""

from __future__ import annotations

import ast
import random

import pytest

from nlrl.sandbox.attacks.mutants import function_under_test, mutants

PROGRAM = """
def helper(x):
    return x

def f(x, y):
    '''doc'''
    if x < y and True:
        return x + 1
    while x == 0:
        x -= 2
    return helper(y)
"""


def test_every_kind_is_a_different_program() -> None:
    found = mutants(PROGRAM, "f", random.Random(0))
    kinds = [m.kind for m in found]
    assert len(set(kinds)) == len(kinds) == 8
    programs = {ast.unparse(ast.parse(m.program)) for m in found}
    assert len(programs) == 8
    assert ast.unparse(ast.parse(PROGRAM)) not in programs


def test_wrong_bodies_are_of_the_function_under_test() -> None:
    wrong = mutants(PROGRAM, "f", random.Random(0))[0].program
    scope: dict[str, object] = {}
    exec(wrong, scope)  # noqa: S102
    assert scope["f"](1, 2) is None  # type: ignore[operator]
    assert scope["helper"](3) == 3  # type: ignore[operator]


def test_the_same_seed_gives_the_same_mutants() -> None:
    assert mutants(PROGRAM, "f", random.Random(3)) == mutants(PROGRAM, "f", random.Random(3))


def test_a_program_without_the_function() -> None:
    with pytest.raises(LookupError, match="'g'"):
        mutants(PROGRAM, "g", random.Random(0))
    with pytest.raises(SyntaxError):
        mutants("def", "f", random.Random(0))


def test_the_function_under_test_is_the_one_the_test_calls() -> None:
    assert function_under_test(PROGRAM, "assert set(f(1, 2)) == {2}") == "f"
    assert function_under_test(PROGRAM, "assert g(1) == 2") == ""
