"""What is no longer the answer: the marks of a chat template, and the next question that a model makes up.

    cut("#### 72\\n\\nQuestion: A box has 4 rows of 5. How many?\\n#### 20")  ->  "#### 72\\n\\n"
    cut("The answer is 5. <|im_start|>user")                               ->  "The answer is 5. "

A question that the text restates before it answers stays: only behind a first answer does a further question begin.
Second thoughts are no further question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nlrl.answers.reading import statements, vocabulary
from nlrl.answers.reading.pieces import LONGEST
from nlrl.answers.reading.sentences import concluded

_REACH = 200_000  # characters at the end of a text in which a further question is looked for; no completion is longer
_MOST = 200  # places that are looked at

_THOUGHT_ENDS = ("</think>", "</thinking>", "</thought>", "</reasoning>", "[/THINK]", "<|channel|>final<|message|>")
_MARK = (
    r"(?:<\|[^<>|\n]{1,40}\|>|<｜[^<>｜\n]{1,40}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|<(?:eos|bos|pad|EOT|EOS|BOS)>)"
)
_MARKS = re.compile(_MARK)
_LEADING_MARKS = re.compile(rf"(?:\s{{0,20}}{_MARK}(?:assistant|model|user|system)?)+")

_DRESS = r"[ \t]{0,3}+(?:\\text(?:bf|it)\{|\\(?:sub){0,2}section\*?\{)?+(?:\d{1,2}[.)])?+[#*_>\[【( \t]{0,8}+"
_LABEL = (
    rf"(?:(?:new|next|another|follow-?up)[ \t]+)?+(?:{vocabulary.words('question')}){vocabulary.END}"
    r"(?:[ \t]{0,2}(?:\d{1,3}|[A-Z](?=[.:)])))?+"
)
_QUESTION = re.compile(  # "Question:", "**Q:**", "Problem 2.", "### Instruction", "[Question]", "Example 3"
    rf"{_DRESS}{_LABEL}[ \t*_\]】)]{{0,6}}(?:[:：]|(?<=\d)[.):]|(?<=[*_\]】\d])[ \t]*$|(?<=\d)[ \t]*$)"
    rf"|[ \t]{{0,3}}【(?:{_LABEL})】|[ \t]{{0,3}}<(?:question|problem|prompt|user|human|instruction)>"
    rf"|[ \t]{{0,3}}\\text(?:bf|it)\{{{_LABEL}[\d.]*\}}"
    rf"|[ \t]{{0,3}}#{{1,6}}[ \t*]{{0,4}}(?:(?:{_LABEL}|Response|Assistant|System|End)[ \t*:.]{{0,4}}$|$)",
    re.I,
)
_SOLUTION = re.compile(r"[ \t*_]{0,6}(?:Solution|Proof)[ \t*_]{0,6}[:：]", re.I)
_DISPLAY_ENDS = re.compile(r"(?:\\\]|\$\$|\\end\{[a-z]+\*?\})[.,]?\s*$")
_JSON_OPENS = re.compile(r"[ \t]*```json\b", re.I)
_RULE = re.compile(r"[ \t]*[-*_=]{3,}[ \t]*$")
_ASKS = re.compile(r"[^\n]{20,900}\?[ \t]*$")
_OWN_DOUBT = re.compile(  # "Wait, did I count that right?"
    r"\b(?:I|we|me|us|my|our|it|this|that|these|those|you|answer|result|check|correct|right|sure|wait)\b", re.I
)


def thoughts_cut(text: str) -> str:
    """What follows the thoughts of a reasoning model, where anything does; not those about a further question."""
    for tag in ("think", "thinking", "thought", "reasoning"):
        first = text.find(f"</{tag}>")
        again = text.find(f"<{tag}>", first) if first >= 0 else -1
        if again >= 0 and text[first + len(tag) + 3 : again].strip():
            text = text[:again]
    for mark in _THOUGHT_ENDS:
        at = text.rfind(mark)
        if at >= 0 and text[at + len(mark) :].strip():
            text = text[at + len(mark) :]
    return text


def cut(text: str, holds: Callable[[statements.Statement], object]) -> str:
    """The text up to where it stops answering the question it was asked. `holds`: whether a statement has a value."""
    leading = _LEADING_MARKS.match(text)
    start = leading.end() if leading else 0
    mark = _MARKS.search(text, start)
    text = text[start : mark.start() if mark else len(text)]
    end = _end(text[-_REACH:], holds)
    return text if end is None else text[: len(text) - len(text[-_REACH:]) + end]


def _end(text: str, holds: Callable[[statements.Statement], object]) -> int | None:
    """Where the first further question begins behind an answer."""
    further = list(_further(text))
    if not further:
        return None
    stated = statements.first(text, holds)
    if stated is None or stated > further[0].at:
        at = next((place.at for place in further if place.certain), 0)
        if _concludes(text[max(0, at - LONGEST) : at]):
            return at
    return next((place.at for place in further if stated is not None and place.at >= stated), None)


class _Further(NamedTuple):
    """A line that may begin a further question; certain, or only one if an answer was marked before it."""

    at: int
    certain: bool


def _further(text: str) -> Iterator[_Further]:
    at = found = 0
    rule: int | None = None  # where the line before is one that divides
    for line in text.splitlines(keepends=True):
        bare = line.rstrip()
        if bare:
            labelled = _QUESTION.match(bare)
            asks = bare[-1] == "?" and _ASKS.match(bare) and not _OWN_DOUBT.search(bare)
            if labelled or asks or _SOLUTION.match(bare) or _JSON_OPENS.match(bare):
                yield _Further(at if rule is None else rule, certain=bool(labelled or (asks and rule is not None)))
                found += 1
            if found == _MOST:
                return
            rule = at if _RULE.match(bare) else None
        at += len(line)


def _concludes(before: str) -> bool:
    """Whether the last line says something with a value: an answer without a marker, no heading or lead-in.

    A formula that is set off counts, also with a last sentence without a value behind it.
    """
    before, _, line = before.rstrip().rpartition("\n")
    if _DISPLAY_ENDS.search(line) or (concluded(line) is None and _DISPLAY_ENDS.search(before)):
        return True
    return bool(line.strip()) and line[-1] not in ":：" and concluded(line) is not None
