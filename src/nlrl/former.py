"""Where names were in the version before: they are still found there, and a DeprecationWarning names the new place.

    >>> from nlrl.rewards import extract_answer
    DeprecationWarning: nlrl.rewards.extract_answer is now nlrl.answers.extract_answer; the old name goes with ...

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
from importlib.util import find_spec
from types import ModuleType
from typing import Any

UNTIL = "0.2"

# modules and whole rooms that have moved, with all that is below them: old -> new; a room that is two now has both
MODULES: dict[str, tuple[str, ...]] = {
    "nlrl.benchmark": ("nlrl.evaluation",),
    "nlrl.benchmark.synthetic_traces": ("nlrl.testing.synthetic_traces",),
    "nlrl.cli.logs": ("nlrl.core.logs",),
    "nlrl.compute.bank": ("nlrl.bank.samples",),
    "nlrl.compute.replay_model": ("nlrl.bank.replay_model",),
    "nlrl.compute.snapshot": ("nlrl.bank.snapshot",),
    "nlrl.language_rl": ("nlrl.learning.language",),
    "nlrl.language_rl.environments": ("nlrl.environments",),
    "nlrl.language_rl.html_page": ("nlrl.report.html_page",),
    "nlrl.models.scripted": ("nlrl.testing.scripted",),
    "nlrl.rewards": ("nlrl.verifiers", "nlrl.answers"),
    "nlrl.rewards.process_align": ("nlrl.verifiers.prm.align",),
    "nlrl.rewards.process_arithmetic": ("nlrl.verifiers.prm.arithmetic",),
    "nlrl.rewards.process_confidence": ("nlrl.verifiers.prm.confidence",),
    "nlrl.rewards.process_exchange": ("nlrl.verifiers.prm.exchange",),
    "nlrl.rewards.process_features": ("nlrl.verifiers.prm.features",),
    "nlrl.rewards.process_formats": ("nlrl.verifiers.prm.formats",),
    "nlrl.rewards.process_hf": ("nlrl.verifiers.prm.huggingface",),
    "nlrl.rewards.process_hf_heads": ("nlrl.verifiers.prm.huggingface_heads",),
    "nlrl.rewards.process_hf_load": ("nlrl.verifiers.prm.huggingface_load",),
    "nlrl.rewards.process_judge": ("nlrl.verifiers.prm.judge",),
    "nlrl.rewards.process_server": ("nlrl.verifiers.prm.server",),
    "nlrl.rewards.process_steps": ("nlrl.verifiers.prm.steps",),
    "nlrl.rewards.process_trained": ("nlrl.verifiers.prm.trained",),
    "nlrl.rewards.process_trees": ("nlrl.verifiers.prm.trees",),
    "nlrl.training": ("nlrl.learning",),
    "nlrl.training.text_model": ("nlrl.learning.text.model",),
    **{
        f"nlrl.server.{name}": (f"nlrl.server.{folder}.{name}",)
        for folder, names in {
            "http": ("access", "admission", "call", "errors", "keys", "openapi", "uvicorn_server"),
            "api": (
                "ask", "body", "catalog", "forward", "gists", "raw_chat", "replies", "request_bank", "said", "solving",
                "streaming", "unwatched", "upstream",
            ),
            "dashboard": ("pages", "runs", "window"),
            "observe": (
                "call_spans", "genai_names", "journal", "labels", "metrics", "recent", "records", "request_log",
                "retention", "telemetry", "trace",
            ),
        }.items()
        for name in names
    },
}  # fmt: skip

# names that have left a module that is still there: module -> name -> the module that has it now
NAMES: dict[str, dict[str, str]] = {
    "nlrl.core": {"Strategy": "nlrl.compute"},
    "nlrl.compute": dict.fromkeys(("Bank", "Draw", "ReplayModel", "panel_key", "sample_key"), "nlrl.bank"),
    "nlrl.models": dict.fromkeys(("ScriptedModel", "StochasticModel"), "nlrl.testing"),
    "nlrl.models.registry": dict.fromkeys(("HubFile", "WEIGHTS", "WeightFile", "Wheels"), "nlrl.models.weights"),
    "nlrl.evaluation.report": dict.fromkeys(("gain", "percent", "second_look"), "nlrl.evaluation.tables"),
    "nlrl.scaling.report": dict.fromkeys(
        ("beside_fixed", "confidences", "family_rows", "ratio_rows", "savings", "tables", "token_ratio"),
        "nlrl.scaling.tables",
    ),
}


def places_of(name: str) -> tuple[str, ...]:
    """Where a module is that has moved, by its own row or that of a room above it; none for any other."""
    above, _, last = name.rpartition(".")
    if name in MODULES or not above:
        return MODULES.get(name, ())
    places = [f"{place}.{last}" for place in places_of(above)]
    return tuple(place for place in places if find_spec(place) is not None)[:1]


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("nlrl."):
            return None
        if places := places_of(fullname):
            return ModuleSpec(fullname, _Moved(places) if len(places) == 1 else _Divided(places), is_package=True)
        if fullname in NAMES and (spec := PathFinder.find_spec(fullname, path, target)) and spec.loader:
            spec.loader = _WithFormerNames(spec.loader)
            return spec
        return None


class _Moved(Loader):
    """Puts the module itself in the old one's place, so that both are one."""

    def __init__(self, places: tuple[str, ...]) -> None:
        self._places = places

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _warn(module.__name__, self._places[0])
        sys.modules[module.__name__] = import_module(self._places[0])


class _Divided(_Moved):
    """A room that is several now: each name is looked for in all of them."""

    def exec_module(self, module: ModuleType) -> None:
        def load(name: str) -> Any:
            for place in self._places:
                if name in (room := import_module(place)).__all__:
                    _warn(f"{module.__name__}.{name}", f"{place}.{name}")
                    return getattr(room, name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module)["__getattr__"] = load


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
