"""One span for each call of a model, below that of the request: what was asked for, who answered, what it cost.

A call is one `Model.stream`: eight attempts that are drawn at once are one call of eight choices, however many HTTP
exchanges and retries that takes. A request that is passed on is one call too.

The cost is counted as `compute` counts it, so that the calls of a request add up to its account. An attempt that was
broken off on purpose is no error: its finish reason is "cancelled".
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, Model, Request, Sampling, Spend
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai.trace import TRACED_CALL, TracedCall
from nlrl.server.http.call import Call
from nlrl.server.http.errors import ApiError
from nlrl.server.observe import genai_names as names
from nlrl.server.observe.request_span import RequestSpan, known

CHARS = 200  # of what a client or an upstream wrote
_WORD = re.compile(r"\w{1,40}")
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')  # no text in JSON can hold this: its quotes are escaped
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"(\w{1,20})"')


def kind_of(error: Exception) -> str:
    """An error's name, never its words: they may quote a prompt."""
    return (error.code or str(error.status)) if isinstance(error, ApiError) else type(error).__name__


class CallSpan:
    """The span of a call for `n` completions, which is made in `traced`."""

    def __init__(self, request: RequestSpan, sampling: Sampling, n: int, *, stream: bool | None = None) -> None:
        ask, api = request.ask, request.telemetry.api
        remote = isinstance(ask.model, OpenAIModel)
        model = ask.model.model if isinstance(ask.model, OpenAIModel) else ask.model.name
        operation = names.TEXT_COMPLETION if ask.legacy and ask.way == "forward" else names.CHAT
        attributes = {
            names.OPERATION: operation,
            names.PROVIDER: names.OPENAI if remote else "nlrl",
            names.REQUEST_MODEL: model,
            names.REQUEST_CHOICES: n if n != 1 else None,
            names.REQUEST_STREAM: stream or None,
            names.REQUEST_MAX_TOKENS: sampling.max_tokens,
            names.REQUEST_TEMPERATURE: sampling.temperature,
            names.REQUEST_TOP_P: sampling.top_p,
            names.REQUEST_TOP_K: sampling.top_k,
            names.REQUEST_SEED: sampling.seed,
        }
        if isinstance(ask.model, OpenAIModel):
            attributes["server.address"], attributes["server.port"] = _place(ask.model.base_url)
        kind = api.SpanKind.CLIENT if remote else api.SpanKind.INTERNAL
        above = api.set_span_in_context(request.span)
        self.span = request.telemetry.tracer.start_span(f"{operation} {model}", above, kind, known(attributes))
        headers: dict[str, str] = {}
        request.telemetry.w3c.inject(headers, api.set_span_in_context(self.span))
        self.traced = TracedCall(headers, "" if remote else model)
        self._request = request

    def end(self, spent: Spend, reasons: Sequence[str], failure: str | None, *, counted: bool = True) -> None:
        """It is over.

        failure  why it failed as a whole, None if it did not
        counted  the model has told the length of the prompt
        """
        found = {
            names.RESPONSE_MODEL: self.traced.answering[:CHARS] or None,
            names.FINISH_REASONS: reasons or None,
            names.INPUT_TOKENS: spent.prompt_tokens,
            names.CACHED_TOKENS: spent.cached_tokens or None,
            names.OUTPUT_TOKENS: spent.completion_tokens,
            "nlrl.usage.cancelled_tokens": spent.cancelled_tokens or None,
            "nlrl.usage.estimated_tokens": spent.estimated_tokens or None,
        }
        self.span.set_attributes(known(found))
        if failure:
            self._request.telemetry.fail(self.span, failure)
        self._request.ended(self.span, spent, counted=counted)


async def forwarded(request: RequestSpan, call: Call, exchange: Awaitable[None]) -> None:
    """`exchange`, which passes `call` on, in a span. Finish reasons and model are read out of what it sends."""
    ask, send = request.ask, call._send
    own = ask.body.keys() & {"max_tokens", "max_completion_tokens"}
    sampling = ask.sampling if own else replace(ask.sampling, max_tokens=None)  # else it is only our bound
    span = CallSpan(request, sampling, ask.n, stream=ask.stream)
    reasons: list[str] = []
    failure = None

    def sending(message: MutableMapping[str, Any]) -> Awaitable[None]:
        body = message.get("body", b"")
        if not span.traced.answering and (found := _MODEL.search(body)):
            span.traced.answering = found[1].decode("utf-8", "replace")
        if b'"finish_reason"' in body:
            reasons.extend(reason.decode() for reason in _FINISH.findall(body))
        return send(message)

    call._send = sending
    inside = TRACED_CALL.set(span.traced)
    try:
        await exchange
    except asyncio.CancelledError:
        reasons += ["cancelled"] * (ask.n - len(reasons))
        raise
    except Exception as error:
        failure = kind_of(error)
        raise
    finally:
        TRACED_CALL.reset(inside)
        call._send = send
        span.end(request.ledger.paid, reasons[: ask.n], failure)


