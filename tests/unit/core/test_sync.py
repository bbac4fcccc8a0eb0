"""The sync face works with and without a loop around it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextvars import ContextVar

import pytest

from nlrl.core.sync import run_sync

who: ContextVar[str] = ContextVar("who", default="nobody")


async def name() -> str:
    await asyncio.sleep(0)
    return who.get()


def test_alone_and_inside_a_running_loop():
    who.set("me")
    assert run_sync(name()) == "me"

    async def notebook() -> str:
        return run_sync(name())

    assert asyncio.run(notebook()) == "me"


def test_errors_reach_the_caller():
    async def fails() -> None:
        raise ValueError("as it was")

    async def notebook() -> None:
        run_sync(fails())

    for run in (lambda: run_sync(fails()), lambda: asyncio.run(notebook())):
        with pytest.raises(ValueError, match="as it was"):
            run()


def test_an_interrupt_ends_the_work_beside():
    ended = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def notebook() -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio.run would only cancel the task that waits
        run_sync(endless())

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(notebook())
    assert ended.is_set() and time.monotonic() - started < 30
