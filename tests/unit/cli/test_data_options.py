"""Every command that takes data: its columns can be named, and what was read is said before anything runs."""

import pytest
from click.testing import CliRunner

from nlrl.cli.bank import bank
from nlrl.cli.bench import bench, default_out
from nlrl.cli.calibrate import calibrate
from nlrl.cli.improve import improve
from nlrl.cli.train import train
from nlrl.core import DataError, UserError

OWN = "Aufgabe;Loesung\nWas ist 2+3?;5\nWas ist 3+3?;6\nWas ist 4+3?;7\nWas ist 5+3?;8\n"
MODEL = ("--model", "stochastic:0.9")
COLUMNS = ("--question-column", "Aufgabe", "--answer-column", "Loesung")
ALL = [
    (bench, ("--strategy", "direct", "--samples", "2")), (calibrate, ("--samples", "4")),
    (improve, ("--iterations", "0")), (train, ("prm", "--rollouts", "1", "--attempts", "2")),
]  # fmt: skip


def run(command, *args):
    return CliRunner().invoke(command, list(map(str, args)), obj={}, standalone_mode=False)


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(("command", "more"), ALL)
def test_columns_can_be_named_and_what_was_read_is_said(command, more, own, tmp_path):
    where = tmp_path / "out"
    done = run(command, *more, "--data", own, *COLUMNS, *MODEL, "--out", where, "--bank", tmp_path / "bank.sqlite")
    told = done.stderr + str(done.exception or "")
    for part in (
        "4 problems, all with a reference",
        "'Aufgabe'",
        "'Loesung'",
        "question: Was ist 2+3?",
        "reference: 5",
    ):
        assert part in told
    assert told.index("question: Was ist 2+3?") < told.index("stochastic")


@pytest.mark.parametrize(("command", "more"), ALL)
def test_a_run_without_any_reference_is_an_error_before_it_begins(command, more, tmp_path):
    path = tmp_path / "open.csv"
    path.write_text("question,zahl\nOne?,1\nTwo?,2\n")
    done = run(command, *more, "--data", path, *MODEL, "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    for part in ("none of its 2 problems", "question, zahl", "--answer-column zahl"):
        assert part in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_problems_without_a_reference_can_be_improved_on_with_a_reward_model(tmp_path):
    path = tmp_path / "open.csv"
    path.write_text("question,zahl\n" + "".join(f"Number {n}?,{n}\n" for n in range(8)))
    done = run(
        improve, "--data", path, *MODEL, "--reward-model", "mock", "--iterations", 0, "--out", tmp_path / "out"
    )  # fmt: skip
    assert done.exception is None


def test_bank_export_takes_columns(own, tmp_path):
    done = run(bank, "export", "stochastic", tmp_path / "p.jsonl", "--bank", tmp_path / "none.sqlite", "--data", own)
    assert "--question-column Aufgabe" in str(done.exception)


def test_doubts_and_rows_left_out_are_told(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_bytes(b"question,answer\nOne?,1\nCaf\xe9?,2\nTwo?,None\n")
    done = run(bench, "--strategy", "direct", "--samples", "1", "--data", path, *MODEL, "--out", tmp_path / "out")
    assert "left out:" in done.stderr and "mixed.csv:3" in done.stderr and "iconv" in done.stderr
    assert "'None'" in done.stderr and "1 of them with a reference" in done.stderr


def test_constraints_that_make_no_sense_are_refused_before_a_run(tmp_path):
    path = tmp_path / "w.jsonl"
    path.write_text('{"question": "Write.", "constraints": [{"kind": "word_count", "max": 3}]}\n')
    done = run(bench, "--strategy", "direct", "--samples", "1", "--data", path, *MODEL, "--out", tmp_path / "out")
    assert (
        isinstance(done.exception, DataError) and "w.jsonl:1" in str(done.exception) and "'max'" in str(done.exception)
    )


def test_columns_of_a_known_set_cannot_be_chosen(own):
    done = run(bench, "--data", "builtin:math", *COLUMNS, *MODEL)
    assert isinstance(done.exception, UserError) and "of a file only" in str(done.exception)


def test_other_columns_are_another_run(own):
    from nlrl.cli.datafiles import DataFiles
    from nlrl.evaluation.config import RunConfig

    one, other = DataFiles(("own.csv",)), DataFiles(("own.csv",), "Aufgabe", "Loesung")
    assert str(one) == "own.csv" and "Aufgabe" in str(other)
    paths = {default_out(RunConfig(strategies=("direct",), data=str(d), model="m"), None) for d in (one, other)}
    assert len(paths) == 2 and all(path.name.startswith("own.csv-m-") for path in paths)
