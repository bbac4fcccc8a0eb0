"""Several askers on one file: what one draws the others wait for, whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nlrl.bank import Bank, Draw
from nlrl.bank import claims as _claims
from nlrl.bank.samples import Cancelled
from nlrl.compute import Compute
from nlrl.compute.purse import Purse
from nlrl.core import BankError, Budget, Completion, Delta, Finish, Problem, Request, Sampling, Stopped
from nlrl.testing.scripted import ScriptedModel

_LONG_S = 60.0  # nobody waits so long unless something is broken


def draw(text: str) -> Draw:
    return Draw(Completion(text, Finish.STOP, 5, prompt_tokens=9))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.sqlite"


@pytest.fixture
def banks(path: Path) -> Iterator[tuple[Bank, Bank]]:
    """Two connections to one file, as two processes have them."""
    with Bank(path) as one, Bank(path) as other:
        yield one, other


def claimed(path: Path) -> list[int]:
    with sqlite3.connect(path) as db:
        return [index for (index,) in db.execute("SELECT idx FROM claims ORDER BY idx")]


async def until_dropped(path: Path) -> None:
    async with asyncio.timeout(_LONG_S):
        while claimed(path):  # noqa: ASYNC110  # another process drops it
            await asyncio.sleep(0.01)


async def take(bank: Bank, *indices: int) -> dict[int, Draw]:
    async with asyncio.timeout(_LONG_S), bank.drawing("k", indices) as known:
        return known


def test_who_comes_second_waits_and_gets_what_was_drawn(banks: tuple[Bank, Bank], path: Path) -> None:
    one, other = banks

    async def scene() -> None:
        async with one.drawing("k", [0, 1, 2, 3]) as known:
            assert known == {} and claimed(path) == [0, 1, 2, 3]
            waiting = asyncio.create_task(take(other, 2, 3, 4))
            assert await take(other, 5) == {}  # of what nobody claims there is nothing to wait for
            async with other.drawing("elsewhere", [2]):
                pass
            await one.put("k", {0: draw("a")}, model="m")
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await one.put("k", {2: draw("c"), 3: draw("d")}, model="m")
            # all that it shares with the first asker is there: it goes on before that one has ended
            assert await waiting == {2: draw("c"), 3: draw("d")}
        await until_dropped(path)

    asyncio.run(scene())


def test_ranges_that_overlap_never_block_each_other_for_good(banks: tuple[Bank, Bank], path: Path) -> None:
    paid: list[int] = []

    async def ask(bank: Bank, first: int, n: int) -> None:
        indices = range(first, first + n)
        async with asyncio.timeout(_LONG_S), bank.drawing("k", indices) as known:
            fresh = [i for i in indices if i not in known]
            await asyncio.sleep(0.005)
            paid.extend(fresh)
            assert await bank.put("k", {i: draw(str(i)) for i in fresh}, model="m") == {}

    async def scene() -> None:
        async with asyncio.TaskGroup() as group:
            for turn in range(40):
                group.create_task(ask(banks[turn % 2], 7 * turn % 30, 1 + turn % 9))
        await until_dropped(path)

    asyncio.run(scene())
    assert sorted(paid) == sorted(set(paid)) and banks[0].count() == len(paid)


def test_a_claim_is_gone_however_its_asker_ends(banks: tuple[Bank, Bank], path: Path) -> None:
    one, other = banks

    async def scene() -> None:
        with pytest.raises(ZeroDivisionError):
            async with one.drawing("k", [0]):
                raise ZeroDivisionError
        for turn in range(30):  # cancelled before, while and after the claim is written
            task = asyncio.create_task(hold(one))
            for _ in range(turn % 10):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001 * (turn % 3))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await take(other, 0) == {}
        async with one.drawing("k", [0]):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), other.drawing("k", [0]):
                    raise AssertionError("both of them draw")
        await until_dropped(path)

    async def hold(bank: Bank) -> None:
        async with bank.drawing("k", [0]):
            await asyncio.sleep(_LONG_S)

    asyncio.run(scene())


def test_closing_lets_go(path: Path) -> None:
    bank = Bank(path)

    async def scene() -> None:
        await bank.drawing("k", [0, 1]).__aenter__()  # and never left
        assert claimed(path) == [0, 1]

    asyncio.run(scene())
    bank.close()
    assert claimed(path) == []


OWNER = """
import asyncio, sys, time
from nlrl.bank import Bank, claims as _claims
_claims._LAPSE_S, _claims._BEAT_S = float(sys.argv[2]), 0.1
async def main():
    async with Bank(sys.argv[1]).drawing("k", range(4)):
        print("mine", flush=True)
        time.sleep(60)  # nothing else runs in this event loop
