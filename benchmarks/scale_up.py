"""What one machine with more cores gives: one process on one core and on two, and two processes on two.

    python benchmarks/scale_up.py [--quick]

    engine       tokens a second of the embedded engine (16 attempts on one prompt, smollm2-135m)
    bench        solves a second of `run_benchmark` with a model that costs nothing (stochastic:0.6), votes of 8 on sums
    server       answers a second of `nlrl serve`, votes of 8 in front of an upstream of 20 ms, 64 clients

Each is run in processes of its own that may use only the named cores (their affinity, which is what `taskset` sets).
Two processes share what several would share in earnest: two benchmarks one bank, two servers the clients, half each.
The clients and the upstream of the servers run on all cores, so they take their part of both; beside a rate stand the
processor milliseconds for one, and how many a second a whole core to itself would therefore give.

Kinds and ways take turns, and a figure is the median of its turns. Marks, timings all: the engine on two cores at least
1.5 times one, two benchmarks on two cores at least 1.5 times one on one. That one benchmark or one server gains from a
second core is no mark: their Python runs on one core, and more processes are what scales them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from equipment.marks import Marks
from equipment.servers import HERE, Server, end_orderly, nlrl_serve, upstream
from nlrl.bank import Bank
from nlrl.core import NlrlError, Problem, Request, Sampling, TaskType, user
from nlrl.evaluation import RunConfig, run_benchmark
from nlrl.models import load_model
from nlrl.models.llama import LlamaModel

TIMES = 1.5
WAYS = (("one process, 1 core", 1, 1), ("one process, 2 cores", 1, 2), ("two processes, 2 cores", 2, 2))
VOTE = "self_consistency(n=8)"
QUESTION = "Write a long story, as long as you can, about a river, a stone, a lantern and a violin."


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """What is started inside may use only so many cores; this process gets all of its own back."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- what the children do; each prints one JSON line: amount, seconds, processor seconds


def child_engine(turn: int, attempts: int, max_tokens: int) -> dict[str, float]:
    model = load_model("smollm2-135m", slots=16, context_tokens=512)
    assert isinstance(model, LlamaModel)
    model.load()

    async def draw(n: int, tokens: int, seed: int) -> int:
        request = Request((user(f"{seed}. {QUESTION}"),), Sampling(max_tokens=tokens, temperature=0.8, seed=seed), n=n)
        return sum(draw.completion_tokens for draw in await model.complete(request))

    asyncio.run(draw(2, 4, 99))  # memory is touched for the first time
    began, worked = time.perf_counter(), time.process_time()
    tokens = asyncio.run(draw(attempts, max_tokens, turn + 1))
    return {"amount": tokens, "seconds": time.perf_counter() - began, "worked": time.process_time() - worked}


def child_bench(part: int, count: int, home: str) -> dict[str, float]:
    from nlrl.cli.openers import open_model

    rows = [(part * count + i, 10 + i) for i in range(count)]
    problems = [Problem(f"What is {a} + {b}?", str(a + b), task_type=TaskType.MATH) for a, b in rows]
    model = open_model("stochastic:0.6", problems, None)
    config = RunConfig(strategies=(VOTE,), sampling=Sampling(max_tokens=64))
    with Bank(Path(home) / "bank.sqlite") as bank:
        began, worked = time.perf_counter(), time.process_time()
        run = asyncio.run(run_benchmark(config, model, problems, bank=bank, out_dir=Path(home) / f"run-{part}"))
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
    return {"amount": run.progress.done, "seconds": seconds, "worked": worked}


