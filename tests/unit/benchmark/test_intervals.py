"""Bootstrap intervals and calibration: golden values, coverage, and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.benchmark.intervals import (
    bootstrap,
    calibration_error,
    mean_interval,
    paired_difference,
    reliability,
)


def test_the_interval_of_a_share_is_close_to_the_normal_one():
    values = [1.0] * 60 + [0.0] * 40
    found = mean_interval(values)
    half = 1.96 * math.sqrt(0.6 * 0.4 / 100)
    assert found.mean == 0.6
    assert found.low == pytest.approx(0.6 - half, abs=0.015)
    assert found.high == pytest.approx(0.6 + half, abs=0.015)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(1).random(50)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_95_percent_intervals_hold_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(300):
        low, high = mean_interval(rng.random(60) < 0.7, resamples=1000, seed=trial)[1:]
        hits += low <= 0.7 <= high
    assert 0.90 <= hits / 300 <= 0.985  # the percentile bootstrap is a little short at n = 60


def test_pairing_cancels_what_the_problems_share():
    rng = np.random.default_rng(2)
    difficulty = rng.random(80)
    a, b = difficulty + 0.05, difficulty + rng.normal(0, 0.01, 80)
    paired = paired_difference(a, b)
    assert paired.excludes_zero
    assert paired.low > 0.04
    apart = bootstrap(np.column_stack([a, b]))
    assert apart[0].low < apart[1].high  # unpaired, the two intervals overlap


def test_paired_values_must_be_of_the_same_problems():
    with pytest.raises(ValueError, match="same problems"):
        paired_difference([1, 0, 1], [1, 0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_an_interval_lies_within_the_values_and_around_the_mean(values):
    found = mean_interval(values, resamples=500)
    assert min(values) - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high + 2e-1
    assert found.low <= found.high <= max(values) + 1e-9


def test_edges_of_the_bootstrap():
    assert all(math.isnan(x) for x in mean_interval([]))
    assert mean_interval([0.25]) == (0.25, 0.25, 0.25)
    assert mean_interval([1, 1, 1]) == (1, 1, 1)
    with pytest.raises(ValueError, match="level"):
        mean_interval([1], level=1.0)
    with pytest.raises(ValueError, match="dimensions"):
        bootstrap([1, 2, 3])


def test_a_large_table_is_resampled_in_chunks_with_the_same_result_shape():
    table = np.random.default_rng(0).random((5000, 2))
    found = bootstrap(table, resamples=2000)
    assert [i.mean for i in found] == pytest.approx(table.mean(axis=0))
    assert all(i.high - i.low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 5000), rel=0.15) for i in found)


def test_calibration_error_by_hand():
    confidence = [0.9, 0.9, 0.9, 0.9, 0.55, 0.55]
    right = [True, True, True, False, True, True]
    expected = 4 / 6 * abs(0.9 - 0.75) + 2 / 6 * abs(0.55 - 1.0)
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert [b.size for b in reliability(confidence, right)] == [2, 4]


def test_calibration_edges():
    assert math.isnan(calibration_error([], []))
    assert calibration_error([1.0, 0.0], [True, False]) == 0.0
    with pytest.raises(ValueError, match="must lie"):
        calibration_error([1.2], [True])
    with pytest.raises(ValueError, match="must lie"):
        calibration_error([float("nan")], [True])
    with pytest.raises(ValueError, match="one verdict"):
        calibration_error([0.5], [])
