"""One server as seen from here: its pooled connections, and what has been learnt about it.

A connection belongs to the event loop it was opened in, so there is one `Server` for each (loop, base URL), shared by
all models there. It is closed when its last model is, or else when the loop ends (see `_closer`): programs that call
`asyncio.run` several times leave no open socket behind.

What was learnt (`Known`) is kept for each (base URL, model) as long as the process lives.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from nlrl.core import Request
from nlrl.models.openai.trace import trace_headers
from nlrl.models.openai.wire import Reading, read_chunk
from nlrl.transport.failures import (
    CallFailed,
    FailureKind,
    from_status,
    from_transport,
    server_message,
)
from nlrl.transport.limit import AdaptiveLimit
from nlrl.transport.sse import Event, EventTooLong, SseDecoder

_ERROR_BYTES = 65_536  # of an error page, more is not read
_AFTER_DONE_S = 0.5  # how long after [DONE] the connection may take to become reusable
_PROMPTS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how often to try. Times in seconds.

    connect_s      for a connection
    read_s         between two bytes, and for the first one
    try_s          for one whole exchange, however steadily it drips
    total_s        for all tries of a call and the pauses between them; waiting for a free place does not count
    retries        after the first try
    backoff_s      first pause; doubles each time up to `max_backoff_s`; jittered to between half and one and a half
    """

    connect_s: float = 10.0
    read_s: float = 120.0
    try_s: float = 600.0
    total_s: float = 1800.0
    retries: int = 8
    backoff_s: float = 0.5
    max_backoff_s: float = 30.0


@dataclass(slots=True)
class Stats:
    """What happened so far, for people and for benchmarks."""

    requests: int = 0  # HTTP exchanges that asked for a completion
    retries: Counter[str] = field(default_factory=Counter)  # exchanges that failed and were repeated, by failure name
    failures: Counter[str] = field(default_factory=Counter)  # draws given up, by failure name
    estimated: int = 0  # tokens charged by an upper bound, because the server told them nowhere


@dataclass(slots=True)
class Known:
    """What one model on one server has shown. None: not known yet."""

    n_given: int = 1  # the largest n that was answered in full
    n_refused: int | None = None  # the smallest that was not
    accepts: dict[str, bool] = field(default_factory=dict)  # fields of `Use`
    stream_usage: bool | None = None  # streams end with their usage
    whole_usage: bool | None = None  # answers that are not streamed hold it
    logprobs: bool | None = None
    reached: bool = False  # it has answered at all
    context_tokens: int | None = None
    parameters: int | None = None
    probes: int = 0  # how often /models was asked
    probing: bool = False
    tokenize: str | None = None  # "vllm", "llama", or "" for none
    tokenize_misses: int = 0  # how often the question was not answered at all
    prompts: dict[int, int] = field(default_factory=dict)  # hash of a prompt -> its tokens, as the server counted
    tokens_per_s: float | None = None  # the fastest that one draw was seen to grow
    stats: Stats = field(default_factory=Stats)

    def learn_prompt(self, request: Request, tokens: int) -> None:
        """Remember how long the server says this prompt is."""
        if (key := _prompt_key(request)) not in self.prompts and len(self.prompts) >= _PROMPTS_KEPT:
            del self.prompts[next(iter(self.prompts))]
        self.prompts[key] = tokens

    def prompt_tokens(self, request: Request) -> int | None:
        """The length of this prompt, if the server has told it before."""
        return self.prompts.get(_prompt_key(request))

    def learn_speed(self, tokens_per_s: float) -> None:
        """A draw was seen to grow that fast."""
        self.tokens_per_s = max(self.tokens_per_s or 0.0, tokens_per_s)


_known: dict[tuple[str, str], Known] = {}
_servers: dict[tuple[int, str], Server] = {}  # by id of the loop: entries go when their loop ends


def known(base_url: str, model: str) -> Known:
    """What is known of `model` at `base_url`; shared by all who talk to it."""
    return _known.setdefault((base_url, model), Known())


