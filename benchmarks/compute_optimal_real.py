"""Compute-optimal scaling on real models and real problems, whatever it says.

    python benchmarks/compute_optimal_real.py --data-root DIR --bank FILE [--limit 14] [--picture FILE]

DIR holds gsm8k/test.jsonl, mbpp/sanitized-mbpp.json and commonsenseqa/dev_rand_split.jsonl; the first `--limit` rows of
each are used. 16 samples a problem are drawn into the bank (an hour for both models on 2 cores; run it again to go on),
then everything is replayed: fixed strategies, the best of them as chosen on the other half of the problems, the policy
beside it, and what it saves at equal accuracy. Votes are weighted by public tests on coding, by the model's own
certainty on the rest. At the end the small model with more samples is set against the larger one with fewer, at equal
FLOPs of inference (2 per weight and token) and with pretraining counted (Snell et al. 2024, 2408.03314, section 7).
There is no mark: the figures are the result.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import numpy as np

from equipment.marks import Marks
from nlrl.bank import Bank
from nlrl.core import Model, Problem, Sampling
from nlrl.evaluation import mean_interval
from nlrl.models import load_model
from nlrl.scaling.calibrate import Calibration, Progress, calibrate
from nlrl.scaling.flops import Shape, matched
from nlrl.scaling.tables import family_rows, tables
from nlrl.tasks.datasets import load_problems

NEEDS = ("data",)

SETS = ("gsm8k/test.jsonl", "mbpp/sanitized-mbpp.json", "commonsenseqa/dev_rand_split.jsonl")
SAMPLES, MAX_TOKENS = 16, 256
RATIOS = (0.01, 0.16, 0.79, 1.0, 22.0)  # inference tokens over pretraining tokens; .16, .79 and 22 are the paper's
FAMILIES = ("self_consistency", "weighted_vote")


def tell(now: Progress) -> None:
    if now.done == now.total or now.done % 5 == 0:
        print(f"  {now.stage} {now.done}/{now.total}", file=sys.stderr)


async def measured(name: str, problems: list[Problem], bank: Bank) -> tuple[Calibration, Model]:
    model = load_model(name)
    try:
        done = await calibrate(
            problems,
            model,
            bank=bank,
            samples=SAMPLES,
            sampling=Sampling(max_tokens=MAX_TOKENS),
            bins=3,
            on_progress=tell,
        )
    finally:
        await model.aclose()
    return done, model


def show(name: str, done: Calibration) -> None:
    print(f"\n=== {name}: {len(done.problems)} problems")
    for title, columns, rows in tables(done):
        print(f"\n{title}\n  " + " | ".join(columns))
        for row in rows:
            print("  " + " | ".join(row))
    for note in done.policy.notes:
        print(f"Note: {note}")
    kinds = sorted({str(p.task_type) for p in done.problems})
    print("\nby kind, accuracy (tokens)\n  strategy | " + " | ".join(kinds))
    for rows in family_rows(done.plain).values():
        for i in rows:
            cells = []
            for kind in kinds:
                here = np.array([str(p.task_type) == kind for p in done.problems])
                right = done.plain.right[i, here]
                mean = mean_interval(right[np.isfinite(right)]).mean
                cells.append(f"{100 * mean:.0f} ({done.plain.tokens[i, here].mean():.0f})")
            print(f"  {done.plain.keys[i][0]} | " + " | ".join(cells))


def points(done: Calibration, common: set[str], family: str) -> list[tuple[float, float]]:
    """(tokens, accuracy) of one attempt and of a family's sizes, on the problems both models were asked."""
    here = np.array([p.id in common for p in done.problems])
    rows = [*family_rows(done.plain).get("direct", []), *family_rows(done.plain).get(family, [])]
    return [(float(done.plain.tokens[i, here].mean()), float(np.nanmean(done.plain.right[i, here]))) for i in rows]


