"""Improve: language policies and values, and the iteration that makes them better (Feng et al. 2024).

`asking` improves how a model is asked, `acting` learns how to act step by step in `environments`.

found = language_gpi(model, None, "gsm8k.jsonl", None, 4, budget=50_000)     # how a model is asked
result = await language_policy_iteration(operators, value, policy, settings)  # how to act, step by step
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "acting.desk": ("Desk", "Role"),
    "acting.evaluation": ("Evaluation",),
    "asking.functions": ("language_gpi",),
    "acting.gpi": ("language_policy_iteration",),
    "asking.improve_policy": ("Improvement",),
    "acting.improvement": ("Enumerate", "Refine"),
    "acting.operators": ("Operators",),
    "acting.oracle": ("OracleModel",),
    "asking.policy": ("LanguagePolicy", "load_language_policy"),
}

__all__ = [
    "Desk", "Enumerate", "Evaluation", "Improvement", "LanguagePolicy", "Operators", "OracleModel", "Refine", "Role",
    "language_gpi", "language_policy_iteration", "load_language_policy",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"nlrl.language_rl.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
