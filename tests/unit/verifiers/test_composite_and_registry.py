"""Composite, mocks, and verifiers by name."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

import nlrl.verifiers as rewards
from nlrl.core import (
    Candidate,
    CodeTests,
    Problem,
    Score,
    SpendingVerifier,
    TaskType,
    TokenLogprob,
    UnknownName,
    UserError,
    Verdict,
    Verifier,
    VerifierError,
)
from nlrl.testing.scripted import ScriptedModel
from nlrl.verifiers.composite import Composite
from nlrl.verifiers.judge import LLMJudge
from nlrl.verifiers.mocks import MockRewardModel, coding_reward, commonsense_reward, math_reward
from nlrl.verifiers.registry import VERIFIER_NAMES, get_verifier

Attempt = Callable[..., Candidate]
JudgeOne = Callable[..., Score]


class Fixed:
    """Says the same of everything."""

    def __init__(self, score: Score | None) -> None:
        self._score = score

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        return [] if self._score is None else [self._score for _ in candidates]


RIGHT, WRONG = Score(1.0, Verdict.RIGHT), Score(0.0, Verdict.WRONG)
ABSTAIN, LATE = Score(0.5, Verdict.ABSTAIN), Score(0.0, Verdict.TIMEOUT)
UNPARSED, SURE = Score(0.0, Verdict.UNPARSED), Score(0.8, Verdict.ABSTAIN)


@pytest.mark.parametrize(
    ("members", "verdict", "value"),
    [
        ([(RIGHT, 1), (ABSTAIN, 9)], Verdict.RIGHT, 1.0),
        ([(WRONG, 1), (ABSTAIN, 9)], Verdict.WRONG, 0.0),
        ([(RIGHT, 3), (WRONG, 1)], Verdict.RIGHT, 0.75),
        ([(RIGHT, 1), (WRONG, 1)], Verdict.ABSTAIN, 0.5),
        ([(RIGHT, 1), (SURE, 1)], Verdict.RIGHT, 0.9),
        ([(SURE, 1), (ABSTAIN, 5)], Verdict.ABSTAIN, 0.8),
        ([(ABSTAIN, 1), (ABSTAIN, 1)], Verdict.ABSTAIN, 0.5),
        ([(LATE, 1), (ABSTAIN, 1)], Verdict.TIMEOUT, 0.0),
        ([(LATE, 1), (RIGHT, 1)], Verdict.RIGHT, 1.0),
        ([(UNPARSED, 1), (RIGHT, 9)], Verdict.UNPARSED, 0.0),
    ],
)
def test_who_abstains_has_no_vote(
    members: list[tuple[Score, float]], verdict: Verdict, value: float, attempt: Attempt, judge_one: JudgeOne
) -> None:
    composite = Composite([(Fixed(score), weight) for score, weight in members])
    score = judge_one(composite, Problem("?"), attempt("4"))
    assert score.verdict is verdict
    assert score.value == pytest.approx(value)


def test_a_member_that_breaks_its_contract_is_named(attempt: Attempt) -> None:
    with pytest.raises(VerifierError, match="Fixed gave 0 scores for 1"):
        asyncio.run(Composite([(Fixed(None), 1.0)]).score(Problem("?"), [attempt("4")]))


@pytest.mark.parametrize("weights", [[], [0.0], [-1.0], [1.0, float("nan")]])
def test_a_composite_needs_positive_weights(weights: list[float]) -> None:
    with pytest.raises(UserError):
        Composite([(Fixed(RIGHT), weight) for weight in weights])


def test_a_composite_hands_the_meter_on(attempt: Attempt, judge_one: JudgeOne) -> None:
    model = ScriptedModel(["Verdict: yes"])
    composite = Composite([(LLMJudge(), 1.0), (Fixed(RIGHT), 1.0)])
    assert isinstance(composite, SpendingVerifier)
    assert judge_one(composite.metered(lambda _: model), Problem("?"), attempt("4")).verdict is Verdict.RIGHT
    assert len(model.requests) == 1


def test_a_composite_says_whether_a_member_needs_logprobs() -> None:
    assert Composite([(Fixed(RIGHT), 1.0), (get_verifier("self_certainty"), 1.0)]).needs_logprobs(Problem("?"))
    assert not Composite([(Fixed(RIGHT), 1.0)]).needs_logprobs(Problem("?"))
    writing = Problem("?", constraints=({"kind": "word_count", "value": 1},))
    assert not Composite([(get_verifier("auto"), 1.0)]).needs_logprobs(writing)


def test_mock_rewards_prefer_worked_answers_and_know_nothing_of_truth() -> None:
    worked = "First, 2 + 2 = 4. Then 4 * 3 = 12. Therefore the answer is 12."
    assert math_reward(worked) > math_reward("12")
    code = "```python\ndef f(x):\n    for i in x:\n        if i:\n            return i\n```"
    assert coding_reward(code) > coding_reward("no code here (")
    assert commonsense_reward("People usually keep money there because it is safe.") > commonsense_reward("bank")
    assert math_reward(worked) == math_reward(worked.replace("12", "13"))
    for reward in (math_reward, coding_reward, commonsense_reward):
        for text in ("", "x" * 1_000_000, "\ud800", "```\n" * 1000):
            assert 0.0 <= reward(text) <= 1.0


def test_mock_model_abstains_with_a_value(attempt: Attempt, judge_one: JudgeOne) -> None:
    score = judge_one(MockRewardModel(), Problem("?", task_type=TaskType.MATH), attempt("12", text="so 2 + 2 = 4"))
    assert score.verdict is Verdict.ABSTAIN and 0 < score.value < 1
    assert judge_one(MockRewardModel(TaskType.CODING), Problem("?"), attempt(None)).verdict is Verdict.UNPARSED


def test_every_name_gives_a_verifier() -> None:
    for name in VERIFIER_NAMES:
        assert isinstance(get_verifier(name), Verifier), name
    promised = "reference public_tests self_certainty mean_logprob lowest_group judge constraints mock auto"
    assert set(promised.split()) <= set(VERIFIER_NAMES)


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownName, match="self_certainty") as caught:
        get_verifier("self-certainty")
    assert caught.value.kind == "verifier"


def test_auto_never_reads_the_solution(attempt: Attempt, judge_one: JudgeOne) -> None:
    auto = get_verifier("auto")
    sure = [TokenLogprob("4", -0.01, (("4", -0.01), ("5", -5.0)))] * 3
    problem = Problem("?", reference="4", aliases=("5",), task_type=TaskType.MATH)
    right = judge_one(auto, problem, attempt("4", logprobs=sure))
    wrong = judge_one(auto, problem, attempt("6", logprobs=sure))
    assert (right.verdict, right.value) == (wrong.verdict, wrong.value) == (Verdict.ABSTAIN, right.value)
    writing = Problem("?", constraints=({"kind": "word_count", "value": 1},), reference="other")
    assert judge_one(auto, writing, attempt("word")).verdict is Verdict.RIGHT
    hidden_only = Problem("?", tests=CodeTests(("assert f(1) == 1",), entry_point="f"), task_type=TaskType.CODING)
    assert judge_one(auto, hidden_only, attempt("def f(x): return x", logprobs=sure)).verdict is Verdict.ABSTAIN


def test_all_public_names_can_be_loaded() -> None:
    for name in rewards.__all__:
        assert getattr(rewards, name) is not None
    with pytest.raises(AttributeError):
        rewards.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, nlrl.verifiers, nlrl.answers.equivalence, nlrl.verifiers.registry, nlrl.verifiers.reference;"
        "heavy = {'sympy', 'math_verify', 'numpy', 'httpx', 'rich', 'nlrl.sandbox.sandbox'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
