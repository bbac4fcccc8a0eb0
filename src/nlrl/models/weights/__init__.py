"""Weights: which are known by name, where they come from, and which are on this disk.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.models.weights.known import DEFAULT_MODEL, WEIGHTS, HubFile, WeightFile, Wheels, weight_file
    from nlrl.models.weights.store import cache_dir, installed, pull, remove, sha256_of, weight_path

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.models.weights.known": ("DEFAULT_MODEL", "HubFile", "WEIGHTS", "WeightFile", "Wheels", "weight_file"),
    "nlrl.models.weights.store": ("cache_dir", "installed", "pull", "remove", "sha256_of", "weight_path"),
})  # fmt: skip

__all__ = [
    "DEFAULT_MODEL", "HubFile", "WEIGHTS", "WeightFile", "Wheels", "cache_dir", "installed", "pull", "remove",
    "sha256_of", "weight_file", "weight_path",
]  # fmt: skip
