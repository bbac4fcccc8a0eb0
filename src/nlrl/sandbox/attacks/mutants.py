"""Programs that are nearly right: a correct one with a single change. Tests that are worth anything fail them.

    mutants("def f(x): return x + 1", "f", random.Random(0))
    -> [Mutant("returns None", "def f(x):\\n    return None"), Mutant("arithmetic", "def f(x): return x - 1"), ...]

Some changes change nothing that can be observed (`x <= y` for `x < y` where they are never equal), so a share of
survivors is to be expected, except for the first two kinds.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable
from dataclasses import dataclass

_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_SHIFTED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
_OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed program and the kind of change."""

    kind: str
    program: str


def mutants(program: str, function: str, rng: random.Random) -> list[Mutant]:
    """One mutant of each kind that applies, at a place drawn by `rng`; the first two kinds always apply.

    `function` is the one under test. Raises SyntaxError for a program that is none, LookupError without the function.
    """
    tree = ast.parse(program)
    found = [Mutant("returns None", _with_body(tree, function, "return None"))]
    found.append(Mutant("returns a foreign object", _with_body(tree, function, "return object()")))
    original = ast.unparse(tree)
    for kind, change in _CHANGES.items():
        places = [i for i, node in enumerate(ast.walk(tree)) if change(copy.deepcopy(node))]
        if places:
            changed = copy.deepcopy(tree)
            change(list(ast.walk(changed))[rng.choice(places)])
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text != original:
                found.append(Mutant(kind, text))
    return found


def function_under_test(program: str, test: str) -> str:
    """The function of the program that the test calls first; "" if there is none."""
    defined = {n.name for n in ast.parse(program).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    calls = [n.func.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return next((name for name in calls if name in defined), "")


def _with_body(tree: ast.Module, function: str, body: str) -> str:
    changed = copy.deepcopy(tree)
    found = [n for n in changed.body if isinstance(n, ast.FunctionDef) and n.name == function]
    if not found:
        raise LookupError(f"the program has no function {function!r}")
    found[-1].body = ast.parse(body).body  # the last definition is the one that counts
    return ast.unparse(ast.fix_missing_locations(changed))


def _comparison(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        node.ops[0] = _FLIPPED[type(node.ops[0])]()
        return True
    return False


def _boundary(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SHIFTED:
        node.ops[0] = _SHIFTED[type(node.ops[0])]()
        return True
    return False


def _arithmetic(node: ast.AST) -> bool:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OTHER:
        node.op = _OTHER[type(node.op)]()
        return True
    return False


def _off_by_one(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1  # type: ignore[operator]
        return True
    return False


def _condition(node: ast.AST) -> bool:
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return True
    return False


def _boolean(node: ast.AST) -> bool:
    if isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return True
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        node.value = not node.value
        return True
    return False


_CHANGES: dict[str, Callable[[ast.AST], bool]] = {
    "comparison flipped": _comparison,
    "comparison off by one": _boundary,
    "arithmetic": _arithmetic,
    "number off by one": _off_by_one,
    "condition negated": _condition,
    "boolean": _boolean,
}
