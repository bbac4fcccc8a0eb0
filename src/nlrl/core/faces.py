"""The face of a room whose names are imported when they are first used, so that importing the room costs nothing.

    __getattr__, __dir__ = lazy(__name__, {"nlrl.models.gists": ("GistResult", "stream_gists"), ...})

The same names stand under TYPE_CHECKING above it, for type checkers and editors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy(face: str, homes: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of the module `face`; `homes` says which module holds which names."""
    home = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {face!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[face]), *home})

    return load, names
