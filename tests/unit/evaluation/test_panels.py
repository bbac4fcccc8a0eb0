"""Panels: in, out, replayed; and every kind of line that cannot be used."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.bank import Bank, ReplayModel, panel_key
from nlrl.compute import Compute
from nlrl.core import CodeTests, Problem, TaskType, UserError, user
from nlrl.evaluation import RunConfig, export_panels, import_panels, run_benchmark
from nlrl.strategies import solve
from nlrl.testing.scripted import StochasticModel

_ROW = {
    "problem_id": "q1",
    "question": "How many?",
    "reference": "70",
    "samples": [
        {
            "answer": "70",
            "tokens": 16391,
            "text": None,
            "logprob": None,
            "probes": [{"tokens": 500, "answer": "12"}, {"tokens": 1000, "answer": "70"}],
        },
        {"answer": None, "tokens": 200, "text": None, "logprob": -0.5},
        {"tokens": 30, "text": "So it is.\nFinal Answer: 71"},
    ],
}


def _file(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _import(path: Path, bank: Bank, name: str = "p"):
    return asyncio.run(import_panels(path, bank, name))


def test_the_documented_example(tmp_path):
    with Bank() as bank:
        found = _import(_file(tmp_path / "panel.jsonl", _ROW), bank)
        assert (found.problems, found.samples, found.errors) == (1, 3, ())
        (problem,) = bank.problems("p")
        assert (problem.id, problem.question, problem.reference) == ("q1", "How many?", "70")
        draws = asyncio.run(bank.get(panel_key("panel:p", problem), range(9)))
        assert draws[0].answer == "70"
        assert draws[0].probes == ((500, "12"), (1000, "70"))
        assert draws[0].completion.completion_tokens == 16391
        assert draws[0].completion.text == ""
        assert draws[1].completion.logprobs is not None
        assert bank.models() == {"panel:p": 3}


def test_recorded_answers_are_used_and_texts_are_read(tmp_path):
    async def attempts():
        with Bank() as bank:
            await import_panels(_file(tmp_path / "panel.jsonl", _ROW), bank, "p")
            compute = Compute(ReplayModel("panel:p", is_panel=True), bank=bank)
            return await compute.sample(bank.problems("p")[0], 3)

    assert [a.answer for a in asyncio.run(attempts())] == ["70", None, "71"]


def test_numbers_and_booleans_become_text(tmp_path):
    row = {"problem_id": 7, "question": "?", "reference": 2.5, "samples": [{"answer": 3, "tokens": 1}]}
    with Bank() as bank:
        _import(_file(tmp_path / "panel.jsonl", row), bank)
        (problem,) = bank.problems("p")
        assert (problem.id, problem.reference) == ("7", "2.5")
        assert asyncio.run(bank.get(panel_key("panel:p", problem), [0]))[0].answer == "3"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"not json", "malformed"),
        (b"[1, 2]", "Expected `object`"),
        (b"{}", "missing required field `question`"),
        (b'{"question": "x", "samples": []}', "no samples"),
        (b'{"question": "  ", "samples": [{"tokens": 1}]}', "question is empty"),
        (b'{"question": "x", "samples": [{"tokens": -1}]}', r"samples\[0\]\.tokens"),
        (b'{"question": "x", "samples": [{"tokens": "many"}]}', r"samples\[0\]\.tokens"),
        (b'{"question": "x", "samples": [{"answer": "1"}]}', "tokens"),
        (b'{"question": "x", "samples": [{"tokens": 1, "probes": [{"tokens": 1.5}]}]}', "probes"),
        (b'{"question": "\xff", "samples": [{"tokens": 1}]}', "utf-8"),
        (b'{"question": "x", "task_type": "cooking", "samples": [{"tokens": 1}]}', "cooking"),
        (json.dumps(_ROW | {"question": "again"}).encode(), "already on line 1"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path, line, said):
    file = _file(tmp_path / "panel.jsonl", _ROW, line, _ROW | {"problem_id": "q2"})
    with Bank() as bank:
        found = _import(file, bank)
        assert (found.problems, found.samples) == (2, 6)
        (error,) = found.errors
        assert str(error).startswith(f"{file}:2: ")
        with pytest.raises(type(error), match=said):
            raise error


def test_nothing_usable(tmp_path):
    with Bank() as bank:
        with pytest.raises(UserError, match="cannot be read"):
            _import(tmp_path / "nothing.jsonl", bank)
        with pytest.raises(UserError, match="1 of 1 lines cannot be used"):
            _import(_file(tmp_path / "bad.jsonl", b"?"), bank)
        with pytest.raises(UserError, match="empty"):
            _import(_file(tmp_path / "empty.jsonl", b""), bank)
        with pytest.raises(UserError, match="needs a name"):
            _import(_file(tmp_path / "panel.jsonl", _ROW), bank, " ")
        assert bank.count() == 0


def test_importing_twice_changes_nothing_and_other_samples_are_refused(tmp_path):
    file = _file(tmp_path / "panel.jsonl", _ROW)
    with Bank() as bank:
        _import(file, bank)
        assert _import(file, bank).errors == ()
        assert bank.count() == 3
        other = {**_ROW, "samples": [{"tokens": 5, "answer": "1"}]}
        with pytest.raises(UserError, match="already holds other samples"):
            _import(_file(tmp_path / "other.jsonl", other), bank)
        assert _import(tmp_path / "other.jsonl", bank, "q").samples == 1
        assert bank.panels() == {"p": 1, "q": 1}


_answers = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
_probe = st.fixed_dictionaries({"tokens": st.integers(0, 10**9), "answer": _answers})
_sample = st.fixed_dictionaries(
    {
        "tokens": st.integers(0, 10**9),
        "answer": _answers,
        "text": st.one_of(st.none(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)),
        "logprob": st.one_of(st.none(), st.floats(-50, 0)),
        "probes": st.lists(_probe, max_size=2),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_sample, min_size=1, max_size=4))
def test_what_goes_in_comes_out(tmp_path_factory, samples):
    path = tmp_path_factory.mktemp("panel")
    with Bank() as bank:
        _import(_file(path / "in.jsonl", _ROW | {"samples": samples}), bank)
        assert asyncio.run(export_panels(bank, "panel:p", path / "out.jsonl")) == (1, len(samples))
    (row,) = [json.loads(line) for line in (path / "out.jsonl").read_bytes().splitlines()]
    empty = {"answer": None, "text": None, "logprob": None, "probes": []}
    for given_, found in zip(samples, row["samples"], strict=True):
        assert {**empty, **found} == {**empty, **given_}


def test_everything_about_a_problem_survives(tmp_path):
    tests = {"checks": ["assert f(1) == 2"], "public": [], "entry_point": "f", "setup": "import math"}
    row = _ROW | {
        "task_type": "coding",
        "choices": ["a", "b"],
        "context": "c",
        "tests": tests,
        "aliases": ["seventy"],
        "constraints": [{"kind": "words", "most": 3}],
        "source": "s",
        "prompt_tokens": 12,
    }
    with Bank() as bank:
        _import(_file(tmp_path / "in.jsonl", row), bank)
        (problem,) = bank.problems("p")
        assert problem.task_type is TaskType.CODING
        assert problem.tests == CodeTests(("assert f(1) == 2",), entry_point="f", setup="import math")
        asyncio.run(export_panels(bank, "panel:p", tmp_path / "out.jsonl"))
        again = _import(tmp_path / "out.jsonl", bank, "q")
        assert again.errors == ()
        assert bank.problems("q") == [problem]


def _run(path: Path, bank: Bank, **settings_):
    problems = [Problem(f"Sum {i} of {i} and one?", reference=str(i + 1), task_type=TaskType.MATH) for i in range(4)]
    model = StochasticModel(problems, 0.7, tokens=15, name="m")
    config = RunConfig(**settings_)
    run = run_benchmark(config, model, problems, bank=bank, out_dir=path, prompt=lambda p: (user(p.question),))
    asyncio.run(run)
    return problems


@pytest.mark.parametrize("samples", [6, None])
def test_a_run_is_exported_and_replays_to_the_same_answers(tmp_path, samples):
    with Bank() as bank:
        strategies = ("direct", "self_consistency(n=6)")
        problems = _run(tmp_path / "run", bank, strategies=strategies, samples=samples)
        assert asyncio.run(export_panels(bank, tmp_path / "run", tmp_path / "out.jsonl")) == (4, 24)
        _import(tmp_path / "out.jsonl", bank, "copy")

        async def replay(problem):
            compute = Compute(ReplayModel("panel:copy", is_panel=True), bank=bank)
            return await solve("self_consistency(n=6)", problem, compute)

        from nlrl.evaluation import latest, read_records

        records = {r.key: r for r in latest(read_records(tmp_path / "run" / "records.jsonl"))}
        for problem in problems:
            record = records[problem.id, "self_consistency(n=6)"]
            answer = asyncio.run(replay(next(p for p in bank.problems("copy") if p.id == problem.id)))
            assert record.answer is not None
            assert answer.value == record.answer.value
            assert answer.usage.total.completion_tokens == record.usage.total.completion_tokens
            assert answer.usage.total.prompt_tokens == record.usage.total.prompt_tokens


def test_a_models_draws_are_exported_for_the_problems_given(tmp_path):
    with Bank() as bank:
        problems = _run(tmp_path / "run", bank, strategies=("direct",), samples=3)
        counts = asyncio.run(export_panels(bank, "m", tmp_path / "out.jsonl", problems=problems[:2]))
        assert counts == (2, 6)
        with pytest.raises(UserError, match=r"Nothing to export for 'm'.*In the bank: m"):
            asyncio.run(export_panels(bank, "m", tmp_path / "out.jsonl"))
        with pytest.raises(UserError, match="cannot be written"):
            asyncio.run(export_panels(bank, "m", tmp_path / "no" / "out.jsonl", problems=problems))


def test_mean_confidence_survives_the_way_out_and_in(tmp_path):
    row = _ROW | {"samples": [{"tokens": 4, "answer": "1", "logprob": math.log(0.5)}]}
    with Bank() as bank:
        _import(_file(tmp_path / "in.jsonl", row), bank)

        async def score():
            from nlrl.verifiers.registry import get_verifier

            compute = Compute(ReplayModel("panel:p", is_panel=True), bank=bank, verifier=get_verifier("mean_logprob"))
            problem = bank.problems("p")[0]
            return await compute.score(problem, await compute.sample(problem, 1))

        (scored,) = asyncio.run(score())
        assert scored.score is not None
        assert scored.score.value == pytest.approx(0.5)
