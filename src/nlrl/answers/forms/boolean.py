"""Formulas of logic and of sets, by their truth tables: p ∧ q is q ∧ p, A ∩ B is B ∩ A, A ∖ B is not B ∖ A.

boolean("p → q")   [Boolean(("p", "q"), (True, True, False, True))]
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

from nlrl.answers.forms.shapes import Boolean, Reading

MAX_ATOMS = 8
_LOGIC, _SETS = "∧∨¬→⇒⇔", "∪∩∖"
_TOKEN = re.compile(r"\s*([A-Za-z](?:_\w)?|\^\s*\{?\s*c\s*\}?|'|[()∧∨¬→⇒⇔∪∩∖])")
_COMPLEMENT = re.compile(r"\\(?:bar|overline)\s*\{?\s*([A-Z])\s*\}?")
# loosest first; a → b → c is a → (b → c), which a truth table does not mind writing from the left as long as there is
# only one arrow
_LEVELS: tuple[dict[str, Callable[[bool, bool], bool]], ...] = (
    {"⇔": lambda a, b: a == b},
    {"→": lambda a, b: not a or b, "⇒": lambda a, b: not a or b},
    {"∨": lambda a, b: a or b, "∪": lambda a, b: a or b, "∖": lambda a, b: a and not b},
    {"∧": lambda a, b: a and b, "∩": lambda a, b: a and b},
)
_Value = Callable[[dict[str, bool]], bool]


class _NotBoolean(Exception):
    pass


def boolean(text: str) -> list[Reading]:
    """A formula of names and operators, at least one of them; empty for all else."""
    logic, sets = any(c in text for c in _LOGIC), any(c in text for c in _SETS)
    if logic == sets or len(text) > 200 or sum(text.count(c) for c in "→⇒⇔") > 1:
        return []
    text = _COMPLEMENT.sub(r"¬\1", text)
    tokens: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if not match:
            return []
        tokens.append("^c" if match.group(1)[0] in "^'" else match.group(1))
        at = match.end()
    try:
        value, rest = _level(tokens, 0)
    except (_NotBoolean, RecursionError):
        return []
    atoms = tuple(sorted({token for token in tokens if token[0].isalpha()}))
    if rest or not 1 <= len(atoms) <= MAX_ATOMS:
        return []
    table = tuple(value(dict(zip(atoms, row, strict=True))) for row in product((False, True), repeat=len(atoms)))
    return [Boolean(atoms, table, sets)]


def _level(tokens: list[str], level: int) -> tuple[_Value, list[str]]:
    if level == len(_LEVELS):
        return _atom(tokens)
    left, tokens = _level(tokens, level + 1)
    while tokens and tokens[0] in _LEVELS[level]:
        operator = _LEVELS[level][tokens[0]]
        right, tokens = _level(tokens[1:], level + 1)
        left = _joined(operator, left, right)
    return left, tokens


def _joined(operator: Callable[[bool, bool], bool], left: _Value, right: _Value) -> _Value:
    return lambda given: operator(left(given), right(given))


def _not(value: _Value) -> _Value:
    return lambda given: not value(given)


def _atom(tokens: list[str]) -> tuple[_Value, list[str]]:
    if not tokens:
        raise _NotBoolean
    token, tokens = tokens[0], tokens[1:]
    if token == "¬":
        value, tokens = _atom(tokens)
        return _not(value), tokens
    if token == "(":
        value, tokens = _level(tokens, 0)
        if tokens[:1] != [")"]:
            raise _NotBoolean
        tokens = tokens[1:]
    elif token[0].isalpha():
        value = _name(token)
    else:
        raise _NotBoolean
    while tokens and tokens[0] == "^c":
        value, tokens = _not(value), tokens[1:]
    return value, tokens


def _name(token: str) -> _Value:
    return lambda given: given[token]
