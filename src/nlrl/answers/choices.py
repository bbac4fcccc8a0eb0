"""Which of the offered options an answer names.

match_choice("B) Paris", ["London", "Paris"])   ->  1
match_choice("paris.", ["London", "Paris"])     ->  1
match_choice("I think it is the capital of France, Paris", ["London", "Paris"])  ->  1
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlrl.answers.forms import read
from nlrl.answers.forms.words import tokens

_LETTER = re.compile(r"[\s*_(\[`\"'$]*(?:\\text(?:bf)?\{)?\(?([A-Za-z])\)?\}?[\s*_)\].:,`\"'$]*")
_MAX_LENGTH = 2_000
_DENIALS = frozenset((
    "not", "wrong", "incorrect", "eliminated", "eliminate", "eliminating", "excluded", "exclude", "ruled", "rule",
    "cannot", "cant", "isnt", "arent", "doesnt", "dont", "wasnt", "wont", "neither", "nor", "never", "unlikely",
    "invalid", "impossible", "except", "falsch", "unlike", "anything", "everything",
))  # fmt: skip


def letter(index: int) -> str:
    """0 -> "A"."""
    return chr(ord("A") + index)


def match_choice(answer: str, choices: Sequence[str]) -> int | None:
    """The index of the option an answer names by letter, by text, or by both; None if by none or by several.

    A letter and a text that contradict each other ("B) London" where B is Paris) name nothing, nor does "not Paris".
    """
    if not choices or not answer or len(answer) > _MAX_LENGTH:
        return None
    texts = [i for i, choice in enumerate(choices) if _same_text(answer, choice)]
    if len(texts) == 1:
        return texts[0]
    alone = _LETTER.fullmatch(answer)
    if alone:
        return _index(alone.group(1), choices)
    form = read(answer)
    if form.label:
        index = _index(form.label, choices)
        if index is None or form.body is None:
            return index
        named = mentioned(form.body.text, choices)
        return index if not named or index in named else None
    named = mentioned(answer, choices)
    return named[0] if len(named) == 1 and not denied(answer, choices) else None


def denied(text: str, choices: Sequence[str]) -> bool:
    """Whether a text turns down what it names, by a word that is no word of the options it names."""
    own = {word for i in mentioned(text, choices) for word in tokens(choices[i])}
    return any(word in _DENIALS and word not in own for word in tokens(text))


def _index(label: str, choices: Sequence[str]) -> int | None:
    index = ord(label.upper()) - ord("A")
    return index if index < len(choices) else None


def _same_text(answer: str, choice: str) -> bool:
    one, two = read(answer), read(choice)
    return (bool(one.key) and one.key == two.key and not one.label) or (bool(one.words) and one.words == two.words)


def mentioned(answer: str, choices: Sequence[str]) -> list[int]:
    """Options whose words stand in the answer in one piece, but not one that stands only inside a longer one."""
    words = tokens(answer)
    spans: list[tuple[int, int, int]] = []
    for i, choice in enumerate(choices):
        wanted = tokens(choice)
        n = len(wanted)
        spans += [(at, at + n, i) for at in range(len(words) - n + 1) if n and words[at : at + n] == wanted]
    outer = [s for s in spans if not any(o != s and o[0] <= s[0] and s[1] <= o[1] and o[2] != s[2] for o in spans)]
    return sorted({i for _, _, i in outer})
