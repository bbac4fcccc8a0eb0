"""From a table of cells to a policy, by hand."""

from __future__ import annotations

import asyncio
import csv
import html
import math
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Candidate, Completion, DataError, Finish, Problem, Sampling, Score, TaskType, UserError
from nlrl.evaluation.intervals import mean_interval
from nlrl.scaling.auto import sureness_features
from nlrl.scaling.calibrate import (
    Calibration,
    _decide,
    _fitting_caps,
    calibrate,
    curve,
    default_strategies,
    same_tokens,
)
from nlrl.scaling.cells import Cells
from nlrl.scaling.choose import (
    SHRINK,
    Picks,
    Settings,
    Sure,
    Validation,
    as_used,
    cross_validate,
    fit,
    fit_sureness,
    folds,
    held_out_sureness,
    make_bins,
    prices,
    sureness_rows,
)
from nlrl.scaling.difficulty import FEATURES, edges, oracle_bins, place, probe_features
from nlrl.scaling.gains import HORIZONS, KINDS, LEADS, SECONDS, SIZES, GainTable, load_gain, save_gain
from nlrl.scaling.logistic import Logistic, fit_logistic, fit_staircase
from nlrl.scaling.policy import (
    Bin,
    Level,
    Option,
    Policy,
    Provenance,
    best_option,
    check_model,
    default_policy,
    load_policy,
    save_policy,
)
from nlrl.scaling.report import write_report
from nlrl.scaling.tables import (
    beside_fixed,
    bins_of,
    confidences,
    family_rows,
    ratio_rows,
    savings,
    tables,
    token_ratio,
)
from nlrl.strategies import solve
from nlrl.testing import StochasticModel
from nlrl.testing.scripted import ScriptedModel

NAN = float("nan")
WAYS = ("direct", "self_consistency(n=4)", "self_consistency(n=16)")


def cells(right, tokens, *, keys=None, features=None, pass_at_1=None, stated=0.5):
    right = np.asarray(right, dtype=float)
    rows, n = right.shape
    cost = np.broadcast_to(np.asarray(tokens, dtype=float).reshape(rows, -1), right.shape).copy()
    return Cells(
        tuple(keys or ((name, None) for name in WAYS[:rows])),
        right,
        cost,
        np.full(right.shape, stated),
        cost / 2,
        np.zeros((n, len(FEATURES))) if features is None else np.asarray(features, dtype=float),
        np.full(n, 0.5) if pass_at_1 is None else np.asarray(pass_at_1, dtype=float),
    )


def halves(n=40):
    """The first half is easy, and the probe shows it; more attempts help the second half alone."""
    easy = np.arange(n) < n // 2
    features = np.zeros((n, len(FEATURES)))
    features[:, 0] = easy
    right = [easy, np.ones(n)]
    return cells(right, [100, 400], features=features, pass_at_1=np.where(easy, 0.9, 0.1))


# --- what a probe shows


def attempt(tokens, score=None):
    return Candidate("s", Completion("", Finish.STOP, tokens), score=None if score is None else Score(score))


def test_features_of_a_probe_by_hand():
    attempts = [attempt(10, 0.9), attempt(20), attempt(30, 0.1), attempt(40, 0.3), attempt(50, 1.0)]
    got = dict(zip(FEATURES, probe_features(Problem("x" * 9), attempts, [0, 1, 1, 2, -1]), strict=True))
    assert got == {
        "agreement": 2 / 5,
        "second": 1 / 5,
        "distinct": 3 / 5,
        "unparsed": 1 / 5,
        "score": pytest.approx((0.9 + 0.5 + 0.1 + 0.3 + 1.0) / 5),
        "leader_score": pytest.approx((0.5 + 0.1) / 2),
        "log_tokens": math.log(31),
        "log_prompt": math.log(10),
    }


def test_the_features_are_named_in_reports_as_they_are():
    names = "agreement second distinct unparsed score leader_score log_tokens log_prompt"
    assert " ".join(FEATURES) == names


def test_features_of_a_probe_that_shows_nothing():
    nothing = probe_features(Problem("x" * 9), [], [])
    assert nothing == (0.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.0, math.log(10))
    unread = probe_features(Problem("x" * 9), [attempt(0), attempt(0)], [-1, -1])
    assert unread == (0.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.0, math.log(10))
    one = probe_features(Problem("x" * 9), [attempt(0, 0.2)], [0])
    assert one[:6] == (1.0, 0.0, 1.0, 0.0, 0.2, 0.2)


def test_borders_lie_between_problems_and_bins_are_about_equal():
    assert edges([0.9, 0.7, 0.5, 0.3, 0.2, 0.0], 3) == pytest.approx((0.6, 0.25))
    assert edges([0.9, 0.7, 0.5, 0.3, 0.2, 0.0], 6, least=2) == pytest.approx((0.6, 0.25))  # three of two, not six
    assert edges([0.9, 0.7, 0.5, 0.5, 0.5, 0.0], 3) == (0.5,)  # ties stay together
    assert edges([0.9, 0.1], 1) == ()
    assert [place(c, (0.6, 0.25)) for c in (0.61, 0.6, 0.25, 0.0)] == [0, 1, 2, 2]
    assert oracle_bins([0.9, 0.8, 0.7, 0.3, 0.2]) == [0, 1, 2, 3, 4]  # five bins unless told otherwise


