"""Runs the tests of data sets against a program that lives elsewhere, and reports each result.

    {"index": 0, "outcome": "passed", "message": ""}
    {"index": 1, "outcome": "failed", "message": "got 4, expected == 5"}
    {"end": true}

A check is a statement ("assert f(1) == 2") or a block: one that defines `check` is followed by `check(candidate)`
(HumanEval), one that defines tests (functions, classes, unittest's cases) by these, one with doctests by their
examples. A check that could never fail, or that never runs what it asserts, is invalid, whatever the program does; one
that runs to its end and has checked nothing is an error. The box here protects the host from data sets that loop, fork
or worse; the worker's box is another one.
"""

from __future__ import annotations

import ast
import json
import linecache
import operator
import os
import reprlib
import socket
import traceback
from collections.abc import Callable
from typing import Any

from nlrl.sandbox.box import checked
from nlrl.sandbox.box.channel import Broken, Channel, Gone
from nlrl.sandbox.box.collected import Runner, Unchecked
from nlrl.sandbox.box.names import Namespace
from nlrl.sandbox.box.remote import Peer, Remote, describe

MESSAGE_CHARS = 400
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b, "is": operator.is_, "is not": operator.is_not,
}  # fmt: skip


def run(order: dict[str, Any], channel_fd: int, report_fd: int) -> None:
    """Judge `order` (setup, checks, entry_point) and write one line of JSON a result to `report_fd`."""

    def report(**fields: Any) -> None:
        data = json.dumps(fields).encode() + b"\n"
        while data:
            data = data[os.write(report_fd, data) :]

    peer = Peer(Channel(socket.socket(fileno=channel_fd)))
    judge = _Judge(peer, order["setup"], order["checks"], order["entry_point"])
    invalid = judge.read()
    failure = judge.prepare()
    waiting: list[int] = []  # checks that only prepare: they end as the next one does
    for index, complaint in enumerate(invalid):
        outcome, message = ("invalid", complaint) if complaint else failure or judge.check(index)
        if outcome == "passed" and judge.only_prepares(index) and index + 1 < len(invalid):
            waiting.append(index)
            continue
        for number in (*waiting, index):
            report(index=number, outcome=outcome, message=message[:MESSAGE_CHARS])
        waiting.clear()
    report(end=True)


