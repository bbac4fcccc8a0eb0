"""Numbers with what stands around them: sign, currency, unit, scale words; also ratios and times of day.

quantity("-$1,234.50")          [Scalar(-1234.5, unit USD)]
quantity("5 hours 30 minutes")  [Scalar(19800, unit s)]
quantity("12°30'")              [Scalar(12.5, unit deg)]
quantity("7th")                 [Scalar(7, unit ordinal)]
clock_or_ratio("2:30 pm")       [Ratio, 52,200 seconds after midnight]
clock_or_ratio("2:4:6")         [Ratio of three terms]
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from nlrl.answers.forms.formulas import DATE, formula
from nlrl.answers.forms.numerals import NUMBER_WORDS, in_words, numeral, tidy
from nlrl.answers.forms.shapes import Ratio, Reading, Scalar
from nlrl.answers.forms.units import CURRENCY, ORDINAL, Unit, currency_of, units

_GROUPED = (
    r"(?<![\w.,])(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3}|[1-9]\d{0,2}(?: \d{3})+|[1-9]\d{0,2}(?:'\d{3})+)"
)
_THOUSANDS = re.compile(_GROUPED + r"(?!\d|[,.]?\d)")
_THOUSANDS_POINT = re.compile(_GROUPED + r"(?=\.\d)")
_START = re.compile(
    r"([-+]?)\s*((?:US|USD|EUR|GBP|A|C|Rs)?\.?\s?[$€£¥₹]|USD|EUR|GBP|Rs\.?(?=\s?\d))?\s*([-+]?)\s*(?=[\d.\\])"
)
_SCALE = re.compile(r"\s*-?(hundred|thousand|million|billion|trillion|dozen|mn|bn)s?\b", re.I)
_SUFFIX_SCALE = re.compile(r"\s?([kKMB])(?![A-Za-z])")
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
           "mn": 10**6, "bn": 10**9, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}  # fmt: skip
_COMPOUND = re.compile(r"(.*?[A-Za-z°'\"])(?:\s*,\s*|\s+)(?:and\s+)?(\d.*)")
_HOURS = re.compile(r"^(\d+)\s?h\s?(\d+)\s?m$")
_CLOCK = re.compile(r"(\d{1,2})(?::([0-5]\d))?(?::([0-5]\d))?\s*([ap])\.?\s?m\.?", re.I)
_BARE_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_NAMED_TIMES = {"noon": (43_200, "pm"), "midday": (43_200, "pm"), "midnight": (0, "am")}
_RATIO = re.compile(r"\s*:\s*|\s+to\s+")
_ORDINAL = re.compile(r"(\d{1,9})(st|nd|rd|th)(?: ([A-Za-z]{2,20}))?")
_ANGLE = re.compile(r"(-?)(?:(\d+(?:\.\d+)?)\s*°)?\s*(?:(\d+(?:\.\d+)?)\s*'(?!'))?\s*(?:(\d+(?:\.\d+)?)\s*(?:''|\"))?")
_NEGATIVE = re.compile(r"^(?:negative|minus)\s+(?=[$€£]?\s?[\d.])", re.I)
MAX_TERMS = 8  # of a ratio
_SENTENCE = 6  # a number followed by more words than this is a sentence, not a quantity
_MAX_EXACT_LENGTH = 300


def join_thousands(text: str) -> str:
    """Thousands separators outside brackets removed: "1,234 and 5" but not "(1,234)"."""
    if "," not in text and " " not in text and "'" not in text:
        return text
    if not any(c in text for c in "([{⦃"):
        return _join(text)
    out: list[str] = []
    depth = start = 0
    for i, c in enumerate(text):
        if c in "([{⦃⟨":
            if depth == 0:
                out.append(_join(text[start:i]))
                start = i
            depth += 1
        elif c in ")]}⦄⟩" and depth:
            depth -= 1
            if depth == 0:
                out.append(text[start : i + 1])
                start = i + 1
    out.append(_join(text[start:]) if depth == 0 else text[start:])
    return "".join(out)


def _join(text: str) -> str:
    for pattern in (_THOUSANDS, _THOUSANDS_POINT):
        text = pattern.sub(lambda m: re.sub("[ ,']", "", m.group()), text)
    return text


def quantity(text: str, *, math: bool = False) -> list[Reading]:
    """A number, in digits or words, with an optional unit and nothing else; empty if the text is something else."""
    if not text or len(text) > _MAX_EXACT_LENGTH or DATE.match(text):
        return []
    if "'" in text or '"' in text:
        return _marks(text)
    ordinal = _ORDINAL.fullmatch(text)
    if ordinal:
        value = int(ordinal.group(1))
        noun = units(ordinal.group(3).lower())[:1] if ordinal.group(3) else ()
        unit = replace(ORDINAL, dimensions=ORDINAL.dimensions + noun[0].dimensions, nouns=True) if noun else ORDINAL
        return [Scalar(value, unit=unit)] if ordinal.group(2) == _suffix(value) else []
    text = _NEGATIVE.sub("-", _HOURS.sub(r"\1 h \2 min", text))
    start = _START.match(text)
    if start and (not start.group(1) or not start.group(3)):
        return _digits_first(text, start, math)
    first = text.split(" ", 1)[0].lower().split("-", 1)[0]
    if first in NUMBER_WORDS or first in ("a", "an", "minus", "negative"):
        return _words_first(text)
    return []


def _suffix(value: int) -> str:
    return "th" if 10 < value % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _marks(text: str) -> list[Reading]:
    """12°30'15" is an angle; 5'10" is a length; 45' alone may be either."""
    match = _ANGLE.fullmatch(text)
    if not match:
        return []
    sign = -1 if match.group(1) else 1
    degrees, minutes, seconds = (Fraction(g) if g else None for g in match.groups()[1:])
    readings: list[Reading] = []

    def add(big: Fraction | None, middle: Fraction, small: Fraction, unit: str) -> None:
        value = tidy(sign * ((big or 0) + (minutes or 0) * middle + (seconds or 0) * small))
        readings.append(Scalar(value, unit=units(unit)[0]))

    if degrees is not None or minutes is None or seconds is None:
        add(degrees, Fraction(1, 60), Fraction(1, 3600), "deg")
    if degrees is None:
        add(None, Fraction(1), Fraction(1, 12), "ft")
    return readings