def start(what: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", what, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(processes: Sequence[subprocess.Popen[str]]) -> dict[str, float]:
    """Their sum: amounts, processor seconds, and the seconds of the slowest."""
    rows = []
    for process in processes:
        told, _ = process.communicate(timeout=600)
        if process.returncode:
            raise SystemExit(f"a process ended with exit code {process.returncode}: {process.args}")
        rows.append(json.loads(told.splitlines()[-1]))
    return {
        "amount": sum(row["amount"] for row in rows),
        "seconds": max(row["seconds"] for row in rows),
        "worked": sum(row["worked"] for row in rows),
    }


# --- one turn of each kind


def engine(turn: int, processes: int, cores: int, quick: bool) -> dict[str, float]:
    attempts, max_tokens = (8, 8) if quick else (16, 64)
    with on_cores(cores):
        running = [start("engine", turn, attempts // processes, max_tokens) for _ in range(processes)]
    return ended(running)


def bench(turn: int, processes: int, cores: int, quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="nlrl-scale-up-") as home:
        with on_cores(cores):
            running = [start("bench", part, 40 if quick else 400, home) for part in range(processes)]
        return ended(running)


def server(turn: int, processes: int, cores: int, quick: bool) -> dict[str, float]:
    seconds, clients = (1, 16) if quick else (6, 64)
    body = {"model": f"{VOTE}@stub", "messages": [{"role": "user", "content": "What is 17 + 25?"}], "max_tokens": 64}
    with ExitStack() as stack:
        up = stack.enter_context(upstream(0.02))
        with on_cores(cores):
            servers = [stack.enter_context(nlrl_serve(up.url)) for _ in range(processes)]
        worked = sum(one.cpu_s() for one in servers)
        loads = [load(one, clients // processes, seconds, json.dumps(body)) for one in servers]
        told = [json.loads(process.communicate(timeout=600)[0]) for process in loads]
        worked = sum(one.cpu_s() for one in servers) - worked
    if errors := [row["errors"] for row in told if row["errors"]]:
        raise SystemExit(f"the server failed: {errors}")
    share = sum(row["answers"] for row in told) / max(1, sum(row["all_answers"] for row in told))
    window = max(row["window_s"] for row in told)
    return {"amount": sum(row["answers"] for row in told), "seconds": window, "worked": worked * share}


def load(one: Server, clients: int, seconds: float, body: str) -> subprocess.Popen[str]:
    numbers = map(str, (one.port, clients, seconds, 60, 30))
    process = subprocess.Popen(
        [sys.executable, str(HERE / "load.py"), *numbers], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(body)
    process.stdin.close()
    process.stdin = None  # it is read to its end, and `communicate` must not write
    return process


KINDS = {"engine": (engine, "tokens/s"), "bench": (bench, "solves/s"), "server": (server, "answers/s")}


def measure(kinds: Sequence[str], turns: int, quick: bool) -> list[dict[str, Any]]:
    took: dict[tuple[str, str], list[dict[str, float]]] = {}
    for turn in range(turns):
        for kind in kinds:
            for way, processes, cores in WAYS:
                one = KINDS[kind][0](turn, processes, cores, quick)
                took.setdefault((kind, way), []).append(one)
    rows = []
    for (kind, way), ones in took.items():
        rate = median(one["amount"] / one["seconds"] for one in ones)
        each_ms = median(one["worked"] / max(1, one["amount"]) for one in ones) * 1e3
        rows.append({"kind": kind, "way": way, "rate": round(rate, 1), "cpu_ms": round(each_ms, 2)})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short turn, of the benchmark alone")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, *rest = args.child
        if what == "engine":
            print(json.dumps(child_engine(*map(int, rest))))
        else:
            print(json.dumps(child_bench(int(rest[0]), int(rest[1]), rest[2])))
        return 0
    marks = Marks("scale_up", args.quick)
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return marks.skip("it needs Linux and two cores")
    end_orderly()
    try:
        load_model("smollm2-135m")
        kinds = ("bench",) if args.quick else tuple(KINDS)
    except NlrlError as missing:
        print(f"!! without the engine: {missing}")
        kinds = ("bench",) if args.quick else ("bench", "server")
    rows = measure(kinds, 1 if args.quick else args.turns, args.quick)
    print(f"\n{'kind':8}{'way':26}{'rate':>10}  {'':11}{'times':>7}{'cpu ms each':>13}{'of a whole core':>17}")
    rates = {(row["kind"], row["way"]): row["rate"] for row in rows}
    for row in rows:
        row["times"] = round(row["rate"] / rates[row["kind"], WAYS[0][0]], 2)
        whole = 1e3 / row["cpu_ms"] if row["cpu_ms"] else 0.0
        unit = KINDS[row["kind"]][1]
        print(
            f"{row['kind']:8}{row['way']:26}{row['rate']:10.1f}  {unit:11}{row['times']:7.2f}{row['cpu_ms']:13.2f}"
            f"{whole:17.1f}"
        )
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    times = {(row["kind"], row["way"]): row["times"] for row in rows}
    if "engine" in kinds:
        marks.timing("engine, 2 cores over 1", times["engine", WAYS[1][0]], at_least=TIMES)
    marks.timing("two benchmarks on 2 cores over one on 1", times["bench", WAYS[2][0]], at_least=TIMES)
    return marks.result(rows=rows)


if __name__ == "__main__":
    sys.exit(main())
