"""A benchmark as a user makes it: real prompts, real verifiers, a file bank; killed, resumed, reported, replayed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nlrl.bank import Bank, ReplayModel
from nlrl.core import Budget, Problem, Sampling, TaskType
from nlrl.evaluation import (
    RunConfig,
    export_panels,
    import_panels,
    latest,
    read_records,
    run_benchmark,
)
from nlrl.evaluation.report import report
from nlrl.evaluation.sweep import sweep
from nlrl.testing.scripted import StochasticModel

_STRATEGIES = (
    "direct",
    "self_consistency(n=8)",
    "adaptive_consistency(n=8)",
    "best_of_n(n=8, select=best)",
    "self_refine(rounds=1)",
    "divide_and_conquer(parts=2)",
)


def _problems() -> list[Problem]:
    math = [
        Problem(f"A crate holds {i + 3} apples and {2 * i} pears. How many fruits?", reference=str(3 * i + 3))
        for i in range(4)
    ]
    words = [
        Problem(f"Is item {i} of the list a colour?", reference="yes", task_type=TaskType.COMMONSENSE) for i in range(3)
    ]
    return math + words


def _config() -> RunConfig:
    return RunConfig(
        strategies=_STRATEGIES, samples=8, budget=Budget(tokens=8000), sampling=Sampling(max_tokens=100), data="fruits"
    )


def test_run_report_export_and_replay(tmp_path):
    problems = _problems()
    model = StochasticModel(problems, 0.7, tokens=30, seed=4)
    with Bank(tmp_path / "bank.db") as bank:
        run = asyncio.run(run_benchmark(_config(), model, problems, bank=bank, out_dir=tmp_path / "run"))
        assert (run.progress.done, run.progress.total) == (49, 49)
        assert not any(s.failed for s in run.progress.standing.values())
        records = latest(read_records(tmp_path / "run" / "records.jsonl"))
        assert all(r.usage.total.tokens <= 8000 for r in records if r.strategy != "panel")
        summary, written = report(tmp_path / "run", ["html"])
        assert written[-1].stat().st_size > 50_000
        everything = summary.domains[0]
        assert everything.panel is not None
        assert everything.panel.accuracy.mean > 0.3
        assert [s.name for s in everything.strategies] == list(_STRATEGIES)

        asyncio.run(export_panels(bank, tmp_path / "run", tmp_path / "panel.jsonl"))
        asyncio.run(import_panels(tmp_path / "panel.jsonl", bank, "copy"))
        points = asyncio.run(
            sweep(
                bank.problems("copy"),
                ["self_consistency(n=8)"],
                [Budget(), Budget(calls=1)],
                model=ReplayModel("panel:copy", is_panel=True),
                bank=bank,
                sampling=Sampling(max_tokens=100),
            )
        )
    voted = next(s for s in everything.strategies if s.name == "self_consistency(n=8)")
    direct = next(s for s in everything.strategies if s.name == "direct")
    assert points[0].accuracy == pytest.approx(voted.accuracy.mean)
    assert points[0].tokens.mean() == pytest.approx(voted.tokens)
    assert points[1].accuracy == pytest.approx(direct.accuracy.mean)


@pytest.fixture
def resume(monkeypatch):
    """The benchmark script as a module: its child process is the one to kill."""
    file = Path(__file__).parents[2] / "benchmarks" / "resume.py"
    spec = importlib.util.spec_from_file_location("resume_benchmark", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(str(file.parent))  # its equipment
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_killed_and_resumed_every_draw_is_kept(tmp_path, resume):
    import random

    trial = resume.Trial(tmp_path / "killed", 4, 2, 1.0, random.Random(3))
    assert trial.landed >= 1
    assert (trial.redrawn, trial.changed, trial.doubled) == ([], [], [])
    records = resume.final(trial.home)
    assert len(records) == resume.PROBLEMS * (len(resume.STRATEGIES) + 1)
    assert not any("error" in r for r in records.values())


def test_sigterm_in_a_process_of_its_own_leaves_a_run_that_goes_on(tmp_path, resume):
    (tmp_path / "run").mkdir()
    process = subprocess.Popen(
        [sys.executable, resume.__file__, "--child", str(tmp_path), "--samples", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == 0  # it ended by itself, with all files closed
    assert "Traceback" not in said
    lines = (tmp_path / "run" / "records.jsonl").read_bytes()
    assert lines == b"" or lines.endswith(b"\n")
    assert not (tmp_path / "bank.db-wal").exists()
    resume.finish(resume.start(tmp_path, 4))
    assert len(resume.final(tmp_path)) == resume.PROBLEMS * (len(resume.STRATEGIES) + 1)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["problems"]["count"] == resume.PROBLEMS
