"""Floating point values of a formula at a few points, for roots, logarithms and all that is not rational."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator

from nlrl.rewards.forms.exact import CannotTell
from nlrl.rewards.forms.fingerprint import PRIME, symbol_value
from nlrl.rewards.forms.syntax import Node

# where the symbols lie, point by point: on both sides of 1, and far out, where floor(n / 9) is not 0
_RANGES = ((0.3, 2.4), (2.0, 7.0), (40.0, 900.0))
N_POINTS = 6

_UNARY = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "ln": cmath.log,
}  # fmt: skip


def _real(value: complex) -> float:
    if abs(value.imag) > 1e-9 * max(1.0, abs(value.real)):
        raise CannotTell
    return value.real


def _number(node: Node, point: int, log_base: float, sign: float) -> complex:
    op = node[0]
    if op == "n":
        return complex(node[1])
    if op == "s":
        name = node[1]
        if name in ("π", "e", "i", "I"):
            return {"π": cmath.pi, "e": cmath.e}.get(name, 1j)
        if name == "∞":
            raise CannotTell
        low, width = _RANGES[point % len(_RANGES)]
        return complex(sign * (low + width * symbol_value(name, point) / PRIME))
    values = [_number(child, point, log_base, sign) for child in node[1:]]
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
        if first.imag == 0 > first.real and node[2][0] == "/" and values[1].imag == 0:  # the real odd root of -8
            index = node[2][2]
            if node[2][1] == ("n", 1) and index[0] == "n" and isinstance(index[1], int) and index[1] % 2:
                return complex(-((-first.real) ** values[1].real))
        return first ** values[1]
    if op in _UNARY:
        return _UNARY[op](first)
    if op == "log":
        return cmath.log(first) / math.log(log_base)
    if op in ("cot", "sec", "csc"):
        return 1 / {"cot": cmath.tan, "sec": cmath.cos, "csc": cmath.sin}[op](first)
    if op == "abs":
        return complex(abs(first))
    reals = [_real(value) for value in values]
    if op in ("floor", "ceil"):
        near = round(reals[0])
        whole = near if abs(reals[0] - near) < 1e-9 else math.floor(reals[0]) if op == "floor" else math.ceil(reals[0])
        return complex(whole)
    if op == "sgn":
        return complex((reals[0] > 0) - (reals[0] < 0))
    if op in ("max", "min"):
        return complex(max(reals) if op == "max" else min(reals))
    if op == "factorial":
        return complex(math.gamma(reals[0] + 1))
    if op == "factorial2":  # the usual continuation, right at the odd integers
        half = reals[0] / 2
        return complex(2 ** (half + 0.5) * math.gamma(half + 1) / math.sqrt(math.pi))
    if op == "binom":
        return complex(math.gamma(reals[0] + 1) / math.gamma(reals[1] + 1) / math.gamma(reals[0] - reals[1] + 1))
    raise CannotTell


def reals(node: Node, log_base: float = math.e, sign: float = 1.0) -> tuple[complex | None, ...]:
    """Values at the points; infinite on overflow, None where there is no value (a pole, an unknown function).

    log_base  of a bare "log"
    sign      -1 makes all symbols negative
    """

    def at_points() -> Iterator[complex | None]:
        for point in range(N_POINTS):
            try:
                value = _number(node, point, log_base, sign)
                yield value if cmath.isfinite(value) else None
            except OverflowError:
                yield complex(math.inf)
            except (CannotTell, ArithmeticError, ValueError):
                yield None

    return tuple(at_points())
