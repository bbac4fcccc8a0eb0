"""Kill a benchmark at random moments, resume it, and compare with one that nobody disturbed.

    python benchmarks/resume.py            # of each kind: 10 runs killed once, and one run killed 10 times
    python benchmarks/resume.py --quick    # 1 and 1

A child process runs real strategies (among them one that cancels draws, one that verifies, one that revises) on a model
that takes time for every token, with a bank in a file. It is killed with SIGKILL at a moment drawn evenly over the
length of an undisturbed run, and started again. Two kinds of run: with a panel, so that all attempts are drawn up
front, and without one, so that draws are cancelled in mid-generation.

The mark: the final records equal those of the undisturbed run in every field but wall-clock times; nothing that was in
the bank at a kill is drawn again, changed or lost. Two things are counted and shown apart. Draws that the model had
just delivered and that the kill kept out of the bank have to be drawn again. And what a cancelled draw had generated
by then depends on the clock, so without a panel even two undisturbed runs differ in that count; there it is compared
apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from equipment.marks import Marks
from nlrl.bank import Bank, sample_key
from nlrl.core import Budget, Delta, Problem, Request, Sampling, TaskType
from nlrl.evaluation import RunConfig, latest, read_records, run_benchmark
from nlrl.testing.scripted import StochasticModel

Draw = tuple[str, int]

STRATEGIES = (
    "direct",
    "adaptive_consistency(n=16, wave=8)",
    "self_consistency(n=6)",
    "best_of_n(n=8, select=best)",
    "self_refine(rounds=2)",
)
PROBLEMS = 16
PANEL = 16  # as many as any strategy asks for
TOKEN_SECONDS = 0.0005


class LoggedModel(StochasticModel):
    """Writes a line for every draw at the moment it is delivered; that line survives the kill."""

    log: int = -1

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        key = sample_key(self.name, request.messages, request.prefill, request.sampling)
        async with contextlib.aclosing(super().stream(request)) as deltas:
            async for delta in deltas:
                if delta.completion is not None:
                    os.write(self.log, f"{key} {request.first_index + delta.index}\n".encode())
                yield delta


def problems() -> list[Problem]:
    rng = random.Random(5)
    made = []
    for i in range(PROBLEMS):
        a, b = rng.randint(10, 99), rng.randint(10, 99)
        question = f"Crate {i} holds {a} apples, and {b} more are put in. How many apples are in it?"
        made.append(Problem(question, reference=str(a + b), task_type=TaskType.MATH))
    return made


async def child(home: Path, samples: int | None) -> None:
    asked = problems()
    rates = {p.id: rate for p, rate in zip(asked, [0.35, 0.55, 0.75, 0.95] * PROBLEMS, strict=False)}
    model = LoggedModel(asked, rates, tokens=50, token_seconds=TOKEN_SECONDS, seed=3, name="resume-model")
    model.log = os.open(home / "draws.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    config = RunConfig(
        strategies=STRATEGIES,
        samples=samples,
        budget=Budget(tokens=6000),
        sampling=Sampling(max_tokens=160),
        concurrency=4,
    )
    with Bank(home / "bank.db") as bank:
        begun = []

        def told(_: object) -> None:
            if not begun:
                begun.append(True)
                print("begun", flush=True)

        await run_benchmark(config, model, asked, bank=bank, out_dir=home / "run", on_event=told)
    print("done", flush=True)
    os.close(model.log)


def start(home: Path, samples: int | None) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", str(home), "--samples", str(samples or 0)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "begun\n":
        raise SystemExit(f"the child did not begin: exit code {process.wait()}")
    return process


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=300)
    if process.returncode != 0:
        raise SystemExit(f"the child failed with exit code {process.returncode}")


def banked(home: Path) -> dict[Draw, str]:
    """Every draw in the bank, and a hash of its content."""
    if not (home / "bank.db").exists():
        return {}
    db = sqlite3.connect(home / "bank.db")
    try:
        rows = db.execute("SELECT key, idx, draw FROM samples").fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        rows = []
    finally:
        db.close()
    return {(key, idx): hashlib.sha256(draw).hexdigest() for key, idx, draw in rows}


def delivered(home: Path, skip: int) -> list[Draw]:
    log = home / "draws.log"
    lines = log.read_text().splitlines()[skip:] if log.exists() else []
    return [(key, int(index)) for key, index in (line.split() for line in lines)]


def final(home: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The records as plain data, without clocks."""
    records = latest(read_records(home / "run" / "records.jsonl"))
    return {r.key: _timeless(msgspec.to_builtins(r)) for r in records}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        timeless = {k: _timeless(v) for k, v in value.items() if k not in ("seconds", "time", "gists")}
        if "gists" in value:
            timeless["gists"] = [list(gist[:3]) for gist in value["gists"]]
        return timeless
    return [_timeless(v) for v in value] if isinstance(value, list | tuple) else value


