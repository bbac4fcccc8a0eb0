"""The purse's arithmetic: reserve before you spend, then settle what it really cost.

    ledger = Ledger(Budget(tokens=1000))
    hold = ledger.reserve(Spend(calls=4, prompt_tokens=60, completion_tokens=800))   # an upper bound
    ledger.settle(hold, Phase.SAMPLE, Spend(calls=4, prompt_tokens=60, completion_tokens=412))
    ledger.remaining.tokens == 528

A child (`child`) has a slice of its own and charges its parent too, so a budget holds over any number of children in
flight. Not thread-safe: one solve lives in one event loop.

Two accounts are kept. `usage` is what the answer costs: a sample that is served from the bank is charged as if it
had just been drawn, so an interrupted and resumed run has the same ledger as a straight one. `paid` is what this
process really generated, which is what a server counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from nlrl.core import NOTHING, Budget, Phase, Spend, Stopped, Usage

_LIMITS: dict[str, tuple[Stopped, Callable[[Spend], float]]] = {
    "tokens": (Stopped.TOKENS, lambda s: s.tokens),
    "calls": (Stopped.CALLS, lambda s: s.calls),
    "flops": (Stopped.FLOPS, lambda s: s.flops),
    "cost": (Stopped.COST, lambda s: s.cost),
}


@dataclass(eq=False)
class Hold:
    """A reservation: an upper bound on what is about to be spent."""

    bound: Spend
    open: bool = True


@dataclass
class Ledger:
    """What was spent and what is reserved under one budget. `on_spend` is called after every settlement.

    deadline  by `time.monotonic`, when the budget's seconds end; None for no end
    """

    budget: Budget = field(default_factory=Budget)
    parent: Ledger | None = None
    deadline: float | None = None
    on_spend: Callable[[Phase, Spend], None] | None = None
    phases: dict[Phase, Spend] = field(default_factory=dict)
    paid: Spend = NOTHING
    total: Spend = NOTHING  # everything settled so far
    peak_tokens: int = 0  # the most that was ever spent and held: under a budget of as many, nothing would change
    _held: Spend = NOTHING  # the sum of the open reservations
    _open: int = 0  # their number
    _waiters: deque[asyncio.Future[None]] = field(default_factory=deque)

    def child(self, budget: Budget) -> Ledger:
        """A ledger under this one with limits of its own; its seconds begin now."""
        own = None if budget.seconds is None else time.monotonic() + budget.seconds
        ends = [end for end in (self.deadline, own) if end is not None]
        return Ledger(budget, parent=self, deadline=min(ends, default=None))

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline; None where there is none."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    @property
    def in_flight(self) -> bool:
        """Whether reservations are open here or above, which may still give something back."""
        return self._open > 0 or (self.parent is not None and self.parent.in_flight)

    def usage(self, *, critical_path_tokens: int = 0, seconds: float = 0.0) -> Usage:
        """The account so far."""
        return Usage(self.total, dict(self.phases), critical_path_tokens, seconds)

    def blocker(self, bound: Spend) -> Stopped | None:
        """The first limit that `bound` would break, here or above; None if it fits."""
        held = self.total + self._held + bound
        for name, (reason, amount) in _LIMITS.items():
            limit = getattr(self.budget, name)
            if limit is not None and amount(held) > limit:
                return reason
        return self.parent.blocker(bound) if self.parent else None

    def reserve(self, bound: Spend) -> Hold:
        """Set `bound` aside. The caller has asked `blocker` in the same step of the event loop."""
        hold = Hold(bound)
        ledger: Ledger | None = self
        while ledger is not None:
            ledger._held += bound
            ledger._open += 1
            ledger.peak_tokens = max(ledger.peak_tokens, ledger.total.tokens + ledger._held.tokens)
            ledger._wake()  # there may be room for one more
            ledger = ledger.parent
        return hold

    def extend(self, hold: Hold, more: Spend) -> bool:
        """Set `more` aside too, for something that is about to be spent besides; False if it does not fit."""
        if not hold.open or self.blocker(more) is not None:
            return False
        hold.bound += more
        ledger: Ledger | None = self
        while ledger is not None:
            ledger._held += more
            ledger.peak_tokens = max(ledger.peak_tokens, ledger.total.tokens + ledger._held.tokens)
            ledger = ledger.parent
        return True

    def settle(self, hold: Hold, phase: Phase, actual: Spend, paid: Spend | None = None) -> None:
        """Replace a reservation by what it really cost; the difference is free again."""
        if not hold.open:
            return
        hold.open = False
        ledger: Ledger | None = self
        while ledger is not None:
            ledger._open -= 1
            ledger._held = ledger._held - hold.bound if ledger._open else NOTHING  # no float dust when all is settled
            ledger.phases[phase] = ledger.phases.get(phase, NOTHING) + actual
            ledger.total += actual
            ledger.paid += actual if paid is None else paid
            ledger._wake()
            if ledger.on_spend:
                ledger.on_spend(phase, actual)
            ledger = ledger.parent

    async def freed(self) -> None:
        """Wait until some open reservation, here or above, has been settled."""
        ledger = self
        while not ledger._open and ledger.parent is not None:
            ledger = ledger.parent
        waiter = asyncio.get_running_loop().create_future()
        ledger._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in ledger._waiters:
                ledger._waiters.remove(waiter)

    def _wake(self) -> None:
        """Let the first waiter look again; all of them, when nothing is in flight that would wake them later.

        One at a time: a thousand waiters that all look after each settlement would cost a million looks.
        """
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                if self._open:
                    return

    @property
    def remaining(self) -> Budget:
        """What may still be reserved, and the seconds that are left; None where there is no limit."""
        held = self.total + self._held
        left: dict[str, float | None] = {"seconds": self.seconds_left}
        for name, (_, amount) in _LIMITS.items():
            limit = getattr(self.budget, name)
            left[name] = None if limit is None else max(limit - amount(held), 0)
        if self.parent:
            for f in fields(Budget):
                above, here = getattr(self.parent.remaining, f.name), left.get(f.name)
                if above is not None:
                    left[f.name] = above if here is None else min(above, here)
        return Budget(**left)  # type: ignore[arg-type]  # tokens and calls are whole: they come out of whole ones
