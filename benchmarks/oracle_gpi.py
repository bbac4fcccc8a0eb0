"""Is the language pipeline right? An exact oracle in the language model's place must make it value iteration.

    python benchmarks/oracle_gpi.py [--quick]

The oracle is a model that parses the sentences it is given, calculates, and writes a sentence; it knows no environment.
What is learned is compared with dynamic programming on the environment itself: success or mean return of the learned
policy (exact, by forward recursion), and the largest error of the values read back out of their texts. Marks: slippery
FrozenLake 0.740 within 100 steps, value error below 0.01, V(start) 0.542; not slippery 1.0; Double-T maze mean return
-6.84, medium maze -4.72; tic-tac-toe against a random opponent 0.967 over both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from equipment.marks import Marks
from nlrl.environments import make
from nlrl.environments.exact import (
    mean_return,
    start_value,
    success_within,
    uniform_policy,
    value_iteration,
)
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.desk import Desk
from nlrl.learning.language.acting.gpi import ActingSettings, Result, language_policy_iteration
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import Table, Uniform
from nlrl.learning.language.acting.texts import worth
from nlrl.learning.language.acting.values import Store, question

Measure = Callable[[FiniteEnvironment, dict[State, str]], float]


@dataclass(frozen=True)
class Case:
    """One environment, how its policy is measured, and what must come out."""

    spec: str
    measure: Measure
    mark: float
    sweeps: int = 1
    iterations: int = 60
    quick: bool = True


CASES = (
    Case("frozen_lake(slippery=true)", success_within, 0.740, sweeps=12),
    Case("frozen_lake(slippery=false)", success_within, 1.0),
    Case("maze(layout=double_t)", mean_return, -6.84),
    Case("maze(layout=umaze)", mean_return, float("nan")),
    Case("maze(layout=medium)", mean_return, -4.72),
    Case("tic_tac_toe(first=true, opponent=random)", mean_return, 0.995, iterations=8, quick=False),
    Case("tic_tac_toe(first=false, opponent=random)", mean_return, 0.939, iterations=8, quick=False),
)


async def learn(env: FiniteEnvironment, case: Case) -> tuple[Result, Store, dict[State, str], Operators]:
    operators = Operators(env, Desk(OracleModel()))
    value, policy = Store(operators), Table(env, Uniform(env))
    settings = ActingSettings(iterations=case.iterations, sweeps=case.sweeps, tolerance=1e-5)
    result = await language_policy_iteration(operators, value, policy, settings)
    actions = {s: d.action or "" for s in env.states() if (d := policy.written(s)) is not None}
    return result, value, actions, operators


async def run(args: argparse.Namespace) -> int:
    marks = Marks("oracle_gpi", args.quick)
    print(
        f"{'environment':<44}{'uniform':>9}{'learned':>9}{'exact':>9}{'V(start)':>10}{'error of V':>12}"
        f"{'rounds':>8}{'calls':>9}{'seconds':>9}"
    )
    rows = []
    for case in CASES:
        if args.quick and not case.quick:
            continue
        env = make(case.spec)
        begun = time.perf_counter()
        result, value, actions, operators = await learn(env, case)
        seconds = time.perf_counter() - begun
        exact = value_iteration(env)
        said = {s: worth(value.table[question(env, s)]) or 0.0 for s in env.states()}
        error = max(abs(said[s] - exact.values[s]) for s in env.states())
        learned, best = case.measure(env, actions), case.measure(env, exact.policy)
        row = {
            "environment": env.name,
            "uniform": case.measure(env, uniform_policy(env)),
            "learned": learned,
            "exact": best,
            "mark": None if case.mark != case.mark else case.mark,
            "v_start": start_value(env, said),
            "value_error": error,
            "rounds": len(result.iterations),
            "stopped": result.stopped,
            "calls": operators.desk.calls.total(),
            "seconds": round(seconds, 1),
        }
        rows.append(row)
        marks.exact(f"largest error of V, {env.name}", error, below=0.01)
        marks.exact(f"learned, from the exact optimum, {env.name}", abs(learned - best), below=0.002)
        if case.mark == case.mark:
            marks.exact(f"learned, {env.name}", learned, above=case.mark - 0.006, below=case.mark + 0.006)
        print(
            f"{env.name:<44}{row['uniform']:>9.3f}{learned:>9.3f}{best:>9.3f}{row['v_start']:>10.3f}{error:>12.2g}"
            f"{row['rounds']:>8}{row['calls']:>9,}{seconds:>9.1f}",
            flush=True,
        )
    sides = [row["learned"] for row in rows if "tic_tac_toe" in str(row["environment"])]
    if sides:
        print(f"\ntic-tac-toe against random, first and second together: {sum(sides) / len(sides):.3f}")
    return marks.result(rows=rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without tic-tac-toe (two minutes)")
    args = parser.parse_args()
    return asyncio.run(run(args))


if __name__ == "__main__":
    raise SystemExit(main())
