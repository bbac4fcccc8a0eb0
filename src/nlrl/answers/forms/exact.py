"""The exact rational value of a formula, refused where it would take more than a few thousand digits."""

from __future__ import annotations

import math
from fractions import Fraction

from nlrl.answers.forms.numerals import Exact, tidy
from nlrl.answers.forms.trees import Node

MAX_BITS = 12_000
MAX_TERMS = 1000  # of a sum or product that is written out


class CannotTell(Exception):
    """This way of evaluating does not apply."""


def _bits(value: Exact) -> int:
    return max(abs(value.numerator).bit_length(), value.denominator.bit_length())


def exact(node: Node, bound: dict[str, int] | None = None) -> Exact:
    """The rational value. Raises CannotTell for symbols, irrational functions and numbers of too many digits.

    bound  values of the symbols that sums and products bind
    """
    op = node[0]
    if op == "n":
        return node[1]
    if op == "s":
        if bound and node[1] in bound:
            return bound[node[1]]
        raise CannotTell
    if op in ("sum", "prod"):
        return _written_out(node, bound or {})
    if op[0] == ":":
        raise CannotTell
    if op == "^":
        base, power = exact(node[1], bound), exact(node[2], bound)
        if isinstance(power, Fraction):
            return _root(base, power)
        if base in (0, 1, -1):
            if base == 0 and power < 0:
                raise CannotTell
            return base ** (power % 2 if base == -1 else min(power, 1) if base == 0 and power else abs(power) and 1)
        if abs(power) * _bits(base) > MAX_BITS:
            raise CannotTell
        return tidy(Fraction(base) ** power)
    arguments = [exact(child, bound) for child in node[1:]]
    first = arguments[0]
    if op == "+":
        out: Exact = first + arguments[1]
    elif op == "-":
        out = -first
    elif op == "*":
        out = first * arguments[1]
    elif op == "/":
        if not arguments[1]:
            raise CannotTell
        out = Fraction(first) / arguments[1]
    else:
        out = _integer_function(op, arguments)
    if _bits(out) > 4 * MAX_BITS:
        raise CannotTell
    return tidy(out)


def _written_out(node: Node, bound: dict[str, int]) -> Exact:
    """A sum or product between two integers, term by term."""
    op, variable, low, high, term = node
    first, last = exact(low, bound), exact(high, bound)
    if isinstance(first, Fraction) or isinstance(last, Fraction) or last - first >= MAX_TERMS or bound:
        raise CannotTell  # nested ones too: their terms multiply
    total: Exact = 0 if op == "sum" else 1
    for value in range(first, last + 1):
        one = exact(term, {variable[1]: value})
        total = total + one if op == "sum" else total * one
        if _bits(total) > 4 * MAX_BITS:
            raise CannotTell
    return tidy(total)


def _root(base: Exact, power: Fraction) -> Exact:
    """base^power where that is rational."""
    if base < 0 or power.denominator > 64 or _bits(base) > 2000 or abs(power.numerator) > 64:
        raise CannotTell
    parts = []
    for part in (base.numerator, base.denominator):
        root = _integer_root(part, power.denominator)
        if root**power.denominator != part:
            raise CannotTell
        parts.append(root)
    if not parts[0] and power < 0:
        raise CannotTell
    return tidy(Fraction(parts[0], parts[1]) ** power.numerator)


def _integer_root(value: int, degree: int) -> int:
    if degree == 2:
        return math.isqrt(value)
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= value:
            low = middle
        else:
            high = middle - 1
    return low


def _integer_function(op: str, values: list[Exact]) -> Exact:
    first = values[0]
    if op == "abs":
        return abs(first)
    if op == "sgn":
        return (first > 0) - (first < 0)
    if op == "floor":
        return math.floor(first)
    if op == "ceil":
        return math.ceil(first)
    if op in ("max", "min"):
        return max(values) if op == "max" else min(values)
    whole = [v for v in values if isinstance(v, int)]
    if len(whole) == len(values):
        if op in ("gcd", "lcm"):
            return math.gcd(*whole) if op == "gcd" else math.lcm(*whole)
        if op == "binom" and whole[1] >= 0 and 0 <= whole[0] <= 10_000 and min(whole[1], whole[0] - whole[1]) < 1000:
            return math.comb(whole[0], whole[1])
        if op == "factorial" and 0 <= whole[0] <= 1000:
            return math.factorial(whole[0])
        if op == "factorial2" and -1 <= whole[0] <= 1000:
            return math.prod(range(whole[0], 0, -2))
    raise CannotTell
