"""Whether a program printed what it must. Texts are compared here, in the host, as texts: nothing of them is run.

complaint("0.50 yes", InputOutput("", "0.5 yes"))   ->  ""
complaint("0.51 yes", InputOutput("", "0.5 yes"))   ->  "got '0.51', expected '0.5' (word 1)"
"""

from __future__ import annotations

import math
import re
from itertools import zip_longest

from nlrl.core import InputOutput

_WHOLE = re.compile(r"[+-]?\d{1,400}", re.A)
_NUMBER = re.compile(r"[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.A)
_SHOWN = 80


def complaint(printed: str, test: InputOutput) -> str:
    """The first place where the two differ, "" where they agree."""
    if test.compare == "exact":
        what, got, want = "line", _lines(printed), _lines(test.stdout)
    else:
        what, got, want = "word", printed.split(), test.stdout.split()
    for number, (mine, wanted) in enumerate(zip_longest(got, want), 1):
        if mine != wanted and not (test.compare == "numbers" and _same_number(mine, wanted, test.tolerance)):
            return f"got {_short(mine)}, expected {_short(wanted)} ({what} {number})"
    return ""


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _same_number(got: str | None, want: str | None, tolerance: float) -> bool:
    if got is None or want is None or not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(want)):
        return False
    if _WHOLE.fullmatch(got) and _WHOLE.fullmatch(want):
        return int(got) == int(want)
    if _WHOLE.fullmatch(want):
        tolerance = 0.0  # a whole number is exact, however it is written
    return math.isclose(float(got), float(want), rel_tol=tolerance, abs_tol=tolerance)


def _short(word: str | None) -> str:
    return "nothing" if word is None else repr(word if len(word) <= _SHOWN else word[:_SHOWN] + "...")
