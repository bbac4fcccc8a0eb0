"""Allocate: how hard is a problem, what pays there, and what that is worth.

done = await calibrate(problems, model, bank=Bank("samples.db"), samples=16)
save_policy(done.policy, "policy.json")
answer = await solve("auto(policy='policy.json')", problem, Compute(model))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.scaling.across import solve_all
    from nlrl.scaling.calibrate import Calibration, default_strategies
    from nlrl.scaling.flops import Shape, compare_matched, matched
    from nlrl.scaling.gains import GainTable, fit_gain, load_gain, save_gain
    from nlrl.scaling.marginal import Curve, allocate, curves_of
    from nlrl.scaling.policy import Option, Policy, default_policy, load_policy, save_policy

_HOMES = {
    "across": ("solve_all",),
    "flops": ("Shape", "compare_matched", "matched"),
    "gains": ("GainTable", "fit_gain", "load_gain", "save_gain"),
    "marginal": ("Curve", "allocate", "curves_of"),
    "calibrate": ("Calibration", "default_strategies"),
    "policy": ("Option", "Policy", "default_policy", "load_policy", "save_policy"),
}

__all__ = [
    "Calibration", "Curve", "GainTable", "Option", "Policy", "Shape", "allocate", "compare_matched", "curves_of",
    "default_policy", "default_strategies", "fit_gain", "load_gain", "load_policy", "matched", "save_gain",
    "save_policy", "solve_all",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"nlrl.scaling.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
