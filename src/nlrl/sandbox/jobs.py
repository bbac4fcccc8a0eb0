"""The host's side of a zygote: ask for a job, hold it, kill it, learn how it ended.

    zygote = ZygoteClient(start_box(None), loop)
    job = await zygote.send("worker", order, limits, [socket_fd])
    job.kill(); end = await job.ended        # JobEnd(status=-9, cpu_s=0.3, peak_bytes=31000000)

Everything here runs on one event loop. A job is always killed through its pidfd, never by number.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.sandbox.boxes import Box
from nlrl.sandbox.limits import Limits
from nlrl.sandbox.memory_file import memory_file

_PACKET_BYTES = 65536
_SEND_TRIES = 200  # of 5 ms each: the zygote empties its socket in microseconds


class BoxLost(Exception):
    """The zygote is gone, or could not confine a job. Nothing is known about the program: try again, elsewhere."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job's process ended: exit code or minus a signal number, processor seconds, peak resident bytes."""

    status: int
    cpu_s: float
    peak_bytes: int


class Job:
    """A process in the box, with all its children."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self.ended: asyncio.Future[JobEnd] = loop.create_future()
        self._pidfd = -1
        self._unwanted = False

    def kill(self) -> None:
        """Kill it, now or as soon as it exists. Killing what has ended does nothing."""
        self._unwanted = True
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def begin(self, pidfd: int) -> None:
        self._pidfd = pidfd
        if self._unwanted:
            self.kill()

    def end(self, result: JobEnd | BoxLost) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self.ended.done():
            return
        if isinstance(result, JobEnd):
            self.ended.set_result(result)
        else:
            self.ended.set_exception(result)
            self.ended.exception()  # looked at: whoever waits gets it, and nobody need wait


class ZygoteClient:
    """One zygote. `lost` says why it can no longer be used, "" while it can."""

    def __init__(self, box: Box, loop: asyncio.AbstractEventLoop):
        self.box, self._loop = box, loop
        self.lost = ""
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        loop.add_reader(box.control.fileno(), self._readable)

    async def send(self, kind: str, order: dict[str, object], limits: Limits, fds: Sequence[int]) -> Job:
        """Order a job. The caller keeps its own `fds` and closes them; when the job cannot be, so do its copies.

        Raises BoxLost; a job that the zygote then refuses ends with BoxLost.
        """
        if self.lost:
            raise BoxLost(self.lost)
        number, job = next(self._numbers), Job(self._loop)
        message = json.dumps({"job": number, "kind": kind, "limits": _plain(limits)}).encode()
        data = memory_file(json.dumps(order).encode(), "order")
        try:
            await self._send(message, [data, *fds])
        finally:
            os.close(data)
        self._jobs[number] = job  # no answer can have come: this loop has not turned since the sending
        return job

    async def _send(self, message: bytes, fds: list[int]) -> None:
        for _ in range(_SEND_TRIES):
            try:
                socket.send_fds(self.box.control, [message], fds)
                return
            except BlockingIOError:
                await asyncio.sleep(0.005)
            except OSError as error:
                self._lose(f"the sandbox's own process does not answer: {error}")
                break
        raise BoxLost(self.lost or "the sandbox's own process does not read")

    def _readable(self) -> None:
        try:
            while True:
                data, fds, _, _ = socket.recv_fds(self.box.control, _PACKET_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
                if not data:
                    self._lose("the sandbox's own process has ended")
                    return
                self._told(json.loads(data), fds)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the sandbox's own process does not answer: {error}")

    def _told(self, message: dict[str, object], fds: list[int]) -> None:
        match message:
            case {"job": int(number), "refused": str(why)}:
                self._jobs.pop(number).end(BoxLost(f"a job could not be confined: {why}"))
            case {"job": int(number), "status": int(status), "cpu_s": cpu_s, "peak_bytes": peak_bytes}:
                job = self._jobs.pop(number, None)  # None: it had been refused
                if job is not None:
                    job.end(JobEnd(status, cpu_s, peak_bytes))  # type: ignore[arg-type]
            case {"job": int(number)} if fds and number in self._jobs:
                self._jobs[number].begin(fds[0])

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = why
            self._loop.remove_reader(self.box.control.fileno())
            for job in self._jobs.values():
                job.end(BoxLost(why))
            self._jobs.clear()

    def close(self) -> None:
        """End the zygote and all its jobs, and wait for the process."""
        self._lose("the sandbox is closed")
        self.box.close()


def _plain(limits: Limits) -> dict[str, int]:
    return {
        "cpu_s": math.ceil(limits.cpu_s),
        "memory_bytes": limits.memory_bytes,
        "scratch_bytes": limits.scratch_bytes,
        "open_files": limits.open_files,
        "tasks": limits.threads + limits.processes - 1,
        "children": int(limits.processes > 1),
    }
