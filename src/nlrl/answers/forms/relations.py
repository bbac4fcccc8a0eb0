"""Equations, inequalities, unions and lists: what signs between parts say.

Nothing is left out: a name on the left, a step between two equality signs and an approximation behind one are part of
what is read, or nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from nlrl.answers.forms.brackets import Part, braces, bracketed, endpoint, flat, interval, split
from nlrl.answers.forms.exact import CannotTell, exact
from nlrl.answers.forms.names import NAME, named
from nlrl.answers.forms.numerals import Exact, tidy
from nlrl.answers.forms.regions import LINE, complement, intersection, point, union
from nlrl.answers.forms.scalars import scalars
from nlrl.answers.forms.shapes import Form, Group, Piece, Reading, Region, Relation, Scalar
from nlrl.answers.forms.trees import Node

MAX_ITEMS = 200

_SIGN = re.compile(r"<=|>=|=>|=<|!=|==|=|<|>|≤|≥|≠|∈|≈")
_SIGNS = {"<=": "≤", "=<": "≤", ">=": "≥", "=>": "≥", "!=": "≠", "==": "="}
_FLIP = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "=": "=", "≠": "≠"}
_WORDS = re.compile(
    r"\s+(?:and|or)\s+|\s*[,;]\s*(?:and|or)\s+|(?<=[)\]}⦄])\s*(?:and|or)\s*(?=[(\[{⦃])|(?<=\d)(?:and|or)(?=[A-Z(-]|[a-z]\b)|\s*[∧∨]\s*",
    re.I,
)
# a decimal comma rather than a list of two: so long a second part, one that starts with 0, or a unit behind
_DECIMAL_COMMA = re.compile(
    r"(-?\d+),(?:(\d{4,9}|0\d{1,8})|(\d{1,2}(?:[°%€$£]|\s?[a-zA-Z]{2}|\s[a-zA-Z])(?<!\band)(?<!\bor)[^,]{0,20}))"
)
_SIZE = re.compile(r"\|\s*([A-Za-z])\s*\|")
_FOR_ALL = re.compile(r"([^<>≤≥]+?=.+?)[\s,(]+for (?:all|every|any|each)\s+([^()]+?)\)?")
_TOLD = re.compile(r"((?=.*[a-z]{3})[A-Za-z][A-Za-z ]{2,40})\s*:\s*([^\s:].*)")
_OR_ONLY = re.compile(r"\bor\b|\bi\.?e\b|\bthat is\b")
_UNION = re.compile(r"∪|\s+U\s+|\s+union\s+")
_DIFFERENCE = re.compile(r"(?<=[ℝℤℚℂ⦄])\s*-\s*(?=[⦃{])")


def region_of(reading: Reading) -> Region | None:
    """A region, or a set of numbers as a region of points."""
    if isinstance(reading, Region):
        return reading
    if isinstance(reading, Group) and reading.kind == "set":
        points = [item.readings[0] for item in reading.items if item.readings]
        if len(points) == len(reading.items) and all(isinstance(p, Scalar) and p.real is not None for p in points):
            return union([point(p) for p in points if isinstance(p, Scalar)]) if points else Region(())
    return None


def _region(form: Form) -> Region | None:
    return next((r for r in map(region_of, form.readings) if r is not None), None)


def regions(text: str, part: Part) -> list[Reading]:
    """Unions, intersections and differences of sets."""
    if "∪" in text or " U " in text or " union " in text:
        pieces = [piece for piece in _UNION.split(text) if piece is not None]
        found = [_region(part(piece)) for piece in pieces]
        whole = union([r for r in found if r is not None]) if None not in found else None
        return [whole] if whole is not None else []
    if "∩" in text:
        found = [_region(part(piece)) for piece in text.split("∩")]
        whole = intersection([r for r in found if r is not None]) if None not in found else None
        return [whole] if whole is not None else []
    text = _DIFFERENCE.sub(" ∖ ", text)
    if "∖" in text:
        left, _, right = text.partition("∖")
        one, two = _region(part(left)), _region(part(right))
        rest = complement(two) if two is not None else None
        whole = intersection([one, rest]) if one is not None and rest is not None else None
        return [whole] if whole is not None else []
    return []


def listed(text: str, part: Part) -> list[Reading]:
    """Several answers without brackets: "1, 2 and 3", "x < 0 or x > 1"."""
    if "," not in text and ";" not in text and not _WORDS.search(text):
        return []
    comma = _DECIMAL_COMMA.fullmatch(text)
    if comma:
        return list(part(f"{comma.group(1)}.{comma.group(2) or comma.group(3)}").readings)
    pieces: list[str] = []
    chunks = split(text, ";")
    if len(chunks) == 1:
        chunks = _top_words(text)  # "p = 5, q = 2 and p = 7, q = 2"
        if not all("," in chunk and chunk.count("=") > 1 for chunk in chunks):
            chunks = [text]
    if len(chunks) == 1 or len(split(text, ",")) == 1:  # but "1, 2; 3, 4" are two pairs
        chunks = [word for chunk in split(text, ",;") for word in _top_words(chunk)]
    pieces += chunks
    pieces = [piece for piece in pieces if piece.strip()]
    if len(pieces) < 2 or len(pieces) > MAX_ITEMS:
        return []
    forms = tuple(part(re.sub(r"^(?:and|or)\s+", "", piece.strip(), flags=re.I)) for piece in pieces)
    group: list[Reading] = [Group("bare", flat(forms))]
    if _OR_ONLY.search(text) and len(forms) == 2 and _one_value(forms):  # 1/2 or 0.5
        return list(forms[0].readings)
    if any(sign in text for sign in "<>≤≥≠"):
        parts = [next((r for r in map(_place, f.readings) if r is not None), None) for f in forms]
        known = [r for r in parts if r is not None]
        told = all(_top_signs(piece) for piece in pieces)  # inequalities, not sets beside each other
        if told and len(known) == len(forms) and len({r.name for r in known if r.name}) < 2:
            equations = any(isinstance(reading, Relation) for form in forms for reading in form.readings)
            either = equations or re.search(r"\bor\b", text, re.I) is not None
            whole = union(known) if either else intersection(known)
            if whole is not None:
                group.insert(0, Region(whole.pieces, next((r.name for r in known if r.name), "")))
    return group


def _place(reading: Reading) -> Region | None:
    """A region, or the point that an equation names: "a ≤ -2 or a = 1"."""
    if isinstance(reading, Relation) and NAME.fullmatch(reading.name) and reading.sign == "=":
        value = reading.right.readings[0] if reading.right.readings else None
        return point(value, reading.name) if isinstance(value, Scalar) and value.real is not None else None
    return reading if isinstance(reading, Region) else None


def _top_words(chunk: str) -> list[str]:
    """A chunk split at "and" / "or" outside brackets."""
    if not _WORDS.search(chunk):
        return [chunk]
    out: list[str] = []
    start = 0
    for match in _WORDS.finditer(chunk):
        before = chunk[: match.start()]
        if sum(before.count(c) for c in "([{⦃⟨") == sum(before.count(c) for c in ")]}⦄⟩"):
            out.append(chunk[start : match.start()])
            start = match.end()
    out.append(chunk[start:])
    return out


def _top_signs(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    depth, at = 0, 0
    for match in _SIGN.finditer(text):
        for c in text[at : match.start()]:
            depth += (c in "([{⦃⟨") - (c in ")]}⦄⟩")
        at = match.start()
        if depth <= 0:
            found.append(match)
    return found


def relation(text: str, part: Part) -> list[Reading]:
    """Relation signs between formulas: an equation, a chain of them, an inequality, a value and its approximation."""
    every = _FOR_ALL.fullmatch(text)
    if every:
        found = relation(every.group(1), part)
        return [replace(r, domain=every.group(2)) for r in found if isinstance(r, Relation)] if len(found) == 1 else []
    signs = _top_signs(text)
    told = _TOLD.fullmatch(text) if not signs else None
    if told:  # "Maximum: 3"
        return _one(told.group(1), "=", told.group(2), part)
    if not signs or len(signs) > 4:
        return []
    bounds = [0, *(i for m in signs for i in m.span()), len(text)]
    sides = [text[bounds[i] : bounds[i + 1]].strip() for i in range(0, len(bounds), 2)]
    names = [_SIGNS.get(m.group(), m.group()) for m in signs]
    if not sides[0] and names == ["="]:  # "= 5"
        return list(part(sides[1]).readings)
    if not all(sides):
        return []
    if "≈" in names:
        return _approximated(sides, names, part)
    if names == ["∈"]:
        members = part(sides[1])
        if not NAME.fullmatch(sides[0]) or not members.readings:
            return []
        found = [Region(r.pieces, sides[0]) for r in members.readings if isinstance(r, Region)]
        return [*found] or [Relation("∈", part(sides[0]), members, name=sides[0])]
    if len(names) == 1:
        return _one(sides[0], names[0], sides[1], part)
    if set(names) == {"="}:
        return _chain(sides, part)
    if (len(names) == 2 and set(names) <= {"<", "≤"}) or (set(names) <= {">", "≥"} and len(names) == 2):
        low, high = (0, 2) if names[0] in "<≤" else (2, 0)
        closed = [name in "≤≥" for name in names]
        if low:
            closed.reverse()
        name = named(sides[1])
        if NAME.fullmatch(sides[1]) or "(" in name:
            ends = part(sides[low]), part(sides[high])
            region = interval(ends[0], closed[0], ends[1], closed[1])
            if region is None and all(_is_number(end) for end in ends):  # 9 < x < 5
                region = Region(())
            return [Region(region.pieces, name)] if region else []
        size = _SIZE.fullmatch(sides[1])
        if size:
            outer = interval(part(sides[low]), closed[0], part(sides[high]), closed[1])
            return [_either_sign(outer.pieces[0], size.group(1))] if outer and _positive_ends(outer) else []
    return []


def _positive_ends(region: Region) -> bool:
    ends = [region.pieces[0].low, region.pieces[0].high]
    return all(end is not None and end.real is not None and end.real > 0 for end in ends)


def _either_sign(piece: Piece, name: str) -> Region:
    """Where |x| lies between two positive numbers."""
    low, high = (Scalar(None, ("-", end.tree)) for end in (piece.low, piece.high) if end is not None)
    return Region((Piece(high, piece.high_closed, low, piece.low_closed), piece), name)


def _approximated(sides: list[str], signs: list[str], part: Part) -> list[Reading]:
    """A value and its approximations: they must agree, and the first stands for all; "x ≈ 3.14" says what x is."""
    first = signs.index("≈")
    if any(sign not in ("=", "≈") for sign in signs):
        return []
    if first == 0 and len(sides) == 2 and named(sides[0]):
        return _one(sides[0], "=", sides[1], part)
    value = part(sides[first])
    shorter = [part(side) for side in sides[first + 1 :]]
    if not all(_approximates(form, value, rough=True) for form in shorter):
        return []
    if first == 0:
        return [Relation("≈", value, shorter[0])]
    told = f"{sides[first]} ≈ {sides[first + 1]}"
    return _one(sides[0], "=", told, part) if first == 1 else _chain([*sides[:first], told], part)


def _approximates(short: Form, value: Form, *, rough: bool = False) -> bool:
    """Whether a decimal is off by less than one in its last place (people cut off as well as round).

    rough  behind a sign of approximation an integer may stand for what lies near it
    """
    one, two = (form.readings[0] if form.readings else None for form in (short, value))
    if not isinstance(one, Scalar) or not isinstance(two, Scalar) or one.exact is None:
        return False
    if one.unit and two.unit and one.unit != two.unit:
        return scalars(one, two) is True
    real = two.real
    if real is None:
        return False
    if not one.decimals and not (rough and isinstance(one.exact, int)):
        return False
    unit = 10.0**-one.decimals if one.decimals else max(1.0, 0.005 * abs(real))
    return abs(float(one.exact) - real) <= unit * 1.000001


def _one_value(forms: Sequence[Form]) -> bool:
    """Whether all are numbers, and equal ones."""
    numbers = [form.readings[0] for form in forms if form.readings and isinstance(form.readings[0], Scalar)]
    return len(numbers) == len(forms) and all(scalars(numbers[0], other) for other in numbers[1:])


def _chain(sides: list[str], part: Part) -> list[Reading]:
    """a = b = 1 gives both a value; S = π r^2 = 9π has a step between; x = 1/2 = 0.5 says one thing twice."""
    if all(NAME.fullmatch(side) for side in sides[:-1]):
        return [Group("bare", tuple(part(f"{side} = {sides[-1]}") for side in sides[:-1]))]
    forms = [part(side) for side in sides]
    if not all(form.readings for form in forms[1:]):
        return []
    last = forms[-1]
    steps = []
    for form in forms[1:-1]:
        if _is_number(form) and _is_number(last):
            if not (_one_value((form, last)) or _approximates(last, form)):
                return []
        else:
            if not _is_number(last) and not _one_value((form, last)):
                return []  # a formula that is another one is no step to it
            steps.append(form)
    found = _one(sides[0], "=", sides[-1], part)
    only = found[0] if len(found) == 1 else None
    if isinstance(only, Relation) and only.name:
        value = forms[1] if not steps else last  # 1/3 = 0.333: the exact one is meant
        return [Relation("=", only.left, value, _gap(only.left, value), only.name, tuple(steps))]
    if steps:
        return [Group("bare", tuple(forms))] if isinstance(only, Relation) else []
    return found


def _one(left: str, sign: str, right: str, part: Part) -> list[Reading]:
    one, two = part(left), part(right)
    if sign == "=":
        if NAME.fullmatch(right) and not named(left) and right not in ("i", "e", "π"):  # 3 = x
            left, right, one, two = right, left, two, one
        name = named(left)
        asked = one.readings and isinstance(one.readings[0], Scalar) and _asked(one.readings[0].tree)
        if _is_number(one) and not asked:
            if _is_number(two):  # 16 - 7 = 9
                return list(two.readings) if _one_value((one, two)) or _approximates(two, one) else []
            name = ""
        if name and two.readings and isinstance(two.readings[0], Scalar) and left in two.readings[0].names:
            name = ""  # x = x^2 - 1 gives no value
        if not name and asked:
            name = left.replace(" ", "")
        if name:
            return [Relation("=", one, two, _gap(one, two), name)] if two.readings or two.words else []
    else:
        for a, s, b in ((left, sign, two), (right, _FLIP[sign], one)):
            end = endpoint(b)
            if NAME.fullmatch(a) and end and end[0] is not None and a not in end[0].names:
                return [_ray(a, s, end[0])]
        solved = _solved(one, sign, two)
        if solved is not None:
            return [solved]
    if not one.readings or not two.readings:
        return []
    gap = _gap(one, two)
    if sign == "=" and gap is not None and gap.fingerprint == (0, 0):  # (x + 1)^2 = x^2 + 2x + 1 says what it is
        return list(two.readings)
    return [Relation(sign, one, two, gap)]


def _asked(tree: Node) -> bool:
    """Whether the left side is something to be worked out: an integral, a limit, a sum, a function's value."""
    return tree[0][0] == ":" or tree[0] in ("sum", "prod", "integral")


