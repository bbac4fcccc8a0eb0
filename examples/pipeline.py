#!/usr/bin/env python3
"""The implementation guide's main: three small sets through benchmarking and language policy iteration.

    python examples/pipeline.py                              the embedded default model (fetch it: nlrl models pull)
    python examples/pipeline.py --model smollm2-135m         another one, named as on the command line
    python examples/pipeline.py --model stochastic:0.6       none at all: right with that chance

Writes cache/benchmark_results.json, cache/language_gpi_results.json and cache/system.log.
"""

from __future__ import annotations

import argparse
import sys

from nlrl import (
    NlrlError,
    as_problem,
    language_gpi,
    load_model,
    mock_coding_reward_model,
    mock_commonsense_reward_model,
    mock_math_reward_model,
    run_tests,
    setup_logging,
)
from nlrl.models import DEFAULT_MODEL

DATASETS = {
    "MathTasks": [
        {"problem": "Calculate the integral of sin(x) dx.", "answer": "-cos(x) + C"},
        {"problem": "Find the derivative of x^3.", "answer": "3x^2"},
    ],
    "CodingTasks": [
        {
            "problem": "Write a Python function to reverse a string.",
            "answer": "def reverse_string(s): return s[::-1]",
            "test_cases": [{"input": "hello", "expected": "olleh"}],
        },
        {
            "problem": "Implement a binary search algorithm.",
            "answer": "def binary_search(arr, target): ...",
            "test_cases": [{"input": {"arr": [1, 2, 3, 4, 5], "target": 3}, "expected": 2}],
        },
    ],
    "CommonsenseTasks": [
        {
            "question": "Why is the sky blue?",
            "answer": "Due to the scattering of sunlight by the atmosphere.",
        },
        {
            "question": "Why do leaves change color in the fall?",
            "answer": "Due to changes in daylight and temperature affecting chlorophyll production.",
        },
    ],
}

REWARD_MODELS = {  # stand-ins, as in the guide: "judge", a verifier, or functions of your own go here
    "math": mock_math_reward_model,
    "coding": mock_coding_reward_model,
    "commonsense": mock_commonsense_reward_model,
}


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    options.add_argument("--model", default=DEFAULT_MODEL, help=f"as on the command line [default: {DEFAULT_MODEL}]")
    options.add_argument("--iterations", type=int, default=2, help="of language policy iteration [default: 2]")
    options.add_argument("--debug", action="store_true", help="print every gist and every sample")
    chosen = options.parse_args()
    rows = [row for dataset in DATASETS.values() for row in dataset]
    try:
        setup_logging()
        known = {"problems": [as_problem(row) for row in rows]} if chosen.model.startswith("stochastic:") else {}
        model = load_model(chosen.model, **known)
        run_tests(model, None, DATASETS, reward_models=REWARD_MODELS, debug_mode=chosen.debug)
        language_gpi(model, None, rows, REWARD_MODELS, iterations=chosen.iterations, debug_mode=chosen.debug)
    except NlrlError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print("\nIn ./cache: benchmark_results.json, language_gpi_results.json, system.log")
    return 0


if __name__ == "__main__":
    sys.exit(main())