async def server(base_url: str, user: object, most: int, patience: Patience) -> Server:
    """The running loop's server at `base_url`, opened if need be, with `user` entered as one of its users."""
    loop = asyncio.get_running_loop()
    found = _servers.get((id(loop), base_url))
    if found is None or found.loop is not loop:
        found = _servers[id(loop), base_url] = Server(base_url, loop, most, patience)
        await anext(found.closer)
    found.limit.lower(most)
    found.users.add(id(user))
    return found


async def leave(base_url: str, user: object) -> None:
    """`user` is done with the running loop's server at `base_url`; the last one closes it."""
    found = _servers.get((id(asyncio.get_running_loop()), base_url))
    if found is not None:
        found.users.discard(id(user))
        if not found.users:
            await found.closer.aclose()


class Server:
    """Pooled connections to one base URL in one event loop."""

    def __init__(self, base_url: str, loop: asyncio.AbstractEventLoop, most: int, patience: Patience) -> None:
        self.base = httpx.URL(base_url)
        self.key = (id(loop), base_url)
        self.loop = loop
        self.limit = AdaptiveLimit(most)
        self.users: set[int] = set()
        self.finding_out = asyncio.Lock()  # about the tokenizer: one asks, the others wait for what it learns
        self.closer = self._closer()
        # No bound on connections here: `limit` bounds them, and a second bound would only be a second queue to hang in.
        self._client = httpx.AsyncClient(
            verify=_tls(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=most),
            timeout=httpx.Timeout(patience.read_s, connect=patience.connect_s, pool=None),
            trust_env=not is_loopback(self.base.host),  # a proxy cannot reach this machine's own servers
        )

    def url(self, path: str) -> httpx.URL:
        """`path` under the base URL; a query of the base URL (Azure's api-version) is kept."""
        return self.base.copy_with(path=self.base.path.rstrip("/") + path)

    def root_url(self, path: str) -> httpx.URL:
        """`path` beside /v1, where servers keep what is not OpenAI's."""
        return self.base.copy_with(path=self.base.path.rstrip("/").removesuffix("/v1") + path)

    async def readings(
        self,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        patience: Patience,
        max_bytes: int,
        secret: str,
        alive: Callable[[], None],
        begun: Callable[[], None],
    ) -> AsyncGenerator[Reading, None]:
        """One exchange on /chat/completions: the pieces as they come. Raises CallFailed. Closing it hangs up at once.

        It waits for the next byte as long as it takes: that is for a `Watch` to bound, which `alive` tells of each.
        `begun` is called when the whole request is on its way, so that the server may take it up.

        The last reading is `done` if the server said [DONE]. Where the body just ends, it is for the caller to see
        whether all choices were finished by then.
        """
        try:
            content = json.dumps(body, allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            raise CallFailed(FailureKind.REFUSED, f"the request cannot be written as JSON: {error}") from error
        began = False

        async def trace(event: str, _: object) -> None:
            if event.endswith(".send_request_body.complete"):
                begun()

        timeout = httpx.Timeout(None, connect=patience.connect_s, write=patience.read_s)
        sent = {**headers, **trace_headers()}
        try:
            async with self._client.stream(
                "POST",
                self.url("/chat/completions"),
                content=content,
                headers=sent,
                timeout=timeout,
                extensions={"trace": trace},
            ) as response:
                alive()
                if response.status_code != 200:
                    raise await _refusal(response, secret)
                began = True
                kind = response.headers.get("content-type", "").lower()
                parts = _told(response.aiter_bytes(), alive)
                if "event-stream" in kind:
                    events = _events(parts, max_bytes)
                else:
                    whole = await _read_all(parts, max_bytes)
                    if whole.lstrip()[:5] not in (b"data:", b"event") and whole[:1] != b":":
                        reading = read_chunk(_parse(whole.decode("utf-8", "replace"), kind, secret), secret=secret)
                        yield replace(reading, whole=True)
                        return
                    events = _events(_once(whole), max_bytes)
                async with aclosing(events):
                    async for event in events:
                        if event.name in ("ping", "keepalive", "heartbeat"):
                            continue
                        if event.data.strip() == "[DONE]":
                            await _drain(events)
                            yield Reading(done=True)
                            return
                        for body_text in _bodies(event.data):
                            yield read_chunk(_parse(body_text, kind, secret), secret=secret)
        except httpx.HTTPError as error:
            raise from_transport(error, began=began, secret=secret) from error
        except httpx.InvalidURL as error:
            raise CallFailed(FailureKind.REFUSED, f"the base URL is not usable: {error}") from error

    async def ask(
        self, url: httpx.URL, headers: Mapping[str, str], body: Any = None, *, timeout_s: float
    ) -> tuple[int | None, Any]:
        """(status, JSON) at `url`, a POST if there is a body. None where there is none: probes may fail."""
        status = None
        try:
            async with asyncio.timeout(timeout_s):
                method = "GET" if body is None else "POST"
                async with self._client.stream(method, url, json=body, headers=headers) as response:
                    status = response.status_code
                    if status == 200:
                        return status, json.loads(await _read_all(response.aiter_bytes(), 16 << 20))
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError, CallFailed):
            pass
        return status, None

    async def _closer(self) -> AsyncGenerator[None, None]:
        """Closes the client when closed itself: by the last model, or by `loop.shutdown_asyncgens`, which every
        `asyncio.run` calls at its end, while the loop can still say goodbye to sockets."""
        try:
            yield
        finally:
            if _servers.get(self.key) is self:
                del _servers[self.key]
            await self._client.aclose()


