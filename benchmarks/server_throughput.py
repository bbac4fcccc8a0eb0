"""Requests per second at 256 clients: passing requests through, and voting over eight attempts.

    python benchmarks/server_throughput.py                    # 3 turns of 8 s for each kind
    python benchmarks/server_throughput.py --quick            # 1 turn of 2 s, no peers
    python benchmarks/server_throughput.py --its-hub ~/its/bin/python --optillm ~/opti/bin/python

One upstream on 127.0.0.1 answers after 50 ms. 256 clients, in one process of their own (`equipment/load.py`), each ask
again as soon as they have their answer; first the upstream itself, which shows what the clients and the upstream can
reach, then the same through each server, in turns (A B C D, A B C D). A kind's figure is the median of its turns.

    bare proxy       uvicorn, httptools and aiohttp with nothing else to it (`equipment/bare_proxy.py`)
    nlrl serve       as it is installed, with --quiet. A vote of 8 is one call with n=8 where the upstream gives that;
                     "by 8 calls" is the same at an upstream that gives one choice a call
    its_hub 1.2.0    its "iaas" server, self-consistency with a budget of 8 (it has no pass-through: budget 1)
    optillm 0.4.0    approach "none", and "self_consistency", which always draws 5, one after the other

Everything shares the machine's processors, the clients and the upstream too. So beside the rate stand the processor
milliseconds of each process for an answer, which the others disturb far less. A peer that fails at 256 clients is asked
by half as many, until it answers without an error; its best rate at either counts. A server that leaves requests
unanswered is restarted.

Marks: passed through, at least half of the bare proxy; passed through and voted, each 3 times its_hub and 20 times
optillm. Votes are compared like for like first, by as many calls on both sides, and then as each server is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from equipment.marks import Marks
from equipment.servers import HERE, Server, ask, bare_proxy, end_orderly, its_hub, nlrl_serve, optillm, upstream

CLIENTS = 256
DELAY_S = 0.05
PATIENCE_S, MOST_S = 120.0, 150.0  # for one answer, and for one turn
OF_BARE, TIMES_ITS_HUB, TIMES_OPTILLM = 0.5, 3.0, 20.0
PLAIN = {"model": "stub", "messages": [{"role": "user", "content": "What is 17 + 25?"}], "max_tokens": 64}


@dataclass
class Turn:
    """One measurement: what the clients report, and what the processes used meanwhile."""

    clients: int
    said: dict[str, Any]
    server_cpu_s: float
    upstream_cpu_s: float
    peak_mb: float
    calls: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.said["answers"] / self.said["window_s"]

    @property
    def broken(self) -> bool:
        return bool(self.said["errors"])

    def each_ms(self, cpu_s: float) -> float:
        """Processor milliseconds for an answer."""
        return cpu_s / max(1, self.said["all_answers"]) * 1e3


@dataclass
class Kind:
    """A way to ask, and what has been measured of it."""

    name: str
    server: Server
    body: dict[str, Any]
    peer: bool = False
    clients: int = CLIENTS
    turns: list[Turn] = field(default_factory=list)
    failed: list[Turn] = field(default_factory=list)
    opened: int = 0  # connections at the upstream, from the first request on

    @property
    def best(self) -> float:
        """The most answers a second: the median of its turns, or what it did while it failed."""
        return max([median(turn.rate for turn in self.turns), *(turn.rate for turn in self.failed)])

    def measure(self, up: Server, clients: int, seconds: float) -> Turn:
        """One turn. A server that leaves requests unanswered is restarted."""
        numbers = [str(self.server.port), str(clients), str(seconds), str(MOST_S), str(PATIENCE_S)]
        before = _counts(up)
        self.server.forget_peak()
        cpu, up_cpu = self.server.cpu_s(), up.cpu_s()
        raw = subprocess.run(
            [sys.executable, str(HERE / "load.py"), *numbers],
            input=json.dumps(self.body).encode(),
            stdout=subprocess.PIPE,
            check=True,
            timeout=MOST_S + 3 * PATIENCE_S,
        )
        after = _counts(up)
        turn = Turn(
            clients=clients,
            said=json.loads(raw.stdout),
            server_cpu_s=self.server.cpu_s() - cpu,
            upstream_cpu_s=up.cpu_s() - up_cpu,
            peak_mb=self.server.peak_mb(),
            calls=after["answers"] - before["answers"],
        )
        self.opened += after["opened"] - before["opened"]
        if turn.broken and self.server is not up:
            self.server.restart()
        return turn

    def settle(self, up: Server, seconds: float) -> None:
        """Warm up; and for a peer, find how many clients it can bear."""
        self.measure(up, 8, min(1.0, seconds))
        while self.peer and self.clients > 1:
            tried = self.measure(up, self.clients, min(2.0, seconds))
            if not tried.broken:
                return
            self.failed.append(tried)
            print(f"  {self.name} at {self.clients} clients: {_shown(tried.said)}", flush=True)
            self.clients //= 2


def _counts(up: Server) -> dict[str, int]:
    """The upstream's own count: connections and answers."""
    return json.loads(ask(up.port, "GET", "/counts")[1])


