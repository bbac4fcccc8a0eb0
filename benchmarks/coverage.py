"""Do the report's intervals hold what they promise, and how often does it star a strategy that is of no use?

    python benchmarks/coverage.py [--quick] [--seed N]

Data sets are drawn from worlds whose true accuracy or gain is known, and handed to the functions that the report itself
uses (`nlrl.evaluation.intervals`, and whole runs of records to `summarise`). Counted is how often a nominal 95 %
interval holds the truth: per kind of value, number of problems n and accuracy p. Plain 0/1 is summed exactly over all
outcomes; for everything else a cell's standard error is printed (.5 points at 2,000 draws).

accuracies  0/1; means of 4 and 16 attempts; votes with shared ties; clusters of 3, of 6 and of unequal size
gains       of 0/1 pairs, 10 points apart, none, and none where they hardly ever differ; of a vote with shared ties
            over one attempt; of a vote over the mean of its own panel; of one attempt over that mean; of clusters of 3
            and 6, which share their chances, or are gained and lost whole
useless     reports of 10 strategies that only pick attempts, near the ceiling too: is any of them said to pay?

The mark, decided before the first full run: coverage is at least 91 % in every cell, and between 94 and 98 % on average
over p for each n and kind; at most 5 % of the reports in every world say that useless strategies pay. "At least" is
asked of what was counted, without an allowance for chance. Widths stand beside those of Wilson and of Clopper and
Pearson, and coverage beside that of the percentile bootstrap, which these intervals replace.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from equipment.marks import Marks
from nlrl.core import Verdict
from nlrl.evaluation.intervals import GAIN, SHARE, Floats, Scale, intervals
from nlrl.evaluation.records import PANEL, AnswerRecord, Attempt, ProblemRecord, Record
from nlrl.evaluation.summary import summarise

PS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
NS = (12, 16, 20, 25, 30, 50, 100, 200, 500)
BOOTSTRAPPED = (12, 50)  # the old interval is slow, and right for many problems
EXACT = "accuracy, 0/1"
LEAST, BAND, USELESS = 0.91, (0.94, 0.98), 0.05

Draw = Callable[[np.random.Generator, float, int, int], tuple[Floats, float]]  # rng, p, n, times -> values, truth


@dataclass(frozen=True)
class Kind:
    """A kind of value: how data sets of it are drawn, as problems x times, and in what clusters."""

    name: str
    scale: Scale
    draw: Draw
    clusters: tuple[int, ...] = ()  # sizes, repeated


def hardness(rng: np.random.Generator, p: float, spread: float, shape: tuple[int, int]) -> Floats:
    """Chances of a right attempt, problem by problem, with mean p; the smaller the spread parameter, the more of them
    lie at 0 and 1."""
    return rng.beta(p * spread, (1 - p) * spread, size=shape)


def attempts_mean(k: int, spread: float) -> Draw:
    """The mean of k attempts."""
    return lambda rng, p, n, times: (rng.binomial(k, hardness(rng, p, spread, (n, times))) / k, p)


def tied(rng: np.random.Generator, p: float, n: int, times: int) -> tuple[Floats, float]:
    """A vote whose ties are shared: one half or a third where several answers lead."""
    half, third = 0.8 * (1 - p) * 0.4, 0.8 * (1 - p) * 0.2
    right = p - half / 2 - third / 3
    where = rng.random((n, times))
    return np.where(where < right, 1.0, np.where(where < right + half, 0.5, (where < right + half + third) / 3)), p


def in_clusters(sizes: tuple[int, ...], correlation: float) -> Draw:
    """0/1 whose chances are shared within a cluster."""

    def draw(rng: np.random.Generator, p: float, n: int, times: int) -> tuple[Floats, float]:
        of = np.repeat(np.arange(n), np.resize(sizes, n))[:n]
        chances = hardness(rng, p, 1 / correlation - 1, (int(of[-1]) + 1, times))[of]
        return (rng.random((n, times)) < chances).astype(float), p

    return draw


def pairs(gain: float, spread: float, sizes: tuple[int, ...] = (1,)) -> Draw:
    """Two strategies' 0/1 on the same problems, right with p and p - gain; chances are shared within a cluster."""

    def draw(rng: np.random.Generator, p: float, n: int, times: int) -> tuple[Floats, float]:
        of = np.repeat(np.arange(n), np.resize(sizes, n))[:n]
        chances = hardness(rng, p, spread, (int(of[-1]) + 1, times))[of]
        ours, theirs = rng.random((n, times)) < chances, rng.random((n, times)) < chances * (p - gain) / p
        return ours.astype(float) - theirs, gain

    return draw


