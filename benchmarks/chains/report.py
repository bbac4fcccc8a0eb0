"""What the outcomes of all seeds say: tables, ratios with intervals, where search hurts, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from chains.arms import Outcome, Probes
from chains.choice import PRICES, Chosen, Floats, Seed, Whole, quotient_intervals, ratio_intervals, ratios
from equipment.marks import Marks
from nlrl.evaluation.intervals import GAIN, mean_interval
from nlrl.evaluation.plot import locator
from nlrl.strategies import todays_name

T = TypeVar("T", bound=np.generic)
MARK = 4.0
BINS = 5
SIZES = (1, 2, 4, 8, 16, 32, 64)
BASE = tuple(f"best_of_n(n={n})" for n in SIZES)
OTHER = (
    *(f"self_consistency(n={n})" for n in (1, 16, 64)),
    "adaptive_consistency(n=64, wave=2)",
    "beam_search(n=4, width=4)",
    "beam_search(n=16, width=4)",
    "dvts(n=16, width=4)",
    "lookahead_search(n=4, width=4)",
    "until_good(n=64)",
    "until_good(n=8, width=4)",
)
PLANNED = (
    "direct",
    "self_consistency(n=8)",
    *(f"best_of_n(n={n})" for n in (4, 16)),
    *(f"until_good(n={n})" for n in (2, 4, 8, 16, 32)),
    *(f"until_good(n={n}, width=4)" for n in (2, 3, 5, 9)),
    "beam_search(n=4, width=4)",
    "dvts(n=16, width=4)",
)
CROSSING = ("best_of_n(n=4)", "beam_search(n=4, width=4)", "best_of_n(n=16)", "beam_search(n=16, width=4)")


@dataclass
class Measured:
    """All outcomes of one seed. constant: the best fixed strategy, of the fixed arms and then the planned ones."""

    fixed: Outcome
    planned: Outcome
    probes: Probes
    weak: Outcome
    bins: Whole  # oracle difficulty of every problem: 0 is hardest
    chosen: Chosen
    oracle: Chosen
    constant: Chosen


def stack(seeds: Sequence[Measured], pick: Callable[[Measured], NDArray[T]]) -> NDArray[T]:
    """One table of all seeds' problems, side by side."""
    return np.concatenate([np.asarray(pick(m)) for m in seeds], axis=-1)


def say_arms(title: str, arms: Sequence[str], right: Floats, tokens: Floats, bins: Whole) -> None:
    """A table: accuracy and mean tokens of every arm, over all problems and per bin."""
    print(f"\n{title}\n{'':36}{'all':>15}" + "".join(f"{'bin ' + str(b + 1):>15}" for b in range(BINS)))
    for a, name in enumerate(arms):
        cells = [(right[a].mean(), tokens[a].mean())]
        cells += [(right[a][bins == b].mean(), tokens[a][bins == b].mean()) for b in range(BINS)]
        print(f"{todays_name(name):36}" + "".join(f"{r:8.3f} {t:6.0f}" for r, t in cells))


def say_choice(seeds: Sequence[Measured], price: int) -> None:
    """What the policies took at one price of a token, per oracle bin."""
    bins = stack(seeds, lambda m: m.bins)
    arms = stack(seeds, lambda m: m.chosen.arms[price])
    for b in range(BINS):
        names, counts = np.unique(arms[bins == b], return_counts=True)
        top = sorted(zip(counts, names, strict=True), reverse=True)[:4]
        print(f"  bin {b + 1}: " + ", ".join(f"{PLANNED[int(i)]} {100 * c / counts.sum():.0f} %" for c, i in top))


def as_seeds(
    seeds: Sequence[Measured],
    base: slice,
    cost: Callable[[Outcome], Floats] = lambda o: o.tokens,
    policy: Callable[[Measured], Chosen] = lambda m: m.chosen,
) -> list[Seed]:
    """Baseline arms and policy of every seed. The policy was chosen by tokens; `cost` says what is counted here."""
    made = []
    for m in seeds:
        taken = policy(m)
        spent = np.take_along_axis(cost(m.planned), taken.arms, axis=0)
        made.append(Seed(m.fixed.right[base], cost(m.fixed)[base], taken.right, spent))
    return made


def as_fixed(seeds: Sequence[Measured], base: slice) -> list[Seed]:
    """The same baseline, and in the policy's place the best fixed strategy."""
    return [Seed(m.fixed.right[base], m.fixed.tokens[base], m.constant.right, m.constant.tokens) for m in seeds]