# --- learned functions


def test_a_logistic_line_by_hand():
    line = Logistic(0.5, (2.0, -1.0), (1.0, 0.0), (2.0, 4.0))
    z = 0.5 + 2 * (3 - 1) / 2 - 1 * (8 - 0) / 4
    assert line.chance([3, 8]) == pytest.approx(1 / (1 + math.exp(-z)))
    assert Logistic(99.0, (), (), ()).chance([]) == pytest.approx(1 / (1 + math.exp(-30)), abs=1e-15)
    assert Logistic(-99.0, (), (), ()).chance([]) == pytest.approx(1 / (1 + math.exp(30)), rel=1e-9)
    with pytest.raises(ValueError, match="argument 2 is"):
        line.chance([1.0])


def test_a_penalty_holds_weights_and_not_the_bias():
    x, y = [[0.0], [1.0]] * 50, [0.1, 0.9] * 50
    loose, tight = fit_logistic(x, y, ridge=1e-3), fit_logistic(x, y, ridge=1e4)
    assert loose.weights[0] > 2 > 0.02 > tight.weights[0] > 0
    assert (loose.means, loose.scales) == ((0.5,), (0.5,))
    assert fit_logistic([[3.0]] * 40, [0.9] * 40, ridge=1e4).chance([3.0]) == pytest.approx(0.9, abs=0.01)
    assert fit_logistic([[3.0]] * 4, [0.5] * 4).scales == (1.0,)  # what never varies is not divided by
    # the default penalty is 1: the slope where gradient and penalty balance
    w = fit_logistic(x, y).weights[0]
    chance = 1 / (1 + math.exp(-w))
    assert 50 * (0.9 - chance) * 1 + 50 * (1 - chance - 0.1) * 1 == pytest.approx(w, rel=1e-6)