def _digits_first(text: str, start: re.Match[str], math: bool) -> list[Reading]:
    sign = -1 if "-" in (start.group(1), start.group(3)) else 1
    currency = currency_of(start.group(2) or "")
    body = text[start.end() :]
    number = numeral(body)
    if number is None:
        return []
    value, end, decimals, digits = number.value, number.end, number.decimals, number.digits
    rest = body[end:]
    scale = _SCALE.match(rest) or (_SUFFIX_SCALE.match(rest) if currency else None)
    if scale:
        word = scale.group(1)
        value = tidy(value * _SCALES[word if len(word) == 1 else word.lower()])
        decimals = digits = 0
        rest = rest[scale.end() :]
    value = sign * value

    def scalar(unit: Unit | None) -> Scalar:
        return Scalar(value, unit=unit, decimals=decimals, digits=digits)

    tail = rest.strip()
    if not tail:
        return [scalar(currency)]
    compound = _compound(text, sign) if any(c.isdigit() for c in tail) else None
    if compound is not None:
        return [compound]
    if len(tail.split()) > _SENTENCE or (tail[0] in "+-*/^!|(,:;=<>" and not tail.startswith("-")):
        return []
    if tail.startswith("-"):  # "5-year" is five years, "5-3" is a difference
        if not re.match(r"-[a-z]{3,}", tail):
            return []
        tail = tail[1:]
    stuck = not rest[:1].isspace()
    if stuck and re.match(r"s\b", tail) and decimals == 0 and 1000 <= abs(value) <= 2100:
        return []  # "1990s"
    readings: list[Reading] = []
    for unit in units(tail, stuck):
        if currency is not None:
            if unit.head == "%" or any(
                d in CURRENCY and d not in dict(currency.dimensions) for d, _ in unit.dimensions
            ):
                continue
            unit = currency
        elif not unit.dimensions and unit.factor == 1:
            unit = None  # type: ignore[assignment]
        if stuck and len(tail) == 1 and tail.isalpha() and (math or "\\" in text):
            continue  # 3m between dollar signs is a product
        readings.append(scalar(unit))
    if readings and stuck and len(tail) == 1 and tail.isalpha() and currency is None:
        readings += formula(text)
    return readings