def vote(right: Floats, k: int) -> Floats:
    """A majority of k between two answers, a tie shared."""
    return (2 * right > k) + 0.5 * (2 * right == k)


def vote_gain(k: int, spread: float, over: str) -> Draw:
    """A vote of k over one attempt of its own, or over their mean. The truth is an integral over the chances."""

    def draw(rng: np.random.Generator, p: float, n: int, times: int) -> tuple[Floats, float]:
        right = rng.binomial(k, hardness(rng, p, spread, (n, times)))
        base = right / k if over == "mean" else (rng.random((n, times)) < right / k).astype(float)
        counts = np.arange(k + 1)
        law = stats.betabinom.pmf(counts, k, p * spread, (1 - p) * spread)
        return vote(right, k) - base, float(law @ vote(counts, k)) - p

    return draw


def attempt_gain(k: int, spread: float) -> Draw:
    """One attempt at random over the mean of all k: no gain, but near the ceiling mostly a little above the mean."""

    def draw(rng: np.random.Generator, p: float, n: int, times: int) -> tuple[Floats, float]:
        share = rng.binomial(k, hardness(rng, p, spread, (n, times))) / k
        return (rng.random((n, times)) < share) - share, 0.0

    return draw


def whole_clusters(size: int) -> Draw:
    """A strategy that is right with p and 10 points above another, where clusters go over to it, or from it, whole."""

    def draw(rng: np.random.Generator, p: float, n: int, times: int) -> tuple[Floats, float]:
        of = np.arange(n) // size
        lost = (1 - p) / 4
        where = rng.random((int(of[-1]) + 1, times))[of]
        return (where < 0.1 + lost).astype(float) - (where > 1 - lost), 0.1

    return draw


KINDS = (
    Kind("accuracy, mean of 4", SHARE, attempts_mean(4, 0.5)),
    Kind("accuracy, mean of 16", SHARE, attempts_mean(16, 2)),
    Kind("accuracy, mean of 16, alike", SHARE, attempts_mean(16, 10)),
    Kind("accuracy, shared ties", SHARE, tied),
    Kind("accuracy, clusters of 3", SHARE, in_clusters((3,), 0.3), (3,)),
    Kind("accuracy, clusters of 6", SHARE, in_clusters((6,), 0.3), (6,)),
    Kind("accuracy, clusters of 1 to 6", SHARE, in_clusters((1, 3, 3, 6, 2, 6), 0.3), (1, 3, 3, 6, 2, 6)),
    Kind("gain, pairs, 10 points", GAIN, pairs(0.1, 2)),
    Kind("gain, pairs, none", GAIN, pairs(0.0, 20)),
    Kind("gain, shared ties over one", GAIN, vote_gain(8, 2, "one")),
    Kind("gain, vote over the mean", GAIN, vote_gain(16, 2, "mean")),
    Kind("gain, one over the mean", GAIN, attempt_gain(16, 20)),
    Kind("gain, clusters of 3", GAIN, pairs(0.1, 2, (3,)), (3,)),
    Kind("gain, clusters of 6", GAIN, pairs(0.1, 2, (6,)), (6,)),
    Kind("gain, whole clusters of 6", GAIN, whole_clusters(6), (6,)),
    Kind("gain, pairs alike, none", GAIN, pairs(0.0, 0.5)),
)


@dataclass(frozen=True)
class Row:
    """One kind at one n: coverage by p, and mean widths over p (of the rivals only where they are defined)."""

    kind: str
    n: int
    coverage: tuple[float, ...]
    width: float
    wilson: float | None = None
    exact: float | None = None
    percentile: float | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.coverage))

    @property
    def met(self) -> bool:
        return min(self.coverage) >= LEAST and BAND[0] <= self.mean <= BAND[1]


