"""`nlrl data`: what was kept is shown, handed out, deleted, and put to use; nothing is deleted unasked."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from nlrl.cli.app import run
from nlrl.server.observe.records import Attempt, Record, Records

DAY = 86_400


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "requests.sqlite"
    with Records(path) as records:
        for n in range(6):
            attempts = [Attempt("s0", 5, "stop", answer="42", text="17 + 25 = 42", chosen=True)]
            records.put(
                Record(
                    f"req_{n}", time.time() - n * DAY, key=f"k{n % 2}", user=f"u{n % 3}", prompt_tokens=10,
                    question=f"Question {n}?", answer="42", attempts=attempts, thumb=1 if n < 2 else None, task="math",
                )
            )  # fmt: skip
    return path


def ids(path: Path) -> list[str]:
    with Records(path) as records:
        return [record.id for record in records.each()]


def test_info_counts(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "info", "--records", str(kept)]) == 0
    said = capsys.readouterr().out
    assert "6 requests since" in said and "60 tokens; 6 with texts; 2 with a thumb" in said and "key k1: 3" in said


def test_export_is_of_one_user(kept: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "u1.jsonl"
    assert run(["data", "export", "--records", str(kept), "--user", "u1", "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["req_1", "req_4"] and lines[0]["question"] == "Question 1?"
    assert "2 requests exported" in capsys.readouterr().err and out.stat().st_mode & 0o077 == 0


def test_erase_takes_all_of_one_and_asks_before(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "erase", "--records", str(kept)]) != 0
    assert "--user or --key" in capsys.readouterr().err
    assert run(["data", "erase", "--records", str(kept), "--user", "u1"]) != 0  # nobody is there to say yes
    assert "--yes" in capsys.readouterr().err and len(ids(kept)) == 6
    assert run(["data", "erase", "--records", str(kept), "--user", "u1", "--yes"]) == 0
    assert ids(kept) == ["req_0", "req_2", "req_3", "req_5"]
    assert run(["data", "erase", "--records", str(kept), "--key", "k0", "--user", "u0", "--yes"]) == 0
    assert ids(kept) == ["req_2", "req_3", "req_5"]


def test_purge_is_by_age_and_may_leave_the_numbers(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    purge = ["data", "purge", "--records", str(kept), "--yes", "--older-than"]
    assert run([*purge, "100h"]) == 0 and ids(kept) == [f"req_{n}" for n in range(5)]
    assert run([*purge, "12h", "--texts-only"]) == 0
    with Records(kept) as records:
        assert [r.question for r in records.each()] == ["Question 0?", None, None, None, None]
    assert run([*purge, "0s"]) == 0 and ids(kept) == []
    assert run([*purge, "soon"]) != 0
    assert "30d" in capsys.readouterr().err


def test_labels_become_a_panel_to_calibrate_with(
    kept: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bank = str(tmp_path / "bank.sqlite")
    assert run(["data", "labels", "--records", str(kept), "--bank", bank]) == 0
    assert "2 questions" in capsys.readouterr().out
    panel = ["--data", "panel:served", "--model", "panel:served", "--bank", bank, "--out", str(tmp_path / "run")]
    assert run(["bench", *panel, "--samples", "1", "--strategy", "direct"]) == 0
    assert "direct 1.00 (2 of 2)" in capsys.readouterr().err
    assert run(["data", "labels", "--records", str(kept), "--out", str(tmp_path / "l.jsonl")]) == 0
    assert json.loads((tmp_path / "l.jsonl").read_text().splitlines()[0])["reference"] == "42"
    assert run(["data", "labels", "--records", str(kept)]) != 0


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "info", "--records", str(tmp_path / "none.sqlite")]) != 0
    assert "nlrl serve --records" in capsys.readouterr().err and not (tmp_path / "none.sqlite").exists()


def test_purge_asks_whether_a_clock_that_is_far_ahead_is_right(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 365 * DAY)
    purge = ["data", "purge", "--records", str(kept), "--older-than", "30d", "--yes"]
    assert run(purge) != 0 and len(ids(kept)) == 6
    said = capsys.readouterr().err
    assert "365.0 days after" in said and "--clock-is-right" in said
    assert run([*purge, "--clock-is-right"]) == 0 and ids(kept) == []
