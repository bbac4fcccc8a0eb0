"""What the server adds to one upstream call: passing a request through, and voting over eight attempts.

    python benchmarks/server_latency.py                       # 400 rounds at 0 ms, 150 at 50 ms
    python benchmarks/server_latency.py --quick
    python benchmarks/server_latency.py --its-hub ~/its/bin/python --optillm ~/opti/bin/python

One upstream on 127.0.0.1, in a process of its own, answers after 0 or 50 ms. One client asks it directly, and then the
same through each server, in turns: a round is one call of every kind, so whatever else the machine does falls on all of
them alike. Reported is how much longer than the direct calls each kind took: at the median, at the 99th percentile, and
at the 10th, which is nearest to what an idle machine would show. And how long the server's process worked for a call.

Beside ours stands a proxy with nothing to it on the same libraries (`equipment/bare_proxy.py`), which shows what any
further process costs on this machine. And, where the Python of an environment that has them is given:
    its_hub 1.2.0    its "iaas" server, self-consistency with a budget of 8 (it has no pass-through: budget 1)
    optillm 0.4.0    approach "none", and "self_consistency", which always draws 5, one after the other

Marks: pass-through adds at most 1.5 ms (median, at 0 and at 50 ms); self-consistency of 8 takes at most 1.1 times one
upstream call of 50 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import sys
import time
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from equipment.marks import Marks
from equipment.servers import Server, bare_proxy, end_orderly, its_hub, nlrl_serve, optillm, upstream

MARK_MS = 1.5
MARK_TIMES = 1.1
QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]


# --- the client: one connection, one request at a time


class Client:
    """A kept connection to one server, and one kind of request on it."""

    def __init__(self, server: Server, body: dict[str, Any]) -> None:
        self.server = server
        self.raw = json.dumps(body).encode()
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> float:
        """Seconds of one call."""
        headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
        began = time.perf_counter()
        self.connection.request("POST", "/v1/chat/completions", self.raw, headers)
        answer = self.connection.getresponse()
        said = answer.read()
        took = time.perf_counter() - began
        if answer.status != 200 or b"42" not in said:
            raise SystemExit(f"An unexpected answer: {answer.status} {said[:300]!r}")
        return took


def start_all(stack: ExitStack, delay_ms: int, args: argparse.Namespace) -> dict[str, Client]:
    """Every kind of call by name; "bare" is the upstream itself."""
    start = stack.enter_context
    up = start(upstream(delay_ms / 1e3))
    ours = start(nlrl_serve(up.url))
    plain = {"model": "stub", "messages": QUESTION, "max_tokens": 64}
    clients = {
        "bare": Client(up, plain),
        "a bare proxy": Client(start(bare_proxy(up.url)), plain),
        "ours, passed through": Client(ours, plain),
        "ours, vote of 8": Client(ours, {**plain, "model": "self_consistency(n=8)@stub"}),
    }
    if args.its_hub:
        theirs = start(its_hub(args.its_hub, up.url))
        clients["its_hub, budget 1"] = Client(theirs, {**plain, "budget": 1})
        clients["its_hub, vote of 8"] = Client(theirs, {**plain, "budget": 8})
    if args.optillm:
        theirs = start(optillm(args.optillm, up.url))
        clients["optillm, approach none"] = Client(theirs, {**plain, "model": "none-stub"})
        clients["optillm, vote of 5"] = Client(theirs, {**plain, "model": "self_consistency-stub"})
    return clients


def measure(clients: dict[str, Client], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every call, by kind. Slow kinds are asked in fewer rounds."""
    for client in clients.values():
        for _ in range(5):
            client.ask()
    slow = {name: max(1, round(client.ask() / 0.2)) for name, client in clients.items()}
    took: dict[str, list[float]] = {name: [] for name in clients}
    for turn in range(rounds):
        for name, client in clients.items():
            if turn % slow[name] == 0:
                took[name].append(client.ask() * 1e3)
    return took


def cpu_ms(client: Client, calls: int = 100) -> float:
    """Processor milliseconds of one call, which a busy machine disturbs far less than its duration."""
    before = client.server.cpu_s()
    for _ in range(calls):
        client.ask()
    return (client.server.cpu_s() - before) / calls * 1e3


def percentile(values: list[float], rank: int) -> float:
    return quantiles(values, n=100, method="inclusive")[rank - 1] if len(values) > 1 else values[0]


def table(delay_ms: int, took: dict[str, list[float]], cpu: dict[str, float]) -> list[dict[str, Any]]:
    """Print the rows of one upstream delay, and return them."""
    bare = took["bare"]
    base, rows = median(bare), []
    print(f"\nUpstream of {delay_ms} ms; asked directly: p50 {base:.2f} ms, p99 {percentile(bare, 99):.2f} ms")
    heads = ("p50 ms", "p99 ms", "p10 added", "p50 added", "p99 added", "calls' time", *["cpu ms"] * bool(cpu))
    print(f"  {'':24} {'calls':>5}" + "".join(f"{head:>12}" for head in heads))
    for name, values in took.items():
        if name == "bare":
            continue
        row = {
            "delay_ms": delay_ms,
            "kind": name,
            "calls": len(values),
            "p50_ms": median(values),
            "p99_ms": percentile(values, 99),
            "added_p10_ms": percentile(values, 10) - percentile(bare, 10),
            "added_p50_ms": median(values) - base,
            "added_p99_ms": percentile(values, 99) - percentile(bare, 99),
            "times": median(values) / base,
            "cpu_ms": cpu.get(name),
        }
        rows.append(row)
        shown = ("p50_ms", "p99_ms", "added_p10_ms", "added_p50_ms", "added_p99_ms", "times")
        worked = f"{cpu[name]:10.2f}" if name in cpu else ""
        print(f"  {name:24} {len(values):5}" + "".join(f"{row[key]:12.2f}" for key in shown) + worked)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--its-hub", help="the Python of an environment with its_hub[iaas] 1.2.0")
    parser.add_argument("--optillm", help="the Python of an environment with optillm 0.4.0")
    args = parser.parse_args()
    marks = Marks("server_latency", args.quick)
    end_orderly()
    rows: list[dict[str, Any]] = []
    for delay_ms, rounds in ((0, 100), (50, 40)) if args.quick else ((0, 400), (50, 150)):
        with ExitStack() as stack:
            clients = start_all(stack, delay_ms, args)
            took = measure(clients, rounds)
            cpu = {} if delay_ms else {name: cpu_ms(client) for name, client in clients.items()}
            rows += table(delay_ms, took, cpu)
    passed = max(row["added_p50_ms"] for row in rows if row["kind"] == "ours, passed through")
    voted = next(row["times"] for row in rows if row["kind"] == "ours, vote of 8" and row["delay_ms"] == 50)
    print(
        f"\npass-through adds {passed:.2f} ms (mark {MARK_MS}); a vote of 8 takes {voted:.2f} calls (mark {MARK_TIMES})"
    )
    busy = os.getloadavg()[0]
    if busy > (os.cpu_count() or 1):
        print(f"The load is {busy:.1f}: other programs hold the processors, and these figures are mostly theirs.")
    for delay in dict.fromkeys(row["delay_ms"] for row in rows):
        added = next(r["added_p50_ms"] for r in rows if (r["kind"], r["delay_ms"]) == ("ours, passed through", delay))
        marks.timing(f"ms that passing through adds at {delay} ms", added, at_most=MARK_MS)
    marks.timing("a vote of 8, in calls of 50 ms", voted, at_most=MARK_TIMES)
    return marks.result(rows=rows)


if __name__ == "__main__":
    sys.exit(main())
