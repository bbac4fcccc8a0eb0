"""What is not Python is refused by its name."""

from __future__ import annotations

import pytest

from nlrl.core import CodeTests
from nlrl.sandbox import Sandbox, TestOutcome, run_code_tests
from nlrl.sandbox.languages import foreign_language

SOURCES = {
    "C or C++": "#include <iostream>\nint main() { return 0; }",
    "Java": "public class Main {\n    public static int f(int x) { return x; }\n}",
    "JavaScript or TypeScript": "function f(x) {\n  return x + 1;\n}",
    "Go": "package main\n\nfunc f(x int) int { return x }",
    "Rust": "fn f(x: i32) -> i32 {\n    x + 1\n}",
    "Lean": "theorem t : 1 + 1 = 2 := by norm_num",
    "Ruby": "def f(x)\n  x + 1\nend",
    "PHP": "<?php function f($x) { return $x; }",
    "Haskell": "f :: Int -> Int\nf x = x + 1",
}


@pytest.mark.parametrize("language", SOURCES)
def test_languages(language: str) -> None:
    assert foreign_language(SOURCES[language]) == language


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): return x",
        "",
        "def f(x",
        "'''\nfunction f(x) { }\n'''",
        "let = 1\nprint(let)",
        "x = 'console.log(1)'",
        "hello there",
    ],
)
def test_python_and_nothing(source: str) -> None:
    assert foreign_language(source) == ""


def test_programs_and_tests_are_refused_by_name(sandbox: Sandbox) -> None:
    (result,) = run_code_tests(SOURCES["Java"], CodeTests(("assert f(1) == 1",)), sandbox=sandbox).results
    assert (result.outcome, result.message) == (TestOutcome.ERROR, "the program is Java, and only Python is run")
    (result,) = run_code_tests("def f(x): return x", CodeTests((SOURCES["Rust"],)), sandbox=sandbox).results
    assert (result.outcome, result.message) == (TestOutcome.INVALID, "the tests are Rust, and only Python is run")
