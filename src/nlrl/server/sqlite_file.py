"""A SQLite file of the server: for its owner alone, in write-ahead mode, and with the columns that came later.

db = open_file(path, schema, later={"requests": {"erased": "INTEGER NOT NULL DEFAULT 0"}})
with transaction(db):
    db.execute(...)
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nlrl.core.kept_files import make_kept

_GAP_S = 0.02  # between two looks for a gap


def open_file(path: Path, schema: str, later: Mapping[str, Mapping[str, str]]) -> sqlite3.Connection:
    """The open file. later: by table, the columns that version 0.1 did not write. Raises sqlite3.Error, OSError."""
    make_kept(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")  # survives a killed process, not always a power cut
    db.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only unlinked
    db.executescript(schema)
    for table, columns in later.items():
        if _missing(db, table, columns):
            with transaction(db):  # looked at again inside, for another process may be doing the same
                for name in _missing(db, table, columns):
                    db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")
    return db


def empty_log(db: sqlite3.Connection, patience_s: float = 0.0) -> bool:
    """Bring what stands beside the file (-wal) into it; False while another process reads what it held.

    patience_s  to try again for: a writer next door that never rests leaves a gap sooner or later
    """
    end = time.monotonic() + patience_s
    while db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() >= end:
            return False
        time.sleep(_GAP_S)
    return True


def _missing(db: sqlite3.Connection, table: str, columns: Mapping[str, str]) -> list[str]:
    there = {name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    return [name for name in columns if name not in there]


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is done within it, or nothing; nobody else writes meanwhile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
