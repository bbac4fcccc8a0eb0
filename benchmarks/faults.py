"""A faulty upstream: are the results complete, the failures named, and is the ledger the upstream's own count?

    python benchmarks/faults.py            # 128 problems of 4 draws for each fault, 64 requests in flight
    python benchmarks/faults.py --quick    # 64 problems of 2 draws

For each fault a real HTTP server on 127.0.0.1 fails in that way on every third request (every fifth where it takes
seconds, every one where the row says "always"), and counts by its own definition (see `nlrl.testing.stub_server`). On
the other side stands everything a strategy has: `Compute.sample` over `OpenAIModel`, with its retries, its ledger and
its bank.

The mark, in every row: each draw is a completion or a failure with a name, and `ledger.paid` (prompt + completion
tokens, broken tries included) equals the server's count to the token, but for what it labels as estimated: an upper
bound, charged where the server has told nothing, and never below its count. And all 64 requests were in flight at once
where the server is slow enough for it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

from equipment.marks import Marks
from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import ModelError, Problem, Sampling, user
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai.model import Patience
from nlrl.testing.stub_server import Fault, Manners, StubServer

IN_FLIGHT = 64
CALM = Manners(token_seconds=0.01)  # slow enough for requests to overlap
CROWD = Manners(token_seconds=0.08)  # so slow that they do, however busy this machine is
BRISK = Manners(token_seconds=0.002)  # where refusals bring the number in flight down to a few
PATIENCE = Patience(connect_s=20, read_s=20, try_s=60, total_s=120, retries=12, backoff_s=0.05, max_backoff_s=0.5)
# where waiting too long is the fault; far above what a busy machine needs for a healthy answer
SHORT = replace(PATIENCE, read_s=2.5, try_s=5.0)
PAGE = b"<html><head><title>502</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Row:
    """One line of the table. `every`: each how manieth request fails; 1 is always."""

    name: str
    fault: Fault | Callable[[], Fault] | None
    manners: Manners = CALM
    patience: Patience = PATIENCE
    every: int = 3
    host: str = "127.0.0.1"


@dataclass
class Outcome:
    """What came of one row."""

    draws: int
    ok: int
    failed: Counter[str]
    raised: Counter[str]
    requests: int
    retries: int
    ours: int
    upstream: int
    estimated: int
    most_in_flight: int
    seconds: float

    @property
    def complete(self) -> bool:
        return self.ok + sum(self.failed.values()) + sum(self.raised.values()) == self.draws

    @property
    def honest(self) -> bool:
        return self.upstream <= self.ours <= self.upstream + self.estimated


def rows() -> Iterator[Row]:
    """Every fault."""
    fan_out = replace(CALM, n="ignored")
    yield Row("none", None)
    yield Row("429 with Retry-After", Fault("status", status=429, headers=(("Retry-After", "0.2"),)), BRISK)
    yield Row("429, Retry-After as a date", in_a_second, BRISK)
    yield Row("429 without", Fault("status", status=429), BRISK)
    yield Row("429 by capacity of 8", None, replace(fan_out, capacity=8, token_seconds=0.004))
    yield Row("500", Fault("status", status=500))
    yield Row("503 as an HTML page", Fault("status", status=503, body=PAGE, content_type="text/html"), BRISK)
    yield Row("hang", Fault("hang"), patience=SHORT, every=5)
    yield Row("hang after 5 tokens", Fault("hang", after=5), patience=SHORT, every=5)
    yield Row("cut stream", Fault("cut", after=5))
    yield Row("cut stream, usage at the end only", Fault("cut", after=5), replace(CALM, continuous="ignored"))
    yield Row("cut stream, no n", Fault("cut", after=5), replace(fan_out, continuous="ignored"))
    yield Row("connection reset", Fault("reset"))
    yield Row("reset in the stream", Fault("reset", after=5))
    yield Row("error in the stream", Fault("error", after=5))
    yield Row("not JSON", Fault("body", body=PAGE, content_type="text/html"))
    yield Row("half a JSON", Fault("body", body=b'{"choices": [{"index": 0, "mess'))
    yield Row("wrong schema", Fault("body", body=b'{"answer": "42"}'))
    yield Row("slow drip (1 byte a second)", Fault("drip", seconds=1.0), patience=SHORT, every=5)
    yield Row("no streaming", Fault("status", status=500), replace(CALM, stream="refused", continuous="refused"))
    yield Row("usage refused in streams", Fault("status", status=500), replace(CALM, stream_options="refused"))
    yield Row("a hostname that resolves", Fault("cut", after=5), CROWD, host="localhost")
    yield Row("a hostname, first address dead", Fault("cut", after=5), CROWD, host="two.test")
    yield Row("all of these, mixed", mixed, replace(BRISK, n="ignored"), SHORT)
    yield Row("always 500", Fault("status", status=500), patience=replace(PATIENCE, retries=2), every=1)
    yield Row("always cut", Fault("cut", after=5), patience=replace(PATIENCE, retries=2), every=1)
    yield Row("always 401", Fault("status", status=401), every=1)
    blind = replace(CALM, continuous="ignored", tokens_per_chunk=3)
    yield Row("cut, 3 tokens a chunk, usage at the end", Fault("cut", after=5), blind)
    yield Row("no usage at all", None, replace(CALM, usage=False))
    always_cut = replace(PATIENCE, retries=2)
    yield Row("always cut, never a usage", Fault("cut", after=5), replace(CALM, usage=False), always_cut, 1)


def in_a_second() -> Fault:
    """A 429 whose Retry-After is a date one second ahead."""
    now = time.time()
    headers = (("Date", formatdate(now, usegmt=True)), ("Retry-After", formatdate(now + 1, usegmt=True)))
    return Fault("status", status=429, headers=headers)


def mixed() -> Fault:
    """Any of the faults that cost little time."""
    return random.choice(
        [
            Fault("status", status=429),
            Fault("status", status=500),
            Fault("status", status=503, body=PAGE, content_type="text/html"),
            Fault("hang", after=3),
            Fault("cut", after=5),
            Fault("reset"),
            Fault("reset", after=5),
            Fault("body", body=PAGE, content_type="text/html"),
            Fault("body", body=b'{"answer": "42"}'),
        ]
    )


async def ask(row: Row, server: StubServer, problems: int, draws: int) -> Outcome:
    """Sample every problem, `IN_FLIGHT` requests at a time, and read the two accounts."""
    url = f"http://{row.host}:{server.port}/v1"
    model = OpenAIModel("stub", base_url=url, api_key="none", max_concurrency=IN_FLIGHT, patience=row.patience)
    bank = Bank()
    ok, failed, raised, ours, estimated = 0, Counter[str](), Counter[str](), 0, 0

    async def solve(number: int) -> None:
        nonlocal ok, ours, estimated
        compute = Compute(
            model,
            bank=bank,
            sampling=Sampling(temperature=0.8, max_tokens=10),
            prompt=lambda problem: (user(problem.question),),
        )
        try:
            attempts = await compute.sample(Problem(f"Problem {number}: what is {number} + 25?"), draws)
            ok += len(attempts)
        except ModelError as error:
            raised[type(error).__name__] += draws
        failed.update((completion.error or "unnamed").partition(":")[0] for completion in compute.failed)
        ours += compute.ledger.paid.tokens
        estimated += compute.ledger.paid.estimated_tokens

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(problems):
            group.create_task(solve(number))
    seconds = time.perf_counter() - began
    await model.aclose()
    bank.close()
    return Outcome(
        draws=problems * draws,
        ok=ok,
        failed=failed,
        raised=raised,
        requests=server.requests,
        retries=sum(model.stats.retries.values()),
        ours=ours,
        upstream=server.tokens,
        estimated=estimated,
        most_in_flight=server.most_in_flight,
        seconds=seconds,
    )


def run(row: Row, problems: int, draws: int) -> Outcome:
    """One row, against a server of its own."""
    fault = row.fault

    def faults(number: int, body: Mapping[str, Any]) -> Fault | None:
        if fault is None or number % row.every:
            return None
        return fault() if callable(fault) else fault

    with StubServer(row.manners, faults) as server:
        return asyncio.run(ask(row, server, problems, draws))


@contextmanager
def two_addresses() -> Iterator[None]:
    """Let the name two.test resolve to ::1, where nobody listens, and to 127.0.0.1: no DNS is needed for this."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in ("two.test", b"two.test"):
            return real(host, port, *args, **options)
        six = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", int(port), 0, 0))
        four = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", int(port)))
        return [six, four]

    socket.getaddrinfo = resolve  # type: ignore[assignment]
    try:
        yield
    finally:
        socket.getaddrinfo = real