def _all_names(parts: list[str]) -> bool:
    return all(NAME.fullmatch(p.strip()) for p in parts)


def _ray(name: str, sign: str, end: Scalar) -> Region:
    if sign == "≠":
        rest = complement(point(end))
        return Region(rest.pieces if rest else LINE.pieces, name)
    closed = sign in "≤≥"
    if sign in "<≤":
        return Region((Piece(None, False, end, closed),), name)
    return Region((Piece(end, closed, None, False),), name)


def _is_number(form: Form) -> bool:
    """Whether a form is a number, real or complex."""
    first = form.readings[0] if form.readings else None
    return isinstance(first, Scalar) and not first.names and (first.exact is not None or first.reals[0] is not None)


def _at(node: Node, name: str, value: int) -> Exact | None:
    """A tree's rational value where its one symbol has an integer value."""

    def put(tree: Node) -> Node:
        if tree[0] == "s":
            return ("n", value) if tree[1] == name else tree
        return tree if tree[0] == "n" else (tree[0], *map(put, tree[1:]))

    try:
        return exact(put(node))
    except (CannotTell, ArithmeticError, ValueError):
        return None


def _line(node: Node, name: str) -> tuple[Exact, Exact] | None:
    """Slope and value at 0 of a tree that is linear in its one symbol, with rational coefficients."""
    values = [_at(node, name, x) for x in (0, 1, 2, -3)]
    zero, one = values[0], values[1]
    if zero is None or one is None or values[2] is None or values[3] is None:
        return None
    slope = one - zero
    if not slope or values[2] - one != slope or zero - values[3] != 3 * slope:
        return None
    return slope, zero


