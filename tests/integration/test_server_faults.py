"""The server when things go wrong: clients leave, upstreams break, bytes are hostile, keys are revoked, time is up."""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nlrl.models.openai import OpenAIModel
from nlrl.server import App, Catalog, KeyStore, Settings, serving
from nlrl.testing.stub_server import Fault, Manners, StubServer

# loading certificates takes a tenth of a second, and there is no TLS here
get = functools.partial(httpx.get, verify=False)
post = functools.partial(httpx.post, verify=False)

SLOW = Manners(token_seconds=0.2)


def client_of(url: str) -> openai.OpenAI:
    quick = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0, timeout=30, http_client=quick)


@pytest.mark.parametrize(
    ("model", "stream"),
    [("up", False), ("up", True), ("self_consistency(n=8)@up", False), ("adaptive_consistency@up", True)],
)
def test_a_client_that_leaves_takes_everything_upstream_with_it(lab: Any, model: str, stream: bool) -> None:
    # an answer that is not streamed is waited for in silence: only then does the stub notice at once who has left
    mute = Fault("hang", after=None if not stream and "adaptive" not in model else 2)
    with StubServer(SLOW, lambda number, asked: mute) as stub, lab.running(stub) as url:
        host, port = url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port))
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(lab.body(model, stream=stream)),
            {"Content-Type": "application/json"},
        )
        lab.soon(lambda: stub.in_flight > 0, 5)
        time.sleep(0.1)
        connection.close()
        assert lab.soon(lambda: stub.in_flight == 0) < 1.0
        lab.soon(lambda: get(url + "/health").json() == {"status": "ok", "running": 0, "waiting": 0})


