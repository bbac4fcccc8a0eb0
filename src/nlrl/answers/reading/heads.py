r"""Statements taken apart: which stretches of a line are prose, and which are values.

    Head("It takes 5 days for $n$ workers").runs  ->  "5" behind ("it", "takes"), "$n$" behind ("days", "for")

A *run* is a stretch without prose: a formula, a number, plain notation such as "2, 5, 8" or "x = \frac12". Remarks in
brackets belong to no run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from nlrl.answers.reading.one_value import one_value
from nlrl.answers.reading.pieces import BRACES, PIECE, mask, plain
from nlrl.answers.reading.vocabulary import word_set

REMARK = "\ue001"  # stands for each character of a remark in brackets

LATIN = "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ"
_WORD = re.compile(  # words of other scripts may touch a number; Latin letters that do are notation: "5x"
    r"(?:(?!\d)[\u0400-\u0963\u0970-\u1cff\u3041-\u9fff\uac00-\ud7a3])+"
    rf"|(?<![\\\w])(?:[{LATIN}]+|[\u0370-\u03ff\u1f00-\u1fff]{{3,}})(?:['’][{LATIN}]+|-[{LATIN}]{{2,}})*"
    r"(?![\w(\[]|\.[a-z]\b)"
    rf"|(?<![\\\w])[{LATIN}]{{4,}}(?=[(\[])"  # area(ABC), but sin(x), f(x)
    r"|(?<![\w.])\d+(?:st|nd|rd|th)\b"
)
_NOTATION = word_set(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp sqrt lim max min mod gcd lcm deg det "
    "arg pi inf infty infinity oo sgn dx dy dt du sup ker dim"
)
_SHORT_PROSE = word_set(  # is prose even beside a sign: "is -3", "we get = 5"
    "is are was be the and or of to in on at by for we get got has had so it its as an no not if all any per que est "
    "ist es et ou und von mit das der die due son los las con por sum she he his her you our out now yes one two six "
    "ten can may day"
)
_NO_NOUN = word_set(
    "is are was gives yields get gets makes leaves have has and or to than equals in at of becomes into"
)
_SIGN_BEFORE = re.compile(r"[=+*/^<>≤≥≠·×∈]\s*\(?$")
_SIGN_BEHIND = re.compile(r"\s*[=+*/^_<>≤≥≠·×∈²³]|\s*-\s?\w?\s*=")
_ELEMENT = re.compile(rf"\s*[\[({{{PIECE}{BRACES}]|\s*\\")

_BRACKET = re.compile(r"[()\[\]]")
_SPLIT = re.compile(rf"[；→⇒{REMARK}]+|(?<=\S)[:：](?=\s)|\s\|\|?\s|\n+")
_SUBSTANCE = re.compile(rf"[\w{PIECE}{BRACES}∞∅√%]")
_NAME = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_\w|_\{\w+\}|')?(?:\([a-z](?:, ?[a-z])*\))?|[A-Z]{2,4}|\\(?:tri)?angle\s?[A-Z]+")
_LAST_NUMBER = re.compile(r"(?<=\S),\s+[\d.]+%?\s*$")
_COMPARING = word_set("more less fewer times of than short above below over under greater larger smaller higher lower")
EDGES = " \t\r\n,.:;!?\"'“”‘’*_`，。：；、।】"
_DECIMAL = re.compile(r"\.\d")
_KEPT = re.compile(r"\.\.$|[A-Za-z)]!$|(?<!\d)(?:1?\d|20)!$")  # "1, 2, ...", "n!", "7!", but "It is 42!"


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch without prose; the words between it and the run before; whether it is a formula with delimiters."""

    start: int
    end: int
    before: tuple[str, ...]
    formula: bool


