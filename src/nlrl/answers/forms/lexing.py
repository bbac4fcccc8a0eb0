"""Formulas cut into tokens: numbers, commands, names, single letters and signs."""

from __future__ import annotations

import re

from nlrl.answers.forms.clean import GREEK

MAX_TOKENS = 400


class NotAFormula(Exception):
    """The text is no formula this reader knows."""


FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln", "lg",
    "exp", "sqrt", "cbrt", "abs", "floor", "ceil", "max", "min", "gcd", "lcm", "log2", "log10", "factorial", "binom",
    "sgn",
}  # fmt: skip
SAME = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "tg": "tan", "ctg": "cot", "cosec": "csc", "comb": "binom",
    "ceiling": "ceil", "Abs": "abs", "Max": "max", "Min": "min",
}  # fmt: skip
CONSTANTS = {**GREEK, **dict.fromkeys(("oo", "inf", "infinity", "Infinity"), "∞")}
_WORD = re.compile("|".join(sorted(FUNCTIONS | set(SAME) | set(CONSTANTS), key=len, reverse=True)))
_NO_PRODUCTS = frozenset(("mod", "div", "and", "or", "not", "if", "is", "of", "for", "the", "but", "no"))
_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d+(?:\.\d+)?(?:[eE][+-]?\d+(?![\w.]))?|\.\d+)|(?P<cmd>\\[A-Za-z]+)|(?P<word>[A-Za-z]+)"
    r"|(?P<op>[-+*/^_(){}\[\]|!,'±∓√∞°%⌊⌋⌈⌉=<>≤≥≠∈→∘⨯…∑∏∫∂]|[^\W\d_]))"
)


Token = tuple[str, str, bool]


def tokens(text: str) -> list[Token]:
    """(kind, token, after a space) of a cleaned formula."""
    found: list[Token] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match or len(found) > MAX_TOKENS:
            raise NotAFormula("an unknown sign, or too long")
        kind = match.lastgroup or ""
        token = match.group(kind)
        spaced = match.start(kind) > at
        if kind == "word":
            found += _letters(token, spaced)
        else:
            found.append((kind, token, spaced))
        at = match.end()
    return found


def _letters(run: str, spaced: bool) -> list[Token]:
    """A run of letters as known names and single symbols: "pir" is pi times r, "Paris" is no formula."""
    if run in _NO_PRODUCTS:
        raise NotAFormula(f"a word: {run}")
    out: list[Token] = []
    at = singles = 0
    while at < len(run):
        match = _WORD.match(run, at)
        if match:
            out.append(("name", match.group(), spaced and not out))
            at = match.end()
        else:
            out.append(("sym", run[at], spaced and not out))
            at += 1
            singles += 1
    if singles > 3 or (singles > 1 and len(run) > 4):
        raise NotAFormula(f"a word: {run}")
    return out
