"""`nlrl train prm`, from the data to a verifier that the name in its last line opens."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nlrl.cli import openers
from nlrl.cli.train import report_lines, train
from nlrl.core import UnknownName, UserError
from nlrl.testing import ScriptedModel
from nlrl.verifiers.prm.trained import TrainedPRM
from nlrl.verifiers.prm.trees import read_prm
from nlrl.verifiers.registry import get_verifier


def said(request, index: int) -> str:
    """Two steps and an answer; the first draw of four has a wrong first step, and so a wrong answer."""
    question = request.messages[-1].content
    a, b = (int(n) for n in question.split("What is ")[-1].split("?")[0].split(" + "))
    broken = "slip" in request.prefill
    lines = [] if request.prefill else [f"We add {a} and {b}." + (" A slip" if index % 4 == 0 else "")]
    broken = broken or (not request.prefill and index % 4 == 0)
    if "=" not in request.prefill:
        lines.append(f"{a} + {b} = {a + b + broken}")
    return "\n".join([*lines, f"Final Answer: {a + b + broken}"])


@pytest.fixture
def data(tmp_path: Path) -> str:
    rng = random.Random(0)
    rows = []
    for _ in range(16):
        a, b = rng.randint(1, 90), rng.randint(1, 90)
        rows.append({"question": f"What is {a} + {b}?", "answer": str(a + b)})
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    """What the model option opens."""
    made = ScriptedModel(said, name="sums")
    monkeypatch.setattr(openers, "open_model", lambda *_: made)
    monkeypatch.delenv("NLRL_BANK", raising=False)
    return made


def call(*args: object) -> Result:
    return CliRunner().invoke(train, ["prm", *map(str, args)])


def test_it_trains_reports_writes_and_can_be_used_and_run_again(data, model, tmp_path):
    out = tmp_path / "new" / "sums.prm.json"
    result = call("--data", data, "--rollouts", 3, "--out", out)
    assert result.exit_code == 0, (result.output, result.exception)
    for words in ("Learnt from", "16 problems", "AUC", "Brier", "calibration error", f"--verifier prm:{out}"):
        assert words in result.output
    assert "16/16 problems" in result.output
    assert isinstance(get_verifier(f"prm:{out}"), TrainedPRM)
    file = read_prm(out)
    assert file.provenance["model"] == "sums" and file.provenance["data"] == data and file.held_out["auc"] > 0.9
    assert "\n".join(report_lines(file)) in result.output

    asked = len(model.requests)
    before = out.read_bytes()
    again = call("--data", data, "--rollouts", 3, "--out", out)
    assert again.exit_code == 0 and len(model.requests) == asked  # all of it came from the bank
    assert out.read_bytes() == before


def test_what_cannot_teach_is_refused_and_leaves_no_file(data, model, tmp_path):
    out = tmp_path / "x.prm.json"
    result = call("--data", data, "--limit", 2, "--out", out)
    assert isinstance(result.exception, UserError) and "labelled steps of 2 problems" in str(result.exception)
    assert not out.exists()


def test_a_budget_that_ends_is_said(data, model, tmp_path):
    result = call("--data", data, "--budget", "tokens=1500", "--out", tmp_path / "x.json")
    assert "The budget ended (tokens)" in result.output and isinstance(result.exception, UserError)
    assert "larger --budget" in str(result.exception)


def test_data_without_references_is_refused(model, tmp_path):
    path = tmp_path / "open.jsonl"
    path.write_text('{"question": "What is 1 + 2?"}\n{"question": "What is 3 + 4?"}\n')
    result = call("--data", path, "--out", tmp_path / "x.json")
    assert isinstance(result.exception, UserError)


def test_mistakes_on_the_command_line(data, model, tmp_path):
    assert call("--out", tmp_path / "x").exit_code == 2  # no data
    assert call("--data", data, "--out", tmp_path).exit_code == 2  # a directory
    assert call("--data", data, "--out", tmp_path / "x", "--rollouts", 0).exit_code == 2
    assert isinstance(call("--data", "biultin:math", "--out", tmp_path / "x").exception, UserError | UnknownName)
    assert not model.requests


def test_the_help_has_examples():
    result = call("--help")
    assert result.exit_code == 0 and "nlrl train prm --data builtin:math" in result.output
