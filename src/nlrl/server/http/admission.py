"""How many requests are worked on at a time, and who is next.

    async with admission.place(caller.id):      # ApiError 429 if too many wait already
        ...

Callers take turns: one that sends a thousand requests at once does not keep another one's single request waiting
behind them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nlrl.server.http.errors import ApiError


class Admission:
    """At most `running` at work and `waiting` in the queue."""

    def __init__(self, running: int = 256, waiting: int = 1024) -> None:
        self.most_running, self.most_waiting = running, waiting
        self.running = self.waiting = 0
        self.mean_s = 1.0  # how long a request takes, over the last few dozen
        self._turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator[None]:
        """Wait for a place and hold it. Raises ApiError 429 at once if the queue is full."""
        if self.running < self.most_running and not self.waiting:
            self.running += 1
        else:
            await self._wait(caller)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.mean_s += (time.monotonic() - begun - self.mean_s) / 32
            self.running -= 1
            self._next()

    async def _wait(self, caller: str) -> None:
        if self.waiting >= self.most_waiting:
            wait = min(60.0, max(1.0, self.mean_s * (self.waiting + 1) / self.most_running))
            raise ApiError(
                429,
                f"{self.waiting} requests are waiting already, the most this server keeps. Try again in {wait:.0f} s.",
                code="queue_full",
                retry_after_s=wait,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(caller, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            queue = self._turns.get(caller, deque())
            if turn in queue:
                queue.remove(turn)
                self.waiting -= 1
                if not queue:
                    del self._turns[caller]
            elif not turn.cancelled():  # admitted and cancelled in the same instant
                self.running -= 1
            self._next()
            raise

    def _next(self) -> None:
        while self.running < self.most_running and self._turns:
            caller, queue = self._turns.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._turns[caller] = queue  # to the end: the others have their turn first
            self.waiting -= 1
            if not turn.cancelled():
                self.running += 1
                turn.set_result(None)