def test_no_rows_and_wrong_shapes():
    empty = fit_logistic(np.zeros((0, 2)), [])
    assert (empty.weights, empty.means, empty.scales) == ((0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    assert empty.chance([5, 5]) == 0.5
    for x, y in (([1.0, 2.0], [1.0, 0.0]), ([[1.0]], [1.0, 0.0])):
        with pytest.raises(ValueError, match="rows x features"):
            fit_logistic(x, y)
    with pytest.raises(ValueError, match="finite"):
        fit_logistic([[1.0]], [math.inf])


def test_a_staircase_by_hand():
    """Two blocks of two, each drawn towards the mean of all (3/4 of 4) by two rows' worth."""
    steps = fit_staircase([0.1, 0.2, 0.6, 0.8], [0, 1, 1, 1], least=2)
    assert steps.at == pytest.approx((0.15, 0.7))
    assert steps.value == pytest.approx(((1 + 1.5) / 4, (2 + 1.5) / 4))
    assert steps(0.0) == pytest.approx(0.625) and steps(0.425) == pytest.approx(0.75) and steps(1.0) == steps(0.7)
    # what falls is pooled, and a rest of less than `least` goes to its neighbour
    flat = fit_staircase([0.1, 0.2, 0.6, 0.8, 0.9], [1, 1, 0, 0, 0], least=2)
    assert flat.at == pytest.approx((0.52,)) and flat.value == pytest.approx((0.4,))
    assert len(fit_staircase(np.arange(17) / 17, np.arange(17) > 8).at) == 2  # blocks of eight unless told otherwise
    # order of the rows does not matter
    assert fit_staircase([0.8, 0.1, 0.6, 0.2], [1, 0, 1, 1], least=2) == fit_staircase(
        [0.1, 0.2, 0.6, 0.8], [0, 1, 1, 1], least=2
    )


# --- options


OPTIONS = [(None, 0.5, 100.0, 150), (None, 0.7, 400.0, 600), (200, 0.4, 90.0, 200), (500, 0.65, 300.0, 480)]


@pytest.mark.parametrize(
    ("cap", "price", "capped", "chosen"),
    [
        (None, 0.0, False, 1),  # the best without a limit
        (None, 1.0, False, 0),  # 0.5 - 0.1 against 0.7 - 0.4
        (None, 0.6, False, 1),  # 0.44 against 0.46
        (10_000, 0.0, False, 1),  # never took more than 600
        (600, 0.0, False, 1),
        (599, 0.0, False, 3),
        (500, 0.0, False, 3),
        (499, 0.0, False, 0),  # what never took more than 150
        (10_000, 0.0, True, 3),  # only what was measured under a limit
        (499, 0.0, True, 2),
        (149, 0.0, False, 0),  # nothing fits: what needs least, 150
        (10, 0.0, True, 0),
    ],
)
def test_the_option_under_a_budget_and_a_price(cap, price, capped, chosen):
    assert best_option(OPTIONS, cap, price, capped=capped) == chosen


def test_of_equals_the_cheaper():
    assert best_option([(None, 0.5, 200.0, 1), (None, 0.5, 100.0, 1)], None, 0.0) == 1


def test_a_policy_chooses_in_the_bin_of_the_problem():
    a, b = Option("direct", 10.0, 20, 0.5, 0.4, 0.6), Option("direct", 10.0, 20, 0.4, 0.3, 0.5, cap=64)
    policy = replace_struct(default_policy(), borders=(0.5,), bins=(Bin(1, 0.9, (a,)), Bin(1, 0.1, (b,))))
    assert policy.choose(0.9) is a and policy.choose(0.1) is b
    assert (a.needs, b.needs) == (20, 64)
    assert policy.chance((0.6, *[0.0] * 7)) == 0.5
    assert replace_struct(policy, difficulty=None).chance(()) == 0.9


def replace_struct(policy: Policy, **changes) -> Policy:
    return msgspec.structs.replace(policy, **changes)


def test_the_built_in_policy():
    """Not measured, and says so; agreement of the first four attempts decides."""
    policy = default_policy()
    assert (policy.model, policy.probe, policy.verifier, policy.borders) == ("", 4, "default", (0.7, 0.3))
    names = [[o.strategy for o in b.options] for b in policy.bins]
    votes = [f"weighted_vote(n={n})" for n in (8, 16, 32)]
    assert names == [["self_consistency(n=4)", *more] for more in (["revisions(chains=2, n=4)"], votes[:2], votes)]
    for one in policy.bins:
        assert [o.most for o in one.options] == sorted(o.most for o in one.options)
        assert all(o.tokens < o.most and (o.low, o.high) == (0.0, 1.0) for o in one.options)
    assert [b.pass_at_1 for b in policy.bins] == [0.8, 0.5, 0.2]
    bins = [place(policy.chance((agreed, *[9.0] * 7)), policy.borders) for agreed in (1.0, 0.75, 0.5, 0.25)]
    assert bins == [0, 1, 1, 2]
    assert policy.choose(0.5).strategy == votes[1] and policy.choose(0.2).strategy == votes[2]
    assert policy.assumed and "built-in default" in policy.notes[0]
    assert "built-in default" in policy.notes[0]
    check_model(policy, "anything", "there")  # it is nobody's


def test_doubts_are_about_kinds_that_were_not_calibrated():
    policy = replace_struct(default_policy(), tasks=("math", "coding"))
    assert policy.doubts(Problem("?", task_type=TaskType.MATH)) == []
    assert policy.doubts(Problem("?")) == []
    (said,) = policy.doubts(Problem("?", task_type=TaskType.WRITING))
    assert "math, coding problems; this one is writing" in said
    assert default_policy().doubts(Problem("?", task_type=TaskType.MATH)) == []


CONFIDENCE = {
    "line": {"bias": 0.0, "weights": [1.0, 1.0], "means": [0.0, 0.0], "scales": [1.0, 1.0]},
    "steps": {"at": [0.2, 0.8], "value": [0.3, 0.7]},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"steps": {"at": [0.8, 0.2], "value": [0.3, 0.7]}}, "must rise"),
        ({"steps": {"at": [0.2, 0.8], "value": [0.7, 0.3]}}, "must rise"),
        ({"steps": {"at": [0.2, 0.8], "value": [0.3, 1.7]}}, "must rise"),
        ({"steps": {"at": [0.2, 0.8], "value": [-0.3, 0.7]}}, "must rise"),
        ({"steps": {"at": [0.2], "value": [0.3, 0.7]}}, "must rise"),
        ({"line": CONFIDENCE["line"] | {"weights": [1.0]}}, "two weights"),
        ({"line": CONFIDENCE["line"] | {"means": [1.0]}}, "two weights"),
        ({"line": CONFIDENCE["line"] | {"scales": [1.0]}}, "two weights"),
        ({"line": CONFIDENCE["line"] | {"scales": [1.0, 0.0]}}, "not a policy"),
    ],
)
def test_a_confidence_that_was_meddled_with_is_refused(tmp_path, change, said):
    save_policy(default_policy(), tmp_path / "p.json")
    content = msgspec.json.decode((tmp_path / "p.json").read_bytes()) | {"confidence": CONFIDENCE | change}
    (tmp_path / "p.json").write_bytes(msgspec.json.encode(content))
    if said is None:
        assert load_policy(tmp_path / "p.json").confidence.steps(0.5) == pytest.approx(0.5)
        return
    with pytest.raises(DataError, match=said):
        load_policy(tmp_path / "p.json")


@pytest.mark.parametrize("field", ["weights", "means", "scales"])
def test_a_difficulty_needs_one_number_a_feature(tmp_path, field):
    save_policy(default_policy(), tmp_path / "p.json")
    content = msgspec.json.decode((tmp_path / "p.json").read_bytes())
    content["difficulty"][field] = content["difficulty"][field][:-1]
    (tmp_path / "p.json").write_bytes(msgspec.json.encode(content))
    with pytest.raises(DataError, match="needs 8 weights: agreement, second"):
        load_policy(tmp_path / "p.json")


def test_where_a_policy_cannot_be_read_or_written_it_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"Name .*policy\.json"):
        load_policy(tmp_path)
    with pytest.raises(UserError, match=f"nlrl calibrate --out {tmp_path / 'none'}"):
        load_policy(tmp_path / "none" / "policy.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Name another place"):
        save_policy(default_policy(), tmp_path / "file" / "policy.json")
    save_policy(default_policy(), tmp_path / "new" / "deep" / "policy.json")
    assert [p.name for p in (tmp_path / "new" / "deep").iterdir()] == ["policy.json"]
    assert (tmp_path / "new" / "deep" / "policy.json").stat().st_mode & 0o777 == 0o644
    text = (tmp_path / "new" / "deep" / "policy.json").read_text()
    assert text.endswith("}\n") and '\n  "probe": 4' in text  # for people


