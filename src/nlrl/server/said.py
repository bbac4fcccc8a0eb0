"""The text of an answer that was passed through, read out of its own bytes.

said([b'data: {"choices": [{"index": 0, "delta": {"content": "4"}}]}\\n\\n', ...])      # "4..."
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any


def said(parts: Sequence[bytes]) -> str:
    """What the first choice said; calls of tools as JSON. Empty where nothing can be read."""
    raw = b"".join(parts)
    bodies = _events(raw) if raw.lstrip()[:5] == b"data:" or raw.startswith(b":") else [raw]
    return "".join(text for body in bodies for text in _texts(body))


def _events(raw: bytes) -> Iterator[bytes]:
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
