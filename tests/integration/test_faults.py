"""A faulty upstream over a real socket: every draw comes back or is named, and the bill is the upstream's own."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import Completion, Finish, ModelRefused, ModelUnavailable, Request, Sampling, user
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.models.openai.model import Patience
from nlrl.testing.stub_server import Fault, Manners, StubServer

QUICK = Patience(backoff_s=0.02, try_s=20.0, read_s=10.0, connect_s=10.0, total_s=60.0, retries=4)
ASK = Request((user("What is 17 + 25?"),))
SHORT = replace(ASK, sampling=Sampling(max_tokens=6))
HTML = Fault("body", body=b"<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")

TRANSIENT = {
    "429 with seconds": (Fault("status", status=429, headers=(("Retry-After", "0.05"),)), "rate_limited"),
    "429 without": (Fault("status", status=429), "rate_limited"),
    "500": (Fault("status", status=500), "server_error"),
    "503 as a page": (Fault("status", status=503, body=b"<h1>busy</h1>", content_type="text/html"), "overloaded"),
    "hang": (Fault("hang"), "timeout"),
    "hang in the middle": (Fault("hang", after=5), "timeout"),
    "cut": (Fault("cut", after=5), "cut_stream"),
    "cut before the first token": (Fault("cut", after=0), "cut_stream"),
    "reset": (Fault("reset"), "connection"),
    "reset in the middle": (Fault("reset", after=5), "cut_stream"),
    "error in the stream": (Fault("error", after=5), "server_error"),
    "not JSON": (HTML, "not_json"),
    "not JSON, under the name of it": (replace(HTML, content_type="application/json"), "not_json"),
    "half a JSON": (Fault("body", body=b'{"choices": [{"mess'), "not_json"),
    "binary": (Fault("body", body=bytes(range(256))), "not_json"),
    "a broken gzip": (Fault("body", body=b"\x1f\x8bnot", headers=(("Content-Encoding", "gzip"),)), "not_json"),
    "wrong schema": (Fault("body", body=b'{"answer": 42}'), "wrong_schema"),
    "wrong type": (Fault("body", body=b"[1, 2]"), "wrong_schema"),
    "no choices": (Fault("body", body=b'{"choices": []}'), "wrong_schema"),
    "an error inside a 200": (Fault("body", body=b'{"error": {"message": "oh", "code": 429}}'), "rate_limited"),
    "an empty stream": (Fault("body", body=b": hello\n\n", content_type="text/event-stream"), "cut_stream"),
    "nested too deep": (Fault("body", body=b"[" * 100_000), "not_json"),
    "slow drip": (Fault("drip", seconds=0.05), "timeout"),
}


# the server has taken the request up, for all one can see, and then sent nothing of an answer: charged as a call
UNCLEAR = ("half a JSON", "a broken gzip", "an empty stream")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again: what was learnt of one server must not be believed of the next."""
    monkeypatch.setattr(_openai_server, "_known", {})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def paid(completions: list[Completion]) -> int:
    return sum(
        c.prompt_tokens + c.completion_tokens + c.lost_prompt_tokens + c.lost_completion_tokens for c in completions
    )


def assert_charged(completions: list[Completion], server: StubServer, *, calls: bool = True) -> None:
    """Every call and token that the server spent is charged; what is charged beyond that is labelled as an estimate."""
    estimated = sum(c.estimated_tokens for c in completions)
    assert server.tokens <= paid(completions) <= server.tokens + estimated
    if calls:
        assert sum(c.calls for c in completions) == server.calls


def model_at(server: StubServer, **options: Any) -> OpenAIModel:
    return OpenAIModel("stub", base_url=server.base_url, **{"patience": QUICK, **options})


def at_first(fault: Fault) -> Callable[[int, Mapping[str, Any]], Fault | None]:
    return lambda number, body: fault if number == 0 else None


def always(fault: Fault) -> Callable[[int, Mapping[str, Any]], Fault | None]:
    return lambda number, body: fault


