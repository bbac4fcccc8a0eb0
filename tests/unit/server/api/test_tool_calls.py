"""Tool calls as equivalence classes: names and arguments count, their spelling does not."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.server.api.raw_chat import digest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(st.tuples(st.sampled_from(["get", "set"]), st.dictionaries(st.text(max_size=4), VALUES, max_size=3)))


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{random.random()}", "type": "function", "function": {"name": name, "arguments": arguments}}


def respelt(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, respelt(inner, dice)) for key, inner in value.items()]
        dice.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [respelt(inner, dice) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and dice.random() < 0.5:
        return float(value)
    return value


@given(CALLS, st.integers(0, 2**32))
def test_another_spelling_in_another_order_is_the_same(calls: list[tuple[str, Any]], seed: int) -> None:
    dice = random.Random(seed)
    one = [call(name, json.dumps(arguments)) for name, arguments in calls]
    two = [call(name, json.dumps(respelt(arguments, dice), indent=dice.choice([None, 2]))) for name, arguments in calls]
    dice.shuffle(two)
    assert digest(one) == digest(two)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [call("set", '{"a": 1}')],
        [call("get", '{"a": 2}')],
        [call("get", '{"a": "1"}')],
        [call("get", '{"a": true}')],
        [call("get", '{"a": 1}'), call("get", '{"a": 1}')],
        [call("get", "not json")],
        [call("get", "")],
        [{"id": "x"}],
        ["text"],
        [None],
    ],
)
def test_another_call_is_another_class(other: list[Any]) -> None:
    assert digest(other) != digest([call("get", '{"a": 1}')])
