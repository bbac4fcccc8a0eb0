"""Answers read out of completions: the contract, the fallbacks, and text of any size."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import ANSWER_PHRASE, CodeTests, Problem, TaskType
from nlrl.rewards.equivalence import default_equivalence
from nlrl.rewards.extraction import Extraction, extract_answer

MATH = Problem("?", task_type=TaskType.MATH)
TEXT = Problem("?", task_type=TaskType.COMMONSENSE)
QUIZ = Problem("?", task_type=TaskType.COMMONSENSE, choices=("bank", "library", "department store", "mall"))
PLAIN = Problem("?")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so it is.\nFinal Answer: 70", "70"),
        ("**Final Answer:** $18.", "$18"),
        ("**Final Answer**: 18", "18"),
        ("**Final Answer: 70 dollars**", "70 dollars"),
        ("final answer:\n\n\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("Final Answer:\n\\[\n x = 5 \n\\]", "x = 5"),
        ("FINAL ANSWER: The total cost is $70.", "$70"),
        ("Final Answer: 7\nwait\nFinal Answer: 9\nand on it rambles 12", "9"),
        ("Final Answer: Janet makes 9 * 2 = $18 every day at the market", "$18"),
        ("Final Answer: x = 3 or x = 4", "x = 3 or x = 4"),
        ("Final Answer:\n$$\\frac{1}{2}$$", "\\frac{1}{2}"),
        ("<think>Final Answer: 3</think>\nFinal Answer: 4", "4"),
        ("Final Answer: 5\nFinal Answer: <the result>", "5"),
        ("Final Answer: \\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ],
)
def test_contract_line_of_mathematics(text: str, answer: str) -> None:
    assert extract_answer(text, MATH) == Extraction(answer, strict=True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("thus \\boxed{\\frac{1}{\\sqrt{2}}}.", "\\frac{1}{\\sqrt{2}}"),
        ("first \\boxed{1}, in the end \\boxed{2}", "2"),
        ("She has 3.\n#### 1,234", "1,234"),
        ("The answer is 18 dollars. Then we check 3.", "18 dollars"),
        ("So the answer is: **12**", "12"),
        ("17 + 25 = 42", "42"),
        ("there are 3 cats and 4 dogs, which makes 7", "7"),
        ("42", "42"),
        ("\\boxed{never closed", None),
        ("Final Answer:", None),
        ("I cannot say.", None),
        ("", None),
        ("   \n\n ", None),
    ],
)
def test_fallbacks_of_mathematics(text: str, answer: str | None) -> None:
    assert extract_answer(text, MATH) == Extraction(answer, strict=False)


@pytest.mark.parametrize(
    ("text", "answer", "strict"),
    [
        ("Final Answer: B", "library", True),
        ("Final Answer: (b)", "library", True),
        ("Final Answer: the department store", "department store", True),
        ("Final Answer: B) library", "library", True),
        ("Final Answer: B) mall", None, False),
        ("The answer is (C) department store.", "department store", False),
        ("I think a mall.", "mall", False),
        ("**A**", "bank", False),
        ("A library is not right. The correct answer is bank.", "bank", False),
        ("It could be the bank or the library.", None, False),
        ("Z", None, False),
    ],
)
def test_options_by_letter_and_text(text: str, answer: str | None, strict: bool) -> None:
    assert extract_answer(text, QUIZ) == Extraction(answer, strict)


@pytest.mark.parametrize(
    ("text", "answer", "strict"),
    [
        ("Final Answer: Yes", "yes", True),
        ("Final Answer: Yes, because it is.", "yes", True),
        ("Final Answer: No Country for Old Men", "No Country for Old Men", True),
        ("Final Answer: Chief of Protocol.", "Chief of Protocol", True),
        ("Yes, they are.", "yes", False),
        ("So the answer is no.", "no", False),
        ("Albany is small. Therefore, yes", "yes", False),
        ("Paris", "Paris", False),
        ("The answer is Greenwich Village, New York City.", "Greenwich Village, New York City", False),
        ("Nobody knows who did it, because the records were lost in a fire long ago.", None, False),
    ],
)
def test_words_and_yes_no(text: str, answer: str | None, strict: bool) -> None:
    assert extract_answer(text, TEXT) == Extraction(answer, strict)


def test_writing_is_the_whole_text() -> None:
    task = Problem("?", task_type=TaskType.WRITING)
    assert extract_answer("  One line.\nTwo lines. ", task).answer == "One line.\nTwo lines."
    assert extract_answer("Let me think.\nFinal Answer: The sea is wide.\nAnd deep.", task).answer == (
        "The sea is wide.\nAnd deep."
    )
    assert extract_answer(" \n", task) == Extraction(None)


def test_without_a_task_type_the_problem_decides() -> None:
    assert extract_answer("Final Answer: 5", PLAIN) == Extraction("5", strict=True)
    assert extract_answer("B", Problem("?", choices=("x", "y"))).answer == "y"
    code = Problem("?", tests=CodeTests(("assert f(1) == 1",), entry_point="f"))
    assert extract_answer("```python\ndef f(x):\n    return x\n```", code).answer == "def f(x):\n    return x\n"
    assert extract_answer("A sentence as short as this", PLAIN).answer == "A sentence as short as this"


PROBLEMS = [
    MATH, TEXT, QUIZ, PLAIN, Problem("?", task_type=TaskType.WRITING),
    Problem("def f(x):\n", task_type=TaskType.CODING, tests=CodeTests(("assert f(1)",), entry_point="f")),
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [ANSWER_PHRASE, "\n", " ", "**", "\\boxed{", "}", "```", "```python\n", "def f(x):\n", "    return 1\n",
             "(B)", "####", "12", "$", "the answer is ", "yes", "</think>", "\ud800", "\x00", "İ", "```\n", "$$", "\\["]
        )
        | st.text(max_size=5),
        max_size=25,
    ).map("".join)
)  # fmt: skip
def test_extraction_never_raises(text: str) -> None:
    for problem in PROBLEMS:
        found = extract_answer(text, problem)
        assert found.answer is None or found.answer.strip()
        assert found.answer is not None or not found.strict


N = 10_000_000


@pytest.mark.parametrize(
    "unit", ["a", "\n", " ", ANSWER_PHRASE + " ", "\\boxed{", "{", "```python\n", "```\nx\n", "9", "1,", "**", "a=\n",
             "the answer is ", "(B) ", "\ud800", "</think>", "def f(x):\n"]
)  # fmt: skip
def test_ten_megabytes_take_seconds_at_most(unit: str) -> None:
    text = unit * (N // len(unit))
    for problem in (MATH, QUIZ, PROBLEMS[-1]):
        start = time.perf_counter()
        extract_answer(text, problem)
        assert time.perf_counter() - start < 6


DATA = Path(os.environ["NLRL_DATA"]) if os.environ.get("NLRL_DATA") else None


@pytest.mark.skipif(
    DATA is None or not (DATA / "gsm8k" / "test.jsonl").exists(), reason="set NLRL_DATA to run on GSM8K"
)
def test_gsm8k_references_are_read_and_told_apart() -> None:
    assert DATA is not None
    rows = [json.loads(line) for line in (DATA / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    references = [row["answer"].split("####")[1].strip() for row in rows]
    shared = default_equivalence()
    for row, reference in zip(rows, references, strict=True):
        found = extract_answer(row["answer"], MATH).answer
        assert found is not None and shared.equal_sync(found, reference), reference
    for one, two in pairwise(references):
        assert shared.equal_sync(one, two) == (float(one.replace(",", "")) == float(two.replace(",", "")))
