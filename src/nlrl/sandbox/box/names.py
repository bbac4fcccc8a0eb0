"""Which names of a test mean the program, and which mean Python.

assert max_chain([Pair(5, 24), Pair(27, 40)], 2) == 2      # both names: the program's
assert set(common((1, 2), (2, 3))) == {2}                  # set: Python's own, whatever the program defines
assert math.isclose(area(2), 12.566)                       # math: the judge's own module
assert sum(10, 15) == 6                                    # nothing else is called: sum is under test
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any


class Namespace(dict[str, Any]):
    """The globals of the tests. A name that neither the tests nor Python define is asked of the program."""

    def __init__(self, ask: Callable[[str], Any], trees: Iterable[ast.AST], under_test: str | None):
        super().__init__(__name__="__main__", __file__="tests.py", __builtins__=builtins)  # as in a plain run
        trees = list(trees)
        self._ask = ask
        self._modules = {
            node.value.id
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        } & sys.stdlib_module_names
        self._shadowed = _builtins_under_test(trees) if under_test is None else set()

    def __missing__(self, name: str) -> Any:
        if name in self._shadowed:
            try:
                found = self._ask(name)
            except NameError:
                found = getattr(builtins, name)
        elif hasattr(builtins, name):
            return getattr(builtins, name)
        elif name in self._modules:
            found = importlib.import_module(name)
        else:
            found = self._ask(name)
        self[name] = found
        return found


def _builtins_under_test(trees: list[ast.AST]) -> set[str]:
    """Names of builtins that every assert calls, where nothing but builtins is called anywhere."""
    if any(not hasattr(builtins, name) for tree in trees for name in _called(tree)):
        return set()
    called = [_called(node) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return set.intersection(*called) if called else set()


def _called(tree: ast.AST) -> set[str]:
    return {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
