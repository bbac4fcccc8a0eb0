"""API keys in one SQLite file. The file holds no key, only the SHA-256 of each.

    store = KeyStore("keys.sqlite")
    key, secret = store.create("alice", scopes=("chat",), tokens=1_000_000, per_minute=60)
    secret                          # 'nlrl_3f0c9a1e_k9X...': shown once, to be handed to alice
    store.find(secret)              # Key(id='3f0c9a1e', name='alice', ...), None once it is revoked
    store.revoke("3f0c9a1e")

A key is 256 random bits, so one fast hash is enough: there is nothing to guess that a slow hash would slow down. Keys
are found by their public id and compared in constant time, hash with hash: time does not tell how much of one is right.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nlrl.core import Budget, UnknownName, UserError
from nlrl.server.sqlite_file import open_file, transaction

SCOPES = ("chat", "read", "admin")  # ask models; see models and figures; everything

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, scopes TEXT NOT NULL, tokens INTEGER,
    per_minute INTEGER, used INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, revoked REAL
) WITHOUT ROWID
"""
# JSON; what version 0.1 did not write is NULL, and allows everything
_LATER = {"keys": {"models": "TEXT", "strategies": "TEXT", "budget": "TEXT", "max_tokens": "INTEGER"}}
_COLUMNS = "id, name, scopes, tokens, per_minute, used, created, revoked, models, strategies, budget, max_tokens"
_NO_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key.

    tokens      it may spend in all, None for no limit
    per_minute  requests, None for no limit
    used        tokens spent so far
    created, revoked  seconds since 1970
    models, strategies  that it may use, None for all
    budget, max_tokens  the most that one request, and one attempt, may name
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    tokens: int | None
    per_minute: int | None
    used: int
    created: float
    revoked: float | None
    models: tuple[str, ...] | None = None
    strategies: tuple[str, ...] | None = None
    budget: Budget = field(default_factory=Budget)
    max_tokens: int | None = None

    def may(self, scope: str) -> bool:
        """Whether it has the scope; admin has every one, and who may chat may see what there is to chat with."""
        return scope in self.scopes or "admin" in self.scopes or (scope == "read" and "chat" in self.scopes)


class KeyStore:
    """The file of keys. Many processes may use it at once; a revocation is seen by all with their next look."""

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise UserError(f"There are no keys at {self.path}. Make one: nlrl keys create NAME --api-key-file {path}")
        try:
            self._db = open_file(self.path, _SCHEMA, _LATER)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"The key file {self.path} cannot be used: {error}. Check the path.") from error

    def create(
        self,
        name: str,
        *,
        scopes: Iterable[str] = ("chat",),
        tokens: int | None = None,
        per_minute: int | None = None,
        models: Sequence[str] = (),
        strategies: Sequence[str] = (),
        budget: Budget | None = None,
        max_tokens: int | None = None,
    ) -> tuple[Key, str]:
        """A new key and its secret, which is kept nowhere. Raises UserError for a name that is taken.

        models, strategies  that it may use; none named: all
        """
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise UserError("A key needs a name of at most 100 printable characters, such as the user's.")
        if (unknown := set(scopes) - set(SCOPES)) or not tuple(scopes):
            raise UnknownName("scope", min(unknown, default=""), SCOPES)
        id = secrets.token_hex(4)
        secret = f"nlrl_{id}_{secrets.token_urlsafe(32)}"
        row = (
            id, name, _hash(secret), " ".join(dict.fromkeys(scopes)), tokens, per_minute, time.time(), _json(models),
            _json(strategies), None if budget is None else _json(budget), max_tokens,
        )  # fmt: skip
        try:
            self._db.execute(
                "INSERT INTO keys (id, name, hash, scopes, tokens, per_minute, created, models, strategies, budget,"
                " max_tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        except sqlite3.IntegrityError:
            raise UserError(f"There is a key named {name!r} already. Choose another name.") from None
        return self._one(id), secret

    def list(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        return [_key(row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created")]

    def revoke(self, which: str) -> Key:
        """End the key of that id or name, for good. Raises UnknownName."""
        found = [key for key in self.list() if which in (key.id, key.name)]
        if not found:
            raise UnknownName("key", which, [key.name for key in self.list()])
        self._db.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (time.time(), found[0].id))
        return self._one(found[0].id)

    def find(self, secret: str) -> Key | None:
        """The valid key behind a secret."""
        parts = secret.split("_", 2)
        id = parts[1] if len(parts) == 3 and parts[0] == "nlrl" and parts[1].isascii() else ""
        row = self._db.execute(f"SELECT hash, {_COLUMNS} FROM keys WHERE id = ?", (id,)).fetchone()
        same = hmac.compare_digest(_hash(secret), row[0] if row else _NO_HASH)
        return _key(row[1:]) if row and same and row[8] is None else None

    def get(self, id: str) -> Key | None:
        """The valid key of that id."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ? AND revoked IS NULL", (id,)).fetchone()
        return _key(row) if row else None

    def revoked(self, ids: Iterable[str]) -> set[str]:
        """Those among `ids` that are no longer valid."""
        wanted = list(ids)
        marks = ",".join("?" * len(wanted))
        rows = self._db.execute(f"SELECT id FROM keys WHERE id IN ({marks}) AND revoked IS NULL", wanted)
        return set(wanted) - {id for (id,) in rows}

    def charge(self, tokens: Mapping[str, int]) -> None:
        """Add to what keys have used: id -> tokens."""
        with transaction(self._db):
            self._db.executemany("UPDATE keys SET used = used + ? WHERE id = ?", [(n, id) for id, n in tokens.items()])

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> KeyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, id: str) -> Key:
        return _key(self._db.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (id,)).fetchone())


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _key(row: tuple) -> Key:
    id, name, scopes, tokens, per_minute, used, created, revoked, models, strategies, budget, max_tokens = row
    most = Budget() if budget is None else msgspec.json.decode(budget, type=Budget)
    return Key(
        id, name, tuple(scopes.split()), tokens, per_minute, used, created, revoked, _names(models),
        _names(strategies), most, max_tokens,
    )  # fmt: skip


def _json(value: Sequence[str] | Budget) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else msgspec.json.decode(text, type=tuple[str, ...])
