"""The Pareto pool and the rule by which a candidate takes over."""

import itertools
import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.learning.language.asking.acceptance import compare, flip_test, holds
from nlrl.learning.language.asking.policy import Example, LanguagePolicy, Principle
from nlrl.learning.language.asking.pool import Member, Pool, merge


def member(name, *values):
    return Member(LanguagePolicy(name), {f"p{i}": v for i, v in enumerate(values)})


def test_specialists_survive_and_the_dominated_do_not():
    pool = Pool()
    assert pool.add(member("a", 1, 0, 0, 1))
    assert pool.add(member("b", 0, 1, 0, 0))  # worse on the whole, alone on p1
    assert not pool.add(member("c", 1, 0, 0, 0))
    assert [m.policy.instruction for m in pool.members] == ["a", "b"]
    assert pool.add(member("d", 1, 1, 1, 1))
    assert [m.policy.instruction for m in pool.members] == ["d"]


def test_parents_are_picked_as_often_as_they_lead():
    pool = Pool([member("a", 1, 1, 1, 0), member("b", 0, 0, 0, 1)])
    rng = random.Random(0)
    picked = [pool.pick(rng).policy.instruction for _ in range(2000)]
    assert 0.70 < picked.count("a") / 2000 < 0.80


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=5, max_size=5), min_size=1, max_size=6))
def test_the_best_value_of_every_problem_stays_in_the_pool(rows):
    pool = Pool()
    for i, row in enumerate(rows):
        pool.add(member(str(i), *row))
    for column in range(5):
        assert max(m.values[f"p{column}"] for m in pool.members) == max(row[column] for row in rows)
    assert sum(map(len, pool.leads().values())) == 5


def test_the_pair_that_covers_most_is_merged_once():
    a, b, c = member("a", 1, 1, 0, 0), member("b", 0, 0, 1, 1), member("c", 0, 0, 0, 1)
    pool = Pool([a, b, c])
    assert pool.specialists() == (a, b)
    assert pool.specialists([(b.policy.id, a.policy.id)]) == (a, c)
    assert Pool([a]).specialists() is None


def test_a_merge_takes_turns_within_the_bounds():
    a = LanguagePolicy(None, tuple(Principle(f"a{i}") for i in range(6)), (Example("q", "1"),))
    b = LanguagePolicy("Go.", (*(Principle(f"b{i}") for i in range(6)), Principle("a0")), None)
    both = merge(a, b)
    assert both.instruction == "Go."
    assert [p.text for p in both.principles] == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]
    assert both.examples == a.examples
    assert both.objection() is None
    assert merge(a, a).id == a.id


@pytest.mark.parametrize(
    "wins, losses, p", [(0, 0, 1.0), (7, 2, 46 / 512), (3, 1, 5 / 16), (5, 0, 1 / 32), (0, 4, 1.0)]
)
def test_of_wins_and_losses_the_flip_test_is_the_sign_test(wins, losses, p):
    assert flip_test([1.0] * wins + [-1.0] * losses + [0.0] * 5) == pytest.approx(p)


def test_many_flips_agree_with_the_exact_test():
    wins, losses = 14, 6
    exact = sum(comb(20, k) for k in range(wins, 21)) / 2**20
    assert flip_test([1.0] * wins + [-1.0] * losses) == pytest.approx(exact, abs=0.01)


@given(st.lists(st.sampled_from([0.2, 0.5, 1.0]), min_size=1, max_size=7))
def test_where_nothing_is_better_it_accepts_as_seldom_as_it_says(sizes):
    signs = itertools.product((1, -1), repeat=len(sizes))
    every = [flip_test([s * d for s, d in zip(flips, sizes, strict=True)]) for flips in signs]
    assert sum(p <= 0.1 for p in every) / len(every) <= 0.1


def test_a_candidate_is_compared_where_both_could_be_judged():
    found = compare({"a": 1.0, "b": 0.0, "c": 1.0}, {"a": 0.0, "b": 0.0, "d": 1.0})
    assert (found.problems, found.wins, found.losses) == (2, 1, 0)
    assert found.difference == pytest.approx(0.5)
    assert not holds(found, 0.9)
    assert compare({"a": 1.0}, {"b": 1.0}) is None


def test_one_large_loss_outweighs_many_small_wins():
    better = {str(i): 0.6 for i in range(9)} | {"x": 0.0}
    worse = {str(i): 0.5 for i in range(9)} | {"x": 1.0}
    found = compare(better, worse)
    assert found.wins == 9 and found.difference < 0
    assert not holds(found, 0.9)
