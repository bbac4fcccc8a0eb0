import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.cli.budgets import format_budget, parse_budget
from nlrl.core import Budget, UnknownName, UserError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("tokens=4000", Budget(tokens=4000)),
        ("tokens=4k", Budget(tokens=4000)),
        (" tokens = 1.5M , calls=16 ", Budget(tokens=1_500_000, calls=16)),
        ("tokens=4_000", Budget(tokens=4000)),
        ("seconds=2m", Budget(seconds=120)),
        ("seconds=500ms", Budget(seconds=0.5)),
        ("seconds=1h,cost=.05", Budget(seconds=3600, cost=0.05)),
        ("flops=1e12", Budget(flops=1e12)),
        ("flops=2T", Budget(flops=2e12)),
        ("", Budget()),
        (None, Budget()),
        ("tokens=5,", Budget(tokens=5)),
    ],
)
def test_reads(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4000", "not of the form name=amount"),
        ("tokens=", "Cannot read tokens="),
        ("tokens=many", "Cannot read tokens="),
        ("tokens=4m", "Cannot read tokens="),  # a million? a thousandth? ask
        ("seconds=4k", "Cannot read seconds="),
        ("tokens=-1", "positive"),
        ("tokens=0", "zero tokens buys nothing"),
        ("calls=0.4", "zero calls buys nothing"),
        ("seconds=0", "zero seconds buys nothing"),
        ("tokens=nan", "Cannot read"),
        ("tokens=1e999", "positive number"),
        ("tokens=5,tokens=6", "twice"),
        ("tokens==5", "Cannot read"),
        ("tokens=" + "9" * 100_000, "positive number"),
    ],
)
def test_refuses_with_the_reason(text, says):
    with pytest.raises(UserError, match=says) as refusal:
        parse_budget(text)
    assert len(str(refusal.value)) < 300


def test_unknown_resource_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean: tokens"):
        parse_budget("tokns=5")


_counts = st.none() | st.integers(1, 10**12)
_amounts = st.none() | st.floats(1e-6, 1e18)


@given(st.builds(Budget, tokens=_counts, calls=_counts, flops=_amounts, seconds=_amounts, cost=_amounts))
def test_printing_loses_nothing(budget):
    assert parse_budget(format_budget(budget)) == budget


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(UserError):
        parse_budget(text)
