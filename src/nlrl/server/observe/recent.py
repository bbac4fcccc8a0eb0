"""The last requests in memory: what `Records` is to a file, at no cost to the request.

recent = Recent()
recent.put(record); recent.list(limit=50); recent.totals()
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from nlrl.server.observe.records import Record, Spent, in_short

MOST = 500


class Recent:
    """The methods of `Records` that a running server needs, with the same meaning."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._all: OrderedDict[str, Record] = OrderedDict()  # by id, in the order in which they were put

    def put(self, record: Record) -> None:
        """Keep a record, or what it has become."""
        self._all[record.id] = record
        if len(self._all) > self._most:
            self._all.popitem(last=False)

    def get(self, id: str) -> Record | None:
        """The record of that request."""
        return self._all.get(id)

    def list(self, *, limit: int = 50, before: str | None = None, key: str | None = None) -> list[Record]:
        """The newest ones, in short."""
        found: list[Record] = []
        begun = before is None
        for record in reversed(self._all.values()):
            if begun and key in (None, record.key):
                found.append(in_short(record))
                if len(found) == limit:
                    break
            begun = begun or record.id == before
        return found

    def erase(self, *, before: float) -> int:
        """Forget those older than a moment; returns how many."""
        old = [record.id for record in self._all.values() if record.at < before]
        for id in old:
            del self._all[id]
        return len(old)

    def ids(self) -> list[str]:
        """Of all that are here."""
        return list(self._all)

    def forget(self, ids: Iterable[str]) -> None:
        """Let go of those requests."""
        for id in ids:
            self._all.pop(id, None)

    def totals(self, key: str | None = None) -> Spent:
        """Over all records, or those of a key."""
        return _sum(self._of(key))

    def by_key(self, key: str | None = None) -> dict[str, Spent]:
        """The sums of every key that has asked."""
        keys = sorted({record.key for record in self._of(key)})
        return {one: _sum(self._of(one)) for one in keys}

    def by_day(self, key: str | None = None, days: int = 30) -> list[dict[str, Any]]:
        """Requests and tokens of each key on each of the last days (UTC)."""
        sums: dict[tuple[str, str], list[int]] = {}
        for record in self._of(key):
            if record.at > time.time() - days * 86400:
                day = time.strftime("%Y-%m-%d", time.gmtime(record.at))
                entry = sums.setdefault((day, record.key), [0, 0])
                entry[0] += 1
                entry[1] += record.prompt_tokens + record.completion_tokens
        return [{"day": d, "key": k, "requests": n, "tokens": t} for (d, k), (n, t) in sorted(sums.items())]

    def _of(self, key: str | None) -> Iterator[Record]:
        # a copy in one step: sums are taken in another thread than the one that puts
        return (record for record in tuple(self._all.values()) if key in (None, record.key))


def _sum(records: Iterator[Record]) -> Spent:
    spent = Spent()
    for record in records:
        spent.requests += 1
        spent.failed += record.state == "failed"
        spent.prompt_tokens += record.prompt_tokens
        spent.completion_tokens += record.completion_tokens
        spent.cost += record.cost
    return spent
