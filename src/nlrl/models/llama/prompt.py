"""From messages to prompt tokens, by the model's own chat template and tokenizer.

Both live in the engine and are reached through its side door. Text of the messages is never read as control tokens:
a problem that contains "<|im_end|>" stays a problem that contains these ten characters, and cannot close its turn.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from nlrl.core import Message, ModelError, PromptTooLong, UserError

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]  # (route, JSON) -> JSON

MAX_TOKEN_CHARS = 1024  # no vocabulary holds a longer token (the longest known are runs of 256 spaces)
_PROBE = 32  # characters per token of context that are counted first, to refuse a huge prompt in no time
_ROLES = ("system", "user", "assistant")


def prompt_tokens(ask: Ask, messages: Sequence[Message], prefill: str, context_tokens: int) -> list[int]:
    """The prompt as tokens: the messages, the opening of the assistant's turn, and `prefill`.

    Raises UserError for messages that cannot be sent, PromptTooLong if the prompt is larger than the context by so
    much that it is not worth counting. (A prompt that is a little too long is returned: the caller compares.)
    """
    if not messages:
        raise UserError("There are no messages to send to the model: write a question.")
    for message in messages:
        if message.role not in _ROLES:
            raise UserError(f"A message's role must be one of {', '.join(_ROLES)}, got {message.role!r}.")
    contents = [_clean(message.content) for message in messages]
    prefill = _clean(prefill)
    _refuse_huge(ask, "".join(contents) + prefill, context_tokens)
    if any(_has_control(ask, content) for content in contents):
        return _tokens_by_parts(ask, messages, contents, prefill)
    return _tokenize(ask, _template(ask, messages, contents) + prefill)


def _template(ask: Ask, messages: Sequence[Message], contents: Sequence[str]) -> str:
    turns = [{"role": m.role, "content": content} for m, content in zip(messages, contents, strict=True)]
    return ask("/apply-template", {"messages": turns})["prompt"]


def _tokenize(ask: Ask, text: str, *, special: bool = True, first: bool = True) -> list[int]:
    return ask("/tokenize", {"content": text, "add_special": first, "parse_special": special})["tokens"]


def _has_control(ask: Ask, content: str) -> bool:
    """Whether the text contains the spelling of a control token. All of them have brackets or a bar."""
    if not any(sign in content for sign in "<[|"):
        return False
    return _tokenize(ask, content, first=False) != _tokenize(ask, content, special=False, first=False)


def _tokens_by_parts(ask: Ask, messages: Sequence[Message], contents: Sequence[str], prefill: str) -> list[int]:
    """Tokens of template and contents apart. Only then can what the template says be told from what a message says."""
    marks = [f"@{secrets.token_hex(8)}@" for _ in contents]
    rest = _template(ask, messages, marks) + prefill
    tokens: list[int] = []
    for mark, content in zip(marks, contents, strict=True):
        before, found, rest = rest.partition(mark)
        if not found:
            raise ModelError("The model's chat template does not repeat every message, so this one cannot be sent.")
        tokens += _tokenize(ask, before, first=not tokens) if before else []
        tokens += _tokenize(ask, content, special=False, first=False) if content else []
    return tokens + (_tokenize(ask, rest, first=not tokens) if rest else [])


def _refuse_huge(ask: Ask, text: str, context_tokens: int) -> None:
    too_long = len(text) > MAX_TOKEN_CHARS * context_tokens
    if not too_long and len(text) > _PROBE * context_tokens:
        # a part of a text has as many tokens as the whole has there, give or take the one at the cut
        too_long = len(_tokenize(ask, text[: _PROBE * context_tokens], special=False)) > context_tokens
    if too_long:
        raise too_long_error(f"of {len(text):,} characters", context_tokens)


def too_long_error(size: str, context_tokens: int) -> PromptTooLong:
    """The error that says so, with the next step."""
    return PromptTooLong(
        f"A prompt {size} does not fit into the context of {context_tokens:,} tokens. "
        "Shorten it, or load the model with more context (context_tokens=...)."
    )


def _clean(text: str) -> str:
    """Half a surrogate pair cannot be sent as UTF-8; it becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
