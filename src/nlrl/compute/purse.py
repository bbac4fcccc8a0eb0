"""Where every token passes: look into the bank, reserve, draw what is missing, record, settle.

One *wave* is one call for n draws on one prompt:

    async with aclosing(purse.wave(request, ledger=ledger, phase=Phase.SAMPLE, hold=hold)) as draws:
        async for offset, draw in draws:      # in index order, as soon as each is there
            ...                               # leaving early cancels the rest; what it had generated is charged
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field, replace

from msgspec import structs

from nlrl.bank.replay_model import ReplayModel
from nlrl.bank.samples import Bank, Cancelled, Draw, panel_key, prompt_key, sample_key
from nlrl.compute._flow import Flow, with_prompt
from nlrl.compute.bill import bill, longest, price
from nlrl.compute.ledger import Hold, Ledger
from nlrl.core import Delta, Message, Model, Phase, Problem, Request, Spend
from nlrl.models.token_bounds import prompt_bound

_KNOWN_PROMPTS = 4096  # prompt lengths remembered per purse


@dataclass(eq=False)
class Purse:
    """A model and a bank, and the one way to draw from them."""

    model: Model
    bank: Bank
    _prompt_lengths: OrderedDict[tuple[str, tuple[Message, ...], str], int] = field(default_factory=OrderedDict)

    async def prompt_bound(self, model: Model, messages: tuple[Message, ...], prefill: str) -> tuple[int, bool]:
        """Length of the prompt in tokens, and whether that is exact; else it is an upper bound."""
        known = self._prompt_lengths.get((model.name, messages, prefill))
        if known is not None:
            return known, True
        exact = await model.count_prompt_tokens(messages, prefill)
        if exact is not None:
            self._remember(model, messages, prefill, exact)
            await self.bank.put_length(prompt_key(model.name, messages, prefill), exact)
            return exact, True
        bound = getattr(model, "prompt_bound", prompt_bound)  # a model that sends more than these messages knows more
        return bound(messages, prefill), False

    async def _recorded(self, model: Model, request: Request, problem: Problem | None) -> list[Draw]:
        indices = range(request.first_index, request.first_index + request.n)
        known = await self.bank.get(self.key(model, request, problem), indices)
        return [known[i] for i in indices if i in known]

    def _remember(self, model: Model, messages: tuple[Message, ...], prefill: str, length: int) -> None:
        self._prompt_lengths[model.name, messages, prefill] = length
        if len(self._prompt_lengths) > _KNOWN_PROMPTS:
            self._prompt_lengths.popitem(last=False)

    @staticmethod
    def key(model: Model, request: Request, problem: Problem | None) -> str:
        """The bank's key of a request; imported panels are keyed by problem, since their prompts are unknown."""
        if problem is not None and getattr(model, "is_panel", False):
            return panel_key(model.name, problem)
        return sample_key(model.name, request.messages, request.prefill, request.sampling)

    async def bound(
        self, model: Model, request: Request, problem: Problem | None = None
    ) -> Callable[[int, int], Spend]:
        """Upper bound of what a call may cost, as a function of (draws, tokens of each)."""
        can = model.can
        recorded: list[Draw] = []
        if isinstance(model, ReplayModel):
            recorded = await self._recorded(model, request, problem)
            if model.is_panel:  # drawn elsewhere under limits we do not know, but what they cost we know exactly
                return lambda n, _: replace(bill(model, recorded[:n]), calls=n)
            length = max((d.completion.prompt_tokens for d in recorded), default=0)
            if not length:  # not drawn since it did not fit, which must come out again
                name = prompt_key(model.name, request.messages, request.prefill)
                length = await self.bank.get_length(name)
                if not length:
                    length, _ = await self.prompt_bound(model, request.messages, request.prefill)
        else:
            length, _ = await self.prompt_bound(model, request.messages, request.prefill)

        def of(n: int, longest: int) -> Spend:
            evaluations = -(-n // (can.n_most or n)) + sum(d.prompts for d in recorded[:n]) if can.n and n else n
            prompt = length * evaluations
            return price(can, Spend(calls=n, prompt_tokens=prompt, completion_tokens=n * longest))

        return of

    async def wave(
        self,
        request: Request,
        *,
        ledger: Ledger,
        phase: Phase,
        hold: Hold,
        model: Model | None = None,
        problem: Problem | None = None,
        key: str | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> AsyncGenerator[tuple[int, Draw], None]:
        """`request.n` draws in index order; closing early cancels the rest. Settles `hold` in any case.

        key  of the request, where it is known already

        At the ledger's deadline what is not there is cancelled, what had ended behind it still comes, and at last
        TimeoutError is raised.
        """
        until = ledger.deadline
        model = model or self.model
        key = key or self.key(model, request, problem)
        indices = range(request.first_index, request.first_index + request.n)
        length = (0, True)

        def again(n: int) -> bool:
            """Set aside what another try costs, beside the one that broke."""
            more = Spend(calls=n, prompt_tokens=n * length[0], completion_tokens=n * longest(request))
            return ledger.extend(hold, price(model.can, more))

        flow = Flow(model, replace(request, again=again), on_delta)
        served: dict[int, Draw] = {}
        known: dict[int, Draw] = {}
        try:
            async with AsyncExitStack() as stack:
                known = await self.bank.get(key, indices)
                missing = [i for i in indices if i not in known]
                if missing and not isinstance(model, ReplayModel):  # which has nothing to draw
                    async with _until(until):
                        known |= await stack.enter_async_context(self.bank.drawing(key, missing))
                    missing = [i for i in indices if i not in known]
                # what was cancelled before is likely not to be wanted again: it starts only when it is asked for
                deferred = await self.bank.get_cancelled(key, missing)
                if missing:
                    flow.prompt = length = await self.prompt_bound(model, request.messages, request.prefill)
                flow.start([i for i in missing if i not in deferred])
                late = False
                try:
                    for index in indices:
                        draw = known.get(index) or (flow.done.get(index) if late else None)
                        if draw is None and not late:
                            if index not in flow.asked:
                                flow.start([i for i in missing if i not in flow.asked])
                            try:
                                async with _until(until):
                                    await flow.take(index, lambda: self._record(key, model, problem, request, flow))
                            except TimeoutError:
                                if until is None:
                                    raise
                                late = True
                                await flow.stop()
                                await self._record(key, model, problem, request, flow)
                            draw = flow.done.get(index)
                        if draw is not None:
                            served[index] = draw
                            yield index - request.first_index, draw
                    if late:
                        raise TimeoutError
                finally:
                    await flow.stop()
                    await self._record(key, model, problem, request, flow)
        finally:
            unserved = flow.unserved(served)
            thrown = {
                i: Cancelled(c.completion_tokens + c.lost_completion_tokens, c.estimated_tokens)
                for i, c in unserved.items()
            }
            if thrown:
                await self.bank.put_cancelled(key, thrown)
            idle = [i for i in indices if i not in served and i not in flow.asked]
            thrown |= await self._left_early(key, idle, served)
            paid = flow.paid()
            spent = bill(model, list(served.values()), list(thrown.values()))
            # where all of it was drawn just now, its cost is what it has cost
            if flow.asked and not (known or idle or flow.overtaken):
                spent = replace(paid, cancelled_tokens=spent.cancelled_tokens)
            ledger.settle(hold, phase, spent, paid)

    async def _left_early(self, key: str, unserved: list[int], served: dict[int, Draw]) -> dict[int, Cancelled]:
        """What the draws that a replay leaves behind had cost: as recorded when it was live, and else what they
        would have generated by the time the longest served draw was there, all running side by side."""
        if not unserved:
            return {}
        thrown = await self.bank.get_cancelled(key, unserved)
        clock = max((d.completion.completion_tokens for d in served.values()), default=0)
        for index, draw in (await self.bank.get(key, unserved)).items():
            thrown.setdefault(index, Cancelled(min(draw.completion.completion_tokens, clock)))
        return thrown

    async def _record(self, key: str, model: Model, problem: Problem | None, request: Request, flow: Flow) -> None:
        fresh = flow.unrecorded()
        if not fresh:
            return
        if model.can.n and not all(draw.completion.prompt_tokens for draw in fresh.values()):
            # the one draw that was charged for the prompt is still on its way, but the bank must not have to wait
            length = await model.count_prompt_tokens(request.messages, request.prefill)
            fresh = {i: with_prompt(draw, length or draw.completion.prompt_tokens) for i, draw in fresh.items()}
            flow.done.update(fresh)
        length = max(draw.completion.prompt_tokens for draw in fresh.values())
        if length and not any(draw.completion.estimated_tokens for draw in fresh.values()):
            self._remember(model, request.messages, request.prefill, length)
        # kept for people to read; what no encoding can hold is replaced
        messages = [[m.role, m.content.encode("utf-8", "replace").decode()] for m in request.messages]
        held = await self.bank.put(
            key,
            fresh,
            model=model.name,
            problem_id=problem.id if problem else None,
            request={"messages": messages, "prefill": request.prefill, "sampling": request.sampling},
        )
        # drawn second, as when this process had slept beyond its claim: what is recorded is what everybody is served
        flow.done.update({i: _instead(fresh[i], draw) for i, draw in held.items()})
        flow.overtaken |= bool(held)


def _instead(own: Draw, held: Draw) -> Draw:
    """The bank's draw, with what ours had cost on its bill as lost."""
    mine, its = own.completion, held.completion
    lost = replace(
        its,
        lost_prompt_tokens=its.lost_prompt_tokens + mine.lost_prompt_tokens + (0 if own.shared else mine.prompt_tokens),
        lost_completion_tokens=its.lost_completion_tokens + mine.lost_completion_tokens + mine.completion_tokens,
        estimated_tokens=its.estimated_tokens + mine.estimated_tokens,
        calls=its.calls + mine.calls,
    )
    return structs.replace(held, completion=lost)


def _until(moment: float | None) -> AbstractAsyncContextManager[object]:
    """A time limit by `time.monotonic`."""
    return nullcontext() if moment is None else asyncio.timeout(max(moment - time.monotonic(), 0.0))
