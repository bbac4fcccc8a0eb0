"""How many requests one server gets at a time: additive increase, multiplicative decrease.

    async with limit.slot() as ticket:
        ...                                  # one HTTP exchange
        limit.succeeded(ticket)              # +1 per round of successes
        limit.overloaded(ticket, pause_s=2)  # half, once per round; nobody starts for 2 s

The rule of TCP congestion control (Chiu and Jain 1989): it finds a server's capacity without being told, and shares it
fairly with other clients. All requests of one event loop to one server go through one `AdaptiveLimit`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticket:
    """Permission for one request. `round` says which halving it came after."""

    round: int


class AdaptiveLimit:
    """At most `level` requests in flight, 1 <= level <= most. Starts at `most`."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        if most < 1:
            raise ValueError(f"max_concurrency must be at least 1, got {most}")
        self.most = most
        self.level = float(most)
        self.in_flight = 0
        self._round = 0
        self._resume_at = 0.0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[Ticket]:
        """Wait for a place and hold it. `urgent` is for retries: they go before those who have not begun."""
        await self._enter(urgent)
        try:
            yield Ticket(self._round)
        finally:
            self.in_flight -= 1
            self._admit()

    def succeeded(self, ticket: Ticket) -> None:
        """The server coped: grow by one place per `level` successes."""
        if ticket.round == self._round:
            self.level = min(float(self.most), self.level + 1.0 / self.level)

    def overloaded(self, ticket: Ticket, pause_s: float = 0.0) -> None:
        """The server asked for less. Requests sent before the last halving say nothing new: they are not counted."""
        if ticket.round == self._round:
            self.level = max(1.0, self.level / 2.0)
            self._round += 1
        self._resume_at = max(self._resume_at, self._clock() + pause_s)

    def lower(self, most: int) -> None:
        """Another user of this server wants it treated more gently."""
        self.most = min(self.most, max(1, most))
        self.level = min(self.level, float(self.most))

    async def _enter(self, urgent: bool) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._urgent if urgent else self._waiting
        queue.append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # admitted and cancelled in the same instant
                self.in_flight -= 1
            elif place in queue:
                queue.remove(place)
            self._admit()
            raise

    def _admit(self) -> None:
        if (wait := self._resume_at - self._clock()) > 0:
            if self._alarm is None and (self._urgent or self._waiting):
                self._alarm = asyncio.get_running_loop().call_later(wait, self._wake)
            return
        while self.in_flight < int(self.level) and (queue := self._urgent or self._waiting):
            place = queue.popleft()
            if not place.done():
                place.set_result(None)
                self.in_flight += 1

    def _wake(self) -> None:
        self._alarm = None
        self._admit()
