"""A run remembers what graded it, and a run that went on with other software says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import nlrl
from nlrl.core import Problem
from nlrl.evaluation import config as config_module
from nlrl.evaluation.config import RunConfig, open_run, read_config
from nlrl.evaluation.software import software, software_rows

_CONFIG = RunConfig(strategies=("direct",))
_PROBLEMS = [Problem("1 + 1?", reference="2")]
_HERE = Path(nlrl.__file__).parent


def test_versions_are_those_that_are_installed():
    found = software()
    assert found["nlrl"] == nlrl.__version__ and found["numpy"] == version("numpy")
    assert all(found.values())


@pytest.mark.skipif(not (_HERE.parents[1] / ".git").exists(), reason="not run in a checkout")
def test_a_checkout_names_its_commit():
    head = subprocess.check_output(["git", "-C", str(_HERE), "rev-parse", "HEAD"], text=True)
    assert software()["commit"].removesuffix("+") == head[:12]


def test_the_commit_of_somebody_else_s_repository_is_not_taken(tmp_path):
    shutil.copytree(_HERE, tmp_path / "site" / "nlrl", ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    theirs = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True)[:12]
    code = "from nlrl.evaluation.software import software; print(software().get('commit', ''))"
    run = [sys.executable, "-c", code]
    said = subprocess.check_output(run, text=True, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"})
    assert theirs not in said


def test_a_run_keeps_its_software_and_what_went_on_with_it(tmp_path, monkeypatch):
    open_run(tmp_path, _CONFIG, "m@1", _PROBLEMS)
    first = read_config(tmp_path)["software"]
    assert first == software() and "went_on_with" not in read_config(tmp_path)
    later = first | {"nlrl": "9.9.9", "numpy": "9.0"}
    monkeypatch.setattr(config_module, "software", lambda: later)
    for _ in range(2):
        open_run(tmp_path, _CONFIG, "m@1", _PROBLEMS)
    found = read_config(tmp_path)
    assert found["software"] == first and found["went_on_with"] == [later]
    rows = software_rows(found)
    assert f"nlrl {first['nlrl']}" in rows["software"] and rows["went on with"] == "nlrl 9.9.9, numpy 9.0"


def test_an_older_run_shows_the_version_that_it_has():
    assert software_rows({"version": "0.1.0"}) == {"software": "nlrl 0.1.0"}