asyncio.run(main())
"""


def test_a_killed_owner_does_not_block_for_long_and_a_busy_one_keeps_its_claim(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_claims, "_LAPSE_S", 1.0)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(path), "1.0"], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None and owner.stdout.readline() == "mine\n"
        with Bank(path) as bank:

            async def scene() -> None:
                waiting = asyncio.create_task(take(bank, 0))
                await asyncio.sleep(2.0)  # twice as long as a claim without a sign of life
                assert not waiting.done() and claimed(path) == [0, 1, 2, 3]
                os.kill(owner.pid, signal.SIGKILL)
                assert await waiting == {}

            asyncio.run(scene())
        with Bank(path):
            time.sleep(0.1)
        assert claimed(path) in ([], [1, 2, 3])  # what nobody asks for is forgotten once it has lapsed
        monkeypatch.setattr(_claims, "_LAPSE_S", -1.0)
        with Bank(path):
            assert claimed(path) == []
    finally:
        owner.kill()
        owner.communicate()


class Overtaken(ScriptedModel):
    """While it draws, another process records a draw under the same key, as after a claim that has lapsed."""

    def __init__(self, bank: Bank):
        super().__init__("ours is so and so and so. Final Answer: 1")
        self.bank = bank

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:  # type: ignore[override]
        key = Purse.key(self, request, None)
        await self.bank.put(key, {request.first_index: draw("Final Answer: 2")}, model=self.name)
        async for delta in super().stream(request):
            yield delta


def test_what_the_bank_holds_wins_and_the_other_is_charged_as_lost(banks: tuple[Bank, Bank]) -> None:
    one, other = banks
    problem = Problem("What is it?")

    async def scene() -> None:
        model = Overtaken(other)
        compute = Compute(model, bank=one)
        attempts = await compute.sample(problem, 2)
        assert [a.answer for a in attempts] == ["2", "1"]
        held = await one.get(Purse.key(model, _asked(compute, problem), None), range(2))
        assert [held[i].completion.text for i in range(2)] == [a.text for a in attempts]
        ours = attempts[1].completion.completion_tokens
        spent, paid = compute.answer(None).usage.total, compute.ledger.paid
        assert spent.completion_tokens == 5 + 2 * ours and spent.cancelled_tokens == ours
        assert (paid.completion_tokens, paid.calls) == (2 * ours, 2)
        again = Compute(model, bank=other)
        assert [a.text for a in await again.sample(problem, 2)] == [a.text for a in attempts]
        assert again.ledger.paid.calls == 0

    asyncio.run(scene())


def _asked(compute: Compute, problem: Problem) -> Request:
    return Request(compute.prompt(problem), compute.defaults)


def test_waiting_for_another_process_ends_at_the_deadline(banks: tuple[Bank, Bank], path: Path) -> None:
    one, other = banks
    problem, model = Problem("What is it?"), ScriptedModel("Final Answer: 1")

    async def scene() -> None:
        compute = Compute(model, bank=one, budget=Budget(seconds=0.3), sampling=Sampling(max_tokens=20))
        key = Purse.key(model, _asked(compute, problem), None)
        async with other.drawing(key, [0]):
            async with asyncio.timeout(_LONG_S):
                assert await compute.sample(problem, 1) == []
            assert compute.stopped is Stopped.SECONDS and model.can.n
            assert compute.ledger.total.tokens == 0 and not compute.ledger.in_flight
        await until_dropped(path)

    asyncio.run(scene())


def test_two_event_loops_share_one_bank(path: Path) -> None:
    """Two threads with a loop each, as in a notebook, and a bank each."""
    paid: list[int] = []

    def work() -> None:
        with Bank(path) as bank:

            async def scene() -> None:
                for first in range(0, 40, 2):
                    async with asyncio.timeout(_LONG_S), bank.drawing("k", range(first, first + 4)) as known:
                        fresh = {i: draw(str(i)) for i in range(first, first + 4) if i not in known}
                        paid.extend(fresh)
                        await bank.put("k", fresh, model="m")

            asyncio.run(scene())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(paid) == list(range(42))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_a_bank_that_may_only_be_read_is_still_good_for_replays(path: Path) -> None:
    with Bank(path) as bank:
        asyncio.run(bank.put("k", {0: draw("a")}, model="m"))
    with sqlite3.connect(path) as db:
        db.executescript(
            "DROP TABLE former; DROP TABLE claims; ALTER TABLE cancelled DROP COLUMN estimated; PRAGMA user_version = 0"
        )  # as version 0.1 left it
        db.execute("INSERT INTO cancelled VALUES ('k', 1, 7)")
    path.chmod(0o444)
    with Bank(path) as bank:
        assert asyncio.run(take(bank, 0, 1)) == {0: draw("a")}
        assert asyncio.run(bank.get_cancelled("k", [0, 1])) == {1: Cancelled(7)}
        with pytest.raises(BankError, match="readonly"):
            asyncio.run(bank.put("k", {1: draw("b")}, model="m"))


def test_a_new_file_that_many_open_at_the_same_moment_is_opened_by_all(path: Path) -> None:
    """SQLite says "database is locked" at once to all but one of those who want write-ahead mode."""
    many, files = 8, 60
    together = threading.Barrier(many)

    def opened(_: int) -> int:
        count = 0
        for number in range(files):
            together.wait(_LONG_S)
            with contextlib.suppress(BankError), Bank(f"{path}-{number}"):
                count += 1
        return count

    with ThreadPoolExecutor(many) as pool:
        assert list(pool.map(opened, range(many))) == [files] * many
