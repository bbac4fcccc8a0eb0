"""The JSON of /v1/chat/completions: a Request as a payload, and pieces of answers as `Reading`s.

    payload(model, request, first=0, n=4, use=Use(n=True)) -> {"model": ..., "messages": [...], "n": 4, "stream": true}
    read_chunk({"choices": [{"index": 0, "delta": {"content": "4"}}]}) -> Reading((Piece(0, "4"),), None)

Only what was set is sent. What comes back is believed only where it has the right type: anything else is a
`wrong_schema` failure, never a crash and never a made-up completion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nlrl.core import Finish, Request, TokenLogprob, UserError
from nlrl.models.openai.trace import heard
from nlrl.transport.failures import CallFailed, FailureKind, from_error_object

_FINISH = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "tool_calls": Finish.STOP,
    "function_call": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.FILTER,
}
_LOWEST_LOGPROB = -9999.0  # what servers send for "impossible"; minus infinity cannot be written as JSON


@dataclass(frozen=True, slots=True)
class Use:
    """Which optional fields one payload uses. Servers differ in which of them they accept."""

    n: bool = True
    stream: bool = True
    stream_options: bool = True
    continuous_usage_stats: bool = True  # vLLM, SGLang: usage on every chunk, so that a cut stream is counted exactly
    max_tokens: bool = True  # False: under the name that OpenAI's reasoning models demand, max_completion_tokens

    def without(self, names: frozenset[str]) -> Use:
        """The same with some fields left out."""
        return replace(self, **dict.fromkeys(names, False))


@dataclass(frozen=True, slots=True)
class Counted:
    """One usage object of a server."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk says about one choice."""

    index: int
    text: str = ""
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One chunk. `whole`: it is a complete answer of a server that does not stream. `done`: the server said [DONE]."""

    pieces: tuple[Piece, ...] = ()
    usage: Counted | None = None
    whole: bool = False
    done: bool = False


def payload(
    model: str, request: Request, *, first: int, n: int, use: Use, grammar_field: str | None, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The body that asks for `n` draws, the first of which is draw `first` of the request."""
    sampling = request.sampling
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    body: dict[str, Any] = {"model": model, "messages": messages}
    for name in ("temperature", "top_p", "top_k", "min_p"):
        if (value := getattr(sampling, name)) is not None:
            body[name] = value
    if sampling.max_tokens is not None:
        body["max_tokens" if use.max_tokens else "max_completion_tokens"] = sampling.max_tokens
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed + request.first_index + first
    if sampling.logprobs is not None:
        body["logprobs"] = True
        if sampling.logprobs > 0:
            body["top_logprobs"] = sampling.logprobs
    if sampling.json_schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": json_schema(sampling.json_schema)}
    if sampling.grammar is not None and grammar_field:
        body[grammar_field] = sampling.grammar
    if request.prefill:
        messages.append({"role": "assistant", "content": request.prefill})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if n > 1:
        body["n"] = n
    if use.stream:
        body["stream"] = True
        if use.stream_options:
            body["stream_options"] = {"include_usage": True}
            if use.continuous_usage_stats:
                body["stream_options"]["continuous_usage_stats"] = True
    return {**body, **extra}


def read_chunk(body: Any, *, secret: str = "") -> Reading:
    """One chunk of a stream, or a whole answer. Raises CallFailed where it is neither."""
    if not isinstance(body, dict):
        said = f"expected an object, got {type(body).__name__}"
        raise CallFailed(FailureKind.WRONG_SCHEMA, said, refusal=True)
    if body.get("error"):
        raise from_error_object(body["error"], secret=secret)
    heard(body)
    choices = body.get("choices")
    usage = _usage(body)
    if choices is None and usage is not None:
        choices = []
    if not isinstance(choices, list):
        said = f'no list of "choices" among the keys {sorted(map(str, body))[:8]}'
        raise CallFailed(FailureKind.WRONG_SCHEMA, said, refusal=True)
    return Reading(tuple(_piece(choice, at) for at, choice in enumerate(choices)), usage)


