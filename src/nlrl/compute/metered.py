"""A model whose calls are charged: what judges, reward models and language operators are given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from nlrl.compute.bill import longest, with_max_tokens
from nlrl.compute.ledger import Ledger
from nlrl.compute.purse import Purse
from nlrl.core import BudgetExhausted, Capabilities, Completion, Delta, Message, Model, Phase, Request


@dataclass(eq=False)
class MeteredModel:
    """A model whose every call goes through the purse.

    Raises BudgetExhausted when a call does not fit.
    """

    purse: Purse
    ledger: Ledger
    model: Model
    phase: Phase = Phase.VERIFY

    @property
    def name(self) -> str:
        """The name of the model behind it."""
        return self.model.name

    @property
    def can(self) -> Capabilities:
        """What the model behind it can do."""
        return self.model.can

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """As the model behind it."""
        return await self.model.count_prompt_tokens(messages, prefill)

    async def complete(self, request: Request) -> list[Completion]:
        """As the model's, charged. Raises BudgetExhausted."""
        return [delta.completion async for delta in self.stream(request) if delta.completion]

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """As the model's, charged; whole completions in index order. Raises BudgetExhausted."""
        request = with_max_tokens(request)
        bound = (await self.purse.bound(self.model, request))(request.n, longest(request))
        while reason := self.ledger.blocker(bound):
            if not self.ledger.in_flight:
                raise BudgetExhausted(reason)
            await self.ledger.freed()
        hold = self.ledger.reserve(bound)
        wave = self.purse.wave(request, ledger=self.ledger, phase=self.phase, hold=hold, model=self.model)
        async with aclosing(wave) as draws:
            async for offset, draw in draws:
                c = draw.completion
                yield Delta(offset, c.text, c.reasoning, c.completion_tokens, c.logprobs or (), c)

    async def aclose(self) -> None:
        """Nothing: the model behind it belongs to its owner."""
