"""Twenty rows of each shape on standard input (LiveCodeBench, APPS, CodeContests), from the file to the verdict."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nlrl.answers import extract_answer
from nlrl.core import Candidate, Completion, Finish, Problem, Verdict
from nlrl.tasks import load_problems
from nlrl.verifiers.code import CodeVerifier

N = 20


def graded(problem: Problem, verifier: CodeVerifier, *texts: str) -> list[Verdict]:
    candidates = [
        Candidate(f"s{i}", Completion(text, Finish.STOP, 0), extract_answer(text, problem).answer)
        for i, text in enumerate(texts)
    ]
    return [score.verdict for score in asyncio.run(verifier.score(problem, candidates))]


def livecodebench(i: int) -> dict[str, Any]:
    def case(x: int) -> dict[str, str]:
        return {"input": f"1\n{x}\n", "output": f"{x * i / 4:.2f}\n", "testtype": "stdin"}

    return {
        "question_title": f"Times {i}", "question_content": f"Multiply by {i} and divide by 4.", "starter_code": "",
        "public_test_cases": json.dumps([case(0)]), "private_test_cases": json.dumps([case(3), case(8)]),
        "metadata": "{}",
    }  # fmt: skip


def apps(i: int) -> dict[str, Any]:
    pairs = {"inputs": ["1\n0\n", ["1", "3"], "1\n8"], "outputs": [f"{0.0}\n", [f"{3 * i / 4}"], f"{8 * i / 4}"]}
    return {"question": f"Multiply by {i} and divide by 4.", "input_output": json.dumps(pairs), "starter_code": ""}


def codecontests(i: int) -> dict[str, Any]:
    return {
        "name": f"{i}_A", "description": f"Multiply by {i} and divide by 4.",
        "public_tests": {"input": ["1\n0\n"], "output": ["0.0\n"]},
        "private_tests": {"input": ["1\n3\n"], "output": [f"{3 * i / 4}\n"]},
        "generated_tests": {"input": ["1\n8\n"], "output": [f"{8 * i / 4}\n"]},
    }  # fmt: skip


@pytest.mark.parametrize("shape", [livecodebench, apps, codecontests])
def test_rows_on_standard_input(shape: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(shape(i)) for i in range(1, N + 1)), encoding="utf-8")
    data = load_problems(path)
    assert len(data) == N and not data.errors
    verifier, public = CodeVerifier(), CodeVerifier("public")
    for i, problem in enumerate(data.problems, 1):
        body = "import sys\n\ndef main():\n    n, *xs = map(int, sys.stdin.read().split())\n    for x in xs:\n"
        right = f"```python\n{body}        print(x * {i} / 4)\n\nif __name__ == '__main__':\n    main()\n```"
        wrong = right.replace(f"* {i} / 4", f"* {i} / 5")
        silent = "```python\ndef solve(x):\n    return x\n```"
        found = graded(problem, verifier, right, wrong, silent, "I cannot.")
        assert found == [Verdict.RIGHT, Verdict.WRONG, Verdict.WRONG, Verdict.UNPARSED]
        if shape is not apps:  # a public test of 0 cannot tell the two apart
            assert graded(problem, public, wrong, silent) == [Verdict.RIGHT, Verdict.WRONG]