def json_schema(text: str) -> dict[str, Any]:
    """`Sampling.json_schema` as servers want it. Raises UserError if it is not a JSON object."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"sampling.json_schema is not JSON ({error}). Give a JSON Schema as text.") from error
    if not isinstance(schema, dict):
        raise UserError(f"sampling.json_schema must be a JSON object, got {text[:40]!r}. Give a JSON Schema as text.")
    return {"name": "answer", "schema": schema, "strict": True}


def apportion(total: int, weights: list[int]) -> list[int]:
    """Split `total` in proportion to `weights`, so that the parts add up exactly (largest remainder).

    >>> apportion(10, [2, 1, 1])
    [5, 3, 2]
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _piece(choice: Any, position: int) -> Piece:
    said = (choice.get("delta") or choice.get("message") or {}) if isinstance(choice, dict) else None
    if not isinstance(said, dict):
        raise CallFailed(FailureKind.WRONG_SCHEMA, "a choice is not an object with a delta or a message")
    index = choice.get("index", position)
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise CallFailed(FailureKind.WRONG_SCHEMA, f"a choice has the index {index!r:.40}")
    text, thought = _content(said.get("content"))
    refusal, _ = _content(said.get("refusal"))
    reasoning = _string(said.get("reasoning_content")) or _string(said.get("reasoning")) or thought
    finish = choice.get("finish_reason")
    if finish == "error":
        raise CallFailed(FailureKind.SERVER_ERROR, "the server ended the completion with finish_reason error")
    if finish is not None and not isinstance(finish, str):
        raise CallFailed(FailureKind.WRONG_SCHEMA, f"a choice has the finish_reason {finish!r:.40}")
    ended = _FINISH.get(finish, Finish.STOP) if finish else None
    if refusal and ended is Finish.STOP:
        ended = Finish.FILTER
    return Piece(index, text + refusal, reasoning, _logprobs(choice.get("logprobs")), ended)


def _content(value: Any) -> tuple[str, str]:
    """(text, thought) of a content field: null, a string, or a list of parts."""
    if value is None:
        return "", ""
    if isinstance(value, str):
        return _mend(value), ""
    if not isinstance(value, list):
        raise CallFailed(FailureKind.WRONG_SCHEMA, f"content is of type {type(value).__name__}")
    text = thought = ""
    for part in value:
        if not isinstance(part, dict):
            raise CallFailed(FailureKind.WRONG_SCHEMA, "content is a list of something else than objects")
        if part.get("type") == "thinking":
            thought += _content(part.get("thinking"))[0]
        else:
            text += _string(part.get("text"))
    return text, thought


def _string(value: Any) -> str:
    return _mend(value) if isinstance(value, str) else ""


def _mend(text: str) -> str:
    """Lone surrogates (half of an escaped emoji) cannot be written to any file: show them as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list):
        return ()
    tokens: list[TokenLogprob] = []
    for entry in content:
        if not isinstance(entry, dict):
            raise CallFailed(FailureKind.WRONG_SCHEMA, "logprobs hold something else than objects")
        top = entry.get("top_logprobs")
        alternatives = tuple(
            (_string(other.get("token")), _logprob(other.get("logprob")))
            for other in (top if isinstance(top, list) else ())
            if isinstance(other, dict)
        )
        tokens.append(TokenLogprob(_string(entry.get("token")), _logprob(entry.get("logprob")), alternatives))
    return tuple(tokens)


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _LOWEST_LOGPROB
    if value != value:  # NaN
        return _LOWEST_LOGPROB
    return float(min(0.0, max(_LOWEST_LOGPROB, value)))


def _usage(body: dict[str, Any]) -> Counted | None:
    raw = body.get("usage")
    if raw is None and isinstance(body.get("x_groq"), dict):
        raw = body["x_groq"].get("usage")
    if not isinstance(raw, dict):
        return None
    prompt, completion = _count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens"))
    if prompt is None or completion is None or prompt + completion == 0:  # all zeros: a field that is not filled in
        return None
    details = raw.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Counted(prompt, completion, min(cached or 0, prompt))


def _count(value: Any) -> int | None:
    """A number of tokens, also where a server writes it as 12.0 or "12"; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:18])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        return None
    return int(value) if value == int(value) else None