def say_fixed(seeds: Sequence[Measured], mine: Sequence[Seed], base: slice) -> tuple[Floats, Floats, Floats, Floats]:
    """Compute-optimal beside the best fixed strategy: (best-of-N by fixed, fixed by compute-optimal, its ends)."""
    constant = as_fixed(seeds, base)
    fixed, ours = ratios(constant), ratios(mine)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where((ours == 0) & (fixed == 0), 1.0, ours / fixed)
    low, high = quotient_intervals(mine, constant)
    print("\nbeside the best fixed strategy, chosen on the other fold: the vote's tokens by its, its by the policy's")
    for i, n in enumerate(SIZES[base]):
        tie = " (a tie)" if low[i] <= 1 <= high[i] else ""
        print(f"N={n:<3} {fixed[i]:6.2f}   {quotient[i]:6.2f} [{low[i]:.2f}, {high[i]:.2f}]{tie}")
    arms = [todays_name(arm) for arm in seeds[0].fixed.arms] + [
        f"{todays_name(arm)} after the probe" for arm in PLANNED
    ]
    print("what is taken at prices 0, middle and high (two folds a seed):")
    for price in (0, len(PRICES) // 2, len(PRICES) - 10):
        names, counts = np.unique(stack(seeds, lambda m, p=price: m.constant.arms[p]), return_counts=True)
        top = sorted(zip(counts, names, strict=True), reverse=True)[:3]
        print(f"  {PRICES[price]:.1e}: " + ", ".join(f"{arms[int(i)]} {100 * c / counts.sum():.0f} %" for c, i in top))
    points = [stack(seeds, lambda m, a=attribute: getattr(m.constant, a)).mean(1) for attribute in ("tokens", "right")]
    print("its tokens and accuracy by the price of a token")
    print(
        *sorted({f"{t:.0f} {r:.3f}" for t, r in zip(*points, strict=True)}, key=lambda x: float(x.split()[0])),
        sep="   ",
    )
    return fixed, quotient, low, high


def say_crossing(seeds: Sequence[Measured]) -> dict[str, float]:
    """Beam search less best-of-N at equal n, per bin, with the strong and with the weak reward model."""
    bins, found = stack(seeds, lambda m: m.bins), {}
    print("\nbeam search less the weighted vote of n, points of accuracy [95 %], bin 1 hardest")
    for label in ("strong", "weak"):
        rows = {name: stack(seeds, lambda m, x=label, n=name: _row(m, x, n)) for name in CROSSING}
        for n, vote, search in ((4, CROSSING[0], CROSSING[1]), (16, CROSSING[2], CROSSING[3])):
            cells = []
            for b in range(BINS):
                d = mean_interval((rows[search] - rows[vote])[bins == b], scale=GAIN)
                cells.append(f"{100 * d.mean:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]")
                found[f"{label} n={n} bin {b + 1}"] = round(100 * d.mean, 1)
            print(f"{label:7} n={n:<3}" + "".join(f"{c:>24}" for c in cells))
    return found


def _row(m: Measured, label: str, name: str) -> Floats:
    outcome = m.fixed if label == "strong" else m.weak
    return outcome.right[outcome.arms.index(name)]


def draw(path: Path, seeds: Sequence[Measured], curve: Seed, crossing: dict[str, float]) -> str:
    """Save the two curves and the crossing as a picture; says where, or what is missing for it."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return "no picture: pip install 'nlrl[plot]'"
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    left.plot(curve.base_tokens.mean(1), curve.base_right.mean(1), "o-", label="weighted vote of N")
    order = np.argsort(curve.tokens.mean(1))
    left.plot(curve.tokens.mean(1)[order], curve.right.mean(1)[order], "s-", ms=3, label="compute-optimal (predicted)")
    constant = stack(seeds, lambda m: m.constant.tokens).mean(1), stack(seeds, lambda m: m.constant.right).mean(1)
    order = np.argsort(constant[0])
    left.plot(constant[0][order], constant[1][order], "^-", ms=3, label="best fixed strategy, by the other fold")
    oracle = stack(seeds, lambda m: m.oracle.right).mean(1), stack(seeds, lambda m: m.oracle.tokens).mean(1)
    left.plot(np.sort(oracle[1]), oracle[0][np.argsort(oracle[1])], ":", label="compute-optimal (oracle bins)")
    left.set(xscale="log", xlabel="tokens a problem, everything charged", ylabel="accuracy")
    left.xaxis.set_major_locator(locator(*left.get_xlim()))
    left.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    left.xaxis.set_minor_formatter(lambda *_: "")
    left.legend()
    for label in ("strong", "weak"):
        for n in (4, 16):
            right.plot(
                range(1, BINS + 1),
                [crossing[f"{label} n={n} bin {b + 1}"] for b in range(BINS)],
                "o-" if label == "strong" else "x--",
                label=f"{label} reward model, n={n}",
            )
    right.axhline(0, color="grey", lw=0.8)
    right.set(
        xlabel="difficulty bin (1 hardest)", ylabel="beam search less the vote, points", xticks=range(1, BINS + 1)
    )
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return f"picture: {path}"


def report(seeds: Sequence[Measured], sizes: int, picture: Path, marks: Marks, mark: float | None) -> int:
    """Print everything; 0 where the ratio at the largest size reaches the mark with its whole interval."""
    bins, fixed = stack(seeds, lambda m: m.bins), seeds[0].fixed.arms
    right, tokens = stack(seeds, lambda m: m.fixed.right), stack(seeds, lambda m: m.fixed.tokens)
    say_arms("accuracy and tokens, strong reward model (bins of pass@1, 1 hardest)", fixed, right, tokens, bins)
    right, tokens = stack(seeds, lambda m: m.planned.right), stack(seeds, lambda m: m.planned.tokens)
    say_arms("the same after the probe, which is charged", PLANNED, right, tokens, bins)
    crossing = say_crossing(seeds)

    base = slice(sizes)
    mine = as_seeds(seeds, base)
    pooled, (low, high) = ratios(mine), ratio_intervals(mine)
    each = np.array([ratios([s]) for s in mine])
    other = {
        "oracle bins": ratios(as_seeds(seeds, base, policy=lambda m: m.oracle)),
        "FLOPs": ratios(as_seeds(seeds, base, lambda o: o.flops)),
        "latency": ratios(as_seeds(seeds, base, lambda o: o.path)),
        "no cache": ratios(as_seeds(seeds, base, lambda o: o.tokens + o.reread)),
    }
    whole = Seed(*(np.concatenate([getattr(s, f) for s in mine], axis=1) for f in Seed.__dataclass_fields__))
    accuracy = whole.base_right.mean(1)
    print("\ntokens of the weighted vote of N by those of compute-optimal at the same accuracy")
    for i, n in enumerate(SIZES[:sizes]):
        print(f"N={n:<3} accuracy {accuracy[i]:.3f}: {pooled[i]:6.2f} [{low[i]:.2f}, {high[i]:.2f}]   by seed ", end="")
        print(*(f"{x:.2f}" for x in each[:, i]), *(f"  {name} {r[i]:.2f}" for name, r in other.items()))
    constant, against_fixed, fixed_low, fixed_high = say_fixed(seeds, mine, base)
    rest = slice(sizes, len(fixed))
    against = ratios(as_seeds(seeds, rest))
    print("against other fixed strategies, at their accuracy")
    for name, r, a in zip(fixed[rest], against, stack(seeds, lambda m: m.fixed.right[rest]).mean(1), strict=True):
        print(f"  {name:36} accuracy {a:.3f}: {r:.2f}")
    print("\ncompute-optimal, tokens and accuracy by the price of a token")
    points = sorted(
        {(round(t), round(float(r), 3)) for r, t in zip(whole.right.mean(1), whole.tokens.mean(1), strict=True)}
    )
    print(*(f"{t} {r:.3f}" for t, r in points), sep="   ")
    reach = np.flatnonzero(whole.right.mean(1) >= accuracy[-1])
    at = int(reach[np.argmin(whole.tokens.mean(1)[reach])]) if len(reach) else 0
    print(f"\nwhat is taken at the accuracy of the vote of {SIZES[sizes - 1]} (price {PRICES[at]:.1e} of a token)")
    say_choice(seeds, at)
    print("\n" + draw(picture, seeds, whole, crossing))
    result = {
        "seeds": len(seeds),
        "problems": int(right.shape[1]),
        "baseline": f"best_of_n(n={SIZES[sizes - 1]})",
        "accuracy": round(float(accuracy[-1]), 4),
        "ratio": _finite(pooled[-1]),
        "low": _finite(low[-1]),
        "high": _finite(high[-1]),
        "by_seed": [_finite(x) for x in each[:, -1]],
        "best_of_n_by_best_fixed": _finite(constant[-1]),
        "best_fixed_by_policy": [_finite(x[-1]) for x in (against_fixed, fixed_low, fixed_high)],
        "best_fixed_by_policy_by_n": {str(n): _finite(x) for n, x in zip(SIZES, against_fixed, strict=False)},
        "by_n": {str(n): _finite(x) for n, x in zip(SIZES, pooled, strict=False)},
        "low_by_n": {str(n): _finite(x) for n, x in zip(SIZES, low, strict=False)},
        **{name.replace(" ", "_"): _finite(r[-1]) for name, r in other.items()},
        "crossing": crossing,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if mark is not None:
        marks.exact("tokens of best-of-N by those of compute-optimal, low end", _finite(low[-1]), at_least=mark)
        marks.exact(
            "tokens of the best fixed strategy by those of compute-optimal, low end", float(fixed_low[-1]), above=1
        )
    return marks.result(**result)


def _finite(x: float) -> float | None:
    return round(float(x), 3) if np.isfinite(x) else None
