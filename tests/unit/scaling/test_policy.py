"""Policies: chosen by difficulty, refused for other models, read and written without loss."""

import asyncio
import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl import compute_optimal_scaling
from nlrl.bank import Bank, ReplayModel
from nlrl.compute import Compute
from nlrl.core import Budget, DataError, Phase, Problem, Stopped, TaskType, UserError
from nlrl.scaling.calibrate import calibrate, same_tokens
from nlrl.scaling.difficulty import FEATURES, edges, oracle_bins, place, probe_features
from nlrl.scaling.logistic import fit_logistic, fit_staircase
from nlrl.scaling.policy import default_policy, load_policy, save_policy
from nlrl.scaling.report import write_report
from nlrl.scaling.tables import ratio_rows, tables
from nlrl.strategies import solve
from nlrl.testing import StochasticModel

OPTION = {"strategy": "direct", "tokens": 5.0, "most": 9, "accuracy": 0.5, "low": 0.1, "high": 0.9}


def problems(n=40, kind=TaskType.MATH):
    return [Problem(f"How much is {i} plus {3 * i}?", str(4 * i), kind) for i in range(n)]


def world(n=40, seed=1):
    """Half of the problems easy, half hard."""
    made = problems(n)
    chances = {p.id: 1.0 if i % 2 else 0.6 for i, p in enumerate(made)}
    return made, StochasticModel(made, p_correct=chances, tokens=150, seed=seed)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    made, model = world(60)
    with Bank() as bank:
        done = asyncio.run(
            calibrate(
                made,
                model,
                bank=bank,
                samples=16,
                # adaptive_consistency finds out by itself what is easy, and would leave nothing to the probe
                strategies=("self_consistency(n=4)", "self_consistency(n=16)"),
                caps=(700, 1400),
                bins=2,
                source="test",
            )
        )
    path = tmp_path_factory.mktemp("policy")
    return done, path, write_report(done, path, parameters=1_000_000), model, made


def test_the_easy_half_is_told_from_the_hard_half(calibrated):
    done, *_ = calibrated
    assert done.validation.probed and len(done.policy.bins) == 2
    easy, hard = done.policy.bins
    assert easy.pass_at_1 > 0.8 > 0.7 > hard.pass_at_1
    chances = [done.policy.chance(tuple(f)) for f in done.probed.features]
    assert sum((c > 0.6) == bool(i % 2) for i, c in enumerate(chances)) >= 42
    assert max(o.tokens for o in hard.options) > max(o.tokens for o in easy.options)


def test_every_budget_holds_in_what_the_policy_is_said_to_reach(calibrated):
    done, *_ = calibrated
    for picks in done.validation.by_cap:
        assert picks.tokens.max() <= picks.cap
    assert {level.cap for level in done.policy.expected} == {None, 700, 1400}


