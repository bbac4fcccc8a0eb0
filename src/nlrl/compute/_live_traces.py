"""The token clock over a model that generates now: in chunks, side by side, or in whole draws."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from nlrl.bank.samples import Draw
from nlrl.compute.bill import longest
from nlrl.compute.session import Order, over
from nlrl.compute.traces import PROBE_TOKENS, End, Event, Probe, Trace, Watch, read_answer
from nlrl.core import ANSWER_PHRASE, Candidate, Completion, Finish, Phase, Sampling, Spend

_THINK, _THINK_END = "<think>", "</think>"
_UNPAID = "\0unpaid"  # the budget does not hold the question


class LiveWatch(Watch):
    """Traces that a model generates now, or that the bank has from such a run."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._queue: list[tuple[int, int, Event]] = []
        self._number = 0

    def _push(self, at: int, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._queue, (at, self._number, event))

    async def next(self, until: int | None = None) -> Event | None:
        while True:
            while self._queue and self._queue[0][2].trace.over:
                heapq.heappop(self._queue)
            if self._queue:
                break
            if not self.running:
                return None
            if until is not None and self.clock >= until:
                return None
            await self._round()
        if until is not None and self._queue[0][0] > until:
            self.clock = max(self.clock, until)
            return None
        at, _, event = heapq.heappop(self._queue)
        self.clock = max(self.clock, at)
        if isinstance(event, Probe):
            event.trace.probes.append((event.tokens, event.answer))
            return event
        self._drop(event.trace)
        done = replace(event.candidate, probes=tuple(event.trace.probes))
        self._compute.candidates.append(done)
        return End(event.trace, done)

    async def _round(self) -> None:
        """Bring the traces in flight on by a chunk."""
        raise NotImplementedError

    async def _drawn(self, n: int, prefill: str, sampling: Sampling, phase: Phase) -> list[tuple[str, Draw]]:
        sampling = over(self._compute.defaults, sampling)
        request = replace(self._request, n=n, prefill=prefill, sampling=sampling)
        order = Order(self._problem, request, n, phase)
        async with aclosing(self._compute.draws(order)) as draws:
            return [named async for named in draws]

    def kill(self, trace: Trace) -> None:
        self._drop(trace)

    def tokens(self, trace: Trace) -> int:
        return min(self.clock - trace.begun, trace._tokens)

    def cut(self, trace: Trace) -> Candidate:
        self._drop(trace)
        whole = Completion(trace._text, Finish.RULE, trace._tokens, logprobs=trace._logprobs or None)
        return self._ended(trace, whole, trace.probes[-1][1] if trace.probes else None)

    def _candidate(self, trace: Trace, completion: Completion) -> Candidate:
        path = self._origin + trace.begun + completion.completion_tokens
        answer = read_answer(completion.text, self._problem)
        return Candidate(trace.id, completion, answer, path_tokens=path, probes=tuple(trace.probes))


class WholeWatch(LiveWatch):
    """Whole draws, delivered in the order of their lengths."""

    async def start(self, n: int = 1) -> list[Trace]:
        fresh = []
        for name, draw in await self._drawn(n, "", self._request.sampling, Phase.SAMPLE):
            c = draw.completion
            trace = Trace(name, self.clock, _text=c.text, _tokens=c.completion_tokens, _logprobs=c.logprobs or ())
            answer = draw.answer if draw.answer is not None else read_answer(c.text, self._problem)
            done = replace(self._candidate(trace, c), answer=answer)
            self.running.append(trace)
            self._push(trace.begun + c.completion_tokens, End(trace, done))
            fresh.append(trace)
        return fresh


