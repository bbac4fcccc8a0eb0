"""What every source of weights shares: how it reports, how it fails, and how much has come."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""progress(what, done, total): what is done now, for people, and how many bytes of how many."""


class SourceFailed(Exception):
    """One source cannot give the file; the message says why, for people. The next source is tried."""


def bytes_below(folder: Path) -> int:
    """Bytes of all files below; files and folders may vanish meanwhile, pip clears up after itself."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(where) / name).stat().st_size
    return total
