"""Raw exchanges with an upstream: bytes of JSON there, bytes of JSON or of events back.

    async with upstreams.post(model, "/chat/completions", body) as reply:      # ApiError where it refuses
        async for part in reply.parts(heartbeat_s=10):                         # None: nothing came for so long
            ...

One pool of connections for all requests of the server, made for low latency: aiohttp costs a third of what the client
of `OpenAIModel` does (0.3 ms against 0.9 ms an exchange on loopback). The models' own limit on requests in flight
holds here too, and an overloaded upstream lowers it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from nlrl.models.openai import OpenAIModel
from nlrl.models.openai.server import Server, is_loopback
from nlrl.models.openai.trace import trace_headers
from nlrl.server.http.errors import ApiError, from_upstream
from nlrl.transport.failures import FailureKind, from_status, redact
from nlrl.transport.limit import Ticket

_ERROR_BYTES = 65_536
_AT_ONCE = 1 << 20  # larger bodies are sent in parts, so that others get a word in
_encode = msgspec.json.Encoder().encode


class Broken(ApiError):
    """The upstream had taken the request up and did not bring it to its end: what it has cost is not known."""


@dataclass(slots=True)
class Reply:
    """A 200 from upstream."""

    response: aiohttp.ClientResponse
    streamed: bool

    async def whole(self, most: int = 64 << 20) -> bytes:
        """The body. Raises ApiError 502 where it ends early or is larger than any completion."""
        parts: list[bytes] = []
        size = 0
        while part := await self._read():
            size += len(part)
            if size > most:
                raise Broken(502, f"The upstream's answer is larger than {most} bytes.", code="upstream_failed")
            parts.append(part)
        return b"".join(parts)

    async def parts(self, heartbeat_s: float | None = None) -> AsyncIterator[bytes | None]:
        """The body as it comes; None whenever nothing has come for `heartbeat_s`. Raises ApiError 502, 504."""
        while True:
            try:
                async with asyncio.timeout(heartbeat_s):
                    part = await self._read()
            except TimeoutError:
                yield None
                continue
            if not part:
                return
            yield part

    async def _read(self) -> bytes:
        """What has come of the body, b"" at its end. A cancelled read may be repeated."""
        try:
            return await self.response.content.readany()
        except aiohttp.SocketTimeoutError:
            raise Broken(504, "The upstream fell silent.", code="upstream_timeout") from None
        except aiohttp.ClientPayloadError:
            said = "The upstream's answer broke off before its end."
            raise Broken(502, said, code="upstream_failed") from None
        except aiohttp.ClientError as error:
            raise Broken(502, f"The upstream's answer broke off: {_said(error)}.", code="upstream_failed") from None


class Upstreams:
    """The one client of the server. Open it inside the event loop that uses it, and close it there."""

    def __init__(self, connect_s: float = 10.0, read_s: float = 600.0) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=read_s)
        make = {
            "timeout": timeout,
            "skip_auto_headers": ("User-Agent", "Accept-Encoding", "Accept"),
            "read_bufsize": 1 << 18,
            "cookie_jar": aiohttp.DummyCookieJar(),
        }
        self._ways: dict[tuple[Server, str], tuple[aiohttp.ClientSession, str]] = {}
        # no bound here: the models' limits bound the requests, and a second bound would be a second queue to hang in
        self._near = aiohttp.ClientSession(connector=_connector(), **make)
        self._far = aiohttp.ClientSession(connector=_connector(), trust_env=True, **make)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._near.close()
        await self._far.close()

    @asynccontextmanager
    async def post(
        self, model: OpenAIModel, route: str, body: dict[str, Any], begun: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Reply]:
        """One exchange. Raises ApiError where the upstream refuses or cannot be reached, Broken where it fails later.

        begun  called when the request goes out, after it has waited for its place
        """
        place = await model._server()
        target = model._target  # holds the upstream's key, which goes nowhere but there
        raw = _encode({**body, "model": model.model, **target.extra_body})
        async with place.limit.slot() as ticket:
            begun()
            response = await self._send(place, route, raw, target.headers)
            try:
                if response.status != 200:
                    raise await _refusal(response, route, target.secret, place, ticket)
                kind = response.headers.get("content-type", "").lower()
                yield Reply(response, "event-stream" in kind)
                place.limit.succeeded(ticket)
            finally:
                if response.content.at_eof():
                    response.release()
                else:
                    response.close()  # hang up: the upstream shall not go on for nobody

    async def _send(self, place: Server, route: str, raw: bytes, headers: Any) -> aiohttp.ClientResponse:
        if (way := self._ways.get((place, route))) is None:
            session = self._near if is_loopback(place.base.host) else self._far
            way = self._ways[place, route] = (session, str(place.url(route)))
        session, url = way
        sent = {**headers, **trace_headers(), "Accept-Encoding": "identity"}
        for again in (True, False):
            try:
                data = io.BytesIO(raw) if len(raw) > _AT_ONCE else raw
                return await session.post(url, data=data, headers=sent, allow_redirects=False)
            except aiohttp.ConnectionTimeoutError:
                said = "The upstream could not be reached in time."
                raise ApiError(503, said, code="upstream_unavailable", retry_after_s=5) from None
            except (aiohttp.ServerTimeoutError, TimeoutError):
                raise Broken(504, "The upstream did not answer in time.", code="upstream_timeout") from None
            except aiohttp.ClientConnectorError as error:
                said = f"The upstream cannot be reached: {_said(error)}."
                raise ApiError(503, said, code="upstream_unavailable", retry_after_s=5) from None
            except (aiohttp.ClientError, OSError) as error:
                if not again:  # once: a kept connection that the upstream had closed in the meantime
                    said = f"The upstream closed the connection: {_said(error)}."
                    raise ApiError(502, said, code="upstream_failed") from None
        raise AssertionError("unreachable")


async def _refusal(
    response: aiohttp.ClientResponse, route: str, secret: str, place: Server, ticket: Ticket
) -> ApiError:
    page = b""
    try:
        async with asyncio.timeout(5):
            page = await response.content.read(_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        pass  # the status is what counts
    headers = {name.lower(): value for name, value in response.headers.items()}
    failed = from_status(response.status, headers, page, secret=secret)
    if failed.overload:
        place.limit.overloaded(ticket)
    if response.status == 404 and route == "/completions":
        said = "The upstream has no /completions. Use /v1/chat/completions, or a strategy: self_consistency(n=1)@MODEL."
        return ApiError(404, said, code="unknown_route")
    status = 400 if failed.kind is FailureKind.PROMPT_TOO_LONG else response.status
    error = from_upstream(status, f"The upstream said {failed.detail}", failed.retry_after_s)
    if failed.kind is FailureKind.PROMPT_TOO_LONG:
        error.code = "context_length_exceeded"
    return error


def _connector() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=60)


def _said(error: BaseException) -> str:
    return redact(str(error) or type(error).__name__).rstrip(".")
