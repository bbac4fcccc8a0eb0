"""Settings of a run: checked at once, kept, and compared when the run goes on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from nlrl.core import Budget, Problem, Sampling, UserError
from nlrl.evaluation.config import RunConfig, given, locked, make_directory, open_run, read_config

_CONFIG = RunConfig(strategies=("direct", "best_of_n(n=4)"), budget=Budget(tokens=2000), samples=8)
_PROBLEMS = [Problem("1 + 1?", reference="2"), Problem("2 + 2?", reference="4")]


def test_strategies_are_kept_in_canonical_form():
    assert RunConfig(strategies=("best_of_n( select=best,n=4 )",)).strategies == ("best_of_n(n=4, select=best)",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategies": ("dirct",)}, "direct"),
        ({"strategies": ("best_of_n(m=4)",)}, "best_of_n"),
        ({"strategies": ("direct(",)}, "Cannot read"),
        ({"strategies": ("direct", "direct")}, "named twice"),
        ({}, "Nothing to do"),
        ({"samples": 0}, "Nothing to do"),
        ({"samples": -1}, "at least 1"),
        ({"samples": 1, "concurrency": 0}, "at least 1"),
    ],
)
def test_mistakes_are_found_before_anything_runs(settings, message):
    with pytest.raises(UserError, match=message):
        RunConfig(**settings)


def test_the_same_settings_go_on(tmp_path):
    open_run(tmp_path, _CONFIG, "m@1", _PROBLEMS)
    before = (tmp_path / "config.json").read_bytes()
    open_run(tmp_path, replace(_CONFIG, concurrency=9, name="other", data="elsewhere"), "m@1", _PROBLEMS)
    assert (tmp_path / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": Budget(tokens=4000)}, r"budget\.tokens was 2000 and is now 4000"),
        ({"budget": Budget(tokens=2000, calls=3)}, r"budget\.calls was not set and is now 3"),
        ({"samples": None}, "samples was 8 and is now not set"),
        ({"strategies": ("direct",)}, r"strategies was \[direct, best_of_n\(n=4\)\] and is now \[direct\]"),
        ({"sampling": Sampling(temperature=0.2)}, r"sampling\.temperature was not set and is now 0\.2"),
        ({"seed": 3}, "seed was not set and is now 3"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, change, said):
    open_run(tmp_path, _CONFIG, "m@1", _PROBLEMS)
    with pytest.raises(UserError, match=said + r".*another directory"):
        open_run(tmp_path, replace(_CONFIG, **change), "m@1", _PROBLEMS)


def test_another_model_or_other_problems_are_refused(tmp_path):
    open_run(tmp_path, _CONFIG, "m@1", _PROBLEMS)
    with pytest.raises(UserError, match="model_name was m@1 and is now m@2"):
        open_run(tmp_path, _CONFIG, "m@2", _PROBLEMS)
    with pytest.raises(UserError, match=r"problems\.count was 2 and is now 1"):
        open_run(tmp_path, _CONFIG, "m@1", _PROBLEMS[:1])


def test_a_directory_without_a_run(tmp_path):
    with pytest.raises(UserError, match="holds no benchmark run"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="not a run's settings"):
        read_config(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        make_directory(tmp_path / "file" / "run")


def test_only_one_process_writes_a_run(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom nlrl.evaluation.config import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Another process is writing"), locked(tmp_path):
            pass
        other.kill()
    with locked(tmp_path):
        pass


def test_given_leaves_out_what_is_not_set():
    assert given(Budget()) == {}
    assert given(Sampling(temperature=0.0, stop=("x",))) == {"temperature": 0.0, "stop": ("x",)}
