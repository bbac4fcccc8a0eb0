"""Improve: language policies and values, and the iteration that makes them better (Feng et al. 2024).

`asking` improves how a model is asked, `acting` learns how to act step by step in `environments`.

found = language_gpi(model, None, "gsm8k.jsonl", None, 4, budget=50_000)     # how a model is asked
result = await language_policy_iteration(operators, value, policy, settings)  # how to act, step by step
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.learning.language.acting.desk import Desk, Role
    from nlrl.learning.language.acting.evaluation import Evaluation
    from nlrl.learning.language.acting.gpi import language_policy_iteration
    from nlrl.learning.language.acting.improvement import Enumerate, Refine
    from nlrl.learning.language.acting.operators import Operators
    from nlrl.learning.language.acting.oracle import OracleModel
    from nlrl.learning.language.asking.functions import language_gpi
    from nlrl.learning.language.asking.improve_policy import Improvement
    from nlrl.learning.language.asking.policy import LanguagePolicy, load_language_policy

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.learning.language.acting.desk": ("Desk", "Role"),
    "nlrl.learning.language.acting.evaluation": ("Evaluation",),
    "nlrl.learning.language.asking.functions": ("language_gpi",),
    "nlrl.learning.language.acting.gpi": ("language_policy_iteration",),
    "nlrl.learning.language.asking.improve_policy": ("Improvement",),
    "nlrl.learning.language.acting.improvement": ("Enumerate", "Refine"),
    "nlrl.learning.language.acting.operators": ("Operators",),
    "nlrl.learning.language.acting.oracle": ("OracleModel",),
    "nlrl.learning.language.asking.policy": ("LanguagePolicy", "load_language_policy"),
})  # fmt: skip

__all__ = [
    "Desk", "Enumerate", "Evaluation", "Improvement", "LanguagePolicy", "Operators", "OracleModel", "Refine", "Role",
    "language_gpi", "language_policy_iteration", "load_language_policy",
]  # fmt: skip
