"""The server as an ASGI application: its routes, and the one boundary where a failure becomes an answer.

    app = App(Catalog({"qwen": load_model("qwen2.5-coder-0.5b")}), Settings())
    uvicorn.run(app)                      # or `nlrl serve`, which sets up everything around it

A route is a method of `App` and a line in `_ROUTES`: its handler, and the scope that a key needs (None: no key).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nlrl.core import Budget, Model
from nlrl.models.openai import OpenAIModel
from nlrl.server.allowed import Allowed
from nlrl.server.api.ask import Ask, read_ask
from nlrl.server.api.body import chat_from_completion
from nlrl.server.api.catalog import Catalog
from nlrl.server.api.forward import forward
from nlrl.server.api.raw_chat import RawChat
from nlrl.server.api.replies import Replies
from nlrl.server.api.solving import Solved, Watch, both, spend
from nlrl.server.api.streaming import stream
from nlrl.server.api.unwatched import PATIENT, Unwatched
from nlrl.server.api.upstream import Upstreams
from nlrl.server.dashboard.window import Handler as WindowHandler
from nlrl.server.dashboard.window import Window
from nlrl.server.http.access import Access, Caller
from nlrl.server.http.admission import Admission
from nlrl.server.http.call import Call, ClientGone, Receive, Scope, Send
from nlrl.server.http.errors import ApiError, as_api_error
from nlrl.server.http.keys import KeyStore
from nlrl.server.http.openapi import document
from nlrl.server.observe.journal import Journal, Trace
from nlrl.server.observe.metrics import CONTENT_TYPE, Metrics, Work
from nlrl.server.observe.request_log import log_request
from nlrl.server.observe.telemetry import Telemetry, traced_exchange, traced_model, traced_outcome, traced_work
from nlrl.tasks.classify import classify_task

_log = logging.getLogger("nlrl.server")
DEFAULT_LIMITS = Budget(tokens=1_000_000, calls=1000, seconds=600.0)
_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Settings:
    """How the server treats requests.

    limits          of every request that is not merely passed on; one may ask for less, never for more
    max_tokens      of an attempt, where the request does not say
    hosts           names in the Host header that are answered, None for any: a page elsewhere can point its own name
                    at this machine's loopback
    running, waiting  requests at work, and in the queue
    """

    limits: Budget = DEFAULT_LIMITS
    max_tokens: int = 1024
    max_body_bytes: int = 10 << 20
    max_depth: int = 64
    hosts: frozenset[str] | None = None
    running: int = 256
    waiting: int = 1024
    heartbeat_s: float = 10.0


class App:
    """See the module."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings | None = None,
        keys: KeyStore | None = None,
        journal: Journal | None = None,
        runs: Path | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """runs: a folder of benchmark runs and policies, to be shown."""
        self.catalog, self.settings = catalog, settings or Settings()
        self.journal, self.telemetry = journal or Journal(), telemetry
        self.access = Access(keys)
        self.admission = Admission(self.settings.running, self.settings.waiting)
        self.metrics = Metrics({model: name for name, model in self.catalog.models.items()})
        self._window = Window(self.journal, self.access, self.catalog, self.admission, runs)
        self._upstreams: Upstreams | None = None
        self._unwatched: dict[Model, Unwatched] = {
            model: Unwatched(model) for model in self.catalog.models.values() if isinstance(model, OpenAIModel)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            call = Call(scope, receive, send)
            route = _route(call.path)
            if self.telemetry is None or route in _WINDOW:
                await self._answer(call)
            else:
                await self.telemetry.serve(call, self._answer, route if route in _ALL else None)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.catalog.listing()  # loads the strategies, so that the first request need not
        classify_task("What is 17 + 25?")
        self._upstreams = Upstreams()
        for unwatched in self._unwatched.values():
            unwatched.upstreams = self._upstreams
        beside = [
            asyncio.ensure_future(work) for work in (self.access.run(), self.journal.clean(), self.journal.follow())
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await self._upstreams.aclose()
        for model in (*self._unwatched.values(), *self.catalog.models.values()):
            await model.aclose()
        self.journal.close()
        if self.telemetry is not None:
            await self.telemetry.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    def draining(self) -> None:
        """No more requests will come; those at work are finished."""
        self.journal.close_feeds()

    async def _answer(self, call: Call) -> None:
        try:
            await self._routed(call)
        except ClientGone:
            call.status = call.status or 499
        except Exception as error:  # the outermost boundary: every failure becomes an answer
            answer = as_api_error(error)
            if answer is None:
                _log.exception("%s failed", call.id, extra={"fields": {"request_id": call.id}})
                answer = ApiError(500, f"This is a bug in the server; its log says more under {call.id}.")
            with contextlib.suppress(OSError):
                await call.fail(answer)
        route = _route(call.path)
        log_request(call, quiet=route in _WINDOW and call.status < 400)  # the dashboard asks often, and for nothing
        self.metrics.http.add((route if route in _ALL or route in _WINDOW else "other", str(call.status)))

    async def _routed(self, call: Call) -> None:
        self._check_head(call)
        route = _route(call.path)
        routes = _ALL.get(route) or _WINDOW.get(route)
        if routes is None:
            self.access.check(call.headers, "read")  # who has no key learns nothing, not even what is not there
            raise ApiError(404, f"There is no route {call.path[:200]!r}. See /openapi.json.", code="unknown_route")
        if call.method not in routes:
            self.access.check(call.headers, "read")
            said = f"{call.path} takes {' and '.join(routes)}, not {call.method}."
            raise ApiError(405, said, code="wrong_method", allow=routes)
        if route in _WINDOW:
            await _WINDOW[route][call.method](self._window, call)
            return
        handler, scope = _ALL[route][call.method]
        caller = self.access.check(call.headers, scope) if scope else Caller()
        call.key = caller.id
        await handler(self, call, caller)

    def _check_head(self, call: Call) -> None:
        """Refuse what two readers of one request might read differently, and names that are not ours."""
        names = [name for name, _ in call.raw_headers]
        lengths = names.count(b"content-length") + names.count(b"transfer-encoding")
        if lengths > 1 or names.count(b"host") != 1 or names.count(b"authorization") > 1:
            raise ApiError(400, "Length, host and key must each be told once, and once only.", code="ambiguous_headers")
        if sum(len(name) + len(value) for name, value in call.raw_headers) > _HEAD_BYTES:
            raise ApiError(431, f"The headers are larger than {_HEAD_BYTES} bytes.", code="too_large")
        host = call.headers[b"host"].decode("latin-1").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if self.settings.hosts is not None and name not in self.settings.hosts:
            raise ApiError(421, f"This server does not answer to the host name {name[:100]!r}.", code="unknown_host")

    # --- routes

    async def health(self, call: Call, caller: Caller) -> None:
        """Whether it is up, and how busy."""
        await call.reply({"status": "ok", "running": self.admission.running, "waiting": self.admission.waiting})

    async def scrape(self, call: Call, caller: Caller) -> None:
        """The metrics, for Prometheus."""
        await call.send(self.metrics.text(), CONTENT_TYPE)

    async def openapi(self, call: Call, caller: Caller) -> None:
        """The OpenAPI document."""
        await call.reply(document(tuple(entry["id"] for entry in self._allowed(caller).listing())))

    async def models(self, call: Call, caller: Caller) -> None:
        """The models, each also under a few strategies."""
        await call.reply({"object": "list", "data": self._allowed(caller).listing()})

    async def model(self, call: Call, caller: Caller) -> None:
        """One of them."""
        await call.reply(self._allowed(caller).entry(call.path.removeprefix("/v1/models/")))

    async def chat(self, call: Call, caller: Caller) -> None:
        """/v1/chat/completions"""
        body = await call.json(self.settings.max_body_bytes, self.settings.max_depth)
        settings, allowed = self.settings, self._allowed(caller)
        ask = read_ask(body, self.catalog, limits=settings.limits, max_tokens=settings.max_tokens, allowed=allowed)
        await self._work(call, caller, ask)

    async def completions(self, call: Call, caller: Caller) -> None:
        """/v1/completions"""
        body = await call.json(self.settings.max_body_bytes, self.settings.max_depth)
        settings, allowed, chat = self.settings, self._allowed(caller), chat_from_completion(body)
        ask = read_ask(
            chat, self.catalog, limits=settings.limits, max_tokens=settings.max_tokens, allowed=allowed, legacy=body
        )
        await self._work(call, caller, ask)

    def _allowed(self, caller: Caller) -> Allowed:
        return Allowed(self.catalog, caller.key)

    async def _work(self, call: Call, caller: Caller, ask: Ask) -> None:
        call.model = ask.model_id
        with (
            self.metrics.watch(call, ask, caller.ledger) as work,
            self.journal.request(call, ask, caller.id, work.ledger) as trace,
            traced_work(call, ask, work.ledger),
        ):
            await call.unless_gone(self._admitted(call, caller, ask, work, trace))

    async def _admitted(self, call: Call, caller: Caller, ask: Ask, counted: Work, trace: Trace) -> None:
        upstreams = self._upstreams
        if upstreams is None:
            raise RuntimeError("the application was not started (ASGI lifespan)")
        async with self.access.at_work(caller), self.admission.place(caller.id):
            counted.admitted()
            trace.admitted()
            if ask.way == "forward":
                known, heartbeat_s = self._unwatched[ask.model], self.settings.heartbeat_s
                passing = forward(call, ask, upstreams, payer=counted.ledger, known=known, heartbeat_s=heartbeat_s)
                await traced_exchange(call, passing)
                return
            if ask.budget.seconds is not None:  # the client's clock has been running since the request came
                left = max(0.001, ask.budget.seconds - call.seconds)
                ask = replace(ask, budget=replace(ask.budget, seconds=left))
            looked_at = self.journal.watched(caller.id)
            ask = replace(ask, watched=ask.watched or looked_at)
            model = self._model_for(ask, upstreams)
            replies = Replies(ask, model if isinstance(model, RawChat) else None)

            async def work(watch: Watch | None) -> Solved:
                watch = both(watch, trace.watch) if looked_at else watch
                solved = await spend(ask, traced_model(model), payer=counted.ledger, watch=watch)
                trace.solved(solved)
                traced_outcome(solved)
                return solved

            if ask.stream:
                await stream(call, replies, work, self.settings.heartbeat_s)
            else:
                await call.reply(replies.whole(await work(None)))

    def _model_for(self, ask: Ask, upstreams: Upstreams) -> Model:
        """What the strategy draws from."""
        if isinstance(ask.model, OpenAIModel):
            if ask.way == "raw":
                return RawChat(upstreams, ask.model, ask.body, voting=not ask.direct)
            if not ask.watched and ask.method in PATIENT:
                return self._unwatched[ask.model]
        return ask.model


def _route(path: str) -> str:
    """The path as the tables have it: without a name at its end."""
    parent = next((parent for parent in _PARENTS if path.startswith(parent)), None)
    if parent == "/api/requests/" and path.endswith("/feedback"):
        return parent + "/feedback"
    return parent or path


_Handler = Callable[[App, Call, Caller], Awaitable[None]]
_ROUTES: dict[str, dict[str, tuple[_Handler, str | None]]] = {
    "/health": {"GET": (App.health, None)},
    "/openapi.json": {"GET": (App.openapi, "read")},
    "/v1/models": {"GET": (App.models, "read")},
    "/v1/models/": {"GET": (App.model, "read")},
    "/v1/chat/completions": {"POST": (App.chat, "chat")},
    "/v1/completions": {"POST": (App.completions, "chat")},
}
# for what watches the server, not for its clients: no part of their API's document
_ALL = _ROUTES | {"/metrics": {"GET": (App.scrape, "read")}}
# the dashboard's; they look themselves who is there, since a browser may show a cookie instead of a key
_WINDOW: dict[str, dict[str, WindowHandler]] = {
    "/": {"GET": Window.page},
    "/assets/": {"GET": Window.asset},
    "/login": {"POST": Window.login},
    "/logout": {"POST": Window.logout},
    "/api/overview": {"GET": Window.overview},
    "/api/requests": {"GET": Window.requests},
    "/api/requests/": {"GET": Window.request},
    "/api/requests//feedback": {"POST": Window.feedback},
    "/api/events": {"GET": Window.events},
    "/api/spend": {"GET": Window.spend},
    "/api/runs": {"GET": Window.runs},
    "/api/runs/": {"GET": Window.run},
}
_PARENTS = ("/v1/models/", "/assets/", "/api/requests/", "/api/runs/")  # what follows is a name
