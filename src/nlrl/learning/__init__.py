"""Models that the project trains itself. Names are loaded when first used: scikit-learn and torch are extras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.learning.learner import FitReport, Recipe, TextLearner
    from nlrl.learning.prm import train_prm
    from nlrl.learning.rollouts import Labelled, LabelledAttempt, LabelProgress, label_attempts
    from nlrl.learning.sft import FineTuner
    from nlrl.learning.text.model import TextTransformer

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.learning.learner": ("FitReport", "Recipe", "TextLearner"),
    "nlrl.learning.prm": ("train_prm",),
    "nlrl.learning.rollouts": ("LabelProgress", "Labelled", "LabelledAttempt", "label_attempts"),
    "nlrl.learning.sft": ("FineTuner",),
    "nlrl.learning.text.model": ("TextTransformer",),
})  # fmt: skip

__all__ = [
    "FineTuner", "FitReport", "LabelProgress", "Labelled", "LabelledAttempt", "Recipe", "TextLearner",
    "TextTransformer", "label_attempts", "train_prm",
]  # fmt: skip