@pytest.mark.parametrize("continuous", ["yes", "ignored"])
@pytest.mark.parametrize("name", TRANSIENT)
def test_once_then_well(name: str, continuous: str) -> None:
    fault, kind = TRANSIENT[name]
    # short limits only where they must strike: on a busy machine they would strike elsewhere too
    patience = replace(QUICK, try_s=1.0, read_s=0.4) if kind == "timeout" else QUICK
    with StubServer(Manners(continuous=continuous), at_first(fault)) as server:
        model = model_at(server, patience=patience)
        completions = asyncio.run(model.complete(replace(ASK, n=3)))
    assert [c.finish for c in completions] == [Finish.STOP] * 3
    assert dict(model.stats.retries) == {kind: 1}
    assert_charged(completions, server, calls=name not in UNCLEAR)
    lost = sum(c.lost_completion_tokens for c in completions)
    assert lost >= (5 if fault.after == 5 else 0)
    told = fault.after is None and name not in UNCLEAR and "hang" not in name and "drip" not in name
    assert (sum(c.estimated_tokens for c in completions) == 0) == (
        told or (continuous == "yes" and kind != "timeout" and name not in UNCLEAR)
    )


@pytest.mark.parametrize("name", [n for n in TRANSIENT if "hang" not in n and "drip" not in n])
def test_always_is_named_and_not_an_answer(name: str) -> None:
    fault, kind = TRANSIENT[name]
    patience = replace(QUICK, retries=2)
    with StubServer(faults=always(fault)) as server:
        model = model_at(server, patience=patience)
        completions = asyncio.run(model.complete(replace(ASK, n=2)))
    assert server.requests == 3
    for completion in completions:
        assert completion.finish is Finish.ERROR and not completion.ok
        assert completion.error and completion.error.startswith(f"{kind}: ") and "3 tries" in completion.error
        assert "Bad Gateway" not in completion.text and "error" not in completion.text
    assert dict(model.stats.failures) == {kind: 2}
    assert_charged(completions, server, calls=name not in UNCLEAR)


@pytest.mark.parametrize("fault", [Fault("hang"), Fault("hang", after=5), Fault("drip", seconds=0.05)])
def test_waiting_is_bounded(fault: Fault) -> None:
    patience = replace(QUICK, try_s=0.5, read_s=0.3, retries=2)
    with StubServer(faults=always(fault)) as server:
        began = time.monotonic()
        [completion] = asyncio.run(model_at(server, patience=patience).complete(ASK))
        seconds = time.monotonic() - began
    assert completion.error and completion.error.startswith("timeout: ")
    assert seconds < 3 * 0.5 + 1
    assert_charged([completion], server)
    assert completion.estimated_tokens
    if fault.after:
        assert completion.completion_tokens >= 5 and completion.text  # what had arrived of the last try
        assert completion.lost_completion_tokens >= 10


def test_total_time_is_bounded_however_many_retries_are_left() -> None:
    patience = replace(QUICK, total_s=0.5, retries=1000, backoff_s=0.05)
    with StubServer(faults=always(Fault("status", status=500))) as server:
        began = time.monotonic()
        [completion] = asyncio.run(model_at(server, patience=patience).complete(ASK))
    assert not completion.ok and time.monotonic() - began < 1.5


class TestRetryAfter:
    def test_is_waited_for(self) -> None:
        fault = Fault("status", status=429, headers=(("Retry-After", "0.5"),))
        with StubServer(faults=at_first(fault)) as server:
            began = time.monotonic()
            asyncio.run(model_at(server).complete(ASK))
        assert 0.5 <= time.monotonic() - began < 1.2

    def test_as_a_date(self) -> None:
        headers = (("Retry-After", formatdate(1_000_001, usegmt=True)), ("Date", formatdate(1_000_000, usegmt=True)))
        with StubServer(faults=at_first(Fault("status", status=503, headers=headers))) as server:
            began = time.monotonic()
            asyncio.run(model_at(server).complete(ASK))
        assert 1.0 <= time.monotonic() - began < 1.7

    def test_holds_back_everybody(self) -> None:
        """The server has asked for silence: no request may come within it, not even of those who were not refused."""
        arrivals: list[float] = []

        def fault(number: int, body: Mapping[str, Any]) -> Fault | None:
            arrivals.append(time.monotonic())
            return Fault("status", status=429, headers=(("Retry-After", "0.4"),)) if number == 0 else None

        async def go(server: StubServer) -> None:
            model = model_at(server, max_concurrency=1)
            await asyncio.gather(*(model.complete(ASK) for _ in range(5)))

        with StubServer(faults=fault) as server:
            asyncio.run(go(server))
        assert len(arrivals) == 6 and arrivals[1] - arrivals[0] >= 0.4

    def test_longer_than_the_patience_is_given_up_at_once(self) -> None:
        fault = Fault("status", status=429, headers=(("Retry-After", "86400"),))
        with StubServer(faults=always(fault)) as server:
            began = time.monotonic()
            [completion] = asyncio.run(model_at(server).complete(ASK))
        assert time.monotonic() - began < 0.5 and server.requests == 1
        assert completion.error and "86400 s" in completion.error


