"""Equations, inequalities, unions and lists: what signs between parts say."""

from __future__ import annotations

import re
from fractions import Fraction

from nlrl.rewards.forms.brackets import Part, braces, bracketed, encloses, endpoint, flat, interval, split
from nlrl.rewards.forms.exact import CannotTell, exact
from nlrl.rewards.forms.numerals import Exact, tidy
from nlrl.rewards.forms.regions import LINE, complement, intersection, point, union
from nlrl.rewards.forms.shapes import Form, Group, Piece, Reading, Region, Relation, Scalar
from nlrl.rewards.forms.syntax import Node

MAX_ITEMS = 200

_SIGN = re.compile(r"<=|>=|!=|==|=|<|>|≤|≥|≠|∈")
_SIGNS = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}
_FLIP = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "=": "=", "≠": "≠"}
_WORDS = re.compile(r"\s+(?:and|or)\s+|\s*[,;]\s*(?:and|or)\s+", re.I)
_NAME = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_(?:\w|\{\w{1,6}\}))?'{0,2}|[A-Za-zα-ω]\d")
_FUNCTION = re.compile(r"([A-Za-zα-ωΑ-Ω]'{0,2}(?:_\w)?)\s*\(\s*([A-Za-z](?:\s*,\s*[A-Za-z])*)\s*\)")
_DERIVATIVE = re.compile(r"\\frac\s*\{\s*d\w?\s*\}\s*\{\s*d\w\s*\}|d\w\s*/\s*d\w")
_UNION = re.compile(r"∪|\s+U\s+|\s+union\s+")


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
    pieces: list[str] = []
    for chunk in split(text, ",;"):
        pieces += _top_words(chunk)
    pieces = [piece for piece in pieces if piece.strip()]
    if len(pieces) < 2 or len(pieces) > MAX_ITEMS:
        return []
    forms = tuple(part(re.sub(r"^(?:and|or)\s+", "", piece.strip(), flags=re.I)) for piece in pieces)
    group: list[Reading] = [Group("bare", flat(forms))]
    if any(sign in text for sign in "<>≤≥≠"):
        parts = [next((r for r in f.readings if isinstance(r, Region)), None) for f in forms]
        known = [r for r in parts if r is not None]
        if len(known) == len(forms):
            either = re.search(r"\bor\b", text, re.I) is not None
            whole = union(known) if either else intersection(known)
            if whole is not None:
                names = {r.name for r in known}
                group.insert(0, Region(whole.pieces, names.pop() if len(names) == 1 else ""))
    if len(forms) == 2 and re.fullmatch(r"\d+,\d{1,9}", text) and not re.fullmatch(r"[1-9]\d{0,2},\d{3}", text):
        whole_part, _, decimals = text.partition(",")  # 0,5 may be a decimal comma
        number = part(f"{whole_part}.{decimals}")
        group += number.readings
    return group


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
    """One or two relation signs between formulas."""
    signs = _top_signs(text)
    if not signs or len(signs) > 4:
        return []
    bounds = [0, *(i for m in signs for i in m.span()), len(text)]
    sides = [text[bounds[i] : bounds[i + 1]].strip() for i in range(0, len(bounds), 2)]
    names = [_SIGNS.get(m.group(), m.group()) for m in signs]
    if not sides[-1]:
        return []
    if not sides[0]:  # "= 5", "≥ 3"
        if len(names) == 1 and names[0] == "=":
            return list(part(sides[1]).readings)
        return []
    if names[0] == "∈" and len(names) == 1:
        return list(part(sides[1]).readings)
    if set(names) == {"="} and len(names) > 1:  # x = 1/2 = 0.5
        sides, names = [sides[0], sides[-1]], ["="]
    if len(names) == 1:
        return _one(sides[0], names[0], sides[1], part)
    if (len(names) == 2 and set(names) <= {"<", "≤"}) or (set(names) <= {">", "≥"} and len(names) == 2):
        low, high = (0, 2) if names[0] in "<≤" else (2, 0)
        closed = [name in "≤≥" for name in names]
        if low:
            closed.reverse()
        if _NAME.fullmatch(sides[1]):
            ends = part(sides[low]), part(sides[high])
            region = interval(ends[0], closed[0], ends[1], closed[1])
            if region is None and all(_is_number(end) for end in ends):  # 9 < x < 5
                region = Region(())
            return [Region(region.pieces, sides[1])] if region else []
    return []


def _one(left: str, sign: str, right: str, part: Part) -> list[Reading]:
    one, two = part(left), part(right)
    if sign == "=":
        if _NAME.fullmatch(right) and not _NAME.fullmatch(left):  # 3 = x
            left, right, one, two = right, left, two, one
        if (not one.readings and two.readings) or _is_number(one):  # "Area = 5", "16 - 7 = 9"
            return list(two.readings)
        if encloses(left) and left[0] == "(" and _all_names(split(left[1:-1], ",")):
            return list(two.readings)
        if not two.readings:
            return [Relation("=", one, two)] if _NAME.fullmatch(left) or _FUNCTION.fullmatch(left) else []
    else:
        for a, s, b in ((left, sign, two), (right, _FLIP[sign], one)):
            end = endpoint(b)
            if _NAME.fullmatch(a) and end and end[0] is not None and a not in end[0].names:
                return [_ray(a, s, end[0])]
        solved = _solved(one, sign, two)
        if solved is not None:
            return [solved]
    return [Relation(sign, one, two, _gap(one, two))] if one.readings and two.readings else []


def _all_names(parts: list[str]) -> bool:
    return all(_NAME.fullmatch(p.strip()) for p in parts)


def _ray(name: str, sign: str, end: Scalar) -> Region:
    if sign == "≠":
        rest = complement(point(end))
        return Region(rest.pieces if rest else LINE.pieces, name)
    closed = sign in "≤≥"
    if sign in "<≤":
        return Region((Piece(None, False, end, closed),), name)
    return Region((Piece(end, closed, None, False),), name)


def _is_number(form: Form) -> bool:
    first = form.readings[0] if form.readings else None
    return isinstance(first, Scalar) and not first.names and first.real is not None


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
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        return Scalar(None, ("+", a.tree, ("-", b.tree)))
    return None


def assigned(relation: Relation) -> str:
    """The name that an equation gives a value to: "x" of x = 5, "f(x)" of f(x) = x + 1, "" of all other relations."""
    text = relation.left.text
    if relation.sign != "=":
        return ""
    if _NAME.fullmatch(text):
        right = relation.right.readings[0] if relation.right.readings else None
        return "" if isinstance(right, Scalar) and text in right.names else text
    if _DERIVATIVE.fullmatch(text):
        return "d()"
    function = _FUNCTION.fullmatch(text)
    return f"{function.group(1)}({function.group(2)})" if function else ""


__all__ = ["assigned", "braces", "bracketed", "listed", "region_of", "regions", "relation"]
