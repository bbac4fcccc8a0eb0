"""The answer of a text that marks none: the value of its last sentence that has one.

concluded("Adding 17 and 25 gives 42.\\n\\nLet me know if you want to see step 2!")  ->  "42"
"""

from __future__ import annotations

import re
from itertools import pairwise

from nlrl.rewards.reading.pieces import LONGEST, mask, without_ornaments
from nlrl.rewards.reading.values import SENTENCE_END, value

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
_BREAK = re.compile(r"\n+")


def concluded(text: str) -> str | None:
    """The value of the last sentence with a value, without the offers and wishes at the end of a chat."""
    text = without_ornaments(text[-2 * LONGEST :])
    masked = mask(text)
    ends = sorted({m.end() for m in SENTENCE_END.finditer(masked)} | {m.end() for m in _BREAK.finditer(masked)})
    sentences = [text[start:end].strip() for start, end in pairwise([0, *ends, len(text)])][::-1]
    sentences = [sentence for sentence in sentences if sentence and not _ASIDE.search(sentence)][:_MOST]
    sentences.sort(
        key=lambda sentence: _DENIES.search(sentence) is not None
    )  # "It is not 12" only if there is no other
    return next((found for s in sentences if (found := value(_without_dress(s), marked=False))), None)


_DRESS = re.compile(r"\s*(?:[#>*_`•]+(?=\s|\*|[^\W\d_])|[-*•]\s+(?=[^\W\d_]{2})|\d{1,2}[.)]\s+(?=[^\W\d_]))+")


def _without_dress(line: str) -> str:
    """Without the marks of headings and lists."""
    dress = _DRESS.match(line)
    return line[dress.end() :] if dress else line
