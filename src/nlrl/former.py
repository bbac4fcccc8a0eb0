"""Where names were in the version before: they are still found there, and a DeprecationWarning names the new place.

    >>> from nlrl.core import Strategy
    DeprecationWarning: nlrl.core.Strategy is now nlrl.compute.Strategy; the old name goes with version 0.2.

Importing this module puts its finder before Python's own. The tables are all there is to it: to let a name go, delete
its row.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

UNTIL = "0.2"

# modules and whole rooms that have moved, with all that is below them: old -> new
MODULES: dict[str, str] = {
    "nlrl.cli.logs": "nlrl.core.logs",
}

# names that have left a module that is still there: module -> name -> the module that has it now
NAMES: dict[str, dict[str, str]] = {
    "nlrl.core": {"Strategy": "nlrl.compute"},
    "nlrl.models.registry": dict.fromkeys(("HubFile", "WEIGHTS", "WeightFile", "Wheels"), "nlrl.models.weight_files"),
    "nlrl.benchmark.report": dict.fromkeys(("gain", "percent", "second_look"), "nlrl.benchmark.tables"),
    "nlrl.scaling.report": dict.fromkeys(
        ("beside_fixed", "confidences", "family_rows", "ratio_rows", "savings", "tables", "token_ratio"),
        "nlrl.scaling.tables",
    ),
}


def place_of(name: str) -> str:
    """Where a module is that has moved, by its own row or that of a room above it; "" for any other."""
    above, _, last = name.rpartition(".")
    if name in MODULES:
        return MODULES[name]
    place = place_of(above) if above else ""
    return place and f"{place}.{last}"


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("nlrl."):
            return None
        if place := place_of(fullname):
            return ModuleSpec(fullname, _Moved(place), is_package=True)
        if fullname in NAMES and (spec := PathFinder.find_spec(fullname, path, target)) and spec.loader:
            spec.loader = _WithFormerNames(spec.loader)
            return spec
        return None


class _Moved(Loader):
    """Puts the module itself in the old one's place, so that both are one."""

    def __init__(self, place: str) -> None:
        self._place = place

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _warn(module.__name__, self._place)
        sys.modules[module.__name__] = import_module(self._place)


class _WithFormerNames(Loader):
    """Loads a module as ever, and lets it answer for the names that have left it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:  # resources and sources are asked of the loader, too
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        own, former = vars(module).get("__getattr__"), NAMES[module.__name__]

        def load(name: str) -> Any:
            if name in former:
                _warn(f"{module.__name__}.{name}", f"{former[name]}.{name}")
                return getattr(import_module(former[name]), name)
            if own is not None:
                return own(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module)["__getattr__"] = load


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name goes with version {UNTIL}.", DeprecationWarning, stacklevel=3)


sys.meta_path.insert(0, _Finder())