def test_a_policy_is_read_as_it_was_written(calibrated, tmp_path):
    done, path, written, _, _ = calibrated
    assert load_policy(path / "policy.json") == done.policy
    save_policy(done.policy, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (path / "policy.json").read_bytes()
    assert [p.name for p in written] == ["policy.json", "cells.csv", "report.png", "report.html"]
    assert "self_consistency" in (path / "report.html").read_text() and (path / "report.png").stat().st_size > 20_000


@pytest.mark.parametrize("tokens", [None, 40, 400, 700, 1400, 4000])
def test_law_auto_keeps_the_budget_charges_its_probe_and_replays_alike(calibrated, tokens):
    _, path, _, model, made = calibrated
    spec = f"auto(policy={str(path / 'policy.json')!r})"

    async def once(asked, bank, problem):
        compute = Compute(asked, bank=bank, budget=Budget(tokens=tokens))
        return await solve(spec, problem, compute), compute

    for problem in made[:6]:
        with Bank() as bank:
            live, compute = asyncio.run(once(model, bank, problem))
            again, replayed = asyncio.run(once(ReplayModel(model.name), bank, problem))
        assert (live.value, live.stopped, live.notes, live.confidence) == (
            again.value,
            again.stopped,
            again.notes,
            again.confidence,
        )
        assert live.usage.tokens == again.usage.tokens and replayed.ledger.paid.tokens == 0
        assert sum(s.tokens for s in live.usage.phases.values()) == live.usage.tokens == compute.ledger.paid.tokens
        if tokens is not None:
            assert live.usage.tokens <= tokens
        if tokens is None or tokens == 4000:
            assert live.usage.phases[Phase.PROBE].calls == 4
        if live.value is not None and live.confidence is not None:  # one vote is no certainty
            assert 0 <= live.confidence <= 1


def test_the_probes_attempts_are_the_first_of_the_strategy():
    made, model = world()

    async def main():
        compute = Compute(model)
        probed = await compute.probe(made[0], 3)
        attempts = await compute.sample(made[0], 5)
        return probed, attempts, compute

    probed, attempts, compute = asyncio.run(main())
    assert attempts[:3] == probed and len({c.id for c in attempts}) == 5
    assert [c.id for c in compute.candidates] == [c.id for c in attempts]
    usage = compute.ledger.usage()
    assert usage.phases[Phase.PROBE].calls == 3 and usage.phases[Phase.SAMPLE].calls == 2


def test_a_policy_of_another_model_is_refused_with_both_names(calibrated):
    _, path, _, _, made = calibrated
    other = StochasticModel(made, p_correct=0.5, name="another")
    spec = f"auto(policy={str(path / 'policy.json')!r}"
    with pytest.raises(UserError, match=r"calibrated on stochastic-\w+, and the model is another"):
        asyncio.run(solve(spec + ")", made[0], Compute(other)))
    assert asyncio.run(solve(spec + ", foreign=true)", made[0], Compute(other))).value is not None


def test_more_budget_than_was_calibrated_is_not_cut_down(calibrated):
    done, *_ = calibrated
    hard = min(done.policy.bins, key=lambda b: b.pass_at_1)
    best = max((o for o in hard.options), key=lambda o: o.accuracy)
    assert done.policy.choose(0.0, 1_000_000).accuracy == best.accuracy


def test_what_a_budget_cut_short_is_not_called_calibrated(calibrated):
    _, path, _, model, made = calibrated
    spec = f"auto(policy={str(path / 'policy.json')!r})"
    answers = [asyncio.run(solve(spec, made[0], Compute(model, budget=Budget(tokens=t)))) for t in (30, 200, None)]
    assert [a.calibrated for a in answers] == [False, False, True]
    assert answers[2].confidence is not None and 0 <= answers[2].confidence <= 1
    assert answers[0].value is None and not any("Predicted" in note for note in answers[0].notes)
    assert any("The budget held 1 of 4 attempts of the probe" in note for note in answers[1].notes)


def test_another_kind_of_problem_is_said(calibrated):
    _, path, _, model, _ = calibrated
    stranger = Problem("Can a penguin fly?", "no", TaskType.COMMONSENSE)
    answer = asyncio.run(solve(f"auto(policy={str(path / 'policy.json')!r})", stranger, Compute(model)))
    assert any("calibrated on math problems; this one is commonsense" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a policy"),
        ("[]", "not a policy"),
        ('{"model": "m"}', "not a policy"),
        ("\x00\xff", "not a policy"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path, text, said):
    file = tmp_path / "policy.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=said):
        load_policy(file)
    with pytest.raises(UserError, match="nlrl calibrate"):
        load_policy(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 9}, "version 9"),
        ({"borders": [0.2, 0.5]}, "borders must fall|do not fit"),
        ({"borders": []}, "do not fit"),
        ({"bins": []}, "not a policy"),
        ({"probe": 0}, "need a probe"),
        ({"borders": [-0.5]}, "no chance between"),
        (
            {"bins": [{"problems": 1, "pass_at_1": 0.5, "options": [OPTION | {"strategy": "nosuch(n=3)"}]}] * 2},
            "nosuch",
        ),
        ({"bins": [{"problems": 1, "pass_at_1": 0.5, "options": [OPTION | {"strategy": "auto"}]}] * 2}, "own options"),
        ({"bins": [{"problems": 1, "pass_at_1": 0.5, "options": [OPTION | {"most": -1}]}] * 2}, "negative tokens"),
    ],
)
def test_a_policy_that_was_meddled_with_is_refused(calibrated, tmp_path, change, said):
    _, path, *_ = calibrated
    content = json.loads((path / "policy.json").read_text()) | change
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=said):
        load_policy(tmp_path / "p.json")


