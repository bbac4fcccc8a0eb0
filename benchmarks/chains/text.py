"""Characters to tokens and back, and where each token stands.

The answer phrase is one token, and the network reads and writes the digits of a number units first, which is how
addition is learned in the fewest examples (Lee et al. 2023, 2307.03381). Beside its id the network is told three marks
of every token: the number of the step it belongs to (the operation in the question, the line in the work), the place of
a digit in its number, and whether it stands in the question or in the work. With such marks a network of this size
learns to find the next operand in seconds (after McLeish et al. 2024, 2405.17399); they follow from the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlrl.core import ANSWER_PHRASE, Message

PAD, END, UNKNOWN = 0, 1, 2
_CHARACTERS = "0123456789+-*=\n"
_PIECES = ["", "", "?", *_CHARACTERS, f"{ANSWER_PHRASE} "]
VOCABULARY = len(_PIECES)
NEWLINE = _PIECES.index("\n")
ANSWER = VOCABULARY - 1
_IDS = {piece: i for i, piece in enumerate(_PIECES) if piece and i != UNKNOWN}
_NUMBER = re.compile("[0-9]+")
_SPLIT = re.compile(re.escape(ANSWER_PHRASE) + " ?|.", re.DOTALL)


def encode(text: str) -> list[int]:
    """Token ids of a text; what is not in the vocabulary becomes the unknown token."""
    return [ANSWER if len(p) > 1 else _IDS.get(p, UNKNOWN) for p in _SPLIT.findall(_turned(text))]


def decode(ids: Sequence[int]) -> str:
    """The text of token ids, which must not begin or end within a number; the end and padding are empty."""
    return _turned("".join(_PIECES[i] for i in ids))


def _turned(text: str) -> str:
    return _NUMBER.sub(lambda number: number[0][::-1], text)


def prompt_ids(messages: Sequence[Message], prefill: str = "") -> list[int]:
    """The last message, a line break, and the start of the work. Other messages are not looked at: the generator has
    never seen a conversation."""
    question = messages[-1].content if messages else ""
    return [*encode(question), NEWLINE, *encode(prefill)]


MARKS = (16, 8, 2)  # how many values each mark has
_OPERATORS = np.isin(np.arange(VOCABULARY), [_IDS[c] for c in "+-*"])
_DIGITS = np.isin(np.arange(VOCABULARY), [_IDS[c] for c in "0123456789"])


def mark(ids: NDArray[np.int64], before: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Marks (rows x tokens x 3) of token ids (rows x tokens); `before` (rows x 3) are those of the token before."""
    rows, length = ids.shape
    step, place, work = (np.zeros(rows, np.int64) if before is None else before[:, i] for i in range(3))
    marks = np.empty((rows, length, 3), np.int64)
    for t in range(length):
        new_line, operator, digit = ids[:, t] == NEWLINE, _OPERATORS[ids[:, t]], _DIGITS[ids[:, t]]
        step = np.where(new_line, np.where(work > 0, step + 1, 1), step + (operator & (work == 0)))
        work = np.where(new_line, 1, work)
        place = np.where(digit, place + 1, 0)
        marks[:, t] = np.stack([np.minimum(m, n - 1) for m, n in zip((step, place, work), MARKS, strict=True)], axis=1)
    return marks
