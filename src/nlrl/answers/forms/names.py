"""The left sides of equations that are names, and which of them may name one thing.

named("P(X = 1)")   "P(X=1)"        same_name("y", "f(x)")     True
named("2x")         ""              same_name("AB", "CD")      False
"""

from __future__ import annotations

import re

from nlrl.answers.forms.brackets import encloses, split
from nlrl.answers.forms.syntax import CALLED

MAX_NAME = 60  # characters

NAME = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_(?:\w|\{[\w+,-]{1,8}\}))?'{0,2}|[A-Za-zα-ω]\d")
FUNCTION = re.compile(r"([A-Za-zα-ωΑ-Ω]'{0,3}(?:_\w)?(?:\^\{?-1\}?)?)\s*\(\s*([A-Za-z](?:\s*,\s*[A-Za-z])*)\s*\)")
_POINTS = r"[A-Z]'?[A-Z]'?(?:[A-Z]'?){0,2}"  # AB, A'B', ABC
_INDEXED = r"[A-Za-z]_\s*\{[^{}]{1,24}\}"
_OF_A_FIGURE = rf"{_POINTS}|{_INDEXED}"
_TERM = rf"(?:{_OF_A_FIGURE}|[A-Za-z](?:_\w)?)"
_NAMES = re.compile(
    rf"""{_POINTS} | (?:m\s)?(?:angle|triangle|arc)\s(?:{_POINTS}|[A-Z\d])    # of a figure
    | {_INDEXED}(?:\^\{{?\w\}}?)?
    | \|\s*[A-Za-z]{{1,3}}\s*\|                                               # |z|, |AB|
    | \\(?:bar|hat|tilde|dot)\s*\{{?[A-Za-z]\}}?
    | \\frac\s*\{{\s*(?:{_OF_A_FIGURE})\s*\}}\s*\{{\s*(?:{_OF_A_FIGURE})\s*\}} # MN/KL
    | [A-Z]{{2,3}}\s*/\s*[A-Z]{{2,3}}
    | {_TERM}(?:\s*:\s*{_TERM})+                                              # AB:BC, V_1:V_2
    | \\frac\s*\{{\s*d\w?\s*\}}\s*\{{\s*d\w\s*\}} | d\w\s*/\s*d\w             # dy/dx""",
    re.X,
)
_APPLIED = re.compile(
    r"(?P<head>(?:\\?[A-Za-z]{1,4}|[α-ωΑ-Ω])(?P<index>_(?:\w|\{\w{1,6}\})|\^\{?\(?-1\)?\}?)?'{0,3})\s*(?P<rest>[(\[].*[)\]])"
)
_PLAIN_ARGUMENTS = re.compile(r"[(\[]\s*-?[\w.]+(?:\s*,\s*-?[\w.]+)*\s*[)\]]")
_SETS = re.compile(r"[(\s A-Z∪∩∖')]+")
_FUNCTIONS = frozenset((
    "Var", "Cov", "Pr", "det", "deg", "dim", "arg", "gcd", "lcm", "max", "min", "ord", "rank", "tr", "area",
))  # fmt: skip
_WORDS = re.compile(r"(?=.*[a-z]{3})[A-Za-z][A-Za-z '\-]*")


def named(text: str) -> str:
    """The name that a text is, for the left side of an equation; "" if it is more than a name.

    A letter, with or without index; points of a figure (AB, angle ABC); f(2), P(X = 1), E[X]; |z|; MN/KL; a word.
    """
    text = " ".join(text.split())
    if len(text) > MAX_NAME:
        return ""
    if NAME.fullmatch(text) or _NAMES.fullmatch(text) or FUNCTION.fullmatch(text) or _is_applied(text):
        return text.replace(" ", "")
    if encloses(text) and text[0] == "(" and all(NAME.fullmatch(part.strip()) for part in split(text[1:-1], ",")):
        return text.replace(" ", "")  # (x, y)
    return text.casefold() if _WORDS.fullmatch(text) else ""


def _is_applied(text: str) -> bool:
    """Whether a text is a function of something: f(2), P(A | B), but not x(x + 1)."""
    applied = _APPLIED.fullmatch(text)
    if not applied or not encloses(applied.group("rest")):
        return False
    head, rest = applied.group("head").lstrip("\\"), applied.group("rest")
    if head in _FUNCTIONS or head[-1] == "'" or (head[0] in CALLED and len(head) == 1):
        return True
    single = len(head) == 1 or applied.group("index") is not None
    return single and bool(_PLAIN_ARGUMENTS.fullmatch(rest) or _SETS.fullmatch(rest))  # y(0), n(A ∪ B)


def same_name(one: str, two: str) -> bool:
    """Whether two names may be of one thing: a word may describe a symbol, and y may be f(x)."""
    if _squeezed(one) == _squeezed(two):
        return True
    words = [bool(_WORDS.fullmatch(name)) for name in (one, two)]
    if all(words):
        return set(one.split()) <= set(two.split()) or set(two.split()) <= set(one.split())
    functions = [FUNCTION.fullmatch(name) for name in (one, two)]
    if all(functions):
        return False
    return any(words) or (any(functions) and min(one, two, key=len) in ("y", "f", "g"))


def _squeezed(name: str) -> str:
    return re.sub(r"[_{}]", "", name).casefold()
