"""A person's requests in a record file of `nlrl serve`; as BankSearch, with the file open in between."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from nlrl.server.erasure.bytes_of import STILL_READ, has_table, held_in
from nlrl.server.erasure.words import Words
from nlrl.server.observe.records import Records


class RecordsSearch:
    """One record file."""

    def __init__(self, path: Path, words: Words) -> None:
        self.path, self._words = path, words
        self._records = Records(path, create=False)
        self._key, self._user = words.who.key, words.who.user

    def begun(self) -> bool:
        """Whether an erasure of theirs was begun not long ago."""
        return self._records.marked(key=self._key, user=self._user)

    def hide(self) -> None:
        """From here on nobody else sees their requests, and what is at work is not kept."""
        self._records.mark(key=self._key, user=self._user)

    def learn(self) -> None:
        """Their words."""
        for record in self._records.each(key=self._key, user=self._user, erased=True):
            self._words.learn(record)

    def spare(self) -> None:
        """Those of everybody else."""
        for record in self._records.each():
            if record.id not in self._words.requests:
                self._words.know_stranger(record)

    def drop(self, act: bool) -> int:
        """Delete their requests; returns how many."""
        count = self._records.erase if act else self._records.count
        return count(key=self._key, user=self._user)

    def clean(self, traces: list[bytes]) -> str | None:
        """As BankSearch, whenever an erasure was begun: nothing tells how far an earlier one came."""
        if not self.begun() and not held_in(self.path, traces):
            return None
        try:
            emptied = self._records.compact()
        except sqlite3.OperationalError as error:
            return f"it cannot be written anew at the moment: {error}. Erase again later"
        return None if emptied else STILL_READ

    def __enter__(self) -> RecordsSearch:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()


def is_records(path: Path) -> bool:
    """Whether a SQLite file is a record file."""
    return has_table(path, "requests")
