"""What brackets hold: sets, tuples, lists and intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from itertools import product

from nlrl.answers.forms.clean import CLOSE_SET, OPEN_SET
from nlrl.answers.forms.shapes import Form, Group, Piece, Reading, Region, Scalar

Part = Callable[[str], Form]
MAX_ITEMS = 200

_OPEN, _CLOSE = "([{⦃⟨", ")]}⦄⟩"
_BUILDER = re.compile(
    r"^\s*(?P<names>\(?[A-Za-z]\w?(?:\s*,\s*[A-Za-z]\w?)*\)?)\s*(?:∈\s*(?P<set>[ℝℤℕℚ])\s*)?(?:\||:)(?P<holds>.+)$", re.S
)


def split(text: str, separators: str) -> list[str]:
    """Parts between separators that stand outside all brackets."""
    parts: list[str] = []
    depth = start = 0
    for i, c in enumerate(text):
        if c in _OPEN:
            depth += 1
        elif c in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0 and c in separators:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return parts


def encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last character; kinds may differ, as in [0, 1)."""
    if len(text) < 2 or text[0] not in _OPEN or text[-1] not in _CLOSE:
        return False
    depth = 0
    for i, c in enumerate(text):
        depth += (c in _OPEN) - (c in _CLOSE)
        if depth == 0:
            return i == len(text) - 1
    return False


def flat(items: Iterable[Form]) -> tuple[Form, ...]:
    """Items with ± spread out: {±1, 2} has three."""
    out: list[Form] = []
    for item in items:
        first = item.readings[0] if item.readings else None
        if isinstance(first, Group) and first.kind == "bare" and "±" in item.text:
            out.extend(first.items)
        else:
            out.append(item)
    return tuple(out)


def braces(text: str, part: Part) -> list[Reading]:
    """Sets {1, 2, 3}, and set builders {x | x > 3}."""
    if not encloses(text) or text[0] not in (OPEN_SET, "{"):
        return []
    inner = text[1:-1].strip()
    builder = _BUILDER.match(inner)
    if builder:
        names = re.findall(r"\w+", builder.group("names"))
        return _built(names, builder.group("set") or "ℝ", part(builder.group("holds")))
    items = [item for item in split(inner, ",;") if item.strip()]
    if len(items) > MAX_ITEMS:
        return []
    return [Group("set", flat(part(item) for item in items))]


def _built(names: list[str], domain: str, condition: Form) -> list[Reading]:
    """The numbers of a domain for which a condition holds: the condition itself on the line, a set among integers."""
    region = next((r for r in condition.readings if isinstance(r, Region)), None)
    if [region.name] != names if region else not all(re.search(rf"(?<![A-Za-z]){n}", condition.text) for n in names):
        return []
    if domain == "ℝ":
        return list(condition.readings)
    if region is None or domain == "ℚ":
        return []
    found = integers_in(region, 1 if domain == "ℕ" else None)
    return [found] if found else []


def integers_in(region: Region, least: int | None = None) -> Group | None:
    """The integers of a bounded region as a set; None if there is no end to them, or too many."""
    found: set[int] = set()
    for piece in region.pieces:
        low = piece.low.real if piece.low is not None else least
        high = piece.high.real if piece.high is not None else None
        if low is None or high is None or high - low > MAX_ITEMS:
            return None
        first, last = math.ceil(low), math.floor(high)
        first += first == low and not piece.low_closed and piece.low is not None
        last -= last == high and not piece.high_closed
        found |= set(range(first if least is None else max(first, least), last + 1))
    return Group("set", tuple(Form(str(n), "", (Scalar(n),), key=f"n:{n:x}") for n in sorted(found)))


def _with_signs(forms: tuple[Form, ...], *, tied: bool) -> Group:
    """(±1, ±2) is four pairs; with a ∓ in it, all upper signs belong together, and all lower ones."""
    choices = []
    for form in forms:
        first = form.readings[0] if form.readings else None
        both = (
            isinstance(first, Group)
            and first.kind == "bare"
            and len(first.items) == 2
            and ("±" in form.text or "∓" in form.text)
        )
        choices.append(first.items if both and isinstance(first, Group) else (form,) * (2 if tied else 1))
    rows = zip(*choices, strict=True) if tied else product(*choices)
    tuples = [tuple(row) for row in rows]
    return Group(
        "bare",
        tuple(
            Form(str(i), "", (Group("tuple", row),), key=f"v:{[f.key for f in row]}") for i, row in enumerate(tuples)
        ),
    )


def endpoint(form: Form) -> tuple[Scalar | None, int] | None:
    """An end of an interval and its infinite sign; None if the form is no single number."""
    first = form.readings[0] if form.readings else None
    if not isinstance(first, Scalar):
        return None
    if first.node == ("s", "∞"):
        return None, 1
    if first.node == ("-", ("s", "∞")):
        return None, -1
    return first, 0


def interval(low: Form, low_closed: bool, high: Form, high_closed: bool) -> Region | None:
    """The interval between two forms, None if they are no ends or stand in the wrong order."""
    one, two = endpoint(low), endpoint(high)
    if not one or not two or one[1] > 0 or two[1] < 0:
        return None
    if one[0] is not None and two[0] is not None:
        a, b = one[0].real, two[0].real
        if a is not None and b is not None and (a > b or (a == b and not (low_closed and high_closed))):
            return None
    return Region((Piece(one[0], low_closed and not one[1], two[0], high_closed and not two[1]),))


def bracketed(text: str, part: Part) -> list[Reading]:
    """Tuples, lists and intervals; ]0, 1[ too. A formula in parentheses is its content."""
    french = len(text) > 2 and text[0] in "])(" + "[" and text[-1] in "[]()" and (text[0] == "]" or text[-1] == "[")
    if not french and not encloses(text):
        return []
    opener, closer = text[0], text[-1]
    if opener in (OPEN_SET, "{") or closer in (CLOSE_SET, "}"):
        return []
    items = split(text[1:-1], ",;")
    if len(items) == 1 and opener == "(" and closer == ")":
        return list(part(items[0]).readings)
    if len(items) > 1 and not items[-1].strip():  # (1,)
        items.pop()
    if any(not item.strip() for item in items) or len(items) > MAX_ITEMS:
        return []
    forms = tuple(part(item) for item in items)
    found: list[Reading] = []
    if (opener, closer) == ("(", ")") and "±" in text and 2 <= len(forms) <= 4:
        found.append(_with_signs(forms, tied="∓" in text))
    if len(forms) == 2 and opener in "([]" and closer in ")][":
        region = interval(forms[0], opener == "[", forms[1], closer == "]")
        if region:
            found.append(region)
    if (opener, closer) in (("(", ")"), ("⟨", "⟩"), ("[", "]")):
        found.append(Group("list" if opener == "[" else "tuple", forms))
    return found
