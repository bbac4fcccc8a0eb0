"""Read the answer out of a text, and say whether two answers are the same. No model, no network.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.answers.choices import match_choice
    from nlrl.answers.equivalence import Equivalence, canonical, default_equivalence
    from nlrl.answers.extraction import Extraction, extract_answer

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.answers.choices": ("match_choice",),
    "nlrl.answers.equivalence": ("Equivalence", "canonical", "default_equivalence"),
    "nlrl.answers.extraction": ("Extraction", "extract_answer"),
})  # fmt: skip

__all__ = [
    "Equivalence", "Extraction", "canonical", "default_equivalence", "extract_answer", "match_choice",
]  # fmt: skip
