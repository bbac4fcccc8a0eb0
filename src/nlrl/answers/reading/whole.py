"""The whole of a value: a run with its unit, and with the runs that are joined to it.

whole(Head("It takes 2 hours and 15 minutes to finish"), 0)  ->  "2 hours and 15 minutes"
whole(Head("3 and 5, since 3 * 5 = 15"), 0)                  ->  "3 and 5"
whole(Head("1/2 or 0.5"), 0)                                 ->  "1/2"
"""

from __future__ import annotations

import re

from nlrl.answers.forms import Form, read
from nlrl.answers.forms.shapes import Ratio, Scalar
from nlrl.answers.reading.heads import EDGES, Head
from nlrl.answers.reading.one_value import one_value, simplest
from nlrl.answers.reading.vocabulary import PREPOSITIONS, TURNS, word_set

_AND = re.compile(
    r"[\s,;，、]*(?:\b(?:and|or|und|oder|et|ou|y|o|e|oraz|en|of|или|и)\b|和|或|与|及|[,;，、])\s*(?:also\s)?", re.I
)
_TO = re.compile(r"\s+(?:to|by|(?:with\s+)?(?:a\s+)?remainder(?:\s+of)?)\s+", re.I)
_AND_NO_MORE = re.compile(r"[^\w]*(?:(?:respectively|only|each|are|is|units?)\b|$|[.,;:)])", re.I)
_UNIT_STOPS = PREPOSITIONS - {"per", "in"} | TURNS | {"and", "or", "each", "every", "so"}
_NOUNS = re.compile(r"(?!\s*of\b)[\sA-Za-z-]+")
_ATTACHED = re.compile(r"(?:[/^·²³]\S*)?")
_SCALE = re.compile(r"(?:hundred|thousand|million|billion|trillion|dozen)\s*$", re.I)
_PHYSICAL = word_set("m kg s A mol kelvin bit deg month rad USD EUR GBP JPY CNY INR")
_MONTH = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\s$", re.I
)


def whole(head: Head, i: int) -> str:
    """A run with its unit and all that is joined to it."""
    runs = head.runs
    start, last = runs[i].start, i
    while last + 1 < len(runs) and joined(head, last):
        last += 1
    if last == i + 1 and not head.is_name(runs[last]):
        one, two = (head.between(run.start, run.end) for run in (runs[i], runs[last]))
        if one_value(one, two):  # "1/2 or 0.5"
            return simplest(one)
    month = _MONTH.search(head.text, 0, start)
    start = month.start() if month else start
    return simplest(head.between(start, _unit_end(head, last, start)))


def joined(head: Head, i: int) -> bool:
    """Whether a run and the next are one answer: "3 and 5", "2 to 3", "3 hours and 30 minutes"."""
    one, two = head.runs[i], head.runs[i + 1]
    if _AND.fullmatch(head.mask, one.end, two.start):
        unit_end = _unit_end(head, i + 1, two.start)
        return i + 2 < len(head.runs) or unit_end > two.end or _AND_NO_MORE.match(head.mask, two.end) is not None
    if _TO.fullmatch(head.mask, one.end, two.start):
        return True
    end = _unit_end(head, i + 1, two.start)
    if end == two.end or _unit_end(head, i, one.start) == one.end:
        return False
    readings = read(head.between(one.start, end)).readings
    return len(readings) == 1 and isinstance(readings[0], Scalar) and readings[0].unit is not None


def _unit_end(head: Head, i: int, start: int) -> int:
    """Where the unit behind a run ends: known units, scales, times of day; other nouns where no more is said."""
    run = head.runs[i]
    limit = head.runs[i + 1].start if i + 1 < len(head.runs) else len(head.mask)
    best = at = run.end
    key = ""
    words = [m for m in head.prose if run.end <= m.start() < limit]
    for word in words[:4]:
        if (
            head.mask[at : word.start()].strip(" *_/")
            or word.group()[0] > "\u02ff"
            or word.group().lower() in _UNIT_STOPS
        ):
            break
        at = word.end()
        form = read(head.between(start, at))
        if _is_quantity(form) and form.key != key and not (word.group() == "in" and limit < len(head.mask)):
            key = form.key  # "away" in "5 km away" adds nothing
            at = best = _ATTACHED.match(head.mask, at).end()  # type: ignore[union-attr]
    nothing_else = start == len(head.mask) - len(head.mask.lstrip(EDGES)) and words and at == words[-1].end()
    if nothing_else and best == run.end and len(words) <= 3 and _NOUNS.fullmatch(head.mask, run.end, at):
        readings = read(head.between(start, at)).readings
        if readings and isinstance(readings[0], Scalar):  # "5 buses" and no more
            return at
    return best


def _is_quantity(form: Form) -> bool:
    """Whether there is a unit, a scale ("million") or a time of day behind the number."""
    for reading in form.readings:
        if isinstance(reading, Ratio):
            return bool(reading.half)
        if isinstance(reading, Scalar) and (unit := reading.unit) is not None:
            return unit.head == "%" or (bool(unit.dimensions) and {d for d, _ in unit.dimensions} <= _PHYSICAL)
        if isinstance(reading, Scalar):
            return _SCALE.search(form.text) is not None
    return False
