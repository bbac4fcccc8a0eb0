"""Floating point values of a formula at some points, for roots, logarithms and all that is not rational.

Symbols are positive where nothing is said (z and w are complex); `reals` has a few such points. Where a formula speaks
of integers ((-1)^n, a floor, cos(n π), a sum up to n), `integer_points` has small integers of both parities, squares
and their neighbours for those symbols: a formula that differs from another only between two squares is seen there.
"""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from functools import cache

from nlrl.answers.forms.exact import CannotTell, exact
from nlrl.answers.forms.fingerprint import PRIME, symbol_value
from nlrl.answers.forms.trees import Node, symbols, walk

Point = Callable[[str], complex]

# where the symbols lie, point by point: on both sides of 1, far out, where floor(n / 9) is not 0, and near 0
_RANGES = ((0.3, 2.4), (2.0, 7.0), (40.0, 900.0), (0.05, 0.9))
_INTEGERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 24, 25, 26, 36, 37, 48, 99, 100, 101)
N_POINTS = 8
MAX_TERMS = 200  # of a sum that is written out at a point
MAX_STEPS = 30_000  # nodes evaluated for one formula, all points together: some 30 ms
_COMPLEX = "zw"
_INTEGER_LETTERS = frozenset("nmkNMKjl")

_UNARY = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "ln": cmath.log,
}  # fmt: skip


def _generic(point: int, sign: float) -> Point:
    low, width = _RANGES[point % len(_RANGES)]

    def value(name: str) -> complex:
        size = sign * (low + width * symbol_value(name, point) / PRIME)
        return complex(size, 0.3 * size * (1 + point % 2)) if name[0] in _COMPLEX else complex(size)

    return value


_POINTS = {sign: tuple(_generic(point, sign) for point in range(N_POINTS)) for sign in (1.0, -1.0)}
MANY_POINTS = tuple(_generic(point, 1.0) for point in range(10, 10 + 6 * N_POINTS))  # for steps, which differ seldom


def integer_points(names: Collection[str]) -> tuple[Point, ...]:
    """Points at which `names` are integers, each in an order of its own, and all other symbols are positive."""

    def at(step: int) -> Point:
        other = _POINTS[1.0][step % N_POINTS]

        def value(name: str) -> complex:
            if name not in names:
                return other(name)
            start = zlib.crc32(name.encode("utf-8", "surrogatepass")) if len(names) > 1 else 0
            return complex(_INTEGERS[(start + step * (1 + 2 * (start % 5))) % len(_INTEGERS)])

        return value

    return tuple(at(step) for step in range(len(_INTEGERS)))


def parameter_point(name: str, value: int) -> Point:
    """A point at which one symbol has a given value, and all others are positive."""
    return lambda other: complex(value) if other == name else _POINTS[1.0][0](other)


def integers(node: Node) -> set[str]:
    """The symbols that can only be meant as integers.

    Those in an exponent of a negative base and in the bounds of a sum; and, where they have the usual letters, those
    under a floor or ceiling, beside π in a sine or cosine, and in the exponent of a base of unknown sign.
    """
    found: set[str] = set()
    for part in walk(node):
        op = part[0]
        if op == "^":
            names = symbols(part[2])
            if names:
                found |= names if _negative(part[1]) else _usual(names) if not symbols(part[1]) <= {"e", "π"} else set()
        elif op in ("sum", "prod"):
            found |= symbols(part[2]) | symbols(part[3])
        elif op in ("gcd", "lcm"):
            found |= symbols(part)
        elif op in ("floor", "ceil") or (op in ("sin", "cos", "tan") and "π" in symbols(part)):
            found |= _usual(symbols(part))
    return found - {"π", "e", "i", "I", "∞", "…"}


def _negative(base: Node) -> bool:
    if base in (("s", "i"), ("s", "I")):
        return True
    try:
        return exact(base) < 0
    except (CannotTell, ArithmeticError, ValueError):
        return False


def _usual(names: Iterable[str]) -> set[str]:
    return {name for name in names if name[0] in _INTEGER_LETTERS}


def _real(value: complex) -> float:
    if abs(value.imag) > 1e-9 * max(1.0, abs(value.real)):
        raise CannotTell
    return value.real


class _Run:
    """What one evaluation at all points shares: the base of a bare "log", and the steps that are left."""

    def __init__(self, log_base: float) -> None:
        self.log_base, self.steps = log_base, MAX_STEPS


