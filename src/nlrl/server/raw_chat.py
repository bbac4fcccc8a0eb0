"""The client's own request as a model: for tools, images, and whatever else a text-only message cannot hold.

Each draw is one exchange with the upstream, whose body is the client's, but for n, seed and streaming. A draw that
calls tools has as its text a digest of what it calls: the names and the arguments as canonical JSON, in any order. So
votes over texts are votes over equivalence classes of calls: {"b": 1.0, "a": 2} and {"a": 2, "b": 1} agree.

    raw = RawChat(upstreams, model, ask.body)
    answer = await solve("self_consistency(n=8)", problem, Compute(raw, ...))
    raw.message(chosen.completion)                 # {"content": None, "tool_calls": [...]}, as the upstream wrote it

Only strategies that draw on the prompt itself can use it (`ask.VOTING`): what is sent is the client's prompt always.
Not streamed, so a cancelled draw costs what the upstream never tells.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, Request
from nlrl.models._openai_failures import CallFailed
from nlrl.models._openai_wire import read_chunk
from nlrl.models.openai import OpenAIModel
from nlrl.server.errors import ApiError
from nlrl.server.upstream import Upstreams

_IMAGE_TOKENS = 4096  # more than any provider charges for one; only for reservations
_OWN = ("n", "stream", "stream_options")


class RawChat:
    """One request's body, drawn on again and again; see Model."""

    def __init__(self, upstreams: Upstreams, model: OpenAIModel, body: dict[str, Any], *, voting: bool) -> None:
        """voting: attempts must differ, so they are sampled where the client does not say how."""
        self._upstreams, self._upstream, self._voting = upstreams, model, voting
        self._body = {name: value for name, value in body.items() if name not in _OWN}
        self._said: dict[str, dict[str, Any]] = {}

    @property
    def name(self) -> str:
        """That of the model behind it."""
        return self._upstream.name

    @property
    def can(self) -> Capabilities:
        """Each draw is its own exchange, and pays for its own prompt."""
        its = self._upstream.can
        return Capabilities(logprobs=True, seed=True, parameters=its.parameters, prices=its.prices)

    def message(self, completion: Completion) -> dict[str, Any]:
        """What the upstream's message held beside text; {} for a draw of text alone."""
        return self._said.get(completion.text, {})

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model."""
        return [delta.completion async for delta in self.stream(request) if delta.completion]

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """One delta for each draw, as they end. Raises ApiError if none of them can succeed."""
        draws = [asyncio.ensure_future(self._draw(request, index)) for index in range(request.n)]
        refused: list[ApiError] = []
        failed: list[Delta] = []
        try:
            for ended in asyncio.as_completed(draws):
                delta, error = await ended
                if error is None:
                    yield delta
                else:
                    refused.append(error)
                    failed.append(delta)
            if len(refused) == request.n:
                raise refused[0]
            for delta in failed:
                yield delta
        finally:
            for draw in draws:
                draw.cancel()
            await asyncio.gather(*draws, return_exceptions=True)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """An upper bound: no tokenizer emits more tokens than bytes, and an image counts as many as it can cost."""
        told = {name: value for name, value in self._body.items() if name in ("messages", "tools", "functions")}
        return _most_tokens(told)

    async def aclose(self) -> None:
        """Nothing: the connections are the server's."""

    async def _draw(self, request: Request, index: int) -> tuple[Delta, ApiError | None]:
        sampling = request.sampling
        ours: dict[str, Any] = {}
        if self._voting:
            ours = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        body = ours | self._body
        if "max_tokens" not in body and "max_completion_tokens" not in body:
            body["max_tokens"] = sampling.max_tokens
        if sampling.seed is not None:
            body["seed"] = sampling.seed + request.first_index + index
        begun = time.monotonic()
        try:
            async with self._upstreams.post(self._upstream, "/chat/completions", body) as reply:
                found = json.loads(await reply.whole())
            reading = read_chunk(found)
            if not reading.pieces:
                raise ApiError(502, "The upstream's answer holds no choices.", code="upstream_failed")
        except (ValueError, RecursionError, CallFailed) as error:
            return _broken(index, error), ApiError(502, f"The upstream's answer is not a completion: {error}.")
        except ApiError as error:
            return _broken(index, error), error
        piece, usage = reading.pieces[0], reading.usage
        message = found["choices"][0].get("message") or {}
        text, shown = piece.text, piece.text
        if calls := message.get("tool_calls"):
            text, shown = f"tool calls {digest(calls)}", _readable(calls)
            self._said.setdefault(text, {"content": message.get("content"), "tool_calls": calls})
        completion = Completion(
            text=text,
            finish=piece.finish or Finish.STOP,
            completion_tokens=usage.completion if usage else max(1, len(shown) // 4),
            prompt_tokens=usage.prompt if usage else 0,
            cached_tokens=usage.cached if usage else 0,
            reasoning=piece.reasoning,
            logprobs=piece.logprobs or None,
            seconds=time.monotonic() - begun,
            seed=body.get("seed"),
        )
        return Delta(index, shown, piece.reasoning, completion.completion_tokens, completion=completion), None


def digest(calls: Any) -> str:
    """The same for calls of the same functions with equal arguments, whatever their order and spelling."""
    said = sorted(json.dumps(_call(call), sort_keys=True) for call in calls)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _call(call: Any) -> list[Any]:
    inner = call.get("function") if isinstance(call, dict) else None
    if not isinstance(inner, dict):
        return [call]
    arguments = inner.get("arguments")
    try:
        return [inner.get("name"), _plain(json.loads(str(arguments)))]
    except (ValueError, RecursionError):
        return [inner.get("name"), arguments]


def _plain(value: Any) -> Any:
    """JSON has one kind of number: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _readable(calls: Any) -> str:
    lines = [_call(call) for call in calls]
    return "\n".join(f"{line[0]}({json.dumps(line[1]) if len(line) > 1 else ''})" for line in lines) + "\n"


def _most_tokens(value: Any) -> int:
    if isinstance(value, dict):
        if "image_url" in value:
            return _IMAGE_TOKENS
        return sum(len(key) + _most_tokens(inner) + 8 for key, inner in value.items())
    if isinstance(value, list):
        return sum(map(_most_tokens, value))
    return len(value.encode("utf-8", "replace")) if isinstance(value, str) else 8


def _broken(index: int, error: Exception) -> Delta:
    return Delta(index, completion=Completion("", Finish.ERROR, 0, error=f"upstream: {error}"))
