"""Programs read out of completions: every shape must give a program that runs."""

from __future__ import annotations

import textwrap

import pytest

from nlrl.core import CodeTests, Problem, TaskType
from nlrl.rewards.code_extraction import extract_code

PROMPT = (
    "from typing import List\nimport math\n\n\ndef helper(x):\n    return x + 1\n\n\n"
    'def area(sides: List[int]) -> float:\n    """Product of the sides after `helper`.\n\n'
    '    >>> area([1, 2])\n    6\n    """\n'
)
BODY = "    out = 1\n    for s in sides:\n        out *= helper(s)\n    return math.floor(out)\n"
SOLUTION = PROMPT + BODY
TESTS = CodeTests(("assert area([1, 2]) == 6",), entry_point="area")
PROBLEM = Problem(PROMPT, task_type=TaskType.CODING, tests=TESTS)
CHAT = Problem(f"Complete this function.\n\n```python\n{PROMPT}```\nReply with code.", tests=TESTS)
ONLY_FUNCTION = SOLUTION[SOLUTION.index("def area") :]

SHAPES = {
    "fenced": f"Here it is:\n```python\n{SOLUTION}```\nIt works.",
    "fenced without language": f"```\n{SOLUTION}```",
    "tilde fence": f"~~~python\n{SOLUTION}~~~",
    "indented fence": textwrap.indent(f"```python\n{SOLUTION}```", "   "),
    "unclosed fence": f"```python\n{SOLUTION}",
    "cut off after the function": f"```python\n{SOLUTION}\nif __name__ ==",
    "raw": SOLUTION,
    "raw in prose": f"Here is the code:\n\n{SOLUTION}\nThis works because it multiplies, you see.",
    "body": BODY,
    "body then rambling": BODY + "\nprint(area([1]))\nSome more text here.",
    "dedented body": textwrap.dedent(BODY),
    "body in a fence": f"```python\n{BODY}```",
    "no imports, no helper": f"```python\n{ONLY_FUNCTION}```",
    "usage after it": f"```python\n{SOLUTION}```\nUse it so:\n```python\nprint(area([1, 2]))\n```",
    "a shell block after it": f"```python\n{SOLUTION}```\n```bash\npython area.py\n```",
    "two versions": f"```python\ndef area(sides):\n    return 0\n```\nBetter:\n```python\n{SOLUTION}```",
    "windows line ends": f"```python\n{SOLUTION}```".replace("\n", "\r\n"),
    "tabs": f"```python\n{SOLUTION}```".replace("    ", "\t"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("problem", [PROBLEM, CHAT], ids=["completion", "chat"])
def test_every_shape_gives_a_program_that_runs(shape: str, problem: Problem) -> None:
    code = extract_code(SHAPES[shape], problem)
    assert code is not None
    space: dict[str, object] = {}
    exec(compile(code, "<extracted>", "exec"), space)  # noqa: S102  our own source
    area = space["area"]
    assert callable(area)
    assert area([1, 2]) == 6


@pytest.mark.parametrize("text", ["", "   ", "I do not know.", "Sure! Here you go.", "```\n\n```", "42"])
def test_no_code_is_none(text: str) -> None:
    assert extract_code(text, PROBLEM) is None


def test_code_that_defines_something_else_is_still_the_answer() -> None:
    code = extract_code("```python\ndef volume(x):\n    return x\n```", PROBLEM)
    assert code is not None and "def volume" in code


def test_a_broken_block_is_still_the_answer() -> None:
    code = extract_code("```python\ndef area(sides:\n    return (\n```", PROBLEM)
    assert code is not None and "def area" in code


def test_a_future_import_stays_first() -> None:
    code = extract_code(f"```python\nfrom __future__ import annotations\n{ONLY_FUNCTION}```", PROBLEM)
    assert code is not None
    compile(code, "<extracted>", "exec")
    assert "def helper" in code