def set_against(small: tuple[Calibration, int], large: tuple[Calibration, int], picture: Path | None) -> None:
    common = {p.id for p in small[0].problems} & {p.id for p in large[0].problems}
    times = large[1] / small[1]
    print(f"\n=== at equal FLOPs, {len(common)} problems: {small[1] / 1e6:.0f}M against {large[1] / 1e6:.0f}M weights")
    print("  strategy | FLOPs a problem, small | accuracy | FLOPs, large | accuracy")
    curves = {}
    for family in FAMILIES:
        ours, theirs = points(small[0], common, family), points(large[0], common, family)
        curves[family] = (ours, theirs)
        for (t, a), (u, b) in zip(ours, theirs, strict=True):
            print(f"  {family} | {2 * small[1] * t:.2e} | {100 * a:.1f} | {2 * large[1] * u:.2e} | {100 * b:.1f}")
    base_tokens, base = points(large[0], common, FAMILIES[0])[0]
    print(f"\nthe large model once: {100 * base:.1f} % for {base_tokens:.0f} tokens. With as many FLOPs:")
    print("  R (inference / pretraining tokens) | tokens of the small model | its best accuracy within them")
    for ratio in RATIOS:
        match = matched(Shape(small[1]), Shape(large[1]), pretraining_tokens=1e12, inference_tokens=ratio * 1e12)
        allowed = match.factor * base_tokens
        best = max((a for f in FAMILIES for t, a in curves[f][0] if t <= allowed), default=float("nan"))
        print(f"  {ratio} | {allowed:.0f} ({match.factor:.1f} x) | {100 * best:.1f}")
    print(f"(M = {times:.1f}; both models are taken to have seen as many tokens in pretraining, as in the paper)")
    if picture is not None:
        draw(curves, small[1], large[1], picture)
        print(f"picture  {picture}")


def draw(curves: dict, small: int, large: int, path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No picture: pip install 'nlrl[plot]'")
        return
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for family, line in zip(curves, ("-", "--"), strict=True):
        for weights, rows, colour in ((small, curves[family][0], "#0072B2"), (large, curves[family][1], "#D55E00")):
            x, y = zip(*((2 * weights * t, 100 * a) for t, a in rows), strict=True)
            axes.plot(x, y, line, marker="o", color=colour, label=f"{weights / 1e6:.0f}M, {family}")
    axes.set_xscale("log")
    axes.set_xlabel("FLOPs of inference per problem (2 per weight and token)")
    axes.set_ylabel("accuracy in %")
    axes.set_title("A small model with more samples, a larger one with fewer")
    axes.grid(color="#dddddd", lw=0.6)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


async def run(args: argparse.Namespace) -> dict[str, object]:
    figures: dict[str, object] = {}
    done: dict[str, tuple[Calibration, int]] = {}
    with Bank(args.bank) as bank:
        for name, limit in zip(args.models, args.limit * len(args.models), strict=False):
            problems = [p for data in SETS for p in load_problems(str(args.data_root / data), limit=limit).problems]
            result, model = await measured(name, problems, bank)
            show(name, result)
            done[name] = (result, model.can.parameters or 0)
            best = result.validation.by_price[0]
            fixed = (result.other if result.validation.probed else result.validation).by_price[0]
            figures[name] = {
                "problems": len(problems), "policy_accuracy": best.accuracy, "policy_tokens": float(best.tokens.mean()),
                "probed": result.validation.probed, "best_fixed_accuracy": fixed.accuracy,
                "best_fixed_tokens": float(fixed.tokens.mean()),
            }  # fmt: skip
    if len(done) == 2:
        small, large = sorted(done.values(), key=lambda pair: pair[1])
        set_against(small, large, args.picture)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("NLRL_DATA"), help="[env: NLRL_DATA]")
    parser.add_argument("--bank", type=Path, default=Path("runs/compute_optimal_real.sqlite"))
    parser.add_argument("--models", nargs="+", default=["qwen2.5-coder-0.5b", "smollm2-135m"])
    parser.add_argument(
        "--limit", type=int, nargs="+", default=[14], help="rows of each set; one number, or one a model"
    )
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--quick", action="store_true", help="3 rows of each set, the small model only")
    args = parser.parse_args()
    if args.data_root is None:
        parser.error("give --data-root, or set NLRL_DATA")
    if args.quick:
        args.models, args.limit = ["smollm2-135m"], [3]
    args.data_root = Path(args.data_root)
    marks = Marks("compute_optimal_real", args.quick)
    return marks.result(**asyncio.run(run(args)))


if __name__ == "__main__":
    sys.exit(main())
