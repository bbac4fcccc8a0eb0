"""Whether two forms are the same answer: True, False, or None where only a symbolic engine could tell.

The rules are those of a careful human grader; docs/reference/rewards.md lists them with examples. The relation is
symmetric; because a bare number equals the same number with any unit, it is not transitive.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Iterable
from typing import Any

from nlrl.rewards.forms import relations
from nlrl.rewards.forms.fingerprint import PRIME
from nlrl.rewards.forms.regions import same_region
from nlrl.rewards.forms.scalars import any_of, scalars
from nlrl.rewards.forms.shapes import Form, Group, Matrix, Ratio, Reading, Region, Relation, Scalar

MAX_PAIRS = 4000  # of items compared for one pair of groups


def same(a: Form, b: Form) -> bool | None:
    """Whether two answers are the same."""
    if a.key == b.key:
        return True
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
            if isinstance(reading, Relation) and relations.assigned(reading) and not y.readings:
                return same(reading.right, y)
    return None if a.evident and b.evident else False


def _labelled(a: Form, b: Form) -> bool | None:
    """a has a label ("B) Paris"); b may have one, be a bare letter, or be the text of an option."""
    if b.label:
        if a.label != b.label:
            return False
        return a.body is None or b.body is None or same(a.body, b.body) is not False
    if len(b.text) == 1 and b.text.isalpha():
        if b.text.upper() == a.label:
            return True
        return a.body is not None and len(a.body.text) == 1 and a.body.text.casefold() == b.text.casefold()
    return a.body is not None and same(a.body, b)


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
    name = relations.assigned(a)
    if not isinstance(b, Relation):
        if name:
            return any_of(_readings(reading, b) for reading in a.right.readings)
        return False
    other = relations.assigned(b)
    if name and other:
        if name.casefold() != other.casefold() and "(" not in name + other:
            return False
        return same(a.right, b.right)
    if a.sign != b.sign and {a.sign, b.sign} not in ({"<", ">"}, {"≤", "≥"}):
        return False
    if a.gap is None or b.gap is None:
        return None
    sign = 1 if a.sign == b.sign else -1
    return _proportional(a.gap, b.gap, sign=0 if a.sign in "=≠" else sign)


def _proportional(a: Scalar, b: Scalar, *, sign: int) -> bool | None:
    """Whether a = k b for a constant k, of the given sign unless `sign` is 0."""
    if a.fingerprint is not None and b.fingerprint is not None:
        (a1, a2), (b1, b2) = a.fingerprint, b.fingerprint
        if (a1 * b2 - a2 * b1) % PRIME:
            return False
        if not sign:
            return True
    both = [(x, y) for x, y in zip(a.reals, b.reals, strict=True) if x is not None and y is not None]
    pairs = [(x, y) for x, y in both if cmath.isfinite(x) and cmath.isfinite(y) and abs(y) > 1e-12]
    if len(pairs) < 2:
        return None
    ratios = [x / y for x, y in pairs]
    if any(abs(r - ratios[0]) > 1e-9 * max(1.0, abs(ratios[0])) for r in ratios) or abs(ratios[0]) < 1e-12:
        return False
    return not sign or ratios[0].real * sign > 0


def _ratio(a: Ratio, b: Reading) -> bool:
    if isinstance(b, Ratio):
        if a.minutes is not None and b.minutes is not None:
            if a.half and b.half:
                return a.minutes == b.minutes
            return a.minutes == b.minutes or ((a.half or b.half) != "" and a.minutes % 720 == b.minutes % 720)
        return a.value is not None and a.value == b.value
    return isinstance(b, Scalar) and b.unit is None and a.value is not None and a.value == b.exact


def _matrix(a: Matrix, b: Reading) -> bool | None:
    if isinstance(b, Matrix):
        if a.bars != b.bars or len(a.rows) != len(b.rows) or len(a.rows[0]) != len(b.rows[0]):
            return False
        return _all(same(x, y) for p, q in zip(a.rows, b.rows, strict=True) for x, y in zip(p, q, strict=True))
    if (
        isinstance(b, Group)
        and b.kind in ("tuple", "list")
        and (len(a.rows) == 1 or len(a.rows[0]) == 1)
        and not a.bars
    ):
        entries = [entry for row in a.rows for entry in row]
        if len(entries) == len(b.items):
            return _all(same(x, y) for x, y in zip(entries, b.items, strict=True))
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
    if kinds == {"set", "tuple"}:
        return False
    if len(a.items) == len(b.items) == 2 and kinds in ({"tuple", "list"}, {"set", "list"}):
        return False  # (0, 1) and [0, 1] are intervals to most readers
    if kinds == {"tuple", "bare"} or kinds == {"list", "bare"}:
        values = [_named_values(g) for g in (a, b)]
        if values[0] is not None and values[1] is not None:
            return _ordered(values[0], values[1])
    if kinds in ({"tuple"}, {"list"}, {"tuple", "list"}, {"tuple", "bare"}, {"list", "bare"}):
        return _ordered(a.items, b.items)
    return _unordered(a.items, b.items)


def _named_values(group: Group) -> tuple[Form, ...] | None:
    """The values of "x = 1, y = 2", in the order written; the items themselves where nothing is assigned."""
    out: list[Form] = []
    for item in group.items:
        first = item.readings[0] if item.readings else None
        out.append(first.right if isinstance(first, Relation) and relations.assigned(first) else item)
    return tuple(out)


def _ordered(a: tuple[Form, ...], b: tuple[Form, ...]) -> bool | None:
    return len(a) == len(b) and _all(same(x, y) for x, y in zip(a, b, strict=True))


def _unordered(a: tuple[Form, ...], b: tuple[Form, ...]) -> bool | None:
    """As sets: every item of one has an equal in the other. None where that hangs on a pair nobody can tell."""
    if len(a) * len(b) > MAX_PAIRS:
        return {f.key for f in a} == {f.key for f in b}
    undecided = False
    for one, two in ((a, b), (b, a)):
        for item in one:
            verdict = any_of(same(item, other) for other in two)
            if verdict is False:
                return False
            undecided = undecided or verdict is None
    return None if undecided else True


_RULES: tuple[tuple[type, Callable[[Any, Reading], bool | None]], ...] = (
    (Relation, _relation),
    (Ratio, _ratio),
    (Matrix, _matrix),
)
