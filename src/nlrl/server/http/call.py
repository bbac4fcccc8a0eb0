"""One HTTP exchange over plain ASGI: the request read within its limits, the answer sent with its security headers.

There is no web framework here: a handful of fixed routes need none, and every microsecond is added to each token's way.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import msgspec

from nlrl.server.http.errors import ApiError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

# nothing is to be cached, sniffed or framed; and what is no page of ours is not to be run as a page
NO_PAGE = b"default-src 'none'; frame-ancestors 'none'"
_SECURITY = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_BODY_S = 120.0  # to send a whole body
_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"))
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Call:
    """A request, and the way to answer it. Fields set later (`key`, `model`, `tokens`) are for the log line.

    closing  called before the last byte of the answer is sent
    seen     called with the answer's bytes as they are sent
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.secure: bool = scope.get("scheme") == "https"
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers = dict(self.raw_headers)
        self.id = "req_" + secrets.token_hex(12)
        self.begun = time.monotonic()
        self.status = 0
        self.key = self.model = "-"
        self.tokens = 0
        self.closing: Callable[[], None] | None = None
        self.seen: Callable[[bytes], None] | None = None

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.monotonic() - self.begun

    @property
    def started(self) -> bool:
        """Whether the answer has begun, so that its status can no longer be changed."""
        return self.status != 0

    # --- the request

    async def body(self, most: int) -> bytes:
        """The whole body. Raises ApiError 413 as soon as it is known to be longer than `most` bytes."""
        told = self.headers.get(b"content-length", b"0")
        if not told.isdigit() or int(told) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body = message.get("body", b"")
            size += len(body)
            if size > most:
                raise _too_large(most)
            if not message.get("more_body"):
                return b"".join([*parts, body]) if parts else body
            parts.append(body)

    async def json(self, most: int, depth: int) -> dict[str, Any]:
        """The body as a JSON object. Raises ApiError 400 with what is wrong, 413, or 415 for another content type."""
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":  # also: what a foreign web page may send without asking is never this
            raise ApiError(415, "Send the request as JSON, with the header Content-Type: application/json.")
        try:
            async with asyncio.timeout(_BODY_S):
                raw = await self.body(most)
        except TimeoutError:
            raise ApiError(408, f"The body was not complete after {_BODY_S:.0f} s.", code="too_slow") from None
        try:
            found = _decode(raw)
        except (msgspec.MsgspecError, ValueError) as error:  # ValueError: bad UTF-8, or a number of 5,000 digits
            raise ApiError(400, f"The body is not JSON in UTF-8: {error}.", code="invalid_json") from None
        except RecursionError:
            raise _too_deep(depth) from None
        if not isinstance(found, dict):
            raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
        if raw.count(b"[") + raw.count(b"{") > depth:  # else it cannot be deeper
            _check_depth(found, depth)
        return found

    async def unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end; if the client goes away before, cancel it and all that it has asked for upstream.

        The body must have been read before.
        """
        task = asyncio.current_task()
        left = False

        async def look() -> None:
            nonlocal left
            while (await self._receive())["type"] != "http.disconnect":
                pass
            left = True
            if task is not None:
                task.cancel()

        looking = asyncio.ensure_future(look())
        try:
            await work
        except asyncio.CancelledError:
            if left and task is not None and task.uncancel() == 0:  # else somebody cancels this call itself
                raise ClientGone from None
            raise
        finally:
            looking.cancel()

    # --- the answer

    async def reply(self, body: Any, status: int = 200, headers: Headers = ()) -> None:
        """A whole answer; what is not bytes is written as JSON."""
        await self.send(body if isinstance(body, bytes) else _encode(body), b"application/json", status, headers)

    async def send(
        self, raw: bytes, kind: bytes, status: int = 200, headers: Headers = (), policy: bytes = NO_PAGE
    ) -> None:
        """A whole answer of any content type. policy: what a browser that shows it may load and run."""
        about = ((b"content-type", kind), (b"content-length", str(len(raw)).encode())) if status != 204 else ()
        await self._start(status, (*about, *headers), policy)
        await self._body(raw, last=True)

    async def begin_events(self) -> None:
        """The head of a stream of server-sent events."""
        await self._start(200, _EVENTS)

    async def event(self, body: bytes, *, last: bool = False) -> None:
        """Bytes of the stream, complete events."""
        await self._body(body, last=last)

    async def _body(self, body: bytes, *, last: bool) -> None:
        if self.seen is not None:
            self.seen(body)
        if last and self.closing is not None:
            self.closing()
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def fail(self, error: ApiError) -> None:
        """The error as the answer, or as the stream's last event if there is one already."""
        if self.started:
            await self.event(b"data: " + error.body + b"\n\n", last=True)
        else:
            await self.reply(error.body, error.status, error.headers)

    async def _start(self, status: int, headers: Headers, policy: bytes = NO_PAGE) -> None:
        self.status = status
        own = ((b"content-security-policy", policy), (b"x-request-id", self.id.encode()))
        all_headers = [*headers, *_SECURITY, *own]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"The body is larger than {most} bytes, the most that is taken here.", code="too_large")


def _too_deep(depth: int) -> ApiError:
    return ApiError(400, f"The JSON is nested deeper than {depth} levels.", code="too_deep")


def _check_depth(value: Any, most: int) -> None:
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _too_deep(most)
