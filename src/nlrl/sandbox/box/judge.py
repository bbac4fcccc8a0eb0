"""Runs the tests of data sets against a program that lives elsewhere, and reports each result.

    {"index": 0, "outcome": "passed", "message": ""}
    {"index": 1, "outcome": "failed", "message": "got 4, expected == 5"}
    {"end": true}

A check is a statement ("assert f(1) == 2") or a block: one that defines `check` is followed by `check(candidate)`
(HumanEval), one that defines `test_*` functions by calls of these. The box here protects the host from data sets
that loop, fork or worse; the worker's box is another one.
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

from nlrl.sandbox.box.channel import Broken, Channel, Gone
from nlrl.sandbox.box.names import Namespace
from nlrl.sandbox.box.remote import Peer, Remote, describe

MESSAGE_CHARS = 400

_SYMBOLS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b, "is": operator.is_, "is not": operator.is_not,
}  # fmt: skip
_HOOK = "_compared_"


def run(order: dict[str, Any], channel_fd: int, report_fd: int) -> None:
    """Judge `order` (setup, checks, entry_point) and write one line of JSON a result to `report_fd`."""

    def report(**fields: Any) -> None:
        data = json.dumps(fields).encode() + b"\n"
        while data:
            data = data[os.write(report_fd, data) :]

    peer = Peer(Channel(socket.socket(fileno=channel_fd)))
    judge = _Judge(peer, order["setup"], order["checks"], order["entry_point"])
    failure = judge.prepare()
    for index in range(len(order["checks"])):
        outcome, message = failure or judge.check(index)
        report(index=index, outcome=outcome, message=message[:MESSAGE_CHARS])
    report(end=True)


class _Judge:
    def __init__(self, peer: Peer, setup: str, checks: list[str], entry_point: str | None):
        self._peer, self._setup, self._checks, self._entry_point = peer, setup, checks, entry_point
        self._comparison = ""
        self._globals: dict[str, Any] = {}
        self._trees: list[ast.Module | str] = []  # a check that cannot be parsed is its error

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
        setup = ast.parse(self._setup, "<setup>")
        self._trees = [_parse(i, source) for i, source in enumerate(self._checks)]
        trees = [tree for tree in self._trees if isinstance(tree, ast.Module)]
        self._globals = Namespace(self._peer.named, [setup, *trees], self._entry_point)
        for tree in trees:
            ast.fix_missing_locations(_Watch().visit(tree))
        self._globals[_HOOK] = self._compare
        exec(compile(setup, "<setup>", "exec"), self._globals)  # noqa: S102  (inside the box)

    def _find_entry_point(self) -> None:
        name = self._entry_point or ""
        self._globals[name] = self._globals["candidate"] = self._peer.named(name)

    def check(self, index: int) -> tuple[str, str]:
        """(outcome, message) of one check."""
        tree = self._trees[index]
        if isinstance(tree, str):
            return "invalid", tree

        def start() -> None:
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            exec(compile(tree, f"<test {index}>", "exec"), self._globals)  # noqa: S102  (inside the box)
            if "check" in defined and self._entry_point != "check":
                self._globals["check"](self._globals["candidate"])
            for name in sorted(name for name in defined if name.startswith("test_")):
                self._globals[name]()

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
        if isinstance(error, AssertionError):
            own = str(error)[:200]
            return "failed", ": ".join(part for part in (_statement(error), own, self._comparison) if part)
        return "error", f"{type(error).__name__}: {str(error)[:200]}"

    def _compare(self, left: Any, right: Any, symbol: str) -> Any:
        result = _COMPARE[symbol](left, right)
        # Not described before it has failed: a repr costs more than most comparisons.
        if not result:
            self._comparison = f"got {_short(left)}, expected {symbol} {_short(right)}"
        return result


def _parse(index: int, source: str) -> ast.Module | str:
    """The test's syntax tree; where there is none, why."""
    name = f"<test {index}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        return ast.parse(source, name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"the test cannot be parsed: {error}"


class _Watch(ast.NodeTransformer):
    """`assert f(x) == y` becomes `assert _compared_(f(x), y, "==")`, so that a failure can say what it got."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        match node.test:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                args = [left, right, ast.Constant(_SYMBOLS[type(op)])]
                node.test = ast.copy_location(ast.Call(ast.Name(_HOOK, ast.Load()), args, []), node.test)
        return node


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
