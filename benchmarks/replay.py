"""A 64-sample panel of 1,000 problems through five strategies at six budgets, offline from the bank.

    python benchmarks/replay.py            # 30,000 solves
    python benchmarks/replay.py --quick    # 200 problems

The panel is made with a stochastic model, written as JSON lines and imported as any panel from elsewhere is; then the
sweep runs. The mark: the sweep takes less than a minute of one processor's time, and the figures are what they must be
(a vote is better than one attempt, no budget is passed, a second sweep gives the same numbers).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from equipment.marks import Marks
from nlrl.answers.extraction import extract_answer
from nlrl.bank import Bank, ReplayModel
from nlrl.core import Budget, Problem, Request, Sampling, TaskType, user
from nlrl.evaluation import gain_interval, import_panels
from nlrl.evaluation.sweep import Point, sweep
from nlrl.testing.scripted import StochasticModel

STRATEGIES = (
    "direct",
    "self_consistency(n=64)",
    "adaptive_consistency(n=64, wave=8)",
    "best_of_n(n=64, select=best, verifier=mean_logprob)",
    "best_of_n(n=64, select=weighted, verifier=mean_logprob)",
)
BUDGETS = (200, 400, 800, 1600, 3200, 6400)
MAX_TOKENS = 128
PROMPT_TOKENS = 40
LIMIT_S = 60.0


async def write_panel(path: Path, count: int, samples: int) -> None:
    rng = random.Random(11)
    problems = []
    for i in range(count):
        a, b = rng.randint(10, 999), rng.randint(10, 999)
        question = f"Case {i}: a hall seats {a} people and another {b}. How many seats are there?"
        problems.append(Problem(question, reference=str(a + b), task_type=TaskType.MATH))
    model = StochasticModel(problems, {p.id: rng.betavariate(1.2, 1.0) for p in problems}, tokens=40, seed=2)
    with path.open("w", encoding="utf-8") as file:
        for problem in problems:
            request = Request((user(problem.question),), Sampling(max_tokens=MAX_TOKENS), n=samples)
            drawn = []
            for draw in await model.complete(request):
                answer = extract_answer(draw.text, problem).answer
                # the model's own confidence tells right from wrong a little: a gap of one standard deviation
                sure = -abs(rng.gauss(0.4 if answer == problem.reference else 0.6, 0.2))
                drawn.append({"answer": answer, "tokens": draw.completion_tokens, "text": draw.text, "logprob": sure})
            row = {
                "problem_id": problem.id,
                "question": problem.question,
                "reference": problem.reference,
                "task_type": "math",
                "prompt_tokens": PROMPT_TOKENS,
                "samples": drawn,
            }
            file.write(json.dumps(row) + "\n")


def same(a: list[Point], b: list[Point]) -> bool:
    return all(
        np.array_equal(x.right, y.right, equal_nan=True) and np.array_equal(x.tokens, y.tokens)
        for x, y in zip(a, b, strict=True)
    )


async def run(quick: bool, count: int, samples: int) -> int:
    marks = Marks("replay", quick)
    with tempfile.TemporaryDirectory(prefix="nlrl-replay-") as directory, Bank() as bank:
        file = Path(directory) / "panel.jsonl"
        begun = time.perf_counter()
        await write_panel(file, count, samples)
        made = time.perf_counter()
        imported = await import_panels(file, bank, "stochastic")
        read = time.perf_counter()
        print(
            f"panel: {imported.problems} problems, {imported.samples} samples, {file.stat().st_size / 1e6:.0f} MB; "
            f"made in {made - begun:.1f} s, imported in {read - made:.1f} s"
        )
        model = ReplayModel("panel:stochastic", is_panel=True)
        problems = bank.problems("stochastic")
        how = {"model": model, "bank": bank, "sampling": Sampling(max_tokens=MAX_TOKENS)}
        budgets = [Budget(tokens=t) for t in BUDGETS]
        begun, worked = time.perf_counter(), time.process_time()
        points = await sweep(problems, STRATEGIES, budgets, **how)
        seconds, worked = time.perf_counter() - begun, time.process_time() - worked
        few = problems[:50]
        repeated = same(await sweep(few, STRATEGIES, budgets, **how), await sweep(few, STRATEGIES, budgets, **how))
    solves = len(problems) * len(points)
    draws = int(sum(p.calls.sum() for p in points))
    print(
        f"sweep: {solves} solves, {draws} draws served in {seconds:.1f} s ({worked:.1f} s of processor "
        f"time): {1e3 * worked / solves:.2f} ms a solve\n"
    )
    print("accuracy (mean tokens) by budget".ljust(58) + "".join(f"{b:>13}" for b in BUDGETS))
    for i, name in enumerate(STRATEGIES):
        row = points[i * len(BUDGETS) : (i + 1) * len(BUDGETS)]
        print(name.ljust(58) + "".join(f"{p.accuracy:>7.3f}{f'({p.tokens.mean():.0f})':>6}" for p in row))
    one, vote = points[len(BUDGETS) - 1], points[2 * len(BUDGETS) - 1]
    gain = gain_interval(vote.right, one.right)
    within = all((p.tokens <= p.budget.tokens).all() for p in points if p.budget.tokens is not None)
    print(f"\nvote over one attempt: {100 * gain.mean:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]")
    result = {
        "problems": len(problems),
        "samples": samples,
        "solves": solves,
        "draws_served": draws,
        "sweep_seconds": round(seconds, 2),
        "import_seconds": round(read - made, 2),
        "processor_seconds": round(worked, 2),
        "ms_per_solve": round(1e3 * worked / solves, 3),
    }
    marks.exact("budgets held", within)
    marks.exact("a second sweep gives the same", repeated)
    marks.exact("vote over one attempt, low end", gain.low, above=0)
    marks.timing("processor seconds", worked, below=LIMIT_S * count / 1000)
    return marks.result(**result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 problems instead of 1,000")
    args = parser.parse_args()
    return asyncio.run(run(args.quick, 200 if args.quick else 1000, 64))


if __name__ == "__main__":
    raise SystemExit(main())
