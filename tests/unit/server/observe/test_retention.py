"""Records are erased by age, and a clock that jumps does not make everything old."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from nlrl.server.observe.journal import Journal
from nlrl.server.observe.records import Record, Records
from nlrl.server.observe.retention import DAY_S, HOLD_S, Retention, Seen

NOW = 1_800_000_000.0
YEARS = 5 * 365 * DAY_S


class Clocks:
    """The clock on the wall, which can be set, and the one that cannot."""

    def __init__(self, wall: float = NOW) -> None:
        self.wall, self.ticks = wall, 1000.0

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds

    def retention(self, seen: Seen | None = None, days: float = 30) -> Retention:
        return Retention(days, seen, wall=lambda: self.wall, passed=lambda: self.ticks)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_what_is_older_than_the_retention_goes(clocks: Clocks) -> None:
    retention = clocks.retention()
    for _ in range(24 * 40):
        clocks.go(3600)
        assert retention.before() == clocks.wall - 30 * DAY_S and not retention.ahead_s


def test_a_clock_that_jumps_ahead_is_not_believed_for_a_day(clocks: Clocks) -> None:
    retention = clocks.retention()
    clocks.wall += YEARS
    for hour in range(1, 24):
        clocks.go(3600)
        assert retention.before() == NOW + hour * 3600 - 30 * DAY_S  # by the time that has really passed
        assert retention.ahead_s == YEARS
    clocks.go(3600)
    assert retention.before() == clocks.wall - 30 * DAY_S and not retention.ahead_s


def test_a_clock_that_is_set_right_again_is_believed_at_once(clocks: Clocks) -> None:
    retention = clocks.retention()
    clocks.wall += YEARS
    clocks.go(3600)
    retention.before()
    clocks.wall -= YEARS
    clocks.go(3600)
    assert retention.before() == NOW + 7200 - 30 * DAY_S and not retention.ahead_s and not retention.seen.doubted_s


def test_a_clock_that_starts_in_the_past_erases_too_little_and_never_too_much(clocks: Clocks) -> None:
    clocks.wall = 0.0  # no battery; the network sets it later
    retention = clocks.retention(Seen(NOW))
    assert retention.before() == -30 * DAY_S
    clocks.wall = NOW + 60
    assert retention.before() == NOW + 60 - 30 * DAY_S and not retention.ahead_s


def test_a_server_that_was_off_waits_a_day_or_for_a_person(clocks: Clocks) -> None:
    seen = Seen(NOW - 60 * DAY_S)
    assert clocks.retention(seen).before() == NOW - 90 * DAY_S
    assert clocks.retention(seen).before(confirmed=NOW - 100) == NOW - 30 * DAY_S
    assert clocks.retention(seen).before(confirmed=NOW - 60 * DAY_S) == NOW - 90 * DAY_S  # another time was confirmed


def test_the_day_is_counted_over_restarts(clocks: Clocks) -> None:
    seen = Seen(NOW - 60 * DAY_S)
    for _ in range(int(HOLD_S / 3600) - 1):
        retention = clocks.retention(seen)
        clocks.go(3600)
        retention.before()
        assert retention.ahead_s == 60 * DAY_S
        seen = retention.seen
    retention = clocks.retention(seen)
    clocks.go(3600)
    assert retention.before() == clocks.wall - 30 * DAY_S


def filled(path: Path) -> Path:
    with Records(path) as records:
        records.put(Record("old", time.time() - 40 * DAY_S))
        records.put(Record("new", time.time() - 60))
    return path


async def cleaned(path: Path) -> list[str]:
    """What is left after a server's first look."""
    journal = Journal(Records(path), retention_days=30)
    work = asyncio.ensure_future(journal.clean())
    await asyncio.sleep(0.05)
    work.cancel()
    journal.close()
    with Records(path) as records:
        return [record.id for record in records.each()]


def test_a_server_with_a_wrong_clock_keeps_what_is_young(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path / "requests.sqlite")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + YEARS)
    with caplog.at_level(logging.WARNING, "nlrl.server"):
        assert asyncio.run(cleaned(path)) == ["new"]  # the old one is too old by what was last seen, too
    (said,) = [record.getMessage() for record in caplog.records]
    assert (
        "1825.0 days ahead" in said
        and "1 more of them" in said
        and "nlrl data purge --older-than 30d --clock-is-right" in said
    )
    monkeypatch.setattr(time, "time", real)
    assert asyncio.run(cleaned(path)) == ["new"]


def test_a_confirmed_clock_is_believed_by_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path / "requests.sqlite")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + YEARS)
    assert asyncio.run(cleaned(path)) == ["new"]
    with Records(path) as records:
        records.confirm_clock(time.time())
    assert asyncio.run(cleaned(path)) == []
