"""The application on a port: uvicorn, with limits on what comes before a request is one, and an orderly end.

    listen(app, host="127.0.0.1", port=8000)     # until SIGTERM or Ctrl-C; then requests at work are finished

uvicorn with httptools adds a tenth of a millisecond to a request, a third less with uvloop (both measured on loopback);
its parser has no bound on headers and no clock for them, so they are bounded here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nlrl.server.app import App

HEAD_BYTES = 65_536
_COLLECT_AFTER = 20_000  # new objects; with Python's 700, looking for cycles takes a fifth of a busy server's time
HEAD_S = 30.0  # from the connection, or the first byte of a request, to the end of its headers


def listen(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    drain_s: float = 30.0,
    ready: Callable[[str], None] = lambda url: None,
) -> bool:
    """Serve until told to stop; then take no more, and give what is at work `drain_s` to end. False if it could not
    start (the port is taken).

    ready  is called with the URL once it listens; port 0 takes a free one
    """
    _allow_open_files()
    return _Server(app, host, port, drain_s, ready).ran()


@contextlib.contextmanager
def serving(app: App, *, host: str = "127.0.0.1", port: int = 0, drain_s: float = 5.0) -> Iterator[str]:
    """The same in a thread, for a notebook or a test: the URL, served until the `with` block ends.

    Raises RuntimeError if it could not start.
    """
    urls: list[str] = []
    up = threading.Event()
    server = _Server(app, host, port, drain_s, urls.append)

    def run() -> None:
        try:
            server.ran(up.set)
        finally:
            up.set()

    thread = threading.Thread(target=run, name="nlrl-serving", daemon=True)
    thread.start()
    up.wait()
    if not urls:
        raise RuntimeError(f"cannot listen on {host}:{port}")
    try:
        yield urls[0]
    finally:
        server.should_exit = True
        thread.join()


def _allow_open_files() -> None:
    """As many as the system lets this process have: a request holds two, and many systems begin with 1,024."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Server(uvicorn.Server):
    def __init__(self, app: App, host: str, port: int, drain_s: float, ready: Callable[[str], None]) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        super().__init__(config)
        self._app, self._ready = app, ready
        self._up: Callable[[], None] = lambda: None

    def ran(self, up: Callable[[], None] = lambda: None) -> bool:
        """Run to the end; False if it could not start."""
        self._up = up
        try:
            self.run()
        except SystemExit:  # how uvicorn says that it could not bind
            return False
        return self.started

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            if threading.current_thread() is threading.main_thread():  # the process is ours
                gc.collect()
                gc.freeze()  # what is there now stays: not to be looked through again and again
                gc.set_threshold(_COLLECT_AFTER)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        self._up()

    async def shutdown(self, sockets: Any = None) -> None:
        self._app.draining()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a drained server has ended well: the signal is not raised once more."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self._stop) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _stop(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:  # Ctrl-C again: now
            self.force_exit = True
        self.should_exit = True


class Protocol(HttpToolsProtocol):
    """Headers end within a size and a time, and what is no HTTP at all is told so in OpenAI's shape."""

    _head_open = True
    _head_size = 0
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._clock = self.loop.call_later(HEAD_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_open:
            self._head_size += len(data)
            if self._head_size > HEAD_BYTES:
                self._refuse(431, "Request Header Fields Too Large", f"The headers are larger than {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open, self._head_size = True, 0
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._late)

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._stop_clock()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "Bad Request", "This is not a valid HTTP request.")

    def _late(self) -> None:
        self._clock = None
        self._refuse(408, "Request Timeout", f"The headers were not complete after {HEAD_S:.0f} s.")

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _refuse(self, status: int, phrase: str, message: str) -> None:
        if self.transport.is_closing():
            return
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "bad_http"}
        body = json.dumps({"error": error}).encode()
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()