# --- fitting


def test_without_a_probe_there_is_one_bin_with_what_pays():
    n = 8
    # right: half, all but one of the rest, the same at more tokens
    right = [[1] * 4 + [0] * 4, [1] * 7 + [0], [1] * 7 + [0]]
    fitted = fit(cells(right, [100, 400, 900]), Settings(), probed=False)
    assert (fitted.difficulty, fitted.borders, fitted.sizes, fitted.pass_at_1) == (None, (), (8,), (0.5,))
    # shrunk towards the mean of all problems, which here is itself; what costs more and is no better is left out
    assert fitted.options == (((0, 0.5, 100.0, 100), (1, 7 / 8, 400.0, 400)),)
    assert fitted.chances(np.zeros((n, len(FEATURES)))).tolist() == [0.5] * n


def test_what_lies_under_the_hull_no_price_would_choose():
    right = [[0] * 8, [1] + [0] * 7, [1] * 8]  # 0, 1/8 and 1 at 100, 200 and 300 tokens
    assert [o[0] for o in fit(cells(right, [100, 200, 300]), Settings(), probed=False).options[0]] == [0, 2]
    right = [[0] * 8, [1] * 7 + [0], [1] * 8]
    assert [o[0] for o in fit(cells(right, [100, 200, 300]), Settings(), probed=False).options[0]] == [0, 1, 2]


def test_under_each_cap_what_was_measured_under_it_or_a_smaller_one():
    keys = [("direct", None), ("direct", 500), ("self_consistency(n=4)", None), ("self_consistency(n=4)", 500)]
    keys += [("self_consistency(n=16)", 900)]
    right = [[1] * 4 + [0] * 4, [1] * 3 + [0] * 5, [1] * 6 + [0] * 2, [1] * 5 + [0] * 3, [1] * 4 + [0] * 4]
    fitted = fit(cells(right, [100, 90, 400, 300, 600], keys=keys), Settings(caps=(500, 900)), probed=False)
    assert [o[0] for o in fitted.options[0]] == [1, 0, 3, 2]  # cheapest first; row 4 is no better than row 3
    assert fitted.pick(0.5, None, 0.0, keys) == 2
    assert fitted.pick(0.5, 500, 0.0, keys) == 3
    assert fitted.pick(0.5, 500, 10.0, keys) == 1


def test_bins_by_what_the_probe_shows_and_options_shrunk_towards_all():
    fitted = fit(halves(), Settings(bins=2), probed=True)
    easy, hard = fitted.chances(halves().features)[[0, 39]]
    assert easy > 0.8 > 0.2 > hard and fitted.borders == (pytest.approx((easy + hard) / 2),)
    assert fitted.sizes == (20, 20) and fitted.pass_at_1 == pytest.approx((0.9, 0.1))
    cheap_easy = (20 * 1.0 + SHRINK * 0.5) / (20 + SHRINK)
    assert fitted.options[0][0] == (0, pytest.approx(cheap_easy), 100.0, 100)
    assert fitted.options[1][0] == (0, pytest.approx((SHRINK * 0.5) / (20 + SHRINK)), 100.0, 100)
    assert fitted.options[1][1] == (1, pytest.approx(1.0), 400.0, 400)


def test_the_most_of_a_bin_and_what_nobody_judged():
    right = [[1, 0, 1, NAN, 1, 0, 1, 0]]
    tokens = np.array([[10, 20, 30, 999, 10, 20, 30, 1]])
    fitted = fit(cells(right, tokens, pass_at_1=[NAN] * 8), Settings(), probed=False)
    assert fitted.options[0][0] == (0, pytest.approx(4 / 7), pytest.approx(tokens.mean()), 999)
    assert fitted.pass_at_1 == (pytest.approx(4 / 7),)  # where no attempt is known: what the strategies reached


def test_bins_of_a_policy_file_have_intervals_and_fill_in_what_is_unjudged():
    table = halves()
    made = make_bins(fit(table, Settings(bins=2), probed=True), table)
    assert [(b.problems, b.pass_at_1) for b in made] == [(20, 0.9), (20, 0.1)]
    first = made[1].options[0]
    assert (first.strategy, first.tokens, first.most, first.low, first.high, first.cap) == (
        "direct",
        100.0,
        100,
        0,
        round(mean_interval([0.0] * 20).high, 4),  # none of 20 is right, which is no certainty
        None,
    )
    assert first.accuracy == round((SHRINK * 0.5) / (20 + SHRINK), 4)
    table = cells([[1, 0, 1, 0, 1, 0, NAN, NAN]], [10])
    (only,) = make_bins(fit(table, Settings(), probed=False), table)
    assert 0 < only.options[0].low < 0.5 < only.options[0].high < 1


# --- cross-validation


def test_folds_are_even_and_follow_the_seed():
    fold = folds(41, 3)
    assert sorted(np.bincount(fold).tolist()) == [20, 21]
    assert (fold == folds(41, 3)).all() and (fold != folds(41, 4)).any()


