"""Runs what a test text has defined: test functions, test classes, unittest's cases, doctests.

The rules are pytest's where it and unittest agree: names that begin with `test`, classes that begin with `Test` or are
derived from a TestCase, one instance a method, set-up before and tear-down after it. Whatever fails is raised.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nlrl.sandbox.box.checked import is_test, is_unittest


class Unchecked(Exception):
    """Something ran to its end and has checked nothing."""


class Runner:
    """Runs tests in their `space` of names. `count` tells how much has been checked so far."""

    def __init__(self, space: dict[str, Any], count: Callable[[], int]):
        self._space, self._count = space, count

    def definitions(self, tree: ast.Module) -> None:
        """Every test that the text defines at its top level, in its order."""
        tests = [node for node in tree.body if is_test(node)]
        with self._around("module", self._space) if tests else contextlib.nullcontext():
            for node in tests:
                found = self._space[node.name]  # type: ignore[attr-defined]
                if not isinstance(node, ast.ClassDef):
                    with self._around("function", self._space):
                        self._checked(node.name, found)  # type: ignore[attr-defined]
                elif is_unittest(node):
                    self._unittest(found)
                else:
                    self._class(found)

    def block(self, name: str) -> None:
        """A HumanEval-style function, called with the candidate (or without, if it takes nothing)."""
        function = self._space[name]
        takes = inspect.signature(function).parameters
        self._checked(name, function, *([self._space["candidate"]] if takes else []))

    def examples(self, examples: Sequence[Any]) -> None:
        """Doctests: what a session prints is compared as text."""
        import doctest  # not at the top: few tests need it, and it takes as long as a small program

        test = doctest.DocTest(list(examples), {}, "the examples", None, None, None)
        test.globs = self._space
        try:
            doctest.DebugRunner(verbose=False).run(test, clear_globs=False)
        except doctest.DocTestFailure as failure:
            got, want = failure.got.strip(), failure.example.want.strip()
            raise AssertionError(f"{failure.example.source.strip()}: got {got}, expected {want}") from None
        except doctest.UnexpectedException as failure:
            raise failure.exc_info[1] from None  # type: ignore[misc]

    def _checked(self, name: str, function: Callable[..., Any], *args: Any) -> None:
        before = self._count()
        if not args and "candidate" in inspect.signature(function).parameters:
            args = (self._space["candidate"],)
        for values in _parameters(function):
            result = function(*args, **values)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        if self._count() == before:
            raise Unchecked(f"{name!r} ran to its end and checked nothing")

    def _class(self, kind: type) -> None:
        with self._around("class", kind):
            for name in [name for name in _members(kind) if name.startswith("test")]:
                instance = kind()
                with self._around("method", instance):
                    self._checked(f"{kind.__name__}.{name}", getattr(instance, name))

    def _unittest(self, kind: Any) -> None:
        import unittest

        runner = self

        class Result(unittest.TestResult):
            failure: BaseException | None = None
            before = 0

            def startTest(self, test: Any) -> None:
                super().startTest(test)
                self.before = runner._count()

            def fail(self, error: BaseException) -> None:
                self.failure = self.failure or error
                self.stop()

            def addSuccess(self, test: Any) -> None:
                if runner._count() == self.before:
                    self.fail(Unchecked(f"{test.id()!r} ran to its end and checked nothing"))

            def addFailure(self, test: Any, err: Any) -> None:
                self.fail(err[1])

            def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
                if err is not None:
                    self.fail(err[1])

            def addSkip(self, test: Any, reason: str) -> None:
                self.fail(Unchecked(f"{test.id()!r} was skipped: {reason}"))

            def addUnexpectedSuccess(self, test: Any) -> None:
                self.fail(AssertionError(f"{test.id()!r} was expected to fail"))

            addError = addFailure

        result = Result()
        unittest.defaultTestLoader.loadTestsFromTestCase(kind).run(result)
        if result.failure is not None:
            raise result.failure

    @contextlib.contextmanager
    def _around(self, what: str, owner: Any) -> Iterator[None]:
        """pytest's classic set-up and tear-down, where the text defines them."""
        _fixture(owner, f"setup_{what}")
        try:
            yield
        finally:
            _fixture(owner, f"teardown_{what}")


def _fixture(owner: Any, name: str) -> None:
    found = dict.get(owner, name) if isinstance(owner, dict) else getattr(owner, name, None)
    if callable(found):
        takes = len(inspect.signature(found).parameters)
        found(*[None] * takes)


def _members(kind: type) -> list[str]:
    """Names of a class and of those it is derived from, in the order of their definition."""
    return list(dict.fromkeys(name for owner in reversed(kind.__mro__) for name in vars(owner)))


def _parameters(function: Any) -> Iterator[dict[str, Any]]:
    """The arguments of `pytest.mark.parametrize`, one set after another; one empty set without it."""
    ways = []
    for mark in (m for m in getattr(function, "pytestmark", ()) if m.name == "parametrize"):
        names, values = mark.args[:2]
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
        rows = (v.values if type(v).__name__ == "ParameterSet" else v if len(names) > 1 else (v,) for v in values)
        ways.append([dict(zip(names, row, strict=True)) for row in rows])
    for chosen in itertools.product(*ways):
        yield {name: value for part in chosen for name, value in part.items()}
