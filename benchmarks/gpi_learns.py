"""Does a model really learn by language policy iteration? A small transformer, from scratch, on this machine.

    python benchmarks/gpi_learns.py [--quick] [--seeds 3] [--plot curves.png]            # needs the extra `train`

Values and policy are texts, written by two small transformers that know nothing before the first iteration and are then
fine-tuned on texts alone (fit=sft): "3 ways it may go. Worth: 0.61" for a state, "take 5 is worth 0.61, the best of
4.\\nAction: take 5" for a decision. One step of look-ahead with the environment's own outcomes joins what happens with
what the value model says of where it led; nothing that knows an optimum is asked. Join, aggregate and improve are the
exact text operators of `nlrl.learning.language.acting.oracle`, which calculate with the numbers they read in sentences,
rounded to two decimals. After each iteration the policy plays episodes of seeds kept for testing, greedily; what it
says that is no legal action is counted, costs what the environment says, and is never replaced.

Beside it stands what a sceptic would ask for, plain fitted value iteration without a word: the same look-ahead with
values kept in a table, and in the same transformer with one number as its head, with the same optimisers, recipe,
iterations and seeds (equipment/fitted_values.py). It plays by look-ahead, where the language policy answers by itself.

Marks, for each seed at its last iteration: tic-tac-toe against the random opponent, first and second alike, mean return
.95 (exact optimum .967, uniform play .437); Double-T maze -7.5 (optimum -6.84, uniform -85.9). Where the policy is
legal in every state, its mean return is calculated exactly; else that of 2,000 games counts (standard error .005). And
over the seeds, the language loop's mean return is not below that of the plain network by more than .01 (tic-tac-toe) or
.05 (maze): what is said in sentences loses nothing against numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from equipment.marks import Marks
from nlrl.environments import make
from nlrl.environments.exact import mean_return, uniform_policy, value_iteration
from nlrl.learning.language.acting import policies, values
from nlrl.learning.language.acting.desk import Desk
from nlrl.learning.language.acting.episodes import Played, play
from nlrl.learning.language.acting.evaluation import Evaluation
from nlrl.learning.language.acting.gpi import ActingSettings, Iteration, language_policy_iteration
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.texts import worth
from nlrl.learning.learner import FitReport, Pair, Recipe
from nlrl.learning.text.model import TextTransformer

NEEDS = ("torch",)
SLACK = {"tic_tac_toe": 0.01, "maze": 0.05}  # mean return that language may lose against numbers
WATCHED = 5  # of so many test episodes, one is played after each iteration too


@dataclass(frozen=True)
class Case:
    """An environment, how long it is learned, and the mean return that must be reached (by both sides' mean, where a
    game has two).

    window  iterations whose texts are fitted together
    games   test episodes at the end
    """

    spec: str
    mark: float
    iterations: int
    window: int
    games: int
    recipe: Recipe


FIRST = Case("tic_tac_toe(opponent=random, first=true)", 0.95, 6, 1, 2_000, Recipe(6, 100, 64, 1e-2))
SECOND = replace(FIRST, spec="tic_tac_toe(opponent=random, first=false)")
DOUBLE_T = Case("maze(layout=double_t)", -7.5, 16, 1, 100, Recipe(1, 60, 32, 1e-2))
UMAZE = Case("maze(layout=umaze)", -2.6, 7, 1, 50, Recipe(1, 60, 32, 1e-2))


class Scribe(OracleModel):
    """The exact operators, in short sentences and with two decimals: what is learned should not be the ninth digit."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "oracle-two-decimals"

    def _reply(self, prompt: str, index: int) -> str:
        text = super()._reply(prompt, index)
        if prompt.startswith("Merge "):
            return f"{text.partition(',')[0]}. Worth: {worth(text):.2f}"
        if prompt.startswith("Choose "):
            return re.sub(r"worth [-+.\deE]+,", lambda said: f"worth {worth(said[0]):.2f},", text)
        return text


