"""A person's words in a sample bank: questions of panels, prompts that quote them, and what was drawn on those.

    theirs = BankSearch(path, words)
    theirs.learn(); theirs.spare()           # whose questions stand in its panels
    theirs.drop_draws(); theirs.drop_problems(); theirs.clean()

A bank is what was paid for, so as little as possible goes: a family of draws whose prompt holds their words (also as a
worked example, or in what a critic is given to read), the draws on their questions, and whatever quotes those draws.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nlrl.bank import panel_key
from nlrl.core import Problem
from nlrl.server.erasure.bytes_of import STILL_READ, has_table, held_in
from nlrl.server.erasure.words import Words, collapse
from nlrl.server.observe.origin import read_origin
from nlrl.server.sqlite_file import empty_log, transaction

_BUSY_S = 60.0
_PATIENCE_S = 10.0  # for a gap between the writes of others
_QUOTED_CHARS = 40  # of a draw that is looked for in later prompts; shorter ones are everybody's
_UNFINISHED = "erasing"  # a table without rows
_QUOTE = 200  # characters of it: prompts cut what they quote
_problem = msgspec.msgpack.Decoder(Problem).decode
_plain = msgspec.msgpack.Decoder().decode


class BankSearch:
    """One bank; nothing is open between two calls."""

    def __init__(self, path: Path, words: Words) -> None:
        self.path, self._words = path, words

    def learn(self) -> None:
        """What its panels hold of theirs, beside what the records tell: records are kept for a month, a bank longer."""
        for _, _, problem in self._problems():
            if self._theirs(problem):
                self._words.learn_question(problem.question)
                self._words.problems.add(problem.id)

    def spare(self) -> None:
        """What its panels hold of others."""
        for _, _, problem in self._problems():
            if not self._theirs(problem):
                known = self._words.made(read_origin(problem.source)) is False
                self._words.spare(problem.question, whole=known)
                if known:
                    self._words.problems.discard(problem.id)

    def learn_ids(self) -> None:
        """The problems that were asked in their words, from prompts: a run's log tells a problem's id alone."""
        for _, problem_id, request in self._prompts():
            asked = _last_question(request)
            if problem_id and asked and (self._words.asked(asked) or self._words.in_text(asked)):
                self._words.problems.add(problem_id)

    def begun(self) -> bool:
        """Whether an erasure was stopped after it had deleted, and before the file was written anew."""
        with closing(self._open()) as db:
            return _has(db, _UNFINISHED)

    def drop_draws(self, act: bool) -> int:
        """Delete the families of draws that hold their words; returns how many families."""
        keys = self._families()
        if act and keys:
            with closing(self._open()) as db, _deleting(db):
                for key in keys:
                    for table in ("prompts", "samples", "cancelled", "claims", "former"):
                        if _has(db, table):
                            db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
        return len(keys)

    def drop_problems(self, act: bool) -> int:
        """Delete their questions from the panels; returns how many."""
        rows = [(panel, row) for panel, row, problem in self._problems() if self._theirs(problem)]
        if act and rows:
            with closing(self._open()) as db, _deleting(db):
                db.executemany("DELETE FROM problems WHERE panel = ? AND row = ?", rows)
        return len(rows)

    def clean(self, traces: list[bytes]) -> str | None:
        """Write the file anew where something was deleted, or was left by an older version: SQLite overwrites what it
        deletes, but not the copies that it made of it when it filled its pages. What is wrong, if that cannot be done.
        """
        if not self.begun() and not held_in(self.path, traces):
            return None
        try:
            with closing(self._open()) as db:
                db.execute("VACUUM")
                if not empty_log(db, _PATIENCE_S):
                    return STILL_READ
                db.execute(f"DROP TABLE IF EXISTS {_UNFINISHED}")
        except sqlite3.OperationalError as error:
            return f"it cannot be written anew at the moment: {error}. Erase again later"
        return None

    def _theirs(self, problem: Problem) -> bool:
        made = self._words.made(read_origin(problem.source))
        return self._words.asked(problem.question) if made is None else made

    def _families(self) -> set[str]:
        keys = {panel_key(f"panel:{panel}", problem) for panel, _, problem in self._problems() if self._theirs(problem)}
        prompts = list(self._prompts())
        for key, problem_id, request in prompts:
            asked = _last_question(request)
            on_theirs = problem_id in self._words.problems and not _is_panel(request)
            if on_theirs or (asked and self._words.asked(asked)) or self._words.in_value(request):
                keys.add(key)
        draws: dict[str, set[str]] = {}
        with closing(self._open()) as db:
            for key, blob in db.execute("SELECT key, draw FROM samples"):
                text = collapse(_text_of(_plain(blob)))
                draws.setdefault(key, set()).add(text)
                if self._words.in_text(text):
                    keys.add(key)
        quoted: set[str] = set()
        while True:  # a critic reads draws on their question, a lesson is made of what it said, a rule of the lesson
            others = {text[:_QUOTE] for key, texts in draws.items() if key not in keys for text in texts}
            said = {text[:_QUOTE] for key in keys for text in draws.get(key, ()) if len(text) >= _QUOTED_CHARS}
            fresh = said - others - quoted
            if not fresh:
                return keys
            quoted |= fresh
            for key, _, request in prompts:
                if key not in keys and any(quote in text for text in _said(request) for quote in fresh):
                    keys.add(key)

    def _problems(self) -> Iterator[tuple[str, int, Problem]]:
        with closing(self._open()) as db:
            for panel, row, blob in db.execute("SELECT panel, row, problem FROM problems").fetchall():
                yield panel, row, _problem(blob)

    def _prompts(self) -> Iterator[tuple[str, str | None, Any]]:
        with closing(self._open()) as db:
            for key, problem_id, blob in db.execute("SELECT key, problem_id, request FROM prompts"):
                yield key, problem_id, _plain(blob)

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        db.execute("PRAGMA secure_delete=ON")
        return db


@contextmanager
def _deleting(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; and whoever is killed after it leaves word that the file is to be written anew."""
    with transaction(db):
        db.execute(f"CREATE TABLE IF NOT EXISTS {_UNFINISHED} (one)")
        yield


def is_bank(path: Path) -> bool:
    """Whether a SQLite file is a sample bank."""
    return has_table(path, "samples", "prompts", "problems")


def _has(db: sqlite3.Connection, table: str) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone() is not None


def _is_panel(request: Any) -> bool:
    return isinstance(request, dict) and "panel" in request


def _messages(request: Any) -> list[tuple[str, str]]:
    messages = request.get("messages") if isinstance(request, dict) else None
    return [(role, content) for role, content in messages or ()]


def _last_question(request: Any) -> str:
    return next((content for role, content in reversed(_messages(request)) if role == "user"), "")


def _said(request: Any) -> list[str]:
    return [collapse(content) for _, content in _messages(request)]


def _text_of(draw: Any) -> str:
    completion = draw.get("completion") if isinstance(draw, dict) else None
    parts = [str(completion.get(name) or "") for name in ("reasoning", "text")] if isinstance(completion, dict) else []
    return " ".join(parts)
