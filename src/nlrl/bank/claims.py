"""Claims: which process draws what, so that several processes on one bank never pay for one draw twice.

    async with claims.held(key, [4, 5, 6]):     # waits while another process draws one of them
        ...                                     # look again, draw and record what is missing

A claim is a row of the bank for each draw, with its owner and a moment at which it lapses. While its owner lives, a
thread moves that moment on, whatever the event loop is busy with; after `kill -9` others wait a few seconds at most.
A range is claimed in one transaction, all or nothing: who holds a claim waits for nobody, so there is no deadlock.
Moments are those of `time.monotonic`, which all processes of a machine share and no change of the clock moves; what
cannot be a moment of this boot counts as lapsed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_LAPSE_S = 5.0  # after its owner's last sign of life
_BEAT_S = 1.0  # between two signs of life; four may come late
_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.01, 0.25  # between two looks at what another process has claimed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (
    key TEXT NOT NULL, idx INTEGER NOT NULL, owner TEXT NOT NULL, lapses REAL NOT NULL, PRIMARY KEY (key, idx)
) WITHOUT ROWID;
"""
Run = Callable[..., Awaitable[Any]]
_Span = tuple[str, int, int, str]  # key, first and last index, owner
_LIVE = "lapses > ? AND lapses <= ?"


class Claims:
    """The claims of one open bank, on the thread that all its calls run on."""

    def __init__(self, db: sqlite3.Connection, thread: ThreadPoolExecutor):
        self._db, self._thread = db, thread
        self._held: dict[str, tuple[str, int, int]] = {}  # by owner: key, first and last index
        self._me = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._number = itertools.count()
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None

    @classmethod
    def of(cls, db: sqlite3.Connection, thread: ThreadPoolExecutor) -> Claims:
        """Those of a bank just opened. What killed processes had left is forgotten."""
        db.execute(_SCHEMA)
        lapsed = f"FROM claims WHERE NOT ({_LIVE})"
        if db.execute(f"SELECT 1 {lapsed} LIMIT 1", _live(time.monotonic())).fetchone():
            db.execute(f"DELETE {lapsed}", _live(time.monotonic()))
        return cls(db, thread)

    @asynccontextmanager
    async def held(self, key: str, indices: Sequence[int], run: Run) -> AsyncIterator[None]:
        """Held from when no other process draws any of `indices` that the bank has not got.

        run  does one piece of work on the bank's thread, and raises what the bank raises
        """
        owner = f"{self._me}-{next(self._number)}"
        with self._guard:
            self._held[owner] = (key, min(indices), max(indices))
        self._keep_beating()
        pause = _FIRST_PAUSE_S
        try:
            while not await run(self._take, key, list(indices), owner):
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(1.5 * pause, _MOST_PAUSE_S)
            yield
        finally:
            with self._guard:
                span = self._held.pop(owner, None)
            if span is not None:
                # not awaited: it follows whatever was sent to the bank's thread before, a cancelled `_take` included
                self._send(self._drop, [(*span, owner)])

    def _take(self, key: str, indices: list[int], owner: str) -> bool:
        """Claim those of `indices` that are not recorded, unless another owner has one of them."""
        if self._blocked(key, indices, owner):  # a look takes no lock
            return False
        with transaction(self._db):
            if self._blocked(key, indices, owner):
                return False
            recorded = self._recorded(key, indices)
            lapses = time.monotonic() + _LAPSE_S
            rows = [(key, index, owner, lapses) for index in indices if index not in recorded]
            self._db.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", rows)
        return True

    def _blocked(self, key: str, indices: list[int], owner: str) -> bool:
        rows = self._db.execute(
            f"SELECT idx FROM claims WHERE key = ? AND idx BETWEEN ? AND ? AND owner != ? AND {_LIVE}",
            (key, min(indices), max(indices), owner, *_live(time.monotonic())),
        ).fetchall()
        wanted = {index for (index,) in rows}.intersection(indices)
        return bool(wanted) and not wanted <= self._recorded(key, indices)

    def _recorded(self, key: str, indices: list[int]) -> set[int]:
        span = (key, min(indices), max(indices))
        return {i for (i,) in self._db.execute("SELECT idx FROM samples WHERE key = ? AND idx BETWEEN ? AND ?", span)}

    def _drop(self, spans: list[_Span]) -> None:
        with transaction(self._db):
            self._db.executemany("DELETE FROM claims WHERE key = ? AND idx BETWEEN ? AND ? AND owner = ?", spans)

    # --- signs of life

    def _keep_beating(self) -> None:
        with self._guard:
            if self._timer is None and self._held:
                self._timer = threading.Timer(_BEAT_S, self._beat)
                self._timer.daemon = True
                self._timer.start()

    def _beat(self) -> None:
        with self._guard:
            self._timer = None
            spans = [(*span, owner) for owner, span in self._held.items()]
        if spans and self._send(self._prolong, spans):
            self._keep_beating()

    def _prolong(self, spans: list[_Span]) -> None:
        with transaction(self._db):
            lapses = time.monotonic() + _LAPSE_S
            self._db.executemany(
                "UPDATE claims SET lapses = ? WHERE key = ? AND idx BETWEEN ? AND ? AND owner = ?",
                [(lapses, *span) for span in spans],
            )

    def _send(self, work: Callable[[list[_Span]], None], spans: list[_Span]) -> bool:
        """Whether the bank is still open. Nobody waits for the work: where it fails, the claims lapse."""
        try:
            self._thread.submit(work, spans)
        except RuntimeError:  # the bank was closed
            return False
        return True

    def close(self) -> None:
        """Let go of everything, before the bank's thread ends."""
        with self._guard:
            spans = [(*span, owner) for owner, span in self._held.items()]
            self._held.clear()
            if self._timer is not None:
                self._timer.cancel()
        if spans:
            self._send(self._drop, spans)


def _live(now: float) -> tuple[float, float]:
    """Between which moments a claim lapses that is in force. Nobody claims for longer than _LAPSE_S from now; as much
    again is for claims made since `now` was read, and whatever lapses later was made before the machine started."""
    return now, now + 2 * _LAPSE_S


@dataclass
class transaction:
    """All that is done within it, or nothing; nobody else writes meanwhile."""

    db: sqlite3.Connection

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.db.execute("COMMIT" if kind is None else "ROLLBACK")
