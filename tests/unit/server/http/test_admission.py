"""A bounded queue in which callers take turns."""

from __future__ import annotations

import asyncio
import random

import pytest

from nlrl.server.http.admission import Admission
from nlrl.server.http.errors import ApiError


def test_callers_take_turns() -> None:
    order: list[str] = []

    async def work(admission: Admission, caller: str) -> None:
        async with admission.place(caller):
            order.append(caller)
            await asyncio.sleep(0)

    async def run() -> None:
        admission = Admission(running=1)
        async with asyncio.TaskGroup() as group:
            for caller in ("a",) * 6 + ("b",) * 2 + ("c",):
                group.create_task(work(admission, caller))
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(run())
    assert order == ["a", "a", "b", "c", "a", "b", "a", "a", "a"]


def test_a_full_queue_says_when_to_come_back() -> None:
    async def hold(admission: Admission) -> None:
        async with admission.place("a"):
            await asyncio.sleep(10)

    async def run() -> None:
        admission = Admission(running=2, waiting=3)
        tasks = [asyncio.create_task(hold(admission)) for _ in range(5)]
        await asyncio.sleep(0)
        assert (admission.running, admission.waiting) == (2, 3)
        with pytest.raises(ApiError) as caught:
            async with admission.place("b"):
                pass
        assert caught.value.status == 429 and int(dict(caught.value.headers)[b"retry-after"]) >= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_whoever_leaves_at_whatever_moment_leaves_no_trace() -> None:
    async def run(seed: int) -> None:
        dice = random.Random(seed)
        admission = Admission(running=3, waiting=1000)
        most = 0

        async def work(caller: str) -> None:
            nonlocal most
            async with admission.place(caller):
                most = max(most, admission.running)
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(work(dice.choice("abcd"))) for _ in range(60)]
        for _ in range(30):
            await asyncio.sleep(0)
            dice.choice(tasks).cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert (admission.running, admission.waiting, most) == (0, 0, 3)

    for seed in range(25):
        asyncio.run(run(seed))
