"""What a person sees while a model writes: every attempt, live.

    s0  The total is 17 + 25 = 42.                     31 tokens
    s1  First add the tens: 10 + 20 = 30.              18 tokens
    s2  Final Answer: 42                               24 tokens  done

On a terminal one attempt flows as it comes, and several share one region with the last line of each. Elsewhere (a
pipe, a log file) every finished line is printed with the name of its attempt. Everything goes to stderr.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nlrl.core import Delta

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_REFRESH_HZ = 8
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without control characters: a model's words must not steer the terminal."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


@dataclass
class _Attempt:
    name: str
    text: str = ""
    tokens: int = 0
    done: str = ""
    shown: int = 0  # characters already printed, where lines are printed once

    def add(self, delta: Delta) -> None:
        self.text += printable(delta.text or delta.reasoning)
        self.tokens += delta.tokens
        end = delta.completion
        if end is not None:
            self.text = self.text or printable(end.text)  # served from the bank, or by a server that does not stream
            self.tokens = end.completion_tokens
            self.done = "failed: " + printable(end.error) if end.error else "done"

    @property
    def last_line(self) -> str:
        lines = self.text.rstrip().rsplit("\n", 1)
        return lines[-1].strip()


@dataclass
class _View:
    console: Console
    attempts: dict[str, _Attempt] = field(default_factory=dict)

    def __call__(self, name: str, delta: Delta) -> None:
        attempt = self.attempts.setdefault(name, _Attempt(name))
        attempt.add(delta)
        self.update(attempt)

    def update(self, attempt: _Attempt) -> None:
        """Show what is new in `attempt`."""

    def finish(self) -> None:
        """Print what an unfinished line still holds."""


class _Flow(_View):
    """The text of the attempts as it comes, one after the other."""

    last: str = ""

    def update(self, attempt: _Attempt) -> None:
        fresh = attempt.text[attempt.shown :]
        attempt.shown = len(attempt.text)
        if fresh and self.last not in ("", attempt.name):
            self.console.print()
        if fresh:
            self.last = attempt.name
            self.console.print(fresh, end="", style="dim", markup=False, highlight=False, soft_wrap=True)

    def finish(self) -> None:
        if self.last:
            self.console.print()


class _Lines(_View):
    """Every finished line, with the name of its attempt."""

    def update(self, attempt: _Attempt) -> None:
        end = len(attempt.text) if attempt.done else attempt.text.rfind("\n") + 1
        self._print(attempt, end)
        if attempt.done.startswith("failed"):
            self.console.print(f"{attempt.name} | {attempt.done}", markup=False, highlight=False, soft_wrap=True)

    def finish(self) -> None:
        for attempt in self.attempts.values():
            self._print(attempt, len(attempt.text))

    def _print(self, attempt: _Attempt, end: int) -> None:
        for line in attempt.text[attempt.shown : end].splitlines():
            if line.strip():
                self.console.print(f"{attempt.name} | {line}", markup=False, highlight=False, soft_wrap=True)
        attempt.shown = max(attempt.shown, end)


class _Region(_View):
    """One line an attempt, drawn over and over in the same place."""

    begun: float = 0.0

    def table(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        room = max(self.console.height - 6, 4)
        # the ones still being written matter most; the latest of the finished fill what room is left
        rows = sorted(self.attempts.values(), key=lambda a: bool(a.done))[:room]
        rows.sort(key=lambda a: (len(a.name), a.name))  # s2 before s10
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        table.add_column(no_wrap=True, justify="right", style="dim")
        for a in rows:
            state = f"{a.tokens} tokens" + ("  done" if a.done == "done" else "")
            line = a.done if a.done.startswith("failed") else a.last_line
            table.add_row(a.name, Text(line, style="" if a.done else "dim"), state)
        tokens = sum(a.tokens for a in self.attempts.values())
        seconds = max(time.monotonic() - self.begun, 1e-3)
        hidden = len(self.attempts) - len(rows)
        more = f", {hidden} more not shown" if hidden else ""
        table.add_row("", Text(f"{len(self.attempts)} attempts{more}", style="dim"), f"{tokens / seconds:.0f} tokens/s")
        return table


@contextmanager
def live_view(console: Console, *, several: bool, quiet: bool = False) -> Iterator[_View]:
    """A `watch` for Compute that shows attempts as they are written. `several`: more than one at a time."""
    if quiet:
        yield _View(console)
    elif not console.is_terminal:
        view = _Lines(console)
        try:
            yield view
        finally:
            view.finish()
    elif not several:
        view = _Flow(console)
        try:
            yield view
        finally:
            view.finish()
    else:
        from rich.live import Live

        view = _Region(console)
        view.begun = time.monotonic()
        with Live(get_renderable=view.table, console=console, refresh_per_second=_REFRESH_HZ):
            yield view
