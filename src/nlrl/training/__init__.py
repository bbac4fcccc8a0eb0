"""Models that the project trains itself. Names are loaded when first used: scikit-learn and torch are extras."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.training.learner import FitReport, Recipe, TextLearner
    from nlrl.training.prm import train_prm
    from nlrl.training.rollouts import Labelled, LabelledAttempt, LabelProgress, label_attempts
    from nlrl.training.sft import FineTuner
    from nlrl.training.text_model import TextTransformer

_HOMES = {
    "LabelProgress": "rollouts", "Labelled": "rollouts", "LabelledAttempt": "rollouts", "label_attempts": "rollouts",
    "train_prm": "prm", "FitReport": "learner", "Recipe": "learner", "TextLearner": "learner", "FineTuner": "sft",
    "TextTransformer": "text_model",
}  # fmt: skip

__all__ = [
    "FineTuner", "FitReport", "LabelProgress", "Labelled", "LabelledAttempt", "Recipe", "TextLearner",
    "TextTransformer", "label_attempts", "train_prm",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"nlrl.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
