"""The estimators against closed forms, brute force over all subsets, and laws."""

from __future__ import annotations

import time
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.evaluation.estimators import best_of_k, majority_at_k, pass_at_k, weighted_at_k


@pytest.mark.parametrize(("n", "right", "k"), [(10, 3, 5), (16, 1, 16), (64, 0, 8), (5, 5, 1), (200, 17, 100)])
def test_pass_at_k_is_the_closed_form(n, right, k):
    assert pass_at_k(n, right, k) == pytest.approx(1 - comb(n - right, k) / comb(n, k), abs=1e-12)


def test_pass_at_k_does_not_overflow():
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("n", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5)])
def test_pass_at_k_refuses_nonsense(n, right, k):
    with pytest.raises(ValueError, match="must lie in"):
        pass_at_k(n, right, k)


@given(st.integers(1, 80).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_grows_with_k_and_starts_at_the_share(case):
    n, right = case
    curve = [pass_at_k(n, right, k) for k in range(1, n + 1)]
    assert curve[0] == pytest.approx(right / n)
    assert all(b >= a - 1e-12 for a, b in pairwise(curve))
    assert all(0 <= p <= 1 for p in curve)
    assert curve[-1] == (1.0 if right else 0.0)


def _vote(weights: dict[int, float], good: dict[int, bool]) -> float:
    top = max(weights.values(), default=0)
    winners = [x for x, w in weights.items() if w > top - 1e-9 and top > 0]
    return sum(good[x] for x in winners) / len(winners) if winners else 0.0


def _brute(labels: list[int], weights: list[float], right: list[bool], k: int) -> float:
    good = dict(zip(labels, right, strict=True))
    total = 0.0
    for chosen in combinations(range(len(labels)), k):
        votes: dict[int, float] = {}
        for i in chosen:
            if labels[i] >= 0:
                votes[labels[i]] = votes.get(labels[i], 0.0) + weights[i]
        total += _vote(votes, good)
    return total / comb(len(labels), k)


_labels = st.lists(st.integers(-1, 3), min_size=1, max_size=9)


@settings(max_examples=60, deadline=None)
@given(_labels, st.integers(0, 3))
def test_majority_is_the_mean_over_all_subsets(labels, winner):
    right = [label == winner for label in labels]
    for k in range(1, len(labels) + 1):
        assert majority_at_k(labels, right, k) == pytest.approx(
            _brute(labels, [1.0] * len(labels), right, k), abs=1e-12
        )


@settings(max_examples=40, deadline=None)
@given(_labels, st.integers(0, 3), st.randoms(use_true_random=False))
def test_weighted_vote_is_the_mean_over_all_subsets(labels, winner, rng):
    right = [label == winner for label in labels]
    weights = [rng.choice([0.0, 0.25, 0.5, 1.0]) for _ in labels]
    ks = list(range(1, len(labels) + 1))
    expected = [_brute(labels, weights, right, k) for k in ks]
    assert weighted_at_k(labels, weights, right, ks) == pytest.approx(expected, abs=1e-9)


def test_majority_of_two_classes_is_the_hypergeometric_sum():
    right, wrong, k = 20, 12, 9
    labels = [0] * right + [1] * wrong
    ways = sum(comb(right, m) * comb(wrong, k - m) for m in range(5, 10))
    expected = ways / comb(right + wrong, k)
    assert majority_at_k(labels, [x == 0 for x in labels], k) == pytest.approx(expected, abs=1e-12)


def test_a_tie_is_split_and_unparsed_attempts_vote_for_nobody():
    assert majority_at_k([0, 1], [True, False], 2) == 0.5
    assert majority_at_k([-1, -1, 0], [False, False, True], 3) == 1.0
    assert majority_at_k([-1, -1], [False, False], 2) == 0.0
    assert weighted_at_k([-1, -1], [0.9, 0.9], [False, False], [2])[0] == 0.0


def test_many_attempts_are_estimated_close_to_the_exact_value():
    rng = np.random.default_rng(3)
    labels = [int(x) for x in rng.choice(4, size=300, p=[0.4, 0.35, 0.15, 0.1])]
    right = [x == 0 for x in labels]
    exact = majority_at_k(labels, right, 15)
    estimate = weighted_at_k(labels, np.ones(300), right, [15], seed=1)[0]
    assert estimate == pytest.approx(exact, abs=0.08)  # three standard errors of 400 orders
    assert weighted_at_k(labels, np.ones(300), right, [15], seed=1)[0] == estimate
    assert majority_at_k(labels * 2, right * 2, 15) == pytest.approx(exact, abs=0.08)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.booleans()), min_size=1, max_size=9))
def test_best_of_k_is_the_mean_over_all_subsets(attempts):
    scores, right = [s for s, _ in attempts], [r for _, r in attempts]
    for k in range(1, len(attempts) + 1):
        total = 0.0
        for chosen in combinations(range(len(attempts)), k):
            top = max(scores[i] for i in chosen)
            best = [right[i] for i in chosen if scores[i] == top]
            total += sum(best) / len(best)
        assert best_of_k(scores, right, k) == pytest.approx(total / comb(len(attempts), k), abs=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_perfect_verifier_reaches_pass_at_k_and_a_blind_one_stays_at_one_sample(right):
    n = len(right)
    for k in {1, (n + 1) // 2, n}:
        perfect = best_of_k([float(r) for r in right], right, k)
        assert perfect == pytest.approx(pass_at_k(n, sum(right), k), abs=1e-9)
        assert best_of_k([0.5] * n, right, k) == pytest.approx(sum(right) / n, abs=1e-9)


def test_subsets_are_counted_and_not_listed():
    """0.3 seconds for a hundred problems of 64 attempts; there are 10^18 subsets of 32."""
    rng = np.random.default_rng(0)
    begun = time.process_time()
    for _ in range(100):
        p = rng.random()
        labels = [0 if rng.random() < p else int(rng.integers(-1, 12)) for _ in range(64)]
        for k in (1, 2, 4, 8, 16, 32, 64):
            majority_at_k(labels, [x == 0 for x in labels], k)
    assert time.process_time() - begun < 30
