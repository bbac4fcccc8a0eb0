"""The live half of a wave: streams for the draws that the bank does not hold, and what has come out of them so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from nlrl.compute.bank import Draw
from nlrl.compute.bill import price
from nlrl.core import Completion, Delta, Finish, Model, Request, Spend


class Flow:
    """One wave's streams. `start` begins to draw, `take` waits for one draw, `stop` cancels what still runs."""

    def __init__(self, model: Model, request: Request, on_delta: Callable[[Delta], None] | None):
        self.model, self.request, self.on_delta = model, request, on_delta
        self.done: dict[int, Draw] = {}
        self.partial_tokens: dict[int, int] = {}
        self.asked: set[int] = set()
        self._raw: list[Completion] = []
        self._prompt_tokens = 0  # evaluated, as far as the streams tell
        self._recorded: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._begun = time.monotonic()

    def start(self, missing: list[int]) -> None:
        """Begin to draw; neighbouring indices go out in one request."""
        self.asked.update(missing)
        runs: list[list[int]] = []
        for index in missing:
            if runs and runs[-1][-1] == index - 1:
                runs[-1].append(index)
            else:
                runs.append([index])
        self._tasks += [asyncio.create_task(self._pull(run)) for run in runs]

    async def _pull(self, run: list[int]) -> None:
        part = replace(self.request, first_index=run[0], n=len(run))
        finished: dict[int, Completion] = {}
        stream = self.model.stream(part)
        try:
            async with aclosing(stream):  # type: ignore[type-var]
                async for delta in stream:
                    index = run[delta.index]
                    self.partial_tokens[index] = self.partial_tokens.get(index, 0) + delta.tokens
                    if delta.completion is not None:
                        finished[index] = delta.completion
                        self._raw.append(delta.completion)
                        self.partial_tokens.pop(index, None)
                        # asked after the call: whether a server honours n is only known once it has answered
                        self.done[index] = Draw(delta.completion, shared=self.model.can.n)
                        self._fill_prompt_lengths(finished)
                        self._changed.set()
                    if self.on_delta is not None:
                        self.on_delta(replace(delta, index=index - self.request.first_index))
        finally:
            self._count_unread(run, finished, stream)
        for index in run:
            if index not in self.done:
                broken = Completion("", Finish.ERROR, 0, error="the model's stream ended without this draw")
                self.done[index] = Draw(broken)
        self._changed.set()

    def _count_unread(self, run: list[int], finished: dict[int, Completion], stream: object) -> None:
        """Engines in this process know what they generated for draws that were cut off, read by us or not."""
        for index, tokens in zip(run, getattr(stream, "tokens", ()), strict=False):
            if index not in finished and tokens:
                self.partial_tokens[index] = max(tokens, self.partial_tokens.get(index, 0))
        self._prompt_tokens += getattr(stream, "prompt_tokens", 0)

    def _fill_prompt_lengths(self, finished: dict[int, Completion]) -> None:
        """Banked draws carry the prompt's full length, whichever of them was charged for it."""
        if not self.model.can.n:
            return  # every draw was its own call, and paid for its own prompt
        length = max(c.prompt_tokens for c in finished.values())
        cached = max(c.cached_tokens for c in finished.values())
        for index, completion in finished.items():
            if completion.ok and completion.prompt_tokens != length:
                now = self.done[index].completion
                if (now.prompt_tokens, now.cached_tokens) != (length, cached):  # else it was filled in before
                    self.done[index] = with_prompt(self.done[index], length, cached)

    async def take(self, index: int, save: Callable[[], Awaitable[None]]) -> Draw:
        """The draw of `index`, as soon as it is there; whatever ends before it is saved at once, so that a killed
        process loses only what was still being written. Raises what its stream raised."""
        while index not in self.done:
            self._changed.clear()
            for task in self._tasks:
                if task.done() and not task.cancelled() and (error := task.exception()):
                    raise error
            if index in self.done:
                break
            waiter = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait([waiter, *(t for t in self._tasks if not t.done())], return_when="FIRST_COMPLETED")
            finally:
                waiter.cancel()
            await save()
        await save()
        return self.done[index]

    def generated(self, served: dict[int, Draw]) -> dict[int, int]:
        """Tokens of the draws that nobody took."""
        done = {i: d.completion.completion_tokens for i, d in self.done.items()}
        return {i: n for i, n in (self.partial_tokens | done).items() if i not in served}

    def unrecorded(self) -> dict[int, Draw]:
        """Good draws not yet handed to the bank; failures are data of this run, not of the bank."""
        fresh = {
            i: d
            for i, d in self.done.items()
            if i not in self._recorded and d.completion.ok and d.completion.finish is not Finish.CANCELLED
        }
        self._recorded.update(fresh)
        return fresh

    async def stop(self) -> None:
        """Cancel what still runs and wait until it has let go of the model."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def paid(self, spent: Spend) -> Spend:
        """What this process really generated: as reported, before sharing with banked draws is accounted for."""
        if not self.asked:
            return Spend()
        partial = sum(self.partial_tokens.values())
        lost = sum(c.lost_completion_tokens for c in self._raw)
        prompt = sum(c.prompt_tokens + c.lost_prompt_tokens for c in self._raw) or spent.prompt_tokens
        raw = Spend(
            calls=len(self._raw) + len(self.partial_tokens),
            prompt_tokens=max(prompt, self._prompt_tokens),  # the draw that pays for it may have been cut off
            cached_tokens=sum(c.cached_tokens for c in self._raw),
            completion_tokens=sum(c.completion_tokens for c in self._raw) + partial + lost,
            cancelled_tokens=partial + lost,
            seconds=time.monotonic() - self._begun,
        )
        return price(self.model.can, raw)


def with_prompt(draw: Draw, length: int, cached: int | None = None) -> Draw:
    """`draw` as one that carries the full length of its prompt."""
    c = draw.completion
    full = replace(c, prompt_tokens=length, cached_tokens=c.cached_tokens if cached is None else cached)
    return Draw(full, draw.shared, draw.answer, draw.probes)