def test_prices_go_from_nothing_to_beyond_the_steepest_slope():
    at = prices(cells([[0] * 8, [1] * 4 + [0] * 4, [1] * 5 + [0] * 3], [100, 200, 300]))
    slopes = [1000 * 0.125 / 100, 1000 * 0.5 / 100]
    assert at[0] == 0.0 and len(at) == 9
    assert at[1] == pytest.approx(slopes[0] / 4) and at[-1] == pytest.approx(slopes[1] * 2)
    flat = prices(cells([[1] * 8, [1] * 8], [100, 200]))
    assert flat[1] == pytest.approx(0.0025) and flat[-1] == pytest.approx(0.02)


def test_a_check_is_made_at_every_price_and_under_every_cap():
    keys = [("direct", None), ("self_consistency(n=4)", None), ("direct", 150), ("self_consistency(n=4)", 500)]
    n = 40
    right = [np.arange(n) % 2, np.ones(n), np.arange(n) % 2, np.ones(n)]
    table = cells(right, [100, 400, 100, 400], keys=keys)
    checked = cross_validate(table, Settings(probe=0, caps=(150, 500)), probed=False, at=[0.0, 5.0])
    assert [(p.cap, p.price, p.accuracy.mean, p.tokens.mean()) for p in checked.by_cap] == [
        (150, 0.0, 0.5, 100.0),
        (500, 0.0, 1.0, 400.0),
    ]
    assert [(p.cap, p.price, p.accuracy.mean, p.tokens.mean()) for p in checked.by_price] == [
        (None, 0.0, 1.0, 400.0),
        (None, 5.0, 0.5, 100.0),
    ]
    assert checked.probed is False and as_used(checked) == [checked.by_price[0], *checked.by_cap]


def picks(right, stated, chances=0.5, tokens=100.0, cap=None, price=0.0):
    right = np.asarray(right, dtype=float)
    n = len(right)
    full = [np.broadcast_to(np.asarray(v, dtype=float), n).copy() for v in (chances, tokens, stated)]
    return Picks(cap, price, np.zeros(n, dtype=int), full[0], right, full[1], full[2])


def test_confidence_is_learned_from_difficulty_and_what_was_stated():
    x, y = sureness_rows([picks([1, 0, NAN], [0.9, NAN, 0.9], chances=[0.8, 0.3, 0.5])])
    odds = [math.log(p / (1 - p)) for p in (0.8, 0.9, 0.3)]
    assert x.tolist() == [[pytest.approx(odds[0]), pytest.approx(odds[1])], [pytest.approx(odds[2])] * 2]
    assert y.tolist() == [1.0, 0.0]
    assert sureness_features(0.0, 1.0) == pytest.approx((math.log(0.01 / 0.99), math.log(0.99 / 0.01)))
    assert fit_sureness([picks([NAN, NAN], 0.5)]) is None
    sure = fit_sureness([picks([1] * 30 + [0] * 30, [0.9] * 30 + [0.2] * 30)])
    assert sure.steps(sure.line.chance(sureness_features(0.5, 0.9))) > 0.9


def test_errors_of_confidence_by_hand():
    sure = Sure(np.array([0.9, 0.9]), np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    assert sure.errors == (pytest.approx(0.4), 0.0)
    assert sure.squared == (pytest.approx((0.01 + 0.81) / 2), 0.25)


def test_where_a_strategy_states_nothing_its_predicted_chance_stands():
    n = 40
    checked = Validation(False, [], [picks([1, 0] * 20, NAN, chances=0.7)])
    sure = held_out_sureness(checked, folds(n, 0))
    assert sure.stated.tolist() == [0.7] * n and len(sure.right) == n
    assert held_out_sureness(Validation(False, [], [picks([NAN] * n, 0.5)]), folds(n, 0)) is None


# --- a calibration and its report


def calibration(plain, probed=None, settings=None, n=None, tasks=(TaskType.MATH,), said=()) -> Calibration:
    n = plain.right.shape[1]
    made = [Problem(f"{i}?", "1", tasks[i % len(tasks)]) for i in range(n)]
    settings = settings or Settings(bins=2, probe=4 if probed is not None else 0)
    names = tuple(dict.fromkeys(name for name, _ in plain.keys))
    sampling = Sampling(temperature=0.5)
    probed = plain if probed is None else probed
    return _decide(made, "m", "auto", plain, probed, settings, names, 16, "data", "digest", sampling, said)


def probed_halves(cost=4):
    """As `halves`, where the cheap way is enough for the easy half, and the probe costs a little."""
    table = halves(80)
    return cells(
        [table.right[0], table.right[1]], [100 + cost, 400 + cost], features=table.features, pass_at_1=table.pass_at_1
    )


def test_a_policy_by_difficulty_is_kept_where_it_pays_for_its_probe():
    plain = replace(halves(80), features=np.zeros((80, len(FEATURES))))
    done = calibration(plain, probed_halves())
    assert done.validation.probed and not done.other.probed and len(done.policy.bins) == 2
    assert (done.policy.probe, done.policy.notes) == (4, ())
    dear = calibration(plain, probed_halves(cost=900))
    assert not dear.validation.probed and dear.other.probed and len(dear.policy.bins) == 1
    assert dear.policy.probe == 0 and any("did not pay for its probe" in note for note in dear.policy.notes)


def test_what_a_policy_says_of_itself():
    done = calibration(
        halves(40), settings=Settings(probe=0, bins=1), said=["said before"], tasks=(TaskType.MATH, TaskType.CODING)
    )
    policy = done.policy
    assert (policy.model, policy.verifier, policy.tasks, policy.probe) == ("m", "auto", ("coding", "math"), 0)
    made = policy.provenance
    assert (made.bank, made.source, made.problems, made.samples, made.caps, made.seed) == (
        "digest",
        "data",
        40,
        16,
        (),
        0,
    )
    assert made.strategies == WAYS[:2] and made.sampling == {"temperature": 0.5}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made.created)
    assert policy.notes[0] == "said before"
    assert next((level.accuracy, level.tokens, level.price) for level in policy.expected) == (1.0, 400.0, 0.0)
    assert len(policy.expected) == len(done.validation.by_price)


