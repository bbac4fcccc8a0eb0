"""The graders: mathematics, text, options, and the choice between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.answers.choices import match_choice
from nlrl.core import Candidate, CodeTests, Problem, Score, TaskType, Verdict, Verifier
from nlrl.verifiers.math import MathVerifier
from nlrl.verifiers.reference import ReferenceVerifier
from nlrl.verifiers.text import TextVerifier, exact_match, f1, normalise

Attempt = Callable[..., Candidate]
JudgeOne = Callable[..., Score]


@pytest.mark.parametrize(
    ("reference", "answer", "verdict", "value"),
    [
        ("70", "70 dollars", Verdict.RIGHT, 1.0),
        ("She has 3. #### 1,234", "1234", Verdict.RIGHT, 1.0),
        (r"\frac{1}{2}", "50%", Verdict.RIGHT, 1.0),
        ("70", "71", Verdict.WRONG, 0.0),
        ("70", None, Verdict.UNPARSED, 0.0),
        ("70", "  ", Verdict.UNPARSED, 0.0),
        (None, "70", Verdict.ABSTAIN, 0.5),
    ],
)
def test_mathematics(
    reference: str | None, answer: str | None, verdict: Verdict, value: float, attempt: Attempt, judge_one: JudgeOne
) -> None:
    score = judge_one(MathVerifier(), Problem("?", reference=reference), attempt(answer))
    assert (score.verdict, score.value) == (verdict, value)
    assert score.reason


def test_aliases_count(attempt: Attempt, judge_one: JudgeOne) -> None:
    problem = Problem("?", reference="x", aliases=("y + 1",))
    assert judge_one(MathVerifier(), problem, attempt("1 + y")).verdict is Verdict.RIGHT


def test_one_score_each_in_order(attempt: Attempt) -> None:
    problem = Problem("?", reference="2")
    candidates = [attempt(a) for a in ("2", None, "3", "2.0", "two", "2")]
    scores = asyncio.run(MathVerifier().score(problem, candidates))
    assert [s.verdict.value for s in scores] == ["right", "unparsed", "wrong", "right", "right", "right"]
    assert asyncio.run(MathVerifier().score(problem, [])) == []


# What HotpotQA's hotpot_evaluate_v1.py gives, worked out by hand from its definition.
@pytest.mark.parametrize(
    ("prediction", "reference", "em", "expected_f1"),
    [
        ("Chief of Protocol", "Chief of Protocol", True, 1.0),
        ("the Chief of Protocol.", "Chief of Protocol", True, 1.0),
        ("Chief", "Chief of Protocol", False, 0.5),
        ("Greenwich Village", "Greenwich Village, New York City", False, 2 * (1.0 * 0.4) / 1.4),
        ("yes", "yes", True, 1.0),
        ("yes it is", "yes", False, 0.0),
        ("no", "yes", False, 0.0),
        ("noanswer", "Paris", False, 0.0),
        ("the the the", "a an", True, 0.0),
        ("Paris Paris", "Paris", False, 2 * (0.5 * 1.0) / 1.5),
        ("well-known", "wellknown", True, 1.0),
        ("", "Paris", False, 0.0),
    ],
)
def test_hotpotqa_scores(prediction: str, reference: str, em: bool, expected_f1: float) -> None:
    assert exact_match(prediction, reference) is em
    assert f1(prediction, reference) == pytest.approx(expected_f1)


@given(st.text(max_size=40), st.text(max_size=40))
def test_f1_is_symmetric_bounded_and_one_on_itself(a: str, b: str) -> None:
    assert f1(a, b) == pytest.approx(f1(b, a))
    assert 0.0 <= f1(a, b) <= 1.0
    if normalise(a):
        assert f1(a, a) == 1.0


@pytest.mark.parametrize(
    ("problem", "answer", "verdict", "value"),
    [
        (Problem("?", reference="Chief of Protocol"), "chief of protocol", Verdict.RIGHT, 1.0),
        (Problem("?", reference="Chief of Protocol"), "Chief", Verdict.WRONG, 0.5),
        (Problem("Who wrote it?", reference="Mary Shelley"), "Shelley", Verdict.RIGHT, 1.0),
        (Problem("Who wrote it?", reference="Mary Shelley"), "Percy Shelley", Verdict.WRONG, 0.5),
        (Problem("?", reference="NYC", aliases=("New York City",)), "new york city", Verdict.RIGHT, 1.0),
        (Problem("?", reference="true"), "yes", Verdict.RIGHT, 1.0),
        (Problem("?", reference="no"), "False", Verdict.RIGHT, 1.0),
        (Problem("?", reference="no"), "yes", Verdict.WRONG, 0.0),
        (Problem("?", reference="x"), None, Verdict.UNPARSED, 0.0),
        (Problem("?"), "x", Verdict.ABSTAIN, 0.5),
        (Problem("?", reference="B", choices=("London", "Paris")), "Paris", Verdict.RIGHT, 1.0),
        (Problem("?", reference="Paris", choices=("London", "Paris")), "(b)", Verdict.RIGHT, 1.0),
        (Problem("?", reference="Paris", choices=("London", "Paris")), "A", Verdict.WRONG, 0.0),
        (Problem("?", reference="Paris", choices=("London", "Paris")), "Rome", Verdict.UNPARSED, 0.0),
    ],
)
def test_text(
    problem: Problem, answer: str | None, verdict: Verdict, value: float, attempt: Attempt, judge_one: JudgeOne
) -> None:
    score = judge_one(TextVerifier(), problem, attempt(answer))
    assert (score.verdict, score.value) == (verdict, value)


OPTIONS = ("bank", "library", "department store", "new york")


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("A", 0),
        ("(b)", 1),
        ("**C**", 2),
        ("D.", 3),
        ("B) library", 1),
        ("b. Library", 1),
        ("Option D", 3),
        ("the department store", 2),
        ("New York", 3),
        ("I would go to the bank", 0),
        ("bank or library", None),
        ("B) bank", None),
        ("E", None),
        ("", None),
        ("nothing", None),
        ("x" * 5000, None),
    ],
)
def test_options(answer: str, index: int | None) -> None:
    assert match_choice(answer, OPTIONS) == index


def test_an_option_inside_another_is_not_mentioned_by_it() -> None:
    assert match_choice("I need the store room now", ("store", "store room")) == 1
    assert match_choice("12", ("12", "120")) == 0
    assert match_choice("x", ()) is None


class _Named:
    """A verifier that says which one it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def score(self, problem: Problem, candidates: list[Candidate]) -> list[Score]:
        return [Score(0.5, reason=self.name) for _ in candidates]


@pytest.mark.parametrize(
    ("problem", "used"),
    [
        (Problem("?", reference="1", task_type=TaskType.MATH), "math"),
        (Problem("?", reference="1", task_type=TaskType.COMMONSENSE), "text"),
        (Problem("?", task_type=TaskType.WRITING), "writing"),
        (Problem("?", task_type=TaskType.CODING), "code"),
        (Problem("?", tests=CodeTests(("assert f()",))), "code"),
        (Problem("?", constraints=({"kind": "word_count", "value": 1},)), "writing"),
        (Problem("?", reference="b", choices=("a", "b")), "text"),
        (Problem("?", reference="x^2"), "math"),
        (Problem("?", reference="Mount Fuji"), "text"),
        (Problem("?"), "math"),
    ],
)
def test_the_reference_verifier_picks_by_the_problem(
    problem: Problem, used: str, attempt: Attempt, judge_one: JudgeOne
) -> None:
    grader = ReferenceVerifier()
    for kind in ("math", "text", "writing", "code"):
        grader.__dict__[f"_{kind}"] = _Named(kind)
    assert isinstance(grader, Verifier)
    assert judge_one(grader, problem, attempt("a")).reason == used
