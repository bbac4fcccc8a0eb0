"""Whether pieces of text stand in the bytes of a file, or in what SQLite keeps beside it.

held_in(Path("bank.sqlite"), [b"What is 17 + 25?"])
"""

from __future__ import annotations

import mmap
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

STILL_READ = "another process reads it, so its log (-wal) still holds old pages. Erase again later"
_WEIGHTS = (".gguf", ".safetensors")  # gigabytes of numbers
_BESIDE = ("", "-wal", "-journal")


def held_in(path: Path, pieces: Sequence[bytes]) -> bool:
    """Whether one of `pieces` stands in the file, or in its log."""
    return any(_holds(file, pieces) for end in _BESIDE if (file := path.with_name(path.name + end)).is_file())


def _holds(file: Path, pieces: Sequence[bytes]) -> bool:
    if not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(piece) >= 0 for piece in pieces)


def is_sqlite(path: Path) -> bool:
    """Whether the file is a database of SQLite, whatever its name; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def has_table(path: Path, *tables: str) -> bool:
    """Whether a database has all of them; False where it is damaged."""
    query = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as db:
            return all(db.execute(query, (table,)).fetchone()[0] for table in tables)
    except sqlite3.Error:
        return False


def files_in(places: Sequence[Path]) -> Iterator[Path]:
    """Every file of some files and folders, once; links are not followed, and weights of models left out."""
    seen: set[Path] = set()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.is_symlink() and path.suffix not in _WEIGHTS and path not in seen:
                seen.add(path)
                yield path
