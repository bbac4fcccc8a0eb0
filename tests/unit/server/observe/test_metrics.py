"""What is counted is what happened; the text is what Prometheus reads; nobody can make it grow or make it tell."""

from __future__ import annotations

import functools
import logging
import re
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.compute import machine
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.models.openai.model import Patience
from nlrl.server import App, Catalog, KeyStore, Settings, serving
from nlrl.server.observe.metrics import Histogram, Metrics, Numbers
from nlrl.testing.scripted import ScriptedModel
from nlrl.testing.stub_server import Fault, Manners, StubServer

get = functools.partial(httpx.get, verify=False)
post = functools.partial(httpx.post, verify=False)

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:\\.|[^"\\\n])*",?)*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\\n])*)"')
WORDS = [{"role": "user", "content": "The secret recipe is 17 plus 25."}]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """The samples of a page, every line of which must be well-formed, named and typed before it is used."""
    types: dict[str, str] = {}
    found: Samples = {}
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.match(line)
            assert match, line
            family = re.sub(r"_(bucket|count|sum)$", "", match[1])
            kind = types.get(match[1]) or types[family]
            assert (kind == "histogram") is (match[1] not in types)
            labels = frozenset((name, unescaped(value)) for name, value in LABEL.findall(match[2] or ""))
            assert (match[1], labels) not in found
            found[match[1], labels] = float(match[3])
    return found


def unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value)


