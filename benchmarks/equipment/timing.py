"""Whether two kinds of call can be told apart by the time they take."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping


def time_in_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[int]]:
    """Nanoseconds of each call of each kind; a round has one of each, in random order."""
    took: dict[str, list[int]] = {name: [] for name in calls}
    order = list(calls.items())
    for _ in range(rounds):
        random.shuffle(order)
        for name, call in order:
            began = time.perf_counter_ns()
            call()
            took[name].append(time.perf_counter_ns() - began)
    return took


def chance_above(first: list[int], second: list[int]) -> float:
    """How often a value of `second` is above one of `first`; 0.5 is no difference (Mann and Whitney's U)."""
    merged = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    below = wins = 0.0
    at = 0
    while at < len(merged):
        end = at
        while end < len(merged) and merged[end][0] == merged[at][0]:
            end += 1
        of_second = sum(kind for _, kind in merged[at:end])
        of_first = end - at - of_second
        wins += of_second * (below + of_first / 2)
        below, at = below + of_first, end
    return wins / (len(first) * len(second))


def shown(values: list[int]) -> str:
    """The middle and both ends, in microseconds."""
    cuts = statistics.quantiles(values, n=20)
    return f"p5 {cuts[0] / 1e3:7.1f}   median {cuts[9] / 1e3:7.1f}   p95 {cuts[-1] / 1e3:7.1f}"
