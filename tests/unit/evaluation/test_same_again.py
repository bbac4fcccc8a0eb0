"""Made-up traces, and what is learned on them, are the same for the same seed: figures in the docs were measured so.

python tests/unit/evaluation/test_same_again.py        # writes the file anew, where a change is meant
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest

from nlrl.bank import Bank
from nlrl.evaluation.panels import import_panels
from nlrl.evaluation.races import read_races
from nlrl.evaluation.trace_weights import fit_races
from nlrl.testing.synthetic_traces import WORLDS, trace_rows, world, write_traces

GOLDEN = Path(__file__).parents[2] / "data" / "synthetic_traces.json"


def rows_of(name: str) -> list[dict]:
    rows = list(trace_rows(world(name, problems=3, traces=4, seed=5, probe_every=2000)))
    return json.loads(json.dumps(rows))


def learned(calls: bool = True) -> dict:
    made = world("plain", problems=12, traces=10, seed=5, probe_every=1000)
    with tempfile.TemporaryDirectory() as folder, Bank() as bank:
        path = Path(folder) / "p.jsonl"
        assert write_traces(path, made) == 12
        asyncio.run(import_panels(path, bank, "p"))
        races = asyncio.run(read_races(bank.problems("p"), bank, "panel:p", traces=8))
    weights = asdict(fit_races(races, orders=2, seed=3, calls=calls, source="p"))
    return json.loads(json.dumps({"races": [race_as_json(r) for r in races], "weights": weights}, default=list))


def race_as_json(race) -> dict:
    made = asdict(race)
    made["right"] = sorted(made["right"])
    return made


def differences(got, kept, where: str = "") -> list[str]:
    """Paths at which two values differ; fractions by more than rounding."""
    if isinstance(got, dict) and isinstance(kept, dict) and got.keys() == kept.keys():
        return [d for key in got for d in differences(got[key], kept[key], f"{where}.{key}")]
    if isinstance(got, list) and isinstance(kept, list) and len(got) == len(kept):
        return [d for i, pair in enumerate(zip(got, kept, strict=True)) for d in differences(*pair, f"{where}[{i}]")]
    if isinstance(got, float) and isinstance(kept, float):
        same = math.isclose(got, kept, rel_tol=1e-5, abs_tol=1e-7) or (math.isnan(got) and math.isnan(kept))
        return [] if same else [f"{where}: {got} was {kept}"]
    return [] if got == kept and type(got) is type(kept) else [f"{where}: {got!r} was {kept!r}"]


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_a_world_is_the_one_that_was_measured(name):
    assert differences(rows_of(name), json.loads(GOLDEN.read_text("utf-8"))["worlds"][name]) == []


def test_what_is_learned_on_a_world_is_what_was_learned():
    assert differences(learned(), json.loads(GOLDEN.read_text("utf-8"))["learned"]) == []


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({"worlds": {n: rows_of(n) for n in sorted(WORLDS)}, "learned": learned()}), "utf-8")
    sys.exit()
