"""Programming problems of public sets: each shape has its own tests.

HumanEval   prompt, test, entry_point     the head of a function, and one block that defines `check`
MBPP        text (or prompt), test_list   a task, and asserts
others      pairs of input and output     see `pairs`
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Callable

from nlrl.core import CodeTests, DataError, Problem, TaskType
from nlrl.tasks.columns import Row, text_of, texts_of
from nlrl.tasks.pairs import apps, codecontests, livecodebench


def _humaneval(row: Row, source: str) -> Problem:
    prompt, entry = text_of(row.use("prompt"), "prompt"), text_of(row.use("entry_point"), "entry_point")
    preamble = prompt.split(f"def {entry}(")[0]
    question = f"Complete this Python function:\n\n```python\n{prompt.rstrip()}\n```"
    tests = CodeTests((text_of(row.use("test"), "test"),), _doctests(prompt, entry), entry, preamble)
    return Problem(question, None, TaskType.CODING, tests=tests, source=source)


# HumanEval/47 shows a median that its own tests and reference solution contradict: the median of that list is 8.0.
_WRONG_EXAMPLES = frozenset(("assert median([-10, 4, 6, 1000, 10, 20]) == 15.0",))


def _doctests(prompt: str, entry: str) -> tuple[str, ...]:
    """The docstring's examples as asserts, where call and result are plain data."""
    found = []
    try:
        examples = doctest.DocTestParser().get_examples(prompt.replace('"""', "\n").replace("'''", "\n"))
    except ValueError:
        return ()
    for example in examples:
        call, want = example.source.strip(), example.want.strip()
        try:
            tree = ast.parse(call, mode="eval").body
            ast.literal_eval(want)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        shown = f"assert {call} == {want}"
        calls_entry = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == entry
        if calls_entry and shown not in _WRONG_EXAMPLES:
            found.append(shown)
    return tuple(found)


def _mbpp(row: Row, source: str) -> Problem:
    text = text_of(row.use("text") if row.has("text") else row.use("prompt"), "text")
    checks = texts_of(row.use("test_list"), "test_list")
    if not checks:
        raise DataError("test_list is empty")
    setup = "\n".join(
        [*texts_of(row.use("test_imports"), "test_imports"), text_of(row.use("test_setup_code") or "", "setup")]
    )
    checks += texts_of(row.use("challenge_test_list"), "challenge_test_list")
    tests = CodeTests(checks, checks[:1], _tested_name(checks[0]), setup.strip())
    return Problem(text, None, TaskType.CODING, tests=tests, source=source)


def _tested_name(check: str) -> str | None:
    """The function that an assert calls: the innermost call by name that is no builtin wrapper."""
    try:
        calls = [n for n in ast.walk(ast.parse(check)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    wrappers = {"set", "sorted", "list", "tuple", "len", "round", "abs", "sum", "str", "int", "float", "dict", "bool"}
    names = [n.func.id for n in calls if isinstance(n.func, ast.Name)]
    own = [name for name in names if name not in wrappers]
    return next(iter(own or names), None)  # MBPP 126 asks for a function that is called "sum"


# The columns by which a shape is known, and how its rows are read.
SHAPES: tuple[tuple[tuple[str, ...], Callable[[Row, str], Problem]], ...] = (
    (("prompt", "test", "entry_point"), _humaneval),
    (("test_list",), _mbpp),
    (("public_test_cases",), livecodebench),
    (("input_output", "question"), apps),
    (("public_tests",), codecontests),
)
