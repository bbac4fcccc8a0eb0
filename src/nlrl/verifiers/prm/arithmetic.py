"""Whether the sums in a line are right: `a op b = c`, evaluated exactly.

    check_equations("So 3 * 4 + 1 = 13 apples, and 13 / 4 = 3.6")   ->  Checked(right=1, wrong=1, ...)

Only plain arithmetic is judged. Algebra ("2x + 3 = 7"), plain assignments ("x = 5") and anything unusual is left alone:
a wrong sum called right costs little, a right one called wrong would mislead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

_LOOK = 2_000  # characters of a line that are read
_MAX_TOKENS = 64  # of one expression
_MAX_DIGITS = 30
_MAX_POWER = 64

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(rf"({_NUMBER})|([-+*/^()])|(=)|(\s+)|([A-Za-z]+|.)", re.S)
_NUMBERS = re.compile(_NUMBER)
_SPELT = [
    (re.compile(r"\\(?:times|cdot)\b|[×·∙⋅]"), "*"),
    (re.compile(r"\\div\b|÷"), "/"),
    (re.compile(r"\\[dt]?frac\{([^{}]{1,40})\}\{([^{}]{1,40})\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:left|right|,|;|!)|[$€£\u00a0]|\\\$"), " "),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"≈|\\approx\b"), "="),
    (re.compile(r"(?<=[\d)])\s*[xX]\s*(?=[\d(])"), "*"),
    (re.compile(r"(?<=\d)\s*%"), ""),  # "20% of 50" is no sum of ours; "20% + 30% = 50%" is
    (re.compile(r"(?<=\d)\s+[A-Za-z]{2,}\b(?=\s*[-+*/=)])"), ""),  # units: "3 apples + 4 apples = 7"
]


@dataclass(frozen=True, slots=True)
class Checked:
    """The sums of a line: how many hold, how many do not, how many could not be judged; and their results."""

    right: int = 0
    wrong: int = 0
    unknown: int = 0
    operands: tuple[Fraction, ...] = field(default=())
    results: tuple[Fraction, ...] = field(default=())


def numbers_in(text: str) -> list[Fraction]:
    """Every plain number in a text, without sign, in order."""
    return [_fraction(n) for n in _NUMBERS.findall(text[:_LOOK]) if len(n) <= _MAX_DIGITS]


def check_equations(line: str) -> Checked:
    """Judge every `=` of a line between two pieces of arithmetic."""
    if "=" not in line and "≈" not in line and "approx" not in line:
        return Checked()
    text = line[:_LOOK]
    for pattern, plain in _SPELT:
        text = pattern.sub(plain, text)
    sides: list[list[str]] = [[]]
    for number, mark, equals, space, other in _TOKEN.findall(text):
        if equals:
            sides.append([])
        elif not space:
            sides[-1].append(number or mark or ("?" + other))
    right = wrong = unknown = 0
    operands: list[Fraction] = []
    results: list[Fraction] = []
    for left, after in pairwise(sides):
        one, many = _tail(left), _head(after)
        if not any(t in "+-*/^" for t in one[1:]):
            unknown += 1
            continue
        value, claimed = _value(one), _value(many)
        if value is None or claimed is None:
            unknown += 1
            continue
        operands += [_fraction(t) for t in one if t[0].isdigit() or t[0] == "."]
        results.append(claimed)
        if value == claimed or _rounds_to(value, claimed, many):
            right += 1
        else:
            wrong += 1
    return Checked(right, wrong, unknown, tuple(operands), tuple(results))


def _tail(tokens: list[str]) -> list[str]:
    """The arithmetic at the end of the left side; empty where it is part of something else."""
    start = len(tokens)
    while start and tokens[start - 1][0] != "?":
        start -= 1
    piece = tokens[start:]
    if start and piece and piece[0] in "+*/^-":  # "x + 3 = 7": the rest of an expression that is not ours
        return []
    return piece if len(piece) <= _MAX_TOKENS else []


def _head(tokens: list[str]) -> list[str]:
    """The arithmetic at the start of the right side."""
    end = 0
    while end < len(tokens) and tokens[end][0] != "?":
        end += 1
    if end < len(tokens) and len(tokens[end]) == 2 and tokens[end][1].isalpha():
        return []  # "= 2x": a variable follows
    piece = tokens[:end]
    while piece and piece[-1] in "+-*/^(":
        piece.pop()  # "= 5 - so it is": a dash
    return piece if len(piece) <= _MAX_TOKENS else []


def _rounds_to(value: Fraction, claimed: Fraction, tokens: list[str]) -> bool:
    """Whether a single number is the value rounded or cut to its decimals."""
    if len(tokens) != 1:
        return False
    _, dot, decimals = tokens[0].partition(".")
    return abs(value - claimed) < Fraction(1, 10 ** len(decimals)) and bool(dot)


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


class _Unreadable(Exception):
    pass


def _value(tokens: list[str]) -> Fraction | None:
    """The exact value of an expression; None where it is none, or too large to be worth it."""
    try:
        value, end = _sum(tokens, 0)
    except (_Unreadable, ZeroDivisionError, RecursionError, ValueError):
        return None
    return value if end == len(tokens) else None


def _sum(tokens: list[str], at: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at)
    while at < len(tokens) and tokens[at] in "+-":
        sign = 1 if tokens[at] == "+" else -1
        more, at = _product(tokens, at + 1)
        value += sign * more
    return value, at


def _product(tokens: list[str], at: int) -> tuple[Fraction, int]:
    value, at = _signed(tokens, at)
    while at < len(tokens) and tokens[at] in "*/":
        mark = tokens[at]
        more, at = _signed(tokens, at + 1)
        value = value * more if mark == "*" else value / more
    return value, at


def _signed(tokens: list[str], at: int) -> tuple[Fraction, int]:
    if at < len(tokens) and tokens[at] in "+-":
        value, end = _signed(tokens, at + 1)
        return (value if tokens[at] == "+" else -value), end
    return _power(tokens, at)


def _power(tokens: list[str], at: int) -> tuple[Fraction, int]:
    value, at = _atom(tokens, at)
    if at < len(tokens) and tokens[at] == "^":
        power, at = _signed(tokens, at + 1)
        if power.denominator != 1 or abs(power) > _MAX_POWER or abs(value) > 10**6:
            raise _Unreadable
        value = value ** int(power)
    return value, at


def _atom(tokens: list[str], at: int) -> tuple[Fraction, int]:
    if at >= len(tokens):
        raise _Unreadable
    if tokens[at] == "(":
        value, at = _sum(tokens, at + 1)
        if at >= len(tokens) or tokens[at] != ")":
            raise _Unreadable
        return value, at + 1
    if len(tokens[at]) > _MAX_DIGITS or tokens[at] in ")+-*/^":
        raise _Unreadable
    return _fraction(tokens[at]), at + 1
