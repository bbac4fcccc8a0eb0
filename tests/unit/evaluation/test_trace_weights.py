"""Calibration of the umpire: what it learns, and that its fast replay is the strategy itself."""

import asyncio
import functools
import json
import math
import random
from dataclasses import replace as changed
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.bank import Bank, ReplayModel
from nlrl.compute import Compute
from nlrl.core import UserError
from nlrl.evaluation.panels import import_panels
from nlrl.evaluation.races import read_races
from nlrl.evaluation.trace_calls import outcomes, replay
from nlrl.evaluation.trace_weights import fit_races, fit_trace_weights, ranking_quality
from nlrl.strategies import solve
from nlrl.strategies.trace_shape import save_weights
from nlrl.strategies.umpire import umpire
from nlrl.testing.synthetic_traces import WORLDS, trace_rows, world, write_traces


def imported(bank, path, made):
    write_traces(path, made)
    asyncio.run(import_panels(path, bank, "p"))
    return bank.problems("p")


def test_the_more_shape_tells_the_better_it_ranks(tmp_path):
    areas = []
    for name in ("no_shape", "strong_shape"):
        with Bank() as bank:
            problems = imported(bank, tmp_path / f"{name}.jsonl", world(name, problems=40, traces=16, spread=1.0))
            weights = fit_trace_weights(problems, bank, "panel:p", calls=False)
        areas.append(weights.held_out_auc)
        assert weights.provenance["problems"] == 40 and weights.provenance["source"] == "panel:p"
        assert weights.calls == ()
    assert areas[0] + 0.1 < areas[1] and areas[1] > 0.75


def test_calls_go_from_thorough_to_thrifty(tmp_path):
    with Bank() as bank:
        problems = imported(bank, tmp_path / "panel.jsonl", world("plain", problems=12, traces=12, spread=1.5))
        weights = fit_trace_weights(problems, bank, "panel:p", orders=1)
    tokens = [call["tokens"] for call in weights.calls]
    assert [call["thrift"] for call in weights.calls] == [round(i / 20, 2) for i in range(21)]
    assert tokens == sorted(tokens, reverse=True) or tokens[0] > 2 * tokens[-1]
    assert weights.calls[-1]["most"] <= 2
    json.dumps(weights.calls)


@pytest.mark.parametrize("part", ["few", "right", "wrong", "none"])
def test_panels_that_cannot_teach_are_refused(tmp_path, part):
    rows = list(trace_rows(world("plain", problems=3 if part == "few" else 8, traces=4)))
    for row in rows:
        for sample in row["samples"]:
            if part in ("right", "wrong"):
                sample["answer"] = row["reference"] if part == "right" else "-1"
    file = tmp_path / "panel.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Bank() as bank:
        asyncio.run(import_panels(file, bank, "p"))
        problems = bank.problems("p")
        with pytest.raises(UserError, match="Weights need"):
            fit_trace_weights(problems, bank, "panel:q" if part == "none" else "panel:p")


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(sorted(WORLDS)))
def test_the_fast_replay_is_the_strategy(tmp_path_factory, seed, name):
    """Any call, with weights or without: the same tokens and the same answer as through the ledger."""
    rng = random.Random(seed)
    made = world(
        name, problems=4, traces=rng.choice([3, 9, 24]), seed=seed, spread=1.0, limit=rng.choice([6000, 32768])
    )
    path = tmp_path_factory.mktemp("panel")
    with Bank() as bank:
        problems = imported(bank, path / "panel.jsonl", made)
        races = asyncio.run(read_races(problems, bank, "panel:p"))
        try:
            weights = fit_races(races, calls=False)
        except UserError:
            return  # all right or all wrong
        call = {
            "thrift": 0.0,
            "wave": rng.choice([1, 2, 3, 8]),
            "most": rng.choice([1, 4, 7, 64]),
            "gate": rng.choice([0.6, 0.8, 0.95, 0.999]),
            "drop": rng.choice([0.0, 1.1, 1.5]),
            "least": rng.choice([1, 2]),
            "weigh": rng.random() < 0.7,
        }
        file = path / "w.json"
        save_weights(changed(weights, calls=(call,)), file)
        model = ReplayModel("panel:p", is_panel=True)
        for problem, race in zip(problems, races, strict=True):
            run = functools.partial(umpire, thrift=0.0, weights=str(file), n=len(race.traces))
            got = asyncio.run(solve(run, problem, Compute(model, bank=bank, prompt=lambda p: ())))
            judge = weights if call["weigh"] else None
            steps = replay(race, range(len(race.traces)), judge, call["wave"], call["drop"])
            right, tokens = outcomes(steps, [call["gate"]], [call["most"]], call["least"])[0, 0]
            assert got.usage.tokens == tokens
            assert (got.value == problem.reference) == bool(right)


def test_ranking_quality_is_the_share_of_pairs_in_order():
    scores, right = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.0, 1.0, 0.0, 1.0])
    assert ranking_quality(scores, right) == pytest.approx(3.5 / 4)
    assert math.isnan(ranking_quality(scores, np.ones(4)))


def test_the_made_up_world_has_the_shape_it_states():
    rows = list(trace_rows(world("plain", problems=150, traces=16, seed=5)))
    assert rows == list(trace_rows(world("plain", problems=150, traces=16, seed=5)))
    samples = [(row, sample) for row in rows for sample in row["samples"]]
    right = [s["answer"] == row["reference"] for row, s in samples]
    assert 0.3 < np.mean(right) < 0.5
    lengths = np.array([s["tokens"] for _, s in samples])
    assert lengths.mean() > 4000 and np.quantile(lengths, 0.99) > 2.5 * np.median(lengths)
    assert lengths[np.array(right)].mean() < lengths[~np.array(right)].mean()
    assert all(a["tokens"] < b["tokens"] < s["tokens"] for _, s in samples for a, b in pairwise(s["probes"]))
