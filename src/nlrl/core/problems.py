"""What is asked: a problem, its kind, and for code the tests that decide.

>>> Problem("What is 17 + 25?", reference="42", task_type=TaskType.MATH).id
'3f0c...'   # a hash of the content: the same problem has the same id everywhere
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ANSWER_PHRASE = "Final Answer:"  # the contract between prompts, stop rules and extraction


class TaskType(StrEnum):
    """The kind of a problem; decides prompt, extraction and verifier."""

    MATH = "math"
    CODING = "coding"
    COMMONSENSE = "commonsense"
    WRITING = "writing"  # constrained writing; set by data sets, never by the classifier


@dataclass(frozen=True, slots=True)
class CodeTests:
    """How a program is judged. The solution never sees this source, only the arguments of its calls.

    setup        trusted source run before the tests (imports, helper functions of the data set)
    checks       statements such as "assert f(1) == 2", each one test; or one block that defines `check`
    public       those statements that the question shows: what an honest verifier may use before the grading
    entry_point  the function under test; HumanEval-style checks call it as `candidate`
    """

    checks: tuple[str, ...]
    public: tuple[str, ...] = ()
    entry_point: str | None = None
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question. `id` is a hash of what is asked and how it is judged; `source` is for people only."""

    question: str
    reference: str | None = None
    task_type: TaskType | None = None
    choices: tuple[str, ...] = ()
    context: str = ""
    tests: CodeTests | None = None
    constraints: tuple[Mapping[str, Any], ...] = ()
    aliases: tuple[str, ...] = ()  # other references that count as right
    source: str = ""
    id: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_id(self))


def content_id(problem: Problem) -> str:
    """16 hex digits of SHA-256 over everything but `source` and `id`."""
    tests = problem.tests
    content = [
        problem.question,
        problem.reference,
        problem.task_type,
        problem.choices,
        problem.context,
        [tests.checks, tests.public, tests.entry_point, tests.setup] if tests else None,
        [dict(c) for c in problem.constraints],
        problem.aliases,
    ]
    text = json.dumps(content, sort_keys=True, default=str)
    # surrogatepass: a question read from a broken file may hold lone surrogates, and still needs an id
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