class TracedModel:
    """A model for one request, each of whose calls has a span; see Model."""

    def __init__(self, model: Model, request: RequestSpan) -> None:
        self._model, self._request = model, request

    @property
    def name(self) -> str:
        """As the model's."""
        return self._model.name

    @property
    def can(self) -> Capabilities:
        """As the model's."""
        return self._model.can

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)  # what some models have beyond the protocol

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model."""
        stream = self.stream(request)
        try:
            found = {delta.index: delta.completion async for delta in stream if delta.completion}
        finally:
            await stream.aclose()
        return [found[index] for index in sorted(found)]

    def stream(self, request: Request) -> _TracedStream:
        """As the model's."""
        return _TracedStream(self._model.stream(request), request, self._request)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """As the model's."""
        return await self._model.count_prompt_tokens(messages, prefill)

    async def aclose(self) -> None:
        """Nothing: the model belongs to the server."""


class _TracedStream:
    """A model's stream. Its span ends when it is closed, since only then has a broken stream told what it cost."""

    def __init__(self, stream: AsyncIterator[Delta], request: Request, above: RequestSpan) -> None:
        ask = above.ask
        as_asked = ask.way == "raw" and ask.direct  # the client's own body, to which nothing of ours is added
        self._stream, self._n = stream, request.n
        self._span = CallSpan(above, ask.sampling if as_asked else request.sampling, request.n)
        self._done: dict[int, Completion] = {}
        self._partial: dict[int, int] = {}  # tokens of attempts that are not done
        self._error: Exception | None = None
        self._open = True
        self._bills: dict[int, Completion] | None = None
        if hasattr(stream, "cut"):
            self.cut = self._cut

    def __aiter__(self) -> _TracedStream:
        return self

    async def __anext__(self) -> Delta:
        inside = TRACED_CALL.set(self._span.traced)
        try:
            delta = await anext(self._stream)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._error = error
            raise
        finally:
            TRACED_CALL.reset(inside)
        if delta.completion is None:
            self._partial[delta.index] = self._partial.get(delta.index, 0) + delta.tokens
        else:
            self._done[delta.index] = delta.completion
        return delta

    async def aclose(self) -> None:
        """Close the model's stream, and the span."""
        try:
            await self._stream.aclose()  # type: ignore[attr-defined]  # streams are generators, or act as such
        finally:
            if self._open:
                self._open = False
                self._end()

    def _cut(self) -> dict[int, Completion]:
        """As the model's stream tells; asked once, since what a cut draw may have cost grows with time."""
        if self._bills is None:
            self._bills = self._stream.cut()  # type: ignore[attr-defined]
        return self._bills or {}

    def _end(self) -> None:
        ended = list(self._done.values())
        counted = hasattr(self, "cut")
        if counted:
            cut = {i: bill for i, bill in self._cut().items() if i not in self._done}
        else:  # charged with a prompt too, which only the whole account will tell
            begun = [i for i in range(self._n) if i in self._partial or not self._error]
            cut = {i: _unfinished(self._partial.get(i, 0)) for i in begun if i not in self._done}
        each = [*ended, *cut.values()]
        lost = sum(c.lost_completion_tokens for c in each)
        thrown_away = sum(c.completion_tokens for c in cut.values()) + lost
        spent = Spend(
            calls=sum(c.calls for c in each),
            prompt_tokens=sum(c.prompt_tokens + c.lost_prompt_tokens for c in each),
            cached_tokens=sum(c.cached_tokens for c in each),
            completion_tokens=sum(c.completion_tokens for c in ended) + thrown_away,
            cancelled_tokens=thrown_away,
            estimated_tokens=sum(c.estimated_tokens for c in each),
        )
        broken = "error" if self._error else "cancelled"
        reasons = [str(self._done[at].finish) if at in self._done else broken for at in range(self._n)]
        failure = kind_of(self._error) if self._error else None
        if ended and not any(c.ok for c in ended) and len(ended) == self._n:
            first = _WORD.match(ended[0].error or "")
            failure = failure or (first[0] if first else "_OTHER")
        self._span.end(spent, reasons, failure, counted=counted or not cut)


def _unfinished(tokens: int) -> Completion:
    return Completion("", Finish.CANCELLED, tokens)


@functools.lru_cache
def _place(base_url: str) -> tuple[str, int]:
    import httpx

    url = httpx.URL(base_url)
    return url.host, url.port or (443 if url.scheme == "https" else 80)
