"""When to stop: the umpire's whole curve against the tuned frontier of adaptive consistency, on recorded traces.

    python benchmarks/stopping.py                                        # SYNTHETIC traces, several made-up worlds
    python benchmarks/stopping.py --train a.jsonl --panel b.jsonl c.jsonl    # recorded panels (`nlrl bank import`)
    python benchmarks/stopping.py --halves a.jsonl b.jsonl    # each measured by what was calibrated on the other

`equipment/recorded_traces.py` makes such files of a reasoning model's published traces.

The umpire is calibrated on the training panel and swept over `thrift` on the test panels. The frontier it has to beat
is tuned on the test panels themselves: adaptive consistency at all thresholds, caps and waves below, its best points at
every number of tokens joined by straight lines (which is what choosing between two of them at random gives). Each
method is averaged over the same random orders of the recorded traces. Tokens are all tokens: prompts once a wave,
traces cancelled up to the clock, 16 for every probe looked at. Intervals are paired bootstraps over problems; one that
holds 0 is printed as a tie.

The mark: averaged over the curve, accuracy at equal tokens is above the frontier's with its whole interval; on
synthetic traces in the world "plain". Synthetic traces are made up; what is measured on them is no measurement of any
model.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from equipment.marks import Marks
from nlrl.bank import Bank, ReplayModel
from nlrl.compute import Compute
from nlrl.evaluation.panels import import_panels
from nlrl.evaluation.races import Race, read_races
from nlrl.evaluation.trace_calls import outcomes, replay
from nlrl.evaluation.trace_weights import fit_races
from nlrl.strategies import solve
from nlrl.strategies.adaptive_consistency import adaptive_consistency
from nlrl.strategies.lead import leader_holds
from nlrl.strategies.trace_shape import TraceWeights, save_weights
from nlrl.strategies.umpire import call_at, umpire
from nlrl.testing.synthetic_traces import WORLDS, world, write_traces

THRESHOLDS = (0.55, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)  # 1.0: plain self-consistency
CAPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
WAVES = (1, 4)
WINDOWS = (2, 3, 4, 5, 6, 8)
THRIFTS = tuple(round(i / 20, 2) for i in range(21))
RESAMPLES = 2000


@dataclass(frozen=True)
class Curve:
    """One method: problems x settings, averaged over orders."""

    names: tuple[str, ...]
    right: np.ndarray
    tokens: np.ndarray


def adaptive(race: Race, order: Sequence[int], threshold: float, wave: int, most: int) -> np.ndarray:
    """Adaptive consistency at every cap, as its strategy does it: (right, tokens) for each of `CAPS`."""
    table = np.full((len(CAPS), 2), np.nan)
    votes: dict[int, int] = {}
    spent, n = 0, 0
    best = -1
    for start in range(0, most, wave):
        members = [race.traces[i] for i in order[start : start + wave]]
        clock = 0
        for k, trace in enumerate(members):
            n += 1
            clock = max(clock, trace.tokens)
            if trace.said >= 0:
                votes[trace.said] = votes.get(trace.said, 0) + 1
                best = max(votes, key=votes.__getitem__)
            top = [*sorted(votes.values(), reverse=True)[:2], 0, 0]
            settled = n > 1 and leader_holds(top[0], top[1]) > threshold
            if n in CAPS:  # a last wave cut short by the cap draws no more than the cap
                cost = spent + race.prompt_tokens + sum(t.tokens for t in members[: k + 1])
                at = CAPS.index(n)
                table[at] = best in race.right, cost
            if settled:
                cost = spent + race.prompt_tokens + sum(min(t.tokens, clock) for t in members)
                table[np.isnan(table[:, 0])] = best in race.right, cost
                return table
        spent += race.prompt_tokens + sum(t.tokens for t in members)
    table[np.isnan(table[:, 0])] = best in race.right, spent
    return table


def windows(race: Race, order: Sequence[int], window: int, most: int) -> np.ndarray:
    """Early-stopping self-consistency: whole windows until one agrees with itself; (right, tokens) for each cap."""
    table = np.full((len(CAPS), 2), np.nan)
    votes: dict[int, int] = {}
    spent, best = 0, -1
    for start in range(0, most, window):
        members = [race.traces[i] for i in order[start : start + window]]
        spent += race.prompt_tokens + sum(t.tokens for t in members)
        for trace in members:
            if trace.said >= 0:
                votes[trace.said] = votes.get(trace.said, 0) + 1
        best = max(votes, key=votes.__getitem__, default=-1)
        agreed = len(members) == window and len({t.said for t in members}) == 1 and members[0].said >= 0
        full = [i for i, cap in enumerate(CAPS) if np.isnan(table[i, 0]) and (agreed or start + 2 * window > cap)]
        table[full] = best in race.right, spent
        if agreed:
            break
    table[np.isnan(table[:, 0])] = best in race.right, spent
    return table


def orders_of(race: Race, number: int, orders: int) -> list[list[int]]:
    found = []
    for k in range(orders):
        order = list(range(len(race.traces)))
        if k:  # the first one is the panel's own
            random.Random(f"order {number} {k}").shuffle(order)
        found.append(order)
    return found


def measure(
    voting: Sequence[Race], racing: Sequence[Race], weights: TraceWeights, orders: int
) -> tuple[Curve, Curve, Curve, Curve]:
    """The curves of adaptive consistency, windows, the umpire, and the umpire without weights (every call default).

    voting  the races as votes without probes see them; racing, with looks
    """
    ac, esc, mine, plain = [], [], [], []
    calls = [call_at(thrift, weights.calls) for thrift in THRIFTS]
    defaults = [call_at(thrift) for thrift in THRIFTS]
    for number, (bare, race) in enumerate(zip(voting, racing, strict=True)):
        sums: list[np.ndarray | float] = [0.0] * 4
        for order in orders_of(race, number, orders):
            most = len(order)
            sums[0] += np.array([adaptive(bare, order, t, w, most) for t in THRESHOLDS for w in WAVES]).reshape(-1, 2)
            sums[1] += np.array([windows(bare, order, w, most) for w in WINDOWS]).reshape(-1, 2)
            sums[2] += race_at(race, order, weights, calls)
            sums[3] += race_at(bare, order, None, defaults)
        for rows, total in zip((ac, esc, mine, plain), sums, strict=True):
            rows.append(total / orders)
    names = (
        tuple(f"({t:g}, {c}), wave {w}" for t in THRESHOLDS for w in WAVES for c in CAPS),
        tuple(f"window {w}, cap {c}" for w in WINDOWS for c in CAPS),
        tuple(f"thrift {t:g}" for t in THRIFTS),
        tuple(f"thrift {t:g}" for t in THRIFTS),
    )
    tables = [np.array(rows) for rows in (ac, esc, mine, plain)]
    return tuple(  # type: ignore[return-value]
        Curve(n, table[..., 0], table[..., 1]) for n, table in zip(names, tables, strict=True)
    )


def race_at(race: Race, order: Sequence[int], weights: TraceWeights | None, calls: Sequence) -> np.ndarray:
    kept: dict[tuple[int, float, bool], list] = {}
    found = []
    for call in calls:
        key = (call.wave, call.drop, call.weigh)
        if key not in kept:
            kept[key] = replay(race, order, weights if call.weigh else None, call.wave, call.drop)
        found.append(outcomes(kept[key], [call.gate], [call.most], call.least)[0, 0])
    return np.array(found)


def upper_hull(tokens: np.ndarray, right: np.ndarray) -> list[int]:
    """The settings on the upper hull of accuracy over tokens, from cheap to dear, each better than the one before."""
    kept: list[int] = []
    for i in sorted(range(len(tokens)), key=lambda i: (tokens[i], -right[i])):
        if kept and right[i] <= right[kept[-1]]:
            continue
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (right[b] - right[a]) * (tokens[i] - tokens[a]) > (right[i] - right[a]) * (tokens[b] - tokens[a]):
                break
            kept.pop()
        kept.append(i)
    return kept


def compare(mine: Curve, other: Curve) -> dict[str, np.ndarray]:
    """Advantage at equal tokens and ratio of tokens at equal accuracy, of each of my settings, with intervals."""
    vertices = upper_hull(other.tokens.mean(0), other.right.mean(0))
    vt, vr = other.tokens[:, vertices], other.right[:, vertices]
    rng = np.random.default_rng(0)
    n = len(mine.right)
    counts = np.concatenate([np.ones((1, n)) / n, rng.multinomial(n, np.ones(n) / n, size=RESAMPLES) / n])
    my_t, my_r, fr_t, fr_r = counts @ mine.tokens, counts @ mine.right, counts @ vt, counts @ vr
    gain, ratio, area = np.empty_like(my_t), np.empty_like(my_t), np.empty(len(counts))
    for i in range(len(counts)):
        by = np.argsort(fr_t[i])
        base = np.interp(my_t[i], fr_t[i][by], fr_r[i][by])
        gain[i] = my_r[i] - base
        rising = np.maximum.accumulate(fr_r[i][by])
        need = np.interp(my_r[i], rising, fr_t[i][by])
        ratio[i] = np.where(my_r[i] > rising[-1], my_t[i] / fr_t[i][by][-1], my_t[i] / need)
        # over the curve, every doubling of tokens counting the same
        path = np.argsort(my_t[i])
        logs, g = np.log(my_t[i][path]), gain[i][path]
        span = logs[-1] - logs[0]
        area[i] = np.sum((g[1:] + g[:-1]) / 2 * np.diff(logs)) / span if span > 0 else g.mean()
    return {"gain": gain, "ratio": ratio, "area": area, "vertices": np.array(vertices)}


def span(samples: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(samples[1:], [0.025, 0.975], axis=0)
    return float(samples[0]), float(low), float(high)


def show(title: str, curves: tuple[Curve, Curve, Curve, Curve], weights: TraceWeights | None) -> dict[str, object]:
    """Print it; weights: what the umpire was calibrated to, None where parts of it were to different ones."""
    ac, esc, mine, plain = curves
    found = compare(mine, ac)
    area = span(found["area"])
    print(f"\n{title}: {len(mine.right)} problems")
    print("frontier of adaptive consistency, tuned on these problems (threshold, cap):")
    for i in found["vertices"]:
        print(f"  {ac.names[i]:<26}{ac.right[:, i].mean():>8.4f}{ac.tokens[:, i].mean():>12.0f} tokens")
    print(
        "umpire, calibrated on the training panel:".ljust(60)
        + "accuracy     tokens   points at equal tokens   tokens ratio"
    )
    shown = set()
    for k, thrift in enumerate(THRIFTS):
        what = f"  thrift {thrift:<5g}"
        if weights is not None:
            call = call_at(thrift, weights.calls)
            if call in shown:
                continue
            shown.add(call)
            what += f" wave {call.wave} most {call.most:<3} gate {call.gate:<5g} drop {call.drop:<4g}"
            what += f"least {call.least} {'weighed' if call.weigh else 'plain'}"
        g, lo, hi = (100 * x for x in span(found["gain"][:, k]))
        r, rlo, rhi = span(found["ratio"][:, k])
        tie = "tie" if lo <= 0 <= hi else "   "
        print(
            f"{what:<72}{mine.right[:, k].mean():.4f} {mine.tokens[:, k].mean():>11.0f}"
            f"   {g:+5.2f} [{lo:+5.2f}, {hi:+5.2f}] {tie}   {r:.2f} [{rlo:.2f}, {rhi:.2f}]"
        )
    e, p = span(compare(esc_hull(esc), ac)["area"]), span(compare(plain, ac)["area"])
    print(
        f"over the whole curve: umpire {points(area)}; without weights, uncalibrated {points(p)}; tuned ESC {points(e)}"
    )
    return {
        "points_over_frontier": [round(100 * x, 2) for x in area],
        "median_token_ratio": round(float(np.median(found["ratio"][0])), 3),
        "without_weights": [round(100 * x, 2) for x in p],
        "early_stopping": [round(100 * x, 2) for x in e],
    }


def esc_hull(esc: Curve) -> Curve:
    """Windows and caps tuned on the test problems, as adaptive consistency is."""
    kept = upper_hull(esc.tokens.mean(0), esc.right.mean(0))
    return Curve(tuple(esc.names[i] for i in kept), esc.right[:, kept], esc.tokens[:, kept])


def points(x: tuple[float, float, float]) -> str:
    text = f"{100 * x[0]:+.2f} points [{100 * x[1]:+.2f}, {100 * x[2]:+.2f}]"
    return text if x[1] > 0 or x[2] < 0 else f"{text} (a tie)"


async def races_of(path: Path, bank: Bank, name: str) -> tuple[list[Race], list[Race]]:
    await import_panels(path, bank, name)
    problems = bank.problems(name)
    bare = await read_races(problems, bank, f"panel:{name}", looks=False)
    return bare, await read_races(problems, bank, f"panel:{name}")


async def agreement(bank: Bank, name: str, races: Sequence[Race], bare: Sequence[Race], weights: TraceWeights) -> float:
    """Share of solves in which the strategies, run through the ledger, give what the fast replay gives."""
    same = 0
    problems = bank.problems(name)[:40]
    with tempfile.TemporaryDirectory(prefix="nlrl-stopping-") as directory:
        file = str(Path(directory) / "weights.json")
        save_weights(weights, file)
        model = ReplayModel(f"panel:{name}", is_panel=True)
        for problem, race, votes in zip(problems, races, bare, strict=False):
            order = list(range(len(race.traces)))
            thrift = THRIFTS[same % len(THRIFTS)]
            want = race_at(race, order, weights, [call_at(thrift, weights.calls)])[0]
            compute = Compute(model, bank=bank, prompt=lambda p: ())
            got = await solve(partial(umpire, thrift=thrift, weights=file), problem, compute)
            same += got.usage.tokens == want[1]
            want = adaptive(votes, order, 0.9, 4, len(order))[CAPS.index(16)]
            compute = Compute(model, bank=bank, prompt=lambda p: ())
            got = await solve(partial(adaptive_consistency, n=16, threshold=0.9), problem, compute)
            same += got.usage.tokens == want[1]
    return same / (2 * len(problems))


async def run(options: argparse.Namespace) -> int:
    marks = Marks("stopping", options.quick)
    results: dict[str, dict[str, object]] = {}
    orders = 2 if options.quick else options.orders
    with tempfile.TemporaryDirectory(prefix="nlrl-stopping-") as directory, Bank() as bank:
        sets: list[tuple[str, list[Path], list[Path]]]
        if options.halves:
            a, b = (Path(p) for p in options.halves)
            sets = [("recorded", [a], [b]), ("recorded", [b], [a])]
        elif options.panel:
            sets = [("recorded", [Path(p) for p in options.train], [Path(p) for p in options.panel])]
        else:
            print("SYNTHETIC traces: made up, no measurement of any model.")
            sets = []
            names = ["plain"] if options.quick else options.worlds
            sizes = (60, 150) if options.quick else (options.train_problems, options.test_problems)
            for name in names:
                files = [Path(directory) / f"{name}-{part}.jsonl" for part in ("train", "test")]
                for i, (file, size) in enumerate(zip(files, sizes, strict=True)):
                    write_traces(file, world(name, seed=options.seed * 10 + i, problems=size))
                sets.append((name, files[:1], files[1:]))
        every: dict[str, list[tuple[Curve, Curve, Curve, Curve]]] = {}
        fitted: dict[str, list[TraceWeights]] = {}
        for turn, (title, train, tests) in enumerate(sets):
            training: list[Race] = []
            for i, file in enumerate(train):
                training += (await races_of(file, bank, f"{title}-{turn}-train-{i}"))[1]
            timed = time.time()
            weights = fit_races(training, orders=max(2, orders), source=title)
            fitted.setdefault(title, []).append(weights)
            print(
                f"\n{title}: calibrated on {len(training)} problems in {time.time() - timed:.0f} s; "
                f"cross-validated AUC {weights.held_out_auc:.3f}, power {weights.power:g}"
            )
            for i, file in enumerate(tests):
                name = f"{title}-{turn}-test-{i}"
                bare, races = await races_of(file, bank, name)
                every.setdefault(title, []).append(measure(bare, races, weights, orders))
                same = await agreement(bank, name, races, bare, weights)
                print(f"{file.name}: strategies and replay agree in {100 * same:.0f} % of 80 solves")
                marks.exact(f"strategies and replay agree, {file.stem}", same, equal_to=1.0)
                if len(tests) > 1 or options.halves:
                    results[f"{title} {file.stem}"] = show(file.stem, every[title][-1], weights)
        for title, parts in every.items():
            joined = tuple(
                Curve(
                    curves[0].names,
                    np.concatenate([c.right for c in curves]),
                    np.concatenate([c.tokens for c in curves]),
                )
                for curves in zip(*parts, strict=True)
            )
            one = fitted[title][0] if len(fitted[title]) == 1 else None
            results[title] = show(title, joined, one)  # type: ignore[arg-type]
            results[title]["cross_validated_auc"] = [round(w.held_out_auc, 3) for w in fitted[title]]
    key = "recorded" if options.panel or options.halves else ("plain" if "plain" in results else next(iter(results)))
    low = results[key]["points_over_frontier"][1]  # type: ignore[index]
    marks.exact(f"points over the frontier, low end, {key}", low, above=0)
    return marks.result(synthetic=key != "recorded", results=results, orders=orders)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", nargs="+", help="recorded test panels (JSON lines with probes)")
    parser.add_argument("--train", nargs="+", help="recorded panels to calibrate on")
    parser.add_argument("--halves", nargs=2, metavar="FILE", help="two recorded panels, calibrated on each other")
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--train-problems", type=int, default=100)
    parser.add_argument("--test-problems", type=int, default=300)
    parser.add_argument("--orders", type=int, default=4, help="random orders of the traces of each problem")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one small synthetic world, under a minute")
    options = parser.parse_args()
    if bool(options.panel) != bool(options.train):
        parser.error("recorded panels need both --train and --panel")
    return asyncio.run(run(options))


if __name__ == "__main__":
    raise SystemExit(main())
