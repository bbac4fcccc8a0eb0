"""What a server remembers of its requests: one record each, in one SQLite file.

    records = Records("requests.sqlite")
    records.put(Record(id="req_1", at=time.time(), key="-", model="auto@qwen", strategy="auto", ...))
    records.list(limit=50)                        # newest first
    records.erase(before=time.time() - 30 * 86400)
    records.erase(user="u-17")                    # all of one user: GDPR, article 17
    list(records.each(user="u-17"))               # and what is held of them: article 15
    records.mark(user="u-17")                     # hidden at once, and what is still at work of theirs is not kept

Whether a record holds texts (the question, the answer, what was tried) is decided by whoever makes it; see `journal`.
A record is written in one transaction, so a killed process leaves whole records. Many processes may use the file.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nlrl.core import UserError
from nlrl.server.observe.retention import DAY_S, Seen
from nlrl.server.sqlite_file import empty_log, open_file, transaction

_EACH_READ = 200
_SHORT_CHARS = 300
_USER_CHARS = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, key TEXT NOT NULL, user TEXT,
    failed INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL,
    head BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS marks (who TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL, doubted_s REAL NOT NULL, confirmed REAL
);
CREATE INDEX IF NOT EXISTS requests_at ON requests (at, key, prompt_tokens, completion_tokens);
CREATE INDEX IF NOT EXISTS requests_key ON requests (key, failed, prompt_tokens, completion_tokens, cost);
CREATE INDEX IF NOT EXISTS requests_user ON requests (user) WHERE user IS NOT NULL;
"""
_PUT = """
INSERT INTO requests (id, at, key, user, failed, prompt_tokens, completion_tokens, cost, head, body)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
WHERE NOT EXISTS (SELECT 1 FROM marks WHERE who IN (?11, ?12, ?13) AND at >= ?2)
ON CONFLICT (id) DO UPDATE SET failed = excluded.failed, prompt_tokens = excluded.prompt_tokens,
completion_tokens = excluded.completion_tokens, cost = excluded.cost, head = excluded.head, body = excluded.body
"""
_PATIENCE_S = 10.0  # for a gap between the writes of others
_MARKED_S = DAY_S  # that a mark is kept: longer than any request is at work, and it holds a trace of a person
_LATER = {"requests": {"erased": "INTEGER NOT NULL DEFAULT 0"}}
_SUMS = "COUNT(*), SUM(failed), SUM(prompt_tokens), SUM(completion_tokens), SUM(cost)"


class Attempt(Struct):
    """One candidate of a solve; `answer` and `text` are None where texts are not kept."""

    id: str
    tokens: int
    finish: str
    parents: tuple[str, ...] = ()
    score: float | None = None
    answer: str | None = None
    text: str | None = None
    chosen: bool = False
    error: str | None = None


class Record(Struct):
    """One request.

    at         when it came, in seconds since 1970
    key, user  the id of the API key ("-" where none are asked for), and the `user` that the client named
    state      waiting, running, done, failed, or gone (the client left)
    thumb      what a person said of the answer: 1, -1, or None
    reference  the right answer, if that person knew it
    question, answer, messages, text  None where texts are not kept
    """

    id: str
    at: float
    key: str = "-"
    user: str | None = None
    model: str = ""
    strategy: str = ""
    task: str | None = None
    state: str = "waiting"
    status: int = 0
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    estimated_tokens: int = 0
    cost: float = 0.0
    stopped: str | None = None
    confidence: float | None = None
    agreement: float | None = None
    thumb: int | None = None
    reference: str | None = None
    question: str | None = None
    answer: str | None = None
    messages: list[dict[str, str]] | None = None
    text: str | None = None
    attempts: list[Attempt] = []
    phases: dict[str, dict[str, float]] = {}
    critical_path_tokens: int | None = None
    budget: dict[str, float] = {}
    notes: list[str] = []
    error: str | None = None


