"""What deciding costs: 1,000 expansions of the search trees, without any model.

    python benchmarks/search_cost.py            # 9 repetitions
    python benchmarks/search_cost.py --quick    # 3

The controllers of `mcts` (PUCT over steps: one ask, one tell of 4 children) and of `ab_mcts` (Thompson sampling over
answers: one ask, one tell of one answer) grow trees on made-up scores: a fresh answer is worth a uniform number, a
later one what it came from, give or take 0.2. Beside them, on the same scores, TreeQuest's AB-MCTS-A where it is
installed (pip install treequest), in alternation. The mark: the median expansion of ours, over all repetitions, takes
at most 50 microseconds. Times include neither the scores nor the writing down of the times.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

from equipment.marks import Marks
from nlrl.strategies._tree_puct import PuctTree
from nlrl.strategies._tree_thompson import ThompsonTree

EXPANSIONS = 1000
LIMIT_US = 50.0
WIDTH = 4
Seconds = list[float]  # one for each expansion


def score_from(before: float | None, rng: random.Random) -> float:
    return rng.random() if before is None else min(1.0, max(0.0, rng.gauss(before, 0.2)))


def grow_puct(seed: int) -> Seconds:
    tree, rng, spent = PuctTree(explore=0.5), random.Random(seed), []
    values: list[float | None] = [None]
    for _ in range(EXPANSIONS):
        begun = time.perf_counter()
        (leaf,) = tree.ask()
        asked = time.perf_counter()
        children = [score_from(values[leaf], rng) for _ in range(WIDTH)]
        values += children
        over = [False] * WIDTH
        told = time.perf_counter()
        tree.tell(leaf, children, over)
        spent.append(time.perf_counter() - told + asked - begun)
    return spent


def grow_thompson(posterior: str) -> Callable[[int], Seconds]:
    def grow(seed: int) -> Seconds:
        tree, rng, spent = ThompsonTree(posterior, seed), random.Random(seed), []
        for _ in range(EXPANSIONS):
            begun = time.perf_counter()
            node = tree.ask()
            asked = time.perf_counter()
            score = score_from(tree.scores[node] if node else None, rng)
            told = time.perf_counter()
            tree.tell(node, score)
            spent.append(time.perf_counter() - told + asked - begun)
        return spent

    return grow


def grow_treequest(posterior: str) -> Callable[[int], Seconds] | None:
    try:
        import numpy as np
        import treequest  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    kind = {"normal": "gaussian", "beta": "beta"}[posterior]

    def grow(seed: int) -> Seconds:
        np.random.seed(seed)
        algorithm, rng, spent = treequest.ABMCTSA(dist_type=kind), random.Random(seed), []
        state = algorithm.init_tree()
        for _ in range(EXPANSIONS):
            begun = time.perf_counter()
            state, trial = algorithm.ask(state, ["answer"])
            asked = time.perf_counter()
            score = score_from(trial.parent_state, rng)
            told = time.perf_counter()
            state = algorithm.tell(state, trial.trial_id, (score, score))
            spent.append(time.perf_counter() - told + asked - begun)
        return spent

    return grow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 repetitions instead of 9")
    quick = parser.parse_args().quick
    marks, repetitions = Marks("search_cost", quick), 3 if quick else 9
    methods: dict[str, Callable[[int], Seconds] | None] = {
        "mcts (PUCT, 4 children each)": grow_puct,
        "ab_mcts, normal": grow_thompson("normal"),
        "ab_mcts, beta": grow_thompson("beta"),
        "TreeQuest AB-MCTS-A, gaussian": grow_treequest("normal"),
        "TreeQuest AB-MCTS-A, beta": grow_treequest("beta"),
    }
    for grow in methods.values():
        if grow:
            grow(99)  # imports and first calls
    spent: dict[str, list[Seconds]] = {name: [] for name, grow in methods.items() if grow}
    for seed in range(repetitions):
        for name in spent:
            if grow := methods[name]:
                spent[name].append(grow(seed))
    print(f"{EXPANSIONS} expansions".ljust(34) + "total ms   median us   99 % us")
    rows: dict[str, dict[str, float]] = {}
    for name, runs in spent.items():
        total = 1e3 * statistics.median(sum(run) for run in runs)
        every = sorted(1e6 * t for run in runs for t in run)
        rows[name] = {
            "total_ms": round(total, 2),
            "median_us": round(statistics.median(every), 2),
            "p99_us": round(every[int(0.99 * len(every))], 1),
        }
        print(name.ljust(34) + f"{total:8.1f}{rows[name]['median_us']:12.1f}{rows[name]['p99_us']:10.1f}")
    if methods["TreeQuest AB-MCTS-A, beta"] is None:
        print("TreeQuest is not installed, so there is nothing to compare with: pip install treequest")
    for name, row in rows.items():
        if "TreeQuest" not in name:
            marks.timing(f"median us, {name}", row["median_us"], at_most=LIMIT_US)
    return marks.result(expansions=EXPANSIONS, repetitions=repetitions, methods=rows)


if __name__ == "__main__":
    raise SystemExit(main())