class _Judge:
    def __init__(self, peer: Peer, setup: str, checks: list[str], entry_point: str | None):
        self._peer, self._setup, self._checks, self._entry_point = peer, setup, checks, entry_point
        self._comparison = ""
        self._count = 0  # of what has been checked
        self._globals: dict[str, Any] = {}
        self._setup_tree = ast.Module([], [])
        self._trees: list[ast.Module] = []
        self._examples: list[list[Any]] = []
        self._runner = Runner(self._globals, lambda: self._count)

    def read(self) -> list[str]:
        """For each check why it is invalid, "" where it is not. The program is not asked."""
        broken: dict[int, str] = {}
        for index, source in enumerate(self._checks):
            tree, examples = ast.Module([], []), []
            try:
                tree, examples = _parse(index, source)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                broken[index] = f"the test cannot be parsed: {error}"
            self._trees.append(tree)
            self._examples.append(examples)
        try:
            self._setup_tree = checked.mark(ast.parse(self._setup, "<setup>"))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return [broken.get(i, f"the setup cannot be parsed: {error}") for i in range(len(self._checks))]
        found = checked.complaints(self._setup_tree, self._trees, self._entry_point, self._examples)
        return [broken.get(i, complaint) for i, complaint in enumerate(found)]

    def prepare(self) -> tuple[str, str] | None:
        """Load the program and run the setup; what went wrong counts for every check."""
        outcome, message = self._attempt(self._peer.loaded)
        if outcome != "passed":
            return outcome, message
        outcome, message = self._attempt(self._set_up)
        if outcome in ("error", "failed") and not self._peer.requests:
            outcome = "invalid"  # it failed before it asked anything of the program: no program can have caused it
        if outcome == "passed" and self._entry_point is not None:
            outcome, message = self._attempt(self._find_entry_point)
        return None if outcome == "passed" else (outcome, message)

    def _set_up(self) -> None:
        trees = [self._setup_tree, *self._trees]
        self._globals = Namespace(self._peer.named, trees, self._entry_point)
        self._runner = Runner(self._globals, lambda: self._count)
        watch = checked.Watch(checked.defined_names(trees))
        for tree in trees:
            ast.fix_missing_locations(watch.visit(tree))
        self._globals[checked.COMPARED] = self._compare
        self._globals[checked.REACHED] = self._reached
        if any("unittest" in source for source in (self._setup, *self._checks)):
            import unittest  # not at the top: few tests need it

            unittest.main = lambda *args, **kwargs: None  # type: ignore[assignment,misc]  # they are run anyway
        exec(compile(self._setup_tree, "<setup>", "exec"), self._globals)  # noqa: S102  (inside the box)

    def _find_entry_point(self) -> None:
        name = self._entry_point or ""
        self._globals[name] = self._globals["candidate"] = self._peer.named(name)

    def only_prepares(self, index: int) -> bool:
        """Whether this check has imports, definitions and values only."""
        return not self._examples[index] and checked.is_preparation(self._trees[index])

    def check(self, index: int) -> tuple[str, str]:
        """(outcome, message) of one check."""
        tree, before = self._trees[index], self._count

        def start() -> None:
            block = any(isinstance(node, _FUNCTION) and node.name == "check" for node in tree.body)
            by_itself = block and checked.calls_by_itself(tree, "check")
            exec(compile(tree, f"<test {index}>", "exec"), self._globals)  # noqa: S102  (inside the box)
            if block and not by_itself and self._entry_point not in (None, "check"):
                self._runner.block("check")
            self._runner.definitions(tree)
            if self._examples[index]:
                self._runner.examples(self._examples[index])
            elif self._count == before and not self.only_prepares(index):
                raise Unchecked("this test ran to its end and checked nothing")

        return self._attempt(start)

    def _attempt(self, act: Callable[[], None]) -> tuple[str, str]:
        self._comparison = ""
        try:
            act()
            outcome, message = "passed", ""
        except BaseException as error:  # the boundary: whatever a test does becomes a result
            outcome, message = self._outcome(error)
        if isinstance(self._peer.broken, Gone):  # also when the test swallowed it
            return "gone", "the program's process ended during this test"
        if isinstance(self._peer.broken, Broken):
            return "error", f"the program's process sent nonsense: {self._peer.broken}"
        return outcome, message

    def _outcome(self, error: BaseException) -> tuple[str, str]:
        from_program = getattr(error, "from_program", None)
        if from_program is not None:
            memory = isinstance(error, MemoryError)
            return ("memory" if memory else "error"), f"program: {from_program}"
        if isinstance(error, Unchecked) and not self._peer.requests:
            return "invalid", str(error)  # as in prepare: no program can have caused it
        if isinstance(error, AssertionError):
            own = str(error)[:200]
            return "failed", ": ".join(part for part in (_statement(error), own, self._comparison) if part)
        said = str(error)[:200]
        return "error", said if isinstance(error, Unchecked) else f"{type(error).__name__}: {said}"

    def _reached(self) -> None:
        self._count += 1

    def _compare(self, left: Any, right: Any, symbol: str) -> Any:
        self._count += 1
        result = _COMPARE[symbol](left, right)
        # Not described before it has failed: a repr costs more than most comparisons.
        if not result:
            self._comparison = f"got {_short(left)}, expected {symbol} {_short(right)}"
        return result


def _parse(index: int, source: str) -> tuple[ast.Module, list[Any]]:
    """The test's syntax tree, and the examples of the sessions in it. Raises SyntaxError, ValueError."""
    name = f"<test {index}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    if ">>>" not in source:
        return checked.mark(checked.StandAlone().visit(ast.parse(source, name))), []
    import doctest  # not at the top: few tests need it, and it takes as long as a small program

    examples = doctest.DocTestParser().get_examples
    try:
        tree = ast.parse(source, name)
    except SyntaxError:
        found = examples(source)  # a session as it is, or text around one
        if not found:
            raise
        return ast.Module([], []), found
    texts = [
        node.value.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    texts += [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, (*_FUNCTION, ast.ClassDef))]
    return checked.mark(checked.StandAlone().visit(tree)), [
        e for text in texts if isinstance(text, str) for e in examples(text)
    ]


class _Short(reprlib.Repr):
    def repr1(self, x: Any, level: int) -> str:
        if type(x) is Remote:
            return describe(x)
        if type(x) is int and x.bit_length() > 200:
            return f"<integer of {x.bit_length()} bits>"
        return super().repr1(x, level)


def _short(x: Any) -> str:
    shorten = _Short()
    shorten.maxstring = shorten.maxother = 120
    try:
        return shorten.repr(x)
    except (ValueError, RecursionError) as error:
        return f"<{type(x).__name__}: {error}>"


def _statement(error: AssertionError) -> str:
    """The source line of the assert that failed, where it is not the whole check anyway."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<test ")]
    return (frames[-1].line or "").strip()[:200] if frames else ""
