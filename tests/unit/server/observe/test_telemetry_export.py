"""Spans get to a collector, a dead one is in nobody's way, and who wants none pays nothing."""

from __future__ import annotations

import functools
import http.server
import logging
import os
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from nlrl.core import MissingExtra, UserError
from nlrl.server import App, Catalog, Telemetry, open_telemetry, serving
from nlrl.testing.scripted import ScriptedModel

post = functools.partial(httpx.post, verify=False, timeout=20)

WORDS = [{"role": "user", "content": "What is 17 + 25?"}]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Collector:
    """Takes OTLP over HTTP, as a collector does. `silent`: takes connections, and never answers."""

    def __init__(self, *, silent: bool = False) -> None:
        self.received: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        gate = self._gate = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.paths.append(self.path)
                if silent:
                    gate.wait(30)
                    return
                collector.received.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def opened(url: str | None = None) -> Telemetry:
    telemetry = open_telemetry(url)
    assert telemetry is not None
    return telemetry


@pytest.mark.parametrize("by_environment", [False, True])
def test_spans_arrive_at_a_collector(by_environment: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(lambda request, index: "Final Answer: 42")
    with Collector() as collector:
        if by_environment:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            monkeypatch.setenv("OTEL_SERVICE_NAME", "answers")
        telemetry = opened(None if by_environment else collector.url)
        with serving(App(Catalog({"here": model}), telemetry=telemetry)) as url:
            asked = {"model": "self_consistency(n=3)@here", "messages": WORDS}
            usage = post(f"{url}/v1/chat/completions", json=asked).json()["usage"]
        # what the last batch held was sent on the way out
        scopes = [(r.resource, s) for batch in collector.received for r in batch.resource_spans for s in r.scope_spans]
        spans = {span.name: span for _, scope in scopes for span in scope.spans}
        resource = {pair.key: pair.value.string_value for pair in scopes[0][0].attributes}
        assert set(collector.paths) == {"/v1/traces"}
    assert resource["service.name"] == ("answers" if by_environment else "nlrl")
    assert scopes[0][1].scope.name == "nlrl.server"
    root, call = spans["POST /v1/chat/completions"], spans["chat scripted"]
    assert call.parent_span_id == root.span_id and call.trace_id == root.trace_id
    counts = {pair.key: pair.value.int_value for pair in call.attributes}
    assert counts["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert counts["gen_ai.usage.output_tokens"] == usage["completion_tokens"]


@pytest.mark.alone
@pytest.mark.parametrize("silent", [True, False])
def test_a_dead_collector_is_in_nobodys_way(
    silent: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")  # so that it is sent, in vain, while requests are answered
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    caplog.set_level(logging.WARNING)
    model = ScriptedModel(lambda request, index: "Final Answer: 42")
    with Collector(silent=True) as collector:
        telemetry = opened(collector.url if silent else "http://127.0.0.1:9")
        for handler in logging.getLogger("opentelemetry").handlers:
            vars(handler).pop("_next", None)  # one line a minute, and the last may have been just now
        with serving(App(Catalog({"here": model}), telemetry=telemetry)) as url, httpx.Client(verify=False) as client:
            took = []
            for _ in range(20):
                began = time.monotonic()
                asked = {"model": "self_consistency(n=3)@here", "messages": WORDS}
                assert client.post(f"{url}/v1/chat/completions", json=asked).status_code == 200
                took.append(time.monotonic() - began)
            assert max(took) < 1.0
            ended = time.monotonic()
        assert time.monotonic() - ended < 4.0
    assert caplog.text.count("Traces do not get through") == 1
    assert not logging.getLogger("opentelemetry").propagate  # what it says reaches people by way of our log alone


def test_off_it_is_not_even_imported() -> None:
    program = """
import sys
from nlrl.testing.scripted import ScriptedModel
from nlrl.server import App, Catalog, open_telemetry
from nlrl.server.observe.telemetry import traced_model
assert open_telemetry() is None
model = ScriptedModel("42")
App(Catalog({"here": model}), telemetry=None)
assert traced_model(model) is model
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("on", "environment"),
    [
        (False, {}),
        (True, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}),
        (True, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}),
        (True, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "console, otlp"}),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}),
    ],
)
def test_the_environment_decides(on: bool, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    telemetry = open_telemetry()
    assert (telemetry is not None) is on
    if telemetry is not None:
        telemetry._provider.shutdown()


def test_without_the_packages_only_who_asks_by_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingExtra, match=r"nlrl\[otel\]"):
        open_telemetry("http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert open_telemetry() is None and "nlrl[otel]" in caplog.text
    with pytest.raises(UserError, match="not the URL"):
        open_telemetry("localhost:4318")


def test_another_protocol_is_not_spoken_silently(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    opened("http://127.0.0.1:9")._provider.shutdown()
    assert "not grpc" in caplog.text
