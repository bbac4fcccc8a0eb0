"""How the models without weights count: words and single marks are tokens, each with the space before it.

>>> pieces("Final Answer: 42")
['Final', ' Answer', ':', ' 42']
"""

from __future__ import annotations

import functools
import re

from nlrl.core import Message, TokenLogprob

_PIECE = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_MESSAGE_TOKENS = 3  # the frame of a chat message, as templates add it


def pieces(text: str) -> list[str]:
    """The text cut into tokens; joined, they are the text."""
    return _PIECE.findall(text)


@functools.lru_cache(maxsize=65_536)
def count(text: str) -> int:
    """Number of tokens."""
    return len(_PIECE.findall(text))


@functools.lru_cache(maxsize=4096)
def prompt_tokens(messages: tuple[Message, ...], prefill: str = "") -> int:
    """Tokens of a prompt."""
    return sum(_MESSAGE_TOKENS + len(_PIECE.findall(message.content)) for message in messages) + count(prefill)


def logprobs(token: str, logprob: float, alternatives: int) -> tuple[TokenLogprob, ...]:
    """The entry of one token, with made-up runners-up that are each half as likely as the one before."""
    runners_up = tuple((f"{token}~{rank}", logprob - 0.7 * rank) for rank in range(1, alternatives))
    top = ((token, logprob), *runners_up) if alternatives else ()
    return (TokenLogprob(token, logprob, top),)
