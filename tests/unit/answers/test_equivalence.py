"""Equivalence as a whole: the rules, classes, speed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from nlrl.answers.equivalence import Equivalence, canonical, default_equivalence
from nlrl.core import Problem, TaskType

PAIRS = Path(__file__).parents[3] / "benchmarks" / "data" / "equivalence_pairs.jsonl"


@pytest.mark.skipif(not PAIRS.exists(), reason="the labelled pairs are part of a source checkout")
def test_labelled_pairs() -> None:
    """Every labelled pair but one in a hundred; benchmarks/equivalence.py tells more."""
    fast = Equivalence()
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 200
    wrong = [r for r in rows if fast.equal_sync(r["a"], r["b"]) != r["equal"]]
    assert len(wrong) <= len(rows) // 100, wrong[:5]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("0.25%", "25%", False),
        ("70 dollars", "70", True),
        ("70 dollars", "70 cents", False),
        ("1 km", "1000 m", True),
        ("3.14", r"\pi", False),
        ("3.1416", r"\pi", True),
        ("0.333", "1/3", False),
        ("0.3333", "1/3", True),
        ("x^2 + C", "x^2", False),
        ("x^2 + C", "K + x**2", True),
        ("10**10**10", "10**10**10 + 1", False),
        ("(1,2)", "{1,2}", False),
        ("x = 5", "y = 5", False),
        ("", "", False),
        (" ", "0", False),
    ],
)
def test_documented_rules(a: str, b: str, equal: bool) -> None:
    assert default_equivalence().equal_sync(a, b) is equal
    assert default_equivalence().equal_sync(b, a) is equal


def test_classes() -> None:
    shared = default_equivalence()
    answers = ["70", "70 dollars", None, "71", "70.0", "$71", "", "1/2", "0.5", "50%", "seventy"]
    assert asyncio.run(shared.classes(answers)) == [0, 0, -1, 1, 0, 1, -1, 2, 2, 2, 0]
    assert asyncio.run(shared.classes([])) == []


def test_classes_of_rounded_numbers_and_far_ones() -> None:
    answers = ["2/3", "0.6667", "0.66666667", "0.67", "1000000000000001", "1000000000000002", "9" * 5000, "9" * 5000]
    assert asyncio.run(default_equivalence().classes(answers)) == [0, 0, 0, 1, 2, 3, 4, 4]


def test_classes_with_options_and_with_code() -> None:
    shared = default_equivalence()
    quiz = Problem("?", choices=("London", "Paris"), task_type=TaskType.COMMONSENSE)
    assert asyncio.run(shared.classes(["B", "paris", "(b) Paris", "A", "Rome"], problem=quiz)) == [0, 0, 0, 1, 2]
    code = Problem("?", task_type=TaskType.CODING)
    sources = ["def f(x):\n    return x", "def f(x):\n  # same\n  return x\n", "def f(x):\n    return -x"]
    assert asyncio.run(shared.classes(sources, problem=code)) == [0, 0, 1]


def test_classes_agree_with_pairwise_comparison_for_numbers() -> None:
    """For plain numbers the shortcuts of `classes` must not change what comparing each with each would give."""
    shared = default_equivalence()
    draw = random.Random(5)
    for _ in range(30):
        answers = [
            draw.choice(["{}", "{}.0", "{}.5", "{}/3", "{}.3333", "{}.33333333", "-{}"]).format(draw.randint(0, 3))
            for _ in range(20)
        ]
        heads: list[str] = []
        wanted = []
        for answer in answers:
            found = next((i for i, head in enumerate(heads) if shared.equal_sync(head, answer)), None)
            if found is None:
                found = len(heads)
                heads.append(answer)
            wanted.append(found)
        assert asyncio.run(shared.classes(answers)) == wanted


def test_canonical_keys() -> None:
    assert canonical("1/2") == canonical("0.50") == canonical(r"\frac{1}{2}")
    assert canonical(None) is None and canonical("  ") is None
    assert canonical("x + 1") == canonical("1+x")
    assert canonical("-0") == canonical("0")
    quiz = Problem("?", choices=("a", "b"))
    assert canonical("(B)", quiz) == canonical("b", quiz)


def test_numbers_are_classed_without_comparing_each_with_each() -> None:
    """Half a second for a thousand problems of 64; two million comparisons would take a minute."""
    draw = random.Random(1)
    problems = [[str(draw.randint(0, 400)) for _ in range(64)] for _ in range(1000)]
    shared = Equivalence()

    async def all_of_them() -> int:
        return sum([max(await shared.classes(answers)) for answers in problems])

    start = time.process_time()
    assert asyncio.run(all_of_them()) > 40_000
    assert time.process_time() - start < 10
