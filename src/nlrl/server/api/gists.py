"""Gists: what attempts write, line by line, each line with its attempt.

gists = Gists()
gists.take("s3", delta)        # ["17 + 25 = 42"]: the lines that this delta completes
"""

from __future__ import annotations

from nlrl.core import Delta

_CHARS = 120  # some 32 tokens: a line longer than this is passed on in pieces


class Gists:
    """The open line of every attempt."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    def take(self, name: str, delta: Delta) -> list[str]:
        """The lines, none of them blank, that `delta` of the attempt `name` completes."""
        text = self._open.get(name, "") + delta.reasoning + delta.text
        end = len(text) if delta.completion is not None or len(text) >= _CHARS else text.rfind("\n") + 1
        self._open[name] = text[end:]
        return [line for line in text[:end].splitlines() if line.strip()]
