"""Pieces of a completion that hold an answer: the line behind a phrase, a box, the number of a sentence.

Every function takes text and returns text, None or "" where there is nothing; all are linear in its length.
"""

from __future__ import annotations

import re

from nlrl.rewards.forms.words import text_key

MAX_LINE = 2_000  # characters of an answer that is not code or prose

_EMPTY_LINE = re.compile(r"[\s*_`$#>\\\[\](){}:.-]*")
_SAID = re.compile(r"\b(?:answer|result|solution)\s{0,3}(?:is|are|=|:)\s{0,3}:?\s{0,3}", re.I)
_NUMBER = re.compile(
    r"[-−]?\s?[$€£¥]?\s?(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?(?:\s?/\s?\d+(?![\d.]))?(?:\s?\\?%)?|[-−]?\.\d+"
    r"|[-−]?\\[dt]?frac\s?\{\s?-?\d+\s?\}\s?\{\s?\d+\s?\}"
)
_EQUALS_TAIL = re.compile(r"(?:=|≈|\b(?:is|(?<!there )(?<!There )are|equals|gives|so|thus|therefore|totals?)\b)\s*")
_WORD = re.compile(r"[^\W\d_]{2,}")
PLACEHOLDER = re.compile(
    r"[\[<({\"'*_]*(?:your |the |final |insert )*(?:final )?(?:answer|number|result|\.\.\.|…)(?: here)?[\]>)}\"'*_.]*",
    re.I,
)


def first_line(rest: str) -> str:
    """The first line with something on it; a display formula or fenced block that starts there is taken whole."""
    at = 0
    while at < len(rest):
        end = rest.find("\n", at)
        end = len(rest) if end < 0 else end
        line = rest[at:end].strip()
        for opener, closer in (("\\[", "\\]"), ("$$", "$$"), ("```", "```"), ("\\begin", "\\end")):
            if line.lstrip("*_ ").startswith(opener):
                start = rest.index(opener, at)
                close = rest.find(closer, start + len(opener))
                if close < 0:
                    break
                if opener == "\\begin":
                    close = rest.find("}", close)
                    return rest[start : close + 1] if close > 0 else line
                if opener == "```":
                    return re.sub(r"^[\w+-]*\n", "", rest[start + 3 : close]).strip()
                return rest[start + len(opener) : close].strip()
        if line and not _EMPTY_LINE.fullmatch(line):
            return undress(line)
        at = end + 1
    return ""


def undress(line: str) -> str:
    """Without the markdown that wraps a line, half of which may stand before the phrase."""
    line = line.strip()
    for mark in ("***", "**", "__", "*", "_", "`"):
        if line.startswith(mark) and line.endswith(mark) and len(line) > 2 * len(mark):
            line = line[len(mark) : -len(mark)].strip()
        elif line.startswith(mark + " ") or (line.startswith(mark) and line.count(mark) == 1):
            line = line[len(mark) :].strip()
        elif line.endswith(mark) and line.count(mark) == 1:
            line = line[: -len(mark)].strip()
    while line and line[-1] in ".;," and not line.endswith("..."):
        line = line[:-1].rstrip()
    return line


def after_is(line: str) -> str:
    said = _SAID.search(line)
    return undress(line[said.end() :]) if said and said.end() < len(line) else line


def from_sentence(line: str) -> str:
    """The number of a sentence; a line that is no sentence stays as it is."""
    line = after_is(line)
    words = _WORD.findall(re.sub(r"\\[A-Za-z]+", " ", line))
    if len(words) <= 3 or "\\begin" in line:
        return line
    numbers = list(_NUMBER.finditer(line))
    if not numbers:
        return line
    tail = [m for m in _EQUALS_TAIL.finditer(line) if m.end() < len(line)]
    if tail:
        rest = line[tail[-1].end() :]
        after = _NUMBER.search(rest)
        if after and len(_WORD.findall(rest[: after.start()])) <= 2:
            return _with_unit(rest, after)
    return numbers[0].group().strip() if len(numbers) == 1 else numbers[-1].group().strip()


def _with_unit(rest: str, match: re.Match[str]) -> str:
    """The number with the word behind it, where that ends the sentence: "18 dollars"."""
    behind = re.match(r"\s?[A-Za-z°]{1,15}(?=$|[.,;!\s]*$)", rest[match.end() :])
    return rest[match.start() : match.end() + (behind.end() if behind else 0)].strip()


def last_boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...} or \fbox{...} with balanced braces."""
    end = len(text)
    for _ in range(5):
        at = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))
        if at < 0:
            return None
        brace = text.find("{", at, at + 12)
        if brace < 0:
            bare = re.match(r"\\f?box(?:ed)?\s+([^\s$]+)", text[at : at + 200])
            if bare:
                return bare.group(1)
        else:
            depth = 0
            for i in range(brace, min(len(text), brace + MAX_LINE)):
                if text[i] == "{" and text[i - 1] != "\\":
                    depth += 1
                elif text[i] == "}" and text[i - 1] != "\\":
                    depth -= 1
                    if depth == 0:
                        inner = text[brace + 1 : i].strip()
                        if inner:
                            return inner
                        break
        end = at
    return None


def said(tail: str) -> str | None:
    """What follows the last "the answer is", up to the end of its sentence."""
    for match in reversed(list(_SAID.finditer(tail))[-5:]):
        rest = tail[match.end() : match.end() + MAX_LINE]
        line = first_line(rest)
        stop = re.search(r"[.!?](?=\s+[A-Z\"(*])", line)
        if stop:
            line = line[: stop.start()]
        line = undress(line)
        if line and not PLACEHOLDER.fullmatch(line):
            return line
    return None


def last_number(tail: str) -> str | None:
    last = None
    for match in _NUMBER.finditer(tail):
        last = match
    return last.group().strip() if last else None


def short_formula(tail: str) -> str | None:
    """A completion that is nothing but an answer: one short line without prose."""
    line = tail.strip()
    if not line or "\n" in line or len(line) > 200 or len(_WORD.findall(line)) > 1:
        return None
    if not (any(c.isdigit() for c in line) or re.search(r"[=^\\π√∞<>∅+*/]", line)):
        return line if len(line) == 1 or text_key(line) in ("∅", "infinity", "doesnotexist") else None
    if "=" in line and re.fullmatch(r"[^=]*[\d)][^=]*=\s*[^=]+", line):  # "17 + 25 = 42"
        return undress(line.rsplit("=", 1)[1])
    return undress(line) if any(c.isalnum() for c in line) and not re.search(r"[.?!]\s", line) else None
