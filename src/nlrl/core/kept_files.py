"""Files that may hold people's words: for their owner alone from the first moment, and never half written.

    make_folder(Path("runs/first"))                 # 0700
    os.close(open_kept(path, os.O_CREAT))           # 0600
    write_whole(path, b"...")                       # the old file or the new one, whatever is killed in between

Modes are set where something is made. What is there keeps the mode that somebody chose for it.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def make_folder(path: Path) -> None:
    """The folder and those above it, which get the usual mode; the last one, if it is made here, is its owner's."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def open_kept(path: str | Path, flags: int) -> int:
    """A file descriptor, with the flags of `os.open`; a file that is made here is its owner's. Raises OSError."""
    return os.open(path, flags | getattr(os, "O_BINARY", 0), FILE_MODE)


def make_kept(path: Path) -> None:
    """The file, empty, where there is none."""
    if not path.exists():
        os.close(open_kept(path, os.O_CREAT | os.O_WRONLY))


def write_whole(path: Path, content: bytes) -> None:
    """Put a new content in the place of an old one, with its mode. Raises OSError, and the old one is still there."""
    beside = path.with_name(path.name + ".new")
    handle = open_kept(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        beside.chmod(path.stat().st_mode & 0o777)
    beside.replace(path)
