"""Whether two numbers or formulas are equal, units, percentages and rounding included.

scalars(2.5 km, 2500 m)   True        scalars(70 dollars, 70)   True
scalars(0.6667, 2/3)      True        scalars(70 dollars, 70 cents)  False
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable
from fractions import Fraction

from nlrl.answers.forms.constants import constant_apart, differ_by_constant
from nlrl.answers.forms.numerals import Exact
from nlrl.answers.forms.reals import MANY_POINTS, integer_points, parameter_point, reals
from nlrl.answers.forms.shapes import Scalar
from nlrl.answers.forms.trees import Node, rename, walk
from nlrl.answers.forms.units import CURRENCY, Unit

MIN_DIGITS = 4  # a decimal stands for a longer or irrational number only if it shows at least so many digits
NOISE_DIGITS = 12  # a decimal of so many digits was printed by a machine and may end in noise
INFINITE = (("s", "∞"), ("-", ("s", "∞")))
CLOSE = 1e-9  # relative; floating point noise, not approximation
MIN_POINTS = 3  # at which both formulas must have a value
_STEPS = ("floor", "ceil", "sgn", "max", "min")
MAX_ROUNDED = 6  # decimals in one formula


def any_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Three-valued "or"."""
    out: bool | None = False
    for verdict in verdicts:
        if verdict:
            return True
        if verdict is None:
            out = None
    return out


def scalars(a: Scalar, b: Scalar) -> bool | None:
    """Two numbers or formulas with their units."""
    one, two = a.unit, b.unit
    if one is None and two is None:
        return _values(a, b)
    if one is None or two is None:
        bare, dressed, unit = (a, b, two) if one is None else (b, a, one)
        assert unit is not None
        return any_of(_values(bare, meaning) for meaning in _meanings(dressed, unit))
    if one.head == "%" or two.head == "%":
        return _values(a, b) if one.head == two.head else False
    if one.dimensions == two.dimensions:
        if (one.factor, one.offset) == (two.factor, two.offset):
            return _values(a, b)
        return _values(_converted(a, one), _converted(b, two))
    angles = {"deg", "rad"}
    if {d for d, _ in one.dimensions} | {d for d, _ in two.dimensions} == angles:
        return _values(_radians(a, one), _radians(b, two))
    if one.nouns and two.nouns:
        x, y = {d for d, _ in one.dimensions}, {d for d, _ in two.dimensions}
        return _values(a, b) if x <= y or y <= x else False
    if one.head == two.head and one.head in CURRENCY:  # "$18 per day" and "$18"
        return _values(a, b)
    return False


def _meanings(dressed: Scalar, unit: Unit) -> list[Scalar]:
    """What a number with a unit may be as a bare number: itself; percent also the hundredth, degrees also radians."""
    plain = dressed.with_unit(None)
    if unit.head == "%":
        return [plain, _converted(dressed, unit)]
    if unit.dimensions == (("deg", 1),):
        return [plain, _radians(dressed, unit)]
    return [plain]


def _converted(scalar: Scalar, unit: Unit) -> Scalar:
    """In base units. A decimal keeps its significant digits: 66.67 % is good to four."""
    if scalar.exact is not None:
        value = (scalar.exact + unit.offset) * unit.factor
        shift = 0
        if scalar.digits and unit.factor.numerator == 1 and not unit.offset:
            shift = len(str(unit.factor.denominator)) - 1 if str(unit.factor.denominator).strip("0") == "1" else 0
        digits = scalar.digits if shift or unit.factor == 1 else 0
        return Scalar(value, decimals=scalar.decimals + shift if digits else 0, digits=digits)
    return Scalar(None, ("*", ("+", scalar.tree, ("n", unit.offset)), ("n", unit.factor)))


def _radians(scalar: Scalar, unit: Unit) -> Scalar:
    if unit.dimensions == (("rad", 1),):
        return scalar.with_unit(None)
    return Scalar(None, ("/", ("*", scalar.tree, ("s", "π")), ("n", 180)))


def _values(a: Scalar, b: Scalar) -> bool | None:
    if a.exact is not None and b.exact is not None and not (a.inexact or b.inexact):
        return a.exact == b.exact or (bool(a.digits or b.digits) and _rounded(a, b))
    if a.tree == b.tree:
        return True
    if a.tree in INFINITE or b.tree in INFINITE:
        return False
    one, two = constant_apart(a), constant_apart(b)
    if one is not None or two is not None:
        return one is not None and two is not None and differ_by_constant(one, two)
    rounded = bool(a.digits or b.digits or a.inexact or b.inexact)
    if a.fingerprint is not None and b.fingerprint is not None:
        if a.fingerprint == b.fingerprint:
            return True
        if not rounded:
            return _one_letter(a, b)
    verdict = _sampled(a, b)
    if verdict is not True and rounded:
        return _rounded(a, b) or _rounded_inside(a, b) or verdict
    return _one_letter(a, b) if verdict is False else verdict


def _sampled(a: Scalar, b: Scalar) -> bool | None:
    """Equal at all points that can tell, where a proof cannot; None if there are too few such points."""
    whole = a.integers | b.integers
    if whole:
        points = integer_points(whole)
        return _close(reals(a.tree, points=points), reals(b.tree, points=points))
    verdict = _close(a.reals, b.reals)
    if verdict and any(part[0] in _STEPS for tree in (a.tree, b.tree) for part in walk(tree)):
        verdict = _close(reals(a.tree, points=MANY_POINTS), reals(b.tree, points=MANY_POINTS))
    if verdict and (_bare_abs(a.tree) or _bare_abs(b.tree)):  # |x| is x only where symbols are positive, as they were
        verdict = _close(reals(a.tree, sign=-1.0), reals(b.tree, sign=-1.0))
    if not verdict and _has(a.tree, "log") | _has(b.tree, "log"):  # log may mean base ten
        verdict = _close(reals(a.tree, 10.0), reals(b.tree, 10.0)) or verdict
    return verdict


