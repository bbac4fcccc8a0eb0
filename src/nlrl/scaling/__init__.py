"""Allocate: how hard is a problem, what pays there, and what that is worth.

done = await calibrate(problems, model, bank=Bank("samples.db"), samples=16)
save_policy(done.policy, "policy.json")
answer = await solve("auto(policy='policy.json')", problem, Compute(model))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.scaling.calibrate import Calibration, default_strategies
    from nlrl.scaling.policy import Option, Policy, default_policy, load_policy, save_policy

_HOMES = {
    "calibrate": ("Calibration", "default_strategies"),
    "policy": ("Option", "Policy", "default_policy", "load_policy", "save_policy"),
}

__all__ = ["Calibration", "Option", "Policy", "default_policy", "default_strategies", "load_policy", "save_policy"]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"nlrl.scaling.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
