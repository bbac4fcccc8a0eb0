"""OpenAIModel against a server that behaves (in all the ways servers behave), and the parts it is made of."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import (
    Completion,
    Delta,
    Finish,
    ModelRefused,
    ModelUnavailable,
    Prices,
    PromptTooLong,
    Request,
    Sampling,
    UserError,
    assistant,
    user,
)
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.models.openai.model import Patience
from nlrl.models.openai.watch import Watch
from nlrl.models.openai.wire import Use, apportion, payload, read_chunk
from nlrl.testing.stub_server import Fault, Manners, StubServer
from nlrl.transport.failures import CallFailed, FailureKind, from_status, redact, retry_after_s, server_message
from nlrl.transport.limit import AdaptiveLimit
from nlrl.transport.sse import EventTooLong, SseDecoder

QUICK = Patience(backoff_s=0.02, try_s=5.0, read_s=2.0, connect_s=2.0, total_s=20.0)
ASK = Request((user("What is 17 + 25?"),))


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again: what was learnt of one server must not be believed of the next."""
    monkeypatch.setattr(_openai_server, "_known", {})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def paid(completions: list[Completion]) -> int:
    """All tokens on the bill."""
    return sum(
        c.prompt_tokens + c.completion_tokens + c.lost_prompt_tokens + c.lost_completion_tokens for c in completions
    )


def model_at(server: StubServer, **options: Any) -> OpenAIModel:
    return OpenAIModel("stub", base_url=server.base_url, **{"patience": QUICK, **options})


def complete(server: StubServer, request: Request, **options: Any) -> list[Completion]:
    return asyncio.run(model_at(server, **options).complete(request))


async def read(stream: Any) -> list[Delta]:
    return [delta async for delta in stream]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what happens in the server's thread."""
    async with asyncio.timeout(3):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for across threads
            await asyncio.sleep(0.005)


