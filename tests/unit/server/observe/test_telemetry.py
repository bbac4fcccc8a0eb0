"""A trace tells what happened and what it cost, to the token; and it tells no text and no secret."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.models.openai.model import Patience
from nlrl.server import App, Catalog, KeyStore, Telemetry, serving
from nlrl.testing.scripted import Reply, ScriptedModel
from nlrl.testing.stub_server import Fault, Manners, StubServer

get = functools.partial(httpx.get, verify=False)
post = functools.partial(httpx.post, verify=False, timeout=20)

WORDS = [{"role": "user", "content": "The secret recipe is 17 plus 25."}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
QUICK = Patience(retries=0, backoff_s=0.01, connect_s=2, read_s=3, try_s=5, total_s=6)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again: what was learnt of one upstream must not be believed of the next."""
    monkeypatch.setattr(_openai_server, "_known", {})


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def trouble(number: int, body: Mapping[str, Any]) -> Fault | None:
    said = str(body["messages"])
    if "REFUSE" in said:
        return Fault("status", status=400, body=json.dumps({"error": {"message": f"Bad: {said}"}}).encode())
    if "BREAK" in said:
        return Fault("status", status=500)
    if "CUT" in said:
        return Fault("cut", after=4)
    if "NAMED" in said:
        choice = {"index": 0, "message": {"role": "assistant", "content": '"model": "no"'}, "finish_reason": "length"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
        return Fault("body", body=json.dumps({"choices": [choice], "model": "up-2026-11", "usage": usage}).encode())
    return None


def half_broken(request: object, index: int) -> Reply:
    return Reply("Final Answer: 42", error="timeout: the secret recipe took too long" if index % 2 else None)


def a_bug(request: object, index: int) -> str:
    raise LookupError("the secret recipe")


class Served:
    """A server whose spans are kept here, in front of an upstream that counts."""

    def __init__(self, stub: StubServer, url: str, kept: InMemorySpanExporter) -> None:
        self.stub, self.url, self._kept = stub, url, kept

    def chat(self, model: str, headers: Mapping[str, str] = {}, **fields: Any) -> httpx.Response:
        asked = {"model": model, "messages": WORDS, "max_tokens": 40, **fields}
        return post(f"{self.url}/v1/chat/completions", json=asked, headers=dict(headers))

    def trace(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """The span of the request there was, once it has ended, and those below it in the order they began."""
        began = time.monotonic()
        while not (roots := [span for span in self._kept.get_finished_spans() if span.kind is SpanKind.SERVER]):
            assert time.monotonic() - began < 20, "it took too long"
            time.sleep(0.01)
        spans = sorted(self._kept.get_finished_spans(), key=lambda span: span.start_time or 0)
        self._kept.clear()
        (root,) = roots
        calls = [span for span in spans if span is not root]
        for call in calls:
            assert call.parent is not None and call.parent.span_id == root.context.span_id
            assert call.context.trace_id == root.context.trace_id
            assert root.start_time <= call.start_time <= call.end_time <= root.end_time
        return root, calls


@pytest.fixture
def served() -> Iterator[Served]:
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with StubServer(Manners(), faults=trouble) as stub, StubServer(Manners(token_seconds=0.05)) as slow:
        models = {
            "up": OpenAIModel("up", base_url=stub.base_url, api_key="sk-upstream-secret", patience=QUICK),
            "slow": OpenAIModel("slow", base_url=slow.base_url, api_key="sk-upstream-secret", patience=QUICK),
            "here": ScriptedModel(lambda request, index: f"Final Answer: {index % 3}"),
            "lazy": ScriptedModel(lambda request, index: "word " * 100, token_seconds=0.02),
            "shaky": ScriptedModel(half_broken),
            "bug": ScriptedModel(a_bug),
        }
        with serving(App(Catalog(models), telemetry=Telemetry(provider))) as url:
            yield Served(stub, url, kept)


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def total(calls: list[ReadableSpan], name: str) -> int:
    return sum(of(call)[name] for call in calls)


def assert_adds_up(root: ReadableSpan, calls: list[ReadableSpan]) -> None:
    assert total(calls, INPUT) == of(root)["nlrl.usage.prompt_tokens"]
    assert total(calls, OUTPUT) == of(root)["nlrl.usage.completion_tokens"]


def test_a_vote_is_a_request_with_one_call_of_eight_choices(served: Served) -> None:
    got = served.chat("self_consistency(n=8)@up", {"user-agent": "tests/1"}, temperature=0.5, seed=3)
    root, (call,) = served.trace()
    assert (root.name, root.kind, root.parent) == ("POST /v1/chat/completions", SpanKind.SERVER, None)
    assert (
        of(root).items()
        >= {
            "http.request.method": "POST",
            "http.route": "/v1/chat/completions",
            "http.response.status_code": 200,
            "url.path": "/v1/chat/completions",
            "url.scheme": "http",
            "user_agent.original": "tests/1",
            "nlrl.request.id": got.headers["x-request-id"],
            "nlrl.model": "self_consistency(n=8)@up",
            "nlrl.strategy": "self_consistency(n=8)",
            "nlrl.budget.calls": 1000,
            "nlrl.stopped": "done",
            "nlrl.usage.calls": 8,
        }.items()
    )
    assert (call.name, call.kind) == ("chat up", SpanKind.CLIENT)
    assert (
        of(call).items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "up",
            "gen_ai.request.choice.count": 8,
            "gen_ai.request.max_tokens": 40,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.seed": 3,
            "gen_ai.response.finish_reasons": ("stop",) * 8,
            "server.address": "127.0.0.1",
            "server.port": served.stub.port,
        }.items()
    )
    assert "error.type" not in of(call) and root.status.status_code is call.status.status_code is StatusCode.UNSET


CASES = ("up", "self_consistency(n=8)@up", "self_refine(rounds=2)@up", "here", "self_consistency(n=4)@here")


@pytest.mark.parametrize("model", CASES)
@pytest.mark.parametrize("stream", [False, True])
def test_the_calls_add_up_to_the_usage_the_client_is_told(served: Served, model: str, stream: bool) -> None:
    for _ in range(2):  # the first one is how the server gets to know its upstream
        before = served.stub.prompt_tokens, served.stub.completion_tokens
        options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        got = served.chat(model, **options)
        events = [line[6:] for line in got.text.splitlines() if line.startswith("data: {")] if stream else [got.text]
        usage = json.loads(events[-1])["usage"]
        root, calls = served.trace()
        assert (total(calls, INPUT), total(calls, OUTPUT)) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert_adds_up(root, calls)
        if model.endswith("up"):
            counted = served.stub.prompt_tokens - before[0], served.stub.completion_tokens - before[1]
            assert counted == (total(calls, INPUT), total(calls, OUTPUT))


STRATEGIES = (
    "best_of_n(n=3)", "adaptive_consistency", "beam_search", "divide_and_conquer", "self_refine", "auto",
    "best_of_n(n=2, verifier=judge)",
)  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_call_of_any_strategy_is_missing(served: Served, strategy: str) -> None:
    got = served.chat(f"{strategy}@here", max_tokens=None)  # some grow texts by steps of their own
    root, calls = served.trace()
    assert calls and got.status_code == 200, got.text
    assert_adds_up(root, calls)
    assert all(call.kind is SpanKind.INTERNAL for call in calls)  # the model runs in this process
    assert of(calls[0])["gen_ai.response.model"] == "scripted"


def test_calls_of_tools_and_what_an_upstream_says_of_itself(served: Served) -> None:
    served.chat("self_consistency(n=3)@up", tools=TOOLS)
    root, (call,) = served.trace()
    assert of(root)["nlrl.way"] == "raw" and of(call)["gen_ai.request.choice.count"] == 3
    assert_adds_up(root, [call])
    named = [{"role": "user", "content": "NAMED"}]
    for model, fields in (("up", {}), ("up", {"stream": True}), ("self_consistency(n=1)@up", {}), ("up", {"n": 2})):
        served.chat(model, messages=named, **fields)
        root, (call,) = served.trace()
        assert of(call)["gen_ai.response.model"] == "up-2026-11"
        assert of(call)["gen_ai.response.finish_reasons"] == ("length",)
        assert (of(call)[INPUT], of(call)[OUTPUT], of(call)["gen_ai.usage.cache_read.input_tokens"]) == (7, 3, 5)
    served.chat("self_consistency(n=1)@up", messages=named, tools=TOOLS)
    assert of(served.trace()[1][0])["gen_ai.response.model"] == "up-2026-11"
    post(f"{served.url}/v1/completions", json={"model": "self_consistency(n=2)@up", "prompt": "17 + 25"})
    root, (call,) = served.trace()
    assert (root.name, call.name) == ("POST /v1/completions", "chat up")  # a strategy asks by chat in any case


@pytest.mark.parametrize("model", ["up", "self_consistency(n=2)@up"])
@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"tools": TOOLS}])
def test_the_clients_trace_goes_on_through_to_the_upstream(served: Served, model: str, fields: dict[str, Any]) -> None:
    sent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1", "baggage": "user=alice"}
    served.chat(model, sent, **fields)
    root, (call,) = served.trace()
    assert root.parent is not None and root.parent.is_remote
    assert f"{root.context.trace_id:032x} {root.parent.span_id:016x}" == f"{TRACE} {PARENT}"
    assert served.stub.headers
    for headers in served.stub.headers:
        assert headers["traceparent"] == f"00-{TRACE}-{call.context.span_id:016x}-01"
        assert headers["tracestate"] == "vendor=1" and "baggage" not in headers


