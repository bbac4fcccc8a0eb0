"""The client's own request as a model: for tools, images, and whatever else a text-only message cannot hold.

Each draw is one exchange with the upstream, whose body is the client's, but for n, seed and streaming. A draw that
calls tools has as its text a digest of what it calls: the names and the arguments as canonical JSON, in any order. So
votes over texts are votes over equivalence classes of calls: {"b": 1.0, "a": 2} and {"a": 2, "b": 1} agree.

    raw = RawChat(upstreams, model, ask.body)
    answer = await solve("self_consistency(n=8)", problem, Compute(raw, ...))
    raw.message(chosen.completion)                 # {"content": None, "tool_calls": [...]}, as the upstream wrote it

Only strategies that draw on the prompt itself can use it (`ask.VOTING`): what is sent is the client's prompt always.
Not streamed, so what a cancelled draw has cost the upstream never tells: it is charged by its upper bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, Request
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai.wire import read_chunk
from nlrl.models.token_bounds import body_bound, byte_size, text_bound, unheard
from nlrl.server.api.upstream import Broken, Upstreams
from nlrl.server.http.errors import ApiError
from nlrl.transport.failures import CallFailed

_OWN = ("n", "stream", "stream_options")


class RawChat:
    """One request's body, drawn on again and again; see Model."""

    def __init__(self, upstreams: Upstreams, model: OpenAIModel, body: dict[str, Any], *, voting: bool) -> None:
        """voting: attempts must differ, so they are sampled where the client does not say how."""
        self._upstreams, self._upstream, self._voting = upstreams, model, voting
        self._body = {name: value for name, value in body.items() if name not in _OWN}
        self._said: dict[str, dict[str, Any]] = {}
        self._prompt_tokens: int | None = None  # as the upstream has told

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

    def stream(self, request: Request) -> _Draws:
        """One delta for each draw, as they end. Raises ApiError if none of them can succeed."""
        return _Draws(self, request)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """As the upstream has told for an earlier draw."""
        return self._prompt_tokens

    def prompt_bound(self, messages: Sequence[Message], prefill: str = "") -> int:
        """An upper bound over all that is sent, which is more than the messages' text."""
        return body_bound(self._body)

    async def aclose(self) -> None:
        """Nothing: the connections are the server's."""

    async def _draw(self, request: Request, index: int, begun: Callable[[], None]) -> tuple[Delta, ApiError | None]:
        sampling = request.sampling
        ours: dict[str, Any] = {}
        if self._voting:
            ours = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        body = ours | self._body
        if "max_tokens" not in body and "max_completion_tokens" not in body:
            body["max_tokens"] = sampling.max_tokens
        if sampling.seed is not None:
            body["seed"] = sampling.seed + request.first_index + index
        since = time.monotonic()
        try:
            async with self._upstreams.post(self._upstream, "/chat/completions", body, begun) as reply:
                found = json.loads(await reply.whole())
            reading = read_chunk(found)
            if not reading.pieces:
                raise ApiError(502, "The upstream's answer holds no choices.", code="upstream_failed")
        except Broken as error:
            bill = self.unheard(request)
            return Delta(index, completion=replace(bill, finish=Finish.ERROR, error=f"upstream: {error}")), error
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
        if usage and usage.prompt:
            self._prompt_tokens = usage.prompt
        prompt = self._prompt_tokens or body_bound(self._body)
        if usage and usage.completion:
            tokens = usage.completion
        else:
            said = json.dumps(message, ensure_ascii=False)
            tokens = len(piece.logprobs) + 1 if piece.logprobs else text_bound(byte_size(said), sampling.max_tokens)
        unsure = (0 if usage and usage.completion else tokens) + (0 if self._prompt_tokens else prompt)
        completion = Completion(
            text=text,
            finish=piece.finish or Finish.STOP,
            completion_tokens=tokens,
            prompt_tokens=prompt,
            cached_tokens=usage.cached if usage else 0,
            reasoning=piece.reasoning,
            logprobs=piece.logprobs or None,
            seconds=time.monotonic() - since,
            seed=body.get("seed"),
            estimated_tokens=unsure,
        )
        return Delta(index, shown, piece.reasoning, completion.completion_tokens, completion=completion), None

    def unheard(self, request: Request) -> Completion:
        """The bill of a draw that was begun, and of which nothing was heard."""
        tokens = unheard(None, None, request.sampling.max_tokens, 0)
        prompt = self._prompt_tokens or body_bound(self._body)
        unsure = tokens + (0 if self._prompt_tokens else prompt)
        return Completion("", Finish.CANCELLED, tokens, prompt_tokens=prompt, estimated_tokens=unsure)


class _Draws:
    """The draws of one request, each an exchange of its own."""

    def __init__(self, raw: RawChat, request: Request) -> None:
        self._raw, self._request = raw, request
        self._begun: set[int] = set()
        self._ended: dict[int, Delta] = {}
        self._handed_over: set[int] = set()
        self._deltas = self._run()

    def __aiter__(self) -> _Draws:
        return self

    async def __anext__(self) -> Delta:
        delta = await anext(self._deltas)
        self._handed_over.add(delta.index)
        return delta

    async def aclose(self) -> None:
        """Hang up."""
        await self._deltas.aclose()

    def cut(self) -> dict[int, Completion]:
        """What draws cost that were begun and not taken."""
        bills = {i: self._raw.unheard(self._request) for i in self._begun}
        bills |= {i: delta.completion for i, delta in self._ended.items() if delta.completion is not None}
        return {i: bill for i, bill in bills.items() if i not in self._handed_over and bill.calls}

    async def _draw(self, index: int) -> tuple[Delta, ApiError | None]:
        ended = await self._raw._draw(self._request, index, lambda: self._begun.add(index))
        self._ended[index] = ended[0]
        return ended

    async def _run(self) -> AsyncGenerator[Delta, None]:
        draws = [asyncio.ensure_future(self._draw(index)) for index in range(self._request.n)]
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
            if len(refused) == self._request.n:
                raise refused[0]
            for delta in failed:
                yield delta
        finally:
            for draw in draws:
                draw.cancel()
            await asyncio.gather(*draws, return_exceptions=True)


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


def _broken(index: int, error: Exception) -> Delta:
    return Delta(index, completion=Completion("", Finish.ERROR, 0, error=f"upstream: {error}", calls=0))