class TestOneShape:
    """What arrives is the same, however the server says it."""

    @pytest.mark.parametrize(
        "manners",
        [
            Manners(),
            Manners(newline="\r\n", comments=True),
            Manners(done=False),
            Manners(compress=True),
            Manners(continuous="ignored"),
            Manners(continuous="refused"),
            Manners(continuous="ignored", tokens_per_chunk=3),
            Manners(stream="ignored"),
            Manners(stream="ignored", compress=True),
            Manners(stream="refused"),
            Manners(stream_options="refused"),
            Manners(stream_options="refused", refusal="bad request"),
            Manners(n="ignored"),
            Manners(n="refused"),
            Manners(n="refused", refusal="bad request"),
            Manners(n=3),
            Manners(n="refused", continuous="refused", stream="refused"),
        ],
        ids=str,
    )
    def test_complete_is_whole_and_its_bill_is_the_servers(self, manners: Manners) -> None:
        with StubServer(manners) as server:
            completions = complete(server, replace(ASK, n=4))
        assert [c.finish for c in completions] == [Finish.STOP] * 4
        assert all("Final Answer:" in c.text for c in completions)
        assert all(c.completion_tokens > 0 for c in completions)
        assert paid(completions) == server.tokens
        assert sum(c.prompt_tokens for c in completions) == server.prompt_tokens

    @pytest.mark.parametrize("continuous", ["yes", "ignored"])
    @pytest.mark.parametrize("n", ["yes", "ignored"])
    def test_stream_says_what_complete_says(self, n: str, continuous: str) -> None:
        with StubServer(Manners(n=n, continuous=continuous)) as server:
            model = model_at(server)
            request = replace(ASK, n=3, sampling=Sampling(seed=5))
            whole = asyncio.run(model.complete(request))
            before = server.tokens
            deltas = asyncio.run(read(model.stream(request)))
        streamed = {d.index: d.completion for d in deltas if d.completion}
        assert [streamed[i].text for i in range(3)] == [c.text for c in whole]
        assert paid(list(streamed.values())) == server.tokens - before
        for index in range(3):
            mine = [d for d in deltas if d.index == index]
            assert "".join(d.text for d in mine) == streamed[index].text
            assert mine[-1].completion is not None and sum(d.completion is not None for d in mine) == 1

    @pytest.mark.parametrize("refusal", ["unsupported field: {field!r}", "bad request"])
    def test_a_stream_is_exact_where_only_whole_answers_have_their_usage(self, refusal: str) -> None:
        with StubServer(Manners(stream_options="refused", refusal=refusal)) as server:
            model = model_at(server)
            for _ in range(2):
                before = server.tokens
                deltas = asyncio.run(read(model.stream(replace(ASK, n=3))))
                assert paid([d.completion for d in deltas if d.completion]) == server.tokens - before > 0

    def test_per_draw_counts_are_exact_with_running_usage(self) -> None:
        with StubServer() as server:
            completions = complete(server, replace(ASK, n=5))
            texts = [server.manners.reply(server.bodies[-1], i) for i in range(5)]
        assert [c.completion_tokens for c in completions] == [len(text) + 1 for text in texts]

    def test_gists_cover_the_text(self) -> None:
        with StubServer() as server:
            [completion] = complete(server, ASK)
        assert "".join(gist.text for gist in completion.gists) == completion.text
        assert [gist.seconds for gist in completion.gists] == sorted(gist.seconds for gist in completion.gists)

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
    def test_reasoning_is_kept_apart(self, field: str) -> None:
        with StubServer(Manners(reasoning_field=field)) as server:
            [completion] = complete(server, ASK)
            said = "".join(server.manners.reply(server.bodies[0], 0))
        assert completion.reasoning and completion.reasoning + completion.text == said
        assert paid([completion]) == server.tokens

    def test_reasoning_of_an_answer_that_is_not_streamed(self) -> None:
        for field in ("reasoning", "reasoning_content"):
            body = {"choices": [{"index": 0, "message": {"content": "42", field: "17 + 25"}, "finish_reason": "stop"}]}
            [piece] = read_chunk(body).pieces
            assert (piece.text, piece.reasoning) == ("42", "17 + 25")

    def test_an_event_stream_under_a_wrong_content_type(self) -> None:
        chunk = {"choices": [{"index": 0, "delta": {"content": "42"}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
        body = f"data: {json.dumps(chunk)}\n\ndata: {json.dumps(usage)}\n\ndata: [DONE]\n\n".encode()
        with StubServer(faults=lambda number, _: Fault("body", body=body, content_type="text/plain")) as server:
            [completion] = complete(server, ASK)
        assert (completion.text, completion.prompt_tokens, completion.completion_tokens) == ("42", 5, 2)

    def test_logprobs(self) -> None:
        with StubServer(Manners(continuous="ignored")) as server:
            model = model_at(server)
            request = replace(ASK, sampling=Sampling(logprobs=2))
            [completion] = asyncio.run(model.complete(request))
            assert server.bodies[0]["logprobs"] is True and server.bodies[0]["top_logprobs"] == 2
        assert completion.logprobs and "".join(one.token for one in completion.logprobs) == completion.text
        assert all(one.logprob < 0 for one in completion.logprobs)
        assert model.can.logprobs

    def test_cached_tokens(self) -> None:
        with StubServer(Manners(cached_tokens=4)) as server:
            completions = complete(server, replace(ASK, n=2))
        assert [c.cached_tokens for c in completions] == [4, 0]

    def test_length(self) -> None:
        with StubServer(Manners(end_token=False)) as server:
            [completion] = complete(server, replace(ASK, sampling=Sampling(max_tokens=3)))
        assert completion.finish is Finish.LENGTH and completion.completion_tokens == 3

    def test_a_usage_for_every_choice_is_summed(self) -> None:
        """As llama.cpp's server does: each choice ends with a usage of its own, prompt included."""

        def event(choices: list[Any], **more: Any) -> str:
            return f"data: {json.dumps({'choices': choices, **more})}\n\n"

        body = ""
        for index, words in ((1, ["a", "b"]), (0, ["c", "d", "e"])):
            body += "".join(event([{"index": index, "delta": {"content": word}}]) for word in words)
            body += event([{"index": index, "delta": {}, "finish_reason": "stop"}])
            body += event([], usage={"prompt_tokens": 7, "completion_tokens": len(words) + 1})
        fault = Fault("body", body=(body + "data: [DONE]\n\n").encode(), content_type="text/event-stream")
        with StubServer(faults=lambda number, _: fault) as server:
            model = model_at(server)
            completions = asyncio.run(model.complete(replace(ASK, n=2)))
            deltas = asyncio.run(read(model.stream(replace(ASK, n=2))))
        assert [(c.text, c.completion_tokens, c.prompt_tokens) for c in completions] == [("cde", 4, 7), ("ab", 3, 0)]
        assert paid([d.completion for d in deltas if d.completion]) == 4 + 3 + 7

    def test_a_usage_of_one_choice_for_all_is_not_believed(self) -> None:
        def event(choices: list[Any], **more: Any) -> str:
            return f"data: {json.dumps({'choices': choices, **more})}\n\n"

        body = "".join(
            event([{"index": i, "delta": {"content": "x"}, "finish_reason": "stop" if at == 9 else None}])
            for at in range(10)
            for i in range(4)
        ) + event([], usage={"prompt_tokens": 7, "completion_tokens": 10})
        fault = Fault("body", body=(body + "data: [DONE]\n\n").encode(), content_type="text/event-stream")
        with StubServer(faults=lambda number, _: fault) as server:
            completions = complete(server, replace(ASK, n=4))
        assert [c.completion_tokens for c in completions] == [11, 11, 11, 11]  # a byte each, and the end
        assert sum(c.estimated_tokens for c in completions) == 44


class TestWhatIsSent:
    def test_only_what_was_set(self) -> None:
        with StubServer() as server:
            complete(server, ASK)
            assert set(server.bodies[0]) == {"model", "messages", "stream", "stream_options"}
            complete(
                server, replace(ASK, n=2, sampling=Sampling(temperature=0.0, top_k=5, max_tokens=9, stop=("\n\n",)))
            )
            sent = server.bodies[1]
        assert (sent["temperature"], sent["top_k"], sent["max_tokens"], sent["stop"]) == (0.0, 5, 9, ["\n\n"])
        assert sent["n"] == 2 and "seed" not in sent and "top_p" not in sent

    def test_seeds_are_of_the_draw_however_it_is_asked_for(self) -> None:
        request = Request(ASK.messages, Sampling(seed=100), n=3, first_index=4)
        with StubServer() as server:
            completions = complete(server, request)
            assert server.bodies[0]["seed"] == 104
        assert [c.seed for c in completions] == [104, 105, 106]
        with StubServer(Manners(n="refused")) as server:
            completions = complete(server, request)
            assert sorted(body["seed"] for body in server.bodies[1:]) == [104, 105, 106]
        assert [c.seed for c in completions] == [104, 105, 106]

    def test_schema_grammar_prefill_extra(self) -> None:
        schema = '{"type": "object"}'
        with StubServer() as server:
            model = model_at(server, grammar_field="grammar", prefill=True, extra_body={"priority": 1})
            sampling = Sampling(json_schema=schema, grammar='root ::= "a"')
            asyncio.run(model.complete(Request(ASK.messages, sampling, prefill="Final")))
            sent = server.bodies[0]
        assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
        assert sent["grammar"] == 'root ::= "a"' and sent["priority"] == 1
        assert sent["messages"][-1] == {"role": "assistant", "content": "Final"}
        assert sent["continue_final_message"] is True and sent["add_generation_prompt"] is False

    def test_what_the_server_cannot_do_is_refused_before_it_is_asked(self) -> None:
        with StubServer() as server:
            for request in (
                replace(ASK, prefill="Final"),
                replace(ASK, sampling=Sampling(grammar="root ::= [0-9]")),
            ):
                with pytest.raises(ModelRefused):
                    complete(server, request)
            with pytest.raises(UserError, match="JSON"):
                complete(server, replace(ASK, sampling=Sampling(json_schema="{")))
        assert server.requests == 0

    def test_max_completion_tokens_where_the_server_wants_that_name(self) -> None:
        message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        fault = Fault("status", status=400, body=json.dumps({"error": {"message": message}}).encode())
        with StubServer(faults=lambda _, body: fault if "max_tokens" in body else None) as server:
            model = model_at(server)
            for _ in range(2):
                asyncio.run(model.complete(replace(ASK, sampling=Sampling(max_tokens=8))))
        assert [("max_tokens" in b, b.get("max_completion_tokens")) for b in server.bodies] == [
            (True, None),
            (False, 8),
            (False, 8),
        ]

    def test_no_draws_no_request(self) -> None:
        with StubServer() as server:
            assert complete(server, replace(ASK, n=0)) == []
        assert server.requests == 0

    def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with StubServer(Manners(key="sk-from-the-environment")) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url + "/")
            monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
            model = OpenAIModel("stub", patience=QUICK)
            [completion] = asyncio.run(model.complete(ASK))
        assert completion.ok and model.name == f"openai:stub@127.0.0.1:{server.port}"

    @pytest.mark.parametrize(
        ("query", "key", "extra", "header", "value"),
        [
            ("", "sk-some-key", {}, "authorization", "Bearer sk-some-key"),
            ("?api-version=2024-10-21", "0123456789abcdef", {}, "api-key", "0123456789abcdef"),
            ("?api-version=2024-10-21", "eyJhbGciOi.x.y", {}, "authorization", "Bearer eyJhbGciOi.x.y"),
            ("?api-version=2024-10-21", "fedcba", {"Api-Key": "other"}, "api-key", "other"),
            ("", "sk-some-key", {"authorization": "Bearer given"}, "authorization", "Bearer given"),
        ],
    )
    def test_the_key_goes_where_the_server_looks(
        self, query: str, key: str, extra: dict[str, str], header: str, value: str
    ) -> None:
        with StubServer() as server:
            model = OpenAIModel(
                "stub", base_url=server.base_url + query, api_key=key, extra_headers=extra, patience=QUICK
            )
            [completion] = asyncio.run(model.complete(ASK))
            paths = [path for path in server.routes if "chat" in path]
        assert completion.ok and paths == [f"/v1/chat/completions{query}"]
        given = {name: sent for name, sent in server.headers[0].items() if name in ("authorization", "api-key")}
        assert given == {header: value}

    @pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", "http://[::1", "nonsense"])
    def test_urls_that_are_none(self, url: str) -> None:
        with pytest.raises(UserError, match="http://localhost:8000/v1"):
            OpenAIModel("m", base_url=url)

    def test_other_bad_arguments(self) -> None:
        bad: dict[str, Any]
        for bad in ({"model": ""}, {"model": "m", "max_concurrency": 0}, {"model": "m", "api_key": "a\nb"}):
            with pytest.raises(UserError):
                OpenAIModel(base_url="http://localhost/v1", **bad)


class TestMemory:
    """What was found out is not found out again."""

    @pytest.mark.parametrize(
        "manners, first, later",
        [
            (Manners(), 1, 1),
            (Manners(n="ignored"), 4, 4),
            (Manners(n="refused"), 5, 4),
            (Manners(n=3), 5, 4),  # refused without saying what would pass: one by one
            (Manners(n=3, refusal="n must be <= 3, got 4"), 3, 2),  # three and one
            (Manners(continuous="refused"), 2, 1),
            (Manners(continuous="refused", refusal="no"), 2, 1),
            (Manners(stream="refused"), 2, 1),
            (Manners(stream_options="refused", refusal="no"), 3, 1),
        ],
        ids=str,
    )
    def test_requests(self, manners: Manners, first: int, later: int) -> None:
        with StubServer(manners) as server:
            complete(server, replace(ASK, n=4))
            assert server.requests == first
            complete(server, replace(ASK, n=4))  # a new model object, the same server
            assert server.requests == first + later

    def test_fan_out_is_parallel(self) -> None:
        with StubServer(Manners(n="ignored", token_seconds=0.01)) as server:
            complete(server, replace(ASK, n=8))
        assert server.most_in_flight >= 7

    def test_capabilities_follow_what_is_seen(self) -> None:
        with StubServer(Manners(context_tokens=4096)) as server:
            model = model_at(server, prices=Prices(1.0, 2.0))
            assert not model.can.n and model.can.context_tokens is None
            asyncio.run(model.complete(replace(ASK, n=2)))
            asyncio.run(model.probe())
            assert model.can.n and model.can.context_tokens == 4096 and model.can.prices == Prices(1.0, 2.0)
            assert not model.can.prefill and not model.can.grammar
            assert model_at(server, context_tokens=100).can.context_tokens == 100

    def test_construction_asks_nothing(self) -> None:
        with StubServer() as server:
            model_at(server)
            time.sleep(0.05)
            assert server.connections == 0

    @pytest.mark.parametrize("tokenize", [True, False])
    def test_a_crowd_asks_for_the_tokenizer_once(self, tokenize: bool) -> None:
        async def go(server: StubServer) -> list[int | None]:
            model = model_at(server)
            return await asyncio.gather(*(model.count_prompt_tokens((user(f"{i} words"),)) for i in range(20)))

        with StubServer(Manners(tokenize=tokenize)) as server:
            counts = asyncio.run(go(server))
        assert counts == ([5] * 20 if tokenize else [None] * 20)
        assert server.routes["/tokenize"] == (20 if tokenize else 1)

    def test_prompt_tokens_from_the_tokenizer_from_memory_or_none(self) -> None:
        with StubServer(Manners(tokenize=True)) as server:
            expected = server.count_prompt({"messages": [{"role": "user", "content": "What is 17 + 25?"}]})
            assert asyncio.run(model_at(server).count_prompt_tokens(ASK.messages)) == expected
        with StubServer() as server:
            model = model_at(server)
            asyncio.run(model.complete(replace(ASK, messages=(user("Hi"),))))
            assert asyncio.run(model.count_prompt_tokens(ASK.messages)) is None
            asyncio.run(model.complete(ASK))
            assert asyncio.run(model.count_prompt_tokens(ASK.messages)) == expected


RAMBLE = ["I", " think", "\n", "Final", " Answer", ":", " 42", "\n", *([" and", " so", " on"] * 200)]


class TestStopRules:
    def test_the_answer_line_ends_a_draw_and_the_connection(self) -> None:
        manners = Manners(reply=lambda body, choice: RAMBLE, token_seconds=0.002)
        for continuous in ("yes", "ignored"):
            with StubServer(replace(manners, continuous=continuous)) as server:
                [completion] = complete(server, replace(ASK, sampling=Sampling(stop_after="final answer:")))
                asyncio.run(until(lambda: server.hung_up == 1))
            assert completion.finish is Finish.RULE and completion.text == "I think\nFinal Answer: 42"
            assert server.completion_tokens < 60
            assert completion.completion_tokens >= server.completion_tokens  # hung up on: charged by its upper bound
            assert completion.estimated_tokens and completion.prompt_tokens > 0

    def test_a_server_that_ends_soon_after_is_heard_out_for_its_usage(self) -> None:
        manners = Manners(reply=lambda body, choice: RAMBLE[:14], continuous="ignored")
        with StubServer(manners) as server:
            [completion] = complete(server, replace(ASK, sampling=Sampling(stop_after="final answer:")))
        assert completion.finish is Finish.RULE and completion.text == "I think\nFinal Answer: 42"
        assert paid([completion]) == server.tokens

    @pytest.mark.parametrize("continuous", ["yes", "ignored"])
    def test_with_n_the_rest_of_a_stopped_draw_is_on_the_bill(self, continuous: str) -> None:
        def reply(body: Any, choice: int) -> list[str]:
            return RAMBLE[:60] if choice == 0 else ["x"] * 100

        request = replace(ASK, n=2, sampling=Sampling(stop_after="final answer:"))
        with StubServer(Manners(reply=reply, continuous=continuous)) as server:
            completions = complete(server, request)
            assert [c.finish for c in completions] == [Finish.RULE, Finish.STOP]
            assert paid(completions) == server.tokens
            before = server.tokens
            deltas = asyncio.run(read(model_at(server).stream(request)))
        streamed = [d.completion for d in deltas if d.completion]
        assert [c.finish for c in streamed] == [Finish.RULE, Finish.STOP]  # handed over at once, not at the end
        assert streamed[0].completion_tokens <= 16
        assert paid(streamed) == server.tokens - before

    def test_stop_strings_of_a_server_that_ignores_them(self) -> None:
        manners = Manners(reply=lambda body, choice: ["a", "b", "ST", "OP", "c"])
        with StubServer(manners) as server:
            [completion] = complete(server, replace(ASK, sampling=Sampling(stop=("STOP",))))
        assert completion.text == "ab" and completion.finish is Finish.STOP


class TestLoops:
    def test_many_event_loops_in_a_row_leave_nothing_behind(self) -> None:
        with StubServer() as server:
            model = model_at(server)
            for _ in range(3):
                assert asyncio.run(model.complete(replace(ASK, n=2)))[1].ok
                assert not _openai_server._servers
                gc.collect()  # an open socket would warn here, and warnings are errors

    def test_closing(self) -> None:
        async def go(server: StubServer) -> None:
            one, two = model_at(server), model_at(server)
            await one.complete(ASK)
            await two.complete(ASK)
            assert server.connections <= 2 and len(_openai_server._servers) == 1
            await one.aclose()
            assert _openai_server._servers  # the other still uses it
            await two.aclose()
            assert not _openai_server._servers
            await two.aclose()
            assert (await two.complete(ASK))[0].ok  # opens again

        with StubServer() as server:
            asyncio.run(go(server))

    def test_connections_are_used_again(self) -> None:
        async def go(server: StubServer) -> None:
            model = model_at(server, context_tokens=1)
            for _ in range(5):
                await model.complete(ASK)

        with StubServer() as server:
            asyncio.run(go(server))
        assert server.connections == 1

    def test_cancelling_hangs_up_at_once(self) -> None:
        async def go(server: StubServer) -> None:
            task = asyncio.create_task(model_at(server).complete(replace(ASK, n=4)))
            await until(lambda: server.completion_tokens >= 3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: server.hung_up == 1 and not server.in_flight)

        with StubServer(Manners(token_seconds=0.05)) as server:
            asyncio.run(go(server))

    def test_closing_a_stream_hangs_up_at_once(self) -> None:
        async def go(server: StubServer) -> None:
            stream = model_at(server).stream(replace(ASK, n=3))
            async for delta in stream:
                if delta.tokens:
                    break
            await stream.aclose()
            await until(lambda: server.hung_up == 3 and not server.in_flight)

        with StubServer(Manners(token_seconds=0.05, n="refused")) as server:
            asyncio.run(go(server))

    @pytest.mark.parametrize("continuous", ["yes", "ignored"])
    def test_the_first_draw_to_finish_pays_for_the_prompt(self, continuous: str) -> None:
        """Whoever leaves the stream early must not leave without the prompt on the bill."""

        def reply(body: Any, choice: int) -> list[str]:
            return ["x"] * (3 if choice == 1 else 40)

        with StubServer(Manners(reply=reply, continuous=continuous)) as server:
            model = model_at(server)
            deltas = asyncio.run(read(model.stream(replace(ASK, n=3))))
            charged = {d.index: d.completion.prompt_tokens for d in deltas if d.completion}
            assert charged == {1: server.prompt_tokens, 0: 0, 2: 0}
            assert paid([d.completion for d in deltas if d.completion]) == server.tokens
            assert model.can.n

    def test_a_draw_of_a_stream_comes_when_it_is_finished(self) -> None:
        def reply(body: Any, choice: int) -> list[str]:
            return ["x"] * (3 if choice == 1 else 40)

        async def go(server: StubServer) -> None:
            stream = model_at(server).stream(replace(ASK, n=2))
            async for delta in stream:
                if delta.completion:
                    assert delta.index == 1 and delta.completion.completion_tokens == 4
                    assert server.completion_tokens < 30
                    break
            await stream.aclose()

        with StubServer(Manners(token_seconds=0.02, reply=reply)) as server:
            asyncio.run(go(server))


class TestSecrets:
    KEY = "sk-very-secret-0123456789"

    def test_never_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        with StubServer(Manners(key="another")) as server:  # it echoes the key it was given
            model = model_at(server, api_key=self.KEY)
            with pytest.raises(ModelRefused) as refused:
                asyncio.run(model.complete(ASK))
        shown = [
            str(refused.value),
            repr(refused.value),
            repr(model),
            model.name,
            repr(model.stats),
            str(vars(model).keys()),
        ]
        error: BaseException | None = refused.value
        while error is not None:
            shown += [str(error), repr(error.args)]
            error = error.__cause__ or error.__context__
        assert self.KEY not in " ".join(shown) and "secret" not in " ".join(shown)
        assert self.KEY not in caplog.text
        assert "OPENAI_API_KEY" in str(refused.value)

    def test_a_password_in_the_url(self) -> None:
        model = OpenAIModel("m", base_url="http://me:hunter2@localhost:1/v1?api-version=3", patience=QUICK)
        with pytest.raises(ModelUnavailable) as error:
            asyncio.run(model.complete(ASK))
        assert "hunter2" not in f"{model!r} {model.name} {error.value}"
        assert model.name == "openai:m@localhost:1"

    def test_redaction_comes_before_cutting(self) -> None:
        page = "x" * 390 + " " + self.KEY
        message, _ = server_message(page, self.KEY)
        assert "sk-" not in message


class TestLimit:
    def test_halves_once_a_round_and_grows_back(self) -> None:
        async def go() -> None:
            limit = AdaptiveLimit(16)
            async with limit.slot() as one, limit.slot() as two:
                limit.overloaded(one)
                limit.overloaded(two)  # sent before the halving: says nothing new
                assert limit.level == 8
            async with limit.slot() as three:
                limit.overloaded(three)
                assert limit.level == 4
            for _ in range(400):
                async with limit.slot() as ticket:
                    limit.succeeded(ticket)
            assert limit.level == 16
            for _ in range(10):
                async with limit.slot() as ticket:
                    limit.overloaded(ticket)
            assert limit.level == 1

        asyncio.run(go())

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["ok", "over", "cancel"]), st.booleans()), max_size=60), st.integers(1, 6)
    )
    def test_never_too_many_never_stuck(self, plan: list[tuple[str, bool]], most: int) -> None:
        async def go() -> None:
            limit, peak = AdaptiveLimit(most), 0

            async def work(kind: str, urgent: bool) -> None:
                nonlocal peak
                async with limit.slot(urgent=urgent) as ticket:
                    peak = max(peak, limit.in_flight)
                    await asyncio.sleep(0)
                    if kind == "over":
                        limit.overloaded(ticket)
                    else:
                        limit.succeeded(ticket)

            tasks = [asyncio.create_task(work(*step)) for step in plan]
            await asyncio.sleep(0)
            for (kind, _), task in zip(plan, tasks, strict=True):
                if kind == "cancel":
                    task.cancel()
            async with asyncio.timeout(5):
                await asyncio.gather(*tasks, return_exceptions=True)
            assert peak <= most and limit.in_flight == 0

        asyncio.run(go())

    def test_retries_go_first_and_a_pause_holds_everybody(self) -> None:
        async def go() -> None:
            limit, order = AdaptiveLimit(1), []

            async def work(name: str, urgent: bool) -> None:
                async with limit.slot(urgent=urgent):
                    order.append(name)

            async with limit.slot() as ticket:
                tasks = [asyncio.create_task(work("new", False)), asyncio.create_task(work("again", True))]
                await asyncio.sleep(0)
                limit.overloaded(ticket, pause_s=0.1)
            began = time.monotonic()
            await asyncio.gather(*tasks)
            assert order == ["again", "new"] and time.monotonic() - began > 0.08

        asyncio.run(go())