class TestPartialFailure:
    def test_finished_draws_of_a_broken_exchange_are_kept(self) -> None:
        def reply(body: Mapping[str, Any], choice: int) -> list[str]:
            return ["x"] * (2 if choice == 1 else 20)

        with StubServer(Manners(reply=reply), at_first(Fault("cut", after=20))) as server:
            completions = asyncio.run(model_at(server).complete(replace(ASK, n=3)))
        assert server.bodies[1]["n"] == 2  # only the two that were cut are asked for again
        assert all(c.ok for c in completions) and len(completions[1].text) == 2
        assert paid(completions) == server.tokens

    def test_with_a_seed_only_neighbours_share_a_request_again(self) -> None:
        """Choice k of a request is drawn with its seed + k, so draws 0 and 2 cannot be asked for in one."""

        def reply(body: Mapping[str, Any], choice: int) -> list[str]:
            return ["x"] * (2 if choice == 1 else 20)

        request = replace(ASK, n=3, sampling=Sampling(seed=10))
        with StubServer(Manners(reply=reply), at_first(Fault("cut", after=20))) as server:
            completions = asyncio.run(model_at(server).complete(request))
        assert sorted((body["seed"], body.get("n", 1)) for body in server.bodies[1:]) == [(10, 1), (12, 1)]
        assert [c.seed for c in completions] == [10, 11, 12]
        assert_charged(completions, server)

    def test_siblings_of_a_failed_draw(self) -> None:
        def fault(number: int, body: Mapping[str, Any]) -> Fault | None:
            return Fault("status", status=500) if body.get("seed") == 12 else None

        with StubServer(Manners(n="ignored"), fault) as server:
            request = replace(ASK, n=4, sampling=Sampling(seed=10))
            completions = asyncio.run(model_at(server, patience=replace(QUICK, retries=1)).complete(request))
        assert [c.ok for c in completions] == [True, True, False, True]
        assert completions[2].error and completions[2].error.startswith("server_error: HTTP 500")
        assert completions[2].text == "" and completions[2].seed == 12

    def test_a_refused_draw_among_answered_ones_is_data(self) -> None:
        def fault(number: int, body: Mapping[str, Any]) -> Fault | None:
            return Fault("status", status=403) if body.get("seed") == 12 else None

        with StubServer(Manners(n="ignored"), fault) as server:
            request = replace(ASK, n=4, sampling=Sampling(seed=10))
            completions = asyncio.run(model_at(server).complete(request))
        assert [c.ok for c in completions] == [True, True, False, True]
        assert completions[2].error and completions[2].error.startswith("refused: HTTP 403")

    def test_a_refusal_of_everything_is_an_exception(self) -> None:
        with StubServer(faults=always(Fault("status", status=404))) as server:
            with pytest.raises(ModelRefused, match="Check the model's name"):
                asyncio.run(model_at(server).complete(replace(ASK, n=4)))
            assert server.requests == 1

    def test_a_stream_raises_too(self) -> None:
        async def go(server: StubServer) -> None:
            async for _ in model_at(server).stream(ASK):
                pass

        with (
            StubServer(faults=always(Fault("status", status=401))) as server,
            pytest.raises(ModelRefused, match="OPENAI_API_KEY"),
        ):
            asyncio.run(go(server))

    def test_a_prompt_whose_length_nobody_told_is_estimated_and_said_so(self) -> None:
        """Cut every time, and no usage on the chunks."""
        with StubServer(Manners(continuous="ignored"), always(Fault("cut", after=5))) as server:
            model = model_at(server, patience=replace(QUICK, retries=1))
            [completion] = asyncio.run(model.complete(ASK))
        assert_charged([completion], server)
        assert completion.prompt_tokens == completion.lost_prompt_tokens > 0
        assert completion.estimated_tokens == paid([completion]) == model.stats.estimated

    def test_half_an_answer_that_is_not_streamed_is_charged_all_that_it_was_allowed(self) -> None:
        """Its usage stood in the half that never came."""
        with StubServer(Manners(stream="ignored"), at_first(Fault("half"))) as server:
            [completion] = asyncio.run(model_at(server).complete(replace(ASK, sampling=Sampling(max_tokens=40))))
        assert completion.ok and completion.lost_completion_tokens == 40 and completion.calls == 2
        assert_charged([completion], server)


