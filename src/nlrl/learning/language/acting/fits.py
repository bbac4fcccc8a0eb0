"""What a run is fitted to, by name: `nlrl play --fit`.

none      nothing: prompt-only, with `ActingSettings(fit=False)`
store     tables of texts
retrieve  the texts of the most similar states, before the question; a table of decisions
sft       two small models that are trained on the texts (extra `train`)
"""

from __future__ import annotations

from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.policies import ActionPolicy, Table, TrainedPolicy
from nlrl.learning.language.acting.values import LanguageValue, PromptedValue, Retrieve, Store, TrainedValue

FITS = ("none", "store", "retrieve", "sft")


def fitted_value(fit: str, operators: Operators, seed: int) -> LanguageValue:
    """V, or the successor texts, before anything is known. Raises MissingExtra for sft without torch."""
    if fit == "none":
        return PromptedValue(operators.env, operators.desk)
    if fit == "retrieve":
        return Retrieve(operators.env, operators.desk)
    if fit == "sft":
        from nlrl.learning.text.model import TextTransformer

        return TrainedValue(operators.env, operators.desk, TextTransformer(seed=seed))
    return Store(operators)


def fitted_policy(fit: str, operators: Operators, before: ActionPolicy, seed: int) -> ActionPolicy:
    """Pi, which decides as `before` until it is fitted. Raises MissingExtra for sft without torch."""
    if fit == "none":
        return before
    if fit == "sft":
        from nlrl.learning.text.model import TextTransformer

        return TrainedPolicy(operators.env, operators.desk, TextTransformer(seed=seed), before)
    return Table(operators.env, before)
