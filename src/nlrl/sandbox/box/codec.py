"""Plain data as bytes, and back to genuine standard objects. Neither side can make the other run anything.

    encode([1, "x"])                     -> b"l\\x02i\\x01\\x01s\\x01x"
    decode(b"l\\x02i\\x01\\x01s\\x01x")  -> [1, "x"]

Each value is a tag byte and its content; lengths are LEB128. What is not plain data (instances of the program's own
classes, generators, functions) leaves as a handle number through `export` and arrives through `resolve`. There is no
pickle here, nothing is looked up on the sender's word, and every length, depth and tag is checked: bytes that are
not an encoding raise `Malformed`. Shared parts are written once per mention, a value that contains itself is too deep.
"""

from __future__ import annotations

import array
import datetime
import functools
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from nlrl.sandbox.box.plain import NOT_PLAIN, base_value, named_fields, std_name, std_object

MAX_BYTES = 16 << 20  # one message; a test that needs more than this from one call is not a unit test
MAX_DEPTH = 200  # nesting; two Python frames a level stay below the recursion limit with room for the caller

Export = Callable[[Any], tuple[int, str]]  # something that is not plain -> (handle number, its type's name)
Own = Callable[[Any], int | None]  # the number of a handle that came from the other side, None for all else
Resolve = Callable[[bool, int, str], Any]  # (is it the receiver's own?, handle number, type's name) -> object

_FACTORIES = {kind.__name__: kind for kind in (int, float, str, bool, list, tuple, dict, set)}
_TYPECODES = "bBhHiIlLqQfd"
_KEYS = type({}.keys())


class Malformed(ValueError):
    """The bytes are not an encoding, or the value has none (not plain, too large, too deep)."""


def encode(
    value: Any, export: Export | None = None, own: Own = lambda value: None, limit_bytes: int = MAX_BYTES
) -> bytes:
    """The bytes of `value`. Without `export`, things that are not plain raise `Malformed`."""
    writer = _Writer(export, own, limit_bytes)
    writer.put(value, 0)
    return bytes(writer.out)


def decode(data: bytes, resolve: Resolve | None = None) -> Any:
    """The value of `data`, all of which must be used. Without `resolve`, handles raise `Malformed`."""
    reader = _Reader(data, resolve)
    try:
        value = reader.value(0)
    except Malformed:
        raise
    except Exception as error:  # a boundary: hostile bytes fail in any constructor (unhashable keys, bad dates, ...)
        raise Malformed(f"{type(error).__name__}: {error}") from None
    if reader.at != len(data):
        raise Malformed("bytes are left over")
    return value