class TestWatch:
    def test_bytes_that_came_while_the_machine_was_busy_count(self) -> None:
        """The process stands still for longer than the limit; what came in meanwhile must be seen before the clock."""

        async def go(delay_s: float) -> int:
            loop, came, read = asyncio.get_running_loop(), asyncio.Queue[None](), 0
            near, far = socket.socketpair()
            near.setblocking(False)
            far.setblocking(False)
            loop.add_reader(near, lambda: (near.recv(100), loop.call_soon(came.put_nowait, None)))
            try:
                async with Watch(read_s=0.1, try_s=1.0) as watch:
                    for _ in range(4):
                        loop.call_later(0.01, lambda: (time.sleep(delay_s), far.send(b"x")))
                        await came.get()
                        watch.alive()
                        read += 1
            finally:
                loop.remove_reader(near)
                near.close()
                far.close()
            return read

        assert asyncio.run(go(0.15)) == 4

    def test_both_clocks(self) -> None:
        async def go(read_s: float, try_s: float) -> tuple[float, bool]:
            began = time.monotonic()
            watch = Watch(read_s=read_s, try_s=try_s)
            with pytest.raises(TimeoutError):
                async with watch:
                    while True:
                        await asyncio.sleep(0.02)
                        watch.alive() if read_s > try_s else None
            return time.monotonic() - began, watch.silent

        seconds, silent = asyncio.run(go(0.2, 9))
        assert 0.2 <= seconds < 1 and silent
        seconds, silent = asyncio.run(go(9, 0.2))
        assert 0.2 <= seconds < 1 and not silent

    def test_ends_quietly_and_lets_a_cancellation_through(self) -> None:
        async def go() -> None:
            async with Watch(read_s=9, try_s=9) as watch:
                watch.end_within(5)
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(self.wait())
                    await asyncio.sleep(0)
                    task.cancel()
                    await task

        asyncio.run(go())

    @staticmethod
    async def wait() -> None:
        async with Watch(read_s=9, try_s=9):
            await asyncio.sleep(9)


