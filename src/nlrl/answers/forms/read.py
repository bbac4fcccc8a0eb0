"""Reading an answer: which shapes may this text have?

    read("x > 3")        one region
    read("(0, 1)")       a pair and an interval
    read("B) 12 cm")     label B, and in its body twelve centimetres
    read("Mount Fuji")   no mathematics: words

The order of attempts goes from the cheap and certain (a plain number) to the general (any formula).
"""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from functools import lru_cache

from nlrl.answers.forms import brackets, formulas, matrices, modular, quantities, relations
from nlrl.answers.forms.boolean import boolean
from nlrl.answers.forms.cases import cases
from nlrl.answers.forms.clean import CLOSE_SET, OPEN_SET, clean, trim
from nlrl.answers.forms.compare import same
from nlrl.answers.forms.families import family
from nlrl.answers.forms.numerals import whole_number
from nlrl.answers.forms.regions import LINE
from nlrl.answers.forms.shapes import INFINITY, Form, Group, Reading, Region, Relation, Scalar
from nlrl.answers.forms.syntax import FUNCTIONS
from nlrl.answers.forms.units import units
from nlrl.answers.forms.words import text_key

MAX_LENGTH = 20_000  # longer answers are compared as they stand
MAX_MATH = 2_000  # longer ones are not mathematics we read
MAX_DEPTH = 4

_PLAIN = re.compile(r"\s*([-+]?)(\d{1,15})(?:\.(\d{0,15}))?\s*")
_INTEGER = re.compile(r"\s*([-+]?)([0-9]+)\s*")
_LABEL = re.compile(
    r"(?:(?:option|choice|answer)\s+)?(?:\(([A-Ha-h])\)|\[([A-H])\]|([A-Ha-h])\)|([A-H])[.:]|([a-h])\.)\s*(?:\s(\S.*)|-\s+(\S.*))?",
    re.S,
)
_GLOSS = re.compile(r"([^()]{1,60}?)\s+\(([^()]{1,60})\)")
_DASHED = re.compile(r"([A-H])\s+-\s+([^\W\d_]{3,}.*)", re.S)
_OPTION = re.compile(r"(?:option|choice|answer)\s+([A-Ha-h])[.:)]?\s*(.*)", re.I | re.S)
_NOT_WORDY = re.compile(
    r"[+*/^=<>≤≥≠|{}\[\]\\±∓√∞…$€£¥₹°%∪∩∈∅ℝℤℕℚℂ⦃⦄⌊⌋⌈⌉⟨⟩_~#@]|(?<!\w)-\s*[\d.]|\d!|(?<!\w)-\s*\w(?!\w)"
)
_LONG_WORD = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{3,}")
_SHORT_WORD = re.compile(r"[^\W\d_]\.?[^\W\d_]")
_NO_ANSWER = frozenset(("nan", "NaN", "NAN"))  # what a missing value becomes in a table: it equals nothing
_POINT = re.compile(r"(?!C\s*\(\d+\s*,\s*\d+\))([A-Z]'?)\s*(\([^()=|]+,[^()=|]+\))")
_LOOSE = re.compile(r"(?<!\w) | (?!\w)")  # a space that separates no two words or numbers
_GROUPED_ONE = re.compile(r"(?<=[\^_])\{(\w)\}")
_POINTS = re.compile(r"[A-Z]{2,5}")
_WHOLE_SETS = {"ℝ": "ℝ", "ℤ": "ℤ", "ℕ": "ℕ", "ℚ": "ℚ", "ℂ": "ℂ"}
_INFINITE = frozenset(("infinity", "infinitelymany", "infinitelymanysolutions", "infinitenumber", "infinite"))
_NAMED_SETS = {
    "allrealnumbers": "ℝ", "realnumbers": "ℝ", "setofrealnumbers": "ℝ", "setofallrealnumbers": "ℝ", "allreals": "ℝ",
    "allintegers": "ℤ", "integers": "ℤ", "setofintegers": "ℤ", "setofallintegers": "ℤ",
    "allrationalnumbers": "ℚ", "rationalnumbers": "ℚ", "naturalnumbers": "ℕ", "allnaturalnumbers": "ℕ",
}  # fmt: skip


def read(answer: str) -> Form:
    """All readings of an answer. Never raises; cached for texts of ordinary length."""
    if len(answer) <= MAX_MATH:
        return _read(answer)
    if len(answer) <= MAX_LENGTH:
        digits = _INTEGER.fullmatch(answer)
        if digits:
            value = whole_number(digits.group(2))
            value = -value if digits.group(1) == "-" else value
            return Form("", "", (Scalar(value),), key=number_key(value))
        text, _ = clean(answer)
        words = text_key(text)
        return Form(text, words, key="t:" + words)
    squeezed = " ".join(answer.split()).casefold()
    digest = hashlib.sha256(squeezed.encode("utf-8", "surrogatepass")).hexdigest()
    return Form("", "", key="h:" + digest)


def forget() -> None:
    """Empty the cache of `read`, for measurements."""
    _read.cache_clear()


