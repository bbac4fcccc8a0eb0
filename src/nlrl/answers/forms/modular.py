"""Numbers written to a base, and congruences.

based("1011_{two}")         [Based("1011", 2)]
congruence("x ≡ 3 (mod 7)") [Congruence((3,), 7, "x")]
"""

from __future__ import annotations

import re

from nlrl.answers.forms.shapes import Based, Congruence, Reading

_BASES = {
    "binary": 2, "two": 2, "three": 3, "ternary": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "octal": 8,
    "nine": 9, "ten": 10, "decimal": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "hex": 16, "hexadecimal": 16,
}  # fmt: skip
_BASE = rf"(\d{{1,2}}|{'|'.join(_BASES)})"
_SUBSCRIPT = re.compile(rf"[(]?\s*([0-9A-Z ]{{1,200}}?)\s*[)]?\s*_\s*(?:\{{\s*(?:base\s+)?{_BASE}\s*\}}|(\d))", re.I)
_IN_WORDS = re.compile(
    rf"([0-9A-Z]{{1,200}})\s*[,(]?\s*(?:in\s+|to\s+)?(?:base[\s-]+{_BASE}|(binary|octal|hex(?:adecimal)?))\s*[)]?", re.I
)
_PREFIX = re.compile(r"0([bxo])([0-9A-F]{1,200})", re.I)
_CONGRUENCE = re.compile(
    r"(?:([A-Za-z](?:_\{?\w\}?)?)\s*(?:≡|=)\s*)?(-?\d{1,18}(?:\s*(?:,|or|and|, or|, and)\s*-?\d{1,18})*)\s*[,]?\s*"
    r"\(?\s*(?:mod|modulo)\.?\s*(\d{1,18})\s*\)?",
    re.I,
)


def based(text: str) -> list[Reading]:
    """1011_2, 1011_{two}, 1011 (base 2), 0b1011; every digit must be one of its base."""
    prefix = _PREFIX.fullmatch(text)
    if prefix:
        digits, base = prefix.group(2), {"b": 2, "o": 8, "x": 16}[prefix.group(1).lower()]
    else:
        match = _SUBSCRIPT.fullmatch(text) or _IN_WORDS.fullmatch(text)
        if not match:
            return []
        word = (match.group(2) or match.group(3)).lower()
        digits, base = match.group(1).replace(" ", ""), int(word) if word.isdigit() else _BASES[word]
    digits = digits.upper().lstrip("0") or "0"
    if not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in digits):
        return []
    return [Based(digits, base)]


def congruence(text: str) -> list[Reading]:
    """x ≡ 3 (mod 7), 3 mod 7, x ≡ 1, 3 (mod 8)."""
    match = _CONGRUENCE.fullmatch(text)
    if not match or not int(match.group(3)):
        return []
    modulus = int(match.group(3))
    residues = sorted({int(n) % modulus for n in re.findall(r"-?\d+", match.group(2))})
    return [Congruence(tuple(residues), modulus, match.group(1) or "")]