def decode(decoder: SseDecoder, chunks: list[bytes]) -> list[str]:
    events = [event.data for chunk in chunks for event in decoder.feed(chunk)]
    last = decoder.close()
    return events + ([last.data] if last else [])


class TestSse:
    @given(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30), max_size=8),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.lists(st.integers(0, 400), max_size=30),
        st.booleans(),
    )
    def test_cut_anywhere(self, texts: list[str], newline: str, cuts: list[int], comments: bool) -> None:
        stream = ""
        for text in texts:
            if comments:
                stream += f": comment{newline}{newline}event: e{newline}id: 7{newline}"
            stream += "".join(f"data: {line}{newline}" for line in text.split("\n")) + newline
        raw = stream.encode()
        bounds = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
        chunks = [raw[a:b] for a, b in itertools.pairwise(bounds)]
        assert decode(SseDecoder(), chunks) == texts

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_every_cut_of_two_lines(self, newline: str) -> None:
        raw = f"data: a{newline}data: ü{newline}{newline}data: c{newline}{newline}".encode()
        for at in range(len(raw)):
            assert decode(SseDecoder(), [raw[:at], raw[at:]]) == ["a\nü", "c"]

    def test_the_odd_ones(self) -> None:
        assert decode(SseDecoder(), [b"\xef\xbb\xbfdata:a\n\n"]) == ["a"]
        assert decode(SseDecoder(), [b"data: a"]) == ["a"]
        assert decode(SseDecoder(), [b"data\n\n"]) == [""]
        assert decode(SseDecoder(), [b": only a comment\n\n\n\n"]) == []
        assert decode(SseDecoder(), [b"data: \xff\n\n"]) == ["\ufffd"]
        with pytest.raises(EventTooLong):
            decode(SseDecoder(max_chars=100), [b"data: " + b"x" * 60, b"x" * 60])


