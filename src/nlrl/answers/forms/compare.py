"""Whether two forms are shown to be the same answer.

The rules are those of a careful human grader; docs/reference/rewards.md lists them with examples. The relation is
symmetric; because a bare number equals the same number with any unit, it is not transitive.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from nlrl.answers.forms import relations
from nlrl.answers.forms.families import names_of, values_of
from nlrl.answers.forms.fingerprint import PRIME
from nlrl.answers.forms.formulas import scalar_of
from nlrl.answers.forms.names import FUNCTION, same_name
from nlrl.answers.forms.reals import integer_points, parameter_point, reals
from nlrl.answers.forms.regions import same_region
from nlrl.answers.forms.scalars import MIN_POINTS, any_of, same_turns, scalars
from nlrl.answers.forms.shapes import (
    Based,
    Boolean,
    Congruence,
    Family,
    Form,
    Group,
    Matrix,
    Ratio,
    Reading,
    Region,
    Relation,
    Scalar,
)
from nlrl.answers.forms.trees import rename

MAX_PAIRS = 4000  # of items compared for one pair of groups


def same(a: Form, b: Form) -> bool:
    """Whether two answers are shown to be the same."""
    return _same(a, b) is True or _same_by_turns(a, b)


def _same_by_turns(a: Form, b: Form) -> bool:
    """x = π/4 + k π and π/4 + n π: angles whose letter runs through the integers, although nobody says so."""
    one, two = values_of(a), values_of(b)
    letters = [{name for value in values for name in value.names} for values in (one, two)]
    if not one or len(one) != len(two) or letters[0] == letters[1] or any(len(names) != 1 for names in letters):
        return False
    if names_of(a) and names_of(b) and names_of(a) != names_of(b):
        return False
    return all(any(same_turns(x, y) for y in two) for x in one) and all(any(same_turns(x, y) for x in one) for y in two)


def _same(a: Form, b: Form) -> bool | None:
    """The same of parts; None where they could not be evaluated."""
    if a.key == b.key:
        return bool(a.key)
    if a.words and a.words == b.words:
        return True
    if a.label or b.label:
        return _labelled(a, b) if a.label else _labelled(b, a)
    decided = False
    for one in a.readings:
        for two in b.readings:
            verdict = _readings(one, two)
            if verdict:
                return True
            decided = decided or verdict is False
    if decided:
        return False
    for x, y in ((a, b), (b, a)):  # "x = Paris"
        for reading in x.readings:
            if isinstance(reading, Relation) and reading.name and not y.readings:
                return _same(reading.right, y)
    return False


def _labelled(a: Form, b: Form) -> bool | None:
    """a has a label ("B) Paris"); b may have one, be a bare letter, or be the text of an option."""
    if b.label:
        if a.label != b.label:
            return False
        return a.body is None or b.body is None or _same(a.body, b.body) is not False
    if len(b.text) == 1 and b.text.isalpha():
        if b.text.upper() == a.label:
            return True
        return a.body is not None and len(a.body.text) == 1 and a.body.text.casefold() == b.text.casefold()
    return a.body is not None and _same(a.body, b)


def _readings(a: Reading, b: Reading) -> bool | None:
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        return scalars(a, b)
    for kind, rule in _RULES:
        if isinstance(a, kind):
            return rule(a, b)
        if isinstance(b, kind):
            return rule(b, a)
    one, two = relations.region_of(a), relations.region_of(b)
    if one is not None and two is not None and (isinstance(a, Region) or isinstance(b, Region)):
        return same_region(one, two, lambda x, y: scalars(x, y) is True)
    if isinstance(a, Group) and isinstance(b, Group):
        return _groups(a, b)
    for group, other in ((a, b), (b, a)):  # {5} and [5] are 5
        if isinstance(group, Group) and len(group.items) == 1 and isinstance(other, Scalar):
            return any_of(_readings(item, other) for item in group.items[0].readings)
    return False


def _relation(a: Relation, b: Reading) -> bool | None:
    for value, other in ((a, b), (b, a)):
        if isinstance(value, Relation) and value.sign == "≈":
            if isinstance(other, Relation) and other.sign == "≈":
                return _all((_same(a.left, other.left), _near(value.right, other.right)))
            return any_of(_readings(reading, other) for reading in value.left.readings)
    if not isinstance(b, Relation):
        return any_of(_readings(reading, b) for reading in a.right.readings) if a.name else False
    if a.domain and b.domain and a.domain.replace(" ", "") != b.domain.replace(" ", ""):
        return False
    if a.name and b.name:
        if not same_name(a.name, b.name):
            return _same_function(a, b)
        if a.steps and b.steps and _ordered(a.steps, b.steps) is not True:
            return False
        return _same(a.right, b.right)
    if a.sign != b.sign and {a.sign, b.sign} not in ({"<", ">"}, {"≤", "≥"}):
        return False
    if a.gap is None or b.gap is None:
        return None
    sign = 1 if a.sign == b.sign else -1
    return _proportional(a.gap, b.gap, sign=0 if a.sign in "=≠" else sign)


def _near(a: Form, b: Form) -> bool:
    """Whether two approximations of one value agree as far as the shorter one goes."""
    x, y = (form.readings[0] if form.readings else None for form in (a, b))
    if not isinstance(x, Scalar) or not isinstance(y, Scalar) or x.exact is None or y.exact is None:
        return False
    return abs(x.exact - y.exact) <= Fraction(1, 2 * 10 ** min(x.decimals, y.decimals))


def _same_function(a: Relation, b: Relation) -> bool | None:
    """f(x) = x + 1 and f(t) = t + 1: the same values of an argument under another name."""
    one, two = FUNCTION.fullmatch(a.name), FUNCTION.fullmatch(b.name)
    x, y = (r.right.readings[0] if r.right.readings else None for r in (a, b))
    if not one or not two or one.group(1) != two.group(1) or not isinstance(x, Scalar) or not isinstance(y, Scalar):
        return False
    old, new = two.group(2), one.group(2)
    if not (len(old) == len(new) == 1 and old in y.names and new in x.names and new not in y.names):
        return False
    return scalars(x, scalar_of(rename(y.tree, old, new), y.unit))


def _proportional(a: Scalar, b: Scalar, *, sign: int) -> bool | None:
    """Whether a = k b for a constant k, of the given sign unless `sign` is 0."""
    if not a.names or not b.names:
        return False  # a statement about numbers holds or does not: it is no equation
    if a.fingerprint is not None and b.fingerprint is not None:
        (a1, a2), (b1, b2) = a.fingerprint, b.fingerprint
        if (a1 * b2 - a2 * b1) % PRIME:
            return False
        if not sign:
            return True
    whole = a.integers | b.integers
    points = integer_points(whole) if whole else ()
    both = zip(reals(a.tree, points=points), reals(b.tree, points=points), strict=True)
    pairs = [(x, y) for x, y in both if x is not None and y is not None and cmath.isfinite(x) and cmath.isfinite(y)]
    if any((abs(x) < 1e-12) != (abs(y) < 1e-12) for x, y in pairs):
        return False
    pairs = [(x, y) for x, y in pairs if abs(y) > 1e-12]
    if len(pairs) < MIN_POINTS:
        return None
    ratios = [x / y for x, y in pairs]
    if any(abs(r - ratios[0]) > 1e-9 * max(1.0, abs(ratios[0])) for r in ratios) or abs(ratios[0]) < 1e-12:
        return False
    return not sign or ratios[0].real * sign > 0


def _ratio(a: Ratio, b: Reading) -> bool | None:
    if isinstance(b, Ratio):
        if a.seconds is not None and b.seconds is not None:
            if a.half and b.half:
                return a.seconds == b.seconds
            return a.seconds == b.seconds or ((a.half or b.half) != "" and a.seconds % 43_200 == b.seconds % 43_200)
        if not a.terms or len(a.terms) != len(b.terms):
            return False
        if any(term.exact == 0 for term in (*a.terms, *b.terms)):  # 5:00 is not 45:00
            return _all(scalars(x, y) for x, y in zip(a.terms, b.terms, strict=True))
        first, other = a.terms[0], b.terms[0]
        return _all(scalars(_times(x, other), _times(y, first)) for x, y in zip(a.terms[1:], b.terms[1:], strict=True))
    if isinstance(b, Scalar) and b.unit is None and len(a.terms) == 2:
        return scalars(a.terms[0], _times(a.terms[1], b))
    return False


def _times(a: Scalar, b: Scalar) -> Scalar:
    return scalar_of(("*", a.tree, b.tree))


def _based(a: Based, b: Reading) -> bool:
    """A number to a base; without one, its digits are meant."""
    if isinstance(b, Based):
        return int(a.digits, a.base) == int(b.digits, b.base)
    return isinstance(b, Scalar) and b.unit is None and not b.decimals and a.digits == str(b.exact)


def _congruence(a: Congruence, b: Reading) -> bool:
    if isinstance(b, Congruence):
        names = a.name == b.name or not (a.name and b.name)
        return names and (a.residues, a.modulus) == (b.residues, b.modulus)
    if isinstance(b, Relation) and b.name:
        return any(_congruence(a, reading) for reading in b.right.readings) if b.name == a.name or not a.name else False
    return isinstance(b, Scalar) and b.unit is None and a.residues == (b.exact,)


def _family(a: Family, b: Reading) -> bool | None:
    """As sets of values: each value of one for a small parameter is one of the other's, and the other way round."""
    if isinstance(b, Family):
        one, two = names_of(a.body), names_of(b.body)
        if (one and two and one != two) or a.domain != b.domain:
            return False
        first, second = _values(a, _FEW), _values(a, _MANY)
        other_first, other_second = _values(b, _FEW), _values(b, _MANY)
        if not (first and other_first) or a.domain != "ℤ":
            same_row = _all(_same(x, y) for x, y in [(a.body, b.body)]) if a.parameter == b.parameter else False
            return same_row or (bool(first) and first == other_first)
        return first <= other_second and other_first <= second
    if isinstance(b, Scalar) and len(b.names) == 1:  # the same formula without a word on its letter
        (name,) = b.names
        body = values_of(a.body)
        return len(body) == 1 and scalars(Scalar(None, rename(body[0].tree, a.parameter, name), unit=body[0].unit), b)
    if isinstance(b, Relation) and b.name:
        if b.domain or any(not same_name(name, b.name) for name in names_of(a.body)):
            return False
        return any_of(_family(a, reading) for reading in b.right.readings)
    return False


