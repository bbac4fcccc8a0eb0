"""FLOPs against arithmetic done by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Spend, UserError
from nlrl.scaling.flops import (
    Flops,
    Shape,
    answer_flops,
    compare_matched,
    factor_at,
    forward_flops,
    matched,
    pretraining_flops,
    ratio_at,
    spend_flops,
)

TINY = Shape(1000, layers=2, width=8)


def test_two_operations_per_weight_and_token():
    assert forward_flops(Shape(0.5e9), 100) == Flops(1e11, 0.0)


def test_attention_counts_every_pair_of_tokens():
    # tokens 4 and 5 of a sequence look at 4 and 5 tokens; 4 x 2 layers x width 8 for each
    assert forward_flops(TINY, 2, context=3, attention=True) == Flops(4000, 64 * 9)
    by_hand = sum(64 * p for p in range(1, 11))
    assert forward_flops(TINY, 10, attention=True).attention == by_hand


def test_a_shared_prompt_is_evaluated_once_and_the_cached_part_never():
    got = answer_flops(TINY, 10, [5, 7], cached_tokens=4)
    assert got.total == 2 * 1000 * (10 - 4 + 5 + 7)
    # with attention: prompt tokens 5..10, then each draw from token 11 on
    got = answer_flops(TINY, 10, [1, 2], cached_tokens=4, attention=True)
    assert got.attention == 64 * (sum(range(5, 11)) + 11 + (11 + 12))


def test_a_ledger_is_priced_as_the_purse_does():
    spend = Spend(calls=2, prompt_tokens=50, cached_tokens=20, completion_tokens=70, cancelled_tokens=10)
    assert spend_flops(Shape(1000), spend).total == 2 * 1000 * 100


def test_pretraining_is_6nd_and_its_attention_three_forward_passes():
    assert pretraining_flops(Shape(1e9), 2e10).total == 1.2e20
    one_sequence = forward_flops(TINY, 16, attention=True).attention
    assert pretraining_flops(TINY, 160, sequence_tokens=16, attention=True).attention == 3 * 10 * one_sequence


def test_the_matched_factor_by_hand():
    # M = 14, R = 1: 14 + 3 x 13 = 53. FLOPs: 7e9 x (6e12 + 2e12) = 5.6e22 = 0.5e9 x (6e12 + 2e12 x 53)
    match = matched(Shape(0.5e9), Shape(7e9), pretraining_tokens=1e12, inference_tokens=1e12)
    assert (match.times, match.ratio, match.factor) == (14.0, 1.0, 53.0)
    assert match.small_tokens == 5.3e13
    assert match.flops == 5.6e22
    # the ratios of the paper, M = 14
    assert factor_at(14, 0.16) == pytest.approx(257.75)
    assert factor_at(14, 22) == pytest.approx(15.7727272727)


def test_a_small_model_that_was_trained_on_more_may_spend_less():
    # 7e9 (6e12 + 2e12) = 0.5e9 (6 x 4e12 + 2e12 k) -> k = 56 - 12 = 44
    match = matched(
        Shape(0.5e9), Shape(7e9), pretraining_tokens=1e12, inference_tokens=1e12, small_pretraining_tokens=4e12
    )
    assert match.factor == pytest.approx(44)
    longest = matched(
        Shape(0.5e9), Shape(7e9), pretraining_tokens=1e12, inference_tokens=1e12, small_pretraining_tokens=1e14
    )
    assert longest.factor < 0


sizes = st.floats(1e6, 1e12)


@given(sizes, st.floats(1, 100), st.floats(1e6, 1e13), st.floats(1e3, 1e15))
def test_both_sides_cost_the_same(parameters, times, trained, served):
    small, large = Shape(parameters), Shape(parameters * times)
    match = matched(small, large, pretraining_tokens=trained, inference_tokens=served)
    mine = pretraining_flops(small, trained).total + forward_flops(small, match.small_tokens).total
    theirs = pretraining_flops(large, trained).total + forward_flops(large, served).total
    assert mine == pytest.approx(theirs, rel=1e-9)
    assert match.flops == pytest.approx(theirs, rel=1e-9)
    assert match.factor == pytest.approx(factor_at(match.times, match.ratio), rel=1e-9)
    assert match.factor >= match.times * (1 - 1e-12)


@given(st.floats(1.01, 100), st.floats(1e-3, 1e3))
def test_the_ratio_at_a_factor_is_its_inverse(times, ratio):
    assert ratio_at(times, factor_at(times, ratio)) == pytest.approx(ratio, rel=1e-6)


def test_the_ratio_at_its_edges():
    assert math.isinf(ratio_at(4, 4))
    with pytest.raises(UserError, match="allowed at every R"):
        ratio_at(4, 3.9)


def test_the_comparison_takes_the_best_point_that_fits():
    points = [(100, 0.30), (400, 0.45), (1600, 0.55), (6400, 0.50)]
    # M = 4, one large answer of 100 tokens. R = 22: 4 + 9/22 -> 441 tokens; R = 0.5: 22 -> 2200; R = .01: 904 -> 90400
    few, some, many = compare_matched(
        Shape(1e9), Shape(4e9), points, large_tokens=100, large_accuracy=0.5, ratios=(22, 0.5, 0.01)
    )
    assert few.allowed == pytest.approx(440.909, abs=0.001)
    assert (few.tokens, few.accuracy, few.measured) == (400, 0.45, True)
    assert few.difference == pytest.approx(-0.05)
    assert (some.tokens, some.allowed) == (1600, pytest.approx(2200))
    assert some.difference == pytest.approx(0.05)
    assert (many.tokens, many.measured) == (1600, False)  # a dearer point that is worse is not taken
    (none,) = compare_matched(Shape(1e9), Shape(1e9), points, large_tokens=50, large_accuracy=0.5, ratios=(1,))
    assert (none.tokens, none.accuracy, none.difference) == (None, 0.0, -0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Shape(0),
        lambda: Shape(float("nan")),
        lambda: Shape(1e9, layers=0),
        lambda: forward_flops(TINY, -1),
        lambda: forward_flops(Shape(10), 5, attention=True),
        lambda: forward_flops(TINY, float("inf")),
        lambda: answer_flops(TINY, 10, [1], cached_tokens=11),
        lambda: pretraining_flops(TINY, 10, attention=True),
        lambda: matched(Shape(7), Shape(1), pretraining_tokens=1, inference_tokens=1),
        lambda: matched(Shape(1), Shape(7), pretraining_tokens=0, inference_tokens=1),
        lambda: factor_at(2, 0),
        lambda: compare_matched(TINY, TINY, [], large_tokens=1, large_accuracy=0.5),
        lambda: compare_matched(TINY, TINY, [(1, float("nan"))], large_tokens=1, large_accuracy=0.5),
        lambda: compare_matched(TINY, TINY, [(1, 0.5)], large_tokens=1, large_accuracy=50),
    ],
)
def test_numbers_that_cannot_be_are_refused(call):
    with pytest.raises(UserError):
        call()
