"""The judge's end against a worker that answers what it likes: a value, an exception, or the channel is broken."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.sandbox.box.channel import Broken, Channel, Gone
from nlrl.sandbox.box.codec import encode
from nlrl.sandbox.box.remote import Peer, Remote, describe

HANDLE = b"H\x07\x04Node"


def frame(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def ok(value: bytes, changed: bytes | None = None) -> bytes:
    return frame(encode(("ok", value, changed)))


@pytest.fixture
def wire() -> Iterator[tuple[Peer, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Peer(Channel(ours)), theirs


def test_a_value_and_a_handle(wire: tuple[Peer, socket.socket]) -> None:
    peer, worker = wire
    worker.sendall(ok(encode([1])) + ok(HANDLE) + ok(HANDLE))
    assert peer.named("x") == [1]
    node = peer.named("node")
    assert isinstance(node, Remote)
    assert describe(node) == "<Node of the program>"
    assert peer.named("node") is node


def test_a_handle_is_equal_to_itself_only_and_has_no_order_and_no_arithmetic(wire: tuple[Peer, socket.socket]) -> None:
    peer, worker = wire
    worker.sendall(ok(HANDLE) + ok(b"H\x08\x04Node"))
    one, other = peer.named("a"), peer.named("b")
    worker.close()  # from here on, asking would raise Gone
    assert one == one
    assert one != other
    assert one != 1
    assert one != 1
    assert len({one, other}) == 2
    for act in (
        lambda: one < 1,
        lambda: 1 in one,
        lambda: one + 1,
        lambda: 1 - one,
        lambda: abs(one),
        lambda: sorted([one, other]),
    ):
        with pytest.raises(TypeError):
            act()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", 0xFFFFFFFF),
        frame(b""),
        frame(b"N"),
        frame(encode(("what",))),
        frame(encode((1, 2))),
        frame(encode(("ok", 5, None))),
        frame(encode(("ok", b"", None))),
        frame(encode(("ok", b"P\x0dbuiltins.eval", None))),
        frame(encode(("ok", b"G\x00", None))),
        frame(encode(("raise", "ValueError"))),
        frame(encode(("raise", "ValueError", "ValueError", encode(()), "", "", b"P\x0dbuiltins.eval"))),
        frame(encode(("ask", "eval", encode(())))),
        frame(encode(("ask", "input", encode(([],))))),
        frame(encode(("print", "stdin", "x"))),
        frame(encode(("callback", 0, encode(((), {}))))),
        frame(encode(("callback", 0, b"N"))),
        frame(encode(("ok", encode(1), encode((1, 2, 3))))),
    ],
)
def test_nonsense_breaks_the_channel_for_good(wire: tuple[Peer, socket.socket], data: bytes) -> None:
    peer, worker = wire
    worker.sendall(data + ok(encode(1)))
    for _ in range(2):
        with pytest.raises(Broken):
            peer.named("f")
    assert isinstance(peer.broken, Broken)


def test_hanging_up(wire: tuple[Peer, socket.socket]) -> None:
    peer, worker = wire
    worker.sendall(b"\x05\x00\x00\x00ab")
    worker.close()
    for _ in range(2):
        with pytest.raises(Gone):
            peer.named("f")


def test_neither_is_an_exception_that_a_test_could_swallow() -> None:
    assert not issubclass(Gone, Exception)
    assert not issubclass(Broken, Exception)


@pytest.mark.parametrize(
    ("base", "args", "expected"),
    [
        ("ValueError", ("a", 1), ValueError),
        ("KeyError", ("k",), KeyError),
        ("SystemExit", (0,), RuntimeError),
        ("KeyboardInterrupt", (), RuntimeError),
        ("GeneratorExit", (), RuntimeError),
        ("StopIteration", (), RuntimeError),
        ("UnicodeDecodeError", ("x",), RuntimeError),
        ("ExceptionGroup", ("x", []), RuntimeError),
        ("print", (), RuntimeError),
        ("__import__", ("os",), RuntimeError),
        ("no such", (), RuntimeError),
    ],
)
def test_exceptions(
    wire: tuple[Peer, socket.socket], base: str, args: tuple[Any, ...], expected: type[Exception]
) -> None:
    peer, worker = wire
    worker.sendall(frame(encode(("raise", base, "Own", encode(args), "said", "", None))))
    with pytest.raises(expected) as caught:
        peer.named("f")
    assert type(caught.value) is expected
    assert caught.value.from_program == "Own: said"  # type: ignore[attr-defined]
    assert peer.broken is None


def test_an_iterator_may_stop(wire: tuple[Peer, socket.socket]) -> None:
    peer, worker = wire
    stop = frame(encode(("raise", "StopIteration", "StopIteration", encode(()), "", "", None)))
    worker.sendall(ok(HANDLE) + ok(b"H\x08\x08iterator") + ok(encode(1)) + ok(encode(2)) + stop)
    numbers = iter(peer.named("f"))
    assert [next(numbers), next(numbers), next(numbers, "end")] == [1, 2, "end"]


def test_a_lent_function_is_called_with_plain_data_only(wire: tuple[Peer, socket.socket]) -> None:
    peer, worker = wire
    seen: list[object] = []
    call = frame(encode(("callback", 0, encode(((1, [2]), {})))))
    worker.sendall(ok(HANDLE) + call + ok(encode("done")))
    assert peer.named("f")(lambda *xs: seen.extend(xs) or len(xs)) == "done"
    assert seen == [1, [2]]


def test_length_truth_and_text_must_be_what_they_are(wire: tuple[Peer, socket.socket]) -> None:
    peer, worker = wire
    worker.sendall(ok(HANDLE) + ok(encode("many")) + ok(encode(5)) + ok(encode(1)))
    node = peer.named("f")
    with pytest.raises(TypeError, match="no number"):
        len(node)
    with pytest.raises(TypeError, match="no string"):
        str(node)
    assert not node  # 1 is not True


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_give_a_value_an_exception_or_a_broken_channel(parts: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(b"".join(map(frame, parts)))
        peer = Peer(Channel(ours))
        for _ in range(3):
            try:
                peer.named("f")
            except (Gone, Broken):
                assert peer.broken is not None
