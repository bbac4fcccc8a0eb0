"""What an older version wrote opens, and replays without a single draw: `tests/data/make_version_0_1.py` made it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.data.make_version_0_1 import LIVE, STRATEGIES

from nlrl.cli.app import run
from nlrl.evaluation import latest, read_records
from nlrl.server import KeyStore
from nlrl.server.observe.records import Records
from nlrl.testing.scripted import StochasticModel

_SECRET = "nlrl_14ec2561_ckpAbfsWiqv2QCr9iVNQKzmX1icAnF0T0ROcEF4Vr3U"  # of a key that opens nothing but the copy here
_STUB = "openai:stub@127.0.0.1:18431"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old files; whoever draws a token fails."""
    for name in ("NLRL_MODEL", "NLRL_BANK", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def drawn(self: object, request: object) -> None:
        raise AssertionError(f"drawn though it is in the bank: {request}")

    monkeypatch.setattr(StochasticModel, "stream", drawn)
    monkeypatch.setattr(StochasticModel, "complete", drawn)
    home = tmp_path / "old"
    shutil.copytree(Path(__file__).parents[1] / "data" / "version_0_1", home)
    return home


def bench(home: Path, model: str, bank: str, strategies: tuple[str, ...], out: Path, *more: str) -> None:
    asked = ["--data", str(home / "problems.jsonl"), "--policy-prompt", str(home / "how.json"), "--limit", "3"]
    chosen = [part for strategy in strategies for part in ("--strategy", strategy)]
    args = ["bench", *asked, *chosen, "--model", model, "--bank", str(home / bank), "--out", str(out), *more]
    assert run(args) == 0


def draws(bank: Path) -> list[Any]:
    with sqlite3.connect(bank) as db:
        return db.execute("SELECT key, idx, draw FROM samples ORDER BY key, idx").fetchall()


def results(folder: Path) -> dict[tuple[str, str], Any]:
    """What the records say of answers and tokens."""
    found = latest(read_records(folder / "records.jsonl"))
    return {r.key: (r.error, r.answer and r.answer.value, r.usage.total.tokens, len(r.attempts)) for r in found}


def test_a_bank_replays_without_a_draw(old: Path, tmp_path: Path) -> None:
    before = draws(old / "run/bank.sqlite")
    bench(old, "stochastic:0.6", "run/bank.sqlite", STRATEGIES, tmp_path / "new", "--samples", "4")
    assert draws(old / "run/bank.sqlite") == before and len(before) > 12
    assert results(tmp_path / "new") == results(old / "run")


def test_a_run_goes_on_where_it_was(old: Path, tmp_path: Path) -> None:
    records = old / "run/records.jsonl"
    before = records.read_bytes()
    bench(old, "stochastic:0.6", "run/bank.sqlite", STRATEGIES, old / "run", "--samples", "4")
    assert records.read_bytes() == before
    records.write_bytes(b"".join(before.splitlines(keepends=True)[:7]))  # as if it had been killed there
    bench(old, "stochastic:0.6", "run/bank.sqlite", STRATEGIES, old / "run", "--samples", "4")
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "records.jsonl").write_bytes(before)
    assert results(old / "run") == results(whole)
    assert run(["report", str(old / "run")]) == 0


@pytest.mark.parametrize(
    ("bank", "strategies", "more"),
    [
        ("logprobs.sqlite", STRATEGIES, ("--samples", "4")),
        ("no-logprobs.sqlite", STRATEGIES, ("--samples", "4")),
        ("no-logprobs-live.sqlite", LIVE, ()),
    ],
)
def test_the_bank_of_a_server_replays(
    old: Path, tmp_path: Path, bank: str, strategies: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """A replayed model has nothing else than the bank: what is not found there fails, and the record says so."""
    before = draws(old / bank)
    bench(old, f"replay:{_STUB}", bank, strategies, tmp_path / "new", *more)
    records = latest(read_records(tmp_path / "new/records.jsonl"))
    assert len(records) == 3 * (len(strategies) + bool(more))
    assert [(r.strategy, r.error, r.failures) for r in records if r.error or r.failures] == []
    assert draws(old / bank) == before


def test_a_calibrated_policy_is_used(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # its samples were in a bank of its own
    policy = old / "policy/policy.json"
    args = ["bench", "--data", str(old / "problems.jsonl"), "--model", "stochastic:0.6", "--out", str(tmp_path / "new")]
    assert run([*args, "--strategy", f"auto(policy='{policy}')"]) == 0
    assert all(r.answer is not None and not r.error for r in read_records(tmp_path / "new/records.jsonl"))


def test_a_file_of_keys_opens(old: Path) -> None:
    with KeyStore(old / "keys.sqlite", create=False) as keys:
        found = keys.find(_SECRET)
        assert found is not None and (found.name, found.tokens, found.scopes) == ("alice", 1000, ("chat",))
        told = {k.name: (k.per_minute, k.scopes, k.revoked is not None) for k in keys.list()}
        assert told == {
            "alice": (None, ("chat",), False),
            "grafana": (60, ("read",), False),
            "gone": (None, ("chat",), True),
        }


def test_records_of_requests_open(old: Path) -> None:
    with Records(old / "requests.sqlite") as records:
        newest = records.list(limit=10)
        assert [r.strategy for r in newest] == ["best_of_n(n=2)", "direct", "self_consistency(n=3)"]
        whole = records.get(newest[-1].id)
        assert whole is not None and whole.user == "ann" and whole.question == "What is 17 + 25?"
        assert len(whole.attempts) == whole.calls == 3 and all(a.text for a in whole.attempts)
        assert records.totals().tokens == sum(r.prompt_tokens + r.completion_tokens for r in newest) > 0
        assert msgspec.json.encode(whole)
