"""A strategy's answer as server-sent events: its gists while it works, then the answer, then the account.

    data: {"choices": [{"index": 0, "delta": {"reasoning": "[s3] 17 + 25 = 42\\n"}}]}     gists, each with its attempt
    data: {"choices": [{"index": 0, "delta": {"content": "Final Answer: 42"}}]}
    data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "nlrl": {...}}
    data: [DONE]

A single plain attempt (`direct`) needs no waiting: its own tokens are the content, as they come. While nothing happens,
comments keep the connection open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from nlrl.core import Delta
from nlrl.server.api.gists import Gists
from nlrl.server.api.replies import Replies
from nlrl.server.api.solving import Choice, Solved, Watch
from nlrl.server.http.call import Call
from nlrl.server.http.errors import ApiError

_KEEP_ALIVE = b": keep-alive\n\n"
_encode = msgspec.json.Encoder().encode
Work = Callable[[Watch], Awaitable[Solved]]


async def stream(call: Call, replies: Replies, work: Work, heartbeat_s: float) -> Solved:
    """Run `work` and send what comes of it. Raises what it raises; an answer that has begun is ended by the caller."""
    chunks: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    ask = replies.ask
    watch = _Tokens(replies, chunks.put_nowait) if ask.direct else _Gists(replies, chunks.put_nowait)
    task = asyncio.ensure_future(work(watch))
    task.add_done_callback(lambda _: chunks.put_nowait(None))
    try:
        going = True
        while going:
            try:
                async with asyncio.timeout(heartbeat_s):
                    ready = [await chunks.get()]
            except TimeoutError:
                await _begin(call, replies)
                await call.event(_KEEP_ALIVE)
                continue
            while not chunks.empty():
                ready.append(chunks.get_nowait())
            going = None not in ready
            if found := [chunk for chunk in ready if chunk is not None]:
                await _begin(call, replies)
                await call.event(b"".join(map(_event, found)))
        solved = await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await _begin(call, replies)
    ends = [chunk for at, choice in enumerate(solved.choices) for chunk in _answer(replies, at, choice, watch)]
    ends += replies.last(solved)
    await call.event(b"".join(map(_event, ends)) + b"data: [DONE]\n\n", last=True)
    return solved


async def _begin(call: Call, replies: Replies) -> None:
    if call.started:
        return
    await call.begin_events()
    if not replies.ask.legacy:
        roles = (replies.chunk(at, delta={"role": "assistant", "content": ""}) for at in range(replies.ask.n))
        await call.event(b"".join(map(_event, roles)))


def _answer(replies: Replies, at: int, choice: Choice, watch: _Tokens | _Gists) -> list[dict[str, Any]]:
    """The content of a choice, as far as it was not sent already."""
    if tool_calls := replies.said(choice).get("tool_calls"):
        content = replies.said(choice).get("content")
        numbered = [{"index": i, **call} for i, call in enumerate(tool_calls)]
        return [replies.chunk(at, delta={"content": content, "tool_calls": numbered})]
    sent = watch.sent(at)
    if not choice.text.startswith(sent):
        raise ApiError(502, "The upstream broke off and was asked again: the text above is not the answer.")
    rest = choice.text[len(sent) :]
    scored = choice.completion.logprobs if choice.completion and not sent else None
    return [replies.chunk(at, content=rest, logprobs=scored or ())] if rest else []


class _Tokens:
    """For plain attempts: attempt i is choice i, and its text the content."""

    def __init__(self, replies: Replies, put: Callable[[dict[str, Any]], None]) -> None:
        self._replies, self._put = replies, put
        self._sent: dict[int, list[str]] = {}
        self._mute = replies.raw is not None  # calls of tools are not text

    def __call__(self, name: str, delta: Delta) -> None:
        at = int(name[1:])
        if self._mute or not (delta.text or delta.reasoning):
            return
        self._sent.setdefault(at, []).append(delta.text)
        self._put(
            self._replies.chunk(
                at,
                content=delta.text or None,
                reasoning=delta.reasoning or None,
                logprobs=delta.logprobs if delta.text else (),
            )
        )

    def sent(self, at: int) -> str:
        return "".join(self._sent.get(at, ()))


class _Gists:
    """For strategies: lines of their attempts, as reasoning of the first choice."""

    def __init__(self, replies: Replies, put: Callable[[dict[str, Any]], None]) -> None:
        self._replies, self._put = replies, put
        self._gists = Gists()

    def __call__(self, name: str, delta: Delta) -> None:
        if self._replies.ask.legacy:  # has no place for them
            return
        if lines := self._gists.take(name, delta):
            self._put(self._replies.chunk(0, reasoning="".join(f"[{name}] {line}\n" for line in lines)))

    def sent(self, at: int) -> str:
        return ""


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"