def exact_rows(ns: Sequence[int]) -> Iterator[Row]:
    """Plain 0/1: every number of right answers, weighted by its chance."""
    for n in ns:
        right = np.arange(n + 1)
        table = (np.arange(n)[:, None] < right).astype(float)
        law = stats.binom.pmf(right[:, None], n, PS)
        low, high = ends(table, SHARE, None)
        wilson, exact = rivals(right, n)
        boot = np.array([percentile(column) for column in table.T]).T if n <= 200 else None

        def covered(low: Floats, high: Floats, law: Floats = law) -> Floats:
            return (((low[:, None] <= np.array(PS) + 1e-9) & (np.array(PS) - 1e-9 <= high[:, None])) * law).sum(axis=0)

        def width(low: Floats, high: Floats, law: Floats = law) -> float:
            return float(((high - low) @ law).mean())

        yield Row(
            EXACT, n, tuple(map(float, covered(low, high))), width(low, high), width(*wilson), width(*exact),
            None if boot is None else float(covered(*boot).mean()),
        )  # fmt: skip


def rivals(right: np.ndarray, n: int) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """The intervals of Wilson (1927) and of Clopper and Pearson (1934)."""
    both = []
    for method in ("wilson", "exact"):
        found = [stats.binomtest(int(x), n).proportion_ci(0.95, method) for x in right]
        both.append((np.array([f.low for f in found]), np.array([f.high for f in found])))
    return both[0], both[1]


def percentile(column: Floats, resamples: int = 1000) -> tuple[float, float]:
    """The percentile bootstrap, by problem whatever the groups, as it was."""
    drawn = np.random.default_rng(0).integers(len(column), size=(resamples, len(column)))
    low, high = np.quantile(column[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def ends(table: Floats, scale: Scale, groups: list[str] | None) -> tuple[Floats, Floats]:
    """What the report would print for each column."""
    found = np.array(intervals(table, scale=scale, groups=groups))
    return found[:, 1], found[:, 2]


def drawn_row(kind: Kind, n: int, times: int, seed: int) -> Row:
    """A kind at one n, over every p."""
    rng = np.random.default_rng([seed, n, KINDS.index(kind)])
    groups = [f"g{g}" for g in np.repeat(np.arange(n), np.resize(kind.clusters, n))[:n]] if kind.clusters else None
    coverage, widths, old = [], [], []
    for p in PS:
        values, truth = kind.draw(rng, p, n, times)
        low, high = ends(values, kind.scale, groups)
        coverage.append(float(np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high))))
        widths.append(float(np.mean(high - low)))
        if n in BOOTSTRAPPED and times > 200:
            boot = [percentile(column) for column in values.T[:200]]
            old.append(np.mean([a <= truth + 1e-9 and truth - 1e-9 <= b for a, b in boot]))
    return Row(kind.name, n, tuple(coverage), float(np.mean(widths)), percentile=float(np.mean(old)) if old else None)


def too_few(seed: int) -> bool:
    """Seven clusters: whether there is no interval."""
    values, _ = in_clusters((3,), 0.3)(np.random.default_rng(seed), 0.8, 21, 1)
    return not intervals(values, groups=[f"g{i // 3}" for i in range(21)])[0].known


# --- useless strategies


def report_of(rng: np.random.Generator, p: float, n: int, spread: float, strategies: int, world: str) -> list[Record]:
    """A run whose strategies are of no use: each picks attempts of the panel (or draws its own) and knows nothing."""
    chances = hardness(rng, p, spread, (n, 1))[:, 0]
    panel = rng.random((n, 16)) < chances[:, None]
    records = [_record(i, PANEL, row) for i, row in enumerate(panel)]
    for s in range(strategies):
        if world == "own attempts":
            right = rng.random(n) < chances
        elif world == "harmful half":  # half as good on half of the problems, which does not make the others useful
            right = panel[np.arange(n), rng.integers(16, size=n)] & ((s % 2 == 0) | (rng.random(n) < 0.5))
        else:
            right = panel[np.arange(n), rng.integers(16, size=n)]
        records += [_record(i, f"useless{s}", np.array([r])) for i, r in enumerate(right)]
    return records


def _record(row: int, strategy: str, right: np.ndarray) -> Record:
    words = [Verdict.RIGHT if r else Verdict.WRONG for r in right]
    attempts = tuple(Attempt(f"s{i}", verdict=word) for i, word in enumerate(words))
    answer = None if strategy == PANEL else AnswerRecord("x", "x", chosen="s0", verdict=words[0])
    problem = ProblemRecord(f"id{row}", "?", "42", "math" if row % 2 else "coding")
    return Record(row, problem, strategy, "m", attempts=attempts, classes=(0,) * len(words), answer=answer)