def test_an_upstream_that_dies_in_mid_stream_ends_in_an_error_and_not_in_done(lab: Any) -> None:
    with StubServer(faults=lambda number, asked: Fault("cut", after=4)) as stub, lab.running(stub) as url:
        raw = post(url + "/v1/chat/completions", json=lab.body("up", stream=True)).text
        assert "[DONE]" not in raw
        last = json.loads(raw.strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["type"] == "upstream_error"
        client = openai.OpenAI(
            http_client=openai.DefaultHttpxClient(verify=False), base_url=url + "/v1", api_key="x", max_retries=0
        )
        with client, pytest.raises(openai.APIError, match="broke off"):
            list(client.chat.completions.create(model="up", messages=lab.question, stream=True))  # type: ignore[arg-type]


def test_a_stream_that_ends_well_without_done_gets_its_done(lab: Any) -> None:
    with StubServer(Manners(done=False, newline="\r\n", comments=True)) as stub, lab.running(stub) as url:
        got = post(url + "/v1/chat/completions", json=lab.body("up", stream=True)).text
        assert got.endswith("data: [DONE]\n\n") and "error" not in got and "Final" in got
        with client_of(url) as client:
            chunks = list(client.chat.completions.create(**lab.body("up", stream=True)))  # type: ignore[arg-type]
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_old_upstream_that_counts_no_streams_still_streams(lab: Any) -> None:
    with StubServer(Manners(stream_options="refused", compress=True)) as stub, lab.running(stub) as url:
        for _ in range(2):
            got = post(url + "/v1/chat/completions", json=lab.body("up", stream=True)).text
            assert got.endswith("data: [DONE]\n\n") and "Final" in got
        assert stub.requests == 3  # what it refused once is not tried again
        asked = lab.body("up", stream=True, stream_options={"include_usage": True})
        assert (
            post(url + "/v1/chat/completions", json=asked).status_code == 400
        )  # the client's own wish, and its answer


def test_an_upstream_that_does_not_stream_is_streamed_all_the_same(lab: Any) -> None:
    with StubServer(Manners(stream="ignored")) as stub, lab.running(stub) as url, client_of(url) as client:
        for model in ("up", "self_consistency(n=2)@up"):
            asked = lab.body(model, stream=True, stream_options={"include_usage": True})
            chunks: list[Any] = list(client.chat.completions.create(**asked))
            assert "Final Answer" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert chunks[-1].usage.completion_tokens > 0
            assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_who_leaves_early_pays_what_the_upstream_may_go_on_to_write(lab: Any, tmp_path: Path) -> None:
    mute = Fault("hang")
    with (
        KeyStore(tmp_path / "keys") as keys,
        StubServer(faults=lambda number, asked: mute) as stub,
        lab.running(stub, keys=keys) as url,
    ):
        headers = {"Authorization": f"Bearer {keys.create('alice')[1]}"}
        used = 0
        for model, n in (("up", 1), ("self_consistency(n=4)@up", 4)):
            with pytest.raises(httpx.ReadTimeout):
                asked = lab.body(model, max_tokens=50)
                post(url + "/v1/chat/completions", json=asked, headers=headers, timeout=0.5)
            lab.soon(lambda used=used: keys.list()[0].used > used, 2)
            was, used = used, keys.list()[0].used
            assert n * 50 + stub.prompt_tokens <= used - was <= n * (50 + 300)
            stub.prompt_tokens = 0


@pytest.mark.parametrize("status", [500, 400])
@pytest.mark.parametrize("stream", [False, True])
def test_one_of_eight_failing_is_an_answer_of_seven(lab: Any, stream: bool, status: int) -> None:
    manners = Manners(n="refused", refusal="parameter n is not supported")
    broken = Fault("status", status=status)
    with StubServer(manners, lambda number, asked: broken if asked.get("seed") == 4 else None) as stub:
        with lab.running(stub) as url:
            client = openai.OpenAI(
                http_client=openai.DefaultHttpxClient(verify=False),
                base_url=url + "/v1",
                api_key="x",
                max_retries=0,
                timeout=30,
            )
            with client:
                client.chat.completions.create(**lab.body("self_consistency(n=2)@up"))  # it is learnt: one a call
                asked = lab.body("self_consistency(n=8)@up", seed=1, stream=stream)
                got: Any = client.chat.completions.create(**asked)
                nlrl = got.nlrl if not stream else [c for c in got if "nlrl" in (c.model_extra or {})][-1].nlrl
        assert (nlrl["attempts"], nlrl["failed"]) == (7, 1)
        assert any("1 of 8 draws failed" in note for note in nlrl["notes"])


def test_an_upstreams_failure_has_its_status_and_no_secret(lab: Any) -> None:
    cases = [
        (Fault("status", status=401, body=f'{{"error": {{"message": "bad key {lab.secret}"}}}}'.encode()), 502, 502),
        (Fault("status", status=404), 502, 502),
        (Fault("status", status=400, body=b'{"error": {"message": "no such field: zap"}}'), 400, 400),
        (Fault("status", status=400, body=b'{"error": {"message": "maximum context length is 5 tokens"}}'), 400, 400),
        (Fault("status", status=429, headers=(("Retry-After", "1"),)), 429, 429),
        (Fault("status", status=500), 502, 502),
        (Fault("status", status=503), 503, 503),
        (Fault("body", body=b"<html>hello</html>"), 502, 502),
        (Fault("body", body=b'{"choices": 5}'), 502, 502),
        (Fault("reset"), 502, 503),
    ]
    fault = Fault("hang")
    with StubServer(faults=lambda number, asked: fault) as stub, lab.running(stub) as url:
        with pytest.raises(httpx.ReadTimeout):  # it says nothing for ever: the client's own patience decides
            post(url + "/v1/chat/completions", json=lab.body("up"), timeout=0.5)
        lab.soon(lambda: stub.in_flight == 0)
        for fault, *expected in cases:  # the stub asks for `fault`
            for model, status in zip(("up", "self_consistency(n=2)@up"), expected, strict=True):
                got = post(url + "/v1/chat/completions", json=lab.body(model), timeout=30)
                assert got.status_code == status, (fault, model, got.text)
                assert got.json()["error"]["message"] and lab.secret not in got.text
                assert ("retry-after" in got.headers) is (status in (429, 503)) or model != "up"


def test_an_upstream_that_is_not_there_is_a_503(lab: Any) -> None:
    with StubServer() as gone:
        nowhere = gone.base_url
    with serving(
        App(Catalog({"up": OpenAIModel("up", base_url=nowhere, api_key=lab.secret, patience=lab.quick)}))
    ) as url:
        for model in ("up", "self_consistency(n=2)@up", "adaptive_consistency@up"):
            got = post(url + "/v1/chat/completions", json=lab.body(model), timeout=30)
            assert got.status_code == 503 and got.headers["retry-after"]


@pytest.mark.parametrize(
    ("model", "stream"),
    [("here", False), ("up", True), ("self_consistency(n=4)@up", False), ("self_refine@here", True)],
)
def test_a_deadline_gives_what_there_is_in_time_and_says_so(lab: Any, model: str, stream: bool) -> None:
    with StubServer(Manners(token_seconds=0.05, reply=lambda asked, choice: [" word"] * 100)) as stub:
        with (
            lab.running(stub) as url,
            openai.OpenAI(
                http_client=openai.DefaultHttpxClient(verify=False), base_url=url + "/v1", api_key="x", max_retries=0
            ) as client,
        ):
            began = time.monotonic()
            got: Any = client.chat.completions.create(
                **lab.body(model, stream=stream), extra_body={"nlrl": {"budget": {"seconds": 0.4}}}
            )
            if stream:
                chunks = list(got)
                text = "".join(c.choices[0].delta.content or "" for c in chunks)
                nlrl, finish = chunks[-1].nlrl, chunks[-1].choices[0].finish_reason
            else:
                text, nlrl, finish = got.choices[0].message.content, got.nlrl, got.choices[0].finish_reason
            assert time.monotonic() - began < 2.0
        assert (nlrl["stopped"], finish) == ("seconds", "length") and text.count("word") >= 1
        lab.soon(lambda: stub.in_flight == 0)


def test_too_many_waiting_is_a_429_and_gaps_are_kept_open(lab: Any) -> None:
    settings = Settings(running=1, waiting=1, heartbeat_s=0.1)
    hang = Fault("hang", after=2)
    with StubServer(faults=lambda number, asked: hang) as stub, lab.running(stub, settings) as url:

        async def run() -> None:
            async with httpx.AsyncClient(verify=False, base_url=url, timeout=20) as client:
                async with client.stream("POST", "/v1/chat/completions", json=lab.body("up", stream=True)) as first:
                    lines = first.aiter_lines()
                    async for line in lines:
                        if line == ": keep-alive":
                            break
                    waiting = asyncio.create_task(client.post("/v1/chat/completions", json=lab.body("quick")))
                    await asyncio.sleep(0.2)
                    third = await client.post("/v1/chat/completions", json=lab.body("quick"))
                    assert third.status_code == 429 and int(third.headers["retry-after"]) >= 1
                    assert third.json()["error"]["code"] == "queue_full"
                assert (await waiting).status_code == 200

        asyncio.run(run())


TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
WAYS = (
    ("up", {}),
    ("up", {"stream": True}),
    ("self_consistency(n=4)@up", {}),
    ("self_consistency(n=4)@up", {"tools": TOOLS}),
)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_refused_request_costs_its_key_nothing(lab: Any, tmp_path: Path, status: int) -> None:
    fault = Fault("status", status=status)
    with (
        KeyStore(tmp_path / "keys") as keys,
        StubServer(faults=lambda number, asked: fault) as stub,
        lab.running(stub, keys=keys) as url,
    ):
        headers = {"Authorization": f"Bearer {keys.create('alice')[1]}"}
        for model, fields in WAYS:
            got = post(url + "/v1/chat/completions", json=lab.body(model, **fields), headers=headers, timeout=20)
            assert got.status_code >= 400, got.text
        assert stub.requests >= len(WAYS) and stub.tokens == 0
    with KeyStore(tmp_path / "keys") as keys:
        assert keys.list()[0].used == 0


def test_a_refused_connection_costs_its_key_nothing(lab: Any, tmp_path: Path) -> None:
    with StubServer() as gone:
        pass
    with KeyStore(tmp_path / "keys") as keys, lab.running(gone, keys=keys) as url:
        headers = {"Authorization": f"Bearer {keys.create('alice')[1]}"}
        for model, fields in WAYS:
            got = post(url + "/v1/chat/completions", json=lab.body(model, **fields), headers=headers, timeout=20)
            assert got.status_code >= 400, got.text
    with KeyStore(tmp_path / "keys") as keys:
        assert keys.list()[0].used == 0


@pytest.mark.parametrize(("model", "fields"), [*WAYS, ("best_of_n(n=3)@up", {}), ("self_refine(rounds=1)@up", {})])
def test_an_upstream_without_usage_is_charged_its_prompts_by_their_bound(
    lab: Any, tmp_path: Path, model: str, fields: dict[str, Any]
) -> None:
    with (
        KeyStore(tmp_path / "keys") as keys,
        StubServer(Manners(usage=False)) as stub,
        lab.running(stub, keys=keys) as url,
    ):
        headers = {"Authorization": f"Bearer {keys.create('alice', tokens=40_000)[1]}"}
        got = post(url + "/v1/chat/completions", json=lab.body(model, **fields), headers=headers, timeout=20)
        assert got.status_code == 200, got.text
        if "nlrl" in got.text:
            assert '"estimated_tokens":0' not in got.text and '"prompt_tokens":0' not in got.text
    with KeyStore(tmp_path / "keys") as keys:
        assert stub.tokens < keys.list()[0].used <= 40_000
        assert keys.list()[0].used >= stub.prompt_tokens + stub.completion_tokens


def test_a_quota_that_does_not_hold_all_attempts_says_so_and_is_not_sure(lab: Any, tmp_path: Path) -> None:
    with (
        KeyStore(tmp_path / "keys") as keys,
        StubServer(
            Manners(n="refused", reply=lambda body, choice: [*[" so"] * 60, "\n", "Final", " Answer", ":", " 4"])
        ) as stub,
        lab.running(stub, keys=keys) as url,
    ):
        headers = {"Authorization": f"Bearer {keys.create('alice', tokens=280)[1]}"}
        asked = lab.body("self_consistency(n=4)@up", max_tokens=120)
        got = post(url + "/v1/chat/completions", json=asked, headers=headers, timeout=20).json()
    told = got["nlrl"]
    assert f"{told['attempts']} of 4 attempts fitted the budget." in told["notes"]
    assert 1 < told["attempts"] < 4 and told["estimated_tokens"] == 0
    assert told["stopped"] == "tokens" and stub.tokens <= 280


def test_one_attempt_of_four_is_no_certainty(lab: Any, tmp_path: Path) -> None:
    with StubServer(Manners(n="refused")) as stub, lab.running(stub) as url:
        asked = lab.body("self_consistency(n=4)@up", max_tokens=40, nlrl={"budget": {"calls": 1}})
        told = post(url + "/v1/chat/completions", json=asked, timeout=20).json()["nlrl"]
    assert (told["attempts"], told["confidence"], told["stopped"]) == (1, None, "calls")
    assert "1 of 4 attempts fitted the budget." in told["notes"]
