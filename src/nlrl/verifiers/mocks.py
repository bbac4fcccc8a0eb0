"""Mock reward models: a few lines of arithmetic about length and keywords, one per kind of problem.

They stand in where a reward model is wanted and none is there: in examples, demonstrations and tests. They know
nothing about correctness. A long wrong answer full of "therefore" scores well; do not report results selected by them
as anything but a baseline.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from nlrl.answers.forms.program import parse_python
from nlrl.core import Candidate, Problem, Score, TaskType, Verdict
from nlrl.verifiers._verdicts import unparsed

_LOOK = 20_000  # characters of a text that are looked at
_STEP_WORDS = re.compile(r"\b(?:therefore|thus|hence|because|so|then|first|next|finally|since|step)\b", re.I)
_REASON_WORDS = re.compile(r"\b(?:because|since|usually|typically|people|means|likely|therefore|so)\b", re.I)
_CODE_WORDS = re.compile(r"\b(?:def|return|for|while|if|class|import)\b")


def _length(text: str, ideal_words: int) -> float:
    """1 at the ideal length, falling off on both sides on a log scale."""
    n = len(text.split())
    return math.exp(-abs(math.log((n + 1) / (ideal_words + 1))) / 2)


def _share(pattern: re.Pattern[str], text: str, enough: int) -> float:
    return min(1.0, len(pattern.findall(text)) / enough)


def math_reward(text: str) -> float:
    """Numbers, equations and step words, at about 80 words; in [0, 1]."""
    text = text[-_LOOK:]
    numbers, equations = _share(re.compile(r"\d+"), text, 6), _share(re.compile(r"="), text, 3)
    return (_length(text, 80) + numbers + equations + _share(_STEP_WORDS, text, 3)) / 4


def coding_reward(text: str) -> float:
    """Code words and a fenced block, and whether the block parses; in [0, 1]. Nothing is run."""
    text = text[-_LOOK:]
    fence = re.search(r"```[^\n]*\n(.*?)```", text, re.S)
    parses = parse_python(fence.group(1) if fence else text) is not None
    return (_share(_CODE_WORDS, text, 4) + float(fence is not None) + float(parses) + _length(text, 60)) / 4


def commonsense_reward(text: str) -> float:
    """Reasons given in about 40 words; in [0, 1]."""
    text = text[-_LOOK:]
    return (_length(text, 40) + _share(_REASON_WORDS, text, 3)) / 2


_REWARDS = {TaskType.MATH: math_reward, TaskType.CODING: coding_reward, TaskType.COMMONSENSE: commonsense_reward}


class MockRewardModel:
    """A deterministic stand-in for a reward model. It abstains on correctness and gives a value by length and keywords.

    task_type  which of the three to use; None takes each problem's own (commonsense where that has none)
    """

    def __init__(self, task_type: TaskType | None = None) -> None:
        self.task_type = task_type

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        task = self.task_type or problem.task_type or TaskType.COMMONSENSE
        reward = _REWARDS.get(task, commonsense_reward)
        return [
            unparsed() if c.answer is None else Score(reward(c.text), Verdict.ABSTAIN, reason=f"mock {task} reward")
            for c in candidates
        ]


def mock_reward_model(output: str) -> float:
    """1 where the text states a final answer, whatever it is; else 0. The simplest of all stand-ins."""
    return 1.0 if "final answer" in output.lower() else 0.0


def mock_math_reward_model(output: str) -> float:
    """1 where the text states a final answer."""
    return mock_reward_model(output)


def mock_coding_reward_model(output: str, test_cases: Sequence[Any] = ()) -> float:
    """1 where the text defines something. It runs nothing: `CodeVerifier` does, in the sandbox."""
    return 1.0 if "def " in output else 0.0


def mock_commonsense_reward_model(output: str) -> float:
    """1 where the text gives a cause in so many words."""
    return 1.0 if "due to" in output.lower() else 0.0
