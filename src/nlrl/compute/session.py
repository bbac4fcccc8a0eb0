"""What a handle and its children have in common: one purse, one numbering of draws, one list of what went wrong."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nlrl.bank.samples import Draw
from nlrl.compute.purse import Purse
from nlrl.core import Completion, Delta, Message, Phase, Problem, Request, Sampling, Score, Verifier

Prompter = Callable[[Problem], tuple[Message, ...]]
Watcher = Callable[[str, Delta], None]  # called with a candidate's id and what it has just said


@dataclass(frozen=True, slots=True)
class Order:
    """Attempts that are wanted: `request.n` of them, at most `wave` in flight."""

    problem: Problem | None
    request: Request
    wave: int
    phase: Phase = Phase.SAMPLE


@dataclass(eq=False)
class Session:
    """One solve.

    begun       by `time.monotonic`
    drawn       attempts begun so far; it names them
    next_index  the bank's index of the next draw, by key
    probed      draws of a probe that nobody has taken yet, by key: whoever samples so next gets them first
    longest     tokens of the longest draw so far, by key
    short       whether it was said that not all attempts fitted
    judged      judgements bought so far, by verifier, candidate and text
    failed      draws that failed
    notes       for people
    """

    purse: Purse
    verifier: Verifier | None
    prompt: Prompter
    watch: Watcher | None = None
    begun: float = field(default_factory=time.monotonic)
    drawn: int = 0
    next_index: Counter[str] = field(default_factory=Counter)
    probed: dict[str, deque[tuple[str, Draw]]] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    short: bool = False
    judges: dict[str, Verifier] = field(default_factory=dict)
    judged: dict[tuple[int, str, str], Score] = field(default_factory=dict)
    failed: list[Completion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def names(self, n: int) -> list[str]:
        """Names for n attempts that begin now."""
        self.drawn += n
        return [f"s{self.drawn - n + i}" for i in range(n)]

    def indices(self, key: str, n: int) -> int:
        """The first of n indices of the bank that are taken now."""
        first = self.next_index[key]
        self.next_index[key] += n
        return first

    def watcher(self, names: list[str]) -> Callable[[Delta], None] | None:
        """What a wave of these attempts calls with its deltas; None where nobody looks."""
        watch = self.watch
        return None if watch is None else lambda delta: watch(names[delta.index], delta)


def over(base: Sampling, over: Sampling | None) -> Sampling:
    """`base` with what is set in `over`."""
    if over is None:
        return base
    fresh = Sampling()
    changed = {name: getattr(over, name) for name in over.__slots__ if getattr(over, name) != getattr(fresh, name)}
    return replace(base, **changed)
