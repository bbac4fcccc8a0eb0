"""Many clients in one process, each asking again as soon as it has its answer.

    python benchmarks/equipment/load.py PORT CLIENTS SECONDS MOST_SECONDS PATIENCE_SECONDS < body.json

Prints one JSON object, see `Load.report`. The connections are opened before the clock starts. It stops after SECONDS,
but not before there was an answer for every client, and at MOST_SECONDS at the latest; a client that has waited for
PATIENCE_SECONDS hangs up, which is an error. What is then still on its way is waited for outside the measured time, so
that the server is idle when the next measurement begins.

Written straight on asyncio's protocols, because it shares the machine with what it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from statistics import quantiles
from typing import Any

try:
    import uvloop
except ImportError:  # not on Windows
    uvloop = None

RIGHT = b"42"  # what stands in every right answer
PAUSE_S = 0.2  # before a client that was hung up on comes again


class Client(asyncio.Protocol):
    """One connection, and the request on it."""

    def __init__(self, load: Load) -> None:
        self.load, self.held = load, b""
        self.began = 0.0  # of the request that waits for its answer, 0 for none
        self.transport: Any = None

    def ask(self) -> None:
        self.held, self.began = b"", time.perf_counter()
        self.transport.write(self.load.request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.load.going:
            self.ask()

    def data_received(self, data: bytes) -> None:
        self.held += data
        end = self.held.find(b"\r\n\r\n")
        if end < 0 or not self.began:
            return
        head = self.held[:end].lower()
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.held) < end + 4 + size:
            return
        status = head[9:12].decode("latin-1")
        took, self.began = time.perf_counter() - self.began, 0.0
        if status != "200":
            self.load.failed(f"status {status}")
        elif RIGHT not in self.held[end:]:
            self.load.failed("wrong answer")
        else:
            self.load.answered(took)
        if head.startswith(b"http/1.0") or b"connection: close" in head:
            self.transport.close()
        elif self.load.going:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        waited, self.began = self.began > 0, 0.0
        if waited:
            self.load.failed("hung up on")
        self.load.lost(self, PAUSE_S if waited else 0.0)


class Load:
    """All clients of one measurement."""

    def __init__(self, port: int, clients: int, patience_s: float, body: bytes) -> None:
        self.port, self.n, self.patience_s = port, clients, patience_s
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer none\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body
        self.going = self.over = False
        self.took: list[float] = []
        self.errors: Counter[str] = Counter()
        self.all_answers = 0
        self.clients: set[Client] = set()
        self._coming: set[asyncio.Task[None]] = set()

    def answered(self, seconds: float) -> None:
        self.all_answers += 1
        if self.going:
            self.took.append(seconds)

    def failed(self, why: str) -> None:
        self.errors[why] += 1

    def lost(self, client: Client, pause_s: float) -> None:
        """A connection has ended; its client comes again."""
        self.clients.discard(client)
        if not self.over:
            task = asyncio.ensure_future(self._connect(pause_s))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _connect(self, pause_s: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause_s)
            try:
                _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
                self.clients.add(client)
                return
            except OSError:
                self.failed("no connection")
                if self.over:
                    return
                pause_s = 1.0

    async def run(self, seconds: float, most_s: float) -> dict[str, Any]:
        opening = [asyncio.ensure_future(self._connect()) for _ in range(self.n)]
        _, late = await asyncio.wait(opening, timeout=self.patience_s)
        self._coming |= late
        began, self.going = time.perf_counter(), True
        for client in list(self.clients):
            client.ask()
        while (past := time.perf_counter() - began) < most_s:
            if past >= seconds and len(self.took) >= self.n:
                break
            await asyncio.sleep(min(0.5, max(0.01, seconds - past)))
            self._hang_up(self.patience_s)
        window, self.going, self.over = time.perf_counter() - began, False, True
        deadline = time.perf_counter() + self.patience_s
        while any(client.began for client in self.clients) and time.perf_counter() < deadline:
            await asyncio.sleep(0.05)
            self._hang_up(self.patience_s)
        self._hang_up(0.0)
        for task in self._coming:
            task.cancel()
        for client in list(self.clients):
            client.transport.close()
        return self.report(window, time.perf_counter() - began)

    def _hang_up(self, patience_s: float) -> None:
        late = time.perf_counter() - patience_s
        for client in [client for client in self.clients if client.began and client.began <= late]:
            client.began = 0.0
            self.failed(f"no answer in {self.patience_s:.0f} s")
            client.transport.abort()

    def report(self, window_s: float, whole_s: float) -> dict[str, Any]:
        """Answers and seconds of the measured window, their latency, and errors; `all_answers`, `whole_s` and `cpu_s`
        go to the end of the last answer."""
        cut = quantiles(self.took, n=100, method="inclusive") if len(self.took) > 1 else [0.0] * 99
        return {
            "answers": len(self.took),
            "window_s": window_s,
            "p50_ms": cut[49] * 1e3,
            "p99_ms": cut[98] * 1e3,
            "errors": dict(self.errors),
            "all_answers": self.all_answers,
            "whole_s": whole_s,
            "cpu_s": time.process_time(),
        }


def main() -> None:
    port, clients = int(sys.argv[1]), int(sys.argv[2])
    seconds, most_s, patience_s = map(float, sys.argv[3:])
    load = Load(port, clients, patience_s, sys.stdin.buffer.read())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        print(json.dumps(runner.run(load.run(seconds, most_s))))


if __name__ == "__main__":
    main()
