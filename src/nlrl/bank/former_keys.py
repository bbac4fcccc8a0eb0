"""Keys under which an older version kept draws that have another key today.

Version 0.1 asked for log-probabilities where the model was believed to give them at that moment. A server that ignores
the question was believed to until it had answered once, so its first draws were kept under the key with `logprobs` and
all others, of the same panel, under the one without. Today the question is asked whenever a verifier reads them, so the
key is always the one with them; this finds what stands under the other.

An old bank is looked through once, when it is first opened. That its model ignored the question is not believed but
read: in its own draws that were asked for log-probabilities and carry none.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import msgspec

from nlrl.bank.claims import transaction
from nlrl.core import Completion, Sampling

_VERSION = 1  # of the file, as SQLite's user_version: from this one on, keys do not depend on beliefs
_LOOKS = 8  # prompts of a model that are read to see whether it gave log-probabilities

_SCHEMA = """
CREATE TABLE IF NOT EXISTS former (key TEXT PRIMARY KEY, was TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID
"""


class Former(NamedTuple):
    """The other key, and when it ceased to be this one's: what was recorded there later is somebody else's."""

    was: str
    until: float


class _Request(msgspec.Struct):
    messages: list[tuple[str, str]]
    prefill: str
    sampling: Sampling


class _Sampled(msgspec.Struct):
    sampling: Sampling


class _Draw(msgspec.Struct):
    completion: Completion


KeyOf = Callable[[str, list[tuple[str, str]], str, Sampling], str]


def former_keys(db: sqlite3.Connection, key_of: KeyOf) -> dict[str, Former]:
    """By today's key. `key_of` makes a key of (model, (role, content) of each message, prefill, sampling)."""
    if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
        with transaction(db):
            if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:  # another process may have been first
                db.execute(_SCHEMA)
                now = time.time()
                rows = [(key, was, now) for key, was in _look_through(db, key_of)]
                db.executemany("INSERT OR IGNORE INTO former VALUES (?, ?, ?)", rows)
                db.execute(f"PRAGMA user_version = {_VERSION}")
    return {key: Former(was, until) for key, was, until in db.execute("SELECT key, was, until FROM former")}


def _look_through(db: sqlite3.Connection, key_of: KeyOf) -> Iterator[tuple[str, str]]:
    asked: defaultdict[str, dict[int, list[str]]] = defaultdict(dict)  # by model: keys for each number of alternatives
    plain: defaultdict[str, list[str]] = defaultdict(list)
    read = msgspec.msgpack.Decoder(_Sampled).decode
    for key, model, request in db.execute("SELECT key, model, request FROM prompts"):
        try:
            sampling = read(request).sampling
        except msgspec.ValidationError:
            continue  # of an imported panel, whose requests are not known
        if sampling.logprobs is None:
            plain[model].append(key)
        else:
            asked[model].setdefault(sampling.logprobs, []).append(key)
    for model, keys in asked.items():
        if not plain[model] or not _ignored(db, [key for family in keys.values() for key in family]):
            continue
        for was in plain[model]:
            (blob,) = db.execute("SELECT request FROM prompts WHERE key = ?", (was,)).fetchone()
            request = msgspec.msgpack.decode(blob, type=_Request)
            said = (model, request.messages, request.prefill)
            if key_of(*said, request.sampling) != was:
                continue  # its text held what no encoding can
            for alternatives in keys:
                yield key_of(*said, replace(request.sampling, logprobs=alternatives)), was


def _ignored(db: sqlite3.Connection, keys: list[str]) -> bool:
    """Whether the draws under these keys, which were asked for log-probabilities, carry none."""
    looks = 0
    for key in keys:
        row = db.execute("SELECT draw FROM samples WHERE key = ? ORDER BY idx LIMIT 1", (key,)).fetchone()
        completion = msgspec.msgpack.decode(row[0], type=_Draw).completion if row else None
        if completion is not None and completion.text:
            if completion.logprobs:
                return False
            looks += 1
            if looks == _LOOKS:
                break
    return looks > 0
