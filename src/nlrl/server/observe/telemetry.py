"""OpenTelemetry traces: a span for each request, and below it one for each call of a model (`call_spans`).

    telemetry = open_telemetry("http://127.0.0.1:4318")       # None if nothing asks for traces
    App(catalog, settings, telemetry=telemetry)

    POST /v1/chat/completions        server  nlrl.strategy="self_consistency(n=8)" nlrl.stopped="done" ...
    └─ chat qwen2.5-7b-instruct      client  gen_ai.request.choice.count=8 gen_ai.usage.output_tokens=1040 ...

What HTTP and generative AI have conventions for is named by them, the rest "nlrl.". The tokens of the calls add up to
those of the request. They are gen_ai.usage of the calls alone, so that a sum over all spans counts nothing twice.

Neither prompts nor answers nor keys nor the messages of errors, which may quote them, are ever put into a span.

Switched off, it costs nothing: opentelemetry is imported by `open_telemetry` alone, and the functions that the
application calls (`traced_...`) look at one context variable.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from nlrl.compute import Ledger
from nlrl.core import MissingExtra, Model, UserError
from nlrl.core.version import __version__
from nlrl.server.api.ask import Ask
from nlrl.server.api.solving import Solved
from nlrl.server.http.call import Call, ClientGone
from nlrl.server.http.errors import as_api_error
from nlrl.server.observe.call_spans import CHARS, TracedModel, forwarded, kind_of
from nlrl.server.observe.request_span import RequestSpan, known

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_log = logging.getLogger("nlrl.server")
_CLOSING_S = 1.5  # for the last spans to be sent
_COMPLAINT_S = 60.0  # from one line about a collector that does not take them to the next
_UNTRACED = ("/health", "/metrics")  # machines ask for these all day long
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})

_request: ContextVar[RequestSpan | None] = ContextVar("nlrl_request_span", default=None)


def open_telemetry(url: str | None = None) -> Telemetry | None:
    """Traces as OpenTelemetry's environment variables ask for them; None if they do not.

    url  of a collector, in place of OTEL_EXPORTER_OTLP_ENDPOINT

    Raises UserError for what is no URL, and MissingExtra where a URL is given and the packages are missing.
    """
    if url and not url.startswith(("http://", "https://")):
        raise UserError(f"{url!r} is not the URL of a collector. Give one such as http://127.0.0.1:4318")
    if not _wanted(url):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        missing = MissingExtra(str(error.name), "otel", "Tracing")
        if url:
            raise missing from error
        _log.warning("No traces, though the environment asks for them: %s", missing)  # it may have meant others
        return None
    _pass_on_complaints()
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "nlrl"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    endpoint = url and url.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return Telemetry(provider)


class Telemetry:
    """Makes the spans of one `App`, which `provider` sends."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.api, self.w3c = trace, TraceContextTextMapPropagator()
        self.tracer = provider.get_tracer("nlrl.server", __version__)
        self._provider = provider

    async def serve(self, call: Call, answer: Callable[[Call], Awaitable[None]], route: str | None) -> None:
        """`answer(call)` in a span, which continues the client's trace. `route`: None if there is none."""
        if call.path in _UNTRACED:
            return await answer(call)
        request = RequestSpan(self, self._started(call, route))
        inside = _request.set(request)
        try:
            await answer(call)
        except asyncio.CancelledError:
            request.failure = "cancelled"
            raise
        finally:
            _request.reset(inside)
            request.end(call.status)

    def _started(self, call: Call, route: str | None) -> Span:
        headers = {name: call.headers.get(name.encode()) for name in ("traceparent", "tracestate", "user-agent")}
        said = {name: value.decode("latin-1") for name, value in headers.items() if value}
        method = call.method if call.method in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "http.route": route,
            "url.scheme": "http",
            "url.path": call.path[:CHARS],
            "user_agent.original": said.pop("user-agent", "")[:CHARS] or None,
            "nlrl.request.id": call.id,
        }
        name = f"{'HTTP' if method == '_OTHER' else method} {route or ''}".rstrip()
        return self.tracer.start_span(name, self.w3c.extract(said), self.api.SpanKind.SERVER, known(attributes))

    def fail(self, span: Span, kind: str) -> None:
        """Mark the span as one that failed."""
        span.set_attribute("error.type", kind)
        span.set_status(self.api.Status(self.api.StatusCode.ERROR))

    async def aclose(self) -> None:
        """Send what is left; a collector that does not take it in time goes without."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody has waited: the loop is closed
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="nlrl-traces-closing", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                await closed.wait()


# --- what the application calls, whether there is a span or not


@contextlib.contextmanager
def traced_work(call: Call, ask: Ask, ledger: Ledger) -> Iterator[None]:
    """Around the work for a request; what that spends is charged to `ledger`, and nothing else is."""
    request = _request.get()
    if request is None:
        yield
        return
    request.understood(ask, ledger)
    try:
        yield
    except ClientGone:
        request.failure = "client_gone"
        raise
    except Exception as error:
        answer = as_api_error(error)
        if answer is None or answer.status >= 500 or call.started:  # a stream's status can no longer say so
            request.failure = kind_of(answer or error)
        raise
    finally:
        request.accounted()


def traced_model(model: Model) -> Model:
    """The model, with a span for each of its calls."""
    request = _request.get()
    return model if request is None else TracedModel(model, request)


def traced_exchange(call: Call, exchange: Awaitable[None]) -> Awaitable[None]:
    """`exchange`, which passes a request on, with the span of a call."""
    request = _request.get()
    return exchange if request is None else forwarded(request, call, exchange)


def traced_outcome(solved: Solved) -> None:
    """What a strategy came to."""
    if (request := _request.get()) is not None:
        first = solved.choices[0]
        found = {
            "nlrl.stopped": str(first.answer.stopped),
            "nlrl.confidence": first.answer.confidence,
            "nlrl.agreement": first.agreement,
            "nlrl.failed_attempts": solved.failed,
        }
        request.span.set_attributes(known(found))


# --- switching it on


def _wanted(url: str | None) -> bool:
    said = os.environ.get
    if said("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = said("OTEL_TRACES_EXPORTER", "otlp").replace(" ", "").split(",")
    endpoint = said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or said("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not url and not (endpoint and "otlp" in exporters):
        return False
    protocol = said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or said("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        _log.warning("Traces are sent as http/protobuf, not %s: name the collector's port for that (4318).", protocol)
    return True


def _pass_on_complaints() -> None:
    log = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Complaints) for handler in log.handlers):
        log.addHandler(_Complaints(logging.WARNING))
        log.propagate = False


class _Complaints(logging.Handler):
    """What the exporter complains of goes to our own log, but rarely: a dead collector is worth a line, not a page."""

    _next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _COMPLAINT_S
            _log.warning("Traces do not get through: %s", record.getMessage())
