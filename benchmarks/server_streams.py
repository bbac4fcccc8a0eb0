"""A thousand streams at once, held for a minute: does every one get its own text to the end, and does memory stay?

    python benchmarks/server_streams.py                       # 1,000 streams, all of them open for a minute
    python benchmarks/server_streams.py --quick               # 100 streams for 5 s

One upstream on 127.0.0.1 says a token at once, and one more every second. `nlrl serve` stands before it. Three kinds,
one after the other:

    passed through   with --texts none: nothing of a stream is kept
    texts kept       the same as it is without that option: the dashboard shows the texts of the last requests
    vote of 4        the lines of its attempts are passed on as gists while they are written; four times the tokens

The streams begin over ten seconds, and last until a minute after the last one has begun. One client process
(`equipment/listeners.py`) checks every word of every stream: each has its own text.

Reported for each kind: streams that were wrong, and why; the time to the first word, of the answer or of a gist, beside
the same of the upstream asked directly; the server's resident memory before, when all streams speak, every ten seconds
from then on, and at the end; and what the growth meanwhile is for each token that went through. Client, server and
upstream share the machine's processors, so processor seconds of each are told as well.

Marks: every stream is right, ends with [DONE], and all were open at once. From the moment when all speak to the end,
memory grows by at most 8 MB passed through, and by at most 64 MB where texts are kept (64 kB a stream) and with votes
(16 kB an attempt). Needs 2,200 open files, and raises the limit to that where it may.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from equipment.marks import Marks
from equipment.servers import HERE, Server, dripping, end_orderly, nlrl_serve

VOTES = 4
EVERY_S = 1.0
KINDS = {  # model, most MB
    "passed through": ("stub", 8.0),
    "texts kept": ("stub", 64.0),
    f"vote of {VOTES}": (f"self_consistency(n={VOTES})@stub", 64.0),
}


@dataclass(frozen=True)
class Size:
    """How many streams, over how many seconds they begin, and for how many they are then held."""

    streams: int
    start_s: float
    hold_s: float

    @property
    def tokens(self) -> int:
        """Of an attempt: the first at once, the last when the time is over for the stream that began last."""
        return round((self.start_s + self.hold_s) / EVERY_S) + 1


def raise_open_files(needed: int) -> None:
    """Allow so many open files, to the processes started from here too. SystemExit where the system does not."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SystemExit(
                f"{needed} open files are needed, and this system allows {hard}. Raise it (`ulimit -Hn`, as root; or "
                f"LimitNOFILE= of the service), or take fewer streams: --streams {max(1, (hard - 200) // 2)}."
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def listen(port: int, model: str, size: Size, watched: Server | None = None) -> dict[str, Any]:
    """Run all streams. `watched`'s memory is looked at before, when all of them speak, and every ten seconds until the
    first of them ends."""
    most_s = 2 * (size.start_s + size.hold_s) + 60
    numbers = [str(x) for x in (size.streams, size.start_s, size.tokens, most_s)]
    command = [sys.executable, str(HERE / "listeners.py"), str(port), model, *numbers]
    memory, files = [watched.memory_mb()] if watched else [], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clients:
        try:
            out = clients.stdout or sys.stdin
            out.readline()  # all speak
            while watched:
                memory.append(watched.memory_mb())
                files = max(files, watched.open_files())
                try:
                    clients.wait(min(10.0, size.hold_s / 3))
                    break
                except subprocess.TimeoutExpired:
                    pass
            said = out.readline()
        finally:
            clients.kill()
    if not said:
        raise SystemExit("the clients ended without a report")
    return {**json.loads(said), "memory_mb": [round(mb, 1) for mb in memory], "open_files": files}


def measure(kind: str, size: Size, up: Server, ours: Server, asked_directly: dict[str, Any]) -> dict[str, Any]:
    """One kind: print it, and return its row."""
    model, most_mb = KINDS[kind]
    tokens = size.streams * size.tokens * (VOTES if "(" in model else 1)
    cpu, up_cpu = ours.cpu_s(), up.cpu_s()
    said = listen(ours.port, model, size, ours)
    memory = [*said["memory_mb"], round(ours.memory_mb(), 1)]
    grown = max(memory[1:]) - memory[1]
    row = {
        "kind": kind,
        **said,
        "memory_mb": memory,
        "tokens": tokens,
        "grown_mb": round(grown, 1),
        "server_cpu_s": ours.cpu_s() - cpu,
        "upstream_cpu_s": up.cpu_s() - up_cpu,
    }
    print(f"\n{kind}: {size.streams} streams, {said['most_open']} open at once, {tokens:,} tokens from upstream")
    print(f"  right to the last word and [DONE]: {said['right']}; wrong: {said['errors'] or 'none'}")
    for who, told in ((kind, said), ("the upstream itself", asked_directly)):
        print(f"  first word, {who}: p50 {told['first_p50_ms']:.1f} ms, p99 {told['first_p99_ms']:.1f} ms")
    print(f"  memory: {memory[0]} MB before, {memory[1]} all speak, then {memory[2:-1]}, {memory[-1]} at the end")
    print(f"  grown while held: {grown:.1f} MB (mark {most_mb:g}), {grown * 2**20 / tokens:.0f} bytes a token")
    each_ms = row["server_cpu_s"] / tokens * 1e3
    print(f"  {said['open_files']} open files; {said['events']} events at the clients; processor: server", end=" ")
    print(f"{row['server_cpu_s']:.1f} s ({each_ms:.3f} ms a token), upstream {row['upstream_cpu_s']:.1f} s,", end=" ")
    print(f"clients {said['cpu_s']:.1f} s", flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 streams for 5 s")
    parser.add_argument("--streams", type=int, default=1000, help="how many, if not --quick  [default: 1000]")
    args = parser.parse_args()
    marks = Marks("server_streams", args.quick)
    size = Size(100, 2.0, 5.0) if args.quick else Size(args.streams, 10.0, 60.0)
    end_orderly()
    raise_open_files(2 * size.streams + 200)
    print(f"{size.streams} streams, {size.tokens} tokens an attempt, one every {EVERY_S:g} s;", end=" ")
    print(f"{os.cpu_count()} processors hold the server, the upstream and the clients", flush=True)
    with ExitStack() as stack:
        up = stack.enter_context(dripping(EVERY_S))
        options = ("--concurrency", str(size.streams + 8))
        bare = stack.enter_context(nlrl_serve(up.url, *options, "--texts", "none"))
        ours = stack.enter_context(nlrl_serve(up.url, *options))
        directly = listen(up.port, "stub", replace(size, hold_s=1.0))
        served = dict.fromkeys(KINDS, ours) | {"passed through": bare}
        rows = [measure(kind, size, up, served[kind], directly) for kind in KINDS]
    busy = os.getloadavg()[0]
    if busy > 2 * (os.cpu_count() or 1):
        print(f"The load is {busy:.1f}: other programs hold the processors, and the times are mostly theirs.")
    for row in rows:
        marks.exact(f"streams right to the end, {row['kind']}", row["right"], equal_to=size.streams)
        marks.timing(f"streams open at once, {row['kind']}", row["most_open"], equal_to=size.streams)
        marks.timing(f"MB grown while held, {row['kind']}", row["grown_mb"], at_most=KINDS[row["kind"]][1])
    return marks.result(streams=size.streams, rows=rows, upstream=directly)


if __name__ == "__main__":
    sys.exit(main())