def start_all(stack: ExitStack, args: argparse.Namespace) -> tuple[Server, dict[str, Kind]]:
    """The upstream, and every kind by name."""
    start = stack.enter_context
    up = start(upstream(DELAY_S))
    ours, proxy = start(nlrl_serve(up.url)), start(bare_proxy(up.url))
    vote = "self_consistency(n=8)@"
    kinds = [
        Kind("the upstream itself", up, PLAIN),
        Kind("bare proxy", proxy, PLAIN),
        Kind("ours, passed through", ours, PLAIN),
        Kind("ours, vote of 8", ours, {**PLAIN, "model": vote + "stub"}),
        Kind("ours, vote by 8 calls", ours, {**PLAIN, "model": vote + "one"}),
    ]
    if args.its_hub:
        theirs = start(its_hub(args.its_hub, up.url))
        kinds += [
            Kind("its_hub, budget 1", theirs, {**PLAIN, "budget": 1}, peer=True),
            Kind("its_hub, vote of 8", theirs, {**PLAIN, "budget": 8}, peer=True),
        ]
    if args.optillm:
        theirs = start(optillm(args.optillm, up.url))
        kinds += [
            Kind("optillm, approach none", theirs, {**PLAIN, "model": "none-stub"}, peer=True),
            Kind("optillm, vote of 5", theirs, {**PLAIN, "model": "self_consistency-stub"}, peer=True),
        ]
    return up, {kind.name: kind for kind in kinds}


def table(kinds: dict[str, Kind]) -> list[dict[str, Any]]:
    """Print a row for each kind, and return them."""
    heads = ("clients", "req/s", "p50 ms", "p99 ms", "errors", "peak MB", "conns", "calls", "cpu ms", "up ms", "client")
    print(f"\n  {'':24}" + "".join(f"{head:>9}" for head in heads))
    rows = []
    for kind in kinds.values():
        turns = kind.turns
        errors: Counter[str] = sum((Counter(turn.said["errors"]) for turn in turns), Counter())
        row = {
            "kind": kind.name,
            "clients": kind.clients,
            "per_s": median(turn.rate for turn in turns),
            "per_s_each": [round(turn.rate, 1) for turn in turns],
            "p50_ms": median(turn.said["p50_ms"] for turn in turns),
            "p99_ms": median(turn.said["p99_ms"] for turn in turns),
            "answers": sum(turn.said["all_answers"] for turn in turns),
            "errors": sum(errors.values()),
            "errors_by_kind": dict(errors),
            "failed_at": {turn.clients: turn.said["errors"] for turn in kind.failed},
            "peak_mb": max(turn.peak_mb for turn in turns),
            "connections": kind.opened,
            "calls": sum(turn.calls for turn in turns) / max(1, sum(turn.said["all_answers"] for turn in turns)),
            "cpu_ms": median(turn.each_ms(turn.server_cpu_s) for turn in turns),
            "upstream_cpu_ms": median(turn.each_ms(turn.upstream_cpu_s) for turn in turns),
            "client_cpu_ms": median(turn.each_ms(turn.said["cpu_s"]) for turn in turns),
            "cpu_s": sum(turn.server_cpu_s for turn in turns),
            "upstream_cpu_s": sum(turn.upstream_cpu_s for turn in turns),
            "client_cpu_s": sum(turn.said["cpu_s"] for turn in turns),
        }
        rows.append(row)
        print(
            f"  {kind.name:24}{kind.clients:9}{row['per_s']:9.1f}{row['p50_ms']:9.1f}{row['p99_ms']:9.1f}"
            f"{row['errors']:9}{row['peak_mb']:9.0f}{kind.opened:9}{row['calls']:9.2f}"
            f"{row['cpu_ms']:9.3f}{row['upstream_cpu_ms']:9.3f}{row['client_cpu_ms']:9.3f}"
        )
    print("  conns: connections opened at the upstream; calls: completions asked of it for an answer; cpu, up, client:")
    print("  processor ms of the server, the upstream and the clients for an answer; all share the processors\n")
    for row in rows:
        parts = (row["cpu_s"], row["upstream_cpu_s"], row["client_cpu_s"])
        server, stub, client = (f"{part:.1f} s" for part in parts)
        print(f"  {row['kind']:24} {row['answers']} answers; processor: server {server}, upstream {stub},", end=" ")
        print(f"clients {client}")
        for clients, errors in row["failed_at"].items():
            print(f"  {'':24} at {clients} clients: {errors}")
        if row["errors"]:
            print(f"  {'':24} errors: {row['errors_by_kind']}")
    return rows


