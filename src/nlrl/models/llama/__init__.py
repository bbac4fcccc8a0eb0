"""GGUF weights in this process, by llama.cpp.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.models.llama.model import LlamaModel

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.models.llama.model": ("LlamaModel",),
})  # fmt: skip

__all__ = [
    "LlamaModel",
]  # fmt: skip
