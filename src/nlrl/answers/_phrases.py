"""Phrases as words that can be compared, with the numbers and dates in them.

    [w.key for w in words("The U.S. Army's 3rd, £70m")]  ->  ["unitedstates", "army", "3rd", "70000000", "pound"]
    stem("colours")                                      ->  "color"
    dates("12th of July, 1998")                          ->  [Date(day=12, month=7, year=1998)]

Pure, and linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple


def word_list(text: str) -> list[str]:
    """The words of a string, in order."""
    return text.split()


def word_set(text: str) -> frozenset[str]:
    """The words of a string."""
    return frozenset(text.split())


SMALL_WORDS = word_set(
    "of in on at to from by for with and into as is was are were it its his her their be been being s"
)  # function words: prepositions, conjunctions, copulas, possessives

_SAME_CHARACTERS = str.maketrans({
    "’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "−": "-",
    "‐": "-", "‑": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "đ": "d", "ı": "i",
})  # fmt: skip
_TOKEN = re.compile(
    r"(?:[^\W\d_]\.)+[^\W\d_]\b\.?|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:st|nd|rd|th|s)\b|\d+(?:\.\d+)?"
    r"|[^\W\d_][^\W_]*(?:'[^\W\d_]+)*|[%&]"
)
_MONEY = re.compile(
    r"(US)?([$£€])\s?(\d[\d,]*(?:\.\d+)?)(?:\s?(million|billion|trillion|thousand|m|bn|k)\b)?", re.IGNORECASE
)
_CURRENCY = {"$": "dollars", "£": "pounds", "€": "euros"}
_SCALE_LETTERS = {"m": "million", "bn": "billion", "k": "thousand"}
_SAME_WORD = {
    "%": "percent", "saint": "st", "mount": "mt", "tv": "television", "grey": "gray", "zero": "0", "versus": "vs",
    "usa": "unitedstates", "america": "unitedstates", "uk": "unitedkingdom", "britain": "unitedkingdom",
    "sept": "september", "&": "and", "ussr": "sovietunion", "doctor": "dr",
}  # fmt: skip
_SAME_WORDS = {
    ("united", "states", "of", "unitedstates"): "unitedstates", ("united", "states"): "unitedstates",
    ("united", "kingdom"): "unitedkingdom", ("great", "unitedkingdom"): "unitedkingdom", ("per", "cent"): "percent",
    ("soviet", "union"): "sovietunion",
}  # fmt: skip
_LETTER_UNITS = {
    "m": "meter", "metre": "meter", "metres": "meter", "km": "kilometer", "kilometre": "kilometer",
    "kilometres": "kilometer", "kg": "kilogram", "ft": "foot", "feet": "foot", "mph": "mileperhour", "hrs": "hour",
    "min": "minute", "mins": "minute", "yrs": "year", "lb": "pound", "lbs": "pound", "inches": "inch",
}  # fmt: skip
_UNITS = {
    word: n
    for n, word in enumerate(
        word_list(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        )
    )
}
_TENS = {w: 10 * n for n, w in enumerate(word_list("twenty thirty forty fifty sixty seventy eighty ninety"), 2)}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = {
    word: f"{n}{'st' if n == 1 else 'nd' if n == 2 else 'rd' if n == 3 else 'th'}"
    for n, word in enumerate(
        word_list(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
            "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        1,
    )
}
_ROMAN = {
    numeral: n
    for n, numeral in enumerate(
        word_list("i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx xxi xxii xxiii xxiv"), 1
    )
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MAX_DIGITS = 15
_MAX_NUMBER_WORDS = 10
_FOOTNOTE = re.compile(r"(?<=[a-z]{4})\d(?=[.,]?(?:\s|$))|(?<=\d0s)\d(?=[.,])|\[\d{1,2}\]")


class Word(NamedTuple):
    """One word: what is compared, as it was written, and what stands between the word before and it."""

    key: str
    text: str
    gap: str

    @property
    def capital(self) -> bool:
        """Whether it is written like a part of a name."""
        return self.text[0].isupper()


class Date(NamedTuple):
    """A date, or the parts of one; years before Christ are negative."""

    day: int | None
    month: int | None
    year: int | None


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text with its words; `stems` are the words without plurals and with one spelling for British and American."""

    text: str
    words: tuple[Word, ...]
    stems: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def squeezed(self) -> str:
        """All in one string: "book keeper" -> "bookkeeper"."""
        return "".join(self.stems)

    @property
    def content(self) -> tuple[str, ...]:
        """The stems without function words."""
        return tuple(s for s in self.stems if s not in SMALL_WORDS) or self.stems