def _compound(text: str, sign: int) -> Scalar | None:
    """ "5 hours and 30 minutes", "6 ft 2 in": a sum of quantities of one kind, each unit smaller than the last."""
    match = _COMPOUND.fullmatch(text)
    if not match:
        return None
    parts = [quantity(match.group(i)) for i in (1, 2)]
    if any(len(p) != 1 or not isinstance(p[0], Scalar) for p in parts):
        return None
    big, small = parts[0][0], parts[1][0]
    assert isinstance(big, Scalar) and isinstance(small, Scalar)
    one, two = big.unit, small.unit
    if one is None or two is None or big.exact is None or small.exact is None:
        return None
    if one.dimensions != two.dimensions or one.nouns or one.offset or not one.factor > two.factor or small.exact < 0:
        return None
    total = abs(big.exact) * one.factor + small.exact * two.factor
    return Scalar(tidy(sign * total / two.factor), unit=two)


def _words_first(text: str) -> list[Reading]:
    words = text.lower().replace("-", " ").split()
    found = in_words(words)
    if not found:
        return []
    value, used = found
    original = text.replace("-", " ").split()
    rest = original[used:]
    if isinstance(value, Fraction) and rest[:1] in (["a"], ["an"], ["of"]):  # half an hour
        rest = rest[1:]
    if not rest:
        return [Scalar(value)]
    if len(rest) > _SENTENCE:
        return []
    readings: list[Reading] = []
    for unit in units(" ".join(rest)):
        readings.append(Scalar(value, unit=unit if unit.dimensions or unit.factor != 1 else None))
    return readings


def clock_or_ratio(text: str) -> list[Reading]:
    """2:30 pm, 14:30, noon, 2:3, 2 to 3, 1:√3:2."""
    if text.lower() in _NAMED_TIMES:
        return [Ratio((), *_NAMED_TIMES[text.lower()])]
    if len(text) > 100 or (":" not in text and " to " not in text and text[-1:] not in "mM."):
        return []
    clock = _CLOCK.fullmatch(text)
    if clock:
        hour, half = int(clock.group(1)), clock.group(4).lower() + "m"
        if 1 <= hour <= 12:
            return [Ratio((), _seconds(hour % 12 + 12 * (half == "pm"), clock.group(2), clock.group(3)), half)]
        return []
    terms = _RATIO.split(text)
    if not 2 <= len(terms) <= MAX_TERMS:
        return []
    scalars: list[Scalar] = []
    for term in terms:
        readings = quantity(term, math=True) or formula(term)
        if len(readings) != 1 or not isinstance(readings[0], Scalar) or readings[0].unit or readings[0].names:
            return []
        scalars.append(readings[0])
    bare = _BARE_CLOCK.fullmatch(text)
    return [Ratio(tuple(scalars), _seconds(int(bare.group(1)), bare.group(2), bare.group(3)) if bare else None)]


def _seconds(hour: int, minute: str | None, second: str | None) -> int:
    return (hour * 60 + int(minute or 0)) * 60 + int(second or 0)