def judge(kinds: dict[str, Kind], marks: Marks) -> None:
    """Every mark that was measured: ratios, and errors of ours."""
    pairs = [("ours, passed through", "bare proxy", OF_BARE)]
    for peer, times in (("its_hub, budget 1", TIMES_ITS_HUB), ("optillm, approach none", TIMES_OPTILLM)):
        pairs.append(("ours, passed through", peer, times))
    for peer, times in (("its_hub, vote of 8", TIMES_ITS_HUB), ("optillm, vote of 5", TIMES_OPTILLM)):
        pairs += [("ours, vote by 8 calls", peer, times), ("ours, vote of 8", peer, times)]
    for ours, other, times in pairs:
        if other in kinds:
            ratio = kinds[ours].best / max(kinds[other].best, 1e-9)
            met = marks.timing(f"requests a second, {ours} / {other}", ratio, at_least=times)
            print(f"mark: {ours} / {other} >= {times:g}: {'met' if met else 'NOT met'} ({ratio:.2f})")
    wrong = sum(sum(turn.said["errors"].values()) for kind in kinds.values() if not kind.peer for turn in kind.turns)
    marks.exact("errors of ours", wrong, equal_to=0)


def _shown(said: dict[str, Any]) -> str:
    return f"{said['answers']} answers in {said['window_s']:.0f} s, errors {said['errors'] or 'none'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short turn, for a look")
    parser.add_argument("--its-hub", help="the Python of an environment with its_hub[iaas] 1.2.0")
    parser.add_argument("--optillm", help="the Python of an environment with optillm 0.4.0")
    args = parser.parse_args()
    marks = Marks("server_throughput", args.quick)
    turns, seconds = (1, 2.0) if args.quick else (3, 8.0)
    print(f"{CLIENTS} clients, upstream of {DELAY_S * 1e3:.0f} ms, {turns} turns of at least {seconds:.0f} s")
    print(f"{os.cpu_count()} processors hold the server, the upstream and the clients", flush=True)
    end_orderly()
    with ExitStack() as stack:
        up, kinds = start_all(stack, args)
        for kind in kinds.values():
            kind.settle(up, seconds)
        for number in range(turns):
            for kind in kinds.values():
                turn = kind.measure(up, kind.clients, seconds)
                kind.turns.append(turn)
                print(f"  turn {number + 1}  {kind.name:24} {turn.rate:8.1f}/s  {_shown(turn.said)}", flush=True)
        rows = table(kinds)
    ceiling = kinds["the upstream itself"].best
    fastest = max(kind.best for kind in kinds.values() if kind.name != "the upstream itself")
    print(
        f"\nThe clients reach {ceiling:.0f}/s at the upstream itself ({CLIENTS / DELAY_S:.0f}/s were possible);",
        end=" ",
    )
    print(f"the fastest server gets {fastest / ceiling:.0%} of that.")
    judge(kinds, marks)
    return marks.result(clients=CLIENTS, rows=rows)


if __name__ == "__main__":
    sys.exit(main())
