"""Two clocks over one exchange: nothing has come for too long, or it has taken too long in all.

    async with Watch(read_s=120, try_s=600) as watch:      # raises TimeoutError
        async for chunk in body:
            watch.alive()

Why not the HTTP client's own read timeout: when this process was kept from running for a while (a busy machine), the
timer and the bytes that came meanwhile are due at the same moment, and a plain timer wins. The bytes would be thrown
away, though the server has counted them. Here a clock that has run out is looked at again, some rounds of the event
loop later, and what has come in between counts.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

_LOOKS = 5  # rounds of the event loop before a clock is believed
_LOOK_S = 0.01


class Watch:
    """Cancels the body of its `async with` when a clock runs out. Times in seconds."""

    def __init__(self, *, read_s: float, try_s: float) -> None:
        self._read_s = read_s
        self._try_s = try_s
        self._timeout = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None
        self._looks = 0

    async def __aenter__(self) -> Watch:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._end = self._last + self._try_s
        await self._timeout.__aenter__()
        self._look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def alive(self) -> None:
        """Something came."""
        self._last = self._loop.time()

    def end_within(self, seconds: float) -> None:
        """Shorten what is left of the whole."""
        self._end = min(self._end, self._loop.time() + seconds)
        if self._handle is not None:
            self._handle.cancel()
        self._look()

    @property
    def silent(self) -> bool:
        """Whether it was the silence that ended it, and not the whole."""
        return self._last + self._read_s < self._end

    def _look(self) -> None:
        due = min(self._last + self._read_s, self._end)
        if self._loop.time() < due:
            self._looks = 0
            self._handle = self._loop.call_at(due, self._look)
        elif self._looks < _LOOKS:
            self._looks += 1
            self._handle = self._loop.call_later(_LOOK_S, self._look)
        else:
            self._timeout.reschedule(self._loop.time())
