"""Twenty rows of each shape, from the file to the verdict: the right answer is right, a wrong one is wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nlrl.answers import extract_answer
from nlrl.core import Candidate, Completion, Finish, Problem, Verdict
from nlrl.tasks import load_problems
from nlrl.verifiers.reference import ReferenceVerifier

N = 20


def graded(problem: Problem, texts: list[str]) -> list[Verdict]:
    candidates = [
        Candidate(f"s{i}", Completion(text, Finish.STOP, 0), extract_answer(text, problem).answer)
        for i, text in enumerate(texts)
    ]
    return [score.verdict for score in asyncio.run(ReferenceVerifier().score(problem, candidates))]


def loaded(folder: Path, rows: list[dict[str, Any]]) -> tuple[Problem, ...]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    data = load_problems(path)
    assert len(data) == N and not data.errors
    return data.problems


def gpqa(i: int) -> dict[str, Any]:
    return {
        "Question": f"What is {i} + {i}?", "Correct Answer": f"{2 * i}\n", "Incorrect Answer 1": f"{2 * i + 1}",
        "Incorrect Answer 2": f"{2 * i + 2}", "Incorrect Answer 3": f"{2 * i + 3}", "Explanation": "One adds.",
    }  # fmt: skip


def test_gpqa(tmp_path: Path) -> None:
    for i, problem in enumerate(loaded(tmp_path, [gpqa(i) for i in range(N)])):
        assert len(problem.choices) == 4
        texts = [f"Final Answer: {2 * i}", f"Final Answer: {2 * i + 3}"]
        assert graded(problem, texts) == [Verdict.RIGHT, Verdict.WRONG]


def livecodebench(i: int) -> dict[str, Any]:
    def case(xs: list[int]) -> dict[str, str]:
        return {"input": f"{json.dumps(xs)}\n{i}", "output": json.dumps(sum(xs) + i), "testtype": "functional"}

    return {
        "question_title": f"Sum {i}", "question_content": "Return the sum of nums and k.", "difficulty": "easy",
        "starter_code": "class Solution:\n    def addAll(self, nums: List[int], k: int) -> int:\n        ",
        "public_test_cases": json.dumps([case([1, 2])]), "private_test_cases": json.dumps([case([]), case([-1])]),
        "metadata": json.dumps({"func_name": "addAll"}),
    }  # fmt: skip


def apps(i: int) -> dict[str, Any]:
    pairs = {"fn_name": "scale", "inputs": [[1, i], [3, i]], "outputs": [[i], [3 * i]]}
    return {"problem_id": i, "question": "Multiply a by b.", "input_output": json.dumps(pairs), "starter_code": ""}


METHOD = "```python\nclass Solution:\n    def addAll(self, nums: List[int], k: int) -> int:\n        return {}\n```"
FUNCTION = "```python\ndef scale(a, b):\n    return {}\n```"


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        (livecodebench, METHOD.format("sum(nums) + k"), METHOD.format("k")),
        (apps, FUNCTION.format("a * b"), FUNCTION.format("a * b + 1")),
    ],
)
def test_programs(tmp_path: Path, row: Any, right: str, wrong: str) -> None:
    for problem in loaded(tmp_path, [row(i) for i in range(N)]):
        assert problem.tests is not None and len(problem.tests.public) < len(problem.tests.checks)
        assert graded(problem, [right, wrong]) == [Verdict.RIGHT, Verdict.WRONG]
