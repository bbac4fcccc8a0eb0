"""Problems: what kind they are, how to ask them, and where to get them."""

from nlrl.tasks.classify import Classification, classify_task
from nlrl.tasks.datasets import Dataset, load_problems
from nlrl.tasks.prompts import get_dynamic_prompt, messages_for
from nlrl.tasks.rows import as_problem
from nlrl.tasks.templates import EXAMPLE_MATH_PROBLEM, PROMPT_TEMPLATES

__all__ = [
    "EXAMPLE_MATH_PROBLEM", "PROMPT_TEMPLATES", "Classification", "Dataset", "as_problem", "classify_task",
    "get_dynamic_prompt", "load_problems", "messages_for",
]  # fmt: skip
