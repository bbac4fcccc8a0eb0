"""The intervals of calibrations: by cluster where there are groups, one family for tables, files and pictures."""

from __future__ import annotations

import asyncio
import csv
import re
from types import SimpleNamespace

import numpy as np

from nlrl.bank import Bank
from nlrl.core import Problem, TaskType
from nlrl.evaluation.intervals import gain_interval, mean_interval
from nlrl.scaling.calibrate import calibrate
from nlrl.scaling.cells import Cells, share_right
from nlrl.scaling.choose import Picks, Validation, better
from nlrl.scaling.policy import load_policy
from nlrl.scaling.report import CELLS, write_report
from nlrl.scaling.tables import beside_fixed, tables, token_ratio
from nlrl.testing import StochasticModel

GROUPS = tuple(f"g{i // 5}" for i in range(60))
RIGHT = np.array([float(i // 5 % 3 > 0) for i in range(60)])  # whole clusters are right, or not


def picks(right, tokens, groups=(), price=0.0):
    n = len(right)
    return Picks(None, price, np.zeros(n, int), np.full(n, 0.5), np.array(right), np.array(tokens), np.ones(n), groups)


def test_what_cannot_be_judged_is_no_part_of_a_share_and_groups_stay_with_their_problems():
    holed = RIGHT.copy()
    holed[[0, 7, 59]] = np.nan
    known = np.isfinite(holed)
    expected = mean_interval(holed[known], groups=[g for g, k in zip(GROUPS, known, strict=True) if k])
    assert share_right(holed, GROUPS) == expected
    assert share_right(holed, ()) == mean_interval(holed[known])


def test_a_policys_accuracy_goes_by_cluster():
    alone, grouped = picks(RIGHT, np.ones(60)).accuracy, picks(RIGHT, np.ones(60), GROUPS).accuracy
    assert alone.mean == grouped.mean
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_a_probe_pays_by_more_than_luck_and_by_cluster():
    """12 clusters of 5: one that is gained whole is luck, though its 5 problems were not, had they been apart."""
    base = np.zeros(60)
    gained = np.array([float(i < 5) for i in range(60)])
    tokens = np.zeros(60)

    def pays(right, groups=()):
        return better(
            Validation(True, by_price=[picks(right, tokens, groups)]),
            Validation(False, by_price=[picks(base, tokens, groups)]),
        )

    assert pays(gained)
    assert not pays(gained, GROUPS)
    assert not pays([float(i < 1) for i in range(60)])
    assert not pays(gained, tuple(f"g{i % 7}" for i in range(60)))  # too few clusters to tell


def test_a_ratio_of_tokens_draws_clusters_whole():
    rng = np.random.default_rng(3)
    ours = [picks(RIGHT, np.full(60, 10.0)), picks(np.ones(60), np.full(60, 40.0))]
    cost = np.repeat(rng.integers(10, 100, 12), 5).astype(float)
    theirs = ([RIGHT, np.ones(60)], [cost, 4 * cost])
    alone = token_ratio("vote", *theirs, ours)
    grouped = token_ratio("vote", *theirs, ours, GROUPS)
    assert grouped.ratio.mean == alone.ratio.mean
    assert grouped.ratio.high - grouped.ratio.low > 1.3 * (alone.ratio.high - alone.ratio.low)
    few = token_ratio("vote", *theirs, ours, tuple(f"g{i % 7}" for i in range(60)))
    assert few.ratio.mean == alone.ratio.mean and not few.ratio.known


def test_a_policy_of_few_groups_is_written_without_intervals_and_read_again(tmp_path):
    made = [Problem(f"How much is {i} plus {3 * i}?", str(4 * i), TaskType.MATH, group=f"g{i % 5}") for i in range(20)]
    model = StochasticModel(made, p_correct=0.7, tokens=50, seed=1)
    with Bank() as bank:
        done = asyncio.run(
            calibrate(made, model, bank=bank, samples=8, strategies=("self_consistency(n=4)", "direct"), probe=0)
        )
    write_report(done, tmp_path)
    assert load_policy(tmp_path / "policy.json") == done.policy
    assert {(o.low, o.high) for b in done.policy.bins for o in b.options} == {(0.0, 1.0)}
    assert {(level.low, level.high) for level in done.policy.expected} == {(0.0, 1.0)}
    with (tmp_path / CELLS).open() as file:
        assert {(row["low"], row["high"]) for row in csv.DictReader(file)} == {("", "")}
    shown = [cell for _, _, rows in tables(done) for row in rows for cell in row]
    assert any("(-)" in cell for cell in shown) and not any("nan" in cell for cell in shown)
    page = re.sub(r'"data:[^"]*"', "", (tmp_path / "report.html").read_text())
    assert "the problems come in 5 groups" in page and "nan" not in page


def test_beside_fixed_strategies_a_lead_among_many_rows_is_a_tie():
    """Six prices, at one of which 6 of 30 problems are gained: beyond luck alone, and not as the best of six rows."""
    none = np.zeros(30)
    lucky = np.array([float(i < 6) for i in range(30)])
    assert gain_interval(lucky, none).excludes_zero

    def told(leads):
        # a different cost at each price, so that no two rows are the same
        fixed = Validation(False, by_price=[picks(none, np.full(30, 10.0 + i)) for i in range(len(leads))])
        ours = Validation(True, by_price=[picks(lead, np.full(30, 20.0 + i)) for i, lead in enumerate(leads)])
        cells = Cells((("direct", None),), *[np.zeros((1, 30))] * 4, np.zeros((30, 1)), np.zeros(30))
        done = SimpleNamespace(validation=ours, other=fixed, plain=cells)
        return ["tie" in row[-1] for row in beside_fixed(done)]

    assert told([lucky]) == [False]
    assert told([lucky, *[none] * 5]) == [True] * 6
    assert told([np.ones(30), *[none] * 5]) == [False, *[True] * 5]