WORLDS = [
    (world, p, n, spread)
    for world, p, spread in (
        ("panel's attempts", 0.6, 2.0),
        ("panel's attempts", 0.9, 20.0),
        ("panel's attempts", 0.95, 200.0),
        ("own attempts", 0.6, 2.0),
        ("own attempts", 0.9, 20.0),
        ("own attempts", 0.95, 200.0),
        ("harmful half", 0.8, 4.0),
    )
    for n in (12, 30, 100)
]


def useless_share(world: str, p: float, n: int, spread: float, reports: int, seed: int) -> tuple[float, float]:
    """Share of reports that star any useless strategy as one that pays; and that by its own interval alone, as a
    report without a rule for all of its rows would."""
    rng = np.random.default_rng([seed, n, round(100 * p), len(world)])
    starred = alone = 0
    for _ in range(reports):
        rows = [s for d in summarise(report_of(rng, p, n, spread, 10, world)).domains for s in d.strategies]
        starred += any(s.pays for s in rows)
        alone += any(s.gain is not None and s.gain.low > 0 for s in rows)
    return starred / reports, alone / reports


def main() -> int:
    """Print the tables and the RESULT line; 1 where the mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few cells and draws; decides no mark but on plain 0/1")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    marks = Marks("coverage", arguments.quick)
    times, reports = (100, 5) if arguments.quick else (2000, 300)
    ns = (12, 50) if arguments.quick else NS
    print("kind                            n   least at p     mean  width  Wilson  exact  percentile bootstrap")
    rows = []
    for row in exact_rows(ns):
        rows.append(shown(row))
    for kind in KINDS:
        for n in ns:
            if not kind.clusters or n / np.mean(kind.clusters) >= 8:
                rows.append(shown(drawn_row(kind, n, times, arguments.seed)))
    silent = too_few(arguments.seed)
    print(f"seven clusters: {'no interval' if silent else 'an interval, and there should be none'}")
    print("\nuseless strategies, 10 in a report of three tables       n   said to pay   by their own interval alone")
    shares = []
    for world, p, n, spread in WORLDS[::6] if arguments.quick else WORLDS:
        share, alone = useless_share(world, p, n, spread, reports, arguments.seed)
        shares.append(share)
        print(f"{world}, accuracy {p:g}".ljust(52) + f"{n:6}{100 * share:11.1f} %{100 * alone:16.1f} %", flush=True)
    marks.exact("no interval for seven clusters", silent)
    for kind in dict.fromkeys(row.kind for row in rows):
        if arguments.quick and kind != EXACT:
            continue  # a hundred draws decide nothing
        own = [row for row in rows if row.kind == kind]
        marks.exact(f"{kind}: least coverage of a cell", min(min(row.coverage) for row in own), at_least=LEAST)
        marks.exact(f"{kind}: lowest mean over p", min(row.mean for row in own), at_least=BAND[0])
        marks.exact(f"{kind}: highest mean over p", max(row.mean for row in own), at_most=BAND[1])
    if not arguments.quick:
        marks.exact("share of reports that say useless strategies pay", max(shares), at_most=USELESS)
    return marks.result(
        rows=[{"kind": r.kind, "n": r.n, "least": round(min(r.coverage), 4), "mean": round(r.mean, 4),
               "width": round(r.width, 4)} for r in rows],
        useless=[round(share, 4) for share in shares],
    )  # fmt: skip


def shown(row: Row) -> Row:
    """Print it as a line of the table."""
    at = PS[int(np.argmin(row.coverage))]
    rest = "".join(f"{x:8.3f}" if x is not None else " " * 8 for x in (row.wilson, row.exact))
    old = "" if row.percentile is None else f"{100 * row.percentile:12.1f} %"
    least = f"{100 * min(row.coverage):7.1f} {at:4.2f}"
    print(
        f"{row.kind:29}{row.n:5}{least}{100 * row.mean:9.1f}{row.width:7.3f}{rest}{old}" + ("" if row.met else "  <"),
        flush=True,
    )
    return row


if __name__ == "__main__":
    sys.exit(main())
