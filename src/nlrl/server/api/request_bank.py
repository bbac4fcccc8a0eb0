"""A sample bank that lives as long as one request: nothing of a prompt outlives it, and nothing is written anywhere.

Plain dictionaries, where `Bank()` opens a database in memory: 0.6 ms of processor time less for a vote of eight.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from nlrl.bank import Bank, Draw
from nlrl.bank.samples import Cancelled


class RequestBank(Bank):
    """What `Compute` asks of a bank while it samples; there is nothing to close, to look through or to export."""

    def __init__(self) -> None:
        self.path = None
        self._draws: dict[str, dict[int, Draw]] = {}
        self._cancelled: dict[str, dict[int, Cancelled]] = {}
        self._lengths: dict[str, int] = {}
        self._held: dict[str, asyncio.Lock] = {}

    async def get(self, key: str, indices: Iterable[int]) -> dict[int, Draw]:
        """The recorded draws among `indices`."""
        known = self._draws.get(key, {})
        return {index: known[index] for index in indices if index in known}

    async def put(
        self, key: str, draws: Mapping[int, Draw], *, model: str, problem_id: str | None = None, request: Any = None
    ) -> dict[int, Draw]:
        """Record draws; what is already there stays, and is returned."""
        known = self._draws.setdefault(key, {})
        return {index: held for index, draw in draws.items() if (held := known.setdefault(index, draw)) is not draw}

    async def get_cancelled(self, key: str, indices: Iterable[int]) -> dict[int, Cancelled]:
        """Cancelled draws among `indices`."""
        known = self._cancelled.get(key, {})
        return {index: known[index] for index in indices if index in known}

    async def put_cancelled(self, key: str, draws: Mapping[int, Cancelled]) -> None:
        """Remember what cancelled draws had generated."""
        known = self._cancelled.setdefault(key, {})
        for index, draw in draws.items():
            known.setdefault(index, draw)

    async def get_length(self, prompt: str) -> int | None:
        """The length of a prompt in tokens, if it is known."""
        return self._lengths.get(prompt)

    async def put_length(self, prompt: str, tokens: int) -> None:
        """Remember the length of a prompt."""
        self._lengths.setdefault(prompt, tokens)

    @asynccontextmanager
    async def drawing(self, key: str, indices: Iterable[int]) -> AsyncIterator[dict[int, Draw]]:
        """Held while draws of `key` are made; yields those that another asker has made meanwhile."""
        wanted = sorted(indices)
        async with AsyncExitStack() as stack:
            for index in wanted:
                await stack.enter_async_context(self._held.setdefault(f"{key}:{index}", asyncio.Lock()))
            yield await self.get(key, wanted)

    def close(self) -> None:
        """Nothing."""
