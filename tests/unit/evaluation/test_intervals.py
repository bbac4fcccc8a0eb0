"""Intervals: what they must hold, against closed forms and an optimiser of other people; clusters; many at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.evaluation.intervals import (
    GAIN,
    LEAST_GROUPS,
    SHARE,
    Interval,
    beyond_luck,
    calibration_error,
    clusters_of,
    gain_chance,
    gain_interval,
    intervals,
    mean_interval,
    reliability,
)

REACH = 1.959964**2 / 2


def column(right: int, n: int) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


@pytest.mark.parametrize(("right", "n"), [(0, 12), (7, 12), (11, 12), (12, 12), (60, 100), (499, 500)])
def test_of_zeros_and_ones_it_is_the_binomial_likelihood_interval(right, n):
    """With a third of a problem at each end, the likelihood ratio at each end is what chi-square allows."""
    found = mean_interval(column(right, n))
    yes, whole = right + 1 / 3, n + 2 / 3
    for end in (found.low, found.high):
        if 0 < end < 1 and not math.isclose(end, right / n):
            ratio = yes * math.log(yes / whole / end) + (whole - yes) * math.log((1 - yes / whole) / (1 - end))
            assert ratio == pytest.approx(REACH * (1 + 1.25 / n), rel=1e-5)
    assert found.mean == right / n
    assert found.low < found.mean < found.high or right in (0, n)


def test_the_ends_are_those_that_an_optimiser_finds():
    """The lowest mean of any reweighting that costs no more likelihood than chi-square allows."""
    optimise = pytest.importorskip("scipy.optimize")
    values = np.array([0.0, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0])
    points = np.append(values, [0.0, 1.0])
    weights = np.append(np.ones(9), [1 / 3, 1 / 3])
    reach = REACH * (1 + 1.25 / 9)
    even = weights / weights.sum()
    for sign, mine in ((1, mean_interval(values).low), (-1, mean_interval(values).high)):
        best = optimise.minimize(
            lambda q, s=sign: s * q @ points,
            even,
            method="SLSQP",
            bounds=[(1e-9, 1)] * 11,
            constraints=[
                {"type": "eq", "fun": lambda q: q.sum() - 1},
                {"type": "ineq", "fun": lambda q: reach + weights @ np.log(q / even)},
            ],
            options={"ftol": 1e-12, "maxiter": 1000},
        )
        assert sign * best.fun == pytest.approx(mine, abs=1e-5)


def test_twelve_of_twelve_are_not_certain():
    found = mean_interval([1.0] * 12)
    assert (found.mean, found.high) == (1.0, 1.0)
    assert 0.72 < found.low < 0.79  # Clopper and Pearson say .735, Wilson .757
    assert mean_interval([0.0] * 12) == pytest.approx((0.0, 0.0, 1 - found.low))


@pytest.mark.parametrize("n", [12, 13, 20, 26, 50, 128])
def test_plain_accuracies_are_covered_wherever_they_lie(n):
    """Exactly, over all outcomes: at least 91 %, and not so often that the intervals would be needlessly wide."""
    right = np.arange(n + 1)
    found = np.array(intervals((np.arange(n)[:, None] < right).astype(float)))
    covered = []
    for p in np.arange(0.5, 0.981, 0.01):
        law = [math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in right.tolist()]
        covered.append(float(np.dot(law, (found[:, 1] <= p) & (p <= found[:, 2]))))
    assert min(covered) >= 0.915
    assert 0.945 <= np.mean(covered) <= 0.98


def test_the_spread_of_shares_is_their_own():
    alike = mean_interval([0.5, 0.6, 0.4, 0.5] * 10)
    apart = mean_interval([0.0, 1.0, 1.0, 0.0] * 10)
    assert alike.high - alike.low < 0.25 * (apart.high - apart.low)
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(40), rel=0.06)


def test_pairing_cancels_what_the_problems_share():
    rng = np.random.default_rng(2)
    difficulty = 0.9 * rng.random(80)
    a, b = difficulty + 0.05, np.clip(difficulty + rng.normal(0, 0.01, 80), 0, 1)
    paired = gain_interval(a, b)
    assert paired.excludes_zero and paired.low > 0.01
    apart = intervals(np.column_stack([a, b]))
    assert apart[0].low < apart[1].high  # unpaired, the two intervals overlap


def test_a_gain_on_every_problem_alike_is_still_no_certainty():
    found = gain_interval([1.0] * 10, [0.75] * 10)
    assert found.mean == 0.25
    assert found.low < 0.1 and found.high > 0.3


def score_interval(won: int, lost: int, n: int) -> tuple[float, float]:
    """Tango 1998, equations 4 to 6: the differences that a score test at 5 % does not refuse."""

    def refused(d: float) -> bool:
        c = -lost * d * (1 - d)
        b = -won - lost + (2 * n - won + lost) * d
        q = (math.sqrt(max(b * b - 8 * n * c, 0)) - b) / (4 * n)
        return (won - lost - n * d) ** 2 > 2 * REACH * n * (2 * q + d * (1 - d))

    held = [d for d in np.linspace(-0.9995, 0.9995, 4000) if not refused(float(d))]
    return float(min(held)), float(max(held))


@pytest.mark.parametrize(("won", "lost", "n"), [(8, 2, 30), (5, 5, 40), (20, 10, 100), (12, 3, 200), (9, 0, 60)])
def test_gains_of_zeros_and_ones_agree_with_the_score_interval(won, lost, n):
    values = [1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost)
    found = mean_interval(values, scale=GAIN)
    assert (found.low, found.high) == pytest.approx(score_interval(won, lost, n), abs=0.025)


def test_paired_values_must_be_of_the_same_problems():
    with pytest.raises(ValueError, match="same problems"):
        gain_interval([1, 0, 1], [1, 0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.8, 0.95, 0.99]))
def test_an_interval_lies_within_the_scale_around_the_mean_and_has_a_mirror(values, level):
    found = mean_interval(values, level=level)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0
    mirror = mean_interval([1 - v for v in values], level=level)
    assert (1 - mirror.high, 1 - mirror.low) == pytest.approx((found.low, found.high), abs=1e-6)
    wider = mean_interval(values, level=(1 + level) / 2)
    assert wider.low <= found.low and found.high <= wider.high


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_chance_is_below_5_percent_exactly_where_the_interval_excludes_zero(pairs):
    a, b = [float(x) for x, _ in pairs], [y for _, y in pairs]
    chance = gain_chance(a, b)
    assert 0 <= chance <= 1
    assert (chance < 0.05) == gain_interval(a, b).excludes_zero or abs(chance - 0.05) < 1e-9
    assert gain_chance(b, a) == pytest.approx(chance, abs=1e-6)


def test_chances_by_hand():
    assert gain_chance([1, 0, 1, 0], [0, 1, 1, 0]) == pytest.approx(1.0, abs=1e-4)
    assert gain_chance([], []) == 1.0
    eight = gain_chance([1.0] * 8 + [0.5] * 12, [0.0] * 8 + [0.5] * 12)
    assert 0.001 < eight < 0.012  # the sign test says 2 / 2**8 = .0078


def test_an_interval_that_touches_zero_does_not_exclude_it():
    assert not Interval(0.1, 0.0, 0.2).excludes_zero and not Interval(-0.1, -0.2, 0.0).excludes_zero
    assert Interval(0.1, 1e-6, 0.2).excludes_zero and Interval(-0.1, -0.2, -1e-6).excludes_zero
    assert not Interval(0.1, math.nan, math.nan).excludes_zero


def test_edges():
    assert all(math.isnan(x) for x in mean_interval([]))
    assert mean_interval([0.25]).high - mean_interval([0.25]).low > 0.6
    with pytest.raises(ValueError, match="level"):
        mean_interval([1], level=1.0)
    with pytest.raises(ValueError, match="dimensions"):
        intervals([1, 2, 3])
    with pytest.raises(ValueError, match="scale=GAIN"):
        mean_interval([0.5, -0.5])
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        mean_interval([1.5], scale=GAIN)


def test_values_without_ends():
    """Returns: about the width of Student's t, moved and stretched with the values; equal values tell nothing."""
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(4).normal(-5, 2, 40)
    found = mean_interval(values, scale=None)
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1) / math.sqrt(40)
    assert found.low == pytest.approx(values.mean() - half, abs=0.35 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.35 * half)
    moved = mean_interval(10 * values + 3, scale=None)
    assert moved == pytest.approx((10 * found.mean + 3, 10 * found.low + 3, 10 * found.high + 3))
    assert not mean_interval([2.0, 2.0], scale=None).known


