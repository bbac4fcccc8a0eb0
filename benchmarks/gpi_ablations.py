"""Does every part of language policy iteration carry weight? Ablations on slippery FrozenLake, which must hurt.

    python benchmarks/gpi_ablations.py [--quick]

One oracle model reads and writes the texts; each row breaks one thing. Success is that of the learned policy within 100
steps (exact). Then: sampled transitions instead of all of them (K = 1, 3, 10; mean over seeds), a growing share of
false statements (mean over seeds; it must fall, but for chance, and not off a cliff), and three laws: G1 does not
depend on the order of its variations; the error of Monte Carlo shrinks with its episodes; the fixed point of TD(n) does
not depend on n.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from equipment.marks import Marks
from nlrl.environments import make
from nlrl.environments.exact import evaluate_policy, success_within, uniform_policy, value_iteration
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.desk import Desk
from nlrl.learning.language.acting.evaluation import Evaluation, once
from nlrl.learning.language.acting.gpi import ActingSettings, language_policy_iteration
from nlrl.learning.language.acting.operators import Operators, Variation
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import Table, Uniform
from nlrl.learning.language.acting.texts import Decision, worth
from nlrl.learning.language.acting.values import Store, question

SLIPPERY = "frozen_lake(slippery=true)"
BROKEN = {
    "nothing broken": OracleModel(),
    "G1 takes the best variation": OracleModel(aggregate="max"),
    "G1 takes one variation": OracleModel(aggregate="first"),
    "G2 drops the reward": OracleModel(join="no reward"),
    "G2 drops the future": OracleModel(join="no future"),
    "I chooses by chance": OracleModel(improve="random"),
    "values in five words": OracleModel(words=True),
}

QUICK = ("nothing broken", "G1 takes the best variation", "G2 drops the reward", "values in five words")


async def success(env: FiniteEnvironment, model: OracleModel, settings: ActingSettings) -> float:
    """Of the policy learned with this model, within the environment's step limit."""
    operators = Operators(env, Desk(model))
    policy = Table(env, Uniform(env))
    await language_policy_iteration(operators, Store(operators), policy, settings)
    return success_within(env, {s: d.action for s in env.states() if (d := policy.written(s)) and d.action})


async def broken(env: FiniteEnvironment, names: Sequence[str]) -> dict[str, float]:
    rows = {}
    for name in names:
        rows[name] = await success(env, BROKEN[name], ActingSettings(iterations=20, sweeps=12, tolerance=1e-4))
        print(f"{name:<34}{rows[name]:>8.3f}", flush=True)
    rows["uniform policy"] = success_within(env, uniform_policy(env))
    print(f"{'the uniform policy':<34}{rows['uniform policy']:>8.3f}")
    return rows


async def sampled(env: FiniteEnvironment, seeds: int, iterations: int) -> dict[str, list[float]]:
    """K sampled transitions an action; values are the merger of the last 4 sweeps' targets."""
    rows = {}
    for k in (1, 3, 10):
        settings = [
            ActingSettings(iterations=iterations, sweeps=4, window=4, evaluation=Evaluation(samples=k), seed=seed)
            for seed in range(seeds)
        ]
        rows[str(k)] = [await success(env, OracleModel(), s) for s in settings]
        print(
            f"K = {k:<30}{statistics.mean(rows[str(k)]):>8.3f}   {min(rows[str(k)]):.3f} to {max(rows[str(k)]):.3f}",
            flush=True,
        )
    return rows


async def corrupted(env: FiniteEnvironment, seeds: int, shares: Sequence[float]) -> dict[str, list[float]]:
    rows = {}
    for share in shares:
        models = [OracleModel(corrupt=share, seed=seed) for seed in range(seeds if share else 1)]
        found = [await success(env, m, ActingSettings(iterations=12, sweeps=12, tolerance=1e-4)) for m in models]
        rows[f"{share:g}"] = found
        print(f"{100 * share:>4.0f} % of statements false{'':<10}{statistics.mean(found):>8.3f}", flush=True)
    return rows


def falls(rows: Sequence[Sequence[float]]) -> bool:
    """Whether the means fall from first to last, and never rise by more than two standard errors on the way."""
    means = [statistics.mean(row) for row in rows]
    errors = [statistics.stdev(row) / len(row) ** 0.5 if len(row) > 1 else 0.0 for row in rows]
    steps = zip(pairwise(means), pairwise(errors), strict=True)
    rises = [after - before > 2 * math.hypot(*noise) for (before, after), noise in steps]
    return means[-1] < means[0] and not any(rises)