def clean(text: str) -> str:
    """With one kind of quotation mark, dash and space, and without bold type and footnote marks ("argon1.")."""
    text = unicodedata.normalize("NFC", text).translate(_SAME_CHARACTERS).replace("**", "").replace("__", "")
    return _FOOTNOTE.sub("", text)


@lru_cache(maxsize=4096)
def phrase(text: str) -> Phrase:
    """The words of a text."""
    return of_words(clean(text), words(text))


def of_words(text: str, found: Iterable[Word]) -> Phrase:
    """A phrase of words that were already read."""
    kept = tuple(found)
    return Phrase(text, kept, tuple(stem(w.key) for w in kept))


def words(text: str) -> list[Word]:
    """The words, without articles; number words are digits, and some names of nations and units are unified."""
    text = _MONEY.sub(_amount, clean(text))
    raw: list[Word] = []
    end, skipped = 0, ""
    for match in _TOKEN.finditer(text):
        word, gap = match.group(), skipped + text[end : match.start()]
        end, skipped = match.end(), ""
        key = _fold(word)
        # "Vitamin A" and "Hepatitis A" keep theirs
        if key in ("the", "an") or (key == "a" and not (word == "A" and raw and raw[-1].capital)):
            skipped = gap + " "
            continue
        raw.append(Word(key, word, gap))
    return _numerals(_unified(raw))


def _amount(match: re.Match[str]) -> str:
    """ "£70m" -> "70 million pounds"."""
    scale = match[4].lower() if match[4] else ""
    return f"{match[3]} {_SCALE_LETTERS.get(scale, scale)} {_CURRENCY[match[2]]}"


def _fold(word: str) -> str:
    """Lower case without accents, apostrophes and a possessive ending."""
    key = word.casefold()
    if not key.isascii():
        key = "".join(c for c in unicodedata.normalize("NFKD", key) if not unicodedata.combining(c))
    key = key.removesuffix("'s").replace("'", "").replace(".", "") if not key[0].isdigit() else key.replace(",", "")
    if key == "us" and word.startswith("U"):
        return "unitedstates"
    return _SAME_WORD.get(key, key)


def _unified(found: list[Word]) -> list[Word]:
    """Several words for one thing in one word: "United States of America"."""
    out: list[Word] = []
    i = 0
    while i < len(found):
        for n in (4, 2):
            name = _SAME_WORDS.get(tuple(w.key for w in found[i : i + n]))
            if name:
                out.append(Word(name, found[i].text, found[i].gap))
                i += n
                break
        else:
            word = found[i]
            unit = _LETTER_UNITS.get(word.key) if out and out[-1].key[0].isdigit() else None
            out.append(word._replace(key=unit or word.key))
            i += 1
    return out


def _numerals(found: list[Word]) -> list[Word]:
    """Number words, scales, and the numerals of kings and wars in digits."""
    out: list[Word] = []
    i = 0
    while i < len(found):
        value, used = _value(found, i)
        if used:
            minus = bool(re.search(r"(?:^|\s)-$", found[i].gap)) and not (out and out[-1].key[-1].isdigit())
            if out and out[-1].key == "minus":
                out.pop()
                minus = True
            out.append(found[i]._replace(key=f"-{value}" if minus else value))
            i += used
            continue
        word = found[i]
        key = _ORDINALS.get(word.key, word.key)
        named = bool(out) and out[-1].capital and not out[-1].key[0].isdigit() and not word.gap.strip()
        if named and key in _ROMAN and word.text.isupper() and (len(key) > 1 or i == len(found) - 1):
            key = str(_ROMAN[key])  # "Henry VIII"
        elif named and word.capital and key[0].isdigit():
            key = re.sub(r"\D", "", key)  # "Henry the Eighth"
        out.append(word._replace(key=key))
        i += 1
    return out


def _value(found: Sequence[Word], i: int) -> tuple[str, int]:
    """The number that starts at a word, and how many words it takes: "two hundred and five" -> ("205", 4)."""
    first = found[i].key
    if not (first in _UNITS or first in _TENS or (_NUMBER.fullmatch(first) and len(first) <= _MAX_DIGITS)):
        return "", 0
    digits = first[0].isdigit()
    total, part, at = Decimal(0), Decimal(first) if digits else Decimal(_UNITS.get(first, _TENS.get(first, 0))), i + 1
    while at < len(found) and at - i < _MAX_NUMBER_WORDS and not found[at].gap.strip(" -"):
        key = found[at].key
        if key in _SCALES and key != "hundred" and part:
            total, part, digits = total + part * _SCALES[key], Decimal(0), False
        elif key == "hundred" and 0 < part < 100:
            part *= 100
        elif not digits and part % 100 == 0 and (part or total) and (key in _TENS or key in _UNITS):
            part += _TENS.get(key, _UNITS.get(key, 0))
        elif not digits and part % 100 in _TENS.values() and 0 < _UNITS.get(key, 0) < 10:
            part += _UNITS[key]
        elif not (key == "and" and found[at - 1].key in _SCALES and at + 1 < len(found) and _small(found[at + 1].key)):
            break
        at += 1
    number = total + part
    return (f"{number:f}".rstrip("0").rstrip(".") if number % 1 else f"{number:.0f}"), at - i


