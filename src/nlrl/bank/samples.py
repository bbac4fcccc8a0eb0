"""The sample bank: every completion is stored once and served for ever.

    key = sample_key("qwen2.5-coder-0.5b@1d9614638d18", messages, "", sampling)
    await bank.put(key, {0: Draw(completion), 1: Draw(...)}, problem_id="3f0c...", model="qwen...")
    await bank.get(key, range(4))        # {0: Draw, 1: Draw}: 2 and 3 were never drawn

One SQLite file in write-ahead mode: append-only (a sample is never overwritten), safe against `kill -9`, and many
processes may draw from it at once: what one draws, the others wait for (`drawing`). Its calls run on one thread of its
own, so a slow disk never blocks the event loop. From this one mechanism come resume, replay, offline comparison on the
same samples, and no token paid for twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from nlrl.bank.claims import Claims, transaction
from nlrl.bank.former_keys import Former, former_keys
from nlrl.core import BankError, Completion, Message, Problem, Sampling
from nlrl.core.kept_files import make_folder, make_kept

_T = TypeVar("_T")
_BUSY_S = 60.0  # that another process's transaction is waited for

_SCHEMA = """
CREATE TABLE IF NOT EXISTS prompts (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, problem_id TEXT, request BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS samples (
    key TEXT NOT NULL, idx INTEGER NOT NULL, created REAL NOT NULL, draw BLOB NOT NULL, PRIMARY KEY (key, idx)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cancelled (
    key TEXT NOT NULL, idx INTEGER NOT NULL, tokens INTEGER NOT NULL, estimated INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (key, idx)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lengths (prompt TEXT PRIMARY KEY, tokens INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS problems (
    panel TEXT NOT NULL, row INTEGER NOT NULL, problem BLOB NOT NULL, PRIMARY KEY (panel, row)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS prompts_of_problem ON prompts (model, problem_id);
"""


class Draw(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recorded sample.

    completion  as the model gave it, with `prompt_tokens` always the full length of the prompt
    shared      draws of one call share one prompt evaluation (charged once per call, not per draw)
    answer      the answer as recorded elsewhere, for imported panels; None means: read it out of the text
    probes      forced answers at growing token counts, for imported panels: ((tokens, answer), ...)
    prompts     evaluations of the prompt that its call had to pay beside the first, for a server that gives fewer
                draws at once than it was asked for
    """

    completion: Completion
    shared: bool = False
    answer: str | None = None
    probes: tuple[tuple[int, str | None], ...] = ()
    prompts: int = 0


_ESTIMATED = "SELECT COUNT(*) FROM pragma_table_info('cancelled') WHERE name = 'estimated'"


class Cancelled(NamedTuple):
    """A draw that was begun and not taken: what it had generated, and how much of that no server told."""

    tokens: int
    estimated_tokens: int = 0


_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_decode_draw = msgspec.msgpack.Decoder(Draw).decode
_decode_problem = msgspec.msgpack.Decoder(Problem).decode


def sample_key(model: str, messages: Iterable[Message], prefill: str, sampling: Sampling) -> str:
    """The name of a family of draws: 32 hex digits over everything that was asked for.

    Only what is set counts, so a field added to `Sampling` later does not orphan what is already banked. What a model
    is believed to be able to do must not decide what is asked: the belief changes, and one draw would have two keys.
    """
    return _key(model, [(m.role, m.content) for m in messages], prefill, sampling)


def _key(model: str, messages: list[tuple[str, str]], prefill: str, sampling: Sampling) -> str:
    chosen = {f.name: getattr(sampling, f.name) for f in fields(Sampling)}
    chosen = {name: value for name, value in chosen.items() if value not in (None, ())}
    content = [model, messages, prefill, sorted(chosen.items())]
    # escaped to ASCII: a question read from a broken file may hold lone surrogates, and needs a key like any other
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def prompt_key(model: str, messages: Iterable[Message], prefill: str) -> str:
    """The name of a prompt, however it is sampled."""
    return sample_key(model, messages, prefill, Sampling())


def panel_key(model: str, problem: Problem) -> str:
    """The name of an imported panel's draws on one problem; independent of prompts, which are not known."""
    return hashlib.sha256(f"panel\0{model}\0{problem.id}".encode()).hexdigest()[:32]


class Bank:
    """A sample bank in one file; `Bank()` without a path lives in memory.

    Raises BankError where the file cannot be used (not a bank, no disk, no permission).
    """

    def __init__(self, path: str | Path | None = None):
        self.path = None if path is None else Path(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nlrl-bank")
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._closed = False
        self._claims: Claims | None = None
        self._former: dict[str, Former] = {}
        self._db = self._open()
        # for a bank that nobody closed; it may run on the bank's own thread, so it must not wait for that
        self._finalizer = weakref.finalize(self, _let_go, self._thread, self._db)

    def _open(self) -> sqlite3.Connection:
        try:
            if self.path is not None:
                make_folder(self.path.parent)
                make_kept(self.path)
            db = sqlite3.connect(
                self.path or ":memory:", timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                if self.path is not None:
                    _write_ahead(db)
                    db.execute("PRAGMA synchronous=NORMAL")  # safe against a killed process; only power loss can cost
                db.executescript(_SCHEMA)
                if self.path is not None:
                    self._begin_to_write(db)
            except sqlite3.Error:
                db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            self._thread.shutdown(wait=False)
            raise BankError(
                f"The sample bank {self.path} cannot be opened: {error}. "
                "Check the path and the free disk space, or name another file with --bank."
            ) from error
        return db

    def _begin_to_write(self, db: sqlite3.Connection) -> None:
        try:
            _bring_up_to_date(db)
            self._former = former_keys(db, _key)
            self._claims = Claims.of(db, self._thread)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise
            # a file that may only be read is still good for replays: an old one is seen as if it were a new one
            if not db.execute(_ESTIMATED).fetchone()[0]:
                db.execute("CREATE TEMP VIEW cancelled AS SELECT key, idx, tokens, 0 AS estimated FROM main.cancelled")

    def _call(self, work: Any, *args: Any) -> Any:
        try:
            return work(*args)
        except sqlite3.Error as error:
            raise BankError(f"The sample bank {self.path or 'in memory'} failed: {error}.") from error

    async def _run(self, work: Any, *args: Any) -> Any:
        self._must_be_open()
        if self.path is None:  # memory needs no thread: replaying a large panel asks a million times
            return self._call(work, *args)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, work, *args)

    # --- draws

    async def get(self, key: str, indices: Iterable[int]) -> dict[int, Draw]:
        """The recorded draws among `indices`."""
        return await self._run(self._get, key, list(indices))

    def _get(self, key: str, indices: list[int]) -> dict[int, Draw]:
        if not indices:
            return {}
        span, wanted = (min(indices), max(indices)), set(indices)
        rows = self._rows("SELECT idx, draw FROM samples WHERE key = ? AND idx BETWEEN ? AND ?", (key, *span))
        if key in self._former:  # before its own: most strategies drew there, and what they asked next quotes it
            query = "SELECT idx, draw FROM samples WHERE key = ? AND created < ? AND idx BETWEEN ? AND ?"
            rows += self._rows(query, (*self._former[key], *span))
        return {idx: _decode_draw(blob) for idx, blob in rows if idx in wanted}

    async def get_all(self, key: str) -> dict[int, Draw]:
        """All recorded draws of a family."""
        rows = await self._run(self._rows, "SELECT idx, draw FROM samples WHERE key = ?", (key,))
        if key in self._former:
            query = "SELECT idx, draw FROM samples WHERE key = ? AND created < ?"
            rows += await self._run(self._rows, query, tuple(self._former[key]))
        return {idx: _decode_draw(blob) for idx, blob in rows}

    async def get_all_cancelled(self, key: str) -> dict[int, Cancelled]:
        """All cancelled draws of a family."""
        return await self._run(self._all_cancelled, key)

    def _all_cancelled(self, key: str) -> dict[int, Cancelled]:
        keys = (key, self._former[key].was) if key in self._former else (key,)
        query = "SELECT idx, tokens, estimated FROM cancelled WHERE key = ?"
        return {idx: Cancelled(*counts) for k in keys for idx, *counts in self._rows(query, (k,))}

    def _rows(self, query: str, args: tuple[Any, ...]) -> list[Any]:
        return self._db.execute(query, args).fetchall()

    async def put(
        self, key: str, draws: Mapping[int, Draw], *, model: str, problem_id: str | None = None, request: Any = None
    ) -> dict[int, Draw]:
        """Record draws, all or none. What is already there stays: a sample is never replaced, and where another one
        stands, that is returned."""
        return await self._run(self._put, key, draws, model, problem_id, request)

    def _put(
        self, key: str, draws: Mapping[int, Draw], model: str, problem_id: str | None, request: Any
    ) -> dict[int, Draw]:
        now = time.time()
        rows = [(key, idx, now, _encode(draw)) for idx, draw in draws.items()]
        with transaction(self._db):
            self._db.execute(
                "INSERT OR IGNORE INTO prompts VALUES (?, ?, ?, ?)", (key, model, problem_id, _encode(request))
            )
            written = self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", rows).rowcount
        if written == len(rows):
            return {}
        return {idx: held for idx, held in self._get(key, list(draws)).items() if held != draws[idx]}

    async def put_cancelled(self, key: str, draws: Mapping[int, Cancelled]) -> None:
        """Remember what cancelled draws had generated, so that a replay charges the same."""
        await self._run(self._put_cancelled, key, draws)

    def _put_cancelled(self, key: str, draws: Mapping[int, Cancelled]) -> None:
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR IGNORE INTO cancelled (key, idx, tokens, estimated) VALUES (?, ?, ?, ?)",
                [(key, idx, *draw) for idx, draw in draws.items()],
            )

    async def get_cancelled(self, key: str, indices: Iterable[int]) -> dict[int, Cancelled]:
        """Cancelled draws among `indices`."""
        return await self._run(self._get_cancelled, key, set(indices))

    def _get_cancelled(self, key: str, indices: set[int]) -> dict[int, Cancelled]:
        return {idx: draw for idx, draw in self._all_cancelled(key).items() if idx in indices}

    async def put_length(self, prompt: str, tokens: int) -> None:
        """Remember the length of a prompt: a replay under a tight budget must cut where the live run did."""
        await self._run(self._put_length, prompt, tokens)

    def _put_length(self, prompt: str, tokens: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO lengths VALUES (?, ?)", (prompt, tokens))

    async def get_length(self, prompt: str) -> int | None:
        """The length of a prompt in tokens, if it is known."""
        rows = await self._run(self._rows, "SELECT tokens FROM lengths WHERE prompt = ?", (prompt,))
        return rows[0][0] if rows else None

    @asynccontextmanager
    async def drawing(self, key: str, indices: Iterable[int]) -> AsyncIterator[dict[int, Draw]]:
        """Held while draws of `key` are made, so that two askers, of one process or of several on one file, never pay
        for one draw twice. Yields those of `indices` that another asker has recorded meanwhile."""
        wanted = sorted(indices)
        async with AsyncExitStack() as stack:
            for index in wanted:  # ascending, so two askers can never wait for each other
                await stack.enter_async_context(self._locks.setdefault(f"{key}:{index}", asyncio.Lock()))
            if self._claims is not None:
                await stack.enter_async_context(self._claims.held(key, wanted, self._run))
            yield await self.get(key, wanted)

    # --- panels: problems with their draws, imported or for export

    async def put_problems(self, panel: str, problems: Mapping[int, Problem]) -> None:
        """Store the problems of an imported panel under their row numbers."""
        await self._run(self._put_problems, panel, problems)

    def _put_problems(self, panel: str, problems: Mapping[int, Problem]) -> None:
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO problems VALUES (?, ?, ?)",
                [(panel, row, _encode(problem)) for row, problem in problems.items()],
            )

    def problems(self, panel: str) -> list[Problem]:
        """The problems of a panel, in the order of the file."""
        rows = self._now("SELECT problem FROM problems WHERE panel = ? ORDER BY row", (panel,))
        return [_decode_problem(blob) for (blob,) in rows]

    def panels(self) -> dict[str, int]:
        """Names of the imported panels, and how many problems each has."""
        return dict(self._now("SELECT panel, COUNT(*) FROM problems GROUP BY panel"))

    def count(self) -> int:
        """Number of recorded draws."""
        return self._now("SELECT COUNT(*) FROM samples")[0][0]

    def models(self) -> dict[str, int]:
        """Number of recorded draws per model name."""
        query = "SELECT model, COUNT(*) FROM prompts JOIN samples USING (key) GROUP BY model ORDER BY model"
        return dict(self._now(query))

    def families(self, model: str) -> Iterator[tuple[str, str | None, list[Draw]]]:
        """Every family of draws of a model: (key, problem id, draws in index order)."""
        for key, problem_id in self._now("SELECT key, problem_id FROM prompts WHERE model = ?", (model,)):
            rows = self._now("SELECT draw FROM samples WHERE key = ? ORDER BY idx", (key,))
            yield key, problem_id, [_decode_draw(blob) for (blob,) in rows]

    def _now(self, query: str, args: tuple[Any, ...] = ()) -> list[Any]:
        self._must_be_open()

        if self.path is None:
            return self._call(self._rows, query, args)
        return self._thread.submit(self._call, self._rows, query, args).result()

    def _must_be_open(self) -> None:
        if self._closed:
            raise BankError(f"The sample bank {self.path or 'in memory'} is closed. Open it again to go on.")

    def close(self) -> None:
        """Write all out and release the file. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            if self._claims is not None:
                self._claims.close()
            self._thread.shutdown(wait=True)
            self._finalizer()

    def __enter__(self) -> Bank:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_ahead(db: sqlite3.Connection) -> None:
    """Into write-ahead mode. SQLite itself does not wait here for another process that opens the same new file."""
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _let_go(thread: ThreadPoolExecutor, db: sqlite3.Connection) -> None:
    thread.shutdown(wait=False)
    db.close()


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Add what version 0.1 did not write. Looked at again inside, for another process may be doing the same."""
    if not db.execute(_ESTIMATED).fetchone()[0]:
        with transaction(db):
            if not db.execute(_ESTIMATED).fetchone()[0]:
                db.execute("ALTER TABLE cancelled ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0")