def test_without_a_policy_the_default_spends_more_where_attempts_disagree():
    made = problems(2)
    model = StochasticModel(made, p_correct={made[0].id: 1.0, made[1].id: 0.0}, tokens=30)
    easy, hard = (asyncio.run(solve("auto", p, Compute(model))) for p in made)
    assert easy.usage.total.calls == 6 < hard.usage.total.calls
    assert any("built-in default" in note for note in easy.notes)
    assert default_policy().choose(0.2, cap=3000).strategy == "self_consistency(n=4)"  # at the lengths it assumes


def test_a_known_difficulty_needs_no_probe(calibrated):
    _, path, _, model, made = calibrated
    answers = [
        compute_optimal_scaling(made[0], d, Budget(tokens=1400), model, policy=path / "policy.json").answer
        for d in ("easy", 0.1, None)
    ]
    assert [Phase.PROBE in a.usage.phases for a in answers] == [False, False, True]
    assert all(a.usage.tokens <= 1400 for a in answers)
    for bad in ("so so", True, 2.0):
        with pytest.raises(UserError, match="easy, medium, hard"):
            compute_optimal_scaling(made[0], bad, None, model)
    for bad in (-5, 0, 1.5, "x", True):
        with pytest.raises(UserError, match="compute_budget must be"):
            compute_optimal_scaling(made[0], None, bad, model)


@pytest.mark.parametrize(
    ("count", "samples", "said"), [(0, 8, "at least 8"), (5, 8, "at least 8"), (20, 4, "beyond a probe")]
)
def test_too_little_to_calibrate_on_is_said(count, samples, said):
    made, model = world()
    with Bank() as bank, pytest.raises(UserError, match=said):
        asyncio.run(calibrate(made[:count], model, bank=bank, samples=samples))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "seed must be"),
        ({"caps": (0,)}, "budget must be"),
        ({"bins": 0}, "bins must be"),
        ({"strategies": ("best_of_n(n=64)",)}, "Raise --samples"),
        ({"strategies": ("auto",)}, "calibrated on itself"),
    ],
)
def test_what_cannot_be_calibrated_is_said_before_anything_is_drawn(options, said):
    made, model = world()
    with Bank() as bank:
        with pytest.raises(UserError, match=said):
            asyncio.run(calibrate(made, model, bank=bank, samples=8, **options))
        assert bank.count() == 0


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_right_and_all_wrong_make_a_policy_that_says_so(p):
    made = problems(20)
    with Bank() as bank:
        done = asyncio.run(calibrate(made, StochasticModel(made, p_correct=p), bank=bank, samples=6, bins=5))
    assert any("All attempts were" in note for note in done.policy.notes)
    answer = asyncio.run(solve("direct", made[0], Compute(StochasticModel(made, p_correct=p))))
    assert answer.stopped is Stopped.DONE
    cheapest = done.plain.tokens.mean(axis=1).min()
    assert done.policy.bins[-1].options[0].tokens <= cheapest + 1


def test_problems_without_references_are_refused_and_some_without_are_counted():
    made = problems(12)
    bare = [Problem(p.question) for p in made]
    model = StochasticModel(made, p_correct=0.6)
    with Bank() as bank:
        with pytest.raises(UserError, match="None of the problems has a reference"):
            asyncio.run(calibrate(bare, model, bank=bank, samples=6))
        mixed = [*made, *(Problem(f"And {i}?") for i in range(4))]
        done = asyncio.run(calibrate(mixed, model, bank=bank, samples=6))
    assert any("could not be judged" in note for note in done.policy.notes)


