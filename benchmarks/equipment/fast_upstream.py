"""An OpenAI-compatible upstream as fast as an asyncio server can be, so that it hides nothing of what stands before it.

    python benchmarks/equipment/fast_upstream.py PORT DELAY_SECONDS

Equipment of the server benchmarks: it answers every question alike. GET /counts tells the connections it was opened,
those open now, and the answers it gave. Asked for the model "one" it gives one choice, however many it is asked for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, ClassVar

WORDS = (" 17", " +", " 25", " is", " 42", ".", "\n", "Final", " Answer", ":")


class Upstream(asyncio.Protocol):
    """/v1/chat/completions, whole or streamed, with n choices; one in four answers 41 instead of 42."""

    delay_s = 0.0
    counts: ClassVar[dict[str, int]] = {"opened": 0, "open": 0, "answers": 0}

    def connection_made(self, transport: Any) -> None:
        self.transport, self.held = transport, b""
        self.counts["opened"] += 1
        self.counts["open"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.counts["open"] -= 1

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.held) < end + 4 + size:
                return
            body, self.held = self.held[end + 4 : end + 4 + size], self.held[end + 4 + size :]
            if head.startswith(b"get /counts"):
                self.say(b"200 OK", b"application/json", json.dumps(self.counts).encode())
            elif not head.startswith(b"post") or b"/chat/completions" not in head.split(b"\r\n", 1)[0]:
                self.say(b"404 Not Found", b"application/json", b"{}")
            else:
                asyncio.get_running_loop().call_later(self.delay_s, self.answer, json.loads(body))

    def answer(self, body: dict[str, Any]) -> None:
        self.counts["answers"] += 1
        n = 1 if body.get("model") == "one" else body.get("n") or 1
        texts = [(*WORDS, " 41" if i % 4 == 3 else " 42") for i in range(n)]
        usage = {"prompt_tokens": 12, "completion_tokens": n * (len(WORDS) + 1)}
        usage["total_tokens"] = sum(usage.values())
        head = {"id": "chatcmpl-0", "created": 0, "model": "stub"}
        if not body.get("stream"):
            choices = [
                {"index": i, "message": {"role": "assistant", "content": "".join(text)}, "finish_reason": "stop"}
                for i, text in enumerate(texts)
            ]
            said = {**head, "object": "chat.completion", "choices": choices, "usage": usage}
            self.say(b"200 OK", b"application/json", json.dumps(said).encode())
            return
        events = [
            {"index": i, "delta": {"content": text[at]}, "finish_reason": None}
            for at in range(len(WORDS) + 1)
            for i, text in enumerate(texts)
        ] + [{"index": i, "delta": {}, "finish_reason": "stop"} for i in range(n)]
        chunks = [{**head, "object": "chat.completion.chunk", "choices": [event]} for event in events]
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self.say(b"200 OK", b"text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode())

    def say(self, status: bytes, kind: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (status, kind, len(body))
        self.transport.write(head + body)


async def run_upstream(port: int, delay_s: float, kind: type[Upstream] = Upstream) -> None:
    kind.delay_s = delay_s
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run_upstream(int(sys.argv[1]), float(sys.argv[2])))
