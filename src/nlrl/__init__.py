"""Better answers from language models for the compute you can afford: measure, allocate, serve, improve.

    from nlrl import Budget, Compute, Problem, load_model, solve

    compute = Compute(load_model("qwen2.5-coder-0.5b"), budget=Budget(tokens=4000))
    answer = await solve("self_consistency(n=8)", Problem("What is 17 + 25?"), compute)

Names are imported on first use, so `import nlrl` costs nothing that you do not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.cli.logs import setup_logging
    from nlrl.compute import Bank, Compute, ReplayModel
    from nlrl.core import (
        Answer,
        Budget,
        Candidate,
        CodeTests,
        Completion,
        Gist,
        Message,
        Model,
        NlrlError,
        Problem,
        Request,
        Sampling,
        Score,
        Strategy,
        TaskType,
        Usage,
        UserError,
        Verdict,
        Verifier,
    )
    from nlrl.functions import (
        best_of_n_generate,
        compute_optimal_scaling,
        divide_and_conquer,
        save_results_to_json,
        self_consistency_selection,
        self_refine,
    )
    from nlrl.language_rl import LanguagePolicy, language_gpi
    from nlrl.models import generate_with_gist, load_model
    from nlrl.rewards import get_verifier
    from nlrl.sandbox import run_tests
    from nlrl.strategies import solve
    from nlrl.tasks import classify_task, get_dynamic_prompt, load_problems

__version__ = "0.1.0"

_PLACES = {
    "nlrl.compute": ("Bank", "Compute", "ReplayModel"),
    "nlrl.core": (
        "Answer", "Budget", "Candidate", "CodeTests", "Completion", "Gist", "Message", "Model", "NlrlError", "Problem",
        "Request", "Sampling", "Score", "Strategy", "TaskType", "Usage", "UserError", "Verdict", "Verifier",
    ),
    "nlrl.functions": (
        "best_of_n_generate", "compute_optimal_scaling", "divide_and_conquer", "save_results_to_json",
        "self_consistency_selection", "self_refine",
    ),
    "nlrl.cli.logs": ("setup_logging",),
    "nlrl.language_rl": ("LanguagePolicy", "language_gpi"),
    "nlrl.models": ("generate_with_gist", "load_model"),
    "nlrl.rewards": ("get_verifier",),
    "nlrl.sandbox": ("run_tests",),
    "nlrl.strategies": ("solve",),
    "nlrl.tasks": ("classify_task", "get_dynamic_prompt", "load_problems"),
}  # fmt: skip
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Answer", "Bank", "Budget", "Candidate", "CodeTests", "Completion", "Compute", "Gist", "LanguagePolicy",
    "Message", "Model", "NlrlError", "Problem", "ReplayModel", "Request", "Sampling", "Score", "Strategy",
    "TaskType", "Usage", "UserError", "Verdict", "Verifier", "best_of_n_generate", "classify_task",
    "compute_optimal_scaling", "divide_and_conquer", "generate_with_gist", "get_dynamic_prompt", "get_verifier",
    "language_gpi", "load_model", "load_problems", "run_tests", "save_results_to_json",
    "self_consistency_selection", "self_refine", "setup_logging", "solve",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nlrl' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
