"""Units of measure, exactly: what "km/h" means in metres and seconds, and that four apples are not four oranges.

    units("square centimeters")  ->  [Unit({"m": 2}, 1/10000)]
    units("duck eggs")           ->  [Unit of a counted noun]

A unit is a product of base dimensions and a factor to base units. Words that are no known unit are counted nouns and
form dimensions of their own. Some words mean two things ("pounds"): all meanings come back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from nlrl.answers.forms.clean import GREEK
from nlrl.answers.forms.unit_table import TABLE, Entry

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """value in base units = (value + offset) x factor.

    nouns  whether the dimensions are counted things rather than physical ones
    head   the first unit word in base spelling: "$18 per day" and "$18" share the head USD
    """

    dimensions: Dimensions
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    nouns: bool = False
    head: str = ""


PERCENT = Unit((), Fraction(1, 100), head="%")
ORDINAL = Unit((("ordinal", 1),), head="ordinal")
CURRENCY = frozenset(["USD", "EUR", "GBP", "JPY", "CNY", "INR"])
_TEMPERATURES = {
    **dict.fromkeys(("C", "celsius", "centigrade"), (Fraction(1), Fraction("273.15"))),
    **dict.fromkeys(("F", "fahrenheit"), (Fraction(5, 9), Fraction("459.67"))),
    **dict.fromkeys(("K", "kelvin", "kelvins"), (Fraction(1), Fraction(0))),
}
_TEMPERATURE = re.compile(r"^(?:(?:°|degrees?)\s*)?(C|F|K|[Cc]elsius|[Cc]entigrade|[Ff]ahrenheit|[Kk]elvins?)$")
_PERCENT = re.compile(r"^(?:%|percent(?:age)?(?: points?)?|per cent|pct\.?)(?:\s+(?:of\s+)?[a-z ]{1,60})?$", re.I)
_FILLER = frozenset({
    "each", "tall", "long", "wide", "deep", "high", "thick", "old", "away", "apart", "total", "in", "of", "left",
    "remaining", "more", "altogether", "overall", "the", "a", "an", "every", "only", "all", "per-person", "exactly",
    "extra", "ago", "later", "combined", "together", "units", "unit", "sq-unit", "square-unit", "now", "so", "far",
})  # fmt: skip
_TOKEN = re.compile(r"[A-Za-zα-ωΩ°%$€£¥₹¢]+|\^\s*\{?\s*\(?[+-]?\d\)?\s*\}?|[23](?![\d.])|[/*()-]|\s+")
_OVER_A_LETTER = re.compile(r"/\s*[A-Za-z]")
_NOUN = re.compile(r"[a-z][a-zA-Z]{2,}|ox|go")
_NO_NOUNS = frozenset({
    "and", "or", "not", "but", "pi", "sin", "cos", "tan", "log", "exp", "sqrt", "plus", "minus", "times", "over",
    "mod", "than", "both", "where", "for", "if", "first", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
    "ninth", "tenth", "point",
}) | {name for name in GREEK if len(name) > 2}  # fmt: skip
_POWERS = {"squared": 2, "cubed": 3}
_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def stem(word: str) -> str:
    """A counted noun in the singular, roughly."""
    word = word.lower()
    if word in ("people", "persons", "person"):
        return "person"
    if word in ("children", "men", "women"):
        return {"children": "child", "men": "man", "women": "woman"}[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ses", "xes", "ches", "shes", "zes", "oes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")):
        return word[:-1]
    return word


def _look_up(word: str) -> Entry | None:
    found = TABLE.get(word)
    if found is None and len(word) > 2:  # "Meters", "KM"; not "M" or "MM", where case is meaning
        found = TABLE.get(word.lower())
    return found


@lru_cache(maxsize=8192)
def units(text: str, stuck: bool = False) -> tuple[Unit, ...]:
    """What the text after a number means as a unit: all its readings, none if it is no unit at all.

    stuck  no space separates it from the number; then only known units count ("5km", but not "3xy")
    An empty tuple is "this is not a unit"; a unit without dimensions and factor 1 stands for filler ("in total").
    """
    text = text.strip().rstrip(".")
    if len(text) > 80 or text[:1] in ("-", "*"):
        return ()
    if _PERCENT.match(text):
        return (PERCENT,)
    temperature = _TEMPERATURE.match(text)
    if temperature:
        word = temperature.group(1)
        factor, offset = _TEMPERATURES[word if len(word) == 1 else word.lower()]
        return (Unit((("kelvin", 1),), factor, offset, head="kelvin"),)
    readings = [_product(text, stuck)]
    if re.search(r"\bpounds?\b", text, re.I):
        readings = [_product(re.sub(r"\bpounds?\b", word, text, flags=re.I), stuck) for word in ("lb", "£")]
    return tuple(r for r in readings if r is not None)


def _product(text: str, stuck: bool) -> Unit | None:
    dimensions: dict[str, int] = {}
    nouns: dict[str, int] = {}
    factor = Fraction(1)
    sign, power_before, head = 1, 1, ""
    last: Entry | str | None = None
    at = n_nouns = 0
    if _OVER_A_LETTER.fullmatch(text):  # 1 / m is a fraction
        return None
    if text.count("(") != text.count(")") or not re.search(r"[^\s/*()-]", text):
        return None
    lowered = re.sub(r"\b(?:sq|square|cubic)\.?\s+units?\b", "", text, flags=re.I)

    def apply(thing: Entry | str, power: int) -> None:
        nonlocal factor
        if isinstance(thing, str):
            nouns[thing] = nouns.get(thing, 0) + power
        else:
            for base, exponent in thing[0].items():
                dimensions[base] = dimensions.get(base, 0) + exponent * power
            factor *= thing[1] ** power

    while at < len(lowered):
        match = _TOKEN.match(lowered, at)
        if not match:
            return None
        token, spaced, at = match.group(), at == 0 or lowered[at - 1].isspace(), match.end()
        if token.isspace() or token in "*()-":
            continue
        lower = token.lower()
        if token == "/" or lower == "per" or (lower in ("a", "an") and isinstance(last, tuple)):  # "$18 a day"
            sign = -1
            continue
        power = int(m.group()) if (m := re.search(r"[+-]?\d", token)) else _POWERS.get(lower)
        if power is not None:
            if last is None or (spaced and token.isdigit()):
                return None
            if not power:
                return None
            apply(last, sign * (power - 1))  # one power is in already
            continue
        if lower in _BEFORE:
            power_before = _BEFORE[lower]
            continue
        inch = lower == "in" and (sign < 0 or (last is None and not n_nouns) or lowered[at:].lstrip()[:1] == "^")
        filler = (lower if len(token) > 1 else token) in _FILLER and not (stuck and at == len(token))
        if filler and not inch:
            continue
        known = _look_up(token)
        if known:
            last = known
            head = head or next(iter(known[0]))
        elif not _NOUN.fullmatch(token) or token in _NO_NOUNS or (at == len(token) and stuck):
            return None
        else:
            n_nouns += 1
            if n_nouns > 3:
                return None
            last = stem(token)
            head = head or last
        apply(last, sign * power_before)
        power_before = 1
    kept = {base: n for base, n in dimensions.items() if n} | {noun: n for noun, n in nouns.items() if n > 0}
    return Unit(tuple(sorted(kept.items())), factor, nouns=bool(nouns) and not dimensions, head=head)


def currency_of(sign: str) -> Unit | None:
    """The unit of a sign or code before a number: "$", "US$", "EUR"."""
    if not sign:
        return None
    sign = sign.strip().upper().replace("RS.", "₹").replace("RS", "₹")
    found = units(sign[-1] if sign[-1] in "$€£¥₹" else sign)
    return found[0] if found else None
