"""Problems: what kind they are, how to ask them, and where to get them."""

from nlrl.tasks.classify import Classification, classify_task
from nlrl.tasks.datasets import Dataset, load_problems
from nlrl.tasks.prompts import get_dynamic_prompt, messages_for

__all__ = ["Classification", "Dataset", "classify_task", "get_dynamic_prompt", "load_problems", "messages_for"]