class _Writer:
    def __init__(self, export: Export | None, own: Own, limit_bytes: int):
        self.out, self.export, self.own, self.limit = bytearray(), export, own, limit_bytes

    def put(self, x: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Malformed(f"the value is nested deeper than {MAX_DEPTH}, or contains itself")
        write = _WRITERS.get(type(x))
        if write is not None:
            write(self, x, depth)
        else:
            self.other(x, depth)
        if len(self.out) > self.limit:
            raise Malformed(f"the value takes more than {self.limit} bytes")

    def varint(self, n: int) -> None:
        while n > 127:
            self.out.append(n & 127 | 128)
            n >>= 7
        self.out.append(n)

    def raw(self, tag: bytes, data: bytes | bytearray) -> None:
        self.out += tag
        self.varint(len(data))
        self.out += data

    def text(self, tag: bytes, s: str) -> None:
        self.raw(tag, s.encode("utf-8", "surrogatepass"))

    def integer(self, x: int, depth: int) -> None:
        self.raw(b"i", x.to_bytes((x.bit_length() + 8) // 8, "little", signed=True))

    def items(self, tag: bytes, xs: Iterable[Any], n: int, depth: int) -> None:
        self.out += tag
        self.varint(n)
        for x in xs:
            self.put(x, depth + 1)

    def pairs(self, tag: bytes, x: dict[Any, Any], depth: int) -> None:
        self.items(tag, (part for pair in x.items() for part in pair), len(x), depth)

    def unordered(self, tag: bytes, xs: Iterable[Any], n: int, depth: int) -> None:
        self.out += tag
        self.varint(n)
        start = len(self.out)
        parts: list[bytes] = []
        for x in xs:
            before = len(self.out)
            self.put(x, depth + 1)
            parts.append(bytes(self.out[before:]))
        self.out[start:] = b"".join(sorted(parts))  # equal sets have equal bytes

    def fields(self, tag: bytes, depth: int, *xs: Any) -> None:
        self.out += tag
        for x in xs:
            self.put(x, depth + 1)

    def default_dict(self, x: defaultdict[Any, Any], depth: int) -> None:
        factory = x.default_factory
        name = next((name for name, f in _FACTORIES.items() if f is factory), "")  # another factory stays behind
        self.fields(b"E", depth, name, dict(x))

    def date_time(self, x: datetime.datetime, depth: int) -> None:
        parts = (x.year, x.month, x.day, x.hour, x.minute, x.second, x.microsecond)
        self.fields(b"W", depth, *parts, None if x.tzinfo is None else x.utcoffset(), x.fold)

    def other(self, x: Any, depth: int) -> None:
        if (number := self.own(x)) is not None:
            self.out += b"G"
            self.varint(number)
        elif (where := std_name(x)) is not None:
            self.text(b"P", where)
        elif (named := named_fields(x)) is not None:
            self.fields(b"n", depth, *named)
        elif (value := base_value(x)) is not NOT_PLAIN:
            self.put(value, depth)
        elif self.export is None:
            raise Malformed(f"{type(x).__name__} is not plain data")
        else:
            number, name = self.export(x)
            self.out += b"H"
            self.varint(number)
            self.text(b"", name)


_WRITERS: dict[type, Callable[[_Writer, Any, int], Any]] = {
    type(None): lambda w, x, d: w.out.extend(b"N"),
    bool: lambda w, x, d: w.out.extend(b"T" if x else b"F"),
    type(...): lambda w, x, d: w.out.extend(b"."),
    int: _Writer.integer,
    float: lambda w, x, d: w.out.extend(b"d" + struct.pack("<d", x)),
    complex: lambda w, x, d: w.out.extend(b"c" + struct.pack("<dd", x.real, x.imag)),
    str: lambda w, x, d: w.text(b"s", x),
    bytes: lambda w, x, d: w.raw(b"b", x),
    bytearray: lambda w, x, d: w.raw(b"B", x),
    list: lambda w, x, d: w.items(b"l", x, len(x), d),
    tuple: lambda w, x, d: w.items(b"t", x, len(x), d),
    set: lambda w, x, d: w.unordered(b"S", x, len(x), d),
    frozenset: lambda w, x, d: w.unordered(b"Z", x, len(x), d),
    dict: lambda w, x, d: w.pairs(b"D", x, d),
    OrderedDict: lambda w, x, d: w.pairs(b"O", x, d),
    Counter: lambda w, x, d: w.pairs(b"C", x, d),
    defaultdict: _Writer.default_dict,
    _KEYS: lambda w, x, d: w.items(b"K", x, len(x), d),
    deque: lambda w, x, d: w.fields(b"Q", d, list(x), x.maxlen),
    array.array: lambda w, x, d: w.fields(b"A", d, x.typecode, x.tolist()),
    range: lambda w, x, d: w.fields(b"r", d, x.start, x.stop, x.step),
    slice: lambda w, x, d: w.fields(b"x", d, x.start, x.stop, x.step),
    Fraction: lambda w, x, d: w.fields(b"q", d, x.numerator, x.denominator),
    Decimal: lambda w, x, d: w.text(b"m", str(x)),
    datetime.timedelta: lambda w, x, d: w.fields(b"w", d, x.days, x.seconds, x.microseconds),
    datetime.datetime: _Writer.date_time,
    datetime.date: lambda w, x, d: w.fields(b"y", d, x.year, x.month, x.day),
    datetime.time: lambda w, x, d: w.fields(b"h", d, x.hour, x.minute, x.second, x.microsecond),
}


class _Reader:
    def __init__(self, data: bytes, resolve: Resolve | None):
        self.data, self.at, self.resolve = data, 0, resolve

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Malformed(f"nested deeper than {MAX_DEPTH}")
        read = _READERS.get(self.take(1))
        if read is None:
            raise Malformed("an unknown tag")
        return read(self, depth)

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise Malformed("cut short")
        self.at += n
        return self.data[self.at - n : self.at]

    def varint(self) -> int:
        n = shift = 0
        while shift <= 35:
            byte = self.take(1)[0]
            n |= (byte & 127) << shift
            if byte < 128:
                return n
            shift += 7
        raise Malformed("a length is too long")

    def raw(self) -> bytes:
        return self.take(self.varint())

    def text(self) -> str:
        return self.raw().decode("utf-8", "surrogatepass")

    def items(self, depth: int, per: int = 1) -> list[Any]:
        n = self.varint() * per
        if n > len(self.data) - self.at:  # each item takes at least one byte
            raise Malformed("a length is too long")
        return [self.value(depth + 1) for _ in range(n)]

    def pairs(self, depth: int) -> Iterable[tuple[Any, Any]]:
        flat = self.items(depth, 2)
        return zip(flat[::2], flat[1::2], strict=True)

    def typed(self, depth: int, *kinds: type) -> Any:
        value = self.value(depth + 1)
        if type(value) not in kinds:
            raise Malformed(f"a {type(value).__name__} where {kinds[0].__name__} belongs")
        return value

    def ints(self, depth: int, n: int) -> list[int]:
        return [self.typed(depth, int) for _ in range(n)]

    def default_dict(self, depth: int) -> Any:
        name = self.typed(depth, str)
        return defaultdict(_FACTORIES.get(name), self.typed(depth, dict))

    def array(self, depth: int) -> Any:
        code = self.typed(depth, str)
        if len(code) != 1 or code not in _TYPECODES:
            raise Malformed("an unknown array type")
        return array.array(code, self.typed(depth, list))

    def date_time(self, depth: int) -> Any:
        year, month, day, hour, minute, second, microsecond = self.ints(depth, 7)
        offset = self.typed(depth, datetime.timedelta, type(None))
        zone = None if offset is None else datetime.timezone(offset)
        fold = self.typed(depth, int)
        return datetime.datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)

    def time(self, depth: int) -> Any:
        hour, minute, second, microsecond = self.ints(depth, 4)
        return datetime.time(hour, minute, second, microsecond)

    def named_tuple(self, depth: int) -> Any:
        name, fields, values = self.typed(depth, str), self.typed(depth, tuple), self.typed(depth, tuple)
        return _named_type(name, fields)(*values)

    def std(self, depth: int) -> Any:
        found = std_object(self.text())
        if found is NOT_PLAIN:
            raise Malformed("something that may not travel by name")
        return found

    def handle(self, own: bool) -> Any:
        number, name = self.varint(), "" if own else self.text()
        if self.resolve is None:
            raise Malformed("a handle where only plain data belongs")
        return self.resolve(own, number, name[:80])


@functools.lru_cache(maxsize=64)
def _named_type(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)  # checks that every name is an identifier


_READERS: dict[bytes, Callable[[_Reader, int], Any]] = {
    b"N": lambda r, d: None,
    b"T": lambda r, d: True,
    b"F": lambda r, d: False,
    b".": lambda r, d: ...,
    b"i": lambda r, d: int.from_bytes(r.raw(), "little", signed=True),
    b"d": lambda r, d: struct.unpack("<d", r.take(8))[0],
    b"c": lambda r, d: complex(*struct.unpack("<dd", r.take(16))),
    b"s": lambda r, d: r.text(),
    b"b": lambda r, d: r.raw(),
    b"B": lambda r, d: bytearray(r.raw()),
    b"l": lambda r, d: r.items(d),
    b"t": lambda r, d: tuple(r.items(d)),
    b"S": lambda r, d: set(r.items(d)),
    b"Z": lambda r, d: frozenset(r.items(d)),
    b"D": lambda r, d: dict(r.pairs(d)),
    b"O": lambda r, d: OrderedDict(r.pairs(d)),
    b"C": lambda r, d: Counter(dict(r.pairs(d))),
    b"E": _Reader.default_dict,
    b"K": lambda r, d: dict.fromkeys(r.items(d)).keys(),
    b"Q": lambda r, d: deque(r.typed(d, list), r.typed(d, int, type(None))),
    b"A": _Reader.array,
    b"r": lambda r, d: range(*r.ints(d, 3)),
    b"x": lambda r, d: slice(r.value(d + 1), r.value(d + 1), r.value(d + 1)),
    b"q": lambda r, d: Fraction(*r.ints(d, 2)),
    b"m": lambda r, d: Decimal(r.text()),
    b"w": lambda r, d: datetime.timedelta(*r.ints(d, 3)),
    b"W": _Reader.date_time,
    b"y": lambda r, d: datetime.date(*r.ints(d, 3)),
    b"h": _Reader.time,
    b"n": _Reader.named_tuple,
    b"P": _Reader.std,
    b"H": lambda r, d: r.handle(False),
    b"G": lambda r, d: r.handle(True),
}