KEYS = [
    *("choices", "delta", "message", "content", "index", "finish_reason", "usage", "prompt_tokens", "text", "error"),
    *("completion_tokens", "logprobs", "token", "logprob", "top_logprobs", "code", "type", "reasoning", "refusal"),
    *("prompt_tokens_details", "cached_tokens"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


class TestWire:
    @given(st.integers(0, 10**6), st.lists(st.integers(0, 10**4), min_size=1, max_size=20))
    def test_apportion_adds_up(self, total: int, weights: list[int]) -> None:
        parts = apportion(total, weights)
        assert sum(parts) == total and min(parts) >= 0
        if sum(weights):
            for part, weight in zip(parts, weights, strict=True):
                assert abs(part - total * weight / sum(weights)) < 1

    @settings(max_examples=300)
    @given(JSON)
    def test_nonsense_is_a_named_failure_or_a_reading(self, body: Any) -> None:
        try:
            reading = read_chunk(body)
        except CallFailed as failed:
            assert failed.kind in FailureKind
            return
        for piece in reading.pieces:
            json.dumps([piece.text, piece.reasoning, [one.logprob for one in piece.logprobs]], allow_nan=False).encode()
            assert all(one.logprob <= 0 for one in piece.logprobs)
        if reading.usage:
            assert 0 <= reading.usage.cached <= reading.usage.prompt

    def test_contents_of_all_kinds(self) -> None:
        def content(value: Any) -> tuple[str, str]:
            [piece] = read_chunk({"choices": [{"delta": {"content": value}}]}).pieces
            return piece.text, piece.reasoning

        assert content(None) == ("", "")
        assert content("\ud83d") == ("\ufffd", "")  # half of an emoji
        assert content("\ud83d\ude00") == ("😀", "")
        parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "42"}]
        assert content(parts) == ("42", "hm")

    def test_finish_reasons(self) -> None:
        for said, meant in (("stop", Finish.STOP), ("length", Finish.LENGTH), ("content_filter", Finish.FILTER)):
            assert read_chunk({"choices": [{"delta": {}, "finish_reason": said}]}).pieces[0].finish is meant
        [piece] = read_chunk({"choices": [{"message": {"refusal": "I cannot"}, "finish_reason": "stop"}]}).pieces
        assert piece.finish is Finish.FILTER

    def test_payload_needs_no_option_for_one_draw(self) -> None:
        use = Use(n=False, stream=False)
        body = payload("m", ASK, first=0, n=1, use=use, grammar_field=None, extra={})
        assert set(body) == {"model", "messages"}


