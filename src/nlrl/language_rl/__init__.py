"""Improve: language policies and values, and the iteration that makes them better (Feng et al. 2024).

`asking` improves how a model is asked, `acting` learns how to act step by step in `environments`.

found = language_gpi(model, None, "gsm8k.jsonl", None, 4, budget=50_000)     # how a model is asked
result = await language_policy_iteration(operators, value, policy, settings)  # how to act, step by step
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.language_rl.acting.desk import Desk, Role
    from nlrl.language_rl.acting.evaluation import Evaluation
    from nlrl.language_rl.acting.gpi import language_policy_iteration
    from nlrl.language_rl.acting.improvement import Enumerate, Refine
    from nlrl.language_rl.acting.operators import Operators
    from nlrl.language_rl.acting.oracle import OracleModel
    from nlrl.language_rl.asking.functions import language_gpi
    from nlrl.language_rl.asking.improve_policy import Improvement
    from nlrl.language_rl.asking.policy import LanguagePolicy, load_language_policy

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.language_rl.acting.desk": ("Desk", "Role"),
    "nlrl.language_rl.acting.evaluation": ("Evaluation",),
    "nlrl.language_rl.asking.functions": ("language_gpi",),
    "nlrl.language_rl.acting.gpi": ("language_policy_iteration",),
    "nlrl.language_rl.asking.improve_policy": ("Improvement",),
    "nlrl.language_rl.acting.improvement": ("Enumerate", "Refine"),
    "nlrl.language_rl.acting.operators": ("Operators",),
    "nlrl.language_rl.acting.oracle": ("OracleModel",),
    "nlrl.language_rl.asking.policy": ("LanguagePolicy", "load_language_policy"),
})  # fmt: skip

__all__ = [
    "Desk", "Enumerate", "Evaluation", "Improvement", "LanguagePolicy", "Operators", "OracleModel", "Refine", "Role",
    "language_gpi", "language_policy_iteration", "load_language_policy",
]  # fmt: skip
