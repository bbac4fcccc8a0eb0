"""What calls cost, by hand; and what becomes of draws that a stream never brings."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from nlrl.bank import Draw
from nlrl.bank.samples import Cancelled
from nlrl.compute import Compute
from nlrl.compute.bill import bill, largest, longest, price, with_max_tokens
from nlrl.compute.session import over
from nlrl.core import (
    Capabilities,
    Completion,
    Delta,
    Finish,
    Prices,
    Problem,
    Request,
    Sampling,
    Spend,
    Stopped,
    TaskType,
)
from nlrl.testing.scripted import ScriptedModel

SUM = Problem("What is 17 + 25?", "42", TaskType.MATH)


class Can:
    def __init__(self, **can):
        self.can = Capabilities(**can)


def draw(tokens, prompt=20, cached=0, shared=True, lost=(0, 0), seconds=0.5, prompts=0, estimated=0, calls=1):
    c = Completion("", Finish.STOP, tokens, prompt, cached, seconds=seconds, estimated_tokens=estimated, calls=calls)
    return Draw(replace(c, lost_prompt_tokens=lost[0], lost_completion_tokens=lost[1]), shared, prompts=prompts)


@pytest.mark.parametrize(
    ("draws", "cancelled", "spent"),
    [
        ([], [], Spend()),
        ([draw(5), draw(7)], [], Spend(2, 20, 0, 12, 0, seconds=1.0)),
        ([draw(5, 20, 8), draw(7, 19, 9)], [], Spend(2, 20, 9, 12, 0, seconds=1.0)),
        ([draw(5), draw(7, prompts=1)], [], Spend(2, 40, 0, 12, 0, seconds=1.0)),  # given in two goes: read twice
        ([draw(5)], [3, 4], Spend(3, 20, 0, 12, 7, seconds=0.5)),  # a shared prompt once, whoever was cancelled
        # each its own call: the prompts of cancelled draws were read too
        ([draw(5, 20, 8, shared=False), draw(7, 20, 9, shared=False)], [], Spend(2, 40, 17, 12, 0, seconds=1.0)),
        ([draw(5, 20, shared=False), draw(7, 18, shared=False)], [3, 4], Spend(4, 78, 0, 19, 7, seconds=1.0)),
        ([draw(5, lost=(20, 6), calls=2), draw(7, lost=(0, 1))], [], Spend(3, 40, 0, 19, 7, seconds=1.0)),
        ([draw(5, lost=(20, 6), shared=False)], [2], Spend(2, 60, 0, 13, 8, seconds=0.5)),
        ([], [3, 4], Spend(2, 0, 0, 7, 7)),
        ([draw(5, estimated=25)], [(3, 2), (4, 0)], Spend(3, 20, 0, 12, 7, seconds=0.5, estimated_tokens=27)),
    ],
)
def test_a_wave_by_hand(draws, cancelled, spent):
    begun = [Cancelled(*c) if isinstance(c, tuple) else Cancelled(c) for c in cancelled]
    assert bill(Can(), draws, begun) == spent


def test_flops_and_money_by_hand():
    spend = Spend(1, 100, 40, 30, 10)
    assert price(Can().can, spend) is spend
    assert price(Capabilities(parameters=1000), spend) == replace(spend, flops=2 * 1000 * (60 + 30))
    prices = Prices(2.0, 10.0, 0.5)
    assert price(Capabilities(prices=prices), spend).cost == pytest.approx((60 * 2 + 40 * 0.5 + 30 * 10) / 1e6)
    whole = price(Capabilities(prices=replace(prices, cached_per_million=None)), spend)
    assert whole.cost == pytest.approx((100 * 2 + 30 * 10) / 1e6) and whole.flops == 0
    free = price(Capabilities(prices=replace(prices, cached_per_million=0.0)), spend)
    assert free.cost == pytest.approx((60 * 2 + 30 * 10) / 1e6)


def test_no_request_goes_out_without_a_bound():
    bare = Request(())
    assert (longest(bare), with_max_tokens(bare).sampling.max_tokens) == (512, 512)
    set_ = Request((), Sampling(max_tokens=7))
    assert longest(set_) == 7 and with_max_tokens(set_) is set_


def test_what_is_set_goes_over_what_was_set():
    base = Sampling(temperature=0.8, max_tokens=9, stop=("x",))
    assert over(base, None) is base
    assert over(base, Sampling(temperature=0.0, seed=3)) == Sampling(temperature=0.0, max_tokens=9, stop=("x",), seed=3)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 100])
@pytest.mark.parametrize("most", [0, 1, 5, 7, 8, 1000])
def test_the_most_draws_that_fit(n, most):
    asked = []

    def fits(k):
        asked.append(k)
        return k <= most

    assert largest(n, fits) == min(n, most)
    assert len(asked) <= 9 and all(1 <= k <= n for k in asked)


class Short(ScriptedModel):
    """A stream that ends after its first draw, and whose engine tells what it had generated for the others."""

    def __init__(self):
        super().__init__(["Final Answer: 42"], cycle=True)

    def stream(self, request):
        return _First(super().stream(request))


class _First:
    def __init__(self, inner):
        self._inner = inner

    def cut(self):
        return {1: Completion("", Finish.CANCELLED, 5)}

    def __aiter__(self):
        return self

    async def __anext__(self):
        while True:
            delta = await self._inner.__anext__()
            if delta.index == 0:
                return delta

    async def aclose(self):
        await self._inner.aclose()


def test_a_draw_that_never_came_is_a_failure_and_no_attempt():
    async def job():
        compute = Compute(Short())
        return await compute.sample(SUM, 3), compute

    attempts, compute = asyncio.run(job())
    assert [c.id for c in attempts] == ["s0"] == [c.id for c in compute.candidates]
    assert [c.finish for c in compute.failed] == [Finish.ERROR] * 2
    assert {c.error for c in compute.failed} == {"the model's stream ended without this draw"}
    answer = compute.answer(attempts[0])
    assert any(note.startswith("2 of 3 draws failed (2 x the model's stream ended") for note in answer.notes)
    assert answer.stopped is Stopped.DONE
    # what the engine says that it generated for a lost draw is paid for
    assert compute.ledger.paid.completion_tokens == attempts[0].completion.completion_tokens + 5


def test_who_watches_hears_each_attempt_under_its_name():
    heard = {}

    async def job():
        compute = Compute(
            ScriptedModel(lambda r, i: f"Final Answer: {i}"),
            watch=lambda name, delta: heard.setdefault(name, []).append(delta),
        )
        await compute.sample(SUM, 2)
        return await compute.sample(SUM, 2)

    later = asyncio.run(job())
    assert [c.id for c in later] == ["s2", "s3"]
    said = {name: "".join(d.text for d in deltas) for name, deltas in heard.items()}
    assert said == {f"s{i}": f"Final Answer: {i}" for i in range(4)}
    assert all(isinstance(d, Delta) and d.index == int(name[1]) % 2 for name, ds in heard.items() for d in ds)


class Uncounted(ScriptedModel):
    """A server that says how long a prompt was only afterwards."""

    async def count_prompt_tokens(self, messages, prefill=""):
        return None


def test_a_prompt_is_bounded_by_its_bytes_until_its_length_is_known():
    async def job():
        model = Uncounted(["Final Answer: 42"], cycle=True)
        compute = Compute(model, sampling=Sampling(max_tokens=10))
        before = await compute.bound(SUM, 3)
        (attempt,) = await compute.sample(SUM, 1)
        return before, await compute.bound(SUM, 3), attempt.completion.prompt_tokens, compute.prompt(SUM)

    before, after, length, messages = asyncio.run(job())
    assert before == Spend(3, sum(len(m.content.encode()) for m in messages) + 32 * len(messages) + 128, 0, 30)
    assert after == Spend(3, length, 0, 30) and 0 < length < before.prompt_tokens
