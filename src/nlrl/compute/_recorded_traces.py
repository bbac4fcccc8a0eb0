"""The token clock over an imported panel: exact to the token, one look into the bank for 64 traces."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

from nlrl.bank.samples import Draw
from nlrl.compute.bill import price
from nlrl.compute.purse import Purse
from nlrl.compute.traces import PROBE_TOKENS, End, Event, Probe, Trace, Watch, read_answer
from nlrl.core import Candidate, Completion, Finish, Phase, Spend, Stopped

_BLOCK = 64  # draws fetched at a time


class RecordedWatch(Watch):
    """Traces out of an imported panel."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._events: list[tuple[int, int, Trace, int]] = []  # (clock, number, trace, its probe or -1 for the end)
        self._number = 0
        self._fetched: dict[int, Draw] = {}
        self._key = Purse.key(self._compute.model, self._request, self._problem)

    async def start(self, n: int = 1) -> list[Trace]:
        compute = self._compute
        session = compute.session
        first = session.next_index[self._key]
        if any(i not in self._fetched for i in range(first, first + n)):
            block = range(first, first + max(n, _BLOCK))
            self._fetched |= await session.purse.bank.get(self._key, block)
        draws = [d for i in range(first, first + n) if (d := self._fetched.get(i)) is not None]
        fitting = await self._fitting(draws)
        asked = fitting if fitting < len(draws) else n
        session.indices(self._key, asked)
        names = session.names(asked)
        missing = [first + i for i in range(asked) if first + i not in self._fetched]
        for index in missing:
            error = f"NotInBank: draw {index} of {compute.model.name} was never recorded for this problem"
            session.failed.append(Completion("", Finish.ERROR, 0, error=error))
        fresh = []
        for i, draw in enumerate(draws[:fitting]):
            trace = Trace(names[i], self.clock, _draw=draw)
            if not i or not draw.shared:
                trace._prompt, trace._cached = self._prompt(draw, draws[:fitting])
            trace._hold = compute.ledger.reserve(self._cost(trace, draw.completion.completion_tokens))
            self.running.append(trace)
            self._schedule(trace, -1)
            fresh.append(trace)
        return fresh

    @staticmethod
    def _prompt(draw: Draw, wave: Sequence[Draw]) -> tuple[int, int]:
        """Prompt and cached tokens charged to this draw: the longest of a wave that shares them, or its own."""
        each = [d.completion for d in wave] if draw.shared else [draw.completion]
        return max(c.prompt_tokens for c in each), max(c.cached_tokens for c in each)

    async def _fitting(self, draws: Sequence[Draw]) -> int:
        """How many of the draws the budget holds. Waits for reservations of others, never for its own."""
        compute = self._compute
        bounds, total = [Spend()], Spend()
        for i, draw in enumerate(draws):
            prompt = self._prompt(draw, draws)[0] if not i or not draw.shared else 0
            c = draw.completion
            whole = c.completion_tokens + c.lost_completion_tokens
            cost = Spend(calls=1, prompt_tokens=prompt + c.lost_prompt_tokens, completion_tokens=whole)
            total += price(compute.model.can, cost)
            bounds.append(total)
        while True:
            if compute.remaining.seconds == 0:
                self._short = Stopped.SECONDS
                return 0
            size = len(draws)
            while size and compute.ledger.blocker(bounds[size]) is not None:
                size -= 1
            if size or not draws or self.running or not compute.ledger.in_flight:
                self._short = compute.ledger.blocker(bounds[-1]) if size < len(draws) else None
                return size
            await compute.ledger.freed()

    def _cost(self, trace: Trace, generated: int, thrown: bool = False) -> Spend:
        assert trace._draw is not None  # every recorded trace has one
        c = trace._draw.completion
        part = generated / c.completion_tokens if c.completion_tokens else 1.0
        lost = c.lost_completion_tokens
        return price(
            self._compute.model.can,
            Spend(
                calls=1,
                prompt_tokens=trace._prompt + c.lost_prompt_tokens,
                cached_tokens=trace._cached,
                completion_tokens=generated + lost,
                cancelled_tokens=lost + (generated if thrown else 0),
                seconds=c.seconds * part,
            ),
        )

    def _settle(self, trace: Trace, generated: int, thrown: bool = False) -> None:
        assert trace._hold is not None  # made in `start`
        self._compute.ledger.settle(trace._hold, Phase.SAMPLE, self._cost(trace, generated, thrown), Spend())

    def _schedule(self, trace: Trace, seen: int) -> None:
        """Put the trace's next event on the clock; `seen` is where its last planned probe stood."""
        assert trace._draw is not None
        length, event = trace._draw.completion.completion_tokens, -1
        if self._plan is not None:
            due = self._plan.after(seen)
            recorded = trace._draw.probes
            while trace._next < len(recorded) and recorded[trace._next][0] < due:
                trace._next += 1
            if trace._next < len(recorded) and recorded[trace._next][0] < length:
                length, event = recorded[trace._next][0], trace._next
        self._number += 1
        heapq.heappush(self._events, (trace.begun + length, self._number, trace, event))

    async def next(self, until: int | None = None) -> Event | None:
        while self._events:
            if self._events[0][2].over:
                heapq.heappop(self._events)
                continue
            if until is not None and self._events[0][0] > until:
                self.clock = max(self.clock, until)
                return None
            at, _, trace, event = heapq.heappop(self._events)
            self.clock = max(self.clock, at)
            assert trace._draw is not None
            if event < 0:
                self._drop(trace)
                c = trace._draw.completion
                self._settle(trace, c.completion_tokens)
                answer = trace._draw.answer
                return End(
                    trace, self._ended(trace, c, read_answer(c.text, self._problem) if answer is None else answer)
                )
            tokens, answer = trace._draw.probes[event]
            self._schedule(trace, tokens)
            if self._pay_probes(1):
                trace.probes.append((tokens, answer))
                return Probe(trace, tokens, answer)
        return None

    def _pay_probes(self, n: int) -> bool:
        """Charge n forced answers; False where they do not fit."""
        ledger = self._compute.ledger
        cost = price(self._compute.model.can, Spend(calls=n, completion_tokens=n * PROBE_TOKENS))
        if ledger.blocker(cost) is not None:
            return False
        ledger.settle(ledger.reserve(cost), Phase.PROBE, cost, Spend())
        return True

    async def look(self, trace: Trace, tokens: Sequence[int]) -> None:
        if trace._draw is None:
            return
        known = {at for at, _ in trace.probes}
        found: dict[int, str | None] = {}
        for point in tokens:
            limit = point if trace.over else min(point, self.tokens(trace))
            past = next((p for p in reversed(trace._draw.probes) if p[0] <= limit), None)
            if past is not None and past[0] not in known:
                found[past[0]] = past[1]
        if found and self._pay_probes(len(found)):
            trace.probes = sorted([*trace.probes, *found.items()], key=lambda p: p[0])

    def kill(self, trace: Trace) -> None:
        self._drop(trace)
        self._settle(trace, self.tokens(trace), thrown=True)

    def cut(self, trace: Trace) -> Candidate:
        self._drop(trace)
        generated = self.tokens(trace)
        self._settle(trace, generated)
        assert trace._draw is not None
        partial = replace(
            trace._draw.completion, text="", reasoning="", finish=Finish.RULE, completion_tokens=generated, gists=()
        )
        return self._ended(trace, partial, trace.probes[-1][1] if trace.probes else None)

    def _leave(self) -> None:
        for trace in list(self.running):
            self.kill(trace)
        super()._leave()
