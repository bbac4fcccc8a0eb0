"""`--profile` writes what the standard library reads, also when the command fails, and refuses before anything runs."""

from __future__ import annotations

import cProfile
import pstats
import sys
from pathlib import Path

import pytest

from nlrl.cli.app import run

ASK = ["solve", "What is 17 + 25?", "--model", "stochastic:0.9", "--quiet"]


def functions(path: Path) -> set[str]:
    return {name for _, _, name in pstats.Stats(str(path)).stats}  # type: ignore[attr-defined]


def test_a_profile_of_solve_and_of_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASK, "--profile", str(tmp_path / "solve.prof")]) == 0
    assert "python -m pstats" in capsys.readouterr().err
    assert {"direct", "_run"} <= functions(tmp_path / "solve.prof")
    bench = ["bench", "--data", "builtin:math", "-n", "1", "--model", "stochastic:0.9", "--out", str(tmp_path / "run")]
    assert run([*bench, "--strategy", "direct", "--profile", str(tmp_path / "bench.prof")]) == 0
    assert {"run_benchmark", "open_run"} <= functions(tmp_path / "bench.prof")


def test_a_command_that_fails_is_profiled_until_then(tmp_path: Path) -> None:
    assert run([*ASK[:2], "--model", "stochastic:7", "--profile", str(tmp_path / "p")]) != 0
    assert "open_model" in functions(tmp_path / "p")


def test_a_file_that_cannot_be_written_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASK, "--profile", str(tmp_path / "nowhere" / "p")]) != 0
    told = capsys.readouterr()
    assert "cannot be written" in told.err and not told.out


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before, profilers do not know of each other")
def test_two_profilers_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = cProfile.Profile()
    other.enable()
    try:
        assert run([*ASK, "--profile", str(tmp_path / "p")]) != 0
    finally:
        other.disable()
    assert "another profiler" in capsys.readouterr().err