# --- clusters


def test_copies_of_a_problem_say_no_more_than_the_problem():
    values = column(9, 12)
    once = mean_interval(values)
    groups = [f"g{i}" for i in range(12) for _ in range(3)]
    copied = mean_interval(np.repeat(values, 3), groups=groups)
    assert copied == pytest.approx(once)
    assert mean_interval(np.repeat(values, 3)).low > once.low + 0.05  # what it would be without the groups


def test_clusters_that_differ_little_say_more_than_their_number():
    values = [1.0, 1.0, 0.0] * 20
    groups = [str(i // 3) for i in range(60)]
    found = mean_interval(values, groups=groups)
    assert found.mean == pytest.approx(2 / 3)
    assert found.high - found.low < mean_interval(values).high - mean_interval(values).low


def test_unequal_clusters_weigh_by_their_problems():
    sizes = [1, 3, 6, 2] * 6
    groups = [str(g) for g, size in enumerate(sizes) for _ in range(size)]
    values = np.random.default_rng(0).random(len(groups)) < 0.7
    found = mean_interval(values.astype(float), groups=groups)
    assert found.mean == values.mean()
    assert found.low < found.mean < found.high
    one_large = mean_interval([1.0] * 20 + [0.0] * 20, groups=[f"g{i}" for i in range(20)] + ["large"] * 20)
    assert one_large.mean == 0.5 and 0 <= one_large.low < 0.2  # half of all problems hang on one cluster


def test_few_clusters_have_no_interval():
    def of(clusters: int):
        groups = [f"g{i % clusters}" for i in range(40)]
        return mean_interval(column(30, 40), groups=groups), gain_chance([1.0] * 40, [0.0] * 40, groups=groups)

    assert LEAST_GROUPS == 8
    few, chance = of(7)
    assert (few.mean, few.known, few.excludes_zero, chance) == (0.75, False, False, 1.0)
    enough, chance = of(8)
    assert enough.known and chance < 0.01
    assert mean_interval([1.0] * 3).known  # problems that stand alone are no clusters


def test_who_is_in_which_cluster():
    assert clusters_of(["a", "", "a", "b", ""]).tolist() == [0, 1, 0, 2, 3]
    with pytest.raises(ValueError, match="one group per problem"):
        mean_interval([1, 0, 1], groups=["a", "b"])
    alone = mean_interval(column(9, 12), groups=[""] * 12)
    assert alone == mean_interval(column(9, 12))


# --- many at once


def test_holm_by_hand():
    assert beyond_luck([0.015, 0.04, 0.03, 0.005]) == [True, False, False, True]  # .015 < .05 / 3; .03 > .05 / 2
    assert beyond_luck([0.02, 0.02]) == [True, True]
    assert beyond_luck([0.03, 0.04]) == [False, False]
    assert beyond_luck([0.05]) == [True]
    assert beyond_luck([]) == []


def test_of_many_useless_gains_hardly_ever_one_holds():
    rng = np.random.default_rng(11)
    together = alone = 0
    for _ in range(200):
        base = rng.random((40, 1)) < 0.6
        chances = [gain_chance(ours, base[:, 0]) for ours in (rng.random((10, 40)) < 0.6)]
        together += any(beyond_luck(chances))
        alone += any(c < 0.05 for c in chances)
    assert alone > 40
    assert together <= 14


def test_a_large_table_in_one_go():
    table = np.random.default_rng(0).random((5000, 2))
    found = intervals(table)
    assert [i.mean for i in found] == pytest.approx(table.mean(axis=0))
    assert all(i.high - i.low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 5000), rel=0.02) for i in found)
    assert SHARE.weight > 0


# --- how honest a confidence is


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
