"""An OpenAI-compatible upstream whose streams last: a token now, and one every EVERY_SECONDS after it.

    python benchmarks/equipment/dripping_upstream.py PORT EVERY_SECONDS

Equipment of `server_streams.py`. An attempt has as many tokens as the request's `max_tokens`, and a text of its own, so
that words that went to the wrong client, got lost or came twice are found. The stream's name is the first word of the
last message.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fast_upstream import Upstream, run_upstream

LAST = "\nFinal Answer: 42"


def token(stream: str, attempt: int, at: int, tokens: int) -> str:
    """The token of an attempt at a place from 0 on. The first is a line of its own, the last is the answer."""
    return LAST if at == tokens - 1 else f"{stream}.{attempt}.{at}" + ("\n" if at % 4 == 0 else " ")


def text(stream: str, attempt: int, tokens: int) -> str:
    """The whole attempt."""
    return "".join(token(stream, attempt, at, tokens) for at in range(tokens))


class Dripping(Upstream):
    """Streams only."""

    every_s = 1.0

    def answer(self, body: dict[str, Any]) -> None:
        self.counts["answers"] += 1
        stream, n = body["messages"][-1]["content"].split(maxsplit=1)[0], body.get("n") or 1
        tokens = body["max_tokens"]
        usage = {"prompt_tokens": 12, "completion_tokens": n * tokens, "total_tokens": 12 + n * tokens}
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.drip(stream, n, tokens, 0, usage if wants_usage else None)

    def drip(self, stream: str, n: int, tokens: int, at: int, usage: dict[str, int] | None) -> None:
        if self.transport.is_closing():
            return
        last = at == tokens - 1
        events: list[dict[str, Any]] = []
        for i in range(n):
            delta = {"content": token(stream, i, at, tokens)}
            events.append({"choices": [{"index": i, "delta": delta, "finish_reason": "stop" if last else None}]})
        if last and usage:
            events.append({"choices": [], "usage": usage})
        head = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": "stub"}
        raw = "".join(f"data: {json.dumps({**head, **event})}\n\n" for event in events).encode()
        raw += b"data: [DONE]\n\n" * last
        self.transport.write(b"%x\r\n%b\r\n" % (len(raw), raw) + b"0\r\n\r\n" * last)
        if not last:
            asyncio.get_running_loop().call_later(self.every_s, self.drip, stream, n, tokens, at + 1, usage)


if __name__ == "__main__":
    Dripping.every_s = float(sys.argv[2])
    asyncio.run(run_upstream(int(sys.argv[1]), 0.0, Dripping))