_FEW, _MANY = range(-6, 7), range(-40, 41)


def _values(family: Family, window: range) -> set[complex]:
    """The rounded values for the parameters of a window; other symbols have one value each. Empty if any fails."""
    start = {"ℕ": 1, "ℕ0": 0}.get(family.domain, window.start)
    points = tuple(parameter_point(family.parameter, k) for k in range(max(start, window.start), window.stop))
    out: set[complex] = set()
    for scalar in values_of(family.body):
        for value in reals(scalar.tree, points=points):
            if value is None or not cmath.isfinite(value):
                return set()
            out.add(complex(round(value.real, 7), round(value.imag, 7)) + 0)
    return out


def _boolean(a: Boolean, b: Reading) -> bool:
    """The same truth table; over one set of atoms."""
    return isinstance(b, Boolean) and (a.sets, a.atoms, a.table) == (b.sets, b.atoms, b.table)


def _matrix(a: Matrix, b: Reading) -> bool | None:
    if isinstance(b, Matrix):
        if a.bars != b.bars or len(a.rows) != len(b.rows) or len(a.rows[0]) != len(b.rows[0]):
            return False
        return _all(_same(x, y) for p, q in zip(a.rows, b.rows, strict=True) for x, y in zip(p, q, strict=True))
    if (
        isinstance(b, Group)
        and b.kind in ("tuple", "list")
        and (len(a.rows) == 1 or len(a.rows[0]) == 1)
        and not a.bars
    ):
        entries = [entry for row in a.rows for entry in row]
        if len(entries) == len(b.items):
            return _all(_same(x, y) for x, y in zip(entries, b.items, strict=True))
    if isinstance(b, Group) and b.kind in ("tuple", "list") and len(b.items) == len(a.rows) and not a.bars:
        rows = [next((r for r in item.readings if isinstance(r, Group)), None) for item in b.items]  # ((1, 2), (3, 4))
        if all(row is not None and row.kind in ("tuple", "list") for row in rows):
            return _all(_ordered(row, other.items) for row, other in zip(a.rows, rows, strict=True) if other)
    if len(a.rows) == len(a.rows[0]) == 1:
        return any_of(_readings(reading, b) for reading in a.rows[0][0].readings)
    return False


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    out: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        if verdict is None:
            out = None
    return out