class Noted(TextTransformer):
    """A text transformer whose fits are kept, for the figures."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__(longest=128, recipe=recipe, seed=seed)
        self.fits: list[FitReport] = []

    async def fit(self, pairs: Sequence[Pair], *, seed: int, **options: Any) -> FitReport:
        self.fits.append(await super().fit(pairs, seed=seed, **options))
        return self.fits[-1]


async def learn(case: Case, seed: int) -> dict[str, Any]:
    """One run; what it came to, and its curve."""
    begun, cpu = time.perf_counter(), time.process_time()
    env = make(case.spec)
    desk = Desk(Scribe())
    operators = Operators(env, desk)
    said_values, said_actions = Noted(case.recipe, seed), Noted(case.recipe, seed)
    value = values.TrainedValue(env, desk, said_values)
    policy = policies.TrainedPolicy(env, desk, said_actions, before=policies.Uniform(env, seed))
    curve: list[dict[str, Any]] = []

    def on_iteration(done: Iteration) -> None:
        played = done.played or Played()
        point = {
            "iteration": done.number,
            "mean_return": played.mean_return,
            "changed": len(done.changes),
            "minutes": (time.perf_counter() - begun) / 60,
            "loss": (said_values.fits[-1].loss, said_actions.fits[-1].loss),
            "calls": sum(done.calls.values()),  # those of the episodes played in between too; no state is asked twice
        }
        curve.append(point)
        print(
            f"  {env.name} seed {seed} iteration {done.number}: mean return {point['mean_return']:.3f}, "
            f"{point['changed']} of {done.states} decisions changed, losses {point['loss'][0]:.4f} and "
            f"{point['loss'][1]:.4f}, {point['minutes']:.1f} minutes",
            flush=True,
        )

    settings = ActingSettings(
        iterations=case.iterations,
        evaluation=Evaluation(policy_draws=1),
        window=case.window,
        held_out=tuple(range(1_000_000, 1_000_000 + case.games, WATCHED)),
        seed=seed,
    )
    await language_policy_iteration(operators, value, policy, settings, on_iteration=on_iteration)
    minutes = (time.perf_counter() - begun) / 60
    calls = dict(desk.calls)
    final = await play(env, policy, range(1_000_000, 1_000_000 + case.games))
    exact, illegal = await exactly(env, policy)
    return {
        "environment": env.name,
        "seed": seed,
        "mean_return": final.mean_return,
        "exact_return": exact,
        "learned": final.mean_return if exact is None else exact,
        "illegal_states": illegal,
        "heard_in_play": dict(final.heard),
        "mark": case.mark,
        "minutes": minutes,
        "cpu_minutes": (time.process_time() - cpu) / 60,
        "calls": {str(role): n for role, n in calls.items()},
        "calls_a_decision": curve[-1]["calls"] / (len(env.states()) * len(curve)),
        "parameters": said_values.model.can.parameters,
        "fits": [asdict(said_values.fits[-1]), asdict(said_actions.fits[-1])],
        "curve": curve,
    }


async def exactly(env: Any, policy: policies.TrainedPolicy) -> tuple[float | None, int]:
    """The policy's mean return without chance, where it is legal in every state; and in how many it is not."""
    drawn = await asyncio.gather(*(policy.draws(state, 1) for state in env.states()))
    said = dict(zip(env.states(), (decisions[0] for decisions in drawn), strict=True))
    illegal = sum(not decision.legal for decision in said.values())
    actions = {state: decision.action or "" for state, decision in said.items()}
    return (None if illegal else mean_return(env, actions)), illegal


def one(case: Case, seed: int) -> dict[str, Any]:
    """A run in a process of its own, on one core."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    return asyncio.run(learn(case, seed))


def without_language(case: Case, seed: int) -> list[dict[str, Any]]:
    """Fitted value iteration on the same environment: by the network, and for the first seed by a table too."""
    import torch  # pyright: ignore[reportMissingImports]

    from equipment.fitted_values import by_network, by_table

    torch.set_num_threads(1)
    cpu, env = time.process_time(), make(case.spec)
    best = mean_return(env, value_iteration(env).policy)
    runs = [by_table(env, case.iterations)] if seed == 1 else []
    runs.append(by_network(env, case.iterations, case.recipe, seed))
    rows = []
    for plain in runs:
        reached = plain.first_at(best - 1e-9)
        rows.append(
            {
                "environment": env.name,
                "kind": plain.kind,
                "seed": seed,
                "mean_return": plain.mean_return,
                "optimal_from_iteration": reached.iteration if reached else None,
                "minutes": plain.points[-1].seconds / 60,
                "cpu_minutes": (time.process_time() - cpu) / 60,
                "readings_a_decision": plain.readings / len(env.states()) / case.iterations,
                "curve": [asdict(point) for point in plain.points],
            }
        )
        print(
            f"  {env.name} seed {seed} without language, {plain.kind}: mean return {plain.mean_return:.3f}, "
            f"{rows[-1]['minutes']:.2f} minutes",
            flush=True,
        )
    return rows


def run(
    cases: Sequence[Case], seeds: int, workers: int, parts: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows of the language loop, rows without language)."""
    jobs = [(case, seed) for seed in range(1, seeds + 1) for case in cases]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        plain = list(pool.map(without_language, *zip(*jobs, strict=True))) if "plain" in parts else []
        said = list(pool.map(one, *zip(*jobs, strict=True))) if "language" in parts else []
    return said, [row for rows in plain for row in rows]