class TestSizes:
    """What is too large is given up at once; and since it may have been an answer, it is charged as one."""

    def given_up(self, fault: Fault, **options: Any) -> str:
        with StubServer(faults=always(fault)) as server:
            [completion] = asyncio.run(model_at(server, **options).complete(SHORT))
            assert server.requests == 1 and completion.estimated_tokens == paid([completion]) > 0
        assert not completion.ok and completion.error and completion.text == ""
        return completion.error

    def test_a_huge_answer_is_cut_off(self) -> None:
        fault = Fault("body", body=b'{"choices": "' + b"x" * 3_000_000 + b'"}')
        assert "larger than 1000000 bytes" in self.given_up(fault, max_response_bytes=1_000_000)

    def test_a_decompression_bomb_is_cut_off(self) -> None:
        body = gzip.compress(b'{"choices": "' + b"x" * 20_000_000 + b'"}')
        fault = Fault("body", body=body, headers=(("Content-Encoding", "gzip"),))
        assert "larger than" in self.given_up(fault, max_response_bytes=1_000_000)

    def test_an_endless_line_is_cut_off(self) -> None:
        fault = Fault("body", body=b"data: " + b"x" * 9_500_000, content_type="text/event-stream")
        assert "one event is longer" in self.given_up(fault)

    def test_an_error_page_of_megabytes(self) -> None:
        fault = Fault("status", status=500, body=b"<p>" + b"sorry " * 500_000, content_type="text/html")
        with StubServer(faults=always(fault)) as server:
            [completion] = asyncio.run(model_at(server, patience=replace(QUICK, retries=1)).complete(ASK))
        assert completion.error and len(completion.error) < 600


