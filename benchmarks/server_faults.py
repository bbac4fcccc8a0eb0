"""The server while things break: upstreams die, drip and hang, clients leave, the process is stopped and killed.

    python benchmarks/server_faults.py
    python benchmarks/server_faults.py --quick       # fewer kills

`nlrl serve` as a process of its own, in front of an upstream on 127.0.0.1 that is asked by a host name, fails on
command and counts what it gave out. A line for each fault: what was seen, and whether that is as it must be.

Marks: every line holds. Clients that leave have their upstream calls cancelled within a second; of the answers that a
client has seen end, `kill -9` loses not one record; usage is the upstream's own count wherever that can be known (it
cannot of an answer that broke off before the upstream told it: those lines say "estimated").
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from equipment.fault_bench import CHAT, QUESTION, SINGLE, Bench, events, send_only, usage_equals
from equipment.served import nlrl_serve, stop
from nlrl.testing.stub_server import Fault, Manners, StubServer

PATIENCE_S = 4.0
GONE_S = 1.0  # within which the upstream calls of a client that left must have ended


# --- the upstream fails


def dying(bench: Bench) -> None:
    bench.behave(faults=lambda number, body: Fault("cut", after=4))
    before = bench.counted()
    raw = bench.ask("up", stream=True).text
    last = events(raw)[-1]
    charged = last_record(bench)
    said = (
        f"last event: {last.get('error', {}).get('message')!r}; {usage_equals(bench, before, charged)[1]} (estimated)"
    )
    bench.line("dies in mid-stream, passed through", "error" in last and "[DONE]" not in raw, said)
    for stream in (True, False):
        bench.behave(SINGLE, lambda number, body: Fault("cut", after=4) if number == 3 else None)
        before = bench.counted()
        options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        got = bench.ask("self_consistency(n=8)@up", **options)
        told = events(got.text) if stream else [got.json()]
        usage = next((one["usage"] for one in told if one.get("usage")), None)
        nlrl = next(one["nlrl"] for one in told if one.get("nlrl"))
        same, said = usage_equals(bench, before, usage)
        whole = nlrl["attempts"] == 8 and nlrl["failed"] == 0
        name = f"dies in mid-stream, vote of 8{', streamed' if stream else ''}"
        bench.line(name, same and whole, f"{nlrl['attempts']} attempts, asked again; {said}")
    bench.behave(faults=lambda number, body: Fault("half"))
    got = bench.ask("up")
    bench.line("half of a whole answer, passed through", got.status_code == 502, f"{got.status_code} {message(got)}")
    bench.behave(faults=lambda number, body: Fault("error", after=3))
    raw = bench.ask("up", stream=True).text
    bench.line("an error object in the stream", "engine died" in raw and "[DONE]" not in raw, "passed on, no [DONE]")


def one_of_eight(bench: Bench) -> None:
    for name, fault, expected in (
        ("1 of 8 is refused for good", Fault("status", status=400), (7, 1)),
        ("1 of 8 fails twice with a 500", Fault("status", status=500), (8, 0)),
    ):
        struck: list[int] = []

        def strike(number: int, body: Mapping[str, Any], fault: Fault = fault, struck: list[int] = struck) -> Any:
            if body.get("seed") != 4 or (fault.status == 500 and len(struck) == 2):
                return None
            struck.append(number)
            return fault

        bench.behave(SINGLE, strike)
        before = bench.counted()
        got = bench.ask("self_consistency(n=8)@up", seed=1).json()
        same, said = usage_equals(bench, before, got["usage"])
        seen = (got["nlrl"]["attempts"], got["nlrl"]["failed"])
        bench.line(name, same and seen == expected, f"{seen[0]} attempts, {seen[1]} failed; {said}")
    bench.behave(SINGLE, lambda number, body: Fault("hang") if body.get("seed") == 4 else None)
    began = time.monotonic()
    asked = {"seed": 1, "nlrl": {"budget": {"seconds": PATIENCE_S}}}
    got = bench.ask("self_consistency(n=8)@up", **asked).json()
    took, nlrl = time.monotonic() - began, got["nlrl"]
    fine = nlrl["stopped"] == "seconds" and nlrl["attempts"] == 7 and took < PATIENCE_S + 2
    bench.line(
        f"1 of 8 hangs, deadline of {PATIENCE_S:.0f} s",
        fine,
        f"{nlrl['attempts']} attempts, {nlrl['stopped']}, {took:.2f} s",
        exact=False,
    )


def dripping(bench: Bench) -> None:
    drip = Fault("drip", seconds=0.0005)
    bench.behave(faults=lambda number, body: drip if body.get("seed") == 1 else None)
    beside: list[float] = []

    def ask_beside() -> None:
        time.sleep(0.3)
        for _ in range(5):
            began = time.monotonic()
            body = {"model": "quick", "messages": QUESTION}
            httpx.post(bench.server.url + CHAT, json=body, timeout=60, verify=False).raise_for_status()
            beside.append(time.monotonic() - began)

    thread = threading.Thread(target=ask_beside)
    thread.start()
    before, began = bench.counted(), time.monotonic()
    raw = bench.ask("up", seed=1, stream=True, stream_options={"include_usage": True}, max_tokens=8).text
    took = time.monotonic() - began
    thread.join()
    same, said = usage_equals(bench, before, events(raw)[-1].get("usage"))
    fine = raw.endswith("data: [DONE]\n\n") and same and max(beside) < took
    said += f"; whole after {took:.2f} s, others meanwhile {max(beside) * 1e3:.0f} ms at most"
    bench.line("a byte at a time", fine, said, exact=False)


def absent() -> tuple[bool, str]:
    """A server whose upstream is not there."""
    with StubServer() as closed:
        nowhere = closed.base_url
    seen, fine = [], True
    with nlrl_serve("--model", f"up={nowhere}#up", "--quiet") as server:
        for model in ("up", "self_consistency(n=8)@up"):
            began = time.monotonic()
            try:
                got = httpx.post(server.url + CHAT, json={"model": model, "messages": QUESTION}, timeout=120)
                seen.append(f"{model}: {got.status_code} after {time.monotonic() - began:.2f} s")
                fine = fine and got.status_code == 503 and "retry-after" in got.headers
            except httpx.TimeoutException:
                seen.append(f"{model}: nothing after {time.monotonic() - began:.0f} s")
                fine = False
    return fine, "; ".join(seen)


# --- many at once, by name


def in_flight(bench: Bench) -> None:
    async def all_of(model: str, clients: int) -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=bench.server.url, timeout=120, limits=limits, verify=False) as client:
            body = {"model": model, "messages": QUESTION, "max_tokens": 64}
            told = await asyncio.gather(*(client.post(CHAT, json=body) for _ in range(clients)))
            return [got.status_code for got in told]

    for model, clients, draws in (("up", 64, 64), ("self_consistency(n=8)@up", 64, 512)):
        bench.behave(Manners(n="refused", refusal=SINGLE.refusal, token_seconds=0.1))
        bench.stub.most_in_flight = 0
        before, began = bench.counted(), time.monotonic()
        codes = asyncio.run(all_of(model, clients))
        took, most = time.monotonic() - began, bench.stub.most_in_flight
        records = bench.http.get("/api/requests", params={"limit": clients}).json()["requests"]
        usage = {key: sum(r[key] for r in records) for key in ("prompt_tokens", "completion_tokens")}
        same, said = usage_equals(bench, before, usage)
        fine = codes == [200] * clients and most >= draws * 0.9 and same
        seen = f"{codes.count(200)} answers in {took:.1f} s, {most} in flight upstream at most; {said}"
        bench.line(f"{clients} clients of {model.partition('@')[0]}, by name", fine, seen, exact=False)


# --- clients and the process end


def leaving(bench: Bench) -> None:
    for model, stream in (
        ("up", False), ("up", True), ("self_consistency(n=8)@up", False), ("self_consistency(n=8)@up", True),
        ("adaptive_consistency@up", False), ("best_of_n(n=8)@up", False),
    ):  # fmt: skip
        # the upstream notices at once who has left it only while it waits in silence
        after = 2 if stream or "adaptive" in model else None
        bench.behave(SINGLE, lambda number, body, after=after: Fault("hang", after=after))
        plug = send_only(bench.server, {"model": model, "messages": QUESTION, "stream": stream})
        bench.wait(lambda model=model: bench.stub.in_flight >= (8 if "n=8" in model else 1), 20)
        time.sleep(0.2)
        most = bench.stub.in_flight
        plug.close()
        took = bench.wait(lambda: bench.stub.in_flight == 0, 10)
        bench.wait(lambda: bench.http.get("/health").json()["running"] == 0, 5)
        fine = took <= GONE_S and most > 0 and bench.http.get("/health").json()["running"] == 0
        name = f"the client of {model.partition('@')[0]} leaves{', streamed' if stream else ''}"
        bench.line(name, fine, f"{most} calls upstream, all ended after {took * 1e3:.0f} ms", exact=False)


def terminated(bench: Bench, options: list[str]) -> None:
    bench.behave(Manners(token_seconds=0.1))
    body = {"model": "up", "messages": QUESTION, "stream": True}
    with nlrl_serve(*options) as server:
        with httpx.stream("POST", server.url + CHAT, json=body, timeout=60, verify=False) as got:
            parts = got.iter_text()
            text = next(parts)
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            time.sleep(0.4)
            try:
                httpx.get(server.url + "/health", timeout=5)
                closed = False
            except httpx.ConnectError:
                closed = True
            text += "".join(parts)
        code = stop(server)
    took = time.monotonic() - began
    seen = f"the stream ended whole, no more were taken: {closed}, exit code {code} after {took:.1f} s"
    bench.line("SIGTERM drains", closed and text.endswith("data: [DONE]\n\n") and code == 0, seen, exact=False)


def killed(bench: Bench, options: list[str], kills: int, folder: Path) -> None:
    """Answers that clients saw end, against the records that a new process finds."""
    bench.behave(Manners(token_seconds=0.005))
    file, dice = folder / "records.sqlite", random.Random(1)
    options = [*options, "--records", str(file)]
    ended: dict[str, tuple[int, int]] = {}

    def ask_on(url: str, at: int) -> None:
        model = ("up", "self_consistency(n=4)@up", "best_of_n(n=2)@up", "up")[at % 4]
        body = {"model": model, "messages": QUESTION, "max_tokens": 32, "stream": at % 4 == 3}
        body |= {"stream_options": {"include_usage": True}} if body["stream"] else {}
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:
            for _ in range(10_000):
                try:
                    got = client.post(CHAT, json=body)
                except httpx.HTTPError:
                    return  # killed: this one was not finished
                if body["stream"] and not got.text.endswith("data: [DONE]\n\n"):
                    return
                usage = events(got.text)[-1]["usage"] if body["stream"] else got.json()["usage"]
                ended[got.headers["x-request-id"]] = (usage["prompt_tokens"], usage["completion_tokens"])

    for _ in range(kills):
        with nlrl_serve(*options) as server:
            threads = [threading.Thread(target=ask_on, args=(server.url, at)) for at in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(dice.uniform(0.5, 2.0))
            server.process.kill()
        for thread in threads:
            thread.join()
    with sqlite3.connect(file) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
        rows = "SELECT id, prompt_tokens, completion_tokens FROM requests WHERE id IN"
        held = {id: (p, c) for id, p, c in db.execute(f"{rows} (SELECT id FROM requests)")}
    db.close()
    lost, other = ended.keys() - held.keys(), sum(held.get(id) != spent for id, spent in ended.items())
    seen: dict[str, Any] = {}
    with nlrl_serve(*options) as server:
        before = None
        while True:
            asked = {"limit": 500} | ({"before": before} if before else {})
            page = httpx.get(server.url + "/api/requests", params=asked, timeout=60).json()
            seen |= {one["id"]: one for one in page["requests"]}
            if not page["more"]:
                break
            before = page["requests"][-1]["id"]
    shown = len(ended.keys() & seen.keys())
    said = f"{len(ended)} answers seen to their end, {len(lost)} lost, {other - len(lost)} with other numbers; "
    said += f"{shown} of them at /api/requests; file: {whole}"
    fine = bool(ended) and not other and shown == len(ended) and whole == "ok"
    bench.line(f"kill -9, {kills} times", fine, said)


def message(got: httpx.Response) -> str:
    return got.json()["error"]["message"]


def last_record(bench: Bench) -> dict[str, Any]:
    return bench.http.get("/api/requests", params={"limit": 1}).json()["requests"][0]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer kills")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, StubServer() as stub, StubServer() as quick:
        options = ["--model", f"up=http://localhost:{stub.port}/v1#up", "--quiet"]
        options += ["--model", f"quick={quick.base_url}#up"]
        with nlrl_serve(*options, "--concurrency", "600") as server:
            bench = Bench(stub, server, args.quick)
            print("What was seen:")
            for part in (dying, one_of_eight, dripping, in_flight, leaving):
                part(bench)
            if not args.quick:
                bench.line("the upstream is not there", *absent())
            terminated(bench, options)
            killed(bench, options, 2 if args.quick else 20, Path(folder))
            bench.http.close()
    return bench.result()


if __name__ == "__main__":
    sys.exit(main())
