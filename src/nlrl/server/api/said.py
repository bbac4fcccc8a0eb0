"""The text of an answer that is passed through, read out of its own bytes as they go by.

said = Said(20_000)
said.take(b'data: {"choices": [{"index": 0, "delta": {"content": "4"}}]}\\n\\n')
said.text                          # "4"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class Said:
    """What the first choice says; calls of tools as JSON. Nothing beyond `most` characters is looked at."""

    def __init__(self, most: int) -> None:
        self._parts: list[str] = []
        self._room = most

    @property
    def text(self) -> str:
        """So far."""
        return "".join(self._parts)

    def take(self, body: bytes) -> None:
        """Complete events of a stream, or a whole answer."""
        if self._room > 0:
            for part in _bodies(body):
                for text in _texts(part):
                    self._parts.append(text)
                    self._room -= len(text)


def _bodies(raw: bytes) -> Iterator[bytes]:
    if raw.startswith(b"{"):
        yield raw
        return
    for line in raw.split(b"\n"):
        if line.startswith(b"data:"):
            yield line[5:]


def _texts(body: bytes) -> Iterator[str]:
    try:
        found: Any = json.loads(body)
        choices = [c for c in found["choices"] if c.get("index", 0) == 0]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
    for choice in choices:
        message = choice.get("message") or choice.get("delta") or choice
        text = message.get("content") or message.get("text") if isinstance(message, dict) else None
        if isinstance(text, str):
            yield text
        elif isinstance(message, dict) and message.get("tool_calls"):
            yield json.dumps(message["tool_calls"])
