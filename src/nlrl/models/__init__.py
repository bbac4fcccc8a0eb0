"""Where tokens come from: backends behind one seam (`core.Model`), the registry of weights, and gists.

Names are loaded when they are first used, so that importing this room costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.models.gists import GistResult, StopRules, generate_with_gist, stream_gists
    from nlrl.models.llama import LlamaModel
    from nlrl.models.openai import OpenAIModel
    from nlrl.models.registry import DEFAULT_MODEL, WEIGHTS, WeightFile, load_model, weight_file
    from nlrl.models.scripted import ScriptedModel, StochasticModel
    from nlrl.models.streams import Assembler, gather
    from nlrl.models.transformers import TransformersModel
    from nlrl.models.weights import cache_dir, installed, pull

_HOMES = {
    "gists": ("GistResult", "StopRules", "generate_with_gist", "stream_gists"),
    "llama": ("LlamaModel",),
    "openai": ("OpenAIModel",),
    "registry": ("DEFAULT_MODEL", "WEIGHTS", "WeightFile", "load_model", "weight_file"),
    "scripted": ("ScriptedModel", "StochasticModel"),
    "streams": ("Assembler", "gather"),
    "transformers": ("TransformersModel",),
    "weights": ("cache_dir", "installed", "pull"),
}

__all__ = [
    "Assembler", "DEFAULT_MODEL", "GistResult", "LlamaModel", "OpenAIModel", "ScriptedModel", "StochasticModel",
    "StopRules", "TransformersModel", "WEIGHTS", "WeightFile", "cache_dir", "gather", "generate_with_gist",
    "installed", "load_model", "pull", "stream_gists", "weight_file",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"nlrl.models.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
