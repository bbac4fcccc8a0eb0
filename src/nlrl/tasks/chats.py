"""Prompts that are kept as chat messages: [{"role": "user", "content": "What is 2+3?"}, ...]."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nlrl.core import DataError

_ROLES = {
    "user": "user", "human": "user", "prompter": "user", "system": "system", "developer": "system",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
}  # fmt: skip


class Chat(NamedTuple):
    """What the user asks last, what was said before, and what the assistant replies."""

    question: str
    context: str
    reply: str | None


def messages_in(value: Any) -> list[tuple[str, str]] | None:
    """(role, text) of each chat message in a value, also where it is JSON text; None if it holds none.

    Raises DataError for messages that hold anything but text.
    """
    if isinstance(value, str) and value.lstrip().startswith("[") and '"role"' in value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return None
    found = []
    for message in value:
        if not isinstance(message, Mapping):
            return None
        role = message.get("role", message.get("from"))
        if not isinstance(role, str) or not ("content" in message or "value" in message):
            return None
        found.append((_ROLES.get(role.lower(), role.lower()), _content(message.get("content", message.get("value")))))
    return found


def chat_of(messages: Sequence[tuple[str, str]]) -> Chat:
    """The last question of a chat. Raises DataError where no user says anything."""
    asked = [i for i, (role, text) in enumerate(messages) if role == "user" and text.strip()]
    if not asked:
        raise DataError(f"the chat has no message of a user, only of: {', '.join(role for role, _ in messages)}")
    last = asked[-1]
    before = messages[:last]
    context = "\n".join(text if role == "system" else f"{role.capitalize()}: {text}" for role, text in before)
    reply = next((text for role, text in messages[last + 1 :] if role == "assistant"), None)
    return Chat(messages[last][1], context, reply)


def _content(content: Any) -> str:
    """The text of a message, which may be given in parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            return "\n".join(texts)
    raise DataError("the chat holds more than text; only text can be asked")
