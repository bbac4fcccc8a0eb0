"""A model whose mistakes live in its steps: chains of sums, one a line."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

import pytest

from nlrl.core import Problem, Request, TaskType
from nlrl.testing import ScriptedModel

ERROR = 0.25  # chance that a step's sum comes out wrong


def _terms(question: str) -> list[int]:
    return [int(t) for t in question.removeprefix("Add up: ").split(", ")]


def _continued(request: Request, index: int) -> str:
    """One more line, or the rest of the chain from where the prefill ends; errors are carried on."""
    question = next(m.content for m in reversed(request.messages) if "Add up: " in m.content)
    question = "Add up: " + question.split("Add up: ")[-1].splitlines()[0]
    terms = _terms(question)
    said = [line for line in request.prefill.splitlines() if "=" in line]
    total = int(said[-1].split("=")[-1]) if said else terms[0]
    seed = hashlib.sha256(f"{question}|{request.prefill}|{index}".encode()).digest()
    rng = random.Random(seed)
    lines = []
    for term in terms[1 + len(said) :]:
        result = total + term + (rng.choice([-2, -1, 1, 2]) if rng.random() < ERROR else 0)
        lines.append(f"{total} + {term} = {result}")
        total = result
    return "\n".join([*lines, f"Final Answer: {total}"])


@pytest.fixture(scope="session")
def chains() -> Callable[[int], list[Problem]]:
    """n problems, each a chain of four sums."""

    def make(n: int, seed: int = 0) -> list[Problem]:
        rng = random.Random(seed)
        out = []
        for _ in range(n):
            terms = [rng.randint(2, 60) for _ in range(5)]
            question = "Add up: " + ", ".join(map(str, terms))
            out.append(Problem(question, reference=str(sum(terms)), task_type=TaskType.MATH))
        return out

    return make


@pytest.fixture(scope="session")
def adder() -> Callable[[], ScriptedModel]:
    """A model that adds, and errs in a quarter of its steps; what is wrong stays wrong."""
    return lambda: ScriptedModel(_continued, name="adder")


@pytest.fixture(scope="session")
def attempt_text() -> Callable[[Sequence[int], int | None], str]:
    """A worked chain whose step `wrong` (from 0) is off by one; None for none."""

    def make(terms: Sequence[int], wrong: int | None) -> str:
        total, lines = terms[0], []
        for k, term in enumerate(terms[1:]):
            result = total + term + (1 if k == wrong else 0)
            lines.append(f"{total} + {term} = {result}")
            total = result
        return "\n".join([*lines, f"Final Answer: {total}"])

    return make
