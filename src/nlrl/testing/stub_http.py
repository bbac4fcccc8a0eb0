"""One HTTP/1.1 response of the stub server, written by hand so that it can be written wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import Any


class Answer:
    """One response on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._gzip: Any = None

    async def whole(
        self,
        status: int,
        body: bytes,
        headers: tuple[tuple[str, str], ...] = (),
        content_type: str = "application/json",
    ) -> None:
        lines = [f"HTTP/1.1 {status} Told", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self._writer.drain()

    async def half(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body[: len(body) // 2])
        await self._writer.drain()

    async def begin(self, *, compress: bool) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
        if compress:
            self._gzip = zlib.compressobj(wbits=31)
            head += "Content-Encoding: gzip\r\n"
        self._writer.write(head.encode() + b"\r\n")
        await self._writer.drain()

    async def part(self, data: bytes, drip_seconds: float) -> None:
        if self._gzip is not None:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        for piece in [data[i : i + 1] for i in range(len(data))] if drip_seconds else [data]:
            self._writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await self._writer.drain()
            if drip_seconds:
                await self.pause(drip_seconds)

    async def end(self) -> None:
        if self._gzip is not None and (rest := self._gzip.flush()):
            self._writer.write(f"{len(rest):x}\r\n".encode() + rest + b"\r\n")
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def pause(self, seconds: float) -> None:
        """Wait, but notice soon if the client hangs up."""
        while True:
            await asyncio.sleep(max(0.0, min(seconds, 0.02)))
            if self._reader.at_eof():
                raise ConnectionResetError
            seconds -= 0.02
            if seconds <= 0:
                return

    async def until_hung_up(self) -> None:
        await self._reader.read(1)  # the client sends nothing while it waits, so this ends only when it closes

    def reset(self) -> None:
        """Close with a TCP reset."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
