"""Models that the project trains itself. Names are loaded when first used: scikit-learn and torch are extras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.training.learner import FitReport, Recipe, TextLearner
    from nlrl.training.prm import train_prm
    from nlrl.training.rollouts import Labelled, LabelledAttempt, LabelProgress, label_attempts
    from nlrl.training.sft import FineTuner
    from nlrl.training.text_model import TextTransformer

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.training.learner": ("FitReport", "Recipe", "TextLearner"),
    "nlrl.training.prm": ("train_prm",),
    "nlrl.training.rollouts": ("LabelProgress", "Labelled", "LabelledAttempt", "label_attempts"),
    "nlrl.training.sft": ("FineTuner",),
    "nlrl.training.text_model": ("TextTransformer",),
})  # fmt: skip

__all__ = [
    "FineTuner", "FitReport", "LabelProgress", "Labelled", "LabelledAttempt", "Recipe", "TextLearner",
    "TextTransformer", "label_attempts", "train_prm",
]  # fmt: skip