class TestCrowd:
    def two_addresses(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """A name that resolves to ::1, where nobody listens, and to 127.0.0.1."""
        real = socket.getaddrinfo

        def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if host not in ("upstream.test", b"upstream.test"):
                return real(host, port, *args, **options)
            six = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", int(port), 0, 0))
            four = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", int(port)))
            return [six, four]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return "upstream.test"

    @pytest.mark.parametrize("name", ["localhost", "two addresses"])
    def test_64_in_flight_on_a_name(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        host = self.two_addresses(monkeypatch) if name == "two addresses" else name

        async def go(server: StubServer) -> list[Completion]:
            model = OpenAIModel("stub", base_url=f"http://{host}:{server.port}/v1", patience=QUICK)
            async with asyncio.timeout(20):
                answers = await asyncio.gather(*(model.complete(SHORT) for _ in range(128)))
            return [completion for answer in answers for completion in answer]

        with StubServer(Manners(token_seconds=0.05)) as server:
            completions = asyncio.run(go(server))
        assert len(completions) == 128 and all(c.ok for c in completions)
        assert 48 <= server.most_in_flight <= 64
        assert paid(completions) == server.tokens

    def test_a_server_of_small_capacity_is_found_out(self) -> None:
        async def go(server: StubServer) -> list[Completion]:
            model = model_at(server, patience=replace(QUICK, retries=8))
            answers = await asyncio.gather(*(model.complete(SHORT) for _ in range(100)))
            return [completion for answer in answers for completion in answer]

        with StubServer(Manners(capacity=8, token_seconds=0.004)) as server:
            completions = asyncio.run(go(server))
            refused = server.struck["capacity"]
        assert all(c.ok for c in completions)
        assert_charged(completions, server)
        assert refused < 150  # 64 in flight without the limit would be refused far more often

    def test_cancelled_in_the_crowd(self) -> None:
        """Half of the tasks are cancelled at random moments; the other half are answered, and no place is lost."""

        async def go(server: StubServer) -> None:
            model = model_at(server, max_concurrency=8)
            tasks = [asyncio.create_task(model.complete(replace(ASK, n=2))) for _ in range(60)]
            for at, task in enumerate(tasks[::2]):
                await asyncio.sleep(0.003)
                if at % 3 != 2:
                    task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            for at, answer in enumerate(done):
                if at % 2 or (at // 2) % 3 == 2:
                    assert isinstance(answer, list) and all(c.ok for c in answer)
                else:
                    assert isinstance(answer, list | asyncio.CancelledError)
            place = next(iter(_openai_server._servers.values()))
            assert place.limit.in_flight == 0

        with StubServer(Manners(token_seconds=0.001)) as server:
            asyncio.run(go(server))


class TestNobodyThere:
    def test_a_port_where_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        model = OpenAIModel("m", base_url=f"http://127.0.0.1:{port}/v1", patience=QUICK)
        with pytest.raises(ModelUnavailable, match="OPENAI_BASE_URL"):
            asyncio.run(model.complete(replace(ASK, n=3)))

    def test_a_name_that_does_not_exist(self) -> None:
        model = OpenAIModel("m", base_url="http://nobody.invalid/v1", patience=QUICK)
        with pytest.raises(ModelUnavailable, match=r"nobody\.invalid"):
            asyncio.run(model.complete(ASK))

    def test_a_server_that_comes_back(self) -> None:
        """One that was there before is waited for with all retries."""

        async def go() -> None:
            with StubServer() as server:
                port, model = server.port, model_at(server, patience=replace(QUICK, retries=8, backoff_s=0.1))
                await model.complete(ASK)
            waiting = asyncio.create_task(model.complete(ASK))
            await asyncio.sleep(0.3)
            with StubServer(port=port):
                [completion] = await waiting
            assert completion.ok and model.stats.retries["connection"] >= 1

        asyncio.run(go())


FAULTS = st.sampled_from(
    [None, None, *(replace(fault, seconds=0.01) for fault, kind in TRANSIENT.values() if kind != "timeout")]
)


@settings(max_examples=20, deadline=None)
@given(
    faults=st.lists(FAULTS, max_size=12),
    n=st.integers(1, 6),
    manners=st.builds(
        Manners,
        n=st.sampled_from(["yes", "ignored", "refused", 2]),
        continuous=st.sampled_from(["yes", "ignored", "refused"]),
        newline=st.sampled_from(["\n", "\r\n"]),
        compress=st.booleans(),
        done=st.booleans(),
    ),
    seed=st.none() | st.integers(0, 99),
)
def test_any_faults_in_any_order(faults: list[Fault | None], n: int, manners: Manners, seed: int | None) -> None:
    """The laws: as many completions as asked for, each a text or a named failure, and not a token more or less."""
    _openai_server._known.clear()
    patience = replace(QUICK, retries=3, backoff_s=0.002)
    with StubServer(manners, lambda number, body: faults[number] if number < len(faults) else None) as server:
        model = model_at(server, patience=patience)
        completions = asyncio.run(model.complete(Request(ASK.messages, Sampling(seed=seed), n=n)))
    assert len(completions) == n
    for index, completion in enumerate(completions):
        assert completion.ok == (completion.finish is not Finish.ERROR)
        assert completion.seed == (None if seed is None else seed + index)
    assert_charged(completions, server, calls=False)
    assert sum(c.calls for c in completions) >= server.calls