def test_budgets_that_cut_attempts_are_left_out_and_bins_that_are_too_small_merged():
    made, model = world(20)
    with Bank() as bank:
        done = asyncio.run(calibrate(made, model, bank=bank, samples=6, caps=(50, 2000), bins=5))
        generated = bank.count()
    assert done.settings.caps == (2000,) and any("50 tokens may not hold one attempt" in n for n in done.policy.notes)
    assert len(done.policy.bins) <= 2
    assert generated == 6 * 20  # replaying generated nothing


def test_golden_edges_and_bins():
    assert edges([0.9, 0.8, 0.2, 0.1], 2) == (0.5,)
    assert edges([0.5] * 9, 3) == () and edges([], 3) == ()
    assert oracle_bins([0.9, 0.1, 0.5], 3) == [0, 2, 1]
    assert place(0.5, (0.5,)) == 1
    assert len(probe_features(Problem("x"), [], [])) == len(FEATURES)


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 6), st.integers(1, 9))
def test_law_bins_are_never_smaller_than_asked(values, bins, least):
    borders = edges(values, bins, least=least)
    assert list(borders) == sorted(borders, reverse=True)
    if borders:
        counts = [sum(place(v, borders) == b for v in values) for b in range(len(borders) + 1)]
        assert min(counts) >= least


def test_golden_logistic_and_staircase():
    line = fit_logistic([[0.0], [1.0]] * 200, [0.2, 0.8] * 200, ridge=1e-6)
    assert line.chance([0.0]) == pytest.approx(0.2, abs=1e-3) and line.chance([1.0]) == pytest.approx(0.8, abs=1e-3)
    assert fit_logistic([[1.0]] * 5, [1.0] * 5).chance([1.0]) > 0.95
    steps = fit_staircase([0.1] * 50 + [0.9] * 50, [0.0] * 50 + [1.0] * 50)
    assert steps(0.1) < 0.05 and steps(0.95) > 0.95 and fit_staircase([], [])(0.3) == 0.3
    with pytest.raises(ValueError, match="finite"):
        fit_logistic([[float("nan")]], [1.0])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80))
def test_law_calibrated_confidence_never_falls(rows):
    steps = fit_staircase([x for x, _ in rows], [float(y) for _, y in rows])
    values = [steps(i / 20) for i in range(21)]
    assert all(a <= b + 1e-12 for a, b in pairwise(values)) and 0 <= values[0] <= values[-1] <= 1


def test_same_tokens_is_where_the_curve_first_gets_there():
    assert same_tokens([0.2, 0.6, 0.5], [10, 20, 30], 0.4) == 15
    assert same_tokens([0.2], [10], 0.2) == 10 and same_tokens([0.2], [10], 0.3) == float("inf")


def test_the_best_fixed_strategy_stands_beside_the_choice_by_difficulty(calibrated):
    done = calibrated[0]
    (rows,) = [rows for title, _, rows in tables(done) if title.startswith("The best fixed strategy")]
    fixed = {True: done.other, False: done.validation}[done.validation.probed]
    assert not fixed.probed
    best = fixed.by_price[0]  # at price 0
    line = next(row for row in rows if row[0] == "0")
    assert line[2].startswith(f"{100 * best.accuracy.mean:.1f} ") and line[3] == f"{best.tokens.mean():,.0f}"
    assert len(set(best.rows)) <= 2  # one strategy a fold, whatever the problem
    for row in rows:
        low, high = (float(x) for x in re.findall(r"[-+][\d.]+", row[-1])[1:])
        assert ("(a tie)" in row[-1]) == (low <= 0 <= high)


def test_revisions_are_shown_by_their_sequential_to_parallel_ratio():
    made, model = world(10)
    ways = ("revisions(n=4, ratio=0.25)", "revisions(n=4, ratio=4.0)", "revisions(chains=2, n=4)")
    with Bank() as bank:
        done = asyncio.run(calibrate(made, model, bank=bank, samples=4, probe=2, bins=1, strategies=ways))
    assert [key for key, _ in ratio_rows(done)] == [(4, 0.25), (4, 1.0), (4, 4.0)]
    (shown,) = [rows for title, _, rows in tables(done) if title.startswith("Revisions")]
    assert [row[1] for row in shown] == ["0.25", "1", "4"]
