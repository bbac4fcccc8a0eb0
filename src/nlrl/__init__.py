"""Better answers from language models for the compute you can afford: measure, allocate, serve, improve.

    from nlrl import Budget, Compute, Problem, load_model, solve

    compute = Compute(load_model("qwen2.5-coder-0.5b"), budget=Budget(tokens=4000))
    answer = await solve("self_consistency(n=8)", Problem("What is 17 + 25?"), compute)

Names are imported on first use, so `import nlrl` costs nothing that you do not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl import former as former  # first, so that it sees every other import
from nlrl.core.faces import lazy
from nlrl.core.offers import offer
from nlrl.core.version import __version__ as __version__

if TYPE_CHECKING:
    from nlrl.bank import Bank, ReplayModel
    from nlrl.compute import Compute, Strategy
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
        TaskType,
        Usage,
        UserError,
        Verdict,
        Verifier,
    )
    from nlrl.functions import (
        CACHE_DIR,
        best_of_n_generate,
        compute_optimal_scaling,
        divide_and_conquer,
        generate_with_gist,
        run_tests,
        save_results_to_json,
        self_consistency_selection,
        self_refine,
        setup_logging,
        tokenize_with_cache,
    )
    from nlrl.learning.language import LanguagePolicy, language_gpi
    from nlrl.models import load_model
    from nlrl.sandbox import run_code_tests
    from nlrl.strategies import solve
    from nlrl.tasks import (
        EXAMPLE_MATH_PROBLEM,
        PROMPT_TEMPLATES,
        as_problem,
        classify_task,
        get_dynamic_prompt,
        load_problems,
    )
    from nlrl.verifiers import as_verifier, get_verifier
    from nlrl.verifiers.mocks import (
        mock_coding_reward_model,
        mock_commonsense_reward_model,
        mock_math_reward_model,
        mock_reward_model,
    )

offer("model", "stochastic", "nlrl.testing.scripted:StochasticModel")
offer("strategy", "auto", "nlrl.scaling.auto:auto")

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.bank": ("Bank", "ReplayModel"),
    "nlrl.compute": ("Compute", "Strategy"),
    "nlrl.core": (
        "Answer", "Budget", "Candidate", "CodeTests", "Completion", "Gist", "Message", "Model", "NlrlError", "Problem",
        "Request", "Sampling", "Score", "TaskType", "Usage", "UserError", "Verdict", "Verifier",
    ),
    "nlrl.functions": (
        "CACHE_DIR", "best_of_n_generate", "compute_optimal_scaling", "divide_and_conquer", "generate_with_gist",
        "run_tests", "save_results_to_json", "self_consistency_selection", "self_refine", "setup_logging",
        "tokenize_with_cache",
    ),
    "nlrl.learning.language": ("LanguagePolicy", "language_gpi"),
    "nlrl.models": ("load_model",),
    "nlrl.sandbox": ("run_code_tests",),
    "nlrl.strategies": ("solve",),
    "nlrl.tasks": (
        "EXAMPLE_MATH_PROBLEM", "PROMPT_TEMPLATES", "as_problem", "classify_task", "get_dynamic_prompt",
        "load_problems",
    ),
    "nlrl.verifiers": ("as_verifier", "get_verifier"),
    "nlrl.verifiers.mocks": (
        "mock_coding_reward_model", "mock_commonsense_reward_model", "mock_math_reward_model", "mock_reward_model",
    ),
})  # fmt: skip

__all__ = [
    "Answer", "Bank", "Budget", "CACHE_DIR", "Candidate", "CodeTests", "Completion", "Compute",
    "EXAMPLE_MATH_PROBLEM", "Gist", "LanguagePolicy", "Message", "Model", "NlrlError", "PROMPT_TEMPLATES", "Problem",
    "ReplayModel", "Request", "Sampling", "Score", "Strategy", "TaskType", "Usage", "UserError", "Verdict",
    "Verifier", "as_problem", "as_verifier", "best_of_n_generate", "classify_task", "compute_optimal_scaling",
    "divide_and_conquer", "generate_with_gist", "get_dynamic_prompt", "get_verifier", "language_gpi", "load_model",
    "load_problems", "mock_coding_reward_model", "mock_commonsense_reward_model", "mock_math_reward_model",
    "mock_reward_model", "run_code_tests", "run_tests", "save_results_to_json", "self_consistency_selection",
    "self_refine", "setup_logging", "solve", "tokenize_with_cache",
]  # fmt: skip
