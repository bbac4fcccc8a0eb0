"""One loaded set of weights: llama.cpp's server, in this process, and its slots.

A call (one prompt, n draws) blocks its thread inside the engine, so every call gets a thread of its own, and is let in
only when it has its n slots: what waits here can be cancelled at once, what waits inside the engine could not.

The engine insists on an HTTP port. It gets a Unix socket in a private directory instead (where there are none: the
loopback interface) and a random key. That side door serves the chat template and the tokenizer.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlrl.core import ModelError
from nlrl.models.llama.load import private_folder, start_server
from nlrl.models.llama.sizes import Sizes

if TYPE_CHECKING:
    import httpx


class Call:
    """n draws on one prompt, on their way through the engine.

    on_chunk  gets the engine's chunks, in the call's own thread
    on_end    gets None, or the exception that ended the call; called exactly once, whatever happens
    tokens    generated so far, per draw, exact; kept up by the engine also after nobody listens any more
    """

    def __init__(
        self,
        parameters: dict[str, Any],
        n: int,
        on_chunk: Callable[[dict[str, Any]], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self.parameters, self.n = parameters, n
        self.on_chunk, self.on_end = on_chunk, on_end
        self.tokens = [0] * n
        self.finished: set[int] = set()
        self.started = False
        self.cancelled = False


class Engine:
    """llama.cpp with one model. Thread-safe. `close` it, or leave it to the end of the process."""

    def __init__(self, path: Path, sizes: Sizes) -> None:
        self.path, self.sizes = path, sizes
        self._lock = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._running: set[Call] = set()
        self._free = sizes.slots
        self._accounted = 0
        self._closed = False
        self._key = secrets.token_urlsafe(24)
        self._door = private_folder() if hasattr(socket, "AF_UNIX") else None
        try:
            self._server = start_server(path, sizes, self._key, self._door)
        except BaseException:
            self._remove_door()
            raise
        self._http = self._client()

    # ---- calls

    def submit(self, call: Call) -> None:
        """Start the call as soon as it has its slots; calls start in the order they were submitted."""
        with self._lock:
            if self._closed:
                raise ModelError("The model was closed while it was still asked. Load it again.")
            self._waiting.append(call)
            self._start_ready()

    def cancel(self, call: Call) -> None:
        """End the call. If it runs, its slots are free when `on_end` is called, a decoding step later at most."""
        with self._lock:
            call.cancelled = True
            if call not in self._waiting:
                return
            self._waiting.remove(call)
            self._start_ready()  # it may have stood at the head and kept smaller ones waiting
        call.on_end(None)

    def _start_ready(self) -> None:
        while self._waiting and self._waiting[0].n <= self._free:
            call = self._waiting.popleft()
            self._free -= call.n
            self._running.add(call)
            call.started = True
            threading.Thread(target=self._run, args=(call,), name="nlrl-llama-call", daemon=True).start()

    def _run(self, call: Call) -> None:
        failure: Exception | None = None
        try:
            self._server.handle_completions(call.parameters, lambda chunk: self._take(call, chunk))
        except Exception as error:  # the boundary to foreign code: whatever it raises ends this call, and only it
            failure = ModelError(f"The engine failed: {error}")
        finally:
            if call.cancelled:
                with contextlib.suppress(Exception):
                    self._settle(call)
            with self._lock:
                self._running.discard(call)
                self._free += call.n
                self._accounted += sum(call.tokens)
                self._start_ready()
                self._lock.notify_all()
            call.on_end(failure)

    def _take(self, call: Call, chunk: dict[str, Any]) -> bool:
        """Pass a chunk on; True tells the engine to drop the call."""
        if call.cancelled:
            return True
        for choice in chunk.get("choices", ()):
            if "prompt_progress" not in chunk and (timings := chunk.get("timings")):
                call.tokens[choice["index"]] = timings["predicted_n"]
            if choice.get("finish_reason"):
                call.finished.add(choice["index"])
        try:
            call.on_chunk(chunk)
        except RuntimeError:  # the listener's event loop is gone
            call.cancelled = True
        return call.cancelled

    def _settle(self, call: Call) -> None:
        """Wait until the dropped call has left its slots, and count what it generated until then.

        The engine was in the middle of a step when the call was dropped. Its own counter tells how much more it
        generated, as long as no other call runs that moves the counter too; else up to two tokens a draw go uncounted.
        """
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with self._lock:
                if self._running != {call}:
                    return
                known = self._accounted + sum(call.tokens)
            generated, busy = self._counters()
            if busy:
                time.sleep(0.002)
                continue
            live = [i for i in range(call.n) if i not in call.finished]
            for _ in range(generated - known):  # draws advance in step: the ones behind are those not yet reported
                behind = min(live, key=call.tokens.__getitem__)
                call.tokens[behind] += 1
            return

    # ---- what the engine knows

    def ask(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the side door. Raises ModelError where the engine refuses."""
        import httpx

        try:
            answer = self._http.post(route, json=body)
        except httpx.HTTPError as error:
            raise ModelError(f"The engine does not answer {route}: {error}") from error
        if answer.status_code != 200:
            raise ModelError(f"The engine refused {route}: {answer.text[:500]}")
        return answer.json()

    def generated(self) -> int:
        """All tokens generated since loading, cancelled ones included, by the engine's own counter."""
        return self._counters()[0]

    def _counters(self) -> tuple[int, int]:
        """Tokens generated, and slots at work."""
        text = self._server.handle_metrics()
        found = dict(re.findall(r"^llamacpp:(\w+) (\d+)$", text, re.MULTILINE))
        return int(found["tokens_predicted_total"]), int(found["requests_processing"])

    # ---- end

    def close(self) -> None:
        """Cancel what runs, wait for it, and free the memory. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for call in [*self._waiting, *self._running]:
                call.cancelled = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._lock.wait_for(lambda: not self._running, timeout=30)
        for call in dropped:
            call.on_end(ModelError("The model was closed while it was still asked."))
        self._http.close()
        if not self._running:  # a call that hangs in the engine would hang us too: then the memory stays
            del self._server
        self._remove_door()

    def _client(self) -> httpx.Client:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"}
        if self._door is None:
            return httpx.Client(base_url=self._server.listening_address, headers=headers, timeout=60, trust_env=False)
        transport = httpx.HTTPTransport(uds=str(self._door / "door.sock"))
        return httpx.Client(base_url="http://engine", transport=transport, headers=headers, timeout=60)

    def _remove_door(self) -> None:
        if self._door is not None:
            shutil.rmtree(self._door, ignore_errors=True)


# ---- one engine for all who ask for the same weights

_engines: dict[tuple[str, int, int, Sizes], tuple[Engine, int]] = {}
_loading = threading.Lock()
_owner = os.getpid()


def acquire(path: Path, sizes: Sizes) -> Engine:
    """The engine for these weights and sizes, loaded now if no one did before. Blocks while it loads."""
    key = _key(path, sizes)
    check_fork()
    with _loading:
        engine, users = _engines.get(key) or (Engine(path, sizes), 0)
        _engines[key] = (engine, users + 1)
        return engine


def check_fork() -> None:
    """Raise ModelError in a fork of a process that has loaded the engine: a fork inherits memory but no threads."""
    if _engines and os.getpid() != _owner:
        raise ModelError(
            "The embedded engine does not survive a fork, and was loaded before this process was forked. Start workers "
            "with multiprocessing.get_context('spawn'), or load the model only in them."
        )


def release(engine: Engine) -> None:
    """Give it back. The last one out closes it."""
    with _loading:
        for key, (known, users) in list(_engines.items()):
            if known is engine:
                if users > 1:
                    _engines[key] = (engine, users - 1)
                    return
                del _engines[key]
    engine.close()


def _key(path: Path, sizes: Sizes) -> tuple[str, int, int, Sizes]:
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns, sizes


@atexit.register
def _close_all() -> None:
    # threads that still call back into a dying interpreter would crash it
    if os.getpid() != _owner:
        return
    for engine, _ in list(_engines.values()):
        engine.close()
    _engines.clear()
