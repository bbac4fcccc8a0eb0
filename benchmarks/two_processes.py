"""Several processes on one bank file, at a server that answers otherwise at every call: is each draw paid for once?

    python benchmarks/two_processes.py            # 24 problems; 48 and 24 kills
    python benchmarks/two_processes.py --quick    # 4 problems; 8 and 2 kills

Real processes, a real HTTP server on 127.0.0.1 that gives no two equal answers and notes each draw when its request
begins, and whose process asked. Draws are told apart by their prompt and seed. The rows:

    two         the same benchmark twice at a time (not in --quick: `no logprobs` is the same, and harder)
    four        four with other strategies, sizes and orders, so that the ranges of draws overlap
    command     `nlrl bench` itself, two at a time (not in --quick)
    no logprobs two, at a server that ignores `logprobs`, which a verifier of the run reads
    stopping    two, with strategies that cancel draws (not in --quick)
    killed      three (two in --quick), killed with SIGKILL at random moments and started again, until all have ended;
                the moments are numbers of draws, so that they fall into the work of a slow machine too

The mark, in every row: no draw is paid twice, no answer is lost on its way into the bank, every attempt of every record
is in the bank, processes with the same command have the same attempts, all strategies of a record are on the same
samples, and the same command again draws nothing. What a kill cuts off may be paid again, and is shown; nothing in the
bank changes. What a strategy cancelled may be drawn by another, so `stopping` is not held to the first two.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipment.marks import Marks
from nlrl.bank import Bank
from nlrl.core import Problem, Sampling, TaskType
from nlrl.evaluation import RunConfig, latest, read_records, run_benchmark
from nlrl.evaluation.records import Record
from nlrl.models.openai import OpenAIModel
from nlrl.testing.stub_server import Manners, StubServer

SAME = ("direct", "self_consistency(n=8)", "best_of_n(n=6)", "self_refine(rounds=1)")
OTHERS = (
    ("self_consistency(n=5)", "best_of_n(n=8)"),
    ("best_of_n(n=3)", "self_refine(rounds=1)", "self_consistency(n=8)"),
    ("self_refine(rounds=1)", "self_consistency(n=7)", "direct"),
    ("direct", "self_consistency(n=8)", "best_of_n(n=4)"),
)
STOPPING = ("adaptive_consistency(n=12, wave=4)", "self_consistency(n=8)")
TOKEN_SECONDS = 0.004
SLOW = 0.015  # so slow that processes are drawing when they are killed
SEED = 7

Made = tuple[str, int]  # a draw, by its prompt and seed


class Lottery(StubServer):
    """Answers at random, never twice alike, and notes who had which draw begun."""

    def __init__(self, forgetful: bool = False, token_seconds: float = TOKEN_SECONDS) -> None:
        super().__init__(Manners(reply=self._answer, token_seconds=token_seconds))
        self.forgetful = forgetful
        self.begun: list[tuple[str, Made, str]] = []  # who asked, the draw, the answer's last line
        self._asking = ""
        self._luck = random.Random(1)

    async def _completion(self, answer: Any, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        if self.forgetful:
            body = {name: value for name, value in body.items() if "logprobs" not in name}
        self._asking = headers.get("authorization", "").removeprefix("Bearer ")
        await super()._completion(answer, headers, body)  # which asks for the texts before it first waits

    def _answer(self, body: Mapping[str, Any], choice: int) -> list[str]:
        mark = f" a{len(self.begun)}z"
        self.begun.append((self._asking, (json.dumps(body["messages"]), body["seed"] + choice), mark.strip()))
        words = [f" {self._luck.choice(('so', 'then', 'both', 'add'))}" for _ in range(self._luck.randint(4, 20))]
        return [mark, *words, "\n", "Final", " Answer", ":", f" {self._luck.randint(1, 4)}", "\n"]


@dataclass
class Row:
    """What came of one row of the table."""

    name: str
    processes: int
    begun: int = 0
    recorded: int = 0
    twice: int = 0  # draws begun again that nobody had killed
    lost: int = 0  # answers that a process which nobody killed had begun, and that are not in the bank
    outside: int = 0  # attempts of records that are not in the bank
    differ: int = 0  # records of the same command with other attempts
    apart: int = 0  # records whose strategy had other samples than the panel or the longest vote
    again: int = 0  # draws of the same command, once more
    changed: int = 0  # samples of the bank that a later look found changed or gone
    killed: int = 0
    cut_off: int = 0  # answers that a kill kept out of the bank
    seconds: float = 0.0

    def tell(self) -> str:
        return (
            f"{self.name:12} {self.processes:9} {self.begun:6} {self.recorded:8} {self.twice:6} {self.lost:5} "
            f"{self.outside:8} {self.differ:7} {self.apart:6} {self.again:6} {self.changed:8} {self.killed:7} "
            f"{self.cut_off:8} {self.seconds:7.1f}"
        )


HEAD = (
    f"{'row':12} {'processes':>9} {'begun':>6} {'recorded':>8} {'twice':>6} {'lost':>5} {'outside':>8} {'differ':>7} "
    f"{'apart':>6} {'again':>6} {'changed':>8} {'killed':>7} {'cut off':>8} {'seconds':>7}"
)


def problems(count: int) -> list[Problem]:
    return [
        Problem(f"A shelf holds {i + 2} books. How many?", reference="2", task_type=TaskType.MATH) for i in range(count)
    ]


class Scene:
    """A server, a bank, and processes on it."""

    def __init__(self, home: Path, count: int, server: Lottery) -> None:
        home.mkdir()
        self.home, self.count, self.server = home, count, server
        self.bank = home / "bank.sqlite"
        self.lives = 0

    def start(self, strategies: Sequence[str], out: str, samples: int) -> tuple[str, subprocess.Popen[bytes]]:
        """A process, and the name that its requests carry."""
        self.lives += 1
        name = f"life-{self.lives}"
        how = {"url": self.server.base_url, "bank": str(self.bank), "out": str(self.home / out), "samples": samples,
               "strategies": list(strategies), "count": self.count}  # fmt: skip
        command = [sys.executable, __file__, "--child", json.dumps(how)]
        return name, subprocess.Popen(command, env={**os.environ, "OPENAI_API_KEY": name})

    def command(self, strategies: Sequence[str], out: str, samples: int) -> tuple[str, subprocess.Popen[bytes]]:
        """The same through `nlrl bench`."""
        self.lives += 1
        name, data = f"life-{self.lives}", self.home / "problems.jsonl"
        rows = [{"question": p.question, "answer": p.reference, "task_type": "math"} for p in problems(self.count)]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        args = ["bench", "--data", str(data), "--model", f"{self.server.base_url}#stub", "--bank", str(self.bank)]
        args += ["--out", str(self.home / out), "--seed", str(SEED), "--samples", str(samples)]
        args += [part for strategy in strategies for part in ("--strategy", strategy)]
        said = (self.home / f"{name}.txt").open("wb")
        run = [sys.executable, "-m", "nlrl.cli", *args]
        environment = {**os.environ, "OPENAI_API_KEY": name}
        return name, subprocess.Popen(run, env=environment, stdout=said, stderr=subprocess.STDOUT)

    def records(self) -> dict[str, list[Record]]:
        files = self.home.glob("*/records.jsonl")
        return {file.parent.name: latest(read_records(file)) for file in sorted(files)}

    def banked(self) -> dict[tuple[str, int], bytes]:
        try:
            with contextlib.closing(sqlite3.connect(self.bank, timeout=60)) as db:
                rows = db.execute("SELECT key, idx, draw FROM samples").fetchall()
        except sqlite3.OperationalError:  # not made yet
            return {}
        return {(key, index): draw for key, index, draw in rows}

    def judge(self, row: Row, killed: set[str], same: bool) -> None:
        """Hold records and bank against what the server saw."""
        banked = self.banked()
        texts = b"\0".join(banked.values()).decode("utf-8", "replace")
        begun = self.server.begun
        row.begun, row.recorded = len(begun), len(banked)
        row.twice = sum(n - 1 for n in Counter(made for who, made, _ in begun if who not in killed).values())
        kept_out = [who for who, _, mark in begun if mark not in texts]
        row.cut_off = sum(who in killed for who in kept_out)
        row.lost = len(kept_out) - row.cut_off
        runs = self.records()
        every = [record for records in runs.values() for record in records]
        row.outside = sum(a.text.split()[0] not in texts for record in every for a in record.attempts)
        row.outside += sum(bool(record.error or record.failures) for record in every)
        drawn: dict[tuple[str, str], set[tuple[str, ...]]] = {}
        for record in every:
            drawn.setdefault(record.key, set()).add(tuple(a.text for a in record.attempts))
        row.differ = sum(len(found) - 1 for found in drawn.values()) if same else 0
        plain: dict[str, list[tuple[str, ...]]] = {}
        for record in every:
            if not record.strategy.startswith("self_refine"):
                plain.setdefault(record.problem.id, []).append(tuple(a.text for a in record.attempts))
        for found in plain.values():
            longest = max(found, key=len)
            row.apart += sum(one != longest[: len(one)] for one in found)


def whole(scene: Scene, name: str, commands: Sequence[Sequence[str]], samples: int, *, real: bool = False) -> Row:
    """Processes that nobody disturbs, and the first of them once more."""
    row, start, began = Row(name, len(commands)), scene.command if real else scene.start, time.monotonic()
    running = [start(strategies, f"run-{i}", samples)[1] for i, strategies in enumerate(commands)]
    finish(running)
    scene.judge(row, set(), same=len(set(commands)) == 1)
    before = len(scene.server.begun)
    finish([start(commands[0], "again", samples)[1]])
    row.again, row.seconds = len(scene.server.begun) - before, time.monotonic() - began
    return row


def killed(scene: Scene, processes: int, kills: int, rng: random.Random) -> Row:
    """Some processes; each time when so many more draws have begun, one of them is killed and started again."""
    row, began = Row("killed", processes), time.monotonic()
    slots = [scene.start(SAME, f"run-{i}", 8) for i in range(processes)]
    dead: set[str] = set()
    seen: dict[tuple[str, int], bytes] = {}

    def look() -> None:
        now = scene.banked()
        row.changed += sum(now.get(made) != draw for made, draw in seen.items())
        seen.update(now)

    while len(dead) < kills:
        goal = len(scene.server.begun) + rng.randint(1, 3 * scene.count // kills)
        while len(scene.server.begun) < goal and any(process.poll() is None for _, process in slots):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 10 * SLOW))
        running = [at for at, (_, process) in enumerate(slots) if process.poll() is None]
        if not running:
            break
        drawing = scene.server.begun[-1][0]  # others may still be starting, or be waiting for this one
        at = next((at for at in running if slots[at][0] == drawing), running[0])
        name, process = slots[at]
        process.send_signal(signal.SIGKILL)
        process.wait()
        dead.add(name)
        look()
        slots[at] = scene.start(SAME, f"run-{at}", 8)
    finish([process for _, process in slots])
    look()
    scene.judge(row, dead, same=True)
    row.killed = len(dead)
    before = len(scene.server.begun)
    finish([scene.start(SAME, "again", 8)[1]])
    row.again, row.seconds = len(scene.server.begun) - before, time.monotonic() - began
    return row


def finish(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if code := process.wait(timeout=1200):
            raise SystemExit(f"a process ended with exit code {code}: {process.args}")


async def child(how: dict[str, Any]) -> None:
    """A benchmark on the bank, as `nlrl bench` runs it, without its page and picture."""
    model = OpenAIModel("stub", base_url=how["url"])
    config = RunConfig(
        strategies=tuple(how["strategies"]),
        samples=how["samples"] or None,
        sampling=Sampling(max_tokens=64),
        seed=SEED,
        concurrency=3,
    )
    with Bank(how["bank"]) as bank:
        await run_benchmark(config, model, problems(how["count"]), bank=bank, out_dir=how["out"])
    await model.aclose()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few problems, 2 kills, three rows less")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        asyncio.run(child(json.loads(args.child)))
        return 0
    count, kills = (4, 2) if args.quick else (24, 24)
    marks, rows = Marks("two_processes", quick=args.quick), []
    print(HEAD)
    with tempfile.TemporaryDirectory(prefix="nlrl-two-processes-") as directory:
        home = Path(directory)
        for name in ("two", "four", "command", "no logprobs", "stopping", "killed"):
            if name in ("two", "command", "stopping") and args.quick:
                continue
            hard = name == "killed"
            with Lottery(forgetful=name == "no logprobs", token_seconds=SLOW if hard else TOKEN_SECONDS) as server:
                scene = Scene(home / name.replace(" ", "-"), (1 + hard) * count, server)
                if hard:
                    row = killed(scene, 2 if args.quick else 3, kills, random.Random(args.seed))
                elif name == "four":
                    row = whole(scene, name, OTHERS, 0)
                elif name == "stopping":
                    row = whole(scene, name, (STOPPING, STOPPING), 0)
                else:
                    row = whole(scene, name, (SAME, SAME), 8, real=name == "command")
            print(row.tell(), flush=True)
            rows.append(row)
            if name != "stopping":
                marks.exact(f"{name}: draws paid twice", row.twice, equal_to=0)
                marks.exact(f"{name}: answers lost", row.lost, equal_to=0)
            marks.exact(f"{name}: attempts outside the bank", row.outside, equal_to=0)
            marks.exact(f"{name}: records that differ between processes", row.differ, equal_to=0)
            marks.exact(f"{name}: records on other samples", row.apart, equal_to=0)
            marks.exact(f"{name}: draws of the same command again", row.again, equal_to=0)
            if name == "killed":
                marks.exact("killed: samples changed or gone", row.changed, equal_to=0)
                marks.timing("killed: kills that met a running process", row.killed, at_least=kills // 2)
    return marks.result(rows=[vars(row) for row in rows])


if __name__ == "__main__":
    raise SystemExit(main())
