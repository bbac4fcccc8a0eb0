"""One draw, one key: what an old version kept under another is found, and nothing else is taken for it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nlrl.bank import Bank, Draw, sample_key
from nlrl.bank.samples import Cancelled
from nlrl.core import Completion, Finish, Problem, Sampling, TaskType, TokenLogprob, user
from nlrl.evaluation import RunConfig, latest, read_records, run_benchmark
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.testing.stub_server import Manners, StubServer

_WITH = Sampling(temperature=0.8, max_tokens=64, stop=("\n\n",), logprobs=5)
_WITHOUT = replace(_WITH, logprobs=None)


def draw(text: str, *, scored: bool = False) -> Draw:
    logprobs = (TokenLogprob("so", -0.1),) if scored else ()
    return Draw(Completion(text, Finish.STOP, 5, prompt_tokens=9, logprobs=logprobs))


def key(question: str, sampling: Sampling, model: str = "m") -> str:
    return sample_key(model, (user(question),), "", sampling)


def put(bank: Bank, question: str, sampling: Sampling, draws: Mapping[int, Draw], model: str = "m") -> None:
    asked = {"messages": [["user", question]], "prefill": "", "sampling": sampling}
    asyncio.run(bank.put(key(question, sampling, model), draws, model=model, request=asked))


def texts(bank: Bank, question: str, sampling: Sampling = _WITH, model: str = "m") -> dict[int, str]:
    found = asyncio.run(bank.get(key(question, sampling, model), range(8)))
    assert found == asyncio.run(bank.get_all(key(question, sampling, model)))
    return {index: held.completion.text for index, held in found.items()}


def age(path: Path) -> None:
    """Make a bank look as version 0.1 left it."""
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE former; DROP TABLE claims; PRAGMA user_version = 0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.sqlite"


def test_where_the_model_ignored_the_question_one_panel_is_found_again_under_one_key(path: Path) -> None:
    with Bank(path) as bank:
        put(bank, "first", _WITH, {0: draw("a"), 5: draw("b")})
        put(bank, "first", _WITHOUT, {0: draw("c"), 1: draw("d")})
        put(bank, "second", _WITHOUT, {0: draw("e"), 1: draw("f")})
        asyncio.run(bank.put_cancelled(key("second", _WITHOUT), {2: Cancelled(7)}))
        asyncio.run(bank.put("panel", {0: draw("x")}, model="m"))  # imported: nobody knows what was asked
    age(path)
    for _ in range(2):  # looked through once, and the same ever after
        with Bank(path) as bank:
            assert texts(bank, "first") == {0: "c", 1: "d", 5: "b"}
            assert texts(bank, "second") == {0: "e", 1: "f"}
            assert asyncio.run(bank.get_cancelled(key("second", _WITH), [1, 2])) == {2: Cancelled(7)}
            assert texts(bank, "first", _WITHOUT) == {0: "c", 1: "d"}
    time.sleep(0.01)
    with Bank(path) as bank:  # whoever asks without log-probabilities from now on means something else
        put(bank, "second", _WITHOUT, {3: draw("later")})
        assert texts(bank, "second") == {0: "e", 1: "f"}
        put(bank, "second", _WITH, {3: draw("now")})
        assert texts(bank, "second") == {0: "e", 1: "f", 3: "now"}


def test_where_the_model_gave_them_a_draw_without_is_no_substitute(path: Path) -> None:
    with Bank(path) as bank:
        put(bank, "first", _WITH, {0: draw("", scored=False)})  # an empty text shows nothing
        put(bank, "second", _WITH, {0: draw("a", scored=True)})
        put(bank, "second", _WITHOUT, {1: draw("b")})
        put(bank, "second", _WITHOUT, {1: draw("c")}, model="never asked")
    age(path)
    with Bank(path) as bank:
        assert texts(bank, "second") == {0: "a"}
        assert texts(bank, "second", model="never asked") == {}


def test_a_new_bank_is_not_looked_through(path: Path) -> None:
    with Bank(path) as bank:
        put(bank, "first", _WITH, {0: draw("a")})
        put(bank, "first", _WITHOUT, {1: draw("b")})
    with Bank(path) as bank:
        assert texts(bank, "first") == {0: "a"}


class Forgetful(StubServer):
    """Ignores `logprobs`."""

    async def _completion(self, answer: Any, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        await super()._completion(answer, headers, {k: v for k, v in body.items() if "logprobs" not in k})


@pytest.mark.parametrize("samples", [4, None])
def test_at_a_server_that_ignores_logprobs_all_strategies_share_their_samples(
    path: Path, tmp_path: Path, samples: int | None
) -> None:
    problems = [Problem(f"What is {i} + 1?", reference=str(i + 1), task_type=TaskType.MATH) for i in range(6)]
    config = RunConfig(strategies=("best_of_n(n=4)", "direct", "self_consistency(n=4)"), samples=samples, concurrency=2)

    async def scene(out: str) -> int:
        before = server.requests
        model = OpenAIModel("stub", base_url=server.base_url)
        with Bank(path) as bank:
            await run_benchmark(config, model, problems, bank=bank, out_dir=tmp_path / out)
        await model.aclose()
        return server.requests - before

    count = 0

    def reply(body: Mapping[str, Any], choice: int) -> list[str]:
        nonlocal count
        count += 1  # no two answers are alike
        return [" so", " it", " is", "\n", "Final", " Answer", ":", f" {count}", "\n"]

    with Forgetful(Manners(reply=reply)) as server:
        assert asyncio.run(scene("first")) > 0
        assert count == 4 * len(problems)
        assert not asyncio.run(scene("again"))
        _openai_server._known.clear()  # a new process believes again that they are given
        assert not asyncio.run(scene("and again"))
    records = latest(read_records(tmp_path / "first" / "records.jsonl"))
    assert len(records) == len(problems) * (4 if samples else 3)
    for problem in problems:
        drawn = {r.strategy: [a.text for a in r.attempts] for r in records if r.problem.id == problem.id}
        panel = drawn["best_of_n(n=4)"]
        assert len(set(panel)) == 4
        assert all(found == panel[: len(found)] for found in drawn.values())