def test_what_nobody_could_judge_is_said_as_a_share():
    right = np.ones((2, 20))
    right[:, :5] = NAN
    right[0, 10:] = 0
    done = calibration(cells(right, [100, 200], pass_at_1=[NAN] * 5 + [0.5] * 15), settings=Settings(probe=0))
    assert "25% of the problems could not be judged and count for tokens only." in done.policy.notes
    with pytest.raises(UserError, match="None of the answers could be judged"):
        calibration(cells(np.full((2, 20), NAN), [100, 200]), settings=Settings(probe=0))


@pytest.mark.parametrize(("rate", "word"), [(1.0, "right"), (0.0, "wrong")])
def test_nothing_can_be_told_apart_where_all_attempts_are_alike(rate, word):
    done = calibration(cells([[rate] * 20], [100], pass_at_1=[rate] * 20), settings=Settings(probe=0))
    assert any(f"All attempts were {word}" in note for note in done.policy.notes)
    done = calibration(cells([[rate] * 20], [100], pass_at_1=[rate] * 19 + [0.5]), settings=Settings(probe=0))
    assert not any("All attempts" in note for note in done.policy.notes)


def test_confidence_is_calibrated_only_where_held_out_error_falls():
    n = 80
    honest = cells([[1, 0] * 40], [100], stated=0.99)  # says 0.99 and is right half of the time
    done = calibration(honest, settings=Settings(probe=0))
    assert done.policy.confidence is not None
    before, after = confidences(done).squared
    assert after < before
    fold = folds(n, 0)
    fooled = cells([(fold == 0).astype(float)], [100], stated=0.5)
    done = calibration(fooled, settings=Settings(probe=0))
    assert done.policy.confidence is None
    assert any("made it worse" in note for note in done.policy.notes)


def test_families_are_strategies_of_one_name_cheapest_first():
    keys = [("self_consistency(n=16)", None), ("self_consistency(n=4)", None), ("direct", None), ("direct", 300)]
    table = cells([[1] * 8] * 4, [900, 300, 100, 50], keys=keys)
    assert family_rows(table) == {"self_consistency": [1, 0], "direct": [2]}


def test_tokens_at_equal_accuracy_by_hand():
    """The family needs 200 tokens where the policy needs 100, whatever problems are drawn: no spread."""
    ours = [picks([0.5] * 10, 0.5, tokens=50), picks([0.8] * 10, 0.5, tokens=100)]
    theirs = [np.full(10, 0.2), np.full(10, 0.8), np.full(10, 0.9)]
    saving = token_ratio("f", theirs, [np.full(10, t) for t in (20.0, 200.0, 500.0)], ours)
    assert (saving.family, saving.accuracy) == ("f", pytest.approx(0.8))
    assert saving.ratio == pytest.approx((2.0, 2.0, 2.0))
    # what one of them could not be judged on counts for neither
    theirs[0][0] = NAN
    assert token_ratio("f", theirs, [np.full(10, t) for t in (20.0, 200.0, 500.0)], ours).ratio == pytest.approx(
        (2,) * 3
    )


@pytest.mark.parametrize(
    ("at", "tokens"),
    [(0.0, 10.0), (0.2, 10.0), (0.3, 12.5), (0.6, 20.0), (0.61, math.inf)],
)
def test_tokens_of_a_curve_at_an_accuracy(at, tokens):
    assert same_tokens([0.6, 0.2, 0.6], [20, 10, 40], at) == pytest.approx(tokens)


def test_a_curve_is_cheapest_first():
    assert curve([picks([1, 0], 0.5, tokens=9), picks([1, 1], 0.5, tokens=3)]) == [
        (3.0, mean_interval([1, 1])),
        (9.0, mean_interval([1, 0])),
    ]


def test_bins_by_prediction_or_where_there_is_one_by_the_oracle():
    plain = replace(halves(80), features=np.zeros((80, len(FEATURES))))
    bins, count = bins_of(calibration(plain, probed_halves()))
    assert count == 2 and bins.tolist() == [0] * 40 + [1] * 40
    one = calibration(halves(80), settings=Settings(probe=0, bins=2))
    bins, count = bins_of(one)
    assert count == 2 and bins.tolist() == [0] * 40 + [1] * 40
    unknown = calibration(
        cells([[1] * 8, [0] * 8], [1, 2], pass_at_1=[NAN] * 4 + [0.9] * 4), settings=Settings(probe=0, bins=2)
    )
    assert bins_of(unknown)[0].tolist() == [1] * 4 + [0] * 4  # no attempt known: the hardest


