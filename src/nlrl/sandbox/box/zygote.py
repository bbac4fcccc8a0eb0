"""The small process that waits in a box and forks one job at a time out of itself. It never runs a job's code,
never sees a job's data, and keeps nothing between jobs.

Control is a sequenced-packet socket to the host, one JSON object a packet, descriptors alongside:

    host   -> {"job": 7, "kind": "worker", "limits": {...}} + [order, streams and sockets of the job]
    zygote -> {"job": 7} + [pidfd]                             the host kills through it
    zygote -> {"job": 7, "refused": "mount: ..."}              the job could not be confined and has run nothing
    zygote -> {"job": 7, "status": 9, "cpu_s": 1.2, "peak_bytes": 31000000}

When the host's end closes, the zygote ends, and with it every job.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import select
import site
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlrl.sandbox.box import confine, judge, landlock, script, seccomp, worker

PRELOADED = (
    "abc", "array", "bisect", "cmath", "collections", "collections.abc", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "heapq", "io", "itertools", "json", "math", "numbers",
    "operator", "os", "os.path", "queue", "random", "re", "reprlib", "statistics", "string", "struct", "sys",
    "textwrap", "threading", "time", "traceback", "types", "typing",
)  # fmt: skip
"""Imported once here instead of in every job: what generated programs import most."""

_PACKET_BYTES = 65536
_MAX_FDS = 8
_TRIAL = {"cpu_s": 10, "memory_bytes": 1 << 30, "scratch_bytes": 1 << 20, "open_files": 32, "tasks": 8, "children": 0}

Job = Callable[[], int]  # what a forked job is to do; gives its exit code


class Zygote:
    """Serves the control socket on behalf of the host.

    config: walls (try namespaces), landlock (give up the file system), readable (paths, for Landlock), parent (the
    host's process id, for Landlock), nobody (the user that root's jobs become, or None), scratch (path), packages
    (folders of modules), preload (modules)
    """

    def __init__(self, control: socket.socket, config: dict[str, Any]):
        self._control, self._config = control, config
        self._poll = select.poll()
        self._jobs: dict[int, tuple[int, int]] = {}  # pidfd -> (job, pid)
        self._setups: dict[int, int] = {}  # read end of the pipe on which a job complains -> job
        self._proc = self._own_ns = -1
        self._walled = False
        self._filters: dict[bool, bytes] = {}  # by whether children are allowed; built once, before any fork

    def serve(self) -> Job:
        """Get ready, tell the host, fork jobs until it hangs up (then this process ends).

        Returns only in a forked job, at the bottom of the stack, with what the job is to do.
        """
        trial = self._prepare()
        if callable(trial):
            return trial
        for children in (False, True):
            self._filters[children] = self._filter(children)
        gc.collect()
        gc.freeze()  # what exists now is shared with every job: the collector is not to touch its pages
        self._tell(ready=True, walled=self._walled, why=trial)
        self._poll.register(self._control, select.POLLIN)
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._control.fileno():
                    job = self._order()
                    if job is not None:
                        return job
                elif fd in self._jobs:
                    self._ended(fd)
                elif fd in self._setups:
                    self._set_up(fd)

    def _prepare(self) -> str | Job:
        """Preload, give up what is not needed, try the walls. Why there are no walls, "" if there are."""
        config = self._config
        os.environ.clear()
        os.environ.update(HOME=config["scratch"], TMPDIR=config["scratch"], LANG="C.UTF-8", OPENBLAS_NUM_THREADS="1")
        sys.path.extend(config["packages"])
        for name in (*PRELOADED, *config["preload"]):
            importlib.import_module(name)
        site.setquit()  # `exit()` and `quit()`, which -S leaves out
        if config["landlock"]:
            if config["nobody"] is not None:
                confine.change_user(config["nobody"])
            confine.die_with_parent(config["parent"])  # after the change of user, which clears it
            confine.no_new_privileges()
            landlock.restrict(config["readable"], ("/dev/null",))
            partly = set(config["packages"]) - set(config["readable"])  # what is not shown of these is not there
            sys.path[:] = [path for path in sys.path if path not in partly]
        if not config["walls"]:
            return "not asked for"
        self._proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        self._own_ns = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        lazily = 2
        confine.checked(confine.libc.umount2(b"/proc", lazily), "umount")  # held open here, seen by no job
        self._walled = True
        return self._try_walls()

    def _try_walls(self) -> str | Job:
        try:
            trial = self._fork(0, "trial", _TRIAL, [])
        except OSError as error:
            self._walled = False
            return str(error)
        if trial is not None:
            return trial
        (pidfd, (_, pid)), (pipe, _) = self._jobs.popitem(), self._setups.popitem()
        complaint = os.read(pipe, 1000).decode()
        if os.waitpid(pid, 0)[1] and not complaint:
            complaint = "the trial job died"
        for fd in (pidfd, pipe):
            self._poll.unregister(fd)
            os.close(fd)
        self._walled = not complaint
        return complaint

    def _tell(self, *fds: int, **message: Any) -> None:
        socket.send_fds(self._control, [json.dumps(message).encode()], fds)

    def _order(self) -> Job | None:
        data, fds, _, _ = socket.recv_fds(self._control, _PACKET_BYTES, _MAX_FDS)
        if not data:
            os._exit(0)  # the host is gone; as the box's first process this takes every job along
        order = json.loads(data)
        job = None
        try:
            job = self._fork(order["job"], order["kind"], order["limits"], fds)
        except OSError as error:
            self._tell(job=order["job"], refused=str(error))
        if job is None:
            for fd in fds:
                os.close(fd)
        return job

    def _fork(self, number: int, kind: str, limits: dict[str, int], fds: list[int]) -> Job | None:
        """Fork a job. In the job: what it is to do. In the zygote: None."""
        complaints, complain = os.pipe()
        zygote = os.getpid()
        try:
            pid = self._fork_inside() if self._walled else os.fork()
        except OSError:
            os.close(complaints)
            os.close(complain)
            raise
        if pid == 0:
            return self._confined(kind, limits, fds, complain, zygote)
        os.close(complain)
        pidfd = os.pidfd_open(pid)
        self._jobs[pidfd] = (number, pid)
        self._setups[complaints] = number
        self._poll.register(pidfd, select.POLLIN)
        self._poll.register(complaints, select.POLLIN)
        if number:
            self._tell(pidfd, job=number)
        return None

    def _fork_inside(self) -> int:
        """Fork the first process of a new process namespace."""
        confine.checked(confine.libc.unshare(confine.NEWPID), "unshare")
        pid = os.fork()
        if pid:
            # Back to the own namespace for children; only from there may the next one be made.
            confine.checked(confine.libc.setns(self._own_ns, confine.NEWPID), "setns")
        return pid

    def _confined(self, kind: str, limits: dict[str, int], fds: list[int], complain: int, zygote: int) -> Job:
        """In the job: take the order in, give everything up, then say what is to be run."""
        user = self._config["nobody"] if os.getuid() == 0 else None
        self._control.detach()  # or its end would close the job's stdin
        try:
            order = _read_json(fds.pop(0)) if fds else {}
            if self._walled:
                confine.build_walls(self._proc, self._config["scratch"], limits["scratch_bytes"], user)
                with contextlib.suppress(OSError):
                    confine.prefer_for_killing(self._proc)
            else:
                if user is not None:
                    confine.change_user(user)
                confine.die_with_parent(zygote)
                os.chdir("/")
            null = os.open("/dev/null", os.O_RDWR)
            complain = _arrange(
                [*fds, complain] if kind in ("script", "command") else [null, null, null, *fds, complain]
            )
            confine.limit(limits)
            confine.lock(self._filters.get(bool(limits["children"])) or self._filter(bool(limits["children"])))
        except Exception as error:  # a boundary: a job that is not fully confined must not go on, whatever the cause
            with contextlib.suppress(OSError):
                os.write(complain, f"{type(error).__name__}: {error}".encode()[:1000])
            os._exit(1)
        os.close(complain)
        return functools.partial(_KINDS[kind], order)

    def _filter(self, children: bool) -> bytes:
        guard = self._config["landlock"] and landlock.abi() < 3
        counted = os.getuid() != 0 or self._config["nobody"] is not None  # root is exempt from the limit on tasks
        return seccomp.build(walled=self._walled, children=children, threads=counted, truncate_guard=guard)

    def _set_up(self, pipe: int) -> None:
        """A job's set-up has ended: silently, or with a complaint."""
        number = self._setups.pop(pipe)
        complaint = os.read(pipe, 1000).decode(errors="replace")
        self._poll.unregister(pipe)
        os.close(pipe)
        if complaint:
            self._tell(job=number, refused=complaint)

    def _ended(self, pidfd: int) -> None:
        number, pid = self._jobs.pop(pidfd)
        _, status, usage = os.wait4(pid, 0)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        self._tell(
            job=number,
            status=os.waitstatus_to_exitcode(status),
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
        )