def without_cancelled(record: dict[str, Any]) -> dict[str, Any]:
    """The record without what its cancelled draws had generated, and without the number of those that had begun."""
    usage = record.get("usage", {})
    if not usage.get("total", {}).get("cancelled_tokens"):
        return record
    phases = {name: _served(spend) for name, spend in usage["phases"].items()}
    return record | {"usage": usage | {"total": _served(usage["total"]), "phases": phases}}


def _served(spend: dict[str, Any]) -> dict[str, Any]:
    left = spend.get("completion_tokens", 0) - spend.get("cancelled_tokens", 0)
    return {k: v for k, v in spend.items() if k not in ("cancelled_tokens", "calls")} | {"completion_tokens": left}


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in a.keys() | b.keys() for d in differences(a.get(k), b.get(k), f"{where}.{k}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{where}[{i}]")]
    return [] if a == b else [f"{where}: {a!r:.80} != {b!r:.80}"]


class Trial:
    """One run: killed `kills` times, then left to end."""

    def __init__(self, home: Path, samples: int | None, kills: int, length_s: float, rng: random.Random):
        home.mkdir()
        self.home, self.torn = home, 0
        self.redrawn: list[Draw] = []  # was in the bank already: must stay empty
        self.changed: list[Draw] = []  # was in the bank, and is now different or gone: must stay empty
        self.doubled: list[Draw] = []  # delivered twice within one process: must stay empty
        self.kept_out: list[Draw] = []  # delivered, but the kill came before the bank had it
        self.landed = 0  # kills that found the run still going
        for _ in range(kills):
            process, before, seen = start(home, samples), banked(home), len(delivered(home, 0))
            # a run that is killed many times must still be going at its last kill
            self._wait(process, rng.uniform(0, length_s if kills == 1 else 1.5 * length_s / kills))
            self.landed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            assert process.stdout is not None
            process.stdout.close()
            process.wait()
            records = home / "run" / "records.jsonl"
            self.torn += records.exists() and not records.read_bytes().endswith(b"\n") and records.stat().st_size > 0
            self._check(before, seen)
            self.kept_out += [d for d in delivered(home, seen) if d not in banked(home)]
        before, seen = banked(home), len(delivered(home, 0))
        finish(start(home, samples))
        self._check(before, seen)

    @staticmethod
    def _wait(process: subprocess.Popen[str], seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)

    def _check(self, before: dict[Draw, str], seen: int) -> None:
        now, drawn = banked(self.home), delivered(self.home, seen)
        self.redrawn += [d for d in drawn if d in before]
        self.changed += [d for d, content in before.items() if now.get(d) != content]
        self.doubled += [d for d, times in Counter(drawn).items() if times > 1]


@dataclass
class Kind:
    """All runs of one kind, compared with its undisturbed one."""

    name: str
    records: int
    draws: int
    noise: int
    trials: list[Trial]
    wrong: list[str]
    cancelled: list[str]
    lost: int
    extra: int