class TestFailures:
    @pytest.mark.parametrize(
        "status, body, kind",
        [
            (429, "{}", FailureKind.RATE_LIMITED),
            (429, '{"error": {"code": "insufficient_quota", "message": "x"}}', FailureKind.REFUSED),
            (503, "<html><h1>busy</h1></html>", FailureKind.OVERLOADED),
            (529, "", FailureKind.OVERLOADED),
            (500, "", FailureKind.SERVER_ERROR),
            (504, "", FailureKind.TIMEOUT),
            (404, "", FailureKind.REFUSED),
            (302, "", FailureKind.REFUSED),
            (204, "", FailureKind.WRONG_SCHEMA),
            (400, '{"error": {"message": "bad", "code": "context_length_exceeded"}}', FailureKind.PROMPT_TOO_LONG),
            (400, '{"message": "This model\'s maximum context length is 4096 tokens"}', FailureKind.PROMPT_TOO_LONG),
            (400, '{"error": {"message": "temperature must be below 2"}}', FailureKind.REFUSED),
            (422, '{"detail": [{"loc": ["body", "top_k"], "msg": "no"}]}', FailureKind.REFUSED),
        ],
    )
    def test_kinds(self, status: int, body: str, kind: FailureKind) -> None:
        failure = from_status(status, {}, body.encode())
        assert failure.kind is kind and str(failure).startswith(f"{kind}: HTTP {status}")
        assert failure.transient == (kind not in (FailureKind.REFUSED, FailureKind.PROMPT_TOO_LONG))

    def test_retry_after(self) -> None:
        assert retry_after_s({"retry-after": "3"}) == 3
        assert retry_after_s({"retry-after-ms": "250"}) == 0.25
        assert retry_after_s({"retry-after": formatdate(1_000_010, usegmt=True)}, now=1_000_000) == 10
        dates = {"retry-after": formatdate(60, usegmt=True), "date": formatdate(50, usegmt=True)}
        assert retry_after_s(dates) == 10  # by the server's own clock
        assert retry_after_s({"retry-after": formatdate(0, usegmt=True)}) == 0
        for nonsense in ("", "soon", "nan", "inf", "Mon, 99 Foo", "9" * 400):
            assert retry_after_s({"retry-after": nonsense}) is None
        assert retry_after_s({"retry-after": "-5"}) == 0

    @given(st.text(max_size=200))
    def test_any_page_gives_one_short_line(self, page: str) -> None:
        message, _ = server_message(page)
        assert len(message) <= 400 and "\n" not in message

    def test_pages_made_to_be_slow(self) -> None:
        began = time.monotonic()
        server_message("<script" * 9000)
        server_message("[" * 60_000)
        redact("Bearer " * 9000)
        assert time.monotonic() - began < 1

    def test_html_is_told_in_words(self) -> None:
        page = "<html><style>p {}</style><body><h1>502 Bad Gateway</h1><p>nginx</p></body></html>"
        assert server_message(page)[0] == "502 Bad Gateway nginx"

    def test_too_long_prompts(self) -> None:
        body = json.dumps({"error": {"message": "This model's maximum context length is 4096 tokens."}}).encode()
        with StubServer(faults=lambda *_: Fault("status", status=400, body=body)) as server:
            model = model_at(server)
            with pytest.raises(PromptTooLong, match="4096"):
                asyncio.run(model.complete(replace(ASK, n=3)))
            assert server.requests == 1 and model.can.context_tokens == 4096

    def test_a_refusal_keeps_the_first_message(self) -> None:
        body = b'{"error": {"message": "temperature is out of range"}}'
        with StubServer(faults=lambda *_: Fault("status", status=400, body=body)) as server:
            with pytest.raises(ModelRefused, match="temperature is out of range"):
                complete(server, replace(ASK, n=2))
            few = server.requests
            assert few <= 8
        assert all(not known.accepts for known in _openai_server._known.values())  # nothing was blamed on the fields

    def test_messages_with_any_text(self) -> None:
        for text in ("", "\x00\ud800 lone", "é" * 1000, "x" * 2_000_000):
            with StubServer() as server:
                [completion] = complete(server, Request((user(text), assistant("a"), user("b"))))
            assert completion.ok


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """A real llama.cpp server on a real model, where both are installed."""
    xllamacpp = pytest.importorskip("xllamacpp")
    weights = Path("~/.cache/nlrl/models/smollm2-135m.gguf").expanduser()
    if not weights.exists():
        pytest.skip("smollm2-135m is not in the cache")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 4, 2
    params.kv_unified, params.cache_ram_mib, params.verbosity = False, 0, -1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server
    gc.collect()


