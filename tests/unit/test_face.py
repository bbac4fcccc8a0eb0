"""The flat face: every name exists, costs nothing until used, and nothing is loaded before."""

import subprocess
import sys

import pytest

import nlrl

REQUIRED = (
    "classify_task", "get_dynamic_prompt", "divide_and_conquer", "self_refine", "self_consistency_selection",
    "best_of_n_generate", "generate_with_gist", "run_tests", "language_gpi", "compute_optimal_scaling",
    "save_results_to_json", "setup_logging", "tokenize_with_cache", "EXAMPLE_MATH_PROBLEM", "PROMPT_TEMPLATES",
)  # fmt: skip


def test_every_public_name_is_there_once():
    assert set(REQUIRED) <= set(nlrl.__all__)
    assert len(nlrl.__all__) == len(set(nlrl.__all__))
    for name in nlrl.__all__:
        assert callable(getattr(nlrl, name)) or getattr(nlrl, name) is not None
    assert set(nlrl.__all__) <= set(dir(nlrl))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nlrl.no_such_name


def test_importing_loads_nothing_heavy():
    heavy = ("numpy", "httpx", "rich", "sympy", "torch", "click")
    code = f"import nlrl, nlrl.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
