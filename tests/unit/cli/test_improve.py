"""`nlrl improve` from the command line, on a model without weights."""

import json

import pytest
from click.testing import CliRunner

from nlrl.cli.improve import improve
from nlrl.core import NlrlError, UserError
from nlrl.learning.language.asking.log import read_iterations
from nlrl.learning.language.asking.policy import load_language_policy


def run(*args):
    base = ["--data", "builtin:math", "--model", "stochastic:0.5", "--limit", "24"]
    return CliRunner().invoke(improve, [*base, *map(str, args)], obj={}, standalone_mode=False)


def test_it_leaves_a_policy_a_page_a_picture_and_goes_on_where_it_was(tmp_path):
    done = run("--iterations", 2, "--budget", "tokens=30k", "--out", tmp_path)
    assert done.exception is None
    for name in ("policy.json", "iterations.jsonl", "report.html", "learning.png", "bank.sqlite"):
        assert (tmp_path / name).stat().st_size > 0
    load_language_policy(tmp_path / "policy.json")
    settings, iterations = read_iterations(tmp_path / "iterations.jsonl")
    assert settings["budget"] == {"tokens": 30000} and len(iterations) == 3
    assert "0 start: accepted" in done.stderr and "Validation:" in done.stdout
    again = run("--iterations", 2, "--budget", "tokens=30k", "--out", tmp_path)
    assert again.exception is None and "0 start" not in again.stderr
    assert again.stdout == done.stdout


def test_several_seeds_share_one_page(tmp_path):
    assert run("--iterations", 1, "--seeds", 2, "--out", tmp_path).exception is None
    assert (tmp_path / "seed-0" / "policy.json").exists() and (tmp_path / "seed-1" / "policy.json").exists()
    assert "Run 2" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_budget_that_is_too_small_is_said(seeds, tmp_path):
    for _ in range(2):  # a second call reads the run that ended
        done = run("--budget", "tokens=10", "--seeds", seeds, "--out", tmp_path)
        assert done.exception is None
        assert done.stdout.count("The budget of tokens is too small") == seeds and "0.0 %" not in done.stdout
        assert (tmp_path / "report.html").exists()


def test_a_larger_budget_goes_on_in_the_same_place(tmp_path):
    assert "larger --budget" in run("--budget", "tokens=10", "--iterations", 1, "--out", tmp_path).stdout
    done = run("--budget", "tokens=1M", "--iterations", 1, "--out", tmp_path)
    assert done.exception is None and "Validation:" in done.stdout
    assert read_iterations(tmp_path / "iterations.jsonl")[0]["budget"] == {"tokens": 1_000_000}
    assert "budget was" in str(run("--budget", "tokens=10", "--out", tmp_path).exception)


def test_the_help_says_that_every_seed_gets_the_budget():
    said = " ".join(CliRunner().invoke(improve, ["--help"], obj={}).stdout.split())
    assert "Of a run, such as tokens=50k" in said


def test_a_policy_of_an_earlier_run_can_be_the_start(tmp_path):
    start = tmp_path / "start.json"
    start.write_text(json.dumps({"v": 1, "policy": {"principles": [{"text": "Be exact."}]}}))
    assert run("--iterations", 0, "--start", start, "--out", tmp_path / "run").exception is None
    assert load_language_policy(tmp_path / "run" / "policy.json").principles[0].text == "Be exact."


@pytest.mark.parametrize(
    "wrong, said",
    [
        (("--strategy", "magic"), "magic"),
        (("--reward-model", "nobody"), "nobody"),
        (("--budget", "seconds=5"), "tokens or calls"),
        (("--validation", 2), "validation"),
        (("--start", "nowhere.json"), "nowhere"),
    ],
)
def test_mistakes_are_said(wrong, said, tmp_path):
    error = run("--out", tmp_path, *wrong).exception
    assert isinstance(error, NlrlError) and said in str(error)
    assert not isinstance(error, UserError) or not (tmp_path / "iterations.jsonl").exists()
