"""The list of runs on a disk, and sweeps over recorded samples."""

from __future__ import annotations

import asyncio
import json
import os
import time

import numpy as np

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Budget, Problem, TaskType
from nlrl.evaluation.report import report
from nlrl.evaluation.run_list import find_runs
from nlrl.evaluation.sweep import Point, sweep
from nlrl.testing.scripted import ScriptedModel


def test_runs_are_found_latest_first_with_what_they_came_to(make_run, tmp_path):
    old, new = make_run(tmp_path / "old", n=3, samples=8), make_run(tmp_path / "deep" / "new", n=6, samples=8)
    report(old, formats=())
    with (old / "records.jsonl").open("ab") as file:
        file.write(b'{"torn')
    os.utime(old / "records.jsonl", (1e9, 1e9))
    os.utime(new / "records.jsonl", (1.1e9, 1.1e9))
    for name, text in (("other", '{"strategies": []}'), ("odd", "[]"), ("broken", "{"), ("list", '{"strategies": {}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    newer, older = find_runs(tmp_path)
    accuracy = older.pop("accuracy")
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(1e9))
    assert older == {
        "path": str(old), "date": date, "model": "made-up@1", "data": "made up", "problems": 3, "records": 12,
        "total": 12,
    }  # fmt: skip
    summary = json.loads((old / "summary.json").read_text())["domains"][0]["strategies"]
    assert accuracy == {s["name"]: s["accuracy"][0] for s in summary} and len(accuracy) == 3
    assert (newer["path"], newer["records"], newer["total"], newer["accuracy"]) == (str(new), 24, 24, {})
    assert [r["path"] for r in find_runs(old)] == [str(old)]
    (old / "records.jsonl").unlink()
    (told,) = find_runs(old)
    assert told["records"] == 0 and told["date"] != date


PROBLEMS = [Problem(f"What is {i} + 41?", "42", TaskType.MATH) for i in (1, 2)] + [Problem("And?", None, TaskType.MATH)]


def test_a_sweep_by_hand():
    model = ScriptedModel(lambda r, i: "Final Answer: 42" if i else "Final Answer: 40 or 41?")
    with Bank() as bank:
        points = asyncio.run(
            sweep(PROBLEMS, ["direct", "self_consistency(n=3)"], [Budget(), Budget(calls=1)], model=model, bank=bank)
        )
        one = asyncio.run(Compute(model, bank=bank).sample(PROBLEMS[0], 1))[0].completion
    assert [(p.strategy, p.budget.calls) for p in points] == [
        ("direct", None), ("direct", 1), ("self_consistency(n=3)", None), ("self_consistency(n=3)", 1),
    ]  # fmt: skip
    assert [p.calls.tolist() for p in points] == [[1] * 3, [1] * 3, [3] * 3, [1] * 3]
    assert np.isnan([p.right[2] for p in points]).all()
    assert [p.right[:2].tolist() for p in points] == [[0, 0], [0, 0], [1, 1], [0, 0]]
    assert [p.accuracy for p in points] == [0.0, 0.0, 1.0, 0.0]
    assert points[0].tokens[0] == one.prompt_tokens + one.completion_tokens < points[2].tokens[0]


def test_a_point_prints_as_a_line():
    point = Point("direct", Budget(tokens=9, calls=2), *np.array([[1.0, 0.0], [3, 5], [1, 1]]))
    assert str(point) == "direct at tokens=9, calls=2: 0.500 for 4 tokens"
    unjudged = Point("direct", Budget(), *np.array([[np.nan], [3.0], [1.0]]))
    assert str(unjudged) == "direct at no limit: nan for 3 tokens"