def main() -> int:
    """Run all rows, print the table and the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64 problems of 2 draws instead of 128 of 4")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    random.seed(0)
    marks = Marks("faults", options.quick)
    problems, draws = (64, 2) if options.quick else (128, 4)
    print(f"{problems * draws} draws a row, {draws} a request where the server takes n, up to {IN_FLIGHT} in flight")
    head = (
        f"{'fault':40} {'requests':>8} {'retries':>7} {'ok':>5}  {'failed, by name':26} {'ledger':>8} {'upstream':>8}"
    )
    print(f"\n{head}  {'above, estimated':16} {'peak':>4} {'s':>6}")
    result, peak = {}, 0
    with two_addresses():
        for row in rows():
            if options.only not in row.name:
                continue
            got = run(row, problems, draws)
            peak = max(peak, got.most_in_flight)
            names = ", ".join(f"{name} {count}" for name, count in (got.failed + got.raised).items()) or "-"
            sign = "=" if got.ours == got.upstream else f"{got.ours - got.upstream:+d} of {got.estimated}"
            print(
                f"{row.name:40} {got.requests:8} {got.retries:7} {got.ok:5}  {names:26} {got.ours:8} {got.upstream:8}"
                f"  {sign:16} {got.most_in_flight:4} {got.seconds:6.1f}",
                flush=True,
            )
            fine = got.complete and got.honest and "unnamed" not in got.failed
            marks.exact(f"complete, named, honestly charged: {row.name}", fine)
            result[row.name] = {
                "requests": got.requests,
                "ok": got.ok,
                "failed": dict(got.failed + got.raised),
                "retries": got.retries,
                "ledger_tokens": got.ours,
                "upstream_tokens": got.upstream,
                "estimated_tokens": got.estimated,
                "seconds": round(got.seconds, 2),
            }
    held = sum(mark["met"] for mark in marks.marks.values())
    print(
        f"\n{held} of {len(marks.marks)} faults: complete, named, charged as counted upstream, or above it and labelled"
    )
    print(f"at most {peak} requests in flight at once")
    if not options.only:
        marks.timing("requests in flight at once", peak, equal_to=IN_FLIGHT)
    return marks.result(draws=problems * draws, rows=result)


if __name__ == "__main__":
    sys.exit(main())
