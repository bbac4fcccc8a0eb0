"""Equipment of `server_faults`: an upstream that misbehaves on command, the server before it, and what was seen."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from equipment.marks import Marks
from equipment.served import Served
from nlrl.testing.stub_server import Fault, Manners, StubServer

QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]
CHAT = "/v1/chat/completions"
PLAIN = Manners()
SINGLE = Manners(n="refused", refusal="parameter n is not supported")  # so that every attempt is a call of its own


class Bench(Marks):
    """One upstream and one server before it; `line` notes what was seen."""

    def __init__(self, stub: StubServer, server: Served, quick: bool = False) -> None:
        super().__init__("server_faults", quick)
        self.stub, self.server = stub, server
        self.http = httpx.Client(base_url=server.url, timeout=60, verify=False)

    def behave(
        self, manners: Manners = PLAIN, faults: Callable[[int, Mapping[str, Any]], Fault | None] | None = None
    ) -> None:
        """From now on. Faults are called with the number of the request since now."""
        self.wait(lambda: self.stub.in_flight == 0, 5)
        first, self.stub.manners = self.stub.requests, manners
        self.stub.faults = lambda number, body: faults(number - first, body) if faults else None

    def ask(self, model: str, **fields: Any) -> httpx.Response:
        return self.http.post(CHAT, json={"model": model, "messages": QUESTION, "max_tokens": 64, **fields})

    def counted(self) -> tuple[int, int]:
        return self.stub.prompt_tokens, self.stub.completion_tokens

    def wait(self, true: Callable[[], bool], seconds: float) -> float:
        """Seconds until it is true, at most `seconds`."""
        began = time.monotonic()
        while not true() and time.monotonic() - began < seconds:
            time.sleep(0.005)
        return time.monotonic() - began


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def usage_equals(bench: Bench, before: tuple[int, int], usage: Mapping[str, Any] | None) -> tuple[bool, str]:
    now = bench.counted()
    upstream = (now[0] - before[0], now[1] - before[1])
    ours = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
    return ours == upstream, f"usage {ours}, upstream {upstream}"


def send_only(server: Served, body: dict[str, Any]) -> socket.socket:
    """A request that nobody waits for; closing the socket is leaving."""
    raw = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    plug = socket.create_connection(server.address)
    plug.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(raw) + raw)
    return plug
