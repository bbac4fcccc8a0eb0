"""What tests import is looked up before anything runs, and can be chosen."""

import json

import pytest
from click.testing import CliRunner

from nlrl.cli.bench import bench
from nlrl.core import UserError
from nlrl.sandbox import show_packages

TEST = "import msgspec\n\ndef check(candidate):\n    assert candidate(1) == msgspec.json.decode(b'2')\n"
ROW = {"prompt": "def f(x):\n    '''One more.'''\n", "entry_point": "f", "test": TEST}


def run(path, *more):
    arguments = ["--data", path, "--model", "stochastic:0.9", "--strategy", "direct", *more]
    return CliRunner().invoke(bench, list(map(str, arguments)), obj={}, standalone_mode=False)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    yield path
    show_packages(())


def test_a_missing_package_is_an_error_before_anything_runs(rows, tmp_path):
    done = run(rows, "--out", tmp_path / "out")
    assert isinstance(done.exception, UserError)
    assert "msgspec (1 of 1 problems)" in str(done.exception)
    assert "--sandbox-packages msgspec" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_chosen_package_is_there(rows, tmp_path):
    done = run(rows, "--out", tmp_path / "out", "--sandbox-packages", "msgspec", "--bank", tmp_path / "bank.sqlite")
    assert "does not show" not in str(done.exception or "")


def test_a_package_that_is_not_installed(rows, tmp_path):
    done = run(rows, "--out", tmp_path / "out", "--sandbox-packages", "no-such-package")
    assert isinstance(done.exception, UserError)
    assert "pip install no-such-package" in str(done.exception)
