r"""Where a text states its answer: the table of markers, strongest first.

    find("Step 3: 9 * 2 = 18.\n\nThe answer is 18, since ...")  ->  Statement("18, since ...", 22)

Of the markers of the strongest kind that occurs, the last counts that has an answer behind it. What a text takes back
("Wait, ...") counts only where nothing is stated after that.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nlrl.answers.reading import vocabulary
from nlrl.answers.reading.blocks import block
from nlrl.answers.reading.pieces import LONGEST, boxes
from nlrl.answers.reading.values import PLACEHOLDER, boxed
from nlrl.core import ANSWER_PHRASE

TAIL = 20_000  # markers other than the contract phrase are looked for in this much of the end of a text
_BEFORE = 200  # characters in front of a marker that are looked at
_MOST = 50  # markers of one kind that are looked at


class Statement(NamedTuple):
    """What stands behind a marker, and where.

    bare    it should be nothing but an answer: the content of a box, a tag, a JSON string
    strict  the marker is the contract phrase
    """

    text: str
    start: int
    bare: bool = False
    strict: bool = False


_CONTRACT = re.compile(
    re.escape(ANSWER_PHRASE.rstrip(":")).replace(r"\ ", r"[ \t]{1,4}") + r"[ \t]{0,4}[*_]{0,3}[ \t]{0,4}[:：]", re.I
)
_HASHES = re.compile(r"####[ \t]*(?=[^\s#])")
_HEADING = re.compile(r"[^\d$\\]*(?:$|[:：])|[*_]{0,3}(?:step|part|case|final|answer)\b", re.I)
_TAG = re.compile(r"<(final[-_ ]?answer|answer|result|ans)>|\[(ANSWER)\]", re.I)
_KEY = re.compile(
    r"[\"'](?:(?:final|correct|predicted|my|your|the)[-_ ]?)?(?:"
    + "|".join(["answer", "result", "ans", "final", "output", "value", "solution", "choice", "option", "response"])
    + rf"|{vocabulary.words('answer')})(?:[-_ ](?:value|letter|choice|option|text|key|number))?[\"']\s*:\s*",
    re.I,
)
_JSON_VALUE = re.compile(
    r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|(\[[^\[\]]*\])|((?:\[|\{).{0,500})|([^\s,}\]]+)", re.S
)
_RAW_LATEX = re.compile(r"(?<!\\)(?:\\\\)*\\(?:[a-zA-Z]{2,}|[()\[\]{},;!% ])")

_NOUN = re.compile(rf"{vocabulary.START}(?:{vocabulary.words('answer')}){vocabulary.END}", re.I)
_COLON = (  # behind the noun, or an adjective or two, and dress
    r"(?:[ \t]+[^\W\d_]{1,15}){0,2}[ \t]*[*_`}\])】]{0,4}[ \t]{0,2}(?:\([^()\n]{1,40}\)[ \t]{0,2})?[:：】]"
    r"|[ \t]*[*_`}\])】]{0,4}[ \t]{0,2}(?:[=→⇒➜➡]|-{1,2}>|=>|[—–-]{1,2}(?=[ \t]))"
    r"|[ \t]*[*_`]{0,4}[ \t]{0,2}\|(?=[^|\n]*\|)"  # in a table: the next cell
)
_LINKS = [  # what leads from the noun of a language to the answer
    (
        re.compile(row.answer, re.I),
        re.compile(
            rf"[^\n.:?!|{{}}]{{0,80}}?{vocabulary.START}(?:{row.verb}){vocabulary.END}(?:[ \t]*[:：])?|{_COLON}", re.I
        ),
    )
    for row in vocabulary.LANGUAGES.values()
]
_AT_ONCE = re.compile(r"[ \t]*[*_`}\])】]{0,4}[ \t]+(?=\$|\\\[|\\\(|\\f?box|[-−]?\d)")
_ALONE = re.compile(r"(?:[ \t]+\w{1,20}){0,2}[ \t]*[*_`}\])】:：]{0,6}[ \t]*(?=\n|$)")
_LINE_BEFORE = re.compile(
    r"(?:^|\n)[ \t]{0,8}(?:[#>*_\-•\d.)【\[(`]|\\text\w*\{|\\noindent)*[ \t]*(?:[^\W\d_]{1,20}[ \t]+){0,3}[*_【\[(]*$"
)
_IS_THE = re.compile(r"\s(?:is|are)\s+(?:the|our|my|your)\s+(?:\w+\s+)?$", re.I)  # "42 is the answer"
_NO_STATEMENT = re.compile(
    r"\b(?:(?:to|can|cannot|will)\s+|(?:wrong|incorrect|previous|no|what|how|if the)\s+(?:\w+\s+)?)$", re.I
)
_NEGATED = re.compile(r"\b(?:not|cannot|n't|no longer|never|what|how|whether)\b|n't", re.I)
_VERDICT = re.compile(  # "So the answer is correct", "the result is the same as above"
    r"\W{0,6}(?:indeed\s|also\s)?(?:correct|right|wrong|incorrect|verified|confirmed|consistent|the same|valid"
    r"|reasonable|clear|as (?:above|before|follows)|based|found|obtained|given|below|therefore"
    r"|in|that we|independent|unique)\b"
    r"[^\d$\\]{0,40}$",
    re.I,
)


def last_phrases(text: str) -> list[re.Match[str]]:
    """The last few occurrences of the contract phrase; the whole text is searched only if its end has none."""
    near = deque(_CONTRACT.finditer(text, max(0, len(text) - TAIL)), maxlen=5)
    return list(near or deque(_CONTRACT.finditer(text), maxlen=5))


def _contract(text: str) -> Iterator[Statement]:
    for match in reversed(last_phrases(text)):
        yield Statement(block(text, match.end()), match.start(), strict=True)


def _box(text: str) -> Iterator[Statement]:
    found = boxes(text)
    escaped = bool(found) and text[found[-1].start - 1 : found[-1].start] == "\\"  # in a JSON string: see _key
    if found and not (escaped and _KEY.search(text)) and (content := boxed(text)):
        yield Statement(content, found[-1].start, bare=True)


def _hashes(text: str) -> Iterator[Statement]:
    for match in reversed(deque(_HASHES.finditer(text, max(0, len(text) - TAIL)), maxlen=_MOST)):
        line = block(text, match.end())
        followed = text[match.end() : match.end() + LONGEST].lstrip()[len(line) :].strip()
        if not (followed and _HEADING.match(line)):  # "#### Explanation" opens a section
            yield Statement(line, match.start())


def _tag(text: str) -> Iterator[Statement]:
    for match in reversed(deque(_TAG.finditer(text, max(0, len(text) - TAIL)), maxlen=_MOST)):
        inner = text[match.end() : match.end() + LONGEST]
        name = match.group(1) or match.group(2)
        close = re.search(rf"[<\[]/{re.escape(name)}[>\]]", inner, re.I)
        yield Statement(inner[: close.start()] if close else block(inner, 0), match.start(), bare=True)


def _key(text: str) -> Iterator[Statement]:
    for match in reversed(deque(_KEY.finditer(text, max(0, len(text) - TAIL)), maxlen=_MOST)):
        literal = _JSON_VALUE.match(text, match.end(), match.end() + LONGEST)
        if literal and literal.group() not in ("null", "None"):
            yield Statement(_decoded(literal), match.start(), bare=True)


def _decoded(literal: re.Match[str]) -> str:
    """The string of a JSON value; LaTeX that somebody forgot to escape stays as it is."""
    string = literal.group(1) if literal.group(1) is not None else literal.group(2)
    if string is None:
        flat = literal.group(3)
        return ", ".join(part.strip().strip("\"'") for part in flat[1:-1].split(",")) if flat else literal.group()
    if "\\" not in string or _RAW_LATEX.search(string):
        return string
    try:
        return str(json.loads(f'"{string}"', strict=False))
    except ValueError:
        return string


def _said(text: str) -> Iterator[Statement]:
    verdicts: list[Statement] = []
    for match in reversed(deque(_NOUN.finditer(text, max(0, len(text) - TAIL)), maxlen=_MOST)):
        statement = _at_noun(text, match)
        if statement and _VERDICT.match(statement.text):
            verdicts.append(statement)
        elif statement:
            yield statement
    yield from verdicts  # "So the answer is correct" is one only where the text states no other


def _at_noun(text: str, match: re.Match[str]) -> Statement | None:
    """What a noun for "answer" introduces: "Answer $5$", "the answer is 5", a heading, "5 is the answer"."""
    before = text[max(0, match.start() - _BEFORE) : match.start()]
    line_start = bool(_LINE_BEFORE.search(before if match.start() > _BEFORE else "\n" + before))
    if _NO_STATEMENT.search(before) or (match.group().lower() == "results" and text.startswith(" in", match.end())):
        return None
    links = [_AT_ONCE] if line_start else []
    links += [link for noun, link in _LINKS if noun.fullmatch(match.group())]
    links += [_ALONE] if line_start else []
    for pattern in links:
        link = pattern.match(text, match.end())
        if link:
            return None if _NEGATED.search(link.group()) else Statement(block(text, link.end()), match.start())
    behind = _IS_THE.search(before)
    return Statement(before[before.rfind("\n") + 1 : behind.start()], match.start()) if behind else None


MARKERS: tuple[Callable[[str], Iterator[Statement]], ...] = (  # strongest first; each gives its statements, last first
    _contract,  # Final Answer: 5
    _box,  # \boxed{5}
    _tag,  # <answer>5</answer>
    _key,  # {"answer": 5}
    _hashes,  # #### 5
    _said,  # the answer is 5, and its like in all languages
)

_SECOND_THOUGHT = re.compile(
    r"(?<![\w'])(?:wait|hold on|correction|on second thought|oops|hmm|i made an? (?:mistake|error|slip)"
    r"|that was (?:a slip|wrong)"
    r"|moment mal|attends|espera|等等|不对)\b",
    re.I,
)


def find(text: str, holds: Callable[[Statement], object]) -> Statement | None:
    """The statement that counts. `holds` says whether there is an answer in what stands behind a marker."""

    def valued(marker: Callable[[str], Iterator[Statement]], text: str) -> Statement | None:
        for statement in marker(text):
            if statement.text.strip() and not PLACEHOLDER.fullmatch(statement.text.strip()) and holds(statement):
                return statement
        return None

    thoughts = deque(_SECOND_THOUGHT.finditer(text, max(0, len(text) - TAIL)), maxlen=1)
    for marker in MARKERS:
        found = valued(marker, text)
        if found and thoughts and thoughts[0].start() > found.start:
            behind = text[thoughts[0].end() :]
            later = next((s for m in MARKERS if (s := valued(m, behind)) and not _VERDICT.match(s.text)), None)
            return later or found
        if found:
            return found
    return None


def first(text: str, holds: Callable[[Statement], object]) -> int | None:
    """Where the first stated answer begins."""
    starts: list[int] = []
    for pattern in (_CONTRACT, _HASHES, _TAG, _KEY, re.compile(r"\\f?box")):
        match = pattern.search(text)
        if match:
            starts.append(match.end())
    for k, match in enumerate(_NOUN.finditer(text)):
        if k == _MOST or (starts and match.start() > min(starts)):
            break
        statement = _at_noun(text, match)
        if statement and holds(statement):
            starts.append(match.end())
            break
    return min(starts, default=None)
