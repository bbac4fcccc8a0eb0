"""Numbers as people write them, read exactly: thousands, decimals, powers of ten, mixed numbers, words.

    numeral("1,234.50 dollars")    ->  Numeral(1234.5, decimals=2, digits=6, end=8)
    in_words(["two", "thirds"])    ->  (2/3, 2 words)

Nothing is ever rounded: values are integers or fractions. Powers of ten beyond a few thousand digits are refused.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

Exact = int | Fraction

MAX_DIGITS = 20_000
_CHUNK = 600  # Python refuses to read more digits at once than a limit that a user may set as low as 640
MAX_TEN = 4000  # largest power of ten that is written out


class Numeral(NamedTuple):
    """A number at the start of a text.

    decimals  digits after the point as written (0 for integers and fractions)
    digits    significant digits as written; 0 where the number is exact (integer, fraction, word)
    end       where the number ends in the text
    """

    value: Exact
    decimals: int
    digits: int
    end: int


_WHOLE = r"\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)|\d{1,3}(?:[ ']\d{3})+(?![\d.])|\d{1,3}(?:_\d{3})+|\d+"
_DECIMAL = re.compile(rf"(?P<whole>{_WHOLE})?(?:\.(?P<part>\d+))?(?P<more>\.\.\.|…)?")
_EUROPEAN = re.compile(r"(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d,.])")
_POINTS = re.compile(r"\d{1,3}(?:\.\d{3}){2,}(?![\d.,]*\d)")
_TEN = re.compile(
    r"[eE]([+-]?\d+)(?![\w.])|\s*(?:[*x]|\*?\s*\\times)\s*10\s*\^\s*(?:\{\s*([+-]?\d+)\s*\}|\(([+-]?\d+)\)|([+-]?\d+))"
)
_OVER = re.compile(r"\s*/\s*(\d+)(?![\d.,]*\d)(?!\s*[\^(!])")
_MIXED = re.compile(
    r"(?:\s+(?:and\s+)?|-and-)(\d+)\s*/\s*(\d+)(?![\d.]*\d)|\s*(?:and\s+)?\\frac\s*(?:\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)\s*(\d))"
)
_FRAC = re.compile(r"\\frac\s*(?:\{\s*(-?\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))")
_REPEAT = re.compile(r"(\d*)\.(\d*)(?:\\overline\s*\{\s*(\d+)\s*\}|\\(?:bar|dot)\s*\{?\s*(\d+)\s*\}?|\((\d+)\))")


def _power_of_ten(power: str) -> Exact | None:
    if len(power.lstrip("+-0")) > 5 or abs(int(power)) > MAX_TEN:
        return None
    n = int(power)
    return 10**n if n >= 0 else Fraction(1, 10**-n)


def tidy(value: Exact) -> Exact:
    """An integer where the fraction is one."""
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


def whole_number(digits: str) -> int:
    """An integer from ASCII digits, however many, beyond Python's own limit too."""
    if len(digits) <= _CHUNK:
        return int(digits or "0")
    middle = len(digits) // 2
    return whole_number(digits[:middle]) * 10 ** (len(digits) - middle) + whole_number(digits[middle:])


def decimal(whole: str, part: str) -> Exact | None:
    """Digits before and after the point as an exact number, None if there are too many."""
    whole = re.sub(r"[ ,'_]", "", whole)
    if len(whole) + len(part) > MAX_DIGITS:
        return None
    if not part:
        return whole_number(whole)
    return tidy(Fraction(whole_number(whole + part), 10 ** len(part)))


def _repeating(match: re.Match[str]) -> Exact | None:
    whole, fixed = match.group(1), match.group(2)
    cycle = next(g for g in match.groups()[2:] if g)
    if len(whole) + len(fixed) + len(cycle) > 100:
        return None
    head = decimal(whole, fixed)
    assert head is not None  # at most 100 digits
    return tidy(head + Fraction(int(cycle), (10 ** len(cycle) - 1) * 10 ** len(fixed)))


def numeral(text: str) -> Numeral | None:
    """The unsigned number at the start of cleaned `text`: "1,234.5", "2 1/2", "3/4", "6*10^23", "0.(3)"."""
    if not text:
        return None
    if text[0] == "\\":
        frac = _FRAC.match(text)
        if not frac:
            return None
        over = int(frac.group(3) or frac.group(4)) if len(frac.group()) < 200 else 0
        return Numeral(tidy(Fraction(int(frac.group(1) or frac.group(2)), over)), 0, 0, frac.end()) if over else None
    repeat = _REPEAT.match(text)
    if repeat:
        value = _repeating(repeat)
        return None if value is None else Numeral(value, 0, 0, repeat.end())
    european = _EUROPEAN.match(text)
    if european:
        value = decimal(european.group(1).replace(".", ""), european.group(2))
        n = len(european.group(2))
        return None if value is None else Numeral(value, n, n + len(european.group(1)), european.end())
    points = _POINTS.match(text)
    if points:  # 1.234.567
        return Numeral(whole_number(points.group().replace(".", "")), 0, 0, points.end())
    match = _DECIMAL.match(text)
    assert match is not None  # every part is optional
    whole, part = match.group("whole") or "", match.group("part") or ""
    if not whole and not part:
        return None
    value = decimal(whole, part)
    if value is None:
        return None
    end = match.end()
    if match.group("more"):  # 0.333... is a third, 3.14... only a beginning
        if len(part) < 3 or len(set(part)) != 1:
            return None
        return Numeral(tidy(decimal(whole, "") + Fraction(int(part[0]), 9)), 0, 0, end)  # type: ignore[operator]
    digits = len((whole + part).strip("0 ,'_") if not part else (whole + part).lstrip("0")) if part else 0
    ten = _TEN.match(text, end)
    if ten:
        power = next(g for g in ten.groups() if g)
        factor = _power_of_ten(power)
        if factor is None:
            return None
        decimals = max(len(part) - int(power), 0)  # 3.692e-7 is good to ten places
        return Numeral(tidy(value * factor), decimals, digits if decimals else 0, ten.end())
    if not part:
        mixed = _MIXED.match(text, end)
        if mixed and isinstance(value, int):
            top, under = [int(g) for g in mixed.groups() if g]
            if 0 < top < under:
                return Numeral(tidy(value + Fraction(top, under)), 0, 0, mixed.end())
        over = _OVER.match(text, end)
        if over and int(over.group(1)):
            return Numeral(tidy(Fraction(value) / int(over.group(1))), 0, 0, over.end())
    return Numeral(value, len(part), digits, end)