@pytest.mark.slow
class TestRealServer:
    def test_llama_server(self, llama_server: str) -> None:
        async def go() -> None:
            model = OpenAIModel("smollm2", base_url=llama_server, grammar_field="grammar")
            capabilities = await model.probe()
            assert capabilities.context_tokens == 512 and (capabilities.parameters or 0) > 1e8
            sampling = Sampling(temperature=0.8, max_tokens=12, seed=1, logprobs=1)
            completions = await model.complete(Request((user("Name a colour."),), sampling, n=4))
            assert model.can.n and model.stats.requests == 1
            counted = await model.count_prompt_tokens((user("Name a colour."),))
            assert [c.prompt_tokens for c in completions] == [counted, 0, 0, 0]
            for completion in completions:
                assert completion.ok and completion.text
                # one token more than is seen where the end token was drawn
                assert 0 <= completion.completion_tokens - len(completion.logprobs or ()) <= 1
            grammar = Sampling(max_tokens=8, grammar='root ::= "yes" | "no"')
            [forced] = await model.complete(Request((user("Is water wet?"),), grammar))
            assert forced.text in ("yes", "no")
            with pytest.raises(PromptTooLong):
                await model.complete(Request((user("word " * 3000),)))
            await model.aclose()

        asyncio.run(go())