class Head:
    """A statement, or the part of it that may hold the value; `mask` has a character for each of `text`."""

    def __init__(self, text: str, masked: str | None = None) -> None:
        masked = mask(text) if masked is None else masked
        prose = [m for m in _WORD.finditer(masked) if _is_prose(masked, m)]
        self.text = text
        self.mask = _without_remarks(text, masked, [m.start() for m in prose])
        self.prose = [m for m in prose if self.mask[m.start()] != REMARK]

    @cached_property
    def runs(self) -> list[Run]:
        """In order."""
        found: list[Run] = []
        words: list[str] = []
        at = 0
        edges = [(m.start(), m.end(), m.group().lower()) for m in self.prose] + [(len(self.mask), len(self.mask), "")]
        for start, end, word in edges:
            compared = _LAST_NUMBER.search(self.mask, at, start) if word in _COMPARING else None
            for piece in _split(self.mask, at, compared.start() if compared else start):
                left, right = trimmed(self.mask, *piece)
                if _SUBSTANCE.search(self.mask, left, right):
                    found.append(Run(left, right, tuple(words[-4:]), self.mask[left] == PIECE))
                    words = []
            words.append(word)
            at = end
        return found

    def between(self, start: int, end: int) -> str:
        """The text from here to there without delimiters of formulas."""
        return plain(self.text[start:end])

    def is_name(self, run: Run) -> bool:
        """Whether it only names something: x, f(x), ABC."""
        return bool(_NAME.fullmatch(self.between(run.start, run.end)))


def _is_prose(masked: str, match: re.Match[str]) -> bool:
    word, start, end = match.group(), match.start(), match.end()
    if len(word) == 1 and word.isascii():
        if word in "aAI":  # "a total", but "a + b"
            return re.match(r" [^\W\d_]{2}", masked[end : end + 3]) is not None
        return word in "yeo" and masked[start - 2 : start] == PIECE + " " and masked[end : end + 2] == " " + PIECE
    if word in _NOTATION:
        return False
    if word == "in" and re.search(r"(?<!\w)\w\s$", masked[max(0, start - 3) : start]):  # "x in [0, 1]"
        return not _ELEMENT.match(masked, end)
    if len(word) <= 3 and word.isascii() and word.lower() not in _SHORT_PROSE:  # "AB = 5", "km/h"
        return not (_SIGN_BEFORE.search(masked[max(0, start - 3) : start]) or _SIGN_BEHIND.match(masked, end))
    return True


def _split(masked: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _SPLIT.finditer(masked, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def trimmed(masked: str, start: int, end: int) -> tuple[int, int]:
    """Without outer space, markdown, quotes, the punctuation of sentences, and half pairs of brackets."""
    excess = sum((c in "([") - (c in ")]") for c in masked[start:end] if c in "()[]")
    while start < end:
        first, last = masked[start], masked[end - 1]
        if first in EDGES and not _DECIMAL.match(masked, start, end):
            start += 1
        elif (last in EDGES or (last == ">" and first != "<")) and not _KEPT.search(masked, max(start, end - 4), end):
            end -= 1
        elif excess < 0 and (first in ")]" or last in ")]"):
            start, end, excess = (start + 1, end, excess + 1) if first in ")]" else (start, end - 1, excess + 1)
        elif excess > 0 and (first in "([" or last in "(["):
            start, end, excess = (start, end - 1, excess - 1) if last in "([" else (start + 1, end, excess - 1)
        else:
            break
    return start, end


def _without_remarks(text: str, masked: str, prose: list[int]) -> str:
    """Brackets behind something that hold words, or the value once more, are remarks."""
    depth = opened = at = 0
    out: list[str] = []
    for token in _BRACKET.finditer(masked):
        depth = max(0, depth + (1 if token.group() in "([" else -1))
        if token.group() in "([" and depth == 1:
            opened = token.start()
        elif depth or opened < at or token.group() in "([":
            continue
        elif _is_remark(text, masked, opened, token.start(), prose):
            out += (masked[at:opened], REMARK * (token.end() - opened))
            at = token.end()
    return "".join((*out, masked[at:]))


def _is_remark(text: str, masked: str, start: int, end: int, prose: list[int]) -> bool:
    before, inner = masked[max(0, start - 30) : start], masked[start + 1 : end]
    spaced = before[-1:].isspace()
    if not before.strip(EDGES) or not (spaced or before[-1:] in "*_$)" + PIECE):
        return False
    if any(start < at < end for at in prose):
        return True
    if not spaced:
        return False
    if re.match(r"\s*(?:≈|=|\\approx|~|\\?mod\b|\\bmod)", inner):
        return "≡" not in masked[:start] and "\\equiv" not in masked[:start]
    if "," in re.sub(r",\d{3}", "", inner):
        return False
    noun = re.search(rf"[\d{PIECE}]\s([{LATIN}]{{2,}})[.\s]*$", before)
    if noun and noun.group(1).lower() not in _NO_NOUN:  # "18 dollars (9 * 2)"
        return True
    number = plain(text[max(0, start - 40) : start]).rpartition(" ")[2].strip(EDGES)
    again = plain(text[start + 1 : end])
    return one_value(number, again) or one_value(again, number)