async def _refusal(response: httpx.Response, secret: str) -> CallFailed:
    page = bytearray()
    try:
        async for part in response.aiter_bytes():
            page += part
            if len(page) >= _ERROR_BYTES:
                break
    except httpx.HTTPError:
        pass  # the status is what counts; its page may well be broken too
    return from_status(response.status_code, response.headers, bytes(page[:_ERROR_BYTES]), secret=secret)


async def _read_all(parts: AsyncIterator[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > max_bytes:
            raise CallFailed(FailureKind.TOO_LARGE, f"the answer is larger than {max_bytes} bytes")
    return bytes(body)


async def _events(parts: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[Event, None]:
    decoder, size = SseDecoder(), 0
    try:
        async for part in parts:
            size += len(part)
            if size > max_bytes:
                raise CallFailed(FailureKind.TOO_LARGE, f"the stream is larger than {max_bytes} bytes")
            for event in decoder.feed(part):
                yield event
        if (last := decoder.close()) is not None and _is_json(last.data):
            yield last
    except EventTooLong as error:
        raise CallFailed(FailureKind.TOO_LARGE, str(error)) from error


async def _told(parts: AsyncIterator[bytes], alive: Callable[[], None]) -> AsyncIterator[bytes]:
    async for part in parts:
        alive()
        yield part


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _drain(events: AsyncGenerator[Event, None]) -> None:
    """Read to the end of the body, so that the connection can serve again; a server that dawdles loses it."""
    try:
        async with asyncio.timeout(_AFTER_DONE_S):
            async for _ in events:
                pass
    except (TimeoutError, httpx.HTTPError, CallFailed):
        pass


def _bodies(data: str) -> list[str]:
    """The JSON texts in one event: one, unless the server forgot the empty lines between events."""
    if "\n" in data and not _is_json(data):
        return [line for line in data.split("\n") if line.strip() and line.strip() != "[DONE]"]
    return [data]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text.strip() == "[DONE]"
    return True


def _parse(text: str, content_type: str, secret: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        start = server_message(text[:4096], secret)[0][:120]
        said = f"{content_type or 'no content type'}: {start!r}"
        # what begins as JSON may be the first half of an answer that has cost all its tokens
        raise CallFailed(FailureKind.NOT_JSON, said, refusal=not text.lstrip().startswith("{")) from None


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # tens of milliseconds, so only once


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _prompt_key(request: Request) -> int:
    return hash((request.messages, request.prefill))
