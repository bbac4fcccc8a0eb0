"""Answers that run through the integers: families with a parameter.

family("x = k π, k ∈ ℤ")   [Family(x = k π, "k", "ℤ")]
"""

from __future__ import annotations

import re

from nlrl.answers.forms.brackets import Part
from nlrl.answers.forms.clean import trim
from nlrl.answers.forms.shapes import Family, Form, Group, Reading, Relation, Scalar

_LEAD_IN = r"(?:\s*[,;:|]\s*|\s*\(\s*|\s+)(?:where|with|for|and)?\s*(?:all|any|some|every|each)?\s*"
_KINDS = r"(positive |non-?negative )?(?:whole )?(integers?|natural numbers?|whole numbers?)"
_TAILS = (
    re.compile(
        rf"(.+?){_LEAD_IN}(?P<name>[A-Za-z])\s*(?:∈|in)\s*(?P<set>ℤ|ℕ|Z|N)(?P<plus>\^?\s*\{{?\+\}}?|_\{{?0\}}?)?\s*\)?"
    ),
    re.compile(rf"(.+?){_LEAD_IN}(?:an?\s+)?(?P<kind>{_KINDS})\s*(?P<name>[A-Za-z])\s*\)?", re.I),
    re.compile(
        rf"(.+?){_LEAD_IN}(?P<name>[A-Za-z])\s+(?:is|being|∈|in)\s+(?:an?|any|the)?\s*(?:arbitrary\s+)?(?P<kind>{_KINDS})\s*\)?",
        re.I,
    ),
)


def family(text: str, part: Part) -> list[Reading]:
    """A formula and the integers that one of its letters runs through; also as a set of such values."""
    if len(text) > 300 or (not any(sign in text for sign in "ℤℕZN") and not re.search(r"integer|number", text, re.I)):
        return []
    if text[0] in "⦃{" and text[-1] in "⦄}":
        text = text[1:-1].strip()
    for pattern in _TAILS:
        match = pattern.fullmatch(text)
        if not match:
            continue
        body, name = part(trim(match.group(1))), match.group("name")
        values = values_of(body)
        if values and any(name in value.names for value in values):
            return [Family(body, name, _domain(match.groupdict()))]
    return []


def _domain(groups: dict[str, str | None]) -> str:
    kind = (groups.get("kind") or "").lower()
    if groups.get("set") in ("ℤ", "Z"):
        return "ℕ" if groups.get("plus") else "ℤ"
    if groups.get("set"):
        return "ℕ0" if "0" in (groups.get("plus") or "") else "ℕ"
    if kind.startswith(("non", "whole")):
        return "ℕ0"
    return "ℤ" if kind.startswith("integer") else "ℕ"


def values_of(body: Form) -> list[Scalar]:
    """The formulas of a body, several where it is a list or has a ±; empty if any of it is something else."""
    for reading in body.readings:
        if isinstance(reading, Scalar):
            return [reading]
        if isinstance(reading, Relation) and reading.name and not reading.steps:
            return values_of(reading.right)
        if isinstance(reading, Group) and reading.kind == "bare":
            values = [values_of(item) for item in reading.items]
            return [value for some in values for value in some] if all(values) else []
    return []


def names_of(body: Form) -> frozenset[str]:
    """The names that a body gives its values to."""
    out: set[str] = set()
    for reading in body.readings[:1]:
        if isinstance(reading, Relation):
            out.add(reading.name)
        elif isinstance(reading, Group):
            out.update(name for item in reading.items for name in names_of(item))
    return frozenset(out)