_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL: dict[str, int] = {w: i for i, w in enumerate(_ONES)} | {w: 20 + 10 * i for i, w in enumerate(_TENS)}
_SMALL["fourty"] = 40
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SCALES |= {w + "s": n for w, n in _SCALES.items()} | {"mn": 10**6, "bn": 10**9}
_OVER_WORD = re.compile(r"(\d{1,3})/(\d{1,3})")
_PARTS: dict[str, int] = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
for _i, _w in enumerate(["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 3):
    _PARTS |= {_w: _i, _w + "s": _i}
_PARTS |= {"twelfth": 12, "twelfths": 12, "sixteenth": 16, "sixteenths": 16, "twentieth": 20, "twentieths": 20}
_PARTS |= {"hundredth": 100, "hundredths": 100, "thousandth": 1000, "thousandths": 1000}
NUMBER_WORDS = frozenset(_SMALL) | frozenset(_SCALES) | frozenset(_PARTS)


def _cardinal(words: list[str], at: int) -> tuple[Exact, int] | None:
    """A whole number in words, or digits before a scale word ("2.5 million"), from `at`; its value and end."""
    total: Exact = 0
    current: Exact | None = None
    i = at
    while i < len(words):
        word = words[i]
        if word in _SMALL:
            small = _SMALL[word]
            if not current:
                current = small
            elif (current % 100 == 0 and current) or (current % 10 == 0 and current % 100 >= 20 and 0 < small < 10):
                current += small
            else:  # "nineteen eighty four": a year, or digits read aloud; not ours
                break
        elif word in _SCALES:
            scale = _SCALES[word]
            if current is None and i > at:
                break
            if scale <= 100:
                current = (1 if current is None else current) * scale
            else:
                total += (1 if current is None else current) * scale
                current = 0
        elif word == "and" and i > at and i + 1 < len(words) and words[i + 1] in _SMALL and words[i - 1] in _SCALES:
            pass
        elif i == at and i + 1 < len(words) and words[i + 1] in _SCALES:
            found = numeral(word)
            if not found or found.end != len(word):
                break
            current = found.value
        else:
            break
        i += 1
    if i == at:
        return None
    return tidy(total + (current or 0)), i


def in_words(words: list[str]) -> tuple[Exact, int] | None:
    """The number that starts `words` (lower case, hyphens split) and how many words it takes; None if there is none.

    >>> in_words("three hundred and seven dollars".split())
    (307, 4)
    """
    at = 0
    sign = 1
    if words and words[0] in ("minus", "negative"):
        sign, at = -1, 1
    article = at < len(words) and words[at] in ("a", "an")
    start = at + article
    if start < len(words) and words[start] in _PARTS and (article or words[start] in ("half",)):
        return sign * Fraction(1, _PARTS[words[start]]), start + 1
    if article and not (start < len(words) and words[start] in _SCALES):
        return None
    found = _cardinal(words, start)
    if not found:
        return None
    value, i = found
    if i < len(words) and words[i] in _PARTS and words[i - 1] != "and" and value:  # "two thirds", "one quarter"
        return tidy(sign * Fraction(value) / _PARTS[words[i]]), i + 1
    if i < len(words) and words[i] == "point":
        digits = []
        for word in words[i + 1 :]:
            if word not in _SMALL or _SMALL[word] > 9:
                break
            digits.append(str(_SMALL[word]))
        if digits:
            part = Fraction(int("".join(digits)), 10 ** len(digits))
            value, i = value + part, i + 1 + len(digits)
            if i < len(words) and words[i] in _SCALES:
                value, i = value * _SCALES[words[i]], i + 1
    elif i + 1 < len(words) and words[i] == "and":  # "one and a half", "two and three quarters"
        digits_after = _OVER_WORD.fullmatch(words[i + 1])
        if digits_after and int(digits_after.group(2)):  # "three and 1/2"
            return tidy(sign * (value + Fraction(int(digits_after.group(1)), int(digits_after.group(2))))), i + 2
        rest = in_words(words[i + 1 :])
        if rest and isinstance(rest[0], Fraction) and 0 < rest[0] < 1:
            value, i = value + rest[0], i + 1 + rest[1]
    return tidy(sign * value), i
