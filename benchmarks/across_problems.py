"""One budget for many problems: the learned gain rule, elimination and uniform at equal total tokens.

    python benchmarks/across_problems.py                             # SYNTHETIC panels, several made-up worlds
    python benchmarks/across_problems.py --panel a.jsonl b.jsonl     # recorded panels (`nlrl bank import`)

A panel is split by problem: the table of gains is learned on one part, all rules spend the same totals on the other,
each from the same recorded attempts in the same random orders. Tokens are all tokens, as the ledger counts them, and
no total is passed. `hindsight` is no rule: it is told each test problem's own curve of vote accuracy against tokens and
allocates offline by steepest gain, so it shows about how much there is to win (it may use no more attempts than are
recorded, and sees averages over all orders). Intervals are paired, over problems, given the table.

The mark, on every panel: the interval of gain minus uniform lies above 0 at one total at least, and below 0 at none.
`posterior` is the gain rule without a table. Synthetic panels are made up; what is measured on them is no measurement
of any model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from equipment.marks import Marks
from nlrl.bank import Bank, Draw, ReplayModel, panel_key
from nlrl.compute import Compute
from nlrl.core import Candidate, Completion, Finish, Problem, Verdict
from nlrl.evaluation.estimators import majority_at_k
from nlrl.evaluation.intervals import GAIN, Interval, gain_interval, mean_interval
from nlrl.evaluation.panels import import_panels
from nlrl.evaluation.races import Race, read_races
from nlrl.evaluation.trial import Grades
from nlrl.scaling.across import solve_all
from nlrl.scaling.gains import GainTable, fit_gain
from nlrl.scaling.marginal import Curve, allocate
from nlrl.testing.synthetic_traces import WORLDS, world, write_traces
from nlrl.verifiers.reference import ReferenceVerifier

LEVELS = (2, 3, 5, 8, 12, 20, 32)  # totals, in mean attempts per problem
RULES = ("uniform", "elimination", "posterior", "gain")
SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)  # of votes, for hindsight
KINDS = ("three_kinds", "plain", "scattered", "attractive")


@dataclass(frozen=True)
class Outcome:
    """One rule at one total: per problem, averaged over orders; `spent` per problem too."""

    right: np.ndarray
    spent: np.ndarray


def three_kinds(problems: int, seed: int, samples: int = 64) -> Iterator[dict[str, object]]:
    """Easy, medium and hopeless problems, a third each: right with .95, .35 to .65, .02; wrong answers scattered."""
    rng = random.Random(f"three kinds {seed}")
    for number in range(problems):
        p = (0.95, rng.uniform(0.35, 0.65), 0.02)[number % 3]
        pace = rng.lognormvariate(5.0, 0.4) * (1, 1.3, 1.6)[number % 3]
        drawn = []
        for _ in range(samples):
            answer = "0" if rng.random() < p else str(min(int(rng.expovariate(0.35)), 30) + 1)
            drawn.append({"answer": answer, "tokens": max(8, int(pace * rng.lognormvariate(0, 0.35)))})
        yield {
            "problem_id": f"kinds-{seed}-{number}",
            "question": f"Synthetic problem {number} of three kinds, {seed}: which number is meant?",
            "reference": "0",
            "task_type": "math",
            "prompt_tokens": 60,
            "samples": drawn,
        }


def write_panel(path: Path, name: str, problems: int, seed: int) -> None:
    if name == "three_kinds":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in three_kinds(problems, seed))
    else:
        write_traces(path, world(name, seed=seed, problems=problems, probe_every=10**9))


async def shuffled(bank: Bank, source: str, problems: Sequence[Problem], order: int) -> str:
    """The panel in another order of its attempts, under a name of its own."""
    name = f"{source}~{order}"
    for problem in problems:
        draws = list((await bank.get_all(panel_key(source, problem))).values())
        random.Random(f"order {order} {problem.id}").shuffle(draws)
        family: dict[int, Draw] = dict(enumerate(draws))
        await bank.put(panel_key(name, problem), family, model=name, problem_id=problem.id)
    return name


async def spend(
    problems: Sequence[Problem], bank: Bank, names: Sequence[str], total: int, table: GainTable, rule: str, most: int
) -> Outcome:
    right, spent = np.zeros(len(problems)), np.zeros(len(problems))
    options = {"rule": "gain", "gain": table} if rule == "gain" else {"rule": "gain" if rule == "posterior" else rule}
    for name in names:
        compute = partial(Compute, ReplayModel(name, is_panel=True), bank=bank, prompt=lambda p: ())
        answers = await solve_all(problems, lambda p, new=compute: new(), total, most=most, **options)
        tokens = np.array([a.usage.tokens for a in answers])
        if tokens.sum() > total:
            raise SystemExit(f"{rule} spent {tokens.sum()} of {total}: the total was passed")
        spent += tokens / len(names)
        right += np.array([await grade(p, a.value, a.text) for p, a in zip(problems, answers, strict=True)])
    return Outcome(right / len(names), spent)


async def grade(problem: Problem, value: str | None, text: str) -> float:
    if value is None:
        return 0.0
    whole = Candidate("answer", Completion(text, Finish.STOP, 0), value)
    (score,) = await Grades(ReferenceVerifier()).of(problem, [whole])
    return float(score.verdict is Verdict.RIGHT)


def hindsight(races: Sequence[Race]) -> list[Curve]:
    """Each problem's own curve: expected accuracy of a vote of k, over all subsets, against its mean tokens."""
    curves = []
    for number, race in enumerate(races):
        labels = [t.said for t in race.traces]
        good = [t.said in race.right for t in race.traces]
        mean = float(np.mean([t.tokens for t in race.traces]))
        sizes = [k for k in SIZES if k <= len(labels)]
        points = tuple(
            (race.prompt_tokens * -(-k // 4) + mean * k, min(max(majority_at_k(labels, good, k), 0.0), 1.0))
            for k in sizes
        )
        curves.append(Curve(str(number), 1, points))
    return curves


async def measure(title: str, train: Sequence[Problem], test: Sequence[Problem], bank: Bank, source: str, orders: int):
    begun = time.time()
    table = msgspec.structs.replace(await fit_gain(train, bank, source), model="")
    print(
        f"\n{title}: learned on {len(train)} problems ({len(table.cells)} cells, {time.time() - begun:.1f} s), "
        f"tested on {len(test)}, {orders} orders"
    )
    names = [await shuffled(bank, source, test, k) for k in range(orders)]
    races = await read_races(test, bank, source, looks=False)
    most = min(64, max(len(r.traces) for r in races))
    each = np.mean([np.mean([t.tokens for t in r.traces]) + r.prompt_tokens for r in races])
    curves = hindsight(races)
    print("accuracy (share of the total that was spent)".ljust(46) + "gain - uniform".rjust(25), end="")
    print("elimination - uniform".rjust(27) + "gain - elimination".rjust(27))
    print("total/problem".ljust(14) + "".join(f"{r:>13}" for r in (*RULES, "hindsight")))
    rows = []
    for level in LEVELS:
        if level > most:
            continue
        total = int(level * each * len(test))
        found = {rule: await spend(test, bank, names, total, table, rule, most) for rule in RULES}
        bound = allocate(curves, total).right / len(test)
        share = {rule: o.spent.sum() / total for rule, o in found.items()}
        gaps = [
            gain_interval(found[a].right, found[b].right)
            for a, b in (("gain", "uniform"), ("elimination", "uniform"), ("gain", "elimination"))
        ]
        cells = "".join(f"{100 * found[r].right.mean():>7.1f}{f'({share[r]:.2f})':>6}" for r in RULES)
        print(f"{total / len(test):<14.0f}{cells}{100 * bound:>9.1f}   " + "   ".join(shown(g) for g in gaps))
        rows.append(
            {
                "level": level,
                "total": total,
                **{rule: round(float(o.right.mean()), 4) for rule, o in found.items()},
                "hindsight": round(bound, 4),
                "gain_minus_uniform": points(gaps[0]),
                "elimination_minus_uniform": points(gaps[1]),
                "gain_minus_elimination": points(gaps[2]),
                "spent": {rule: round(float(x), 3) for rule, x in share.items()},
            }
        )
        rows[-1]["_gap"] = found["gain"].right - found["uniform"].right
    over = mean_interval(np.mean([row.pop("_gap") for row in rows], axis=0), scale=GAIN)
    print(f"mean over the totals: gain - uniform {shown(over)}")
    return {"mean_gain_minus_uniform": points(over), "totals": rows}


def shown(gap: Interval) -> str:
    return f"{100 * gap.mean:+6.2f} [{100 * gap.low:+6.2f}, {100 * gap.high:+6.2f}]"


def points(gap: Interval) -> list[float]:
    return [round(100 * x, 2) for x in gap]


async def run(options: argparse.Namespace) -> int:
    marks = Marks("across_problems", options.quick)
    results: dict[str, dict] = {}
    orders = 1 if options.quick else options.orders
    with tempfile.TemporaryDirectory(prefix="nlrl-across-") as directory:
        if options.panel:
            sources = [(Path(p).stem, Path(p)) for p in options.panel]
        else:
            print("SYNTHETIC panels: made up, no measurement of any model.")
            sources = []
            size = 160 if options.quick else options.problems
            for name in ("three_kinds",) if options.quick else options.worlds:
                file = Path(directory) / f"{name}.jsonl"
                write_panel(file, name, size, options.seed)
                sources.append((name, file))
        for number, (title, file) in enumerate(sources):
            with Bank() as bank:
                name = f"{number}-{title}"
                await import_panels(file, bank, name)
                problems = bank.problems(name)
                races = await read_races(problems, bank, f"panel:{name}", looks=False)
                judged = [p for p, race in zip(problems, races, strict=True) if race.judged and race.traces]
                random.Random(f"split {options.seed}").shuffle(judged)
                cut = int(len(judged) * options.train_share)
                if cut < 10 or len(judged) - cut < 10:
                    raise SystemExit(f"{title}: {len(judged)} judged problems are too few to learn and to test on")
                results[title] = await measure(title, judged[:cut], judged[cut:], bank, f"panel:{name}", orders)
    for title, panel in results.items():
        gaps = [row["gain_minus_uniform"] for row in panel["totals"]]
        marks.exact(f"{title}: best low end of gain - uniform, points", max(low for _, low, _ in gaps), above=0)
        marks.exact(f"{title}: worst high end of gain - uniform, points", min(high for *_, high in gaps), at_least=0)
    return marks.result(synthetic=not options.panel, panels=results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", nargs="+", help="recorded panels (JSON lines), each split by problem")
    parser.add_argument("--worlds", nargs="+", default=list(KINDS), choices=["three_kinds", *WORLDS])
    parser.add_argument("--problems", type=int, default=400, help="per synthetic panel")
    parser.add_argument("--train-share", type=float, default=0.4)
    parser.add_argument("--orders", type=int, default=3, help="random orders of each problem's attempts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one small made-up panel, under a minute")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
