"""Runs graded with a second look: marked in the records, paid for apart, counted by the report, equal when resumed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from nlrl.bank import Bank
from nlrl.cli.app import run
from nlrl.core import Problem, Request, TaskType, UserError
from nlrl.evaluation import PANEL, Record, RunConfig, latest, read_records, run_benchmark
from nlrl.evaluation.report import report
from nlrl.testing.scripted import ScriptedModel
from nlrl.verifiers import SecondLook

PROBLEMS = [
    Problem("Who was the man behind The Chipmunks?", reference="David Seville", task_type=TaskType.COMMONSENSE),
    Problem("Who wrote Frankenstein?", reference="Mary Shelley", task_type=TaskType.COMMONSENSE),
]
CONFIG = RunConfig(strategies=("direct", "self_consistency(n=3)"), samples=4, second_look="looker")


def _solver() -> ScriptedModel:
    """Right by rules, right by a second look, wrong, wrong."""

    def draw(request: Request, index: int) -> str:
        if "Chipmunks" in request.messages[-1].content:
            return f"Final Answer: {('Ross Bagdasarian', 'David Seville', 'Jack Bell', 'Jack Bell')[index % 4]}"
        return f"Final Answer: {('Mary Shelley', 'Bram Stoker')[index % 2]}"

    return ScriptedModel(draw, name="solver")


def _looker() -> ScriptedModel:
    def reply(request: Request, _: int) -> str:
        prompt = request.messages[-1].content
        return f"Verdict: {'yes' if 'Ross Bagdasarian' in prompt and 'David Seville' in prompt else 'no'}"

    return ScriptedModel(reply, name="looker")


def _run(path: Path, looker: ScriptedModel, config: RunConfig = CONFIG) -> dict[tuple[str, str], Record]:
    async def go() -> None:
        with Bank(path / "bank.db") as bank:
            await run_benchmark(
                config, _solver(), PROBLEMS, bank=bank, out_dir=path / "run", grader=SecondLook(looker),
                handle_signals=False,
            )  # fmt: skip

    asyncio.run(go())
    return {r.key: r for r in latest(read_records(path / "run" / "records.jsonl"))}


def test_its_yes_is_marked_and_paid_for_apart_from_the_strategy(tmp_path: Path) -> None:
    records = _run(tmp_path, _looker())
    panel = records[PROBLEMS[0].id, PANEL]
    assert [(a.verdict, a.by) for a in panel.attempts] == [
        ("right", "second look"), ("right", ""), ("wrong", ""), ("wrong", ""),
    ]  # fmt: skip
    assert panel.attempts[0].reason.startswith("second look: looker says")
    assert panel.grading and panel.grading.calls == 4  # three questions for the yes, one for the no
    assert panel.grading.tokens > 400
    assert "verify" not in panel.usage.phases or panel.usage.phases["verify"].calls == 0
    direct = records[PROBLEMS[0].id, "direct"]
    assert direct.answer is not None and (direct.answer.verdict, direct.answer.by) == ("right", "second look")
    assert direct.grading and direct.grading.calls == 3 and direct.usage.total.calls == 1


def test_a_resumed_run_has_the_same_records_and_asks_nothing_again(tmp_path: Path) -> None:
    straight = _run(tmp_path / "a", _looker())
    _run(tmp_path / "b", _looker())
    path = tmp_path / "b" / "run" / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    silent = ScriptedModel([], name="looker")
    resumed = _run(tmp_path / "b", silent)
    assert not silent.requests
    for key, record in straight.items():
        again = resumed[key]
        assert record.grading and again.grading
        assert (record.grading.calls, record.grading.tokens) == (again.grading.calls, again.grading.tokens)
        assert [(a.verdict, a.by) for a in record.attempts] == [(a.verdict, a.by) for a in again.attempts]


def test_the_report_counts_it_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(tmp_path, _looker())
    summary, _ = report(tmp_path / "run", ("terminal", "html"))
    whole = summary.domains[0]
    direct, vote = whole.strategies
    assert (direct.accuracy.mean, direct.second) == (1.0, 0.5) and vote.name.startswith("self_consistency")
    assert whole.panel is not None and whole.panel.second == 1 / 8 and whole.panel.grading_tokens > 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2nd look" in shown and "by the word of looker alone" in shown and "12.5 % of the samples" in shown
    assert "by the word of looker alone" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    written = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert written["domains"][0]["strategies"][0]["second"] == 0.5


def test_without_it_nothing_is_said_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def go() -> None:
        with Bank(tmp_path / "bank.db") as bank:
            config = RunConfig(strategies=("direct",))
            await run_benchmark(config, _solver(), PROBLEMS, bank=bank, out_dir=tmp_path / "r", handle_signals=False)

    asyncio.run(go())
    report(tmp_path / "r", ("terminal",))
    assert "2nd look" not in capsys.readouterr().out
    text = (tmp_path / "r" / "records.jsonl").read_text(encoding="utf-8")
    assert '"by"' not in text and '"grading"' not in text


def test_another_second_look_is_another_run(tmp_path: Path) -> None:
    _run(tmp_path, _looker())
    with pytest.raises(UserError, match="second_look"):
        _run(tmp_path, _looker(), RunConfig(strategies=CONFIG.strategies, samples=4))


def test_the_command_line_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"question": PROBLEMS[0].question, "answer": PROBLEMS[0].reference, "task_type": "commonsense"}
    Path("q.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    models = {"solver": _solver(), "looker": _looker()}
    monkeypatch.setattr("nlrl.cli.openers.open_model", lambda spec, *_: models[spec])
    command = ["bench", "--data", "q.jsonl", "--model", "solver", "--strategy", "direct", "--out", "run"]
    assert run([*command, "--second-look", "looker"]) == 0
    assert "by the word of looker alone" in " ".join(capsys.readouterr().out.split())
    (record,) = read_records(tmp_path / "run" / "records.jsonl")
    assert record.answer is not None and record.answer.by == "second look"
    assert len(models["looker"].requests) == 3