def _small(key: str) -> bool:
    return key in _UNITS or key in _TENS


@lru_cache(maxsize=16384)
def stem(key: str) -> str:
    """Singular, in American spelling: "colours" -> "color", "theatre" -> "theater", "cities" -> "city"."""
    if len(key) <= 3 or not key.isascii() or not key.isalpha():
        return key
    if key.endswith("ies") and len(key) > 4:
        key = key[:-3] + "y"
    elif key.endswith(("sses", "shes", "ches", "xes", "zes", "oes")):
        key = key[:-2]
    elif key.endswith("s") and not key.endswith(("ss", "us", "is")):
        key = key[:-1]
    if key.endswith("our") and len(key) > 5:
        key = key[:-3] + "or"
    elif key.endswith(("tre", "bre")) and len(key) > 4:
        key = key[:-2] + "er"
    return key.replace("isation", "ization").replace("ise", "ize") if len(key) > 6 else key


# --- dates -----------------------------------------------------------------------------------------------------------

_MONTHS = word_list("january february march april may june july august september october november december")
_MONTH = rf"(?P<month>{'|'.join(m if m == 'may' else f'{m[:3]}(?:{m[3:]})?' for m in _MONTHS)}|sept)\b\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{3,4})(?![\d,.]\d|\d|st|nd|rd|th|s\b)"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?:of\s+)?{_YEAR})?",
        rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}(?!\d)(?:,?\s+(?:of\s+)?{_YEAR})?",
        rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}",
        r"\b(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})\b",
        r"\b(?P<day>\d{1,2})[/.](?P<number>\d{1,2})[/.](?P<year>\d{4})\b",
        r"\b(?P<year>\d{1,4})\s?(?P<before>b\.?c\b\.?(?:e\b\.?)?)",
        r"\b(?:a\.?d\.?\s?)(?P<year>\d{1,4})\b|\b(?P<year2>\d{1,4})\s?(?:a\.?d\b\.?|c\.?e\b\.?)",
        r"(?<![\d,.$£€-])\b(?P<year>1[0-9]{3}|20[0-9]{2})\b(?![,.]\d|\s?%)",
    )
]
_AROUND_DATES = re.compile(
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:on|in|the|of|since|year|it|was|is|circa|c|about|around|ad)\b|[\W_]",
    re.IGNORECASE,
)


def dates(text: str) -> list[Date]:
    """The dates of a text, in order."""
    return [date for date, _, _ in _dated(clean(text))]


def date_texts(text: str) -> list[str]:
    """The same as they are written."""
    text = clean(text)
    return [text[start:end] for _, start, end in _dated(text)]


def only_date(text: str) -> Date | None:
    """The date that a text is, with nothing else in it."""
    text = clean(text)
    found = _dated(text)
    if len(found) != 1:
        return None
    date, start, end = found[0]
    return None if _AROUND_DATES.sub("", text[:start] + " " + text[end:]) else date


def _dated(text: str) -> list[tuple[Date, int, int]]:
    found: list[tuple[Date, int, int]] = []
    taken = bytearray(len(text))
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if any(taken[match.start() : match.end()]):
                continue
            date = _date(match.groupdict())
            if date is not None:
                found.append((date, match.start(), match.end()))
                taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    return sorted(found, key=lambda item: item[1])


def _date(parts: dict[str, str | None]) -> Date | None:
    name, number = parts.get("month"), parts.get("number")
    month = next((n for n, m in enumerate(_MONTHS, 1) if name and m.startswith(name.lower()[:3])), None)
    day = int(parts.get("day") or 0) or None
    if number:
        month = int(number)
        if month > 12 and day and day <= 12:  # month first
            day, month = month, day
    year = int(parts.get("year") or parts.get("year2") or 0) or None
    if (day and not 1 <= day <= 31) or (month and not 1 <= month <= 12):
        return None
    return Date(day, month, -year if year and parts.get("before") else year)
