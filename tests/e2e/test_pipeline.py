"""The guide's main, from the shell, in an empty folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PIPELINE = Path(__file__).parents[2] / "examples" / "pipeline.py"


def test_the_pipeline_runs_and_leaves_its_files(tmp_path: Path) -> None:
    command = [sys.executable, str(PIPELINE), "--model", "stochastic:1", "--iterations", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MathTasks Accuracy: 100.00%" in done.stdout
    names = ("benchmark_results.json", "language_gpi_results.json", "system.log")
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == sorted(names)
    log = (tmp_path / "cache" / "system.log").read_text("utf-8")
    assert "MathTasks Accuracy: 100.00%" in log and "Iteration 1 Language GPI Accuracy:" in log
    rows = json.loads((tmp_path / "cache" / "benchmark_results.json").read_text("utf-8"))
    assert [row["task_name"] for row in rows] == [
        n for n in ("MathTasks", "CodingTasks", "CommonsenseTasks") for _ in "12"
    ]


def test_a_model_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    command = [sys.executable, str(PIPELINE), "--model", "qwen2.5-coder-0.5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "qwen2.5-coder-0.5b" in done.stderr and "Traceback" not in done.stderr
