"""Hugging Face checkpoints in this process.

Names are loaded when first used: torch is an extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.models.transformers.model import MAX_BATCH, UNBOUNDED_TOKENS, TransformersModel

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.models.transformers.model": ("MAX_BATCH", "TransformersModel", "UNBOUNDED_TOKENS"),
})  # fmt: skip

__all__ = [
    "MAX_BATCH", "TransformersModel", "UNBOUNDED_TOKENS",
]  # fmt: skip
