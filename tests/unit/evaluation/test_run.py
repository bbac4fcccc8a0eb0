"""Runs on models without weights: sharing, resuming, failing in part, stopping."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import types
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from nlrl.bank import Bank
from nlrl.core import (
    BankError,
    Budget,
    Completion,
    Delta,
    Finish,
    ModelRefused,
    Problem,
    Request,
    Sampling,
    TaskType,
    UserError,
    user,
)
from nlrl.evaluation import PANEL, Progress, Record, Run, RunConfig, latest, read_records, run_benchmark
from nlrl.strategies import registry
from nlrl.testing.scripted import StochasticModel

_PROBLEMS = [
    Problem(f"Box {i} holds {i} red and {2 * i} blue marbles. How many?", reference=str(3 * i), task_type=TaskType.MATH)
    for i in range(6)
]
_STRATEGIES = ("direct", "adaptive_consistency(n=8, wave=4)", "best_of_n(n=6, select=best)")


class CountingModel(StochasticModel):
    """Notes every draw it delivers, and fails on demand."""

    def __init__(self, problems=_PROBLEMS, fail: Callable[[Request], str | Exception | None] = lambda _: None, **how):
        super().__init__(problems, 0.6, tokens=20, seed=1, **how)
        self.drawn: list[tuple[str, int]] = []
        self.fail = fail

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        failure = self.fail(request)
        if isinstance(failure, Exception):
            raise failure
        if failure:
            for i in range(request.n):
                yield Delta(i, completion=Completion("", Finish.ERROR, 0, error=failure))
            return
        async with aclosing(super().stream(request)) as deltas:
            async for delta in deltas:
                if delta.completion is not None:
                    self.drawn.append((request.messages[-1].content, request.first_index + delta.index))
                yield delta


def _config(**changes) -> RunConfig:
    settings = {"strategies": _STRATEGIES, "samples": 8, "sampling": Sampling(max_tokens=60), "concurrency": 3}
    return RunConfig(**(settings | changes))


def _run(path: Path, config: RunConfig | None = None, model=None, problems=_PROBLEMS, bank=None, **how) -> Run:
    def prompt(problem: Problem):
        return (user(f"{problem.question}\nEnd with: Final Answer: <number>"),)

    async def go() -> Run:
        work = {"out_dir": path / "run", "prompt": prompt} | how
        if bank is not None:
            return await run_benchmark(config or _config(), model or CountingModel(), problems, bank=bank, **work)
        with Bank(path / "bank.db") as fresh:
            return await run_benchmark(config or _config(), model or CountingModel(), problems, bank=fresh, **work)

    return asyncio.run(go())


def _records(path: Path) -> dict[tuple[int, str], Record]:
    return {(r.row, r.strategy): r for r in latest(read_records(path / "run" / "records.jsonl"))}


def _content(path: Path) -> dict[tuple[int, str], str]:
    """The records without clocks."""

    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "time", "gists")}
        return [timeless(v) for v in value] if isinstance(value, list | tuple) else value

    return {key: msgspec.json.encode(timeless(msgspec.to_builtins(r))).decode() for key, r in _records(path).items()}


def test_every_strategy_on_every_problem_from_the_same_draws(tmp_path):
    model = CountingModel()
    run = _run(tmp_path, model=model)
    records = _records(tmp_path)
    assert set(records) == {(row, s) for row in range(6) for s in (PANEL, *_STRATEGIES)}
    assert (run.progress.done, run.progress.total, run.interrupted) == (24, 24, False)
    assert len(model.drawn) == 6 * 8  # the panel, and nothing more
    for row in range(6):
        panel = [a.text for a in records[row, PANEL].attempts]
        for s in _STRATEGIES:
            texts = [a.text for a in records[row, s].attempts]
            assert texts == panel[: len(texts)]


def test_a_record_says_all_there_is_to_say(tmp_path):
    _run(tmp_path, _config(budget=Budget(tokens=5000), seed=7))
    record = _records(tmp_path)[0, "best_of_n(n=6, select=best)"]
    assert record.problem.question == _PROBLEMS[0].question
    assert record.messages[0][1].startswith(_PROBLEMS[0].question)
    assert record.budget == {"tokens": 5000}
    assert record.sampling["seed"] != 7  # every problem has seeds of its own, made from the run's
    assert [a.id for a in record.attempts] == [f"s{i}" for i in range(6)]
    for a in record.attempts:
        assert a.verdict in ("right", "wrong", "unparsed")
        assert a.score is not None
        assert a.tokens > 0
        assert "".join(piece for piece, *_ in a.pieces()) in ("", a.text)
    assert record.answer is not None
    assert record.answer.chosen in [a.id for a in record.attempts]
    assert record.usage.total.calls == 6
    assert record.usage.total.tokens == record.usage.phases["sample"].tokens > 0
    assert len(record.classes) == 6
    assert b'"v":1' in (tmp_path / "run" / "records.jsonl").read_bytes()


def test_running_again_does_nothing(tmp_path):
    first = CountingModel()
    _run(tmp_path, model=first)
    before = (tmp_path / "run" / "records.jsonl").read_bytes()
    again = CountingModel()
    run = _run(tmp_path, model=again)
    assert again.drawn == []
    assert (run.progress.resumed, run.progress.done) == (24, 24)
    assert (tmp_path / "run" / "records.jsonl").read_bytes() == before
    assert run.progress.standing == _run(tmp_path).progress.standing


def test_a_lost_record_is_made_again_from_the_bank_for_nothing(tmp_path):
    _run(tmp_path)
    expected = _content(tmp_path)
    file = tmp_path / "run" / "records.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:7]) + lines[7][:50])
    model = CountingModel()
    run = _run(tmp_path, model=model)
    assert model.drawn == []
    assert run.torn_bytes == 50
    assert run.progress.paid.tokens == 0
    assert _content(tmp_path) == expected


def test_concurrency_does_not_change_results(tmp_path):
    for n in (1, 6):
        _run(tmp_path / str(n), _config(concurrency=n))
    assert _content(tmp_path / "1") == _content(tmp_path / "6")


async def _broken(problem, compute):
    if problem.question.startswith("Box 2 "):
        raise ValueError("a bug in the strategy")
    return compute.answer((await compute.sample(problem, 1))[0])


@pytest.fixture
def broken(monkeypatch) -> str:
    module = types.ModuleType("strategies_of_a_user")
    module.broken = _broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "strategies_of_a_user", module)
    monkeypatch.setitem(registry._PLACES, "broken", "strategies_of_a_user:broken")
    return "broken"


def test_one_failing_strategy_is_a_record_and_is_tried_again(tmp_path, broken):
    config = _config(strategies=("direct", broken))
    run = _run(tmp_path, config)
    assert run.progress.done == 18
    failed = [r for r in _records(tmp_path).values() if r.error]
    assert [(r.row, r.strategy) for r in failed] == [(2, broken)]
    assert failed[0].error is not None
    assert failed[0].error.kind == "ValueError"
    assert "test_run.py:" in failed[0].error.where
    assert run.progress.standing[broken].failed == 1
    again = _run(tmp_path, config)
    assert again.progress.resumed == 17


@pytest.mark.parametrize("failure", [ModelRefused("401: no key"), "ModelUnavailable: 503 after 5 tries"])
def test_a_model_that_fails_on_one_problem(tmp_path, failure):
    def fail(request: Request):
        return failure if "Box 3 " in request.messages[-1].content else None

    _run(tmp_path, model=CountingModel(fail=fail))
    records = _records(tmp_path)
    failed = {row for (row, _), r in records.items() if r.error}
    assert failed == {3}
    error = records[3, "direct"].error
    assert error is not None
    assert error.kind in ("ModelRefused", "ModelUnavailable")
    _run(tmp_path)  # the model is back
    assert not any(r.error for r in _records(tmp_path).values())


def test_some_failed_draws_are_counted_by_name(tmp_path):
    def fail(request: Request):
        return "Cut: the stream broke" if request.first_index == 0 and request.n == 1 else None

    _run(tmp_path, _config(strategies=("direct", "self_consistency(n=3)"), samples=None), CountingModel(fail=fail))
    records = _records(tmp_path)
    assert records[0, "direct"].failures == {"Cut": 1}
    assert records[0, "direct"].error is not None
    assert records[0, "self_consistency(n=3)"].error is None


def test_a_full_disk_under_the_bank_ends_the_run_cleanly(tmp_path):
    expected = _run(tmp_path / "straight") and _content(tmp_path / "straight")
    with Bank(tmp_path / "bank.db") as bank:
        # SQLite's own limit gives the very error of a full disk
        pages = bank._now("PRAGMA page_count")[0][0]
        bank._now(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(BankError, match="full"):
            _run(tmp_path, bank=bank)
    records = _records(tmp_path)
    assert len(records) < 24
    assert not any(r.error for r in records.values())
    _run(tmp_path)
    assert _content(tmp_path) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_the_run_goes_on(tmp_path, number):
    expected = _run(tmp_path / "straight") and _content(tmp_path / "straight")
    before = signal.getsignal(number)

    def stop(event: Progress) -> None:
        if event.record and event.done == 5:
            os.kill(os.getpid(), number)

    run = _run(tmp_path, model=CountingModel(token_seconds=0.002), on_event=stop)
    assert run.interrupted
    assert 5 <= run.progress.done < 24
    assert signal.getsignal(number) is before
    assert not _run(tmp_path).interrupted
    assert _content(tmp_path) == expected


def test_being_cancelled_is_passed_on_and_frees_the_directory(tmp_path):
    async def go() -> None:
        with Bank() as bank:
            model = CountingModel(token_seconds=0.01)
            task = asyncio.create_task(run_benchmark(_config(), model, _PROBLEMS, bank=bank, out_dir=tmp_path / "run"))
            await asyncio.sleep(0.1)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(go())
    assert _run(tmp_path).progress.done == 24


def test_other_settings_are_refused(tmp_path):
    _run(tmp_path)
    with pytest.raises(UserError, match="samples was 8 and is now 4"):
        _run(tmp_path, _config(samples=4))


def test_no_problems_and_equal_problems(tmp_path):
    with pytest.raises(UserError, match="no problems"):
        _run(tmp_path, problems=[])
    run = _run(tmp_path, _config(strategies=("direct",), samples=None), problems=[*_PROBLEMS, *_PROBLEMS[:2]])
    assert (run.duplicates, run.progress.total) == (2, 6)


def test_without_a_reference_nothing_is_right_or_wrong(tmp_path):
    problems = [Problem("Tell me about box 1, please.", task_type=TaskType.COMMONSENSE)]
    run = _run(tmp_path, problems=problems, model=CountingModel(problems))
    assert {a.verdict for a in _records(tmp_path)[0, PANEL].attempts} == {"abstain"}
    assert run.progress.standing["direct"].accuracy is None


def test_a_budget_too_small_is_an_answer_that_says_so(tmp_path):
    _run(tmp_path, _config(budget=Budget(tokens=0), samples=None, strategies=("direct",)))
    record = _records(tmp_path)[0, "direct"]
    assert record.error is None
    assert record.answer is not None
    assert (record.answer.stopped, record.answer.verdict, record.attempts) == ("tokens", "unparsed", ())


def test_a_budget_that_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(UserError, match="FLOPs"):
        _run(tmp_path, _config(budget=Budget(flops=1e9)))


def test_progress_counts_up(tmp_path):
    seen: list[tuple[int, int]] = []
    _run(tmp_path, on_event=lambda p: seen.append((p.done, p.tokens)))
    assert [done for done, _ in seen] == [0, *range(1, 25), 24]
    assert all(b >= a for (_, a), (_, b) in itertools.pairwise(seen))


def test_hostile_questions_do_not_stop_a_run(tmp_path):
    questions = ["half a pair \ud83d here and more", "nul \x00 and {braces} %s", "x" * 100_000, "</script>[bold]"]
    problems = [Problem(q, reference="1", task_type=TaskType.MATH) for q in questions]
    run = _run(tmp_path, problems=problems, model=CountingModel(problems))
    assert run.progress.done == 16
    assert len(_records(tmp_path)) == 16
