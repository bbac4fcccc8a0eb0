"""Where tokens come from: backends behind one seam (`core.Model`), the registry of weights, and gists.

Names are loaded when they are first used, so that importing this room costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.models.gists import GistResult, StopRules, stream_gists
    from nlrl.models.llama import LlamaModel
    from nlrl.models.openai import OpenAIModel
    from nlrl.models.registry import load_model
    from nlrl.models.streams import Assembler, gather
    from nlrl.models.transformers import TransformersModel
    from nlrl.models.weights import cache_dir, installed, pull
    from nlrl.models.weights.known import DEFAULT_MODEL, WEIGHTS, WeightFile, weight_file

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.models.gists": ("GistResult", "StopRules", "stream_gists"),
    "nlrl.models.llama.model": ("LlamaModel",),
    "nlrl.models.openai.model": ("OpenAIModel",),
    "nlrl.models.registry": ("load_model",),
    "nlrl.models.streams": ("Assembler", "gather"),
    "nlrl.models.transformers.model": ("TransformersModel",),
    "nlrl.models.weights.known": ("DEFAULT_MODEL", "WEIGHTS", "WeightFile", "weight_file"),
    "nlrl.models.weights.store": ("cache_dir", "installed", "pull"),
})  # fmt: skip

__all__ = [
    "Assembler", "DEFAULT_MODEL", "GistResult", "LlamaModel", "OpenAIModel", "StopRules", "TransformersModel",
    "WEIGHTS", "WeightFile", "cache_dir", "gather", "installed", "load_model", "pull", "stream_gists", "weight_file",
]  # fmt: skip