async def order_does_not_matter() -> bool:
    operators = Operators(make(SLIPPERY), Desk(OracleModel(aggregate="first")))  # the merger that would notice
    variations = [Variation(1 / 7, f"The way {i}. Worth: {i}") for i in range(7)]
    texts = set()
    for seed in range(10):
        random.Random(seed).shuffle(variations)
        texts.add(await operators.aggregate(variations))
    return len(texts) == 1


async def monte_carlo(env: FiniteEnvironment, counts: tuple[int, ...]) -> dict[str, float]:
    """Error of V by K whole episodes of the best policy from each state, against exact evaluation."""
    best = value_iteration(env).policy
    policy, exact = await fixed(env, best), evaluate_policy(env, best)
    rows = {}
    for k in counts:
        operators = Operators(env, Desk(OracleModel()))
        store = Store(operators)
        evaluation = Evaluation(steps=None, samples=k)
        errors = []
        for state in env.states():
            text = await evaluation.target(operators, policy, store.read, state)
            errors.append((worth(text or "") or 0.0) - exact[state])
        rows[str(k)] = statistics.fmean(e * e for e in errors) ** 0.5
        print(f"Monte Carlo, K = {k:<17}{rows[str(k)]:>8.4f}   root mean square error of V over states", flush=True)
    return rows


async def fixed_points(env: FiniteEnvironment, steps: int) -> dict[str, float]:
    """Largest difference of TD(n)'s values of the best policy from exact evaluation, after sweeps of `steps` in all."""
    best = value_iteration(env).policy
    policy, exact = await fixed(env, best), evaluate_policy(env, best)
    rows = {}
    for n in (1, 2, 3):
        operators = Operators(env, Desk(OracleModel()))
        store, evaluation = Store(operators), Evaluation(steps=n)
        for _ in range(steps // n):
            read = once(store.read)
            targets = [(s, await evaluation.target(operators, policy, read, s)) for s in env.states()]
            await store.fit([(s, t) for s, t in targets if t], seed=0)
        rows[str(n)] = max(abs((worth(store.table[question(env, s)]) or 0) - exact[s]) for s in env.states())
        print(f"TD({n}), best policy{'':<16}{rows[str(n)]:>8.1e}   largest error of V", flush=True)
    return rows


async def fixed(env: FiniteEnvironment, actions: Mapping[State, str]) -> Table:
    """A policy that says these actions."""
    policy = Table(env, Uniform(env))
    await policy.fit([(s, Decision(f"Action: {a}", a, legal=True)) for s, a in actions.items()], seed=0)
    return policy


async def run(args: argparse.Namespace) -> int:
    marks = Marks("gpi_ablations", args.quick)
    env = make(SLIPPERY)
    seeds, shares = (1, (0.01, 0.1)) if args.quick else (8, (0.0, 0.01, 0.03, 0.1, 0.3, 1.0))
    print("success of the learned policy within 100 steps\n")
    hurt = await broken(env, QUICK if args.quick else tuple(BROKEN))
    print("\nsampled transitions, mean over seeds")
    k = await sampled(env, seeds, 4 if args.quick else 20)
    print("\nfalse statements, mean over seeds")
    false = await corrupted(env, seeds, shares)
    print()
    order = await order_does_not_matter()
    print(f"G1 is the same for every order of its variations: {order}")
    episodes = await monte_carlo(env, (10, 100) if args.quick else (10, 100, 1000))
    points = await fixed_points(env, 24 if args.quick else 300)
    whole = hurt["nothing broken"]
    means = [statistics.mean(k[n]) for n in k]
    marks.exact("success of the whole", whole, above=0.735, below=0.745)
    for name, value in hurt.items():
        if name != "nothing broken":
            marks.exact(f"success where {name}", value, below=0.2)
    marks.exact("falls with false statements", falls(list(false.values())))
    marks.exact("G1 does not depend on the order", order)
    marks.exact("Monte Carlo's error shrinks", all(more < fewer for fewer, more in pairwise(episodes.values())))
    if not args.quick:
        marks.exact("rises with sampled transitions", means[0] < means[1] < means[2])
        marks.exact("largest error of a fixed point", max(points.values()), below=1e-3)
        # falling off a cliff would be no smooth way down
        marks.exact("success with 1 % false statements", statistics.mean(false["0.01"]), above=whole / 2)
    return marks.result(broken=hurt, sampled=k, corrupted=false, monte_carlo=episodes, fixed_points=points)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, three ablations, shorter laws")
    args = parser.parse_args()
    return asyncio.run(run(args))


if __name__ == "__main__":
    raise SystemExit(main())