class ChunkedWatch(LiveWatch):
    """Traces that grow a chunk at a time, all of them side by side."""

    async def start(self, n: int = 1) -> list[Trace]:
        fresh = [Trace(name, self.clock) for name in self._compute.session.names(n)]
        self.running += fresh
        return fresh

    async def _round(self) -> None:
        """One chunk for every trace in flight, then the probes that have come due."""
        groups: dict[tuple[str, int], list[Trace]] = {}
        for trace in self.running:
            tokens = min(self._every, longest(self._request) - trace._tokens)
            groups.setdefault((trace._text, tokens), []).append(trace)
        before = {trace: trace._tokens for trace in self.running}
        if await self._all_fit(groups):
            async with asyncio.TaskGroup() as group:
                for (text, tokens), members in groups.items():
                    group.create_task(self._grow(text, tokens, members))
        else:  # side by side, what still fits would depend on which ends first
            for (text, tokens), members in groups.items():
                await self._grow(text, tokens, members)
        if not self._queue:
            self.clock = max([self.clock, *(t.begun + t._tokens for t in self.running)])
        for trace in list(self.running):
            due = self._plan is not None and not self._is_ending(trace)
            if due and self._plan is not None and self._plan.after(before[trace]) <= trace._tokens:
                answer = await self._force(trace._text)
                if answer is not _UNPAID:
                    self._push(trace.begun + trace._tokens, Probe(trace, trace._tokens, answer))

    def _is_ending(self, trace: Trace) -> bool:
        return any(event.trace is trace for _, _, event in self._queue)

    async def _all_fit(self, groups: dict[tuple[str, int], list[Trace]]) -> bool:
        compute, total = self._compute, Spend()
        for (text, tokens), members in groups.items():
            chunk = replace(self._request, prefill=text, sampling=self._chunk(tokens), n=len(members))
            total += (await compute.session.purse.bound(compute.model, chunk, self._problem))(len(members), tokens)
        return compute.ledger.blocker(total) is None

    def _chunk(self, tokens: int) -> Sampling:
        return replace(self._request.sampling, max_tokens=tokens)

    async def _grow(self, text: str, tokens: int, members: list[Trace]) -> None:
        drawn = await self._drawn(len(members), text, self._chunk(tokens), Phase.SAMPLE)
        for trace, (_, draw) in zip(members, drawn, strict=False):
            c = draw.completion
            trace._text += c.text
            trace._tokens += c.completion_tokens
            trace._logprobs += c.logprobs or ()
            trace._marks.append((trace._tokens, len(trace._text)))
            over = c.finish is not Finish.LENGTH or trace._tokens >= longest(self._request) or not c.completion_tokens
            if over:
                self._end(trace, c.finish)
        for trace in members[len(drawn) :]:  # the budget holds no more of it, or its chunk failed
            if trace._text:
                self._end(trace, Finish.LENGTH)
            else:
                self._drop(trace)

    def _end(self, trace: Trace, finish: Finish) -> None:
        whole = Completion(trace._text, finish, trace._tokens, logprobs=trace._logprobs or None)
        self._push(trace.begun + trace._tokens, End(trace, self._candidate(trace, whole)))

    async def _force(self, text: str) -> str | None:
        """What the text would answer now; `_UNPAID` where the budget does not hold the question."""
        closing = f"\n{_THINK_END}\n\n" if _THINK in text and _THINK_END not in text else "\n\n"
        brief = replace(self._request.sampling, max_tokens=PROBE_TOKENS, stop=("\n",), temperature=0.0, logprobs=None)
        prefill = f"{text.rstrip()}{closing}{ANSWER_PHRASE}"
        request = replace(self._request, prefill=prefill, sampling=brief)
        bound = await self._compute.session.purse.bound(self._compute.model, request, self._problem)
        if self._compute.ledger.blocker(bound(1, PROBE_TOKENS)) is not None:
            return _UNPAID
        drawn = await self._drawn(1, prefill, brief, Phase.PROBE)
        return read_answer(f"{ANSWER_PHRASE} {drawn[0][1].completion.text}", self._problem) if drawn else None

    async def look(self, trace: Trace, tokens: Sequence[int]) -> None:
        known = {at for at, _ in trace.probes}
        for point in tokens:
            mark = next((m for m in reversed(trace._marks) if m[0] <= point), None)
            if mark is None or mark[0] in known:
                continue
            answer = await self._force(trace._text[: mark[1]])
            if answer is _UNPAID:
                return
            known.add(mark[0])
            trace.probes = sorted([*trace.probes, (mark[0], answer)], key=lambda p: p[0])
