"""The live half of a wave: streams for the draws that the bank does not hold, and what has come out of them so far."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from msgspec import structs

from nlrl.bank.samples import Draw
from nlrl.compute.bill import price
from nlrl.core import Completion, Delta, Finish, Model, Request, Spend


class Flow:
    """One wave's streams. `start` begins to draw, `take` waits for one draw, `stop` cancels what still runs.

    done    draws that have ended, failed ones included
    cut     what draws cost that were begun and not finished; complete after `stop`
    overtaken  whether another process has recorded a draw first
    prompt  (tokens, whether that is exact): for draws that were cut off before anything told their prompt
    """

    def __init__(
        self,
        model: Model,
        request: Request,
        on_delta: Callable[[Delta], None] | None,
    ):
        self.model, self.request, self.on_delta = model, request, on_delta
        self.prompt: tuple[int, bool] = (0, True)
        self.done: dict[int, Draw] = {}
        self.cut: dict[int, Completion] = {}
        self.asked: set[int] = set()
        self.overtaken = False
        self._partial_tokens: dict[int, int] = {}
        self._raw: list[Completion] = []
        self._recorded: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()

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
        refused = False
        try:
            async with aclosing(stream):  # type: ignore[type-var]
                async for delta in stream:
                    index = run[delta.index]
                    self._partial_tokens[index] = self._partial_tokens.get(index, 0) + delta.tokens
                    if delta.completion is not None:
                        # a server may give fewer draws at once than it was asked for: then the prompt is paid again
                        again = bool(delta.completion.prompt_tokens) and any(c.prompt_tokens for c in finished.values())
                        finished[index] = delta.completion
                        self._raw.append(delta.completion)
                        self._partial_tokens.pop(index, None)
                        # asked after the call: whether a server honours n is only known once it has answered
                        shared = self.model.can.n
                        self.done[index] = Draw(delta.completion, shared=shared, prompts=int(shared and again))
                        self._fill_prompt_lengths(finished)
                        self._changed.set()
                    if self.on_delta is not None:
                        self.on_delta(replace(delta, index=index - self.request.first_index))
        except Exception:  # of the request as a whole
            refused = True
            raise
        finally:
            if len(finished) < len(run):
                self._charge_cut(run, finished, stream, refused)
        for index in run:
            if index not in self.done:
                broken = Completion("", Finish.ERROR, 0, error="the model's stream ended without this draw", calls=0)
                self.done[index] = Draw(broken)
        self._changed.set()

    def _charge_cut(self, run: list[int], finished: dict[int, Completion], stream: object, refused: bool) -> None:
        """The bills of draws that were begun and not finished: by the stream's own account, where it keeps one, else
        by its deltas, and the prompt once or for each of them."""
        account = getattr(stream, "cut", None)
        if account is not None:
            self.cut |= {run[offset]: bill for offset, bill in account().items()}
            return
        begun = [i for i in run if i not in finished and (self._partial_tokens.get(i) or not refused)]
        length, exact = self.prompt
        unpaid = not any(c.prompt_tokens for c in finished.values())
        for index in begun:
            prompt = length if unpaid or not self.model.can.n else 0
            tokens = self._partial_tokens.get(index, 0)
            unsure = 0 if exact else prompt
            self.cut[index] = Completion("", Finish.CANCELLED, tokens, prompt_tokens=prompt, estimated_tokens=unsure)
            unpaid = False

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

    def unserved(self, served: dict[int, Draw]) -> dict[int, Completion]:
        """The draws that nobody took."""
        bills = self.cut | {i: draw.completion for i, draw in self.done.items()}
        return {i: bill for i, bill in bills.items() if i not in served}

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

    def paid(self) -> Spend:
        """What the model's server counts for these streams, retries and draws that were cut off included."""
        if not self.asked:
            return Spend()
        each = [*self._raw, *self.cut.values()]
        lost = sum(c.lost_completion_tokens for c in each)
        cut = sum(c.completion_tokens for c in self.cut.values())
        raw = Spend(
            calls=sum(c.calls for c in each),
            prompt_tokens=sum(c.prompt_tokens + c.lost_prompt_tokens for c in each),
            cached_tokens=sum(c.cached_tokens for c in each),
            completion_tokens=sum(c.completion_tokens for c in each) + lost,
            cancelled_tokens=cut + lost,
            seconds=sum(c.seconds for c in each),
            estimated_tokens=sum(c.estimated_tokens for c in each),
        )
        return price(self.model.can, raw)


def with_prompt(draw: Draw, length: int, cached: int | None = None) -> Draw:
    """`draw` as one that carries the full length of its prompt."""
    c = draw.completion
    full = replace(c, prompt_tokens=length, cached_tokens=c.cached_tokens if cached is None else cached)
    return structs.replace(draw, completion=full)