def test_the_report_by_hand(tmp_path):
    keys = [("direct", None), ("self_consistency(n=4)", None), ("self_consistency(n=16)", None), ("direct", 700)]
    n = 40
    right = [np.arange(n) % 2, np.arange(n) % 4 > 0, np.ones(n), np.arange(n) % 2]
    done = calibration(
        cells(right, [100, 400, 1600, 100], keys=keys, pass_at_1=[0.9] * 20 + [0.1] * 20),
        settings=Settings(probe=0, bins=2, caps=(700,)),
    )
    told = {title: (columns, rows) for title, columns, rows in tables(done)}
    (held,) = [v for k, v in told.items() if k.startswith("The policy (one choice for all problems)")]
    assert held[1][-1] == ["100.0 (93-100)", "1,600", "0"]
    assert [float(row[1].replace(",", "")) for row in held[1]] == sorted(
        float(row[1].replace(",", "")) for row in held[1]
    )
    assert len({tuple(row[:2]) for row in held[1]}) == len(held[1])
    assert told["The same under budgets per problem"][1] == [["700", "50.0 (35-65)", "100"]]
    (fixed,) = [rows for title, (_, rows) in told.items() if title.startswith("Every fixed strategy")]
    assert not any(title.startswith("The best fixed strategy") for title in told)  # no probe, so no choice to compare
    assert [row[0] for row in fixed] == ["direct", "self_consistency(n=4)", "self_consistency(n=16)"]
    assert fixed[1][1].startswith("75.0 (") and fixed[1][2] == "400"
    pays = told["What pays where (bin 1 is the easiest; accuracy shrunk towards all bins)"][1]
    assert pays[0] == ["1", "40", "0.50", "direct", "50", "100"] and len(pays) == 3
    (saved,) = told["Tokens of a family over the policy's, at equal accuracy"][1]
    assert saved[:2] == ["self_consistency", "100.0"]
    assert told["Expected calibration error of confidence, in points"][1][0][0] == "as stated"

    paths = write_report(done, tmp_path / "out", parameters=1000)
    assert [p.name for p in paths] == ["policy.json", "cells.csv", "report.png", "report.html"]
    rows = list(csv.DictReader((tmp_path / "out" / "cells.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 3 * 4  # all, and two bins, of four cells; no probe, so nothing twice
    first = rows[0]
    assert (first["bin"], first["probe"], first["strategy"], first["cap"], first["problems"]) == (
        "all",
        "0",
        "direct",
        "",
        "40",
    )
    assert (first["accuracy"], first["tokens"], first["critical_path_tokens"]) == ("0.5", "100.0", "50.0")
    assert first["flops_estimate"] == "2e+05" and float(first["low"]) < 0.5 < float(first["high"])
    assert [(r["bin"], r["cap"], r["problems"]) for r in rows[3:5]] == [("all", "700", "40"), ("1", "", "20")]
    page = html.unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    for said in (
        "<dt>model</dt><dd>m</dd>", "<dt>problems</dt><dd>40</dd>", "<dt>verifier</dt><dd>auto</dd>",
        "<dt>data</dt><dd>data</dd>", "<dt>samples per problem</dt><dd>16</dd>", "<dt>probe</dt><dd>none</dd>",
        "samples digest", "data:image/png;base64,", "two-fold cross-validated", "<td>75.0 (", "default-src 'none'",
    ):  # fmt: skip
        assert said in page, said


def test_a_report_has_the_way_with_a_probe_beside_the_one_without(tmp_path):
    plain = replace(halves(80), features=np.zeros((80, len(FEATURES))))
    done = calibration(plain, probed_halves())
    write_report(done, tmp_path)
    rows = list(csv.DictReader((tmp_path / "cells.csv").read_text(encoding="utf-8").splitlines()))
    assert [r["probe"] for r in rows] == ["0"] * 6 + ["4"] * 6
    assert {r["flops_estimate"] for r in rows} == {""}
    assert rows[6]["tokens"] == "104.0"
    assert "<dd>4 attempts</dd>" in (tmp_path / "report.html").read_text()
    assert savings(done) == []  # no family has two sizes
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Name another directory with --out"):
        write_report(done, tmp_path / "file")


def test_the_best_fixed_strategy_stands_beside_the_choice_by_difficulty():
    plain = replace(halves(80), features=np.zeros((80, len(FEATURES))))
    rows = beside_fixed(calibration(plain, probed_halves()))
    assert rows[0][1:] == ["direct", "50.0 (39-61)", "100", "70.0 (59-79)", "164", "+20.0 [+11.8, +29.7]"]
    tie = "+0.0 [-3.1, +3.1] (a tie)"
    assert rows[1][1:] == ["direct", "50.0 (39-61)", "100", "50.0 (39-61)", "104", tie]
    assert [row[3] for row in rows] == ["100", "100", "250", "400", "400"] and [row[6] for row in rows[1:]] == [tie] * 4
    assert rows[2][1] == "self_consistency(n=4) or direct" and rows[3][0] == "0"


def test_revisions_by_ratio_or_by_chains():
    keys = [("revisions(n=8, ratio=2.0)", None), ("revisions(chains=4, n=8)", None), ("revisions", None)]
    keys += [("direct", None), ("revisions(n=8, ratio=2.0)", 500)]
    done = calibration(cells([[1] * 8] * 5, [5, 4, 3, 2, 1], keys=keys), settings=Settings(probe=0))
    assert ratio_rows(done) == [((8, 0.5), 1), ((8, 2.0), 0), ((16, 1.0), 2)]


# --- before anything is drawn


def test_what_is_compared_unless_something_is_named():
    four = ("direct", "self_consistency(n=4)")
    assert [s for s in default_strategies(4) if "vote" not in s and "best" not in s] == list(four)
    eight = default_strategies(8)
    assert "self_consistency(n=8)" in eight and "self_consistency(n=2)" not in eight
    assert [s for s in eight if s.startswith("adaptive")] == [
        f"adaptive_consistency(n=8, threshold={t})" for t in (0.8, 0.95)
    ]
    assert not any("adaptive" in s for s in default_strategies(7)) and not any(
        "n=8" in s for s in default_strategies(7)
    )
    assert default_strategies(1) == default_strategies(0) == ("direct",)
    assert [s for s in eight if "best" in s] == [f"best_of_n(n={n}, select=best)" for n in (4, 8)]  # and not the vote
    assert len(default_strategies(16)) - len(eight) == 3


@pytest.mark.parametrize(
    ("caps", "fitting", "said"),
    [
        ((), (), []),
        ((150, 149), (150,), ["149"]),
        ((150, 900, 900), (150, 900), []),
        ((100, 50), (), ["50, 100"]),
    ],
)
def test_budgets_that_hold_one_attempt(caps, fitting, said):
    model = StochasticModel([Problem("1?", "1")], p_correct=1.0)
    kept, notes = _fitting_caps(caps, model, 50, Sampling(max_tokens=100))
    assert kept == fitting and [any(f"Budgets of {s} tokens" in n for n in notes) for s in said] == [True] * len(notes)
    assert len(notes) == len(said)
    assert _fitting_caps((561, 562), model, 50, Sampling())[0] == (562,)  # 512 where nothing is said


def test_imported_attempts_are_never_cut():
    class Panel:
        is_panel = True

    assert _fitting_caps((5, 1), Panel(), 50, Sampling(max_tokens=100)) == ((1, 5), [])


# --- files and progress


@pytest.mark.parametrize(
    ("struct", "unset"),
    [
        (Option, {"cap": None}),
        (Level, {"cap": None, "price": 0.0}),
        (Provenance, {"sampling": {}}),
        (
            Policy,
            {"confidence": None, "expected": (), "provenance": None, "notes": (), "version": 1, "assumed": False},
        ),
        (
            GainTable,
            {"horizons": HORIZONS, "sizes": SIZES, "leads": LEADS, "seconds": SECONDS, "kinds": KINDS, "version": 1},
        ),
    ],
)
def test_what_a_file_need_not_say(struct, unset):
    fields = msgspec.structs.fields(struct)
    made = {f.name: f.default_factory() for f in fields if f.default_factory is not msgspec.NODEFAULT}
    assert {f.name: f.default for f in fields if f.default is not msgspec.NODEFAULT} | made == unset


def test_the_kinds_of_states_that_old_tables_are_in():
    assert HORIZONS == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
    assert SIZES == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 33, 40, 48)
    assert LEADS == (0.15, 0.27, 0.38, 0.47, 0.55, 0.65, 0.75, 0.85, 0.95)
    assert (SECONDS, KINDS) == ((0.07, 0.15, 0.24, 0.35), (0.2, 0.4, 0.7))


@pytest.mark.parametrize("probe", [0, 2])
def test_a_calibration_says_how_far_it_is(probe):
    made = [Problem(f"What is {i} plus {i}?", str(2 * i), TaskType.MATH) for i in range(8)]
    model, heard = StochasticModel(made, p_correct=0.6, seed=2, tokens=20), []
    with Bank() as bank:
        how = {"samples": 3, "probe": probe, "strategies": ("direct",), "on_progress": heard.append}
        asyncio.run(calibrate([*made, made[0]], model, bank=bank, **how))
        drawn = [c for p in made for c in asyncio.run(Compute(model, bank=bank).sample(p, 3))]
    ways = 2 if probe else 1
    drawing = [p for p in heard if p.stage == "drawing"]
    assert [(p.done, p.total) for p in drawing] == [(i, 8) for i in range(9)]
    assert [(p.stage, p.done, p.total) for p in heard[9:]] == [("replaying", i + 1, 8 * ways) for i in range(8 * ways)]
    assert drawing[-1].paid.completion_tokens == sum(c.completion.completion_tokens for c in drawn)
    assert drawing[-1].paid.calls == len(drawn) == 24


def test_a_probe_that_reads_confidence_draws_as_all_that_follows():
    """Asked for log-probabilities once, and for all: else the strategy could not have the probe's attempts."""
    model = ScriptedModel(["Final Answer: 42"], cycle=True)
    answer = asyncio.run(solve("auto", Problem("What is 17 + 25?", None, TaskType.MATH), Compute(model)))
    assert {request.sampling.logprobs for request in model.requests} == {5}
    assert answer.usage.phases["probe"].calls == 4
    assert answer.usage.total.calls == 6  # two of them are revised, and none is drawn again


def test_a_table_of_gains_is_for_all_to_read(tmp_path):
    save_gain(GainTable("m", 1, 2, ()), tmp_path / "new" / "gain.json")
    assert (tmp_path / "new" / "gain.json").stat().st_mode & 0o777 == 0o644
    assert load_gain(tmp_path / "new" / "gain.json") == GainTable("m", 1, 2, ())
