"""A recorded model: only what the bank holds, under the name it was recorded with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, Request


@dataclass(eq=False)
class ReplayModel:
    """Serves only what the bank holds, under a recorded model's name; never generates.

    is_panel: the draws were imported and are found by problem, whatever the prompt
    """

    name: str
    is_panel: bool = False
    can: Capabilities = field(default=Capabilities(n=True, prefill=True, seed=True, logprobs=True))

    async def complete(self, request: Request) -> list[Completion]:
        """Fails: whatever reaches a replayed model was not in the bank."""
        return [self._missing(request.first_index + i) for i in range(request.n)]

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """As `complete`."""
        for i, completion in enumerate(await self.complete(request)):
            yield Delta(i, completion=completion)

    def _missing(self, index: int) -> Completion:
        message = f"NotInBank: draw {index} of {self.name} was never recorded for this prompt"
        return Completion("", Finish.ERROR, 0, error=message, calls=0)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """None: what a prompt's length was stands in the bank, beside its draws."""
        return None

    async def aclose(self) -> None:
        """Nothing to release."""
