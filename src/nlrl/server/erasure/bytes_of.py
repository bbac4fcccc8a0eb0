"""Whether pieces of text stand in the bytes of a file, or in what SQLite keeps beside it.

held_in(Path("bank.sqlite"), [b"What is 17 + 25?"])
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

STILL_READ = "another process reads it, so its log (-wal) still holds old pages. Erase again later"
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
    """Whether the file is a database of SQLite, whatever its name."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def files_in(places: Sequence[Path]) -> Iterator[Path]:
    """Every file of some files and folders, once; links are not followed."""
    seen: set[Path] = set()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.is_symlink() and path not in seen:
                seen.add(path)
                yield path
