import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.compute import Ledger
from nlrl.core import Budget, Phase, Spend, Stopped


def spend(tokens: int, calls: int = 1) -> Spend:
    return Spend(calls=calls, completion_tokens=tokens)


def test_reservations_count_until_they_are_settled():
    ledger = Ledger(Budget(tokens=100))
    hold = ledger.reserve(spend(80))
    assert ledger.blocker(spend(30)) is Stopped.TOKENS
    assert ledger.remaining.tokens == 20
    ledger.settle(hold, Phase.SAMPLE, spend(10))
    assert ledger.remaining.tokens == 90
    assert ledger.blocker(spend(90)) is None
    assert ledger.blocker(spend(91)) is Stopped.TOKENS


def test_settling_twice_charges_once():
    ledger = Ledger()
    hold = ledger.reserve(spend(5))
    ledger.settle(hold, Phase.SAMPLE, spend(5))
    ledger.settle(hold, Phase.SAMPLE, spend(5))
    assert ledger.total.tokens == 5


def test_a_child_charges_its_parent_and_is_bound_by_both():
    parent = Ledger(Budget(tokens=100))
    child = Ledger(Budget(tokens=70, calls=2), parent=parent)
    child.settle(child.reserve(spend(60)), Phase.VERIFY, spend(60))
    assert parent.phases[Phase.VERIFY].tokens == 60
    assert child.remaining == Budget(tokens=10, calls=1)
    parent.settle(parent.reserve(spend(35)), Phase.SAMPLE, spend(35))
    assert child.remaining.tokens == 5
    assert child.blocker(spend(6)) is Stopped.TOKENS


@pytest.mark.parametrize("field", ["tokens", "calls", "flops", "seconds", "cost"])
@pytest.mark.parametrize("bad", [-1, float("nan")])
def test_a_budget_must_be_zero_or_more(field, bad):
    with pytest.raises(ValueError, match=field):
        Budget(**{field: bad})


def test_freed_wakes_whoever_waits_for_the_parents_reservation():
    async def scene():
        parent = Ledger(Budget(tokens=10))
        child = Ledger(parent=parent)
        hold = parent.reserve(spend(10))
        waiting = asyncio.create_task(child.freed())
        await asyncio.sleep(0)
        assert not waiting.done()
        parent.settle(hold, Phase.SAMPLE, spend(1))
        await asyncio.wait_for(waiting, 1)

    asyncio.run(scene())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60), st.integers(0, 300))
def test_law_never_over_budget_whatever_is_in_flight(wishes, limit):
    """Reservations that fit, settled at or under their bound in any order, never pass the limit."""
    ledger = Ledger(Budget(tokens=limit))
    open_holds = []
    for bound, actual in wishes:
        if ledger.blocker(spend(bound)) is None:
            open_holds.append((ledger.reserve(spend(bound)), min(actual, bound)))
        elif open_holds:
            hold, cost = open_holds.pop(0)
            ledger.settle(hold, Phase.SAMPLE, spend(cost))
        assert ledger.total.tokens + sum(h.bound.tokens for h, _ in open_holds) <= limit
    for hold, cost in open_holds:
        ledger.settle(hold, Phase.SAMPLE, spend(cost))
    assert ledger.total.tokens <= limit
    assert not ledger.in_flight
