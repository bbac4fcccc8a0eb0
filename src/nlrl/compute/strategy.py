"""The contract of a strategy: it spends through `Compute`, and so stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nlrl.core import Answer, Problem

if TYPE_CHECKING:
    from nlrl.compute.handle import Compute


class Strategy(Protocol):
    """A way to spend compute on one problem."""

    async def __call__(self, problem: Problem, compute: Compute, /) -> Answer: ...
