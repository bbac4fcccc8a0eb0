"""Answers in words: what remains when case, articles, accents and punctuation do not matter.

text_key("The **Eiffel** Tower.")  ->  "eiffeltower"
text_key("Seven Years' War")       ->  "7yearswar"
"""

from __future__ import annotations

import re
import unicodedata

from nlrl.answers.forms.numerals import NUMBER_WORDS, in_words

_SAME = {
    "true": "yes", "false": "no", "yeah": "yes", "yep": "yes", "correct": "yes", "incorrect": "no", "nope": "no",
    "none of these": "none of the above", "undefined": "does not exist", "dne": "does not exist",
    "no limit": "does not exist", "does not exists": "does not exist",
}  # fmt: skip
_EMPTY = re.compile(
    r"^(?:there (?:is|are) )?no (?:real |integer |such )?"
    r"(?:solutions?|roots?|values?|answers?|intersections?)(?: exists?)?$"
    r"|^(?:the )?empty set$|^none$|^no such \w+(?: exists?)?$"
)
_MISSING = re.compile(r"^(?:limit|value|it|integral|derivative|sum) (?:does not|doesnt) exist$")
_ARTICLES = frozenset(("a", "an", "the"))
_ORDINALS = {
    w: f"{i}{'st' if i == 1 else 'nd' if i == 2 else 'rd' if i == 3 else 'th'}"
    for i, w in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 1
    )
}
_GAP = re.compile(r"(?<!\d) | (?!\d)")  # 1:03 is not 103
_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}")
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*", re.UNICODE)


def tokens(text: str) -> list[str]:
    """Lower-case words without accents, articles and punctuation; number words as digits."""
    text = text.casefold()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    if "." in text:
        text = _DOTTED.sub(lambda m: m.group().replace(".", ""), text)
    text = text.replace("&", " and ").replace("'s ", "s ").replace("'", "").replace("-", " ")
    found = [w for w in _WORD.findall(text) if w not in _ARTICLES]
    if not NUMBER_WORDS.isdisjoint(found):
        found = _digits(found)
    return [_ORDINALS.get(w, w) for w in found]


def _digits(words: list[str]) -> list[str]:
    """Cardinal number words become digits; only at most a hundred words are looked at."""
    if len(words) > 100:
        return words
    out: list[str] = []
    i = 0
    while i < len(words):
        found = in_words(words[i : i + 8]) if words[i] in NUMBER_WORDS else None
        if found and isinstance(found[0], int):
            i += found[1]
            rest = _ORDINALS.get(words[i], "") if i < len(words) and found[0] % 10 == 0 else ""
            if rest[:1].isdigit() and rest != "10th":  # "twenty-first"
                out.append(f"{found[0] + int(rest[0])}{rest[1:]}")
                i += 1
            else:
                out.append(str(found[0]))
        else:
            out.append(words[i])
            i += 1
    return out


def text_key(text: str) -> str:
    """One string for all the ways to write the same words; two texts with equal keys are the same answer."""
    found = tokens(text)
    phrase = " ".join(found)
    phrase = _MISSING.sub("does not exist", phrase)
    if _EMPTY.match(phrase):
        return "∅"
    phrase = _SAME.get(phrase, phrase)
    if found and found[0] in ("yes", "no") and re.match(r"\s*(?:yes|no)\s*[,.;:!-]", text, re.I):
        return found[0]  # "Yes, because ..."
    return _GAP.sub("", phrase)
