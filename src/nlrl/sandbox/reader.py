"""Reads pipes on the event loop, up to a bound in all."""

from __future__ import annotations

import asyncio
import os

_READ_BYTES = 1 << 16


class PipeReader:
    """Collects what comes through `fds` until all are at their end, or more than `limit_bytes` has come.

    data      what came, one piece a descriptor, never more than the limit in all
    finished  done when nothing more will be read
    overflow  whether the limit was passed
    """

    def __init__(self, fds: list[int], limit_bytes: int):
        self._loop = asyncio.get_running_loop()
        self.data = [bytearray() for _ in fds]
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self.overflow = False
        self._left = limit_bytes
        self._open = set(fds)
        for fd, data in zip(fds, self.data, strict=True):
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._readable, fd, data)

    def text(self, index: int) -> str:
        """What came through one descriptor; bytes that are no UTF-8 are replaced."""
        return self.data[index].decode("utf-8", "replace")

    def close(self) -> None:
        """Stop and close the descriptors. Whoever still writes gets a broken pipe."""
        for fd in self._open:
            self._loop.remove_reader(fd)
            os.close(fd)
        self._open.clear()
        if not self.finished.done():
            self.finished.set_result(None)

    def _readable(self, fd: int, data: bytearray) -> None:
        try:
            got = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        data += got[: self._left]
        self.overflow = len(got) > self._left
        self._left -= min(self._left, len(got))
        if self.overflow:
            self.close()
        elif not got:
            self._open.discard(fd)
            self._loop.remove_reader(fd)
            os.close(fd)
            if not self._open:
                self.close()
