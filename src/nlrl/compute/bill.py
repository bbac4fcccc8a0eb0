"""What calls cost: the bill of draws that shared a prompt, FLOPs and money, and the upper bound before they go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nlrl.bank.samples import Cancelled, Draw
from nlrl.core import Capabilities, Model, Request, Spend

_LEAST_TOKENS = 8  # the shortest completion worth asking for when the budget is nearly spent
DEFAULT_MAX_TOKENS = 512  # a reservation needs an upper bound, so a request never goes out without one


def bill(model: Model, draws: Sequence[Draw], cancelled: Sequence[Cancelled] = ()) -> Spend:
    """What one wave costs: its prompt once if the draws shared it, and every generated token.

    cancelled: draws that were begun and not taken
    """
    length = max((d.completion.prompt_tokens for d in draws), default=0)
    each = [d.completion for d in draws]
    lost = sum(c.lost_completion_tokens for c in each)
    if any(d.shared for d in draws):
        prompt = length * (1 + sum(d.prompts for d in draws))
        cached = max(c.cached_tokens for c in each)
    else:
        prompt = sum(c.prompt_tokens for c in each) + length * len(cancelled)
        cached = sum(c.cached_tokens for c in each)
    prompt += sum(c.lost_prompt_tokens for c in each)
    thrown_away = sum(c.tokens for c in cancelled)
    return price(
        model.can,
        Spend(
            calls=sum(c.calls for c in each) + len(cancelled),
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=sum(c.completion_tokens for c in each) + thrown_away + lost,
            cancelled_tokens=thrown_away + lost,
            seconds=sum(c.seconds for c in each),
            estimated_tokens=sum(c.estimated_tokens for c in each) + sum(c.estimated_tokens for c in cancelled),
        ),
    )


def price(can: Capabilities, spend: Spend) -> Spend:
    """`spend` with FLOPs (2 per parameter and uncached token: Kaplan et al. 2020) and money filled in."""
    if not can.prices and not can.parameters:
        return spend  # replays do this a million times
    fresh = spend.prompt_tokens - spend.cached_tokens
    cost = 0.0
    if can.prices:
        cached_price = can.prices.cached_per_million
        if cached_price is None:
            cached_price = can.prices.prompt_per_million
        cost = (
            fresh * can.prices.prompt_per_million
            + spend.cached_tokens * cached_price
            + spend.completion_tokens * can.prices.completion_per_million
        ) / 1e6
    return replace(spend, flops=2.0 * (can.parameters or 0) * (fresh + spend.completion_tokens), cost=cost)


def with_max_tokens(request: Request) -> Request:
    """`request` with an upper bound on its length."""
    if request.sampling.max_tokens is not None:
        return request
    return replace(request, sampling=replace(request.sampling, max_tokens=DEFAULT_MAX_TOKENS))


def longest(request: Request) -> int:
    """The most tokens that one draw of the request can have."""
    return request.sampling.max_tokens or DEFAULT_MAX_TOKENS


def largest(n: int, fits: Callable[[int], bool]) -> int:
    """The largest k <= n that fits, by bisection; 0 if none."""
    if n and fits(n):  # nearly always
        return n
    low, high = 0, max(n - 1, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def cut_short(wave: Request, bound: Callable[[int, int], Spend], left: int, seen: int) -> Request | None:
    """The request with a shorter limit on its draws, for when `left` tokens do not hold one of full length; None if
    that is not worth it.

    seen  tokens of the longest draw so far: as many draws go out as are likely to need no more than that and a quarter;
          0 before the first draw: then it is one, with all that there is
    """
    likely = seen * 5 // 4 + 1 if seen else _LEAST_TOKENS
    size = largest(wave.n, lambda k: left - bound(k, 0).tokens >= k * likely) if seen else 1
    room = (left - bound(size, 0).tokens) // max(size, 1)
    if size == 0 or room < likely:
        return None
    return replace(wave, n=size, sampling=replace(wave.sampling, max_tokens=room))