def _read_json(fd: int) -> Any:
    with open(fd, encoding="utf-8") as file:
        return json.load(file)


def _arrange(fds: list[int]) -> int:
    """Make these the descriptors 0, 1, 2, ... and close all others; the number of the last."""
    above = 100
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, above) for fd in fds]
    for number, copy in enumerate(copies):
        os.dup2(copy, number)
    os.closerange(len(copies), 4096)
    return len(copies) - 1


def _work(order: dict[str, Any]) -> int:
    try:
        worker.run(order["source"], order["prelude"], 3)
    except BaseException:  # a boundary: the program has broken its own process
        os._exit(1)
    os._exit(0)  # not the interpreter's own end: the program may have left threads and exit handlers


def _judge(order: dict[str, Any]) -> int:
    judge.run(order, 3, 4)
    os._exit(0)


def _script(order: dict[str, Any]) -> int:
    return script.run(order["source"], order["prelude"])


def _command(order: dict[str, Any]) -> int:
    for name, text in order["files"].items():
        Path(name).write_text(text, encoding="utf-8", errors="surrogatepass")
    words = order["words"]
    try:
        os.execve(words[0], words, {**os.environ, "PATH": f"{Path(words[0]).parent}:/usr/bin:/bin"})
    except OSError as error:
        os.write(2, f"{words[0]}: {error.strerror}\n".encode())
        return 126


def _trial(order: dict[str, Any]) -> int:
    return 0


_KINDS: dict[str, Callable[[dict[str, Any]], int]] = {
    "worker": _work,
    "judge": _judge,
    "script": _script,
    "command": _command,
    "trial": _trial,
}
