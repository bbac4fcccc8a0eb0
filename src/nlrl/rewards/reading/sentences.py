"""The answer of a text that marks none: the value of its last sentence that has one.

concluded("Adding 17 and 25 gives 42.\\n\\nLet me know if you want to see step 2!")  ->  "42"
"""

from __future__ import annotations

import re
from itertools import pairwise

from nlrl.rewards.reading.pieces import LONGEST, mask
from nlrl.rewards.reading.values import SENTENCE_END, value

_MOST = 40  # sentences that are looked at
_ASIDE = re.compile(  # offers, wishes and remarks behind the answer
    r"\b(?:let me know|feel free|hope (?:this|it|that)|would you like|do you (?:want|need)|happy to|i can also|thank"
    r"|if you (?:have|need|want|would)|(?:further|other|more) questions|you can (?:also )?(?:check|verify)|note that)"
    r"|^\W*(?:this|that|it|which) (?:also )?(?:follows from|holds|completes|comes from|agrees|matches|shows|confirms"
    r"|proves|is because)"
    r"|^\W*(?:note|check|verification|there were|recall|remember|where|here)\b",
    re.I,
)
_BREAK = re.compile(r"\n+")


def concluded(text: str) -> str | None:
    """The value of the last sentence with a value, without the offers and wishes at the end of a chat."""
    text = text[-2 * LONGEST :]
    masked = mask(text)
    ends = sorted({m.end() for m in SENTENCE_END.finditer(masked)} | {m.end() for m in _BREAK.finditer(masked)})
    edges = [0, *ends, len(text)]
    for start, end in list(pairwise(edges))[::-1][:_MOST]:
        sentence = text[start:end].strip()
        if sentence and not _ASIDE.search(sentence):
            found = value(_without_dress(sentence), marked=False)
            if found is not None:
                return found
    return None


_DRESS = re.compile(r"\s*(?:[#>*_`•]+(?=\s|\*|[^\W\d_])|[-*•]\s+(?=[^\W\d_])|\d{1,2}[.)]\s+(?=[^\W\d_]))+")


def _without_dress(line: str) -> str:
    """Without the marks of headings and lists."""
    dress = _DRESS.match(line)
    return line[dress.end() :] if dress else line
