"""What is going on, and what has been: every request from its arrival to its record, for the dashboard.

    journal = Journal(Records("requests.sqlite"), texts="live")
    with journal.request(call, ask, caller.id, ledger) as trace:      # on the list at once, as waiting
        trace.admitted(); trace.solved(solved)
    async for event in journal.feed(key=None): ...        # (name, data), as things happen

Texts are prompts, gists and answers. "none": only numbers are kept. "live": texts of the last requests are held in
memory and are gone with the process. "keep": they are written to the record file too. A record is written before the
last byte of its answer is sent: what a client has seen end survives a killed server.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import msgspec

from nlrl.compute import Ledger
from nlrl.server.api.ask import Ask
from nlrl.server.http.call import Call, ClientGone
from nlrl.server.http.errors import ApiError, as_api_error
from nlrl.server.observe.recent import MOST, Recent
from nlrl.server.observe.records import Record, Records, in_short, without_texts
from nlrl.server.observe.retention import DAY_S, Retention
from nlrl.server.observe.trace import Trace

Texts = Literal["none", "live", "keep"]
Event = tuple[str, dict[str, Any]]

_log = logging.getLogger("nlrl.server")
_MOST_CHARS = {"none": 0, "live": 20_000, "keep": 1_000_000}  # of one text
_MOST_EVENTS = 2000  # that wait for a slow reader; then it loses gists, and at last its connection
_AT_ONCE = 200  # records that are deleted before others have their turn
_CLEAN_S = 3600.0
_TICK_S = 1.0
_LAST_S = 5.0  # the same when the server ends
_BUSY_S = 0.25  # that an answer waits for another process that writes the file
_DETAILS = ("messages", "text", "attempts", "phases", "critical_path_tokens", "budget", "notes", "error")


class Journal:
    """All requests of one server. retention_days: after which records are deleted, None for never."""

    def __init__(
        self, records: Records | None = None, texts: Texts = "none", retention_days: float | None = None
    ) -> None:
        self.texts = texts
        self._memory = Recent()
        self._file = records
        self._late: dict[str, Record] = {}  # not in the file yet: another process holds it, or the disk is full
        if records is not None:
            records.hurry(_BUSY_S)
        seen = records.clock() if records is not None else None
        self.retention = None if retention_days is None else Retention(retention_days, seen)
        self._warned = False
        self._open: dict[str, Trace] = {}
        self._feeds: set[_Feed] = set()
        self._closed = False

    # --- writing

    @contextmanager
    def request(self, call: Call, ask: Ask, key: str, ledger: Ledger) -> Iterator[Trace]:
        """Around the work for a request that was understood; it may still have to wait. ledger: what it spends."""
        trace = Trace(
            call, ask, key, ledger, _MOST_CHARS[self.texts], write=self.write, shown=self._publish, gist=self.gist
        )
        self._open[call.id] = trace
        self._publish(trace.record)
        try:
            yield trace
        except (ClientGone, asyncio.CancelledError):
            raise
        except Exception as error:
            answer = as_api_error(error)
            trace.failed(answer or ApiError(500, "This was a bug in the server."))
            raise
        finally:
            del self._open[call.id]
            trace.ended()

    def watched(self, key: str) -> bool:
        """Whether somebody is looking who may see this key's gists."""
        return self.texts != "none" and any(feed.key in (None, key) for feed in self._feeds)

    def write(self, record: Record) -> None:
        """Keep a record, or what it has become."""
        self._keep(record)
        self._publish(record)

    def _keep(self, record: Record) -> None:
        if self._file is not None:
            kept = record if self.texts == "keep" else without_texts(record)
            try:
                if not self._file.put(kept):
                    self._memory.forget([record.id])  # erased while it was at work
                    return
            except sqlite3.Error as error:  # a full disk ends no answer
                _log.warning("The record file %s failed: %s", self._file.path, error)
                self._hold(kept)
        self._memory.put(without_texts(record) if self.texts == "none" else record)

    def gist(self, record: Record, attempt: str, line: str) -> None:
        """A line was written."""
        self._send("gist", {"id": record.id, "attempt": attempt, "text": line}, record.key)

    def label(self, id: str, thumb: int | None, reference: str | None = None) -> Record | None:
        """A person has judged an answer; None if there is no such request."""
        record = self.get(id)
        if record is None:
            return None
        record = msgspec.structs.replace(record, thumb=thumb, reference=reference)
        if (trace := self._open.get(id)) is not None:
            trace.record = record
        else:
            self._keep(record)
        self._publish(record)
        return record

    # --- reading

    def get(self, id: str) -> Record | None:
        """A request, at work or over; with its texts as long as they are there."""
        if (trace := self._open.get(id)) is not None:
            return trace.now()
        stored = (self._file or self._memory).get(id)  # what was erased from the file is not to be seen here either
        return stored and (self._memory.get(id) or stored)

    def list(self, *, limit: int, before: str | None = None, key: str | None = None) -> list[Record]:
        """Records in short, newest first; those at work come before all others."""
        at_work = [t.now() for t in reversed(self._open.values()) if key in (None, t.record.key)]
        places = [record.id for record in at_work]
        if before in places:
            at_work, before = at_work[places.index(before) + 1 :], None
        elif before is not None:
            at_work = []
        store = self._file or self._memory
        ended = store.list(limit=limit + len(places), before=before, key=key)  # some of them may be at work still
        recent = [self._memory.get(r.id) or r for r in ended if r.id not in places]
        return [in_short(record) for record in (*at_work, *recent)][:limit]

    @property
    def recorded(self) -> bool:
        """Whether records outlive this process."""
        return self._file is not None

    @property
    def store(self) -> Records | Recent:
        """Where sums are taken from."""
        return self._file or self._memory

    async def feed(self, key: str | None) -> AsyncGenerator[Event | None, None]:
        """Events as they happen, of one key or (None) of all; None now and then, so that a dead connection shows."""
        feed = _Feed(key)
        self._feeds.add(feed)
        try:
            while not self._closed and not feed.lost:
                try:
                    async with asyncio.timeout(_TICK_S):
                        yield await feed.events.get()
                except TimeoutError:
                    yield None
        finally:
            self._feeds.discard(feed)

    def close_feeds(self) -> None:
        """End all feeds, so that a server that drains need not wait for those who look on."""
        self._closed = True
        for feed in self._feeds:
            with suppress(asyncio.QueueFull):
                feed.events.put_nowait(None)

    async def clean(self) -> None:
        """Delete what is older than the retention, now and every hour."""
        while self.retention is not None:
            if self._file is None:
                self._memory.erase(before=self.retention.before())
            else:
                with suppress(sqlite3.Error):  # busy: in an hour
                    await self._clean_file(self._file, self.retention)
            await asyncio.sleep(_CLEAN_S)

    async def follow(self) -> None:
        """Each second: write what could not be written, and forget what another process has erased from the file."""
        while self._file is not None:
            await asyncio.sleep(_TICK_S)
            with suppress(sqlite3.Error):  # busy: a second later
                for id, record in list(self._late.items()):
                    if not self._file.put(record):
                        self._memory.forget([id])
                    del self._late[id]
                if self._file.changed():
                    self._memory.forget(self._file.missing(self._memory.ids()))

    def _hold(self, record: Record) -> None:
        """Try again later: a file is written anew for seconds when somebody is erased from it."""
        self._late[record.id] = record
        if len(self._late) > MOST:
            del self._late[next(iter(self._late))]

    async def _clean_file(self, file: Records, retention: Retention) -> None:
        seen = file.clock()
        before = retention.before(confirmed=seen.confirmed if seen else None)
        file.keep_clock(retention.seen)
        self._memory.erase(before=before)
        young = file.count(before=time.time() - retention.days * DAY_S) - file.count(before=before)
        if retention.ahead_s and young and not self._warned:
            _log.warning(
                "The clock is %.1f days ahead of the time since these records were last in use. By it %d more of them "
                "are older than --retention; they are kept for a day, in case it is wrong: then set it. If it is "
                "right, nothing need be done, and they can be deleted at once by: "
                "nlrl data purge --older-than %gd --clock-is-right --records %s",
                retention.ahead_s / DAY_S, young, retention.days, file.path,
            )  # fmt: skip
        self._warned = bool(retention.ahead_s and young)
        for _ in range(file.count(before=before) // _AT_ONCE + 1):
            file.erase(before=before, most=_AT_ONCE)
            await asyncio.sleep(0)

    def close(self) -> None:
        """Write what is left to write, and release the file."""
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.hurry(_LAST_S)
                for record in self._late.values():
                    self._file.put(record)
            self._file.close()

    def _publish(self, record: Record) -> None:
        if self._feeds:
            self._send("request", summary(record), record.key)

    def _send(self, name: str, data: dict[str, Any], key: str) -> None:
        for feed in self._feeds:
            if feed.key in (None, key):
                feed.put((name, data))


class _Feed:
    def __init__(self, key: str | None) -> None:
        self.key = key
        self.events: asyncio.Queue[Event | None] = asyncio.Queue(2 * _MOST_EVENTS)
        self.lost = False

    def put(self, event: Event) -> None:
        if event[0] == "gist" and self.events.qsize() > _MOST_EVENTS:
            return
        try:
            self.events.put_nowait(event)
        except asyncio.QueueFull:  # it asks anew, and then has the whole state
            self.lost = True


def summary(record: Record) -> dict[str, Any]:
    """The fields of a record in short."""
    short = in_short(record)
    return {name: getattr(short, name) for name in Record.__struct_fields__ if name not in _DETAILS}
