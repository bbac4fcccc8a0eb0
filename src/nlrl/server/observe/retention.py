"""What is too old to be kept, told by a clock that may jump.

    retention = Retention(days=30, seen=records.clock())
    before = retention.before()        # erase what is older; call it again from time to time

A clock that is set years ahead for an hour would make every record too old, and what is erased does not come back. So
the time since the last look is measured by a second clock, which nobody can set. Where the two disagree by more than a
day, erasing goes by the earlier of them, for a day: time enough to set the clock right. Then, or when a person has
confirmed the new time, it is believed. A server that was off for weeks looks the same, and waits that day too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

DAY_S = 86_400.0
JUMP_S = DAY_S  # that the clock may be off before it is doubted: summer time and leap seconds are far below
HOLD_S = DAY_S  # of the second clock, for which a doubted clock has to wait


def passed() -> float:
    """Seconds of a clock that nobody can set; it goes on while the machine sleeps, where the system has such a one."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Seen(Struct):
    """What a store remembers of the clock: the time last believed, for how long another has been doubted, and the time
    that a person confirmed. Seconds since 1970 and seconds."""

    at: float
    doubted_s: float = 0.0
    confirmed: float | None = None


class Retention:
    """days: after which records are too old; seen: what is remembered from an earlier process, if anything."""

    def __init__(
        self,
        days: float,
        seen: Seen | None = None,
        wall: Callable[[], float] = lambda: time.time(),  # looked up anew each time: tests set the clock
        passed: Callable[[], float] = passed,
    ) -> None:
        self.days = days
        self._wall, self._passed = wall, passed
        self._looked = passed()
        self.seen = seen or Seen(wall())
        self.ahead_s = 0.0  # how far the clock is from what is believed; 0 where it is believed itself

    def before(self, confirmed: float | None = None) -> float:
        """The time before which records are to be erased. confirmed: the time that a person has said is right."""
        wall, now = self._wall(), self._passed()
        since = now - self._looked
        expected, ahead = self.seen.at + since, wall - self.seen.at - since
        doubted_s = self.seen.doubted_s + since
        believed = (
            abs(ahead) <= JUMP_S or doubted_s >= HOLD_S or (confirmed is not None and 0 <= wall - confirmed <= JUMP_S)
        )
        self._looked = now
        self.ahead_s = 0.0 if believed else ahead
        self.seen = Seen(wall if believed else expected, 0.0 if believed else doubted_s, confirmed)
        return min(wall, self.seen.at) - self.days * DAY_S