def compare(name: str, samples: int | None, kills: int, root: Path, rng: random.Random) -> Kind:
    straight = root / f"{name}-straight"
    straight.mkdir()
    process = start(straight, samples)
    begun = time.perf_counter()
    assert process.stdout is not None
    process.stdout.readline()  # done
    length_s = time.perf_counter() - begun
    finish(process)
    (root / f"{name}-again").mkdir()
    finish(start(root / f"{name}-again", samples))
    expected, bank = final(straight), banked(straight)
    if len(bank) < 100 or any("error" in record for record in expected.values()):
        raise SystemExit(f"the undisturbed run {name} is not what it should be: {len(bank)} draws")
    noise = differences(expected, final(root / f"{name}-again"))
    print(f"{name}: undisturbed {len(expected)} records, {len(bank)} draws, {length_s:.1f} s; ", end="")
    print(f"two undisturbed runs differ in {len(noise)} fields")
    trials = [Trial(root / f"{name}-{i}", samples, 1, length_s, rng) for i in range(kills)]
    trials.append(Trial(root / f"{name}-often", samples, kills, length_s, rng))
    kind = Kind(name, len(expected), len(bank), len(noise), trials, [], [], 0, 0)
    for trial in trials:
        found, now = final(trial.home), banked(trial.home)
        every = differences(expected, found)
        wrong = every
        if samples is None:
            bare = [{key: without_cancelled(r) for key, r in records.items()} for records in (expected, found)]
            wrong = differences(bare[0], bare[1])
        kind.wrong += wrong
        kind.cancelled += every if len(every) > len(wrong) else []
        missing, more = [d for d in bank if d not in now], [d for d in now if d not in bank]
        kind.lost, kind.extra = kind.lost + len(missing), kind.extra + len(more)
        print(
            f"  {trial.home.name:16} killed {trial.landed:2}x  differing fields {len(wrong)}  lost {len(missing)}  "
            f"redrawn {len(trial.redrawn)}  changed {len(trial.changed)}  twice {len(trial.doubled)}  | "
            f"kept out by the kill {len(trial.kept_out):2}  cancelled counts {len(every) - len(wrong):2}  "
            f"extra {len(more)}  torn {trial.torn}"
        )
        for difference in wrong[:5]:
            print("     ", difference)
    return kind


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 kill of each kind instead of 10")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        asyncio.run(child(args.child, args.samples or None))
        return 0
    marks = Marks("resume", args.quick)
    kills = 1 if args.quick else 10
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="nlrl-resume-") as directory:
        kinds = [
            compare("panel", PANEL, kills, Path(directory), rng),
            compare("live", None, kills, Path(directory), rng),
        ]
    trials = [t for kind in kinds for t in kind.trials]
    result = {
        "runs": len(trials),
        "kills": sum(t.landed for t in trials),
        "records": sum(kind.records for kind in kinds),
        "draws": sum(kind.draws for kind in kinds),
        "differing_fields": sum(len(kind.wrong) for kind in kinds),
        "draws_lost": sum(kind.lost for kind in kinds),
        "draws_redrawn_though_banked": sum(len(t.redrawn) for t in trials),
        "draws_changed": sum(len(t.changed) for t in trials),
        "draws_twice_in_one_process": sum(len(t.doubled) for t in trials),
        "draws_kept_out_by_a_kill": sum(len(t.kept_out) for t in trials),
        "draws_more_than_undisturbed": sum(kind.extra for kind in kinds),
        "torn_lines": sum(t.torn for t in trials),
        "cancelled_counts_that_differ": sum(len(kind.cancelled) for kind in kinds),
        "undisturbed_runs_differ_in": {kind.name: kind.noise for kind in kinds},
    }
    bad = (
        "differing_fields",
        "draws_lost",
        "draws_redrawn_though_banked",
        "draws_changed",
        "draws_twice_in_one_process",
    )
    for name in bad:
        marks.exact(name.replace("_", " "), result.pop(name), equal_to=0)
    marks.timing("kills that landed", result.pop("kills"), at_least=2 * kills - 2)
    return marks.result(**result)


if __name__ == "__main__":
    raise SystemExit(main())
