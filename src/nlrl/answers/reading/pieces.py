r"""What in a text is one piece: formulas, environments, brace groups, boxes.

    mask("so $x^2$ or \text{so}")  ->  "so ␣␣␣␣␣ or \text␣␣␣␣", as long as the text

In a mask only what stands between the pieces is left, so that patterns for words and signs cannot match inside of a
formula, and what they find has the same place in the text. Everything is linear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PIECE, BRACES = "\ue000", "\ue002"  # stand for each character of a formula or brace group; for private use, in no text
LONGEST = 2_000  # characters of an answer that is not code or prose

_DELIMITER = re.compile(r"\\\\|\$\$|\\[\[\]()]|\\\$|\$|\\(?:begin|end)\s?\{[^{}\n]{1,20}\}|\n[ \t]*\n")
_CLOSERS = {"\\[": "\\]", "\\(": "\\)", "$$": "$$", "$": "$"}
_BRACE = re.compile(r"\\\\|\\?[{}]")
_LONG_WORD = re.compile(r"(?<![\\A-Za-z])[a-z]{3,}(?![A-Za-z(])")
_IN_BRACES = re.compile(r"\{[^{}]*\}")
_BOX = re.compile(r"\\(?:f|frame|b)?box(?:ed)?(?![a-z])")
_BARE_BOX = re.compile(r"\s{0,3}([^\s${}\\]+|\\[a-z]+(?:\{[^{}]*\}|\d){0,2})")
_ORNAMENT = re.compile(
    r"(?:\$\s?)?\\(?:blacksquare|square|qed|Box)(?![a-zA-Z])(?:\s?\$)?|[□■∎\u2600-\u27bf\ufe0f\U0001f300-\U0001faff]"
)


class Formula(NamedTuple):
    """Where a formula stands in a text, with and without what delimits it."""

    start: int
    end: int
    inner_start: int
    inner_end: int


class Box(NamedTuple):
    """A box, and what is in it; not `closed` where the text ends first."""

    start: int
    end: int
    content: str
    closed: bool = True


def formulas(text: str) -> list[Formula]:
    r"""What stands in $..$, $$..$$, \(..\), \[..\] and outermost environments; dollars of money are none."""
    found: list[Formula] = []
    opened: re.Match[str] | None = None
    depth = 0
    for token in _DELIMITER.finditer(text):
        sign = token.group()
        if depth or (opened is None and sign.startswith("\\begin")):
            opened = opened or token
            depth += sign.startswith("\\begin") - sign.startswith("\\end")
            if depth == 0:
                found.append(Formula(opened.start(), token.end(), opened.start(), token.end()))
                opened = None
        elif opened is None:
            opened = token if sign in _CLOSERS else None
        elif sign == _CLOSERS[opened.group()] and _is_formula(text, opened, token):
            found.append(Formula(opened.start(), token.end(), opened.end(), token.start()))
            opened = None
        elif opened.group() == "$" and (sign in _CLOSERS or sign[0] == "\n"):  # that was money
            opened = token if sign in _CLOSERS else None
    if opened and not depth and opened.group() in ("\\[", "$$", "\\(") and text[opened.end() :].strip():  # cut off
        found.append(Formula(opened.start(), len(text), opened.end(), len(text)))
    return found


def _is_formula(text: str, opening: re.Match[str], closing: re.Match[str]) -> bool:
    """Whether two dollars belong together: not so in "$5 and $6"."""
    if opening.group() != "$":
        return True
    inner = text[opening.end() : closing.start()]
    behind = text[closing.end() : closing.end() + 1]
    if not inner.strip() or behind.isdigit():
        return False
    padded = inner[0].isspace() and inner[-1].isspace()
    if (inner[-1] in " (" and not padded and behind.strip(" .,;:!?)")) or len(inner) > LONGEST:
        return False
    if padded:  # "$ 9 $", but not "$ 5 and $ 6"
        return (
            len(_LONG_WORD.findall(_IN_BRACES.sub("", inner))) < 2
            and not text[closing.end() + 1 : closing.end() + 2].isdigit()
        )
    return True


def mask(text: str) -> str:
    """The text with every formula and every balanced brace group blotted out."""
    out: list[str] = []
    at = 0
    for piece in formulas(text):
        out += (text[at : piece.start], PIECE * (piece.end - piece.start))
        at = piece.end
    text = "".join((*out, text[at:]))
    return _braces_masked(text) if "{" in text else text


def _braces_masked(text: str) -> str:
    out: list[str] = []
    stack: list[int] = []
    groups: list[tuple[int, int]] = []
    for token in _BRACE.finditer(text):
        if token.group().endswith("{"):
            stack.append(token.start())
        elif token.group().endswith("}") and stack:
            start = stack.pop()
            while groups and groups[-1][0] > start:
                groups.pop()
            groups.append((start, token.end()))
    at = 0
    for start, end in groups:
        out += (text[at:start], BRACES * (end - start))
        at = end
    return "".join((*out, text[at:]))


def without_ornaments(text: str) -> str:
    """Without emoji and the signs that end a proof, unless there is nothing else."""
    return _ORNAMENT.sub(" ", text) if _ORNAMENT.sub("", text).strip() else text


def plain(text: str) -> str:
    """The text without the delimiters of its formulas."""
    out: list[str] = []
    at = 0
    for piece in formulas(text):
        out += (text[at : piece.start], text[piece.inner_start : piece.inner_end])
        at = piece.end
    return "".join((*out, text[at:])).strip()


def boxes(text: str, most: int = 12) -> list[Box]:
    r"""The last boxes of a text that hold something, in order; \boxed 5 and \boxed{5, cut off, count too."""
    found: list[Box] = []
    end = len(text)
    for _ in range(most):
        at = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end), text.rfind("\\framebox", 0, end))
        if at < 0:
            break
        head = _BOX.match(text, at)
        box = _box(text, at, head.end()) if head else None
        if box and box.content:
            found.append(box)
        end = at
    return found[::-1]


def _box(text: str, start: int, at: int) -> Box | None:
    at = at + len(text[at : at + 3]) - len(text[at : at + 3].lstrip())
    if text[at : at + 1] != "{":
        bare = _BARE_BOX.match(text, at, at + 200)
        return Box(start, bare.end(), bare.group(1)) if bare else None
    depth = 0
    for token in _BRACE.finditer(text, at, at + LONGEST):
        if token.group() in "{}":
            depth += 1 if token.group() == "{" else -1
            if depth == 0:
                return Box(start, token.end(), text[at + 1 : token.start()].strip())
    rest = text[at + 1 : at + LONGEST]
    stop = re.search(r"\$|\\[\])]|\n|$", rest)
    return Box(start, len(text), rest[: stop.start() if stop else None].strip().rstrip(".,;"), closed=False)
