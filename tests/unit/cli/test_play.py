"""`nlrl play`: what it leaves behind, and what it says to mistakes."""

import json
from pathlib import Path

import pytest

from nlrl.cli.app import run

ORACLE = ["--model", "oracle", "--held-out", "4"]


def test_it_learns_and_leaves_curve_table_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert run(["play", "maze(layout=umaze)", *ORACLE, "--iterations", "12", "--seeds", "2", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "converged" in said.err and "decisions" in said.err
    lines = [json.loads(text) for text in (out / "iterations.jsonl").read_text("utf-8").splitlines()]
    assert {line["seed"] for line in lines} == {0, 1}
    first, last = lines[0], lines[-1]
    assert sum(last["returns"]) / 4 > -4 > sum(first["returns"]) / 4
    learned = json.loads((out / "learned.json").read_text("utf-8"))
    assert len(learned["0"]) == 6 and all("Worth:" in row["value"] for row in learned["0"])
    page = (out / "page.html").read_text("utf-8")
    assert "Learning curve" in page and "What was known of the actions" in page and "<script" not in page
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_second_time_nothing_is_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["play", "maze(layout=umaze)", *ORACLE, "--iterations", "2", "--out", str(tmp_path / "run")]
    assert run(command) == 0
    banked = (tmp_path / "run" / "bank.sqlite").stat().st_mtime_ns
    first = (tmp_path / "run" / "learned.json").read_text("utf-8")
    assert run(command) == 0
    assert (tmp_path / "run" / "learned.json").read_text("utf-8") == first
    assert (tmp_path / "run" / "bank.sqlite").stat().st_mtime_ns == banked


def test_a_model_that_says_nothing_of_use_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["play", "maze(layout=umaze)", "--model", "stochastic:0.5", "--critic", "oracle", "--held-out", "1"]
    assert run([*command, "--iterations", "1", "--out", str(tmp_path), "--draws", "2"]) == 0
    assert "unparsed decisions" in capsys.readouterr().err


def test_nothing_need_be_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["play", "maze(layout=umaze)", "--model", "stochastic:0.5", "--critic", "oracle", "--held-out", "1"]
    assert run([*command, "--iterations", "1", "--fit", "none", "--out", str(tmp_path)]) == 0
    assert "iteration 1" in capsys.readouterr().err
    learned = json.loads((tmp_path / "learned.json").read_text("utf-8"))["0"]
    assert learned and all(row["value"] and "Action: " in row["decision"] for row in learned)


def test_what_follows_can_be_fitted_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["play", "maze(layout=umaze)", *ORACLE, "--refine", "--successors", "--out", str(tmp_path)]
    assert run([*command, "--iterations", "1"]) == 0
    (_, line) = [json.loads(text) for text in (tmp_path / "iterations.jsonl").read_text("utf-8").splitlines()]
    assert line["calls"]["refine"] > 0
    assert run(["play", "maze(layout=umaze)", *ORACLE, "--successors", "--out", str(tmp_path)]) == 2
    assert "--refine" in capsys.readouterr().err


def test_only_playing_tells_an_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["play", "tic_tac_toe(first=true)", *ORACLE, "--iterations", "0", "--out", str(tmp_path)]) == 0
    assert "Action: take" in (said := capsys.readouterr().out) and "return" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chess"], "chess"),
        (["maze(layout=moebius)"], "moebius"),
        (["maze(layout=umaze)", "--budget", "tokens=0"], "budget"),
        (["maze(layout=umaze)", "--steps", "0"], "samples"),
        (["maze(layout=umaze)", "--fit", "none"], "--critic oracle"),
        (["maze(layout=umaze)", "--top", "2"], "draws"),
        (["wordle", "--iterations", "1", "--held-out", "0"], "--episodes"),
        (["breakthrough", "--model", "oracle", "--iterations", "1", "--held-out", "0"], "too many"),
    ],
)
def test_mistakes_are_named(words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["play", *words, "--model", "oracle", "--out", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err


def test_another_run_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["play", "maze(layout=umaze)", *ORACLE, "--out", str(tmp_path)]
    assert run([*command, "--iterations", "3"]) == 0
    kept = (tmp_path / "iterations.jsonl").read_text("utf-8")
    for other in (["--iterations", "2"], ["--iterations", "3", "--sweeps", "2"]):
        assert run([*command, *other]) == 2
        assert "other settings" in capsys.readouterr().err
    assert (tmp_path / "iterations.jsonl").read_text("utf-8") == kept
    assert run([*command, "--iterations", "5"]) == 0
    assert len((tmp_path / "iterations.jsonl").read_text("utf-8").splitlines()) == 6


def test_a_budget_that_ends_in_the_first_test_leaves_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["play", "maze(layout=umaze)", "--model", "stochastic:0.5", "--critic", "oracle", "--out", str(tmp_path)]
    assert run([*command, "--budget", "tokens=700"]) == 0
    assert "before anything was learned" in capsys.readouterr().err
    (line,) = [json.loads(text) for text in (tmp_path / "iterations.jsonl").read_text("utf-8").splitlines()]
    assert (line["returns"], line["success"]) == ([], None) and (tmp_path / "page.html").exists()


def test_what_the_first_test_costs_is_told(tmp_path: Path) -> None:
    command = ["play", "maze(layout=umaze)", "--model", "stochastic:0.5", "--iterations", "0", "--held-out", "2"]
    assert run([*command, "--out", str(tmp_path)]) == 0
    line = json.loads((tmp_path / "iterations.jsonl").read_text("utf-8").splitlines()[0])
    assert line["calls"]["policy"] > 0 and line["completion_tokens"] > 0
    assert line["heard"]["unparsed decisions"] == 202  # every step of two episodes


def test_without_a_name_the_environments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["play"]) == 0
    assert {"maze", "wordle", "tic_tac_toe"} <= set(capsys.readouterr().out.split())
