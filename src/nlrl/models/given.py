"""Whatever a caller calls a model, as a `Model`."""

from __future__ import annotations

import sys
from typing import Any

from nlrl.core import Model, UserError


def as_model(model: Any, tokenizer: Any = None) -> Model:
    """An `nlrl` model as it is; a string, loaded by name; a Hugging Face model, or whatever generates, with its
    tokenizer, wrapped.

    Raises UserError for anything else.
    """
    if tokenizer is not None and not _is_module(model):
        from nlrl.models.pairs import Pair

        return Pair(model, tokenizer)
    if tokenizer is not None:
        from nlrl.models.transformers import TransformersModel

        return TransformersModel.from_pretrained_pair(model, tokenizer)
    if isinstance(model, str):
        from nlrl.models import load_model

        return load_model(model)
    if isinstance(model, Model):
        return model
    raise UserError(
        f"{type(model).__name__} is not a model. Give an nlrl model, its name, or a Hugging Face model and tokenizer."
    )


def _is_module(model: Any) -> bool:
    """Whether it is a network of PyTorch's, which is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)
