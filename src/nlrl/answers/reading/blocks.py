"""What stands behind a marker: the rest of its line, or the next line with something on it.

    block("Final Answer:\\n\\n$$\\nx = 5\\n$$", 13)  ->  "$$\\nx = 5\\n$$"

A formula or fenced block that opens there is taken whole; a line that only leads in ("The roots are:") goes on.
"""

from __future__ import annotations

import re

from nlrl.answers.reading.pieces import LONGEST

_MOST_LEADS = 3  # lines that lead in, one behind the other
_SAME_LINE_DRESS = re.compile(r"[ \t]*(?:[*_`}]+|[:：](?=[\s*_`$\\])|[ \t])*")
_LINE_DRESS = re.compile(
    r"[ \t]*(?:[*_`#=:~-]{2,}|[>#*_`]+(?=[ \t]|$)|\\(?:no)?indent|[•▪]|[-+](?=[ \t]+(?:[$*`]|\\\(|[^\W\d_]{2})))?[ \t]*"
)
_CELL = re.compile(r"[ \t*_`]*\|?[ \t]*([^\n]*?)[ \t]\|(?=[ \t]*(?:\n|$)|[^|\n]*\|)")  # of a table: the next one
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n?(.*?)(?:```|\Z)", re.S)
_OPENERS = {"\\[": "\\]", "$$": "$$", "\\begin": "\\end"}
_NEXT_HEADING = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*\n]{1,60}\*\*:?[ \t]*$)", re.M)
_GOES_ON = re.compile(r"[:：](?:[*_`]{0,3})$|\b(?:is|are|get|obtain|have|follows|gives|to|be|equals)$|=$", re.I)


def block(text: str, at: int) -> str:
    """What stands behind this place, without the dress of markdown before it."""
    rest = text[at : at + LONGEST]
    cell = _CELL.match(rest) if text[text.rfind("\n", 0, at) + 1 : at].lstrip()[:1] == "|" else None
    if cell:
        return cell.group(1)
    dress = _SAME_LINE_DRESS.match(rest)
    at = dress.end() if dress else 0
    lines: list[str] = []
    while at < len(rest):
        end = _end(rest, at)
        line = rest[at:end]
        if line.strip():
            fence = _FENCE.match(line.lstrip())
            lines.append(fence.group(1).strip() if fence else line)
            if fence or len(lines) > _MOST_LEADS or not _GOES_ON.search(line.rstrip()):
                break
        at = _next_line(rest, end)
    return " ".join(lines)


def _next_line(rest: str, at: int) -> int:
    """Where the next line with something on it begins, behind its dress; the end where a section begins there."""
    at += len(rest[at:]) - len(rest[at:].lstrip())
    if _NEXT_HEADING.match(rest, at):
        return len(rest)
    dress = _LINE_DRESS.match(rest, at)
    return dress.end() if dress else at


def _end(rest: str, at: int) -> int:
    """The end of the line, or of the line on which the formula or fence ends that is open there."""
    while True:
        end = rest.find("\n", at)
        end = len(rest) if end < 0 else end
        line = rest[at:end]
        if line.lstrip().startswith("```"):
            close = rest.find("```", at + len(line) - len(line.lstrip()) + 3)
            return len(rest) if close < 0 else close + 3
        closes = [rest.find(closer, end) for opener, closer in _OPENERS.items() if _is_open(line, opener, closer)]
        if not closes or max(closes) < 0:
            return end
        at = max(closes) + 2


def _is_open(line: str, opener: str, closer: str) -> bool:
    if opener == closer:
        return line.count(opener) % 2 == 1
    return line.rfind(opener) > line.rfind(closer)