def _number(node: Node, at: Point, run: _Run) -> complex:
    run.steps -= 1
    if run.steps < 0:
        raise CannotTell
    op = node[0]
    if op == "n":
        return complex(node[1])
    if op == "s":
        name = node[1]
        if name in ("π", "e", "i", "I"):
            return {"π": cmath.pi, "e": cmath.e}.get(name, 1j)
        if name == "∞":
            raise CannotTell
        return at(name)
    if op in ("sum", "prod"):
        return _written_out(node, at, run)
    if op == "integral":
        return _integral(node, at, run)
    values = [_number(child, at, run) for child in node[1:]]
    first = values[0]
    if op == "+":
        return first + values[1]
    if op == "-":
        return -first
    if op == "*":
        return first * values[1]
    if op == "/":
        return first / values[1]
    if op == "^":
        return _power(first, values[1], node[2])
    if op in ("arcsin", "arccos") and first.imag == 0 and abs(first.real) > 1 + 1e-9:
        raise CannotTell  # beyond its domain, where branches of complex functions differ
    if op in _UNARY:
        return _UNARY[op](first)
    if op == "log":
        return cmath.log(first) / math.log(run.log_base)
    if op in ("cot", "sec", "csc"):
        return 1 / {"cot": cmath.tan, "sec": cmath.cos, "csc": cmath.sin}[op](first)
    if op == "abs":
        return complex(abs(first))
    if op[0] == ":":
        return _unknown(op, values)
    reals = [_real(value) for value in values]
    if op in ("floor", "ceil"):
        near = round(reals[0])
        whole = near if abs(reals[0] - near) < 1e-9 else math.floor(reals[0]) if op == "floor" else math.ceil(reals[0])
        return complex(whole)
    if op == "sgn":
        return complex((reals[0] > 0) - (reals[0] < 0))
    if op in ("max", "min"):
        return complex(max(reals) if op == "max" else min(reals))
    if op in ("gcd", "lcm"):
        whole = [round(real) for real in reals]
        if any(abs(real - near) > 1e-9 for real, near in zip(reals, whole, strict=True)):
            raise CannotTell
        return complex(math.gcd(*whole) if op == "gcd" else math.lcm(*whole))
    if op == "factorial":
        return complex(math.gamma(reals[0] + 1))
    if op == "factorial2":  # the usual continuation, right at the odd integers
        half = reals[0] / 2
        return complex(2 ** (half + 0.5) * math.gamma(half + 1) / math.sqrt(math.pi))
    if op == "binom":
        if reals[0] > 150:  # gamma overflows
            return complex(
                math.exp(math.lgamma(reals[0] + 1) - math.lgamma(reals[1] + 1) - math.lgamma(reals[0] - reals[1] + 1))
            )
        return complex(math.gamma(reals[0] + 1) / math.gamma(reals[1] + 1) / math.gamma(reals[0] - reals[1] + 1))
    raise CannotTell


def _power(base: complex, power: complex, exponent: Node) -> complex:
    if base.imag == 0 > base.real and power.imag == 0 and exponent[0] != "n":
        try:
            ratio = exact(exponent)
        except (CannotTell, ArithmeticError, ValueError):
            ratio = 0
        if isinstance(ratio, Fraction) and ratio.denominator % 2:  # the real odd root of -8, and powers of it
            size = (-base.real) ** float(ratio)
            return complex(-size if ratio.numerator % 2 else size)
    return base**power


def _written_out(node: Node, at: Point, run: _Run) -> complex:
    op, variable, low, high, term = node
    if high == ("s", "∞"):
        return _unknown(":" + op, [_number(low, at, run), _number(term, _with(at, variable[1], 0.7), run)])
    first, last = (_real(_number(bound, at, run)) for bound in (low, high))
    if abs(first - round(first)) > 1e-9 or abs(last - round(last)) > 1e-9 or last - first > MAX_TERMS:
        raise CannotTell
    terms = (_number(term, _with(at, variable[1], k), run) for k in range(round(first), round(last) + 1))
    return sum(terms, 0j) if op == "sum" else math.prod(terms, start=1 + 0j)


@cache
def _gauss() -> list[tuple[float, float]]:
    """Points in [-1, 1] and their weights."""
    from numpy.polynomial.legendre import leggauss  # a tenth of a second, which most programs can save

    return [(float(x), float(w)) for x, w in zip(*leggauss(40), strict=True)]


def _integral(node: Node, at: Point, run: _Run) -> complex:
    """A definite integral of a smooth function; of others the value is off, and equals nothing."""
    _, variable, low, high, term = node
    first, last = (_real(_number(bound, at, run)) for bound in (low, high))
    middle, half = (first + last) / 2, (last - first) / 2
    parts = (w * _number(term, _with(at, variable[1], middle + half * x), run) for x, w in _gauss())
    return half * sum(parts, 0j)


def _with(at: Point, name: str, value: float) -> Point:
    return lambda other: complex(value) if other == name else at(other)


def _unknown(op: str, arguments: list[complex]) -> complex:
    """A value for an operation nobody here knows: a smooth function of its arguments, in order, its own for each name.

    Smooth, so that equal arguments that differ by floating point noise have values that do, too.
    """
    low, width = 0.5, 1.0
    out = complex(low + width * symbol_value(op, 1) / PRIME, 0.3)
    for position, argument in enumerate(arguments, 2):
        weight = low + width * symbol_value(op, position) / PRIME
        out = (out * weight + argument + 0.37) / (1.0 + weight * argument - 0.21j * out)
    return out


def reals(
    node: Node, log_base: float = math.e, sign: float = 1.0, points: tuple[Point, ...] = ()
) -> tuple[complex | None, ...]:
    """Values at the points; infinite on overflow, None where there is no value (a pole, an integer that is none).

    log_base  of a bare "log"
    sign      -1 makes all symbols negative
    points    others than the usual ones
    """
    out: list[complex | None] = []
    run = _Run(log_base)
    for at in points or _POINTS[sign]:
        try:
            value = _number(node, at, run)
            out.append(value if cmath.isfinite(value) else None)
        except OverflowError:
            out.append(complex(math.inf))
        except (CannotTell, ArithmeticError, ValueError):
            out.append(None)
    return tuple(out)
