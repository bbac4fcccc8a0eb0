"""The question of a command: words, "-" for standard input, "@file" for a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nlrl.core import PromptTooLong, UserError

# Far beyond any context of today (2 million tokens at 4 bytes each), far below what would fill the memory.
MOST_BYTES = 8_000_000


def read_question(words: Sequence[str]) -> str:
    """The text that the words stand for, stripped.

    Raises UserError where the file cannot be read or is not text, PromptTooLong beyond `MOST_BYTES`.
    """
    if list(words) == ["-"]:
        return _decode(sys.stdin.buffer.read(MOST_BYTES + 1), "standard input")
    if len(words) == 1 and words[0].startswith("@"):
        path = Path(words[0][1:])
        if not path.is_file():
            raise UserError(f"There is no file {str(path)!r}. A question may start with @ after a space.")
        with path.open("rb") as file:
            return _decode(file.read(MOST_BYTES + 1), str(path))
    return " ".join(words).strip()


def _decode(data: bytes, where: str) -> str:
    if len(data) > MOST_BYTES:
        raise PromptTooLong(
            f"The question from {where} is larger than {MOST_BYTES // 1_000_000} MB; no model can read that. "
            "Shorten it, or ask about one part at a time."
        )
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UserError(
            f"The question from {where} is not UTF-8 text (byte {error.start} is {data[error.start]:#04x}). "
            "Convert it first, for example: iconv -f latin1 -t utf-8"
        ) from None