def test_a_client_that_is_not_sampled_leaves_no_span(served: Served) -> None:
    served.chat("self_consistency(n=2)@up", {"traceparent": f"00-{TRACE}-{PARENT}-00"})
    served.chat("up", {"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert all(headers["traceparent"].startswith(f"00-{TRACE}-") for headers in served.stub.headers)
    assert all(headers["traceparent"].endswith("-00") for headers in served.stub.headers)
    served.chat("here")
    root, _ = served.trace()  # the only one
    assert of(root)["nlrl.model"] == "here"


@pytest.mark.parametrize("broken", ["", "00-0-0-00", "00-" + "0" * 32 + f"-{PARENT}-01", "ünicode", "x" * 5000])
def test_a_trace_that_is_none_is_not_continued(served: Served, broken: str) -> None:
    asked = {"model": "here", "messages": WORDS}
    post(f"{served.url}/v1/chat/completions", json=asked, headers={"traceparent": broken.encode("latin-1")})
    root, _ = served.trace()
    assert root.parent is None


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{text} the secret recipe"}]


ERRORS: tuple[tuple[str, dict[str, Any], int, str | None, str | None], ...] = (
    # model, request, status, error.type of the request, and of its call
    ("up", {"messages": said("REFUSE")}, 400, None, "upstream_refused"),
    ("up", {"messages": said("BREAK")}, 502, "upstream_failed", "upstream_failed"),
    ("up", {"messages": said("CUT"), "stream": True}, 200, "upstream_failed", "upstream_failed"),
    ("self_consistency(n=2)@up", {"messages": said("REFUSE")}, 400, None, "ModelRefused"),
    ("self_consistency(n=2)@up", {"messages": said("BREAK")}, 502, "upstream_failed", "server_error"),
    ("self_consistency(n=2)@up", {"messages": said("BREAK"), "tools": TOOLS}, 502, "upstream_failed", None),
    ("self_consistency(n=2)@bug", {}, 500, "LookupError", "LookupError"),
)


@pytest.mark.parametrize(("model", "fields", "status", "kind", "inner"), ERRORS)
def test_errors_are_named_where_they_are_errors(
    served: Served, model: str, fields: dict[str, Any], status: int, kind: str | None, inner: str | None
) -> None:
    assert served.chat(model, **fields).status_code == status
    root, calls = served.trace()
    assert of(root)["http.response.status_code"] == status and of(root).get("error.type") == kind
    assert root.status.status_code is (StatusCode.ERROR if kind else StatusCode.UNSET)  # 4xx is the client's error
    assert_adds_up(root, calls)
    for call in calls:
        if inner is not None:
            assert of(call)["error.type"] == inner
        assert (call.status.status_code is StatusCode.ERROR) is ("error.type" in of(call))


def test_a_call_of_which_a_part_failed_has_not_failed(served: Served) -> None:
    served.chat("self_consistency(n=4)@shaky")
    root, (call,) = served.trace()
    assert of(call)["gen_ai.response.finish_reasons"] == ("stop", "error", "stop", "error")
    assert of(root)["nlrl.failed_attempts"] == 2
    assert call.status.status_code is root.status.status_code is StatusCode.UNSET
    assert_adds_up(root, [call])


def test_requests_that_never_get_to_a_model(served: Served) -> None:
    for ask, name, status in (
        (lambda: served.chat("nobody"), "POST /v1/chat/completions", 404),
        (lambda: get(f"{served.url}/v1/models"), "GET /v1/models", 200),
        (lambda: get(f"{served.url}/v1/models/here"), "GET /v1/models/", 200),
        (lambda: get(f"{served.url}/made/up?key=nlrl_secret"), "GET", 404),
        (lambda: httpx.request("PROPFIND", f"{served.url}/v1/models", verify=False), "HTTP /v1/models", 405),
    ):
        assert ask().status_code == status
        root, calls = served.trace()
        assert (root.name, of(root)["http.response.status_code"], calls) == (name, status, [])
        assert root.status.status_code is StatusCode.UNSET and "secret" not in str(of(root))
    for path in ("/health", "/metrics", "/", "/api/overview"):
        get(f"{served.url}{path}")
    served.chat("here")
    served.trace()  # of one request: probes, scrapes and the dashboard are not traced


LEAVING = ("lazy", "self_consistency(n=3)@lazy", "slow", "self_consistency(n=3)@slow", "adaptive_consistency@slow")


@pytest.mark.parametrize("model", LEAVING)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_every_span(served: Served, model: str, stream: bool) -> None:
    asked = {"model": model, "messages": WORDS, "max_tokens": 100, "stream": stream}
    with httpx.Client(verify=False) as client:
        if stream:
            with client.stream("POST", f"{served.url}/v1/chat/completions", json=asked, timeout=20) as got:
                next(got.iter_bytes())
                time.sleep(0.2)
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{served.url}/v1/chat/completions", json=asked, timeout=0.5)
    root, calls = served.trace()
    assert of(root)["error.type"] == "client_gone" and root.status.status_code is StatusCode.ERROR
    assert of(root).get("http.response.status_code") == (200 if stream else None)
    assert calls and all(call.status.status_code is StatusCode.UNSET for call in calls)
    assert "cancelled" in of(calls[-1])["gen_ai.response.finish_reasons"]  # earlier ones may have come to their end
    assert_adds_up(root, calls)


def test_a_deadline_and_a_budget_are_reasons_to_stop_and_no_errors(served: Served) -> None:
    for extension, stopped in (
        ({"strategy": "self_consistency(n=4)", "budget": {"seconds": 0.5}}, "seconds"),
        ({"strategy": "self_consistency(n=400)", "budget": {"tokens": 400}}, "tokens"),
    ):
        served.chat("slow" if stopped == "seconds" else "up", nlrl=extension)
        root, calls = served.trace()
        assert of(root)["nlrl.stopped"] == stopped and root.status.status_code is StatusCode.UNSET
        assert f"nlrl.budget.{stopped}" in of(root)
        assert_adds_up(root, calls)


def test_no_text_and_no_secret_is_in_any_span(tmp_path: Path) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with StubServer(Manners(), faults=trouble) as stub, KeyStore(tmp_path / "keys") as keys:
        models = {
            "up": OpenAIModel("up", base_url=stub.base_url, api_key="sk-upstream-secret", patience=QUICK),
            "here": ScriptedModel(lambda request, index: "Final Answer: the secret recipe"),
            "shaky": ScriptedModel(half_broken),
            "bug": ScriptedModel(a_bug),
        }
        key, secret = keys.create("alice")
        bearer = {"Authorization": f"Bearer {secret}"}
        with serving(App(Catalog(models), keys=keys, telemetry=Telemetry(provider))) as url:
            for model in ("up", "best_of_n(n=2)@up", "here", "self_consistency(n=2)@shaky", "bug"):
                for fields in ({}, {"stream": True}, {"messages": said("REFUSE")}, {"stop": ["recipe"]}):
                    asked = {"model": model, "messages": WORDS, "user": "mallory", "max_tokens": 20, **fields}
                    post(f"{url}/v1/chat/completions?key={secret}", json=asked, headers=bearer)
            post(f"{url}/v1/chat/completions", json={}, headers={"Authorization": "Bearer wrong-secret"})
    spans = kept.get_finished_spans()
    assert len(spans) > 40
    for span in spans:
        shown = span.to_json()
        for word in ("recipe", "secret", "Bearer", "uthorization", "mallory", "alice", "Final Answer", key.id):
            assert word not in shown, (word, shown)
        assert not span.events and not span.status.description
