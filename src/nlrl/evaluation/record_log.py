"""Appending to a record file so that a killed process leaves whole lines, and at most one torn end.

with RecordLog("runs/first/records.jsonl") as log:      # cuts off a torn end, reads what is done
    if ("3f0c...", "direct") not in log.done:
        log.append(record)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from nlrl.core import BankError, Verdict
from nlrl.core.kept_files import open_kept
from nlrl.evaluation.records import PANEL, Key, Record, encode, parse


class Outcome(NamedTuple):
    """What progress needs to remember of a record."""

    tokens: int
    right: int
    judged: int
    failed: bool


def outcome(record: Record) -> Outcome:
    """Tokens, and how many verdicts were right: one for a strategy's answer, one per attempt for the panel.

    A strategy that failed has not answered rightly; where the grader could not tell, nothing is counted.
    """
    if record.error:
        return Outcome(record.usage.total.tokens, 0, 0 if record.strategy == PANEL else 1, True)
    verdicts = [a.verdict for a in record.attempts] if record.answer is None else [record.answer.verdict]
    judged = [v for v in verdicts if v and v != Verdict.ABSTAIN]
    return Outcome(record.usage.total.tokens, judged.count(Verdict.RIGHT), len(judged), False)


class RecordLog:
    """A record file open for appending by one process.

    done     the outcome of every record that needs no second try, by (problem id, strategy)
    dropped  bytes of a torn last line that were cut off on opening
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.dropped = 0
        self.done: dict[Key, Outcome] = {}
        self._file = open_kept(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            self._size = self._recover()
        except BaseException:
            os.close(self._file)
            raise

    def _recover(self) -> int:
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    self.dropped = len(line)
                    os.ftruncate(self._file, whole)
                    break
                record = parse(line, self.path, number)
                if record.error is None:
                    self.done[record.key] = outcome(record)
                whole += len(line)
        return whole

    def append(self, record: Record) -> None:
        """Write one line, whole or not at all. Raises BankError where the disk refuses (full, gone, read-only)."""
        line = encode(record)
        try:
            written = os.write(self._file, line)
            while written < len(line):  # a disk that just filled up takes a part, and then says why
                written += os.write(self._file, line[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise BankError(
                f"The records {self.path} cannot be written: {error.strerror}. {len(self.done)} are safe. "
                "Make room and run the same command again: it goes on from there."
            ) from error
        self._size += len(line)
        if record.error is None:
            self.done[record.key] = outcome(record)

    def close(self) -> None:
        """Push everything to the disk and let go of the file. Closing twice is fine."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> RecordLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
