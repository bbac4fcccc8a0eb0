"""Messages over a stream socket: four bytes of length, then one encoded value.

    judge                                   worker
    ("call", 3, <bytes of args>, True)  ->
                                        <-  ("ok", <bytes of the result>, <bytes of changed args> or None)

A length beyond the codec's limit, a cut stream and bytes that are no encoding raise `Broken`.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from nlrl.sandbox.box.codec import MAX_BYTES, Malformed, decode, encode

_FRAME_BYTES = 2 * MAX_BYTES + 4096  # a reply holds two values as bytes: the result and the changed arguments


class Gone(BaseException):
    """The other side hung up. Not an Exception, so that no test can swallow it."""


class Broken(BaseException):
    """The other side sent what is no message. Not an Exception, so that no test can swallow it."""


class Channel:
    """One end of the socket."""

    def __init__(self, sock: socket.socket):
        self._recv_into, self._sendall = sock.recv_into, sock.sendall

    def send(self, message: tuple[Any, ...]) -> None:
        """Send one message; blocks while the other side does not read."""
        data = encode(message, limit_bytes=_FRAME_BYTES)
        try:
            self._sendall(struct.pack("<I", len(data)) + data)
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self) -> tuple[Any, ...]:
        """The next message: a tuple that begins with a word."""
        (size,) = struct.unpack("<I", self._exactly(4))
        if size > _FRAME_BYTES:
            raise Broken(f"a message of {size} bytes")
        try:
            message = decode(self._exactly(size))
        except Malformed as error:
            raise Broken(str(error)) from None
        if type(message) is not tuple or not message or type(message[0]) is not str:
            raise Broken("a message of another shape")
        return message

    def _exactly(self, n: int) -> bytes:
        data = bytearray(n)
        view, got = memoryview(data), 0
        while got < n:
            try:
                count = self._recv_into(view[got:])
            except OSError as error:
                raise Gone(str(error)) from None
            if not count:
                raise Gone("the connection is closed")
            got += count
        return bytes(data)