def _solved(one: Form, sign: str, two: Form) -> Region | None:
    """Linear inequalities and |linear| against a number, solved for the one symbol."""
    gap = _gap(one, two)
    if gap is None or len(gap.names) != 1:
        return None
    (name,) = gap.names
    line = _line(gap.tree, name)
    if line:
        end = Scalar(tidy(Fraction(-line[1]) / line[0]))
        return _ray(name, sign if line[0] > 0 else _FLIP[sign], end)
    for a, s, b in ((one, sign, two), (two, _FLIP[sign], one)):
        left, right = a.readings[0], b.readings[0]
        if (
            not isinstance(left, Scalar)
            or not isinstance(right, Scalar)
            or left.tree[0] != "abs"
            or right.exact is None
        ):
            continue
        line = _line(left.tree[1], name)
        if not line or right.exact <= 0 or s not in "<≤>≥":
            return None
        ends = sorted(Fraction(bound - line[1]) / line[0] for bound in (-right.exact, right.exact))
        low, high = (Scalar(tidy(end)) for end in ends)
        closed = s in "≤≥"
        if s in "<≤":
            return Region((Piece(low, closed, high, closed),), name)
        return Region((Piece(None, False, low, closed), Piece(high, closed, None, False)), name)
    return None


def _gap(one: Form, two: Form) -> Scalar | None:
    if not one.readings or not two.readings:
        return None
    a, b = one.readings[0], two.readings[0]
    if isinstance(a, Scalar) and isinstance(b, Scalar) and a.unit == b.unit:
        return Scalar(None, ("+", a.tree, ("-", b.tree)))
    return None


__all__ = ["braces", "bracketed", "listed", "region_of", "regions", "relation"]
