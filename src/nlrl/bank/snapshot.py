"""A bank that decodes every draw once: for replaying the same problem many times over.

    fast = Snapshot(bank)
    Compute(ReplayModel(...), bank=fast)

Families of draws are read from the bank behind it on first use and kept, the last few of them, as objects. What is new
is written through to that bank. For one event loop: it holds no locks of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nlrl.bank.samples import Bank, Cancelled, Draw

_KEPT = 256  # families; one problem under a few strategies has less than ten


class Snapshot(Bank):
    """A bank in front of another one. Closing it leaves the other open."""

    def __init__(self, behind: Bank, keep: int = _KEPT):
        super().__init__()
        self.behind, self._keep = behind, keep
        self._draws: OrderedDict[str, dict[int, Draw]] = OrderedDict()
        self._thrown: OrderedDict[str, dict[int, Cancelled]] = OrderedDict()

    async def get(self, key: str, indices: Iterable[int]) -> dict[int, Draw]:
        """The recorded draws among `indices`."""
        family = self._draws.get(key)
        if family is None:
            family = self._held(self._draws, key, await self.behind.get_all(key))
        return {i: family[i] for i in indices if i in family}

    async def put(
        self, key: str, draws: Mapping[int, Draw], *, model: str, problem_id: str | None = None, request: Any = None
    ) -> dict[int, Draw]:
        """Record draws in the bank behind it too."""
        held = await self.behind.put(key, draws, model=model, problem_id=problem_id, request=request)
        self._learn(key, {**draws, **held})
        return held

    def _learn(self, key: str, draws: Mapping[int, Draw]) -> None:
        family = self._draws.get(key)
        if family is not None:
            family.update({i: d for i, d in draws.items() if i not in family})

    async def put_cancelled(self, key: str, draws: Mapping[int, Cancelled]) -> None:
        """Remember what cancelled draws had generated; in memory only where the draws themselves are recorded, since
        a replay that leaves early must not change what another replay finds."""
        await self.behind.put_cancelled(key, draws)
        self._thrown.pop(key, None)

    async def get_cancelled(self, key: str, indices: Iterable[int]) -> dict[int, Cancelled]:
        """Cancelled draws among `indices`."""
        thrown = self._thrown.get(key)
        if thrown is None:
            thrown = self._held(self._thrown, key, await self.behind.get_all_cancelled(key))
        return {i: thrown[i] for i in indices if i in thrown}

    async def put_length(self, prompt: str, tokens: int) -> None:
        """In the bank behind it."""
        await self.behind.put_length(prompt, tokens)

    async def get_length(self, prompt: str) -> int | None:
        """From the bank behind it."""
        return await self.behind.get_length(prompt)

    @asynccontextmanager
    async def drawing(self, key: str, indices: Iterable[int]) -> AsyncIterator[dict[int, Draw]]:
        """As the bank behind it."""
        async with self.behind.drawing(key, indices) as known:
            self._learn(key, known)
            yield known

    def _held(self, kept: OrderedDict[str, Any], key: str, found: Any) -> Any:
        kept[key] = found
        if len(kept) > self._keep:
            kept.popitem(last=False)
        return found
