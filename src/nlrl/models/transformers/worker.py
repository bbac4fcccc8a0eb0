"""One thread that works for many tasks, first come, first served.

async for item in worker.iterate(lambda: produce()):   # the generator runs in the thread, its items arrive here
    ...                                                # leave the loop, and the generator ends at its next item
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from nlrl.core import ModelError

Item = TypeVar("Item")


class Worker:
    """Runs generators one at a time, in the order in which they were asked for."""

    def __init__(self, name: str):
        self._name = name
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nlrl-transformers")  # starts at first use
        self._unwanted: set[threading.Event] = set()  # one for each generator that runs or waits
        self._closed = False

    async def iterate(self, produce: Callable[[], Generator[Item, None, None]]) -> AsyncGenerator[Item, None]:
        """Yield what `produce()` yields; its exception is raised here. Returns, also when closed or cancelled, only
        when the generator has stopped; one that still waited for its turn is never begun.
        """
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Item | Future[None]] = asyncio.Queue()  # the future comes last
        unwanted = threading.Event()

        def tell(item: Item | Future[None]) -> None:
            try:
                loop.call_soon_threadsafe(arrived.put_nowait, item)
            except RuntimeError:  # the event loop is closed: nobody waits any more
                unwanted.set()

        def work() -> None:
            with closing(produce()) as items:
                for item in items:
                    tell(item)
                    if unwanted.is_set():
                        return

        if self._closed:
            raise self._is_closed()
        job = self._thread.submit(work)
        self._unwanted.add(unwanted)
        job.add_done_callback(tell)
        item: Item | Future[None] | None = None
        try:
            while not isinstance(item := await arrived.get(), Future):
                yield item
            if unwanted.is_set():
                raise self._is_closed()
            job.result()
        except CancelledError:
            raise self._is_closed() from None
        finally:
            unwanted.set()
            job.cancel()
            while not isinstance(item, Future):  # until the work has really stopped
                item = await arrived.get()
            self._unwanted.discard(unwanted)

    async def aclose(self) -> None:
        """Stop what runs at its next item, refuse what waits, and end the thread."""
        self._closed = True
        for unwanted in list(self._unwanted):
            unwanted.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._thread.shutdown)

    def _is_closed(self) -> ModelError:
        return ModelError(f"{self._name} is closed; load it again.")
