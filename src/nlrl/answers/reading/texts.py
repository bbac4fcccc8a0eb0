"""Answers in words: the head of a statement, without the reason behind it; yes and no.

answer("Paris, since it is the capital of France.")  ->  "Paris"
answer("No Country for Old Men")                      ->  "No Country for Old Men"
answer("Yes, because it floats.")                     ->  "yes"
"""

from __future__ import annotations

import re

from nlrl.answers.reading import vocabulary
from nlrl.answers.reading.pieces import LONGEST
from nlrl.answers.reading.values import boxed

_SENTENCE_END = re.compile(
    r"(?<!\b[A-Z])(?<!\b(?:Mr|Dr|Ms|St|vs|Jr|Sr|Mt|No|Ft|Lt|Co))(?<!\b(?:Mrs|Adm|Gen|Col|Sgt|Rev|Hon|Gov|Sen|Rep|Inc|Ltd))"
    r"(?<!\bv)(?<!\b(?:Capt|Prof|Corp))[.!?][\"”’*_)]{0,3}(?=\s+[A-Z\"“(*_]|\s*$)|[。！？।]|\n"
)
_TEXT = re.compile(r"\\(?:text\w{0,6}|mathrm|mathbf|mbox)\s?\{([^{}]*)\}")
_REASON = re.compile(
    r"\s(?:because|due to|rather than|instead of|i\.e\.|weil|denn|parce que|porque|perché)\s"
    rf"|[,;]\s+(?:{vocabulary.words('reason')}|so|but|hence|not|and not|rather than|instead of|that is){vocabulary.END}"
    r"|;\s|\s[-–—]{1,2}\s(?=[a-z])|\s?—(?=\s?[a-z])"
    r"|\s\((?=(?:since|because|as|the|not|which|who|it|a|an|in|see|for)\s)|\s\([^()]*\s[^()]*\s",
    re.I,
)
_YES_NO = re.compile(r"[\s*_\"'`>(]{0,8}(yes|no|true|false)\b(?![-'])", re.I)
_LAST_YES_NO = re.compile(r"\b(?:answer|so|thus|therefore|hence)\b[^\n.]{0,60}?\b(yes|no)\b", re.I)
_AFTER_IS = re.compile(r"[^\n]{0,60}?\b(?:answer|result|solution)\s{0,3}(?:is|are|=|:)\s{0,3}:?\s{0,3}", re.I)


def answer(statement: str) -> str | None:
    """The answer in a statement."""
    text = statement[:LONGEST].strip()
    text = _TEXT.sub(r"\1", boxed(text) or text)
    said = _AFTER_IS.match(text)
    if said and text[said.end() :].strip():
        text = text[said.end() :]
    text = undressed(text)
    end = _SENTENCE_END.search(text)
    if end and text[: end.start()].strip():
        text = text[: end.start()]
    yes = _YES_NO.match(text)
    if yes and (not text[yes.end() :].strip() or _starts_reason(text[yes.end() :])):
        return yes_or_no(yes.group(1))
    why = _REASON.search(text)
    if why and text[: why.start()].strip():
        text = text[: why.start()]
    return undressed(text) or None


def concluded(text: str) -> str | None:
    """The answer of a text that marks none: yes or no at its beginning or end, or all of a short text."""
    start = _YES_NO.match(text)
    if start and (len(text.strip()) <= start.end() or (not text[start.end()].isalnum() and text[start.end()] != " ")):
        return yes_or_no(start.group(1))
    ends = _LAST_YES_NO.findall(text[-20_000:])
    if ends:
        return yes_or_no(ends[-1])
    return short(text, characters=120, words=10)


def short(text: str, *, characters: int = 200, words: int = 12) -> str | None:
    """The whole text, where it is one short line."""
    line = text.strip()
    return (
        undressed(line) or None if "\n" not in line and len(line) <= characters and len(line.split()) <= words else None
    )


def yes_or_no(word: str) -> str:
    """ "True" -> "yes"."""
    return "yes" if word.lower() in ("yes", "true") else "no"


def _starts_reason(rest: str) -> bool:
    return rest[:1] in ",.;:!)*_—" or rest.lstrip().lower().startswith(("because", "since", "as ", "- "))


def undressed(line: str) -> str:
    """Without the markdown that wraps a line, half of which may stand before the marker, and without the full stop."""
    line = line.strip()
    for mark in ("***", "**", "__", "*", "_", "`"):
        if line.startswith(mark) and line.endswith(mark) and len(line) > 2 * len(mark):
            line = line[len(mark) : -len(mark)].strip()
        elif line.startswith(mark + " ") or (line.startswith(mark) and line.count(mark) == 1):
            line = line[len(mark) :].strip()
        elif line.endswith(mark) and line.count(mark) == 1:
            line = line[: -len(mark)].strip()
    if len(line) > 2 and line[0] == line[-1] == "$" and "$" not in line[1:-1]:
        line = line[1:-1].strip()
    while line and line[-1] in ".;," and not line.endswith("..."):
        line = line[:-1].rstrip()
    return line
