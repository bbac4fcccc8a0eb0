"""The plain face: functions in the order of the implementation guide, each over any model, tokenizer or none.

    prompt = get_dynamic_prompt(classify_task(question), question)
    text = best_of_n_generate(model, tokenizer, prompt, n=5, self_consistency=True)
    text, gists = generate_with_gist(model, None, prompt)
    run_tests(model, None, {"Sums": [{"question": "What is 2 + 2?", "answer": "4"}]}, {"math": reward})

A model is an `nlrl` model or its name (tokenizer None), a Hugging Face model with its tokenizer, or anything that
generates with anything that decodes. What goes beyond the guide is keyword-only. The functions work where an event loop
runs too, such as a notebook, and block it; the async face is `nlrl.solve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.functions.allocation import compute_optimal_scaling
    from nlrl.functions.benchmark import run_tests
    from nlrl.functions.files import CACHE_DIR, save_results_to_json, setup_logging, tokenize_with_cache
    from nlrl.functions.gists import generate_with_gist
    from nlrl.functions.strategies import (
        best_of_n_generate,
        divide_and_conquer,
        self_consistency_selection,
        self_refine,
    )
    from nlrl.functions.texts import AnswerText

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.functions.allocation": ("compute_optimal_scaling",),
    "nlrl.functions.benchmark": ("run_tests",),
    "nlrl.functions.files": ("CACHE_DIR", "save_results_to_json", "setup_logging", "tokenize_with_cache"),
    "nlrl.functions.gists": ("generate_with_gist",),
    "nlrl.functions.strategies": (
        "best_of_n_generate", "divide_and_conquer", "self_consistency_selection", "self_refine",
    ),
    "nlrl.functions.texts": ("AnswerText",),
})  # fmt: skip

__all__ = [
    "AnswerText", "CACHE_DIR", "best_of_n_generate", "compute_optimal_scaling", "divide_and_conquer",
    "generate_with_gist", "run_tests", "save_results_to_json", "self_consistency_selection", "self_refine",
    "setup_logging", "tokenize_with_cache",
]  # fmt: skip
