"""What is asked: a problem, its kind, and for code the tests that decide.

>>> Problem("What is 17 + 25?", reference="42", task_type=TaskType.MATH).id
'3f0c...'   # a hash of the content: the same problem has the same id everywhere
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

ANSWER_PHRASE = "Final Answer:"  # the contract between prompts, stop rules and extraction


class TaskType(StrEnum):
    """The kind of a problem; decides prompt, extraction and verifier."""

    MATH = "math"
    CODING = "coding"
    COMMONSENSE = "commonsense"
    WRITING = "writing"  # constrained writing; set by data sets, never by the classifier


Comparison = Literal["exact", "tokens", "numbers"]


@dataclass(frozen=True, slots=True)
class InputOutput:
    """A test of a whole program: what it reads from standard input, and what it must print.

    compare    exact: the same lines, but for space at their ends and empty lines at the end
               tokens: the same words, however they are spaced
               numbers: as tokens; numbers count by value, and within `tolerance` where a fraction is expected
    tolerance  absolute, and relative to the expected number
    """

    stdin: str
    stdout: str
    compare: Comparison = "numbers"
    tolerance: float = 1e-6

    def __str__(self) -> str:
        return f"input:\n{self.stdin.rstrip()}\noutput:\n{self.stdout.rstrip()}"


@dataclass(frozen=True, slots=True)
class CodeTests:
    """How a program is judged. The solution never sees this source, only the arguments of its calls.

    setup        trusted source run before the tests (imports, helper functions of the data set)
    checks       statements such as "assert f(1) == 2", each one test; one block that defines `check`; or what a whole
                 program reads and must print
    public       those of them that the question shows: what an honest verifier may use before the grading
    entry_point  the function under test; HumanEval-style checks call it as `candidate`
    prelude      source that is run before the program and in its place, as some sets give programs their imports
    """

    checks: tuple[str | InputOutput, ...]
    public: tuple[str | InputOutput, ...] = ()
    entry_point: str | None = None
    setup: str = ""
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question. `id` is a hash of what is asked and how it is judged; `source` is for people only.

    group  names the cluster: problems that vary together (one exercise in variants, questions on one text)
    """

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
    group: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", content_id(self))


def blind(problem: Problem) -> Problem:
    """What a strategy is given: the problem under the same id, without the answers that it is judged by.

    Hidden tests stay: how a program is read out of a text depends on the names they use. Only graders run them.
    """
    return replace(problem, reference=None, aliases=())


def content_id(problem: Problem) -> str:
    """16 hex digits of SHA-256 over everything but `source`, `group` and `id`."""
    tests = problem.tests
    content = [
        problem.question,
        problem.reference,
        problem.task_type,
        problem.choices,
        problem.context,
        _of_tests(tests) if tests else None,
        [dict(c) for c in problem.constraints],
        problem.aliases,
    ]
    text = json.dumps(content, sort_keys=True, default=str)
    # surrogatepass: a question read from a broken file may hold lone surrogates, and still needs an id
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _of_tests(tests: CodeTests) -> list[Any]:
    checks, public = (
        [[*astuple(check)] if isinstance(check, InputOutput) else check for check in some]
        for some in (tests.checks, tests.public)
    )
    return [checks, public, tests.entry_point, tests.setup, *filter(None, [tests.prelude])]
