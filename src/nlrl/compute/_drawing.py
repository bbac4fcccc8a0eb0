"""How attempts are drawn: in waves that fit the budget, cut short where only a first one fits, until a limit holds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from nlrl.compute.bank import Draw
from nlrl.compute.bill import longest, with_max_tokens
from nlrl.compute.ledger import Hold
from nlrl.compute.purse import Purse
from nlrl.core import Delta, Message, Phase, Problem, Request, Sampling, Spend, Stopped

if TYPE_CHECKING:
    from nlrl.compute.handle import Compute

Watcher = Callable[[str, Delta], None]  # called with a candidate's id and what it has just said
_LEAST_TOKENS = 8  # the shortest completion worth asking for when the budget is nearly spent


async def drawing(
    compute: Compute,
    problem: Problem | None,
    n: int,
    wave: int,
    messages: tuple[Message, ...],
    prefill: str,
    phase: Phase,
    sampling: Sampling | None,
) -> AsyncGenerator[tuple[str, Draw], None]:
    """Good draws with their names, in order, in waves that fit the budget. Sets `compute.stopped` when it ends
    before n."""
    shared, model = compute._shared, compute.model
    request = with_max_tokens(Request(messages, over(shared.sampling, sampling), prefill=prefill))
    left, ended = n, 0
    whole = key = Purse.key(model, request, problem)
    given = shared.given.get(key) if phase is not Phase.PROBE else None
    while given and left > 0:
        left, ended = left - 1, ended + 1
        yield given.popleft()
    while left > 0:
        key = whole
        ask = replace(request, n=min(left, wave), first_index=shared.next_index[key])
        fitting = await _fitting(compute, ask, problem)
        if fitting is None:
            _note_shortage(compute, n - left, 1 if prefill else n)
            return
        call, hold = fitting
        size = call.n
        if call.sampling is not ask.sampling:  # cutting a first attempt short makes it another sample
            key = Purse.key(model, call, problem)
        call = replace(call, first_index=shared.next_index[key])
        shared.next_index[key] += size
        names = [f"s{shared.drawn + i}" for i in range(size)]
        shared.drawn += size
        left -= size
        flow = shared.purse.wave(
            call, ledger=compute.ledger, phase=phase, hold=hold, problem=problem, key=key,
            until=compute._deadline, on_delta=_named(shared.watch, names),
        )  # fmt: skip
        try:
            async with aclosing(flow) as draws:
                async for offset, draw in draws:
                    if draw.completion.ok:
                        shared.longest[whole] = max(shared.longest.get(whole, 0), draw.completion.completion_tokens)
                        ended += 1
                        yield names[offset], draw
                    else:
                        shared.failed.append(draw.completion)
        except TimeoutError:
            compute._stop(Stopped.SECONDS)
            _note_shortage(compute, ended, 1 if prefill else n)
            return


async def _fitting(compute: Compute, ask: Request, problem: Problem | None) -> tuple[Request, Hold] | None:
    """The request with as many draws as fit now, and their reservation.

    While others hold reservations that may give something back, it waits; None when nothing will ever fit.
    """
    while True:
        if compute._seconds_left() == 0:
            compute._stop(Stopped.SECONDS)
            return None
        bound = await compute._shared.purse.bound(compute.model, ask, problem)
        # from here to the reservation nothing may await: two askers must not see the same free tokens
        most = longest(ask)
        size = _largest(ask.n, lambda k, bound=bound, most=most: compute.ledger.blocker(bound(k, most)) is None)
        if size:
            return replace(ask, n=size), compute.ledger.reserve(bound(size, most))
        if compute.ledger.in_flight:
            await compute.ledger.freed()
            continue
        reason = compute.ledger.blocker(bound(1, most))
        # A first attempt cut to what a small budget holds is worth more than none. Later ones are let go with what is
        # left as their limit, where the attempts before show that they are likely to need less.
        first = not compute.candidates
        likely = _LEAST_TOKENS if first else _likely(compute, ask, problem)
        if reason is not Stopped.TOKENS or likely is None:
            compute._stop(reason or Stopped.TOKENS)
            return None
        left = compute.remaining.tokens or 0

        def holds(k: int, *, bound: Callable[[int, int], Spend] = bound, left: int = left, each: int = likely) -> bool:
            return left - bound(k, 0).tokens >= k * each

        size = 1 if first else _largest(ask.n, holds)
        room = (left - bound(size, 0).tokens) // max(size, 1)
        if size == 0 or room < likely:
            compute._stop(Stopped.TOKENS)
            return None
        if first:
            compute.note(f"The budget holds only {room} completion tokens; the attempt was cut to that.")
        ask = replace(ask, n=size, sampling=replace(ask.sampling, max_tokens=room))


def _likely(compute: Compute, ask: Request, problem: Problem | None) -> int | None:
    """Tokens that one more draw of a family is likely to need: the longest so far and a quarter. None: no draw yet."""
    longest_so_far = compute._shared.longest.get(Purse.key(compute.model, ask, problem))
    return None if longest_so_far is None else longest_so_far * 5 // 4 + 1


def _note_shortage(compute: Compute, drawn: int, n: int) -> None:
    """Say, once for a solve, that fewer attempts were made than asked for; of a step of one nothing is said."""
    if n > 1 and not compute._shared.short:
        compute._shared.short = True
        reason = "ended within the time" if compute.stopped is Stopped.SECONDS else "fitted the budget"
        compute.note(f"{drawn} of {n} attempts {reason}.")


def over(base: Sampling, over: Sampling | None) -> Sampling:
    """`base` with what is set in `over`."""
    if over is None:
        return base
    fresh = Sampling()
    changed = {name: getattr(over, name) for name in over.__slots__ if getattr(over, name) != getattr(fresh, name)}
    return replace(base, **changed)


def _named(watch: Watcher | None, names: list[str]) -> Callable[[Delta], None] | None:
    return None if watch is None else lambda delta: watch(names[delta.index], delta)


def _largest(n: int, fits: Callable[[int], bool]) -> int:
    """The largest k <= n that fits, by bisection; 0 if none."""
    if n and fits(n):  # nearly always
        return n
    low, high = 0, max(n - 1, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
