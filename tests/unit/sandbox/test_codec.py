"""The codec's laws: what is plain comes back equal and of the same type; nothing else comes through at all."""

from __future__ import annotations

import array
import contextlib
import datetime
import enum
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.sandbox.box.codec import MAX_DEPTH, Malformed, decode, encode

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))  # lone surrogates included
    | st.binary()
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(datetime.UTC))
    | st.timedeltas(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
plain = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.lists(inner, max_size=3).map(deque)
        | st.dictionaries(hashable, inner, max_size=3).map(OrderedDict)
        | st.lists(hashable, max_size=4).map(Counter)
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(plain)
def test_plain_data_comes_back_equal_and_of_the_same_type(value: object) -> None:
    back = decode(encode(value))
    assert type(back) is type(value)
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, (set, frozenset, Counter, dict, list, tuple, deque))


@settings(max_examples=60, deadline=None)
@given(plain)
def test_the_same_value_has_the_same_bytes_after_a_round_trip(value: object) -> None:
    data = encode(value)
    assert encode(decode(data)) == data


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(data)


@settings(max_examples=60, deadline=None)
@given(plain, st.data())
def test_damaged_encodings_decode_or_are_malformed(value: object, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        decode(bytes(encoded))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**5000, id="huge"),
        -(2**63),
        range(3, 10, 2),
        slice(1, None, 2),
        bytearray(b"ab"),
        array.array("d", [1.5, 2.5]),
        defaultdict(list, {1: [2]}),
        deque([1, 2], 3),
        Fraction(-3, 7),
        Decimal("1.50"),
        datetime.time(1, 2, 3),
        ...,
        len,
        math.isclose,
        int,
        ValueError,
        math,
    ],
)
def test_odd_plain_values(value: object) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)
    assert getattr(back, "default_factory", None) is getattr(value, "default_factory", None)
    assert getattr(back, "maxlen", None) == getattr(value, "maxlen", None)


def test_special_floats() -> None:
    nan, inf, zero = decode(encode([math.nan, -math.inf, -0.0]))
    assert math.isnan(nan)
    assert inf == -math.inf
    assert math.copysign(1, zero) == -1


def test_dict_keys_and_named_tuples() -> None:
    assert decode(encode({1: 2, 3: 4}.keys())) == {1, 3}
    point = decode(encode(namedtuple("Point", "x y")(1, [2])))
    assert (point.x, point.y, point) == (1, [2], (1, [2]))


def test_a_subclass_is_its_base_value_and_its_own_methods_have_no_say() -> None:
    class Always(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __int__(self) -> int:
            return 99

        __hash__ = int.__hash__

    class Text(str):
        def __iter__(self):
            raise RuntimeError

    class Color(enum.IntEnum):
        RED = 3

    assert decode(encode([Always(3), Text("ab"), Color.RED])) == [3, "ab", 3]
    assert [type(x) for x in decode(encode([Always(3), Text("ab"), Color.RED]))] == [int, str, int]


def test_an_object_with_methods_is_not_plain() -> None:
    class Stack(list):  # type: ignore[type-arg]
        def push(self, x: object) -> None:
            self.append(x)

    for value in (Stack(), object(), lambda: 1, (x for x in ()), open, eval):
        with pytest.raises(Malformed, match="is not plain data"):
            encode([value])


def test_too_deep_too_large_and_circular_values() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    circle: list[object] = []
    circle.append(circle)
    laughs: list[object] = ["ha"] * 10
    for _ in range(30):
        laughs = [laughs] * 10
    for value in (deep, circle):
        with pytest.raises(Malformed, match="nested deeper"):
            encode(value)
    with pytest.raises(Malformed, match="more than"):
        encode(laughs, limit_bytes=10**5)
    with pytest.raises(Malformed):
        decode(b"l\x01" * 5000 + b"N")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"NN",
        b"i\x05\x01",
        b"l\xff\xff\xff\xff\x0f",
        b"l\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"S\x01l\x00",  # a list in a set
        b"P\x0dbuiltins.eval",
        b"P\x0dbuiltins.open",
        b"P\x09os.system",
        b"P\x02os",
        b"P\x12operator.__import",
        b"H\x00\x00",
        b"G\x00",
        b"n" + encode("X") + encode(("a=1",)) + encode((1,)),
        b"n" + encode("X") + encode(("_a",)) + encode((1,)),
        b"n" + encode("X") + encode(("a",)) + encode((1, 2)),
        b"r" + encode(1) + encode(2) + encode(0),
        b"q" + encode(1) + encode(0),
        b"y" + encode(2024) + encode(13) + encode(1),
        b"m\x03abc",
        b"A" + encode("u") + encode([]),
        b"r" + encode(1.0) + encode(2) + encode(1),
    ],
)
def test_nonsense_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)