def _one_letter(a: Scalar, b: Scalar) -> bool:
    """2X and 2x: one symbol each, in different case."""
    one, two = a.names, b.names
    if len(one) != 1 or len(two) != 1 or one == two:
        return False
    return min(one).casefold() == min(two).casefold() and _renamed(a, b)


def _renamed(a: Scalar, b: Scalar) -> bool:
    """Whether b is a with its one symbol under another name."""
    (x,), (y,) = a.names, b.names
    renamed = Scalar(None, rename(b.tree, y, x))
    if a.fingerprint is not None and renamed.fingerprint is not None:
        return a.fingerprint == renamed.fingerprint
    return _close(a.reals, renamed.reals) is True


def same_turns(a: Scalar, b: Scalar) -> bool:
    """k π and n π, which run through the integers although nobody says so."""
    return len(a.names) == len(b.names) == 1 and _full_turns(a) and _full_turns(b) and _renamed(a, b)


def _full_turns(scalar: Scalar) -> bool:
    """Whether the symbol is k or n and only adds multiples of a fraction of π."""
    (name,) = scalar.names
    if name not in ("k", "n"):
        return False
    points = tuple(parameter_point(name, k) for k in (1, 2, 5))
    first, second, third = reals(scalar.tree, points=points)
    if first is None or second is None or third is None or abs(third - second - 3 * (second - first)) > CLOSE:
        return False
    turns = 720 * (second - first).real / math.pi
    return abs(turns) > 0.5 and abs(turns - round(turns)) < 1e-6


def _has(node: Node, op: str) -> bool:
    return any(part[0] == op for part in walk(node))


def _bare_abs(node: Node) -> bool:
    """Whether there is an absolute value that is not just the argument of a logarithm (where it is often left out)."""
    todo = [node]
    while todo:
        node = todo.pop()
        if node[0] == "abs":
            return True
        if node[0] in ("ln", "log") and node[1][0] == "abs":
            continue
        if node[0] not in ("n", "s"):
            todo.extend(node[1:])
    return False


def _close(a: tuple[complex | None, ...], b: tuple[complex | None, ...]) -> bool | None:
    """Equal at every point where both have a value; None if there are too few such points."""
    known = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    known = [(x, y) for x, y in known if not (cmath.isinf(x) and cmath.isinf(y))]
    for x, y in known:
        if cmath.isinf(x) or cmath.isinf(y):
            return False
        size, gap = max(abs(x), abs(y)), abs(x - y)
        noise = size < 1e-12 and min(abs(x), abs(y)) < 1e-6 * size  # sin(pi) against 0; not 6.6e-34 against 6.7e-34
        if gap > CLOSE * size and not noise:
            return False
    return True if len(known) >= MIN_POINTS else None


def _rounded(a: Scalar, b: Scalar) -> bool:
    """Whether one is a decimal that rounds the other: at least MIN_DIGITS significant digits, all of them right."""
    for short, long in ((a, b), (b, a)):
        if short.digits < MIN_DIGITS or not short.decimals or short.exact is None:
            continue
        if long.digits and long.decimals <= short.decimals:
            continue
        if _rounds_to(short.exact, short.decimals, long):
            return True
    if a.exact is not None and b.exact is not None and max(a.digits, b.digits) >= NOISE_DIGITS:  # 0.30000000000000004
        return abs(a.exact - b.exact) <= Fraction(1, 10**9) * max(abs(a.exact), abs(b.exact))
    return False


def _rounds_to(value: Exact, decimals: int, long: Scalar) -> bool:
    if long.exact is not None:
        if isinstance(long.exact, int):
            return False
        return abs(long.exact - value) <= Fraction(1, 2 * 10**decimals)
    real = long.real
    if real is None or decimals > 12:
        return real is not None and math.isclose(real, float(value), rel_tol=1e-12)
    return abs(Fraction(real) - value) <= Fraction(1, 2 * 10**decimals)


def _rounded_inside(a: Scalar, b: Scalar) -> bool:
    """0.3333x and x/3: the rounded decimals in one formula explain its whole distance from the other."""
    for short, long in ((a, b), (b, a)):
        places = [part[2] for part in short.inexact]
        if not places or len(places) > MAX_ROUNDED or any(part[2] <= min(places) for part in long.inexact):
            continue  # two decimals of one length do not round each other
        if _has(short.tree, "floor") or _has(short.tree, "ceil") or long.digits:
            continue
        reach = [0.0] * len(short.reals)
        for part in short.inexact:
            half = Fraction(1, 2 * 10 ** part[2])
            moved = reals(_replaced(short.tree, part, ("n", part[1] + half)))
            for i, (x, y) in enumerate(zip(short.reals, moved, strict=True)):
                reach[i] += abs(x - y) if x is not None and y is not None else 0.0
        known = [
            (abs(x - y), r)
            for x, y, r in zip(short.reals, long.reals, reach, strict=True)
            if x is not None and y is not None and cmath.isfinite(x) and cmath.isfinite(y)
        ]
        if len(known) >= MIN_POINTS and all(gap <= r for gap, r in known):
            return True
    return False


def _replaced(node: Node, old: Node, new: Node) -> Node:
    if node is old:
        return new
    return node if node[0] in ("n", "s") else (node[0], *(_replaced(child, old, new) for child in node[1:]))
