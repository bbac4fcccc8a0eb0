"""At a deadline nothing that had ended is lost, wherever in the order it stands."""

from __future__ import annotations

import asyncio
import time

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Budget, Problem, Request, Sampling, Stopped, TaskType
from nlrl.strategies import solve
from nlrl.testing.scripted import Reply, ScriptedModel

LONG = Sampling(max_tokens=9_000)  # what never ends takes ten seconds
PROBLEM = Problem("What is 17 + 25?", reference="42", task_type=TaskType.MATH)


def never_ends_at(*places: int) -> ScriptedModel:
    def reply(request: Request, index: int) -> Reply:
        return Reply("word " * 10_000 if index in places else "Final Answer: 42")

    return ScriptedModel(reply, token_seconds=0.001)


def test_a_draw_that_hangs_does_not_hide_those_behind_it() -> None:
    for places in ((0,), (7,), (0, 1, 6)):
        compute = Compute(never_ends_at(*places), budget=Budget(seconds=0.8), sampling=LONG)
        began = time.monotonic()
        answer = asyncio.run(solve("self_consistency(n=8)", PROBLEM, compute))
        assert time.monotonic() - began < 3
        assert answer.value == "42" and answer.stopped is Stopped.SECONDS
        assert [c.id for c in answer.candidates] == [f"s{i}" for i in range(8) if i not in places]


def test_what_ended_in_time_is_charged_once_and_banked() -> None:
    async def job() -> tuple[int, int, int]:
        with Bank() as bank:
            first = Compute(never_ends_at(2), budget=Budget(seconds=0.8), sampling=LONG, bank=bank)
            await solve("self_consistency(n=4)", PROBLEM, first)
            again = never_ends_at()
            second = Compute(again, sampling=LONG, bank=bank)
            answer = await solve("self_consistency(n=4)", PROBLEM, second)
            asked = sum(request.n for request in again.requests)
            return len(first.candidates), len(answer.candidates), asked

    assert asyncio.run(job()) == (3, 4, 1)


def test_when_all_hang_there_is_no_answer_but_an_end() -> None:
    compute = Compute(never_ends_at(*range(4)), budget=Budget(seconds=0.2), sampling=LONG)
    answer = asyncio.run(solve("self_consistency(n=4)", PROBLEM, compute))
    assert answer.value is None and answer.stopped is Stopped.SECONDS and not answer.candidates
