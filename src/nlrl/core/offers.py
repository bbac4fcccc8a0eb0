"""What higher rooms offer to the registries of lower ones, by name, so that no lower room names a higher one.

The package's face offers them as it is imported, and so before any room is.
"""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from typing import Any

_offers: dict[str, dict[str, str]] = defaultdict(dict)


def offer(registry: str, name: str, place: str) -> None:
    """Let `registry` know `name` as the "module:function" `place`, which is imported on first use."""
    _offers[registry][name] = place


def offered(registry: str) -> dict[str, str]:
    """Everything that was offered to a registry: name -> "module:function"."""
    return dict(_offers[registry])


def load(place: str) -> Any:
    """What "module:name" names, its module imported now."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
