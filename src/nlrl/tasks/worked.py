"""The result of a worked solution, where it says which it is.

"We add: $\\\\boxed{5}$."            -> "5"
"We add.\\n#### 1,250"               -> "1250"
"We add. The answer is: 5"          -> "5"
"Paris"                             -> None: it is no worked solution
"""

from __future__ import annotations

import re
from typing import NamedTuple

_THOUGHT = re.compile(r"^.*</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:(\{)|([^\s{$][^\s$,;]*))")
_BETWEEN_BOXES = re.compile(
    r"[\s$]*(?:(?:,\s*)?(?:and|or)|[,;]|\\text\{\s*(?:and|or)\s*\})[\s$]*(?:[a-zA-Z](?:_\w)?\s*=\s*)?"
)
_HASHES = re.compile(r"#{4}[ \t]*([^\n#][^\n]*?)\s*$")
_STATED = re.compile(
    r"(?:\b(?:the|your|our|my)\s+(?:correct\s+|final\s+|right\s+)*(?:answer|result)\s*(?:is|:|=)+|"
    r"(?:^|\n)[\s*#_]*(?:final\s+|correct\s+)?(?:answer|result)\s*(?:\*\*|__)?\s*[:=])\s*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|\n")
_DRESS = '*_` \t"“”'
_LONGEST = 300


class Result(NamedTuple):
    """A result, and whether the solution is written like mathematics."""

    text: str
    mathematics: bool


def result(solution: str) -> Result | None:
    """The result that a worked solution states; None if it states none, or is no worked solution."""
    rest = _THOUGHT.sub("", solution)
    if tags := _TAG.findall(rest):
        inner = result(tags[-1])
        return inner or Result(tags[-1], False)
    if boxes := _last_boxes(rest):
        return Result(", ".join(boxes), True)
    if match := _HASHES.search(rest):
        return Result(_without_separators(match[1].strip()), True)
    if stated := _stated(rest):
        return Result(stated, False)
    return Result(rest.strip(), False) if rest != solution and rest.strip() else None


def boxed(solution: str) -> str | None:
    """What the last box of a LaTeX solution holds, braces balanced; None if there is none."""
    boxes = _boxes(solution)
    return boxes[-1][0] if boxes else None


def _boxes(text: str) -> list[tuple[str, int, int]]:
    """What each box holds, with its place."""
    found = []
    end = 0
    for match in _BOX.finditer(text):
        if match.start() < end:
            continue
        if match[1]:
            end = _closing(text, match.end())
            if end is None:
                break
            found.append((text[match.end() : end].strip(), match.start(), end + 1))
        else:
            end = match.end()
            found.append((match[2].rstrip("."), match.start(), end))
    return [box for box in found if box[0]]


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i
    return None


def _last_boxes(text: str) -> list[str]:
    """The last box, with those before it that it is joined to by "and", "or" or a comma."""
    boxes = _boxes(text)
    last: list[str] = []
    start = None
    for content, begin, end in reversed(boxes):
        if start is not None and not _BETWEEN_BOXES.fullmatch(text, end, start):
            break
        last.insert(0, content)
        start = begin
    return last


def _without_separators(number: str) -> str:
    """GSM8K writes 1,250 for 1250."""
    return number.replace(",", "") if re.fullmatch(r"[-+$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\D*", number) else number


def _stated(text: str) -> str | None:
    matches = list(_STATED.finditer(text))
    if not matches:
        return None
    rest = text[matches[-1].end() : matches[-1].end() + _LONGEST]
    stop = _SENTENCE_END.search(rest)
    stated = (rest[: stop.start()] if stop else rest).strip(_DRESS).rstrip(".").strip(_DRESS)
    if len(stated) > 2 and stated[0] == stated[-1] == "$" and stated.count("$") == 2:
        stated = stated[1:-1].strip()
    return stated or None