class Spent(Struct):
    """Sums over requests."""

    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Records:
    """The store."""

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise UserError(f"There are no records at {self.path}. They are made by: nlrl serve --records {self.path}")
        try:
            self._db = open_file(self.path, _SCHEMA, _LATER)
            self._version = self._data_version()
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"The record file {self.path} cannot be used: {error}. Check the path.") from error

    def put(self, record: Record) -> bool:
        """Keep a record, or what it has become. False where its key or user has been erased since it came."""
        row = (
            record.id, record.at, record.key, record.user, record.state == "failed", record.prompt_tokens,
            record.completion_tokens, record.cost, _encode(in_short(record)), _encode(record),
            _mark(record.key, None), _mark(None, record.user), _mark(record.key, record.user),
        )  # fmt: skip
        return self._db.execute(_PUT, row).rowcount > 0

    def get(self, id: str) -> Record | None:
        """The record of that request."""
        row = self._db.execute("SELECT body FROM requests WHERE id = ? AND NOT erased", (id,)).fetchone()
        return _decode(row[0]) if row else None

    def list(self, *, limit: int = 50, before: str | None = None, key: str | None = None) -> list[Record]:
        """The newest ones, in short. before: only those older than this request; key: only those of this key."""
        where, values = _where(key=key)
        if before is not None:
            where += " AND n < (SELECT n FROM requests WHERE id = ?)"
            values.append(before)
        rows = self._db.execute(
            f"SELECT head FROM requests WHERE {where} AND NOT erased ORDER BY n DESC LIMIT ?", [*values, limit]
        )
        return [_decode(head) for (head,) in rows]

    def each(
        self, *, key: str | None = None, user: str | None = None, before: float | None = None, erased: bool = False
    ) -> Iterator[Record]:
        """All records that fit, oldest first; the file is not held while they are looked at.

        erased: those too that are marked as erased and not yet deleted
        """
        where, values = _where(key=key, user=user, before=before)
        where += "" if erased else " AND NOT erased"
        last = 0
        while True:
            rows = self._db.execute(
                f"SELECT n, body FROM requests WHERE {where} AND n > ? ORDER BY n LIMIT ?", [*values, last, _EACH_READ]
            ).fetchall()
            for last, body in rows:  # noqa: B007 - where the next read begins
                yield _decode(body)
            if len(rows) < _EACH_READ:
                return

    def count(self, *, key: str | None = None, user: str | None = None, before: float | None = None) -> int:
        """How many records fit."""
        where, values = _where(key=key, user=user, before=before)
        return self._db.execute(f"SELECT COUNT(*) FROM requests WHERE {where}", values).fetchone()[0]

    def erase(
        self, *, key: str | None = None, user: str | None = None, before: float | None = None, most: int | None = None
    ) -> int:
        """Delete the records that fit; returns how many. Their bytes are overwritten, in the file and beside it.

        most: no more than so many at once, so that others need not wait long
        """
        where, values = _where(key=key, user=user, before=before)
        if most is not None:
            where = f"n IN (SELECT n FROM requests WHERE {where} LIMIT ?)"
            values.append(most)
        erased = self._db.execute(f"DELETE FROM requests WHERE {where}", values).rowcount
        if erased:
            self.empty_log()
        return erased

    def empty_log(self, patience_s: float = 0.0) -> bool:
        """See `sqlite_file.empty_log`."""
        return empty_log(self._db, patience_s)

    def compact(self) -> bool:
        """Write the file anew, without the copies that SQLite has left in its pages of what was deleted (it overwrites
        what it deletes, and not what it has moved before: three files of twelve held some); as `empty_log`.
        """
        self._db.execute(f"PRAGMA busy_timeout = {60_000}")
        self._db.execute("VACUUM")
        return self.empty_log(patience_s=_PATIENCE_S)

    def mark(self, *, key: str | None = None, user: str | None = None) -> int:
        """Begin to erase a key or a user: returns how many records are hidden from here on.

        What they have at work now will not be kept either. A mark holds no name of a user, but its hash.
        """
        now = time.time()
        where, values = _where(key=key, user=user)
        with transaction(self._db):
            self._db.execute("DELETE FROM marks WHERE at < ?", (now - _MARKED_S,))
            self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (_mark(key, user), now))
            return self._db.execute(f"UPDATE requests SET erased = 1 WHERE {where}", values).rowcount

    def marked(self, *, key: str | None = None, user: str | None = None) -> bool:
        """Whether the erasure of this key or user was begun not long ago."""
        return self._db.execute("SELECT 1 FROM marks WHERE who = ?", (_mark(key, user),)).fetchone() is not None

    def hurry(self, busy_s: float) -> None:
        """Wait no longer than that for another process that writes: `sqlite3.OperationalError` then."""
        self._db.execute(f"PRAGMA busy_timeout = {round(1000 * busy_s)}")

    def changed(self) -> bool:
        """Whether another process or connection has written since this was asked last."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    def _data_version(self) -> int:
        return self._db.execute("PRAGMA data_version").fetchone()[0]

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Those among `ids` that are not here, or no more."""
        wanted = list(ids)
        marks = ",".join("?" * len(wanted))
        rows = self._db.execute(f"SELECT id FROM requests WHERE id IN ({marks}) AND NOT erased", wanted)
        return set(wanted) - {id for (id,) in rows}

    def clock(self) -> Seen | None:
        """What is known of the time at which this file was last in use; None where it holds nothing."""
        row = self._db.execute("SELECT at, doubted_s, confirmed FROM clock").fetchone()
        if row:
            return Seen(*row)
        newest = self._db.execute("SELECT MAX(at) FROM requests").fetchone()[0]  # of a file that no clock was kept in
        return None if newest is None else Seen(newest)

    def keep_clock(self, seen: Seen) -> None:
        """Remember the time; what a person has confirmed stays."""
        self._db.execute(
            "INSERT INTO clock VALUES (1, ?, ?, NULL) ON CONFLICT (one) DO UPDATE SET at = excluded.at,"
            " doubted_s = excluded.doubted_s",
            (seen.at, seen.doubted_s),
        )
        self._db.execute("DELETE FROM marks WHERE at < ?", (seen.at - _MARKED_S,))

    def confirm_clock(self, at: float) -> None:
        """A person has said that it is this time."""
        self._db.execute(
            "INSERT INTO clock VALUES (1, ?, 0, ?) ON CONFLICT (one) DO UPDATE SET confirmed = excluded.confirmed",
            (at, at),
        )

    def forget_texts(self, *, before: float | None = None) -> int:
        """Take the texts out of the records that fit, and leave their numbers; returns how many had any."""
        changed = 0
        for record in self.each(before=before):
            bare = without_texts(record)
            if bare != record:
                self.put(bare)
                changed += 1
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return changed

    def totals(self, key: str | None = None) -> Spent:
        """Over all records, or those of a key."""
        where, values = _where(key=key)
        return _spent(self._sums(f"SELECT {_SUMS} FROM requests WHERE {where}", values)[0])

    def by_key(self, key: str | None = None) -> dict[str, Spent]:
        """The sums of every key that has asked."""
        where, values = _where(key=key)
        rows = self._sums(f"SELECT key, {_SUMS} FROM requests WHERE {where} GROUP BY key ORDER BY key", values)
        return {row[0]: _spent(row[1:]) for row in rows}

    def by_day(self, key: str | None = None, days: int = 30) -> list[dict[str, Any]]:
        """Requests and tokens of each key on each of the last days (UTC)."""
        where, values = _where(key=key)
        rows = self._sums(
            "SELECT date(at, 'unixepoch') AS day, key, COUNT(*), SUM(prompt_tokens + completion_tokens) FROM requests"
            f" WHERE {where} AND at > ? GROUP BY day, key ORDER BY day, key",
            [*values, time.time() - days * 86400],
        )
        return [dict(zip(("day", "key", "requests", "tokens"), row, strict=True)) for row in rows]

    def _sums(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """Over a million records this takes a while: with a connection of its own, in a thread, it stops nobody."""
        with closing(sqlite3.connect(self.path, timeout=5)) as beside:
            return beside.execute(query, values).fetchall()

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kept_user(name: str) -> str:
    """A user's name as records hold it: of bounded length, and writable, so half an emoji is replaced."""
    cut = name if len(name) <= _USER_CHARS else name[:_USER_CHARS] + "…"
    return cut.encode("utf-8", "replace").decode()


def in_short(record: Record) -> Record:
    """The record without what makes it long."""
    return msgspec.structs.replace(
        record, question=_cut(record.question), answer=_cut(record.answer), reference=_cut(record.reference),
        messages=None, text=None, attempts=[], phases={}, critical_path_tokens=None, budget={}, notes=[],
        error=_cut(record.error),
    )  # fmt: skip


def without_texts(record: Record) -> Record:
    """The record with its numbers alone: what an upstream says of a failure may quote what was asked."""
    bare = [msgspec.structs.replace(attempt, answer=None, text=None, error=None) for attempt in record.attempts]
    return msgspec.structs.replace(
        record, question=None, answer=None, reference=None, messages=None, text=None, attempts=bare, notes=[],
        error=None,
    )  # fmt: skip


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _SHORT_CHARS else text[:_SHORT_CHARS] + "…"


def _where(*, key: str | None = None, user: str | None = None, before: float | None = None) -> tuple[str, list[Any]]:
    parts = [("key = ?", key), ("user = ?", user), ("at < ?", before)]
    told = [(text, value) for text, value in parts if value is not None]
    return " AND ".join(text for text, _ in told) or "1", [value for _, value in told]


def _spent(row: tuple[Any, ...]) -> Spent:
    return Spent(*(value or 0 for value in row))


def _mark(key: str | None, user: str | None) -> str:
    """Under which name the erasure of a key, of a user, or of the user of a key is remembered."""
    hashed = "" if user is None else hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    return f"{key or ''} {hashed}"
