"""Whatever has a name and parameters is one string, parsed and printed without loss.

    >>> str(parse_strategy("best_of_n( select=best, n=16 )"))
    'best_of_n(n=16, select=best)'

The same string is used on the command line, in records, in policy files and by HTTP clients; environments are named in
the same grammar.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from nlrl.core.errors import UserError


@dataclass(frozen=True)
class StrategySpec:
    """A parsed strategy string. `str(spec)` is canonical: parameters sorted, equal specs print equally."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        inner = ", ".join(f"{key}={printed(value)}" for key, value in sorted(self.parameters.items()))
        return f"{self.name}({inner})"


def parse_strategy(text: str) -> StrategySpec:
    """Read "name" or "name(key=value, ...)"; values are numbers, true/false/none, words or quoted strings.

    Raises UserError for anything else, saying what is wrong. Names are not checked here; `get_strategy` does.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _unreadable(text, "it is not of the form name or name(key=value, ...)") from None
    if isinstance(tree, ast.Name):
        return StrategySpec(tree.id)
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        raise _unreadable(text, "it is not of the form name or name(key=value, ...)")
    if tree.args or any(k.arg is None for k in tree.keywords):
        raise _unreadable(text, "every parameter needs its name, such as n=8")
    return StrategySpec(tree.func.id, {str(k.arg): _value(k.value, text) for k in tree.keywords})


_WORDS = {"true": True, "false": False, "none": None}


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | bool | None):
        if isinstance(node.value, float) and not isfinite(node.value):
            raise _unreadable(text, "a number is too large")
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    raise _unreadable(text, f"the value {ast.unparse(node)!r} is neither a number nor a word")


def printed(value: Any) -> str:
    """A value as a spec holds it: a number, a word or a quoted string."""
    for word, meaning in _WORDS.items():
        if value is meaning:
            return word
    if not isinstance(value, str):
        return repr(value)
    # Python reads bare words of other scripts in their normal form: a ligature would come back as two letters
    plain = value.isascii() and value.isidentifier() and not keyword.iskeyword(value) and value not in _WORDS
    return value if plain else repr(value)


def _unreadable(text: str, why: str) -> UserError:
    return UserError(f"Cannot read the strategy {text[:200]!r}: {why}. Example: best_of_n(n=8, select=best)")
