"""Certainty from log-probabilities: closed forms, order, and missing data."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Candidate, Problem, Score, TokenLogprob, Verdict
from nlrl.verifiers.confidence import (
    Measure,
    SelfCertainty,
    lowest_group,
    mean_logprob,
    self_certainty,
    token_certainty,
    token_confidence,
)

Attempt = Callable[..., Candidate]
JudgeOne = Callable[..., Score]
MEASURES: tuple[Measure, ...] = ("self_certainty", "mean_logprob", "lowest_group")


def token(*probabilities: float, sampled: int = 0) -> TokenLogprob:
    logs = [math.log(p) for p in probabilities]
    return TokenLogprob("t", logs[sampled], tuple((f"t{i}", p) for i, p in enumerate(logs)))


def test_a_uniform_distribution_has_no_certainty() -> None:
    assert token_certainty(token(*[0.25] * 4), vocabulary=4) == pytest.approx(0.0, abs=1e-4)
    assert token_certainty(token(*[1 / 100] * 5), vocabulary=100) == pytest.approx(0.0, abs=1e-9)


def test_with_the_whole_vocabulary_known_it_is_the_divergence_itself() -> None:
    p = [0.7, 0.2, 0.06, 0.04]
    kl = sum(0.25 * math.log(0.25 / q) for q in p)
    assert token_certainty(token(*p), vocabulary=4) == pytest.approx(kl, rel=1e-6)


@given(st.lists(st.floats(0.01, 1.0), min_size=6, max_size=12))
def test_fewer_alternatives_never_raise_the_estimate(weights: list[float]) -> None:
    p = sorted((w / sum(weights) for w in weights), reverse=True)
    known = [token_certainty(token(*p[:k]), vocabulary=len(p)) for k in range(1, len(p))]
    exact = sum(math.log(1 / len(p) / q) for q in p) / len(p)
    assert all(a <= b + 1e-9 for a, b in pairwise(known))
    assert all(k <= exact + 1e-9 for k in known)


def test_closed_forms_of_the_other_measures() -> None:
    tokens = [token(0.5, 0.25), token(0.8, 0.1), token(0.9, 0.05)]
    assert mean_logprob(tokens) == pytest.approx((math.log(0.5) + math.log(0.8) + math.log(0.9)) / 3)
    assert token_confidence(tokens[0]) == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)
    values = [token_confidence(t) for t in tokens]
    assert lowest_group(tokens, window=2) == pytest.approx(min(sum(values[:2]), sum(values[1:])) / 2)
    assert lowest_group(tokens, window=99) == pytest.approx(sum(values) / 3)
    assert self_certainty(tokens, 1000) == pytest.approx(sum(token_certainty(t, 1000) for t in tokens) / 3)


@pytest.mark.parametrize("measure", MEASURES)
def test_surer_tokens_score_higher_and_the_value_lies_between_0_and_1(
    measure: Measure, attempt: Attempt, judge_one: JudgeOne
) -> None:
    verifier = SelfCertainty(measure, window=2)
    levels = [0.2, 0.5, 0.9, 0.99, 0.9999]
    found = [
        judge_one(verifier, Problem("?"), attempt("4", logprobs=[token(p, (1 - p) / 10, (1 - p) / 20)] * 5))
        for p in levels
    ]
    values = [s.value for s in found]
    assert values == sorted(values) and len(set(values)) == len(values)
    assert values[0] >= 0.0 and values[-1] <= 1.0
    assert {s.verdict for s in found} == {Verdict.ABSTAIN}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("logprobs", [None, [], [TokenLogprob("t", -math.inf)], [TokenLogprob("t", math.nan)]])
def test_without_usable_logprobs_it_abstains(
    measure: Measure, logprobs: list[TokenLogprob] | None, attempt: Attempt, judge_one: JudgeOne
) -> None:
    score = judge_one(SelfCertainty(measure), Problem("?"), attempt("4", logprobs=logprobs))
    assert (score.verdict, score.value) == (Verdict.ABSTAIN, 0.5)


@pytest.mark.parametrize("measure", MEASURES)
def test_odd_logprobs_do_no_harm(measure: Measure, attempt: Attempt, judge_one: JudgeOne) -> None:
    odd = [
        TokenLogprob("a", -0.1),
        TokenLogprob("b", 0.0, (("b", 0.0), ("c", -math.inf))),
        TokenLogprob("d", 1e-9, (("d", 1e-9),)),
        TokenLogprob("e", -0.2, (("e", -0.2), ("f", math.nan))),
        TokenLogprob("g", -800.0, (("g", -800.0),)),
    ]
    for tokens in (odd, odd[1:4]):
        score = judge_one(SelfCertainty(measure), Problem("?"), attempt("4", logprobs=tokens))
        assert 0.0 <= score.value <= 1.0


@pytest.mark.parametrize("measure", MEASURES)
def test_no_answer_is_unparsed(measure: Measure, attempt: Attempt, judge_one: JudgeOne) -> None:
    score = judge_one(SelfCertainty(measure), Problem("?"), attempt(None, logprobs=[token(0.9)]))
    assert (score.verdict, score.value) == (Verdict.UNPARSED, 0.0)


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="measure"):
        SelfCertainty("entropy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window"):
        SelfCertainty(window=0)
