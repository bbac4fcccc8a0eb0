"""The one rule for tokens that no server told: an upper bound, never below what the server may have counted.

Charged where a request was cut off before its usage came, or where a server tells no usage, and labelled `estimated`
wherever it is shown; reserved wherever a length is not known beforehand. In this order:

- a prompt: as the server, or its tokenizer, has counted it before; else `prompt_bound`;
- a draw that ended without usage: as many as there were log-probabilities, and one for the end; else `text_bound`;
- a draw that was cut off: that, and `unheard`: what may have been generated while nobody listened. Servers finish what
  they do not stream, so such a draw is charged all that it was allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from nlrl.core import Message

_TEMPLATE_TOKENS = 32  # a chat template's markers around one message
_IMAGE_TOKENS = 4096  # more than any provider charges for one
_SYSTEM_TOKENS = 128  # a default system prompt that a template adds (Qwen2.5's has 20)
_LONGEST = 131_072  # of a completion without a limit
_NOTICE_S = 0.5  # until a server has noticed that nobody listens any more; engines look after each token or so
_SPEED_MARGIN = 2.0  # a draw may run faster once its neighbours are gone


def prompt_bound(messages: Iterable[Message], prefill: str = "") -> int:
    """The most tokens of a prompt: no tokenizer emits more than bytes, and chat templates add markers."""
    sizes = [byte_size(message.content) for message in messages]
    return sum(sizes) + byte_size(prefill) + _TEMPLATE_TOKENS * len(sizes) + _SYSTEM_TOKENS


def body_bound(body: Mapping[str, Any]) -> int:
    """The most prompt tokens of a chat request's JSON, tools and pictures included."""
    told = {name: value for name, value in body.items() if name in ("messages", "prompt", "tools", "functions")}
    messages = body.get("messages")
    turns = len(messages) if isinstance(messages, list) else 1
    return _json_bound(told) + _TEMPLATE_TOKENS * turns + _SYSTEM_TOKENS


def text_bound(size: int, max_tokens: int | None) -> int:
    """The most tokens of a text of `size` bytes: a byte each and one for the end, within the limit of its draw."""
    return size + 1 if max_tokens is None else min(size + 1, max_tokens)


def unheard(seconds: float | None, tokens_per_s: float | None, max_tokens: int | None, heard: int) -> int:
    """The most tokens that a draw cut off can have beyond those `heard`.

    seconds       for which nothing was heard of it: since its last piece, or since it was sent; None: the server may
                  go on to the limit
    tokens_per_s  the fastest that one draw was seen to grow there; None where none was seen
    """
    left = max(0, (_LONGEST if max_tokens is None else max_tokens) - heard)
    if seconds is None or tokens_per_s is None:
        return left
    return min(left, math.ceil(_SPEED_MARGIN * tokens_per_s * (seconds + _NOTICE_S)))


def byte_size(text: str) -> int:
    """Length in UTF-8, also of a text with half a character."""
    return len(text.encode("utf-8", "replace"))


def _json_bound(value: Any) -> int:
    if isinstance(value, dict):
        if "image_url" in value:
            return _IMAGE_TOKENS
        return sum(byte_size(key) + _json_bound(inner) + 8 for key, inner in value.items())
    if isinstance(value, list):
        return sum(map(_json_bound, value))
    return byte_size(value) if isinstance(value, str) else 8
