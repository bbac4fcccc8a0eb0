"""Compute-optimal choice per difficulty against best-of-N, on arithmetic chains, with models trained here.

    python benchmarks/compute_optimal.py            # five seeds, each with its own generator and reward models
    python benchmarks/compute_optimal.py --quick    # one small seed in under a minute: shows that it runs, no mark

For every seed a generator (a transformer of 0.14 million weights) is trained on chains of 2 to 8 steps, and a process
reward model on Monte-Carlo rollouts of that generator: its body is a copy of the generator that was trained further on
chains, its labels are the outcomes of the rollouts, and nobody tells it which step is wrong. The baseline is best-of-N
weighted with that reward model. Compute-optimal spends one attempt and its scoring on a probe, and then takes, per bin
of predicted difficulty, the strategy and size that did best on the other half of the problems. Every token counts:
prompts (again at every step of a search), attempts, the probe, and what the reward models read. The mark:
compute-optimal reaches the accuracy of best-of-64 with 4 times fewer tokens (Snell et al. 2024, 2408.03314).

Beside it stands the best fixed strategy, as a sceptic would have it: at each price of a token the one arm, of all that
were run with a probe or without, that did best on the other half of the problems, whatever their difficulty. The second
mark: at the accuracy of best-of-64 the choice by difficulty needs fewer tokens than it, with the whole interval.

A weak reward model (the generator's own body, rollouts of a few problems only) shows where search hurts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nlrl.bank import Bank

try:
    import torch
except ImportError:
    sys.exit("This benchmark trains its own models and needs torch: pip install 'nlrl[hf]'")

from chains.arms import run_arms, run_probes
from chains.choice import cross_validate, one_bin, quantile_bins
from chains.report import BASE, BINS, CROSSING, MARK, OTHER, PLANNED, SIZES, Measured, report
from chains.world import Plan, World, make_world
from equipment.marks import Marks

NEEDS = ("torch",)

QUICK = Plan(
    problems=14,
    generator_steps=500,
    body_steps=150,
    rollout_problems=60,
    rollouts=8,
    prm_steps=100,
    weak_problems=10,
    weak_steps=20,
)


async def measure(world: World, sizes: int) -> Measured:
    with Bank() as bank:
        fixed, planned = await run_arms(world, world.strong, [*BASE[:sizes], *OTHER], PLANNED, bank)
        probes = await run_probes(world, bank)
        weak, _ = await run_arms(world, world.weak, CROSSING, (), bank)
        rate = await pass_rates(world, bank)
    score = (probes.question + probes.attempt) / 2
    chosen = cross_validate(planned.right, planned.tokens, quantile_bins(score, BINS))
    oracle = cross_validate(planned.right, planned.tokens, quantile_bins(rate, BINS))
    right, tokens = (np.concatenate(pair) for pair in ((fixed.right, planned.right), (fixed.tokens, planned.tokens)))
    constant = cross_validate(right, tokens, one_bin(right.shape[1]))
    # quintiles of the pass rate by rank: many problems share the rates 0 and 1, and a bin needs its fifth
    ranks = np.argsort(np.argsort(rate + 1e-6 * score))
    return Measured(fixed, planned, probes, weak, ranks * BINS // len(rate), chosen, oracle, constant)


async def pass_rates(world: World, bank: Bank) -> np.ndarray:
    """Share of right attempts among all that the bank holds for a problem: pass@1, the oracle's difficulty."""
    rates = dict.fromkeys((p.id for p in world.problems), 0.0)
    most = dict.fromkeys(rates, 0)
    answers = {p.id: c.lines[-1] for p, c in zip(world.problems, world.chains, strict=True)}
    for _, problem_id, draws in bank.families(world.generator.name):
        if problem_id in most and len(draws) > most[problem_id]:  # the panel: a step of a search has fewer draws
            most[problem_id] = len(draws)
            right = [d.completion.text.rstrip().endswith(answers[problem_id]) for d in draws]
            rates[problem_id] = float(np.mean(right))
    return np.array(list(rates.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small seed in under a minute, without the mark")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", type=int, default=Plan.problems, help="problems measured per seed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep trained weights in this directory, and take them from there")
    parser.add_argument("--picture", type=Path, default=Path(tempfile.gettempdir()) / "compute_optimal.png")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    plan, sizes = (QUICK, 5) if args.quick else (Plan(problems=args.problems), len(SIZES))
    marks = Marks("compute_optimal", args.quick)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cpus, {args.threads} threads; {plan}")
    seeds = []
    for seed in range(1 if args.quick else args.seeds):
        world = make_world(seed, plan, args.keep)
        started = time.perf_counter()
        seeds.append(asyncio.run(measure(world, sizes)))
        print(f"seed {seed}: {'; '.join(world.notes)}; measured in {time.perf_counter() - started:.0f} s", flush=True)
    return report(seeds, sizes, args.picture, marks, None if args.quick else MARK)


if __name__ == "__main__":
    raise SystemExit(main())
