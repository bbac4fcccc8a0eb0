"""The option that a text chooses, by letter or by words; what it turns down, or names as a reason, does not count.

chosen("C, rather than A", ("Paris", "London", "Rome"))                  ->  2
chosen("Paris is not in Italy. It must be Rome.", ("Paris", "Rome"))     ->  1
chosen("It is Paris or Rome", ("Paris", "Rome"))                         ->  None
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlrl.answers.choices import denied, match_choice, mentioned
from nlrl.answers.forms.words import tokens
from nlrl.answers.reading import vocabulary
from nlrl.answers.reading.pieces import LONGEST
from nlrl.answers.reading.values import value

_SENTENCE = re.compile(r"(?:(?<!\b[A-Z])[.!?]|(?<=\b[A-Z])\.)[\"'”’*_)]{0,3}(?=\s+[A-Z\"'*_(]|\s*$)|[。！？]|\n+")
_CLAUSE = re.compile(
    r"[;；]|(?<!\banything)(?<!\beverything)(?<!\ball),?\s+but\b|,\s+(?=so\b|hence|therefore|thus)"
    r"|,?\s+(?=rather than\b|instead of\b|as opposed to\b|leav(?:es|ing)\b)"
    r"|,\s*(?=(?:and\s+)?not\b|unlike\b|nicht\b|pas\b|no\b|non\b)|\s+(?=(?:not|over|non|nicht|pas)\s+(?:option\s+)?\(?[A-J]\b)"
    r"|[,.]\s+(?=(?:it|they|this|that|we|the others?)\b[^,;]*(?:n['’]t|not)\b)|[，。\s]*(?=(?:而)?不是|并非|不选)"
    r"|,\s+(?=\(?[A-J]\)?\s+(?!and\b|or\b)[a-z])",
    re.I,
)
_WHY = re.compile(rf"(?:^|[\s,，(]){vocabulary.START}(?:{vocabulary.words('reason')}){vocabulary.END}", re.I)
_NO_REASON = re.compile(r"[\s,(]*(?:if|when|as well)\b", re.I)
_AGAINST = re.compile(
    r"\s*(?:over|rather than|instead of|as opposed to|unlike|nicht|pas|no|non)\s|\s*(?:而?不是|并非|不选)", re.I
)
_NO = re.compile(r"[:–-]\s*(?:no|false)\b|[✗✘❌]", re.I)
_LETTER = re.compile(
    r"(?<![A-Za-z0-9_'’.])(?:"
    r"[(\[{*_\"`“‘]{1,4}([A-Za-z])[)\]}*_\"`”’.:]{1,4}"  # (B), **B**, "B"
    r"|([A-J])(?=[).:]|\s*(?:[,;!?\n，。、\u3041-\u9fff\uac00-\ud7a3]|$))"  # B) ..., B. ..., B at the end of a clause
    r"|(?:option|choice|answer|letter|opción|alternative|antwort|选项|選項|选|選)\s{0,2}\(?([A-J])"
    r"|([A-J])(?=\s+(?:is|are|was|seems|fits|works|would|must|should|looks|makes|best|and|or|[–—-])\b)"
    r"|([B-HJ])(?=\s)"
    r")(?![A-Za-z0-9_'’])"
)


def chosen(text: str, choices: Sequence[str], *, stated: bool = False) -> int | None:
    """The one option that a text is for, None if there is none or several. `stated`: its first sentence decides."""
    kept: set[int] = set()
    down: set[int] = set()
    for sentence in _SENTENCE.split(text[:LONGEST]):
        for clause in _CLAUSE.split(_main(sentence, choices)):
            named = _named(clause, choices)
            if named and (_AGAINST.match(clause) or _turned_down(clause, choices)):
                down |= named
            else:
                kept |= named
        if stated and kept - down:
            break
    kept -= down
    return kept.pop() if len(kept) == 1 else None


def _main(sentence: str, choices: Sequence[str]) -> str:
    """A sentence without its reasons: "Since it lies on the Tiber, C" and "C, since ..."."""
    own = _own_words(sentence, choices)
    for why in _WHY.finditer(sentence):
        if _NO_REASON.match(why.group()) or own.issuperset(tokens(why.group())):
            continue
        if sentence[: why.start()].strip(" ,(*_"):
            return sentence[: why.start()]
        return sentence.partition(",")[2]
    return sentence


def _own_words(text: str, choices: Sequence[str]) -> set[str]:
    """The words of the options that a text names."""
    return {word for i in mentioned(text, choices) for word in tokens(choices[i])}


def _turned_down(clause: str, choices: Sequence[str]) -> bool:
    """Whether a clause rejects what it names, by a word that is not part of the option."""
    return _NO.search(clause) is not None or denied(clause, choices)


def _named(clause: str, choices: Sequence[str]) -> set[int]:
    alone = match_choice(clause.strip(), choices)
    if alone is not None:
        return {alone}
    letters = {ord(next(g for g in m.groups() if g).upper()) - ord("A") for m in _LETTER.finditer(clause)}
    letters &= set(range(len(choices)))
    texts = set(mentioned(clause, choices))
    return letters & texts or letters | texts


def choose(text: str, choices: Sequence[str]) -> int | None:
    """The option of a text that marks no answer."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    sentences = [s for s in _SENTENCE.split(text[-LONGEST:]) if s and s.strip()]
    if not lines:
        return None
    for part in (text[-2 * LONGEST :], *sentences[-1:], *lines[-1:], *lines[:1]):
        index = chosen(part, choices)
        if index is not None:
            return index
    number = value(sentences[-1], marked=False) if sentences else None
    return match_choice(number, choices) if number else None
