"""From messages to token ids, and from token ids back to text as it streams.

    prompts.ids((user("Hi"),))                  the chat template's ids, ready for the answer
    prompts.ids((user("Hi"),), "Final Answer:") the same, with the answer begun

A prefill is appended to the template's generation prompt. (`continue_final_message` would instead render it as a past
turn, and reasoning templates cut the thinking out of past turns: text that a model wrote could not be continued from
where it stands.) What the control tokens of a chat spell has no power when it stands in a message.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

from nlrl.core import Message, ModelError, UserError

CONTEXT = 8  # prompt tokens that are decoded together with the first new ones, for the space between them
HEAD_CHARACTERS = 16  # characters looked at for each token allowed, before a whole text is tokenised
HELD = 8  # tokens held back at most while they do not yet make whole characters (UTF-8 needs four)


class Prompts:
    """A tokenizer and its chat template, safe to use from several threads."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._lock = threading.Lock()  # for encoding: a fast tokenizer keeps the call's settings in itself
        self._pieces: dict[int, str] = {}
        added = tokenizer.added_tokens_decoder.values()
        template = str(tokenizer.chat_template or "")
        self._control = tuple(t.content for t in added if t.content.strip() and (t.special or t.content in template))
        self._sanitizes = "sanitize_control_tokens" in inspect.signature(tokenizer.apply_chat_template).parameters
        self._anchor = self._encode("a")[-1:]

    def ids(self, messages: Sequence[Message], prefill: str = "") -> list[int]:
        """The prompt's token ids, at least one. Without a chat template: their plain text, a blank line apart."""
        if not messages:
            raise UserError("A request needs at least one message.")
        with self._lock:
            ids = self._chat(messages, prefill) if self._tokenizer.chat_template else self._plain(messages, prefill)
        if ids:
            return ids
        for first in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if first is not None:
                return [first]
        raise ModelError("The prompt is empty, and this tokenizer has no token to begin a text with.")

    def surely_exceeds(self, messages: Sequence[Message], tokens: int) -> bool:
        """Whether the messages have more tokens than that, seen from their beginning: megabytes are not tokenised."""
        head, size = "", HEAD_CHARACTERS * tokens
        for message in messages:
            head += message.content[: size - len(head)]
        if len(head) < size:
            return False
        with self._lock:
            return len(self._encode(head)) > tokens + len(messages)  # where messages meet, two tokens may be one

    def text(self, ids: Sequence[int]) -> str:
        """The ids as text, without special tokens."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def piece(self, token: int) -> str:
        """One token as text, the space before it and special tokens included."""
        if token not in self._pieces:
            decode = self._tokenizer.decode
            before = decode(self._anchor, clean_up_tokenization_spaces=False)
            both = decode([*self._anchor, token], clean_up_tokenization_spaces=False)
            self._pieces[token] = both[len(before) :]
        return self._pieces[token]

    def _chat(self, messages: Sequence[Message], prefill: str) -> list[int]:
        chat = [{"role": message.role, "content": _clean(message.content)} for message in messages]
        if self._sanitizes and any(token in message.content for message in messages for token in self._control):
            ids = self._apply(chat, tokenize=True, return_dict=False, sanitize_control_tokens=True)
            return [*ids, *(self._encode(prefill) if prefill else ())]
        return self._encode(self._apply(chat, tokenize=False) + prefill)

    def _apply(self, chat: list[dict[str, str]], **options: Any) -> Any:
        from jinja2 import TemplateError  # pyright: ignore[reportMissingImports]  # comes with torch

        try:
            return self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, **options)
        except TemplateError as error:
            first, *rest = chat
            if first["role"] == "system" and rest and rest[0]["role"] == "user":  # some templates know no system role
                merged = {"role": "user", "content": f"{first['content']}\n\n{rest[0]['content']}"}
                return self._apply([merged, *rest[1:]], **options)
            raise ModelError(f"The model's chat template refuses these messages: {error}.") from error

    def _plain(self, messages: Sequence[Message], prefill: str) -> list[int]:
        bos = self._tokenizer.bos_token_id
        # some tokenizers begin a text with it, some do not; some also put an end token after it, where none must be
        begin = [bos] if bos is not None and self._tokenizer.encode("")[:1] == [bos] else []
        return begin + self._encode("\n\n".join(message.content for message in messages) + prefill)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(_clean(text), add_special_tokens=False)


def _clean(text: str) -> str:
    """Half a surrogate pair has no UTF-8, and tokenizers refuse it; it becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


class Detokenizer:
    """Turns tokens into text one by one; holds back what is not yet a whole character.

    context  the last tokens before the first one: whether a space stands between depends on them
    """

    def __init__(self, text: Callable[[Sequence[int]], str], context: Sequence[int] = ()):
        self._text = text
        self._known = list(context)[-CONTEXT:]  # tokens whose text is out
        self._held: list[int] = []

    def push(self, token: int) -> str:
        """Add a token; returns the text that is now complete."""
        self._held.append(token)
        new = self._new()
        if new.endswith("\ufffd") and len(self._held) < HELD:
            return ""
        return self._release(new)

    def flush(self) -> str:
        """What is still held back, as it is."""
        return self._release(self._new()) if self._held else ""

    def _new(self) -> str:
        return self._text(self._known + self._held)[len(self._text(self._known)) :]

    def _release(self, new: str) -> str:
        self._known = (self._known + self._held)[-CONTEXT:]
        self._held = []
        return new
