r"""One value in several forms: "1/2 = 0.5", "\pi/4 \approx 0.785", "12 * 4 = 48".

one_value("1/3", "0.333")            ->  True
simplest(r"\frac{1}{3} \approx 0.333")  ->  r"\frac{1}{3}"
simplest("12 * 4 = 48")              ->  "48"
"""

from __future__ import annotations

import re

from nlrl.answers.forms import read
from nlrl.answers.forms.shapes import Scalar

_APPROXIMATELY = re.compile(r"≈|\\approx(?![a-z])|\\simeq|\\doteq|≃|≐|=(?=\s*[-−]?\d*\.\d+\s*(?:\.\.\.|…|\\[lc]?dots))")
# words in a formula that only speak of it: "42 \quad \text{(because ...)}"; not "1 \text{ or } 2"
_WORDS_INSIDE = r"\\(?:text|mbox|textrm|textit|textbf|mathrm)\s*\{\s*"
_ASIDE = re.compile(
    rf"(?:\\q?quad\s*|\\;\s*|\s\s+)\((?={_WORDS_INSIDE}(?!mod\b))"
    rf"|(?:\\q?quad|\\[ ,;]|\s|,|\()*{_WORDS_INSIDE}(?:\((?!\w{{1,3}}\)|mod\b)|[,;]?\s*"
    r"(?:because|since|as|by|from|see|so|(?:and |but )?not|rather|instead|unlike|which|using|checked|after|where"
    r"|compare|cf|recall|i\.e|that is|(?:or )?about|approx|roughly|in contrast)\b)"
)
_NAMED = re.compile(r"\W*(?:[A-Za-z](?:_\w)?|\\[a-z]+)?\s*=?\s*")
_ARITHMETIC = re.compile(r"(?:[\d.,\s()+*/×·÷^{}$€£%−-]|\\(?:times|cdot|div|[dt]?frac|left|right|%|\$))+")
_OPERATION = re.compile(r"\d[\s)}]*(?:[+*×·÷−-]|\\times|\\cdot|\\div|/|\^)")
_FRACTION = re.compile(r"[-−]?\d+/\d+")
_NUMBER = re.compile(r"[-−+$€£]{0,2}\s?\d[\d,.]*(?:/\d+)?\s?(?:\\?%|[a-zA-Z° ]{0,20})")
_NO_CHAIN = re.compile(r"[<>≤≥≠&]|\\(?:le|ge|ne|lt|gt|leq|geq|neq|begin)(?![a-z])")


def one_value(one: str, two: str) -> bool:
    """Whether two texts are one number, or the second rounds the first."""
    a, b = _real(one), _real(two)
    if a is None or b is None:
        return False
    decimals = len(re.sub(r"[^\d]", "", two.rpartition(".")[2])) if "." in two else 0
    slack = 0.51 * 10**-decimals if decimals else 1e-9 * max(1.0, abs(a))
    return abs(a - b) <= slack or ("%" in two and abs(100 * a - b) <= slack)


def _real(text: str) -> float | None:
    readings = read(text).readings
    return readings[0].real if readings and isinstance(readings[0], Scalar) else None


def simplest(text: str) -> str:
    """Without its approximation, what is said of it in the formula, and the calculation that led to it."""
    aside = _ASIDE.search(text)
    if aside and text[: aside.start()].strip(" ,{("):
        text = text[: aside.start()]
    exact = _APPROXIMATELY.split(text)[0].rstrip(" =,")
    if not _NAMED.fullmatch(exact):
        text = exact
    sides = [side.strip() for side in text.split("=")]
    if len(sides) < 2 or not all(sides) or _NO_CHAIN.search(text) or not _NUMBER.fullmatch(sides[-1]):
        return text
    if len(sides) > 2:  # "x = 2 + 3 = 5"
        return sides[-1] if one_value(sides[-1], sides[-2]) else text
    if not _ARITHMETIC.fullmatch(sides[0]):
        return text
    if _OPERATION.search(sides[0]) and not _FRACTION.fullmatch(sides[0]):
        return sides[1]
    return sides[0] if one_value(*sides) else text
