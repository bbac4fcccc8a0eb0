"""Who may ask, how often, and for how much.

    access = Access(KeyStore("keys.sqlite"))       # Access(None): everybody may do everything (loopback only)
    caller = access.check(headers, "chat")         # ApiError 401, 403 or 429
    async with access.at_work(caller):             # ends with ApiError 401 soon after the key is revoked
        compute.ledger.parent = caller.ledger      # what the request spends, the key pays

A key's token budget is a ledger above the ledger of every request of that key, so it holds over any number of them at
once. Spent tokens go to the file twice a second; a process killed in between forgets at most that.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from nlrl.compute import Ledger
from nlrl.core import Budget
from nlrl.server.http.errors import ApiError
from nlrl.server.http.keys import Key, KeyStore

_LOOK_S = 0.5  # between two looks at the file: revoked keys stop, spent tokens are written
_log = logging.getLogger("nlrl.server")
T = TypeVar("T")


@dataclass(eq=False)
class Caller:
    """A key at work in this process, or the one anonymous caller of a server without keys."""

    id: str = "-"
    ledger: Ledger = field(default_factory=Ledger)
    written: int = 0  # of the ledger's tokens, already in the file
    allowed: float = 0.0  # requests it may make now (a token bucket)
    seen: float = field(default_factory=time.monotonic)
    key: Key | None = None  # as it was when it was shown last

    def admit(self, per_minute: int | None) -> None:
        """Count one request against the rate. Raises ApiError 429."""
        if per_minute is None:
            return
        now = time.monotonic()
        self.allowed = min(float(per_minute), self.allowed + (now - self.seen) * per_minute / 60)
        self.seen = now
        if self.allowed < 1:
            wait = (1 - self.allowed) * 60 / per_minute
            raise ApiError(
                429,
                f"This key may make {per_minute} requests a minute. Try again in {wait:.0f} s.",
                code="rate_limit_exceeded",
                retry_after_s=max(wait, 1),
            )
        self.allowed -= 1


class Access:
    """Checks keys and keeps their accounts. `run` must be running beside the server."""

    def __init__(self, store: KeyStore | None) -> None:
        self.store = store
        self._callers: dict[str, Caller] = {}
        self._anybody = Caller()
        self._tasks: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)
        self._stopped: set[asyncio.Task[None]] = set()

    def check(self, headers: Mapping[bytes, bytes], scope: str) -> Caller:
        """The caller behind a request's headers. Raises ApiError 401, 403, 429."""
        if self.store is None:
            return self._anybody
        key = self.key(headers)
        if not key.may(scope):
            raise ApiError(403, f"This API key has no {scope!r} scope.", code="missing_scope")
        caller = self._callers.get(key.id)
        if caller is None:
            caller = self._callers[key.id] = Caller(key.id, allowed=float(key.per_minute or 0))
        caller.key = key
        if scope == "chat":
            caller.admit(key.per_minute)
            self._refresh(caller, key)
        return caller

    def key(self, headers: Mapping[bytes, bytes]) -> Key:
        """The key that a request shows, to a server that asks for keys. Raises ApiError 401, 503."""
        kind, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        key = self.look_up(lambda store: store.find(secret.strip())) if kind.lower() == "bearer" else None
        if key is None:
            said = "This API key is not valid." if secret else "Send an API key: Authorization: Bearer nlrl_..."
            raise ApiError(401, said, code="invalid_api_key")
        return key

    def look_up(self, what: Callable[[KeyStore], T]) -> T:
        """Something in the file of keys. Raises ApiError 503 where it cannot be read."""
        if self.store is None:
            raise RuntimeError("this server has no keys")
        try:
            return what(self.store)
        except sqlite3.Error as error:
            _log.warning("The key file %s failed: %s", self.store.path, error)
            raise ApiError(503, "Keys cannot be checked at the moment.", retry_after_s=2) from None

    def _refresh(self, caller: Caller, key: Key) -> None:
        """Set the limit to what other processes have left of the key's budget. Raises ApiError 429 if that is spent."""
        if key.tokens is None:
            caller.ledger.budget = Budget()
            return
        caller.ledger.budget = Budget(tokens=max(0, key.tokens - (key.used - caller.written)))
        if caller.ledger.remaining.tokens == 0 and not caller.ledger.in_flight:
            raise ApiError(429, f"This key's budget of {key.tokens:,} tokens is used up.", code="insufficient_quota")

    @asynccontextmanager
    async def at_work(self, caller: Caller) -> AsyncIterator[None]:
        """Around the work for a caller. Raises ApiError 401 when its key is revoked meanwhile."""
        if self.store is None:
            yield
            return
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("at_work must run in a task")
        self._tasks[caller.id].add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task in self._stopped:
                task.uncancel()
                raise ApiError(401, "This API key was revoked.", code="invalid_api_key") from None
            raise
        finally:
            self._stopped.discard(task)
            self._tasks[caller.id].discard(task)
            if not self._tasks[caller.id]:
                del self._tasks[caller.id]

    async def run(self) -> None:
        """Look at the file until cancelled; then write what is left to write."""
        if self.store is None:
            return
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                self._look(self.store)
        finally:
            self._look(self.store)

    def _look(self, store: KeyStore) -> None:
        try:
            for id in store.revoked(self._tasks) if self._tasks else ():
                for task in self._tasks[id] - self._stopped:
                    self._stopped.add(task)
                    task.cancel()
            owed = {c.id: n for c in self._callers.values() if (n := c.ledger.total.tokens - c.written)}
            if owed:
                store.charge(owed)
                for id, tokens in owed.items():
                    self._callers[id].written += tokens
        except sqlite3.Error as error:  # a busy or full disk: what is owed stays owed until the next look
            _log.warning("The key file %s failed: %s", store.path, error)
