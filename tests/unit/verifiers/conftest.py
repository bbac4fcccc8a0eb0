"""Helpers for the tests of answers and verifiers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nlrl.core import Candidate, Completion, Finish, Problem, Score, TokenLogprob, Verifier


@pytest.fixture
def attempt() -> Callable[..., Candidate]:
    """A candidate with a given answer (None: unparsed), text and log-probabilities."""

    def make(answer: str | None, text: str = "", logprobs: Sequence[TokenLogprob] | None = None) -> Candidate:
        tokens = tuple(logprobs) if logprobs is not None else None
        return Candidate("s0", Completion(text or answer or "", Finish.STOP, 1, logprobs=tokens), answer)

    return make


@pytest.fixture
def judge_one() -> Callable[..., Score]:
    """The score of one candidate."""

    def run(verifier: Verifier, problem: Problem, candidate: Candidate, **_: Any) -> Score:
        scores = asyncio.run(verifier.score(problem, [candidate]))
        assert len(scores) == 1
        return scores[0]

    return run