@lru_cache(maxsize=32_768)
def _read(answer: str) -> Form:
    plain = _PLAIN.fullmatch(answer)
    if plain and plain.group().isascii():
        sign, whole, part = plain.groups()
        value = int(whole + (part or ""))
        if sign == "-":
            value = -value
        digits = len((whole + part).lstrip("0")) if part else 0
        scalar = Scalar(Fraction(value, 10 ** len(part)) if part else value, decimals=len(part or ""), digits=digits)
        return Form(answer.strip(), "", (scalar,), key=number_key(scalar.exact))
    text, math = clean(answer)
    if text in _NO_ANSWER:
        return Form("", "")
    gloss = _GLOSS.fullmatch(text)
    if gloss:  # "42 (forty-two)"
        one, two = form(gloss.group(1)), form(gloss.group(2))
        if same(one, two):
            return one
        if one.readings and units(gloss.group(2)):  # "198 (packages)"
            return form(f"{gloss.group(1)} {gloss.group(2)}", math=math)
    return form(text, math=math)


def number_key(value: object) -> str:
    """Numbers without unit: equal values, equal keys. Hexadecimal, since Python limits decimal conversions."""
    if isinstance(value, Fraction):
        return f"n:{value.numerator:x}" if value.denominator == 1 else f"n:{value.numerator:x}/{value.denominator:x}"
    return f"n:{value:x}"


def form(text: str, *, math: bool = False, depth: int = 0, labels: bool = True) -> Form:
    """The form of cleaned text (also of a part of an answer, then `depth` > 0). `labels`: "B) ..." may be an option."""
    if depth == 0 and labels:
        label, rest = _split_label(text)
        if label:
            body = form(rest, math=math, labels=False) if rest else None
            words = text_key(text) if rest and not _NOT_WORDY.search(rest) else ""
            return Form(text, words, label=label, body=body, key=f"c:{label}:{body.key if body else ''}")
    wordy = bool(_SHORT_WORD.search(text)) and not _NOT_WORDY.search(text)
    long_words = sum(word not in FUNCTIONS for word in _LONG_WORD.findall(text))
    words = text_key(text) if wordy else ""
    readings: tuple[Reading, ...] = ()
    if text and depth < MAX_DEPTH and long_words <= 16:
        readings = tuple(_readings(text, math, depth))
    return Form(text, words, readings, key=_key(text, words, readings))


def _split_label(text: str) -> tuple[str, str]:
    """("B", "Paris") of "B) Paris", ("B", "") of "(b)", ("", text) of all else."""
    if not text or len(text) > MAX_MATH:
        return "", text
    match = _LABEL.fullmatch(text) or _OPTION.fullmatch(text) or _DASHED.fullmatch(text)
    if not match:
        return "", text
    groups = [g for g in match.groups() if g is not None]
    rest = trim(groups[1]) if len(groups) > 1 else ""
    if rest[:1] in tuple("+-*/^=<>≤≥,") and not re.match(r"-\s*[\d.$√π\\]", rest):
        return "", text
    return groups[0].upper(), rest


def _key(text: str, words: str, readings: tuple[Reading, ...]) -> str:
    if len(readings) == 1:
        only = readings[0]
        if isinstance(only, Scalar):
            unit = only.unit
            if unit is None and only.exact is not None:
                return number_key(only.exact)
            if unit is not None and only.exact is not None:
                if unit.head == "%":
                    return "%" + number_key(only.exact)
                return f"u:{unit.dimensions}:{number_key((only.exact + unit.offset) * unit.factor)}"
            if unit is None and not words and only.fingerprint and not only.names & {"C", "c", "K"}:
                return f"f:{only.fingerprint[0]:x}:{only.fingerprint[1]:x}"
        if isinstance(only, Group) and not only.items:
            return "t:∅"
    if words:
        return "t:" + words
    return "s:" + _GROUPED_ONE.sub(r"\1", _LOOSE.sub("", text))


def _readings(text: str, math: bool, depth: int) -> list[Reading]:
    """Everything the text may be as mathematics, most likely first."""
    if _POINTS.fullmatch(text):  # AB alone is a segment, a choice or a product of matrices: letters in order
        return []
    if text in _WHOLE_SETS or text in ("∅", OPEN_SET + CLOSE_SET, "{}", "{ }"):
        return [LINE if text == "ℝ" else Scalar(None, ("s", text)) if text in _WHOLE_SETS else Group("set", ())]

    def part(piece: str) -> Form:
        return form(trim(piece), math=math, depth=depth + 1)

    quantity = quantities.quantity(text, math=math)
    if quantity:
        return quantity
    notation = (
        modular.based(text) or modular.congruence(text) or boolean(text) or cases(text, part) or family(text, part)
    )
    if notation:
        return notation
    if not any(c.isdigit() for c in text):
        words = text_key(text)
        if words == "∅":
            return [Group("set", ())]
        if words in _INFINITE:
            return [Scalar(None, INFINITY)]
        if words in _NAMED_SETS:
            name = _NAMED_SETS[words]
            return [LINE if name == "ℝ" else Scalar(None, ("s", name))]
    text = quantities.join_thousands(text)
    if text[0] == "<" and text[-1] == ">" and "," in text:
        text = f"⟨{text[1:-1]}⟩"
    point = _POINT.fullmatch(text)
    if point:  # P(2, 3)
        return [Relation("=", part(point.group(1)), part(point.group(2)), name=point.group(1))]
    structured = (
        matrices.matrix_formula(text, part)
        or matrices.matrix(text, part)
        or brackets.braces(text, part)
        or relations.regions(text, part)
        or brackets.bracketed(text, part)
        or relations.listed(text, part)
        or relations.relation(text, part)
    )
    if structured:
        return structured
    return quantities.clock_or_ratio(text) or formulas.formula(text)


def as_region(reading: Reading) -> Region | None:
    """A reading as a subset of the line, where it is one."""
    return relations.region_of(reading)
