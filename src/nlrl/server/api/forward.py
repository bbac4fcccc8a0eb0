"""The short way: a plain request to an upstream, passed through as it came, and counted.

The body goes up unread but for its `model`; the answer comes down as it is, byte for byte. Usage is read out of it on
the way: at the end of a stream it is asked for in any case, and taken out again if the client had not asked.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from nlrl.compute import Ledger
from nlrl.compute.bill import price
from nlrl.core import NOTHING, Budget, Phase, Spend
from nlrl.models.openai.wire import read_chunk
from nlrl.models.token_bounds import body_bound, text_bound, unheard
from nlrl.server.api.ask import Ask
from nlrl.server.api.unwatched import Unwatched
from nlrl.server.api.upstream import Broken, Reply, Upstreams
from nlrl.server.http.call import Call
from nlrl.server.http.errors import ApiError
from nlrl.transport.failures import CallFailed

_KEEP_ALIVE = b": keep-alive\n\n"
_MOST_REST = 8 << 20  # bytes of one event
_CONTENT = re.compile(rb'"(?:content|reasoning_content|reasoning|text|arguments|refusal)":\s*"((?:[^"\\]|\\.)*)"')


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Seen(Struct):
    """What is read of an answer, or of the last event of a stream."""

    choices: list[msgspec.Raw]
    usage: _Usage | None = None


_seen = msgspec.json.Decoder(_Seen).decode


async def forward(
    call: Call, ask: Ask, upstreams: Upstreams, *, payer: Ledger, known: Unwatched, heartbeat_s: float
) -> None:
    """Answer `call` with what the upstream says. Raises ApiError where that is no answer.

    known  what has been learnt of the model, and is learnt here
    """
    body = dict(ask.body)
    if payer.budget != Budget() and not body.keys() & {"max_tokens", "max_completion_tokens"}:
        body["max_tokens"] = ask.sampling.max_tokens  # what is set aside must be a bound
    own = body.get("stream_options")
    if ask.stream and known.counts_streams:
        body["stream_options"] = {**(own or {}), "include_usage": True}
    hold = payer.reserve(_bound(ask, payer))

    def pay(spent: Spend) -> None:  # once: a hold that is settled stays so
        payer.settle(hold, Phase.SAMPLE, price(ask.model.can, spent))

    exchange = _Exchange(call, ask, upstreams, known, heartbeat_s, pay)
    try:
        try:
            await exchange.run(body)
        except ApiError as error:
            if own or "stream_options" not in body or "stream_options" not in error.message or call.started:
                raise
            known.counts_streams = False  # an old server, which never heard of it: neither had the client
            del body["stream_options"]
            await exchange.run(body)
    finally:
        pay(exchange.spent)


@dataclass
class _Exchange:
    """One try. `spent` holds what it cost, whatever becomes of it; an answer is paid for before its last byte goes."""

    call: Call
    ask: Ask
    upstreams: Upstreams
    known: Unwatched
    heartbeat_s: float
    pay: Callable[[Spend], None]
    spent: Spend = NOTHING

    async def run(self, body: dict[str, Any]) -> None:
        ask, known = self.ask, self.known.model._known
        route = "/completions" if ask.legacy else "/chat/completions"
        since: float | None = None
        spent: Spend | None = None

        def begun() -> None:
            nonlocal since
            since = time.monotonic()

        try:
            async with self.upstreams.post(self.known.model, route, body, begun) as reply:
                if reply.streamed:
                    secret = self.known.model._target.secret.encode()
                    flow = _Events(self.call, ask.include_usage, secret, known.stream_usage is True)
                    try:
                        end = await flow.run(reply, self.heartbeat_s)
                    except BaseException:
                        spent = None if flow.usage is None else self._spend(flow.usage, 0)
                        raise
                    known.stream_usage = flow.usage is not None
                    spent = self._ended(self._spend(flow.usage, flow.text_bytes), since)
                    await self.call.event(end, last=True)
                    return
                raw = await reply.whole()
                spent = self._ended(self._spend(_read(raw), len(raw)), since)
            if ask.stream:
                await self.call.begin_events()
                await self.call.event(_as_events(raw, ask.include_usage), last=True)
            else:
                told = ((b"x-nlrl-estimated-tokens", str(spent.estimated_tokens).encode()),)
                await self.call.reply(raw, headers=told if spent.estimated_tokens else ())
        except (Broken, asyncio.CancelledError):
            if spent is None and since is not None:  # nobody will ever tell what had been generated by now
                spent = self._cut(time.monotonic() - since)
            raise
        finally:
            self.spent = self.spent + (spent or NOTHING)

    def _ended(self, spent: Spend, since: float | None) -> Spend:
        """Pay for it, and see how fast it was."""
        if since is not None:
            seconds = max(time.monotonic() - since, 1e-3)
            self.known.model._known.learn_speed(spent.completion_tokens / self.ask.n / seconds)
        self.pay(spent)
        return spent

    def _spend(self, told: _Usage | None, size: int) -> Spend:
        """What it cost, as the upstream told; where it told nothing, the most that `size` bytes can be."""
        ask = self.ask
        if told is None or not told.prompt_tokens + told.completion_tokens:
            prompt = body_bound(ask.body)
            most = ask.sampling.max_tokens
            completion = text_bound(size + ask.n, None if most is None else most * ask.n)
            return Spend(
                calls=ask.n,
                prompt_tokens=prompt,
                completion_tokens=completion,
                estimated_tokens=prompt + completion,
            )
        cached = told.prompt_tokens_details.cached_tokens if told.prompt_tokens_details else 0
        return Spend(
            calls=ask.n,
            prompt_tokens=told.prompt_tokens,
            cached_tokens=min(cached or 0, told.prompt_tokens),
            completion_tokens=told.completion_tokens,
        )

    def _cut(self, seconds: float) -> Spend:
        ask, known = self.ask, self.known.model._known
        tokens = ask.n * unheard(seconds if ask.stream else None, known.tokens_per_s, ask.sampling.max_tokens, 0)
        prompt = body_bound(ask.body)
        return Spend(
            calls=ask.n,
            prompt_tokens=prompt,
            completion_tokens=tokens,
            cancelled_tokens=tokens,
            estimated_tokens=prompt + tokens,
        )


def _bound(ask: Ask, payer: Ledger) -> Spend:
    """The most it may cost; nothing need be set aside for a payer without limits. Raises ApiError 429."""
    if payer.budget == Budget():
        return NOTHING
    completion = ask.n * (ask.sampling.max_tokens or 0)
    bound = Spend(calls=ask.n, prompt_tokens=body_bound(ask.body), completion_tokens=completion)
    if payer.blocker(bound) is not None:
        left = payer.remaining.tokens or 0
        raise ApiError(
            429,
            f"This key has {left:,} tokens left; this request may take {bound.tokens:,}. Lower max_tokens.",
            code="insufficient_quota",
        )
    return bound


def _read(raw: bytes) -> _Usage | None:
    try:
        return _seen(raw).usage
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:  # some servers write what a strict reader refuses: half an emoji, or a usage of nulls
        reading = read_chunk(json.loads(raw))
    except (ValueError, RecursionError, CallFailed):
        raise ApiError(502, "The upstream's answer is not a completion.", code="upstream_failed") from None
    counted = reading.usage
    return _Usage(counted.prompt, counted.completion, _Details(counted.cached)) if counted else None


def _odd_usage(raw: bytes) -> _Usage | None:
    """Of an event that a strict reader refuses: counts written as 12.0 or "12"."""
    try:
        counted = read_chunk(json.loads(raw)).usage
    except (ValueError, RecursionError, CallFailed):
        return None
    return _Usage(counted.prompt, counted.completion, _Details(counted.cached)) if counted else None


def _as_events(raw: bytes, include_usage: bool) -> bytes:
    """The whole answer of an upstream that does not stream, for a client that wants a stream."""
    said = json.loads(raw)
    usage = said.pop("usage", None)
    said["object"] = str(said.get("object", "chat.completion")).removesuffix(".chunk")
    said["object"] += ".chunk" if said["object"] == "chat.completion" else ""
    for choice in said["choices"]:
        if isinstance(choice, dict) and "message" in choice:
            choice["delta"] = choice.pop("message")
    chunks = [said] + [{**said, "choices": [], "usage": usage}] * bool(usage and include_usage)
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


class _Events:
    """A stream passed on event by event.

    usage       as the upstream told it
    text_bytes  of what it wrote, counted unless it is known to tell its usage
    secret      our key, which an upstream may show in an error
    """

    def __init__(self, call: Call, include_usage: bool, secret: bytes, tells_usage: bool) -> None:
        self._call, self._include_usage, self._secret, self._tells_usage = call, include_usage, secret, tells_usage
        self._rest = b""
        self.usage: _Usage | None = None
        self.text_bytes = 0
        self._finished = self._done = False

    async def run(self, reply: Reply, heartbeat_s: float) -> bytes:
        """All but the last bytes, which are returned."""
        call = self._call
        await call.begin_events()
        async for part in reply.parts(heartbeat_s):
            if part is None:
                await call.event(_KEEP_ALIVE)
                continue
            if events := self._complete(part):
                self._done = self._done or b"data: [DONE]" in events[-32:]
                await call.event(events)
        if not (self._done or self._finished):
            raise ApiError(502, "The upstream's stream broke off before its end.", code="upstream_failed")
        return b"" if self._done else b"data: [DONE]\n\n"

    def _complete(self, part: bytes) -> bytes:
        """The events that `part` completes, all but the usage nobody asked for."""
        data = self._rest + part
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            if len(data) > _MOST_REST:
                raise ApiError(502, "The upstream sends an event without end.", code="upstream_failed")
            self._rest = data
            return b""
        whole, self._rest = data[:end], data[end:]
        if not self._tells_usage:
            self.text_bytes += sum(map(len, _CONTENT.findall(whole)))
        self._finished = self._finished or b'"finish_reason":"' in whole or b'"finish_reason": "' in whole
        if b'"error"' in whole and len(self._secret) >= 8:  # not a placeholder such as "none"
            whole = whole.replace(self._secret, b"[key]")
        if b'"usage"' not in whole:
            return whole
        return b"".join(event + b"\n\n" for event in whole.split(b"\n\n") if event and self._wanted(event))

    def _wanted(self, event: bytes) -> bool:
        at = event.find(b"data:")
        if at < 0 or b'"usage"' not in event:
            return True
        try:
            seen = _seen(event[at + 5 :])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.usage = _odd_usage(event[at + 5 :]) or self.usage
            return True  # not ours to judge
        self.usage = seen.usage or self.usage
        return self._include_usage or bool(seen.choices) or seen.usage is None
