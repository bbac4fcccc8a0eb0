"""A benchmark while it runs: how far, how right so far, how fast, how long still.

    ━━━━━━━━━━━━━━╸━━━━━━━━━  41/120  0:03:12 left   18,220 tokens, 52 generated/s
    panel 0.48 (164)   self_consistency(n=8) 0.62 (13)   weighted_vote(n=8) 0.77 (13)

On a terminal that is one region, drawn over and over; elsewhere a line every few seconds. Everything goes to stderr.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from nlrl.evaluation.run import Progress

_LINE_EVERY_S = 10.0
_REFRESH_HZ = 4


@dataclass
class BenchView:
    """Takes the events of a run (`on_event` of run_benchmark)."""

    console: Console
    now: Progress | None = None
    begun: float = 0.0
    told: float = 0.0
    took: dict[str, list[float]] = field(default_factory=dict)  # seconds of the records made here, by strategy

    def __call__(self, event: Progress) -> None:
        self.now = event
        if event.record is not None:
            self.took.setdefault(event.record.strategy, []).append(event.record.usage.seconds)

    def seconds_left(self) -> float | None:
        """By what records of each strategy took here so far; None before the first.

        Strategies differ by far: the first one of a problem draws samples that the others find in the bank.
        """
        p, every = self.now, [s for each in self.took.values() for s in each]
        if p is None or not every:
            return None
        side_by_side = max(sum(every) / max(time.monotonic() - self.begun, 1e-6), 1e-6)
        each = (p.total - p.resumed) / len(p.standing)  # of every strategy, to be made here
        known = {name: self.took.get(name, every) for name in p.standing}
        left = sum((each - len(self.took.get(n, ()))) * sum(took) / len(took) for n, took in known.items())
        return max(left, 0.0) / side_by_side

    def facts(self) -> str:
        """Records, time left, tokens and speed in one line."""
        p = self.now
        if p is None:
            return "starting"
        left = self.seconds_left()
        elapsed = max(time.monotonic() - self.begun, 1e-3)
        parts = [f"{p.done}/{p.total} records"]
        if p.resumed:
            parts.append(f"{p.resumed} from before")
        if left is not None:
            parts.append(f"{clock(left)} left")
        parts.append(f"{p.tokens:,} tokens")
        if p.paid.completion_tokens:
            parts.append(f"{p.paid.completion_tokens / elapsed:.0f} generated/s")
        return ", ".join(parts)

    def standing(self) -> list[tuple[str, str]]:
        """Every strategy with its accuracy so far and on how much that stands."""
        rows = []
        for name, s in (self.now.standing if self.now else {}).items():
            accuracy = "-" if s.accuracy is None else f"{s.accuracy:.2f}"
            failed = f", {s.failed} failed" if s.failed else ""
            rows.append((name, f"{accuracy} ({s.right} of {s.judged}{failed})"))
        return rows


class _Lines(BenchView):
    def __call__(self, event: Progress) -> None:
        super().__call__(event)
        now = time.monotonic()
        if not self.told or now - self.told >= _LINE_EVERY_S or event.record is None:  # None: at the start and the end
            self.told = now
            standing = "; ".join(f"{name} {value}" for name, value in self.standing())
            self.console.print(f"{self.facts()}; {standing}", markup=False, highlight=False, soft_wrap=True)


class _Region(BenchView):
    def table(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        p = self.now
        bar = ProgressBar(total=p.total if p else 1, completed=p.done if p else 0, width=40)
        head = Table.grid(padding=(0, 2))
        head.add_row(bar, Text(self.facts()))
        rows = Table.grid(padding=(0, 2))
        for name, value in self.standing():
            rows.add_row(Text(name, style="cyan"), Text(value))
        return Group(head, rows)


@contextmanager
def bench_view(console: Console) -> Iterator[BenchView]:
    """What `run_benchmark` gets as `on_event`."""
    begun = time.monotonic()
    if not console.is_terminal:
        yield _Lines(console, begun=begun)
        return
    from rich.live import Live

    view = _Region(console, begun=begun)
    with Live(get_renderable=view.table, console=console, refresh_per_second=_REFRESH_HZ):
        yield view


def clock(seconds: float) -> str:
    """ "45 s", "3 m 12 s" or "2 h 5 m"."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} m {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} m"
