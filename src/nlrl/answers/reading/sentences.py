"""The answer of a text that marks none: the value of its last sentence that has one.

concluded("Adding 17 and 25 gives 42.\\n\\nLet me know if you want to see step 2!")  ->  "42"
"""

from __future__ import annotations

import re
from itertools import pairwise

from nlrl.answers.reading.pieces import BRACES, LONGEST, PIECE, mask, without_ornaments
from nlrl.answers.reading.values import SENTENCE_END, value

_MOST = 40  # sentences that are looked at
_ASIDE = re.compile(  # offers, wishes and remarks behind the answer
    r"\b(?:let me know|feel free|hope (?:this|it|that)|would you like|do you (?:want|need)|happy to|i can also|thank"
    r"|if you (?:have|need|want|would)|(?:further|other|more) questions|you can (?:also )?(?:check|verify)|note that)"
    r"|^\W*(?:this|that|it|which) (?:also )?(?:follows from|holds|completes|comes from|agrees|matches|shows|confirms"
    r"|proves|is because)"
    r"|^\W*(?:note|check|verification|there were|recall|remember|where|here)\b"
    r"|(?-i:^(?:as|since|because|for|with|by)\b)",  # a sentence that goes on behind a formula
    re.I,
)
_DENIES = re.compile(
    r"\b(?:not|wrong|incorrect|thinks?|thought|would be|too (?:large|small|big|many|few|much))\b|n['’]t\b", re.I
)
_CONTRAST = re.compile(
    rf"[,\s]+(?:(?:and|but)\s+)?not\s+(?=[-−\d{PIECE}(]|the\s)|[,\s]+(?:rather than|instead of|in contrast to)\s", re.I
)
_SAYS_SOMETHING = re.compile(rf"[\d{PIECE}{BRACES}\\=]")
_NAME = r"(?:[A-Z][\w'’-]+|[A-Z]\.)(?:\s(?:(?:of|de|da|van|von|the)\s)?(?:[A-Z][\w'’-]+|[A-Z]\.))*"
_WORD = (
    r"(?:odd|even|yes|no|true|false|none|positive|negative|increasing|decreasing|undefined|convergent|divergent"
    r"|isosceles|equilateral|scalene|linear|quadratic|no (?:real )?solutions?)"
)
_COMES_TO = re.compile(
    rf"[^\d{PIECE}]*?\b(?:is|are|be|was|get|gets|obtain|find)\s(?:that\s)?({_NAME}|(?i:{_WORD}))"
    r"(?=\s*[.!*_]*\s*$|\s*[,;(]|\s(?:because|since|as|and not|not|rather|in contrast|instead)\b|\s*\ue001)"
)
_BREAK = re.compile(r"\n+")


def concluded(text: str) -> str | None:
    """The value of the last sentence with a value, without the offers and wishes at the end of a chat."""
    text = without_ornaments(text[-2 * LONGEST :])
    masked = mask(text)
    ends = sorted({m.end() for m in SENTENCE_END.finditer(masked)} | {m.end() for m in _BREAK.finditer(masked)})
    sentences = [text[start:end].strip() for start, end in pairwise([0, *ends, len(text)])][::-1]
    sentences = [sentence for sentence in sentences if sentence and not _ASIDE.search(sentence)][:_MOST]
    if sentences and (name := _concluded_name(sentences[0])):
        return name
    sentences.sort(key=_denies)  # "It is not 12" only if there is no other
    return next((found for s in sentences if (found := value(_without_dress(s), marked=False))), None)


def _denies(sentence: str) -> bool:
    """Whether a sentence says what it is not; "it is 42 and not 29" says what it is."""
    masked = mask(sentence)
    contrast = _CONTRAST.search(masked)
    before = masked[: contrast.start()] if contrast else ""
    return _DENIES.search(before if _SAYS_SOMETHING.search(before) else masked) is not None


def _concluded_name(sentence: str) -> str | None:
    """The name or word that a sentence comes to: "so it has to be Paris", "hence f is odd"."""
    found = _COMES_TO.match(mask(sentence))
    return sentence[found.start(1) : found.end(1)] if found else None


_DRESS = re.compile(r"\s*(?:[#>*_`•]+(?=\s|\*|[^\W\d_])|[-*•]\s+(?=[^\W\d_]{2})|\d{1,2}[.)]\s+(?=[^\W\d_]))+")


def _without_dress(line: str) -> str:
    """Without the marks of headings and lists."""
    dress = _DRESS.match(line)
    return line[dress.end() :] if dress else line
