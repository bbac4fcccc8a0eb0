"""What judges, reward models and language operators spend: a model whose calls are charged, a price that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from nlrl.compute.bill import longest, with_max_tokens
from nlrl.compute.ledger import Ledger
from nlrl.compute.purse import Purse
from nlrl.core import (
    BudgetExhausted,
    Candidate,
    Capabilities,
    Completion,
    Delta,
    Message,
    Model,
    Phase,
    PricedVerifier,
    Problem,
    Request,
    Verifier,
)


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


@asynccontextmanager
async def priced(
    verifier: Verifier, ledger: Ledger, problem: Problem, candidates: Sequence[Candidate]
) -> AsyncIterator[None]:
    """Reserve what a reward model of its own will cost, and charge it. Raises BudgetExhausted."""
    if not isinstance(verifier, PricedVerifier):
        yield
        return
    bound = await verifier.price(problem, candidates)
    while reason := ledger.blocker(bound):
        if not ledger.in_flight:
            raise BudgetExhausted(reason)
        await ledger.freed()
    hold = ledger.reserve(bound)
    try:
        yield
    finally:
        told = getattr(verifier, "spent", None)  # what a server reported, where the bound was not exact
        ledger.settle(hold, Phase.VERIFY, (told and told(problem, candidates)) or bound)
