"""The JSON bodies of requests as types: what is of the wrong type or out of range is said by its path.

Unknown fields are allowed here; `ask` decides about each of them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from nlrl.server.http.errors import ApiError

_Count = Annotated[int, Meta(ge=1, le=10**9)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Amount = Annotated[float, Meta(ge=0, le=1e30)]
_Stop = Annotated[str, Meta(max_length=1000)]


class ChatMessage(Struct):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(Struct):
    """OpenAI's."""

    include_usage: bool | None = None


class BudgetBody(Struct, forbid_unknown_fields=True):
    """Limits of this request, as in `core.Budget`."""

    tokens: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    calls: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    flops: _Amount | None = None
    seconds: _Amount | None = None
    cost: _Amount | None = None


class Extension(Struct, forbid_unknown_fields=True):
    """The one object of ours in a request.

    strategy  such as "weighted_vote(n=8)"
    budget    limits; the best answer so far comes when one is reached
    task      what kind of answer is voted on; guessed from the question if not given
    """

    strategy: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    budget: BudgetBody | None = None
    task: Literal["math", "coding", "commonsense", "writing"] | None = None


class ChatBody(Struct):
    """/v1/chat/completions, as far as it is read here."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    min_p: _Share | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    tools: list[dict[str, Any]] | None = None
    nlrl: Extension | None = None


class CompletionBody(Struct):
    """/v1/completions, as far as it differs: one prompt of text, and a number as `logprobs`."""

    model: Annotated[str, Meta(min_length=1)]
    prompt: str | Annotated[list[str], Meta(min_length=1, max_length=1)]
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


_PATH = re.compile(r" - at `(.*?)`$")


def read_chat(body: dict[str, Any]) -> ChatBody:
    """The body as a ChatBody. Raises ApiError 400 with the field's path."""
    return _convert(body, ChatBody)


def chat_from_completion(body: dict[str, Any]) -> dict[str, Any]:
    """A body of /v1/completions as the chat request it is served as: the prompt is asked as one user message.

    Raises ApiError 400.
    """
    legacy = _convert(body, CompletionBody)
    prompt = legacy.prompt if isinstance(legacy.prompt, str) else legacy.prompt[0]
    chat = {name: value for name, value in body.items() if name not in ("prompt", "logprobs")}
    if legacy.logprobs is not None:
        chat |= {"logprobs": True, "top_logprobs": legacy.logprobs}
    return {**chat, "messages": [{"role": "user", "content": prompt}]}


def _convert(body: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        said = str(error)
        path = _PATH.search(said)
        param = path.group(1).removeprefix("$").removeprefix(".") if path else None
        if missing := re.search(r"missing required field `(\w+)`", said):
            param = f"{param}.{missing.group(1)}" if param else missing.group(1)
        where = f"{param}: " if param else ""
        raise ApiError(400, f"{where}{_PATH.sub('', said)}.", param=param, code="invalid_value") from None
