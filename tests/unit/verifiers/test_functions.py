"""Functions, mappings, names and verifiers: all of them are reward models."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from nlrl.core import Candidate, Completion, Finish, Problem, TaskType, UserError, Verdict, VerifierError
from nlrl.verifiers import MockRewardModel, as_verifier
from nlrl.verifiers.functions import RewardModels

MATH = Problem("What is 1 + 1?", task_type=TaskType.MATH)
CODE = Problem("Write add(a, b).", task_type=TaskType.CODING)
CASES = [{"input": [1, 3], "expected": 4}]


def score(reward: RewardModels, problem: Problem = MATH, text: str = "two"):
    verifier = as_verifier(reward, test_cases={CODE.id: CASES})
    assert verifier is not None
    return asyncio.run(verifier.score(problem, [Candidate("s0", Completion(text, Finish.STOP, 1))]))[0]


def test_a_function_of_the_text_or_of_question_and_text():
    assert score(lambda text: len(text) / 10).value == 0.3
    assert score(lambda prompt, text: float(prompt == MATH.question and text == "two")).value == 1.0
    assert score(lambda text, scale=0.5: scale).value == 0.5
    assert (score(lambda text: 7).value, score(lambda text: -7).value) == (1.0, 0.0)

    async def later(text: str) -> float:
        await asyncio.sleep(0)
        return 0.25

    assert score(later).value == 0.25


def test_test_cases_reach_whoever_takes_them():
    assert score(lambda text, test_cases: float(test_cases == CASES), CODE).value == 1.0
    assert score(lambda text, test_cases: float(test_cases == []), MATH).value == 1.0
    mock = Mock(return_value=0.95)
    assert score(mock, CODE).value == 0.95
    mock.assert_called_once_with("two", test_cases=CASES)
    score(mock, MATH)
    mock.assert_called_with("two")


def test_a_mapping_chooses_by_kind_and_abstains_on_the_rest():
    rewards = {"math": lambda text: 0.75, TaskType.CODING: "mock"}
    assert score(rewards).value == 0.75
    other = score(rewards, Problem("Why?", task_type=TaskType.COMMONSENSE))
    assert (other.value, other.verdict) == (0.5, Verdict.ABSTAIN)


def test_verifiers_and_names_stay_what_they_are():
    own = MockRewardModel()
    assert as_verifier(own) is own
    assert isinstance(as_verifier("mock"), MockRewardModel)
    assert as_verifier(None) is None


@pytest.mark.parametrize("reward", [7, object()])
def test_what_is_no_reward_model_is_refused(reward: object):
    with pytest.raises(UserError, match="no reward model"):
        as_verifier(reward)  # type: ignore[arg-type]


def test_a_kind_or_a_value_that_makes_no_sense_is_refused():
    with pytest.raises(UserError, match="no kind"):
        as_verifier({"maths": lambda text: 1.0})
    for value in (None, "high", float("nan")):
        with pytest.raises(VerifierError, match="a number from 0 to 1"):
            score(lambda text, value=value: value)  # type: ignore[misc]