def table(cases: Sequence[Case], rows: Sequence[dict[str, Any]]) -> None:
    print(
        f"\n{'environment':<54}{'seed':>5}{'uniform':>9}{'learned':>9}{'exactly':>9}{'optimum':>9}{'mark':>7}"
        f"{'minutes':>9}{'calls a decision':>18}{'illegal':>9}"
    )
    for case in cases:
        env = make(case.spec)
        uniform, best = mean_return(env, uniform_policy(env)), mean_return(env, value_iteration(env).policy)
        for row in rows:
            if row["environment"] != env.name:
                continue
            exact = "-" if row["exact_return"] is None else f"{row['exact_return']:.3f}"
            print(
                f"{env.name:<54}{row['seed']:>5}{uniform:>9.3f}{row['mean_return']:>9.3f}{exact:>9}{best:>9.3f}"
                f"{case.mark:>7.2f}{row['minutes']:>9.1f}{row['calls_a_decision']:>18.1f}{row['illegal_states']:>9}"
            )


def plain_table(rows: Sequence[dict[str, Any]]) -> None:
    """What it comes to without language."""
    print(
        f"\nwithout language, plain fitted value iteration\n{'environment':<54}{'values in a':>12}{'seed':>5}"
        f"{'exactly':>9}{'optimal from iteration':>24}{'minutes':>9}{'readings a decision':>21}"
    )
    for row in rows:
        print(
            f"{row['environment']:<54}{row['kind']:>12}{row['seed']:>5}{row['mean_return']:>9.3f}"
            f"{row['optimal_from_iteration'] or 'never':>24}{row['minutes']:>9.2f}{row['readings_a_decision']:>21.1f}"
        )


def beside(rows: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """By game: mean over seeds and sides with language and without (by the network)."""
    found = {}
    for game in SLACK:
        said = [row["learned"] for row in rows if row["environment"].startswith(game)]
        bare = [r["mean_return"] for r in plain if r["environment"].startswith(game) and r["kind"] == "network"]
        if said and bare:
            found[game] = (sum(said) / len(said), sum(bare) / len(bare))
    return found


def learned(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, int], tuple[float, float]]:
    """By game and seed: the mean return over all sides, and the mark."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["environment"].partition("(")[0], row["seed"]), []).append(row)
    return {key: (sum(row["learned"] for row in some) / len(some), some[0]["mark"]) for key, some in found.items()}


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Mean return over iterations, a line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["environment"] for row in rows))
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 3.6), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        env = make(name)
        axis.axhline(mean_return(env, value_iteration(env).policy), color="0.5", linewidth=1, label="exact optimum")
        axis.axhline(mean_return(env, uniform_policy(env)), color="0.8", linewidth=1, label="uniform play")
        for row in rows:
            if row["environment"] == name:
                axis.axhline(row["mark"], color="tab:red", linewidth=0.8, linestyle=":")
                points = [(p["iteration"], p["mean_return"]) for p in row["curve"]]
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"seed {row['seed']}")
        axis.set(title=name, xlabel="iteration", ylabel="mean return, test episodes")
        axis.legend(fontsize=7)
    for axis in axes[0]:
        axis.title.set_fontsize(8)
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest maze and one seed (half a minute)")
    parser.add_argument("--only", choices=("tic_tac_toe", "maze"), help="one environment alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", default="language,plain", help="with language, or plain, or both")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="runs side by side, a core each")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the learning curves as a picture")
    args = parser.parse_args()
    cases = [UMAZE] if args.quick else [c for c in (FIRST, SECOND, DOUBLE_T) if (args.only or "") in c.spec]
    marks = Marks("gpi_learns", args.quick)
    rows, plain = run(cases, 1 if args.quick else args.seeds, args.workers, args.parts)
    table(cases, rows)
    plain_table(plain)
    kept = beside(rows, plain)
    for game, (with_, without) in kept.items():
        print(f"{game}: {with_:.3f} with language, {without:.3f} without")
        marks.exact(f"language - plain network, {game}", with_ - without, at_least=-SLACK[game])
    for (game, seed), (mean, mark) in learned(rows).items():
        print(f"{game}, seed {seed}: {mean:.3f} over all sides; mark {mark:g}")
        marks.exact(f"mean return, {game} seed {seed}", mean, at_least=mark)
    if args.plot:
        draw(rows, args.plot)
    return marks.result(rows=rows, without_language=plain)


if __name__ == "__main__":
    raise SystemExit(main())
