"""A symbolic engine that cannot hang: `math-verify` in processes of its own, killed when their time is up.

Its built-in time limits work by signals, which only the main thread of a process receives, and sympy may spend hours
on a short formula. So each comparison is a line to a worker process; a worker that is late is killed and replaced.
Workers are plain subprocesses: no multiprocessing, no event loop, no guard needed in the caller's main module.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from pathlib import Path

from nlrl.core import VerifierError

START_S = 30.0  # importing sympy from a cold disk on a busy machine
WALL_FACTOR = 20.0  # how much longer than its processor time a patient caller lets a comparison take on the clock


class _Worker:
    """One process. Not safe to share: the pool hands it to one caller at a time."""

    def __init__(self, cpu_s: float) -> None:
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *(p for p in sys.path if p and p != root)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nlrl.rewards._symbolic_worker", str(cpu_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,  # a Ctrl-C in the terminal is the parent's business
        )
        self.ready = False

    def read(self, timeout_s: float) -> str:
        """The next line; "" if the worker ended or had to be killed for being late."""
        assert self.process.stdout is not None
        late = threading.Timer(max(timeout_s, 0.0), self.process.kill)
        late.daemon = True
        late.start()
        try:
            return self.process.stdout.readline()
        except (OSError, ValueError):
            return ""
        finally:
            late.cancel()

    def write(self, line: str) -> bool:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # the pipe may hold an unsent line
                    pipe.close()
        self.process.wait()


def _close_all(workers: set[_Worker], owner: int) -> None:
    if os.getpid() != owner:  # a forked child must not end its parent's workers
        return
    while workers:
        workers.pop().close()


class SymbolicPool:
    """A few workers, started when first needed. Thread-safe; bound to no event loop.

    limit_s  processor time that one comparison may take
    size     largest number of workers
    """

    def __init__(self, *, limit_s: float = 0.6, size: int = 1) -> None:
        self.limit_s, self.size = limit_s, size
        self.killed = 0  # comparisons that ran out of time, or took their worker down
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._free: deque[_Worker] = deque()
        self._all: set[_Worker] = set()
        self._starting = 0
        self._changed = threading.Condition()
        self._failure: str | None = None
        self._finalizer = weakref.finalize(self, _close_all, self._all, self._owner)  # runs at exit, too

    def ask(self, a: str, b: str, *, wait_s: float = START_S, patient: bool = True) -> bool | None:
        """Whether the engine shows a = b. None: out of time, crashed, or no worker was free within `wait_s`.

        With `patient` the clock may run longer than `limit_s` while others hold the processor.
        Raises VerifierError if the engine is not installed.
        """
        worker = self._take(wait_s)
        if worker is None:
            return None
        line = ""
        try:
            if worker.write(json.dumps([a, b])):
                line = worker.read(self.limit_s * (WALL_FACTOR if patient else 1.0))
        finally:
            self._give(worker, alive=bool(line))
        return json.loads(line) if line else None

    def warm(self, wait_s: float = START_S) -> bool:
        """Start a worker now; whether one was ready in time."""
        worker = self._take(wait_s)
        if worker is None:
            return False
        self._give(worker, alive=True)
        return True

    def close(self) -> None:
        """End all workers. The pool can be used again afterwards."""
        with self._changed:
            self._free.clear()
            _close_all(self._all, self._owner)

    def _take(self, wait_s: float) -> _Worker | None:
        if os.getpid() != self._owner:
            self._finalizer.detach()
            self._reset()
        deadline = time.monotonic() + wait_s
        with self._changed:
            while True:
                if self._failure:
                    raise VerifierError(self._failure)
                while self._free:
                    worker = self._free.pop()
                    if worker.process.poll() is None:
                        return worker
                    self._all.discard(worker)  # died while idle
                    worker.close()
                if len(self._all) + self._starting < self.size:
                    self._starting += 1
                    threading.Thread(target=self._start, daemon=True, name="nlrl-symbolic-start").start()
                rest = deadline - time.monotonic()
                if rest <= 0 or not self._changed.wait(rest):
                    return None

    def _start(self) -> None:
        """Bring one worker up; in a thread of its own, so that an impatient caller need not wait for it."""
        failure: str | None = None
        worker: _Worker | None = None
        try:
            worker = _Worker(self.limit_s)
            hello = worker.read(START_S)
            said = json.loads(hello) if hello else None
            if isinstance(said, dict):
                failure = (
                    f"The symbolic engine cannot be imported ({said.get('error')}). "
                    "Install it with: pip install 'math-verify>=0.8'"
                )
            elif said != "ready":
                failure = (
                    "The symbolic engine's process ended before it was ready. "
                    "To see why, start it by hand: python -m nlrl.rewards._symbolic_worker"
                )
        except OSError as error:  # no more processes
            failure = f"The symbolic engine's process cannot be started: {error}"
        with self._changed:
            self._starting -= 1
            if worker is not None and failure is None:
                self._all.add(worker)
                self._free.append(worker)
            elif worker is not None:
                worker.close()
            self._failure = failure
            self._changed.notify_all()

    def _give(self, worker: _Worker, *, alive: bool) -> None:
        with self._changed:
            if alive and worker in self._all:
                self._free.append(worker)
            else:
                self.killed += 1
                self._all.discard(worker)
                worker.close()
            self._changed.notify_all()