def at(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all series of that name with these labels."""
    wanted = {("model_name", labels.pop("model"))} if "model" in labels else set()
    wanted |= set(labels.items())
    return sum(value for (family, found), value in samples.items() if family == f"nlrl:{name}" and wanted <= found)


def trouble(number: int, body: Mapping[str, Any]) -> Fault | None:
    return Fault("status", status=400) if "BREAK" in str(body["messages"]) else None


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again: what was learnt of one upstream must not be believed of the next."""
    monkeypatch.setattr(_openai_server, "_known", {})


def soon(true: Callable[[], bool]) -> None:
    """A request is counted and logged when it has been answered: a moment after the client has its answer."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < 5, "it took too long"
        time.sleep(0.01)


class Served:
    def __init__(self, stub: StubServer, url: str) -> None:
        self.stub, self.url = stub, url
        self.answers = 0

    def chat(self, model: str, **fields: Any) -> httpx.Response:
        asked = {"model": model, "messages": WORDS, "max_tokens": 40, **fields}
        got = post(f"{self.url}/v1/chat/completions", json=asked, timeout=20)
        self.answers += 1
        return got

    def metrics(self) -> Samples:
        """What is counted, once every answer that was had is among it."""
        found: Samples = {}

        def complete() -> bool:
            nonlocal found
            found = read(get(f"{self.url}/metrics").text)
            return at(found, "http_requests_total", handler="/v1/chat/completions") >= self.answers

        soon(complete)
        return found


@pytest.fixture
def served() -> Iterator[Served]:
    quick = Patience(retries=0, backoff_s=0.01, connect_s=2, read_s=3, try_s=5, total_s=6)
    with StubServer(Manners(), faults=trouble) as stub:
        models = {
            "up": OpenAIModel("up", base_url=stub.base_url, api_key="sk-upstream-secret", patience=quick),
            "here": ScriptedModel(lambda request, index: "Final Answer: 42"),
            "slow": ScriptedModel(lambda request, index: "word " * 100, token_seconds=0.02),
        }
        with serving(App(Catalog(models), Settings(running=1))) as url:
            yield Served(stub, url)


def test_tokens_are_the_upstreams_own_count_by_model_and_strategy(served: Served) -> None:
    for model in ("up", "self_consistency(n=4)@up", "best_of_n(n=2)@up", "here"):
        assert served.chat(model).status_code == 200
    served.chat("up", stream=True)
    got = served.metrics()
    assert at(got, "prompt_tokens_total", model="up") == served.stub.prompt_tokens
    assert at(got, "generation_tokens_total", model="up") == served.stub.completion_tokens
    assert at(got, "generation_tokens_total", model="up", strategy="direct") > 0
    assert at(got, "model_calls_total", model="up", strategy="self_consistency") == 4
    assert at(got, "model_calls_total", model="here", strategy="direct") == 1
    assert at(got, "request_success_total") == 5 == at(got, "e2e_request_latency_seconds_count")
    assert at(got, "e2e_request_latency_seconds_bucket", le="+Inf") == 5
    assert at(got, "num_requests_running") == at(got, "num_requests_waiting") == 0
    assert at(got, "http_requests_total", handler="/v1/chat/completions", status="200") == 5
    assert at(got, "build_info") == 1


@pytest.mark.parametrize("model", ["up", "self_consistency(n=2)@up", "here", "self_consistency(n=2)@here"])
@pytest.mark.parametrize("stream", [False, True])
def test_why_it_ended_and_when_it_began(served: Served, model: str, stream: bool) -> None:
    served.chat(model, stream=stream)
    served.chat(model, stream=stream, max_tokens=2)
    got = served.metrics()
    assert at(got, "request_success_total", finished_reason="stop") == 1
    assert at(got, "request_success_total", finished_reason="length") == 1
    assert at(got, "time_to_first_token_seconds_count") == (2 if stream else 0)
    assert at(got, "time_to_first_token_seconds_sum") <= at(got, "e2e_request_latency_seconds_sum")


def test_the_first_text_is_not_the_announcement_of_it(served: Served) -> None:
    """Ten pieces of 20 ms: the announcement goes out at once, the first line of an attempt after a while."""
    served.chat("slow", stream=True, max_tokens=10)
    first, whole = (at(served.metrics(), f"{n}_seconds_sum") for n in ("time_to_first_token", "e2e_request_latency"))
    assert 0.015 < first < whole and whole > 0.15


def test_failures_and_clients_that_leave_are_no_answers(served: Served) -> None:
    broken = [{"role": "user", "content": "BREAK"}]
    assert served.chat("up", messages=broken).status_code == 400
    assert served.chat("self_consistency(n=2)@up", messages=broken).status_code >= 400
    assert served.chat("nobody").status_code == 404
    assert get(f"{served.url}/{'x' * 50}").status_code == 404
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.Client(base_url=served.url, timeout=1.0, verify=False) as client,
    ):
        client.post("/v1/chat/completions", json={"model": "slow", "messages": WORDS, "max_tokens": 100})
    soon(lambda: at(served.metrics(), "http_requests_total", status="499") == 1)
    got = served.metrics()
    assert at(got, "num_requests_running") == 0
    assert at(got, "request_success_total") == at(got, "request_success_total", finished_reason="abort") == 1
    assert at(got, "request_failure_total", model="up", strategy="direct", status="400") == 1
    assert at(got, "request_failure_total") == 2
    assert at(got, "e2e_request_latency_seconds_count") == 0
    assert at(got, "generation_tokens_cancelled_total", model="slow") > 0
    assert at(got, "http_requests_total", handler="other", status="404") == 1
    assert at(got, "http_requests_total", handler="/v1/chat/completions", status="404") == 1
    assert at(got, "http_requests_total", status="499") == 1


def test_the_queue_shows_while_it_lasts(served: Served) -> None:
    threads = [threading.Thread(target=served.chat, args=("slow",), kwargs={"max_tokens": 40}) for _ in range(3)]
    for thread in threads:
        thread.start()
    soon(lambda: (at(got := served.metrics(), "num_requests_running"), at(got, "num_requests_waiting")) == (1, 2))
    for thread in threads:
        thread.join()
    got = served.metrics()
    assert at(got, "num_requests_running") == at(got, "num_requests_waiting") == 0
    assert at(got, "request_queue_time_seconds_count") == 3 and at(got, "request_queue_time_seconds_sum") > 0.5


def test_no_client_can_make_a_series_or_read_a_secret(served: Served) -> None:
    for n in (1, 2, 3):
        assert served.chat(f"self_consistency(n={n})@here", temperature=n / 3, user=f"mallory{n}").status_code == 200
        assert served.chat(f"evil{n}@here").status_code == 400
        get(f"{served.url}/v1/models/made-up-{n}")
        get(f"{served.url}/made-up-{n}")
    served.metrics()
    page = get(f"{served.url}/metrics").text
    for secret in ("mallory", "evil", "made-up", "secret", "sk-upstream", "recipe", "n=2", "127.0.0.1"):
        assert secret not in page
    success = [labels for name, labels in read(page) if name == "nlrl:request_success_total"]
    handlers = {dict(labels)["handler"] for name, labels in read(page) if name == "nlrl:http_requests_total"}
    assert len(success) == 1 and handlers <= {"/v1/chat/completions", "/v1/models/", "/metrics", "other"}


def test_only_a_key_that_may_read_sees_them(tmp_path: Path) -> None:
    model = ScriptedModel(lambda request, index: "Final Answer: 42")
    with KeyStore(tmp_path / "keys") as keys, serving(App(Catalog({"here": model}), keys=keys)) as url:
        key, secret = keys.create("grafana", scopes=("read",))
        refused = get(f"{url}/metrics")
        assert refused.status_code == 401 and "nlrl:" not in refused.text
        got = get(f"{url}/metrics", headers={"Authorization": f"Bearer {secret}"})
        assert got.status_code == 200 and got.headers.get_list("content-type") == [
            "text/plain; version=0.0.4; charset=utf-8"
        ]
        assert got.headers["x-content-type-options"] == "nosniff"
        assert key.id not in got.text and "grafana" not in got.text
        assert post(f"{url}/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code == 405


def test_a_keys_budget_holds_as_before(tmp_path: Path) -> None:
    """Requests are counted on an account between theirs and the key's: the key's limit must still be seen."""
    with StubServer() as stub, KeyStore(tmp_path / "keys") as keys:
        model = OpenAIModel("up", base_url=stub.base_url, api_key="none")
        with serving(App(Catalog({"up": model}), keys=keys)) as url:
            headers = {"Authorization": f"Bearer {keys.create('alice', tokens=300)[1]}"}
            asked = {"model": "self_consistency(n=64)@up", "messages": WORDS, "max_tokens": 30}
            voted = post(f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=20).json()
            assert voted["nlrl"]["stopped"] == "tokens" and stub.tokens <= 300
            much = {"model": "up", "messages": WORDS, "max_tokens": 300}
            assert post(f"{url}/v1/chat/completions", json=much, headers=headers).status_code == 429


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = Metrics({}), Metrics({})
    first.http.add(("/health", "200"))
    assert b"/health" in first.text() and b"/health" not in second.text()


def test_each_request_is_one_record_with_its_id(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nlrl.server")
    got = served.chat("self_consistency(n=2)@here")
    soon(lambda: any(record.name == "nlrl.server" for record in caplog.records))
    (record,) = [record for record in caplog.records if record.name == "nlrl.server"]
    fields = vars(record)["fields"]
    assert fields["request_id"] == got.headers["x-request-id"] and fields["status"] == 200
    assert fields["model"] == "self_consistency(n=2)@here" and fields["tokens"] == got.json()["usage"]["total_tokens"]
    assert "recipe" not in str(fields)


def test_a_log_of_lines_and_of_objects_cannot_be_forged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nlrl.server")
    get(f"{served.url}/%1b%5b31m%0areq_1%20GET%20/")
    assert served.chat("here\n\x1b[31m").status_code == 404
    soon(lambda: len([record for record in caplog.records if record.name == "nlrl.server"]) == 2)
    records = [record for record in caplog.records if record.name == "nlrl.server"]
    for record in records:
        assert record.getMessage().isprintable()
        assert all(str(value).isprintable() for value in vars(record)["fields"].values())


def test_a_bug_tells_an_id_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: object, index: int) -> str:
        raise LookupError("the inside of the server")

    with serving(App(Catalog({"broken": ScriptedModel(broken)}))) as url:
        asked = {"model": "broken", "messages": WORDS}
        got = post(f"{url}/v1/chat/completions", json=asked)
        assert got.status_code == 500 and got.headers["x-request-id"] in got.json()["error"]["message"]
        assert "inside" not in got.text and "Lookup" not in got.text and "inside" in caplog.text
        soon(lambda: 'handler="/v1/chat/completions"' in get(f"{url}/metrics").text)
        samples = read(get(f"{url}/metrics").text)
        assert at(samples, "request_failure_total", model="broken", status="500") == 1
        assert at(samples, "num_requests_running") == 0


@given(st.lists(st.tuples(st.text(), st.integers(0, 10**12)), max_size=8))
def test_whatever_a_label_holds_it_is_read_back(pairs: list[tuple[str, int]]) -> None:
    numbers = Numbers("counter", "nlrl:x_total", "About x.", ("who",))
    expected: dict[str, int] = {}
    for who, amount in pairs:
        numbers.add((who,), amount)
        expected[who] = expected.get(who, 0) + amount
    got = read("\n".join(numbers.lines()) + "\n")
    assert {dict(labels)["who"]: value for (_, labels), value in got.items()} == expected


@given(st.lists(st.floats(0, 100), max_size=40))
def test_a_histogram_counts_what_is_at_most_its_bound(values: list[float]) -> None:
    bounds = (0.5, 1.0, 10.0)
    histogram = Histogram("nlrl:t_seconds", "About t.", (), bounds)
    for value in values:
        histogram.observe((), value)
    got = read("\n".join(histogram.lines()) + "\n")
    for bound in bounds:
        assert at(got, "t_seconds_bucket", le=str(bound)) == sum(value <= bound for value in values)
    assert at(got, "t_seconds_bucket", le="+Inf") == at(got, "t_seconds_count") == len(values)
    assert at(got, "t_seconds_sum") == pytest.approx(sum(values))


# --- the machine


class _Driver:
    """Stands in for NVIDIA's library: one GPU, whose memory is filled up by somebody."""

    class NVMLError(Exception):
        pass

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers = {
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetName": 'A "fast" one',
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(used=5, total=80),
            "nvmlDeviceGetUtilizationRates": types.SimpleNamespace(gpu=50),
        }
        return lambda *_: answers.get(name)


def test_processor_and_memory_are_told() -> None:
    metrics = Metrics({})
    first = read(metrics.text().decode())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    then = read(metrics.text().decode())
    worked = ("process_cpu_seconds_total", frozenset())
    assert then[worked] - first[worked] >= 0.08
    now, peak = (
        then[name, frozenset()] for name in ("process_resident_memory_bytes", "nlrl:process_peak_memory_bytes")
    )
    assert 10_000_000 < now <= peak


def test_a_gpu_is_told_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_nvml", _Driver)
    told = read(Metrics({}).text().decode())
    labels = frozenset({("gpu", "0"), ("name", 'A "fast" one')})
    assert told["nlrl:gpu_memory_used_bytes", labels] == 5
    assert told["nlrl:gpu_utilization_ratio", labels] == 0.5
