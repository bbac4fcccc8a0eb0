"""How long does a calibration take when the samples are there already?

    python benchmarks/calibrate_scale.py [--quick] [--problems 1000]

A panel of so many problems x 64 samples is imported into a bank, and calibrated: 8 strategies x 8 budgets, each with
the difficulty probe and without, on the same samples, binned, cross-validated, and made into a policy. Nothing is
generated. Run twice, at one size and at ten times that, each in a process of its own, so that peak memory is its own.
Mark: at most 3 ms of processor time per problem and cell (strategy x budget), and memory that grows by less than 4x at
10x the problems.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from equipment.marks import Marks
from nlrl.bank import Bank, ReplayModel
from nlrl.evaluation import import_panels
from nlrl.scaling.calibrate import calibrate

STRATEGIES = (
    "direct", "self_consistency(n=8)", "self_consistency(n=64)", "best_of_n(n=8)", "best_of_n(n=32)",
    "best_of_n(n=64)", "adaptive_consistency(n=64, threshold=0.8)", "adaptive_consistency(n=64, threshold=0.95)",
)  # fmt: skip
CAPS = (500, 1000, 2000, 4000, 8000, 12000, 16000, 24000)
SAMPLES = 64
CELL_MS = 3.0
MEMORY_GROWTH = 4.0


def write_panel(path: Path, problems: int) -> None:
    """Problems of all difficulties; wrong answers share a favourite."""
    rng = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for i in range(problems):
            right = rng.betavariate(0.7, 0.7)
            samples = []
            for _ in range(SAMPLES):
                good = rng.random() < right
                answer = str(i) if good else str(i + 1 + min(int(rng.expovariate(0.7)), 9))
                logprob = -rng.uniform(0.05, 0.3 if good else 0.6)
                samples.append({"answer": answer, "tokens": rng.randint(60, 300), "logprob": logprob})
            row = {"problem_id": f"p{i}", "question": f"Question {i}?", "reference": str(i), "prompt_tokens": 80}
            file.write(json.dumps(row | {"task_type": "math", "samples": samples}) + "\n")


def one(problems: int) -> dict[str, float]:
    """Import and calibrate in this process."""
    with tempfile.TemporaryDirectory() as folder:
        panel = Path(folder, "panel.jsonl")
        write_panel(panel, problems)
        with Bank(Path(folder, "bank.sqlite")) as bank:
            asyncio.run(import_panels(panel, bank, "synthetic"))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            begun, cpu = time.perf_counter(), time.process_time()
            done = asyncio.run(
                calibrate(
                    bank.problems("synthetic"),
                    ReplayModel("panel:synthetic", is_panel=True),
                    bank=bank,
                    samples=SAMPLES,
                    strategies=STRATEGIES,
                    caps=CAPS,
                )
            )
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    best = done.validation.by_price[0]
    return {
        "problems": problems,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before_mb": before,
        "bins": len(done.policy.bins),
        "accuracy": best.accuracy.mean,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="12 and 120 problems instead of 100 and 1,000")
    parser.add_argument("--problems", type=int, default=1000, help="the larger size; the smaller is a tenth")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one)))
        return 0
    marks = Marks("calibrate_scale", args.quick)
    large = 120 if args.quick else max(args.problems, 100)
    print(
        f"{len(STRATEGIES)} strategies x {len(CAPS)} budgets, {SAMPLES} samples a problem, with a probe and without\n"
    )
    print(f"{'problems':>9}{'seconds':>10}{'cpu s':>9}{'ms a cell':>11}{'peak MB':>9}{'of which before':>17}")
    rows = []
    for size in (large // 10, large):
        out = subprocess.run([sys.executable, __file__, "--one", str(size)], capture_output=True, text=True, check=True)
        row = json.loads(out.stdout.splitlines()[-1])
        row["ms_per_cell"] = 1000 * row["cpu_seconds"] / (size * len(STRATEGIES) * len(CAPS) * 2)
        rows.append(row)
        print(
            f"{size:>9}{row['seconds']:>10.1f}{row['cpu_seconds']:>9.1f}{row['ms_per_cell']:>11.2f}"
            f"{row['peak_mb']:>9.0f}{row['before_mb']:>17.0f}"
        )
    time_growth, memory_growth = (
        rows[1]["cpu_seconds"] / rows[0]["cpu_seconds"],
        rows[1]["peak_mb"] / rows[0]["peak_mb"],
    )
    print(f"\nat 10x the problems: {time_growth:.1f}x the time, {memory_growth:.2f}x the memory")
    marks.timing("ms of processor time a problem and cell", rows[1]["ms_per_cell"], at_most=CELL_MS)
    marks.timing("memory at 10x the problems, times", memory_growth, below=MEMORY_GROWTH)
    return marks.result(rows=rows, time_growth=time_growth)


if __name__ == "__main__":
    sys.exit(main())
