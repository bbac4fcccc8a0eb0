"""What a field says when nobody sets it, and the words that stand in files: promises to records, policies and callers.

python tests/unit/core/test_defaults.py        # writes them anew, after a change that is meant: see the diff
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

FILE = Path(__file__).parents[2] / "data" / "defaults.json"
ROOMS = ("nlrl.core", "nlrl.bank", "nlrl.compute", "nlrl.evaluation", "nlrl.scaling", "nlrl.testing")
_NOTHING = (dataclasses.MISSING, msgspec.NODEFAULT)


def modules(room: str) -> list[Any]:
    package = importlib.import_module(room)
    return [package, *(importlib.import_module(m.name) for m in pkgutil.walk_packages(package.__path__, f"{room}."))]


def promised(room: str) -> dict[str, dict[str, str]]:
    """Of every public noun its fields with a default, of every enumeration its words."""
    told: dict[str, dict[str, str]] = {}
    for module in modules(room):
        for name, noun in vars(module).items():
            if not isinstance(noun, type) or noun.__module__ != module.__name__ or name.startswith("_"):
                continue
            if issubclass(noun, enum.Enum):
                told[f"{module.__name__}.{name}"] = {member.name: repr(member.value) for member in noun}
            elif (dataclasses.is_dataclass(noun) or issubclass(noun, msgspec.Struct)) and (fields := defaults(noun)):
                told[f"{module.__name__}.{name}"] = fields
    return told


def defaults(noun: Any) -> dict[str, str]:
    fields = msgspec.structs.fields(noun) if issubclass(noun, msgspec.Struct) else dataclasses.fields(noun)
    told = {}
    for field in fields:
        if field.default_factory in (dict, list, tuple, set, frozenset):
            told[field.name] = repr(field.default_factory())
        elif field.default not in _NOTHING and not callable(field.default):
            told[field.name] = repr(field.default)
    return told


@pytest.mark.parametrize("room", ROOMS)
def test_what_nobody_sets_means_what_it_always_meant(room: str) -> None:
    assert promised(room) == json.loads(FILE.read_text())[room]


if __name__ == "__main__":
    FILE.write_text(json.dumps({room: promised(room) for room in ROOMS}, indent=1, ensure_ascii=False) + "\n")
