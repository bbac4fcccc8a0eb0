"""Texts to token ids and back, without loss.

A token is a word of small letters (a capital may begin it) or any single character; one space before it belongs to it.
So "Action: take 5" has four tokens, and a board such as "X.O" three. What is not in the vocabulary is spelled in bytes:
no text is unknown, only longer. The vocabulary grows with the texts that are learned, and ids never change.

    >>> words = Words().grown(["move up", "move down"])
    >>> words.encode("move up!") == [*words.encode("move up"), *words.encode("!")]
    True
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

PAD, END, REPLY = 0, 1, 2  # REPLY stands between prompt and reply
_BYTES = 3  # the first of 256
_WORDS = _BYTES + 256  # the first word
MOST_WORDS = 8192  # a vocabulary grows to at most this

_PIECE = re.compile(r" ?(?:[A-Z]?[a-z]+|\S)|\s")


class Words:
    """A vocabulary. `pieces` are its words, in the order in which they were learned."""

    def __init__(self, pieces: Sequence[str] = ()):
        self.pieces = tuple(pieces)
        self._ids = {piece: (_WORDS + i,) for i, piece in enumerate(self.pieces)}
        self._raw = [*[b""] * _BYTES, *(bytes([i]) for i in range(256)), *(piece.encode() for piece in self.pieces)]

    def __len__(self) -> int:
        return _WORDS + len(self.pieces)

    def grown(self, texts: Iterable[str]) -> Words:
        """This vocabulary and the words of these texts, the most frequent first."""
        seen = Counter(piece for text in texts for piece in _PIECE.findall(_clean(text)))
        new = sorted((p for p in seen if p not in self._ids), key=lambda piece: (-seen[piece], piece))
        return Words((*self.pieces, *new[: MOST_WORDS - len(self.pieces)])) if new else self

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        known = self._ids
        return [i for piece in _PIECE.findall(_clean(text)) for i in known.get(piece) or _spelled(piece)]

    def raw(self, token: int) -> bytes:
        """What a token stands for: a word, a byte, nothing."""
        return self._raw[token]

    def text(self, token: int) -> str:
        """One token as text."""
        return self.raw(token).decode("utf-8", "replace")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; bytes that make no character become the replacement character."""
        return b"".join(map(self.raw, ids)).decode("utf-8", "replace")


def _spelled(piece: str) -> list[int]:
    return [_BYTES + byte for byte in piece.encode()]


def _clean(text: str) -> str:
    """Half a surrogate pair has no UTF-8; it becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
