"""Models that the project trains itself. Names are loaded when first used: scikit-learn and torch are extras."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.training.prm import train_prm
    from nlrl.training.rollouts import Labelled, LabelledAttempt, LabelProgress, label_attempts

_HOMES = {
    "LabelProgress": "rollouts", "Labelled": "rollouts", "LabelledAttempt": "rollouts", "label_attempts": "rollouts",
    "train_prm": "prm",
}  # fmt: skip

__all__ = ["LabelProgress", "Labelled", "LabelledAttempt", "label_attempts", "train_prm"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"nlrl.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
