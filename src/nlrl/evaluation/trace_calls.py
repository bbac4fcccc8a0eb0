"""Which calls of the umpire pay: every one of a grid, replayed on recorded traces. Nothing is generated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlrl.compute.traces import PROBE_TOKENS
from nlrl.evaluation.intervals import Floats
from nlrl.evaluation.races import Race
from nlrl.strategies.trace_shape import TraceWeights
from nlrl.strategies.umpire import Call, Standing, widened

WAVES = (1, 2, 4, 8)
DROPS = (0.0, 1.3)
GATES = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995)
LEASTS = (1, 2)
MOSTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_ENOUGH = 600  # replayed races: with more problems fewer orders of each do, at about 35 ms a race of 64 traces
THRIFTS = tuple(round(i / 20, 2) for i in range(21))


class Step(NamedTuple):
    """A race after a finish. `decided` is what it costs to stop there; `over` to go on until the wave is over, which
    is the same unless stragglers are dropped after it."""

    started: int
    lead: float
    right: bool
    decided: int
    over: int


def replay(race: Race, order: Sequence[int], weights: TraceWeights | None, wave: int, drop: float) -> list[Step]:
    """The umpire's race with no gate, in this order of traces, after every finish.

    The last step of each wave, told by the change of `started` after it, is where the race stands if no further wave
    is started: so one replay serves all gates and all limits on traces.
    """
    call = Call(wave, len(order), 1.0, drop)
    standing = Standing(weights)
    look = PROBE_TOKENS if weights is not None else 0
    steps: list[Step] = []
    started = spent = clock = 0
    lead = before = -1.0
    while started < len(order):
        members = [race.traces[i] for i in order[started : started + wave]]
        started += len(members)
        begun, limit, size = clock, None, len(members)
        spent += race.prompt_tokens
        running = sorted(members, key=lambda t: t.tokens)
        while running:
            trace = running[0]
            if limit is not None and begun + trace.tokens > limit:
                clock = max(clock, limit)
                spent += (clock - begun) * len(running)
                steps[-1] = steps[-1]._replace(over=spent)
                break
            running.pop(0)
            clock = begun + trace.tokens
            spent += trace.tokens + look * trace.looks
            standing.add(trace.shape, trace.said if weights is None else trace.label)
            leader, lead = standing.judge(len(running), clock - begun)
            cost = spent + (clock - begun) * len(running)
            steps.append(Step(started, lead, leader in race.right, cost, cost))
            limit = standing.limit(call, begun, size, len(running), clock)
        wave, before = widened(wave, lead, before), lead
    return steps


def outcomes(
    steps: Sequence[Step], gates: Sequence[float], mosts: Sequence[int], least: int = 1
) -> NDArray[np.float64]:
    """What a replay gives at every gate and limit on traces: [gate, most, (right, tokens)]."""
    ends = [i for i, (a, b) in enumerate(pairwise([*(s.started for s in steps), -1])) if a != b]
    table = np.empty((len(gates), len(mosts), 2))
    for g, gate in enumerate(gates):
        stop = next((i for i, s in enumerate(steps) if s.lead > gate and i + 1 >= least), len(steps))
        for m, most in enumerate(mosts):
            last = next((i for i in ends if steps[i].started >= most), len(steps) - 1)
            step = steps[min(stop, last)]
            table[g, m] = step.right, step.decided if stop <= last else step.over
    return table


def choose_calls(
    races: Sequence[Race], models: Sequence[TraceWeights | None], *, orders: int = 6, seed: int = 0
) -> tuple[dict[str, float | int], ...]:
    """For each thrift, the best call that it affords: from what the best of all costs (0) down to the cheapest (1), in
    even steps of log tokens."""
    orders = max(1, min(orders, _ENOUGH // len(races)))
    sums = np.zeros((2, len(LEASTS), len(WAVES), len(DROPS), len(GATES), len(MOSTS), 2))
    for i, (race, model) in enumerate(zip(races, models, strict=True)):
        for k in range(orders):
            order = list(range(len(race.traces)))
            random.Random(f"{seed} {i} {k}").shuffle(order)
            for weigh, judge in enumerate((None, model)):
                for (w, wave), (d, drop) in product(enumerate(WAVES), enumerate(DROPS)):
                    if not (drop and wave == 1):  # a wave of one has nobody to drop
                        steps = replay(race, order, judge, wave, drop)
                        for at, least in enumerate(LEASTS):
                            sums[weigh, at, w, d] += outcomes(steps, GATES, MOSTS, least)
    sums[:, :, 0, 1:] = sums[:, :, :1, 0]
    mean = sums / (len(races) * orders)
    accuracy, tokens = _smooth(mean[..., 0], mean[..., 1]), mean[..., 1]
    dearest, cheapest = float(tokens.flat[int(accuracy.argmax())]), float(tokens.min())
    chosen = []
    for thrift in THRIFTS:
        afford = 1.005 * dearest ** (1 - thrift) * cheapest**thrift
        best = int(np.where(tokens <= afford, accuracy, -np.inf).argmax())
        weigh, at, w, d, g, m = np.unravel_index(best, accuracy.shape)
        chosen.append(
            {
                "thrift": thrift,
                "wave": WAVES[w],
                "most": MOSTS[m],
                "gate": GATES[g],
                "drop": DROPS[d],
                "least": LEASTS[at],
                "weigh": bool(weigh),
                "accuracy": round(float(mean[..., 0].flat[best]), 4),
                "tokens": round(float(tokens.flat[best])),
            }
        )
    return tuple(chosen)


def _smooth(accuracy: Floats, tokens: Floats) -> Floats:
    """What is left of each cell's accuracy after the trend over log tokens, averaged with the neighbouring gates and
    limits: a single lucky cell of the grid is not to be believed."""
    x = np.log(tokens / tokens.mean())
    trend = np.polyval(np.polyfit(x.ravel(), accuracy.ravel(), 3), x)
    padded = np.pad(accuracy - trend, [*[(0, 0)] * (accuracy.ndim - 2), (1, 1), (1, 1)], mode="edge")
    g, m = accuracy.shape[-2:]
    near = [padded[..., i : i + g, j : j + m] for i in range(3) for j in range(3)]
    return trend + np.mean(near, axis=0)
