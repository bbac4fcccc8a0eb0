"""Allocate: how hard is a problem, what pays there, and what that is worth.

done = await calibrate(problems, model, bank=Bank("samples.db"), samples=16)
save_policy(done.policy, "policy.json")
answer = await solve("auto(policy='policy.json')", problem, Compute(model))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.scaling.across import solve_all
    from nlrl.scaling.calibrate import Calibration, default_strategies
    from nlrl.scaling.flops import Shape, compare_matched, matched
    from nlrl.scaling.gains import GainTable, fit_gain, load_gain, save_gain
    from nlrl.scaling.marginal import Curve, allocate, curves_of
    from nlrl.scaling.policy import Option, Policy, default_policy, load_policy, save_policy

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.scaling.across": ("solve_all",),
    "nlrl.scaling.flops": ("Shape", "compare_matched", "matched"),
    "nlrl.scaling.gains": ("GainTable", "fit_gain", "load_gain", "save_gain"),
    "nlrl.scaling.marginal": ("Curve", "allocate", "curves_of"),
    "nlrl.scaling.calibrate": ("Calibration", "default_strategies"),
    "nlrl.scaling.policy": ("Option", "Policy", "default_policy", "load_policy", "save_policy"),
})  # fmt: skip

__all__ = [
    "Calibration", "Curve", "GainTable", "Option", "Policy", "Shape", "allocate", "compare_matched", "curves_of",
    "default_policy", "default_strategies", "fit_gain", "load_gain", "load_policy", "matched", "save_gain",
    "save_policy", "solve_all",
]  # fmt: skip