def _groups(a: Group, b: Group) -> bool | None:
    kinds = {a.kind, b.kind}
    if kinds == {"set", "tuple"} or ("cases" in kinds and len(kinds) > 1):
        return False
    if len(a.items) == len(b.items) == 2 and kinds in ({"tuple", "list"}, {"set", "list"}):
        return False  # (0, 1) and [0, 1] are intervals to most readers
    if kinds == {"tuple", "bare"} or kinds == {"list", "bare"}:
        values = [_named_values(g) for g in (a, b)]
        if values[0] is not None and values[1] is not None:
            return _ordered(values[0], values[1])
    if kinds in ({"tuple"}, {"list"}, {"tuple", "list"}, {"tuple", "bare"}, {"list", "bare"}):
        return _ordered(a.items, b.items)
    if "set" not in kinds and len(a.items) != len(b.items):
        return False
    return _unordered(a.items, b.items, each="set" not in kinds)


def _named_values(group: Group) -> tuple[Form, ...] | None:
    """The values of "x = 1, y = 2", in the order written; the items themselves where nothing is assigned."""
    out: list[Form] = []
    for item in group.items:
        first = item.readings[0] if item.readings else None
        out.append(first.right if isinstance(first, Relation) and first.name else item)
    return tuple(out)


def _ordered(a: tuple[Form, ...], b: tuple[Form, ...]) -> bool | None:
    return len(a) == len(b) and _all(_same(x, y) for x, y in zip(a, b, strict=True))


def _unordered(a: tuple[Form, ...], b: tuple[Form, ...], *, each: bool) -> bool | None:
    """As sets: every item of one has an equal in the other; with `each`, one of its own.

    None where that hangs on a pair that could not be evaluated.
    """
    if len(a) * len(b) > MAX_PAIRS:
        return sorted(f.key for f in a) == sorted(f.key for f in b)
    undecided = False
    for one, two in ((a, b), (b, a)):
        left = list(two)
        for item in one:
            verdicts = [_same(item, other) for other in left]
            if True not in verdicts:
                if None not in verdicts:
                    return False
                undecided = True
            elif each:
                del left[verdicts.index(True)]
    return None if undecided else True


_RULES: tuple[tuple[type, Callable[[Any, Reading], bool | None]], ...] = (
    (Family, _family),
    (Congruence, _congruence),
    (Relation, _relation),
    (Ratio, _ratio),
    (Based, _based),
    (Boolean, _boolean),
    (Matrix, _matrix),
)
