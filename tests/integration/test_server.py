"""The server as clients see it: the real `openai` package, unmodified, against a real upstream on a socket."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import openai
import pytest

from nlrl.core import Prices, Request
from nlrl.models.openai import OpenAIModel
from nlrl.server import App, Catalog, serving
from nlrl.testing.scripted import Reply, ScriptedModel
from nlrl.testing.stub_server import Fault, Manners, StubServer

# loading certificates takes a tenth of a second, and there is no TLS here
get = functools.partial(httpx.get, verify=False)
post = functools.partial(httpx.post, verify=False)
delete = functools.partial(httpx.delete, verify=False)

QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]
STRATEGIES = [
    "direct", "self_consistency(n=4)", "best_of_n(n=4)", "adaptive_consistency(n=6)", "self_refine", "auto",
    "divide_and_conquer", "revisions", "early_stopping", "until_good", "finish_order",
]  # fmt: skip
NEED_PREFILL = ["beam_search", "lookahead_search", "dvts"]


def answer(request: Request, index: int) -> Reply:
    """Right three times out of four; a system prompt, turns and stop strings show in what comes back."""
    said = " ".join(m.content for m in request.messages)
    if "ECHO" in said:
        return Reply(" | ".join(f"{m.role}: {m.content}" for m in request.messages))
    return Reply(f"17 + 25 is {42 if index % 4 else 41}.\nFinal Answer: {42 if index % 4 else 41}")


def reply(body: Mapping[str, Any], choice: int) -> list[str]:
    number = 42 if (choice + (body.get("seed") or 0)) % 4 else 41
    return [" 17", " +", " 25", " is", f" {number}", ".", "\n", "Final", " Answer", ":", f" {number}", "\n"]


class Served:
    """A running server with its upstream, and a client for it."""

    def __init__(self, stub: StubServer, url: str) -> None:
        self.stub, self.url = stub, url
        quick = openai.DefaultHttpxClient(verify=False)
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=quick)

    def chat(self, model: str, **fields: Any) -> Any:
        return self.client.chat.completions.create(model=model, messages=fields.pop("messages", QUESTION), **fields)

    def post(self, body: Any, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return post(self.url + path, content=raw, headers={"Content-Type": "application/json"} | headers)


def tool_calls(number: int, body: Mapping[str, Any]) -> Fault | None:
    """An upstream with tools: three of four calls agree, in other words each time; one in five answers in text."""
    if not body.get("tools"):
        return None
    city = ["Paris", "Rome", "Paris", "Paris"][body.get("seed", number) % 4]
    arguments = ['{"city": "%s", "days": 2}', '{"days":2.0,"city":"%s"}'][number % 2] % city
    call = {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
    return Fault(
        "body", body=json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    )


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with StubServer(Manners(reply=reply), faults=tool_calls) as stub:
        upstream = OpenAIModel("up", base_url=stub.base_url, api_key="sk-upstream-secret", prices=Prices(1.0, 2.0))
        here = ScriptedModel(answer, name="scripted", parameters=1000)
        with serving(App(Catalog({"up": upstream, "here": here}))) as url:
            found = Served(stub, url)
            with found.client:
                yield found


def counted(served: Served) -> tuple[int, int]:
    return served.stub.prompt_tokens, served.stub.completion_tokens


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_answers_and_its_usage_is_the_upstreams_own_count(served: Served, strategy: str) -> None:
    prompt, completion = counted(served)
    got = served.chat(f"{strategy}@up", max_tokens=64)
    now = counted(served)
    assert "Final Answer: 4" in got.choices[0].message.content
    assert got.choices[0].finish_reason == "stop"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (now[0] - prompt, now[1] - completion)
    assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens
    if strategy != "direct":  # passed through as it is
        assert got.model == f"{strategy}@up" and got.id.startswith("chatcmpl-") and got.object == "chat.completion"
        assert got.nlrl["stopped"] in ("done", "settled", "no_gain")
        assert sum(p["completion_tokens"] for p in got.nlrl["phases"].values()) == got.usage.completion_tokens
        shown = got.usage.completion_tokens - got.usage.completion_tokens_details.reasoning_tokens
        assert 0 < shown <= 16
        assert got.nlrl["cost"] > 0


@pytest.mark.parametrize("strategy", [*STRATEGIES, *NEED_PREFILL])
def test_every_strategy_streams_the_same_answer(served: Served, strategy: str) -> None:
    model = f"{strategy}@here"
    whole = served.chat(model, seed=1)
    chunks = list(served.chat(model, seed=1, stream=True, stream_options={"include_usage": True}))
    content = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert content == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens and chunks[-1].choices == []
    thoughts = "".join(getattr(c.choices[0].delta, "reasoning", None) or "" for c in chunks if c.choices)
    assert ("[s0] " in thoughts) is (strategy != "direct")
    assert all(c.usage is None for c in chunks[:-1])
    assert {c.id for c in chunks} == {chunks[0].id} and chunks[-2].nlrl["strategy"]


@pytest.mark.parametrize("model", ["up", "self_consistency@up", "here", "self_consistency@here"])
def test_usage_comes_only_if_asked_for(served: Served, model: str) -> None:
    raw = served.post({"model": model, "messages": QUESTION, "stream": True}).text
    assert '"usage": {' not in raw and '"usage":{' not in raw
    assert raw.endswith("data: [DONE]\n\n") and raw.count("[DONE]") == 1
    asked = {"model": model, "messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    assert '"completion_tokens"' in served.post(asked).text


@pytest.mark.parametrize("strategy", NEED_PREFILL)
def test_what_this_model_cannot_do_is_a_clear_400(served: Served, strategy: str) -> None:
    with pytest.raises(openai.BadRequestError, match="prefill"):
        served.chat(f"{strategy}@up")


@pytest.mark.parametrize("field", ["stop", "max_tokens", "max_completion_tokens", "logprobs", "response_format"])
def test_what_a_text_grown_by_steps_cannot_honour_is_refused_by_name(served: Served, field: str) -> None:
    value = {"stop": "x", "logprobs": True, "response_format": {"type": "json_object"}}.get(field, 5)
    with pytest.raises(openai.BadRequestError, match=field) as caught:
        served.chat("beam_search(n=4, width=2)@here", **{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize("model", ["here", "self_consistency(n=3)@here"])
def test_turns_and_system_prompts_reach_the_model(served: Served, model: str) -> None:
    turns = [
        {"role": "system", "content": "ECHO"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    got = served.chat(model, messages=turns, max_completion_tokens=100)
    assert got.choices[0].message.content == "system: ECHO | user: one | assistant: two | user: three"


def test_stop_length_n_seed_and_logprobs(served: Served) -> None:
    assert served.chat("here", stop=["Final"]).choices[0].message.content == "17 + 25 is 41.\n"
    short = served.chat("self_consistency(n=2)@here", max_tokens=3)
    assert short.choices[0].finish_reason == "length"
    several = served.chat("here", n=4)
    assert [c.index for c in several.choices] == [0, 1, 2, 3]
    assert [c.message.content[-2:] for c in several.choices] == ["41", "42", "42", "42"]
    assert several.nlrl["calls"] == 4 and len(several.nlrl["choices"]) == 4
    votes = served.chat("self_consistency(n=3)@here", n=2, logprobs=True, top_logprobs=2)
    assert len(votes.choices) == 2 and votes.nlrl["calls"] == 6 and votes.nlrl["agreement"] == pytest.approx(2 / 3)
    scored = votes.choices[0].logprobs.content
    assert "".join(one.token for one in scored) == votes.choices[0].message.content
    assert scored[0].bytes == list(scored[0].token.encode())
    served.chat("self_consistency(n=2)@up", seed=7, temperature=0.25)
    assert served.stub.bodies[-1]["seed"] == 7 and served.stub.bodies[-1]["temperature"] == 0.25


def test_n_choices_stream_side_by_side(served: Served) -> None:
    texts = ["", "", ""]
    for chunk in served.chat("here", n=3, stream=True, logprobs=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert [text[-2:] for text in texts] == ["41", "42", "42"]


def test_response_format_reaches_the_upstream(served: Served) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    served.chat("self_consistency(n=2)@up", response_format=form)
    assert served.stub.bodies[-1]["response_format"]["json_schema"]["schema"] == {"type": "object"}


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("strategy", ["self_consistency(n=4)", "adaptive_consistency(n=8)", "direct"])
def test_tool_calls_are_voted_on_by_what_they_call(served: Served, strategy: str) -> None:
    got = served.chat(f"{strategy}@up", tools=TOOLS, tool_choice="auto", seed=1, extra_body={"logit_bias": {"5": 1}})
    assert got.choices[0].finish_reason == "tool_calls"
    call = got.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert served.stub.bodies[-1]["tools"] == TOOLS and served.stub.bodies[-1]["logit_bias"] == {"5": 1}
    if strategy != "direct":
        assert json.loads(call.function.arguments) == {"city": "Paris", "days": 2}
        assert got.choices[0].message.content is None
        assert got.usage.completion_tokens == 20 * got.nlrl["calls"]
    if strategy.startswith("self"):
        assert got.nlrl["agreement"] == 0.75


def test_tool_calls_stream(served: Served) -> None:
    chunks = list(served.chat("self_consistency(n=4)@up", tools=TOOLS, seed=0, stream=True))
    calls = [call for c in chunks for call in (c.choices[0].delta.tool_calls or [])]
    assert len(calls) == 1 and calls[0].index == 0 and json.loads(calls[0].function.arguments)["city"] == "Paris"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_tools_result_and_an_image_go_up_as_they_came(served: Served) -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    for model in ("up", "self_consistency(n=2)@up"):
        before = counted(served)
        got = served.chat(model, messages=turns)
        assert served.stub.bodies[-1]["messages"] == turns
        assert got.usage.completion_tokens == counted(served)[1] - before[1]


def test_completions(served: Served) -> None:
    complete = served.client.completions.create
    got = complete(model="self_consistency(n=4)@here", prompt="What is 17 + 25?", logprobs=1)
    assert got.object == "text_completion" and got.choices[0].text.endswith("Final Answer: 42")
    assert "".join(got.choices[0].logprobs.tokens) == got.choices[0].text
    for model in ("here", "self_consistency(n=4)@here"):
        chunks = list(complete(model=model, prompt="What is 17 + 25?", stream=True))
        assert "".join(c.choices[0].text for c in chunks).startswith("17 + 25 is 4")
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_upstream_without_completions_says_what_to_use(served: Served) -> None:
    with pytest.raises(openai.NotFoundError, match="chat/completions"):
        served.client.completions.create(model="up", prompt="Say")
    got = served.client.completions.create(model="self_consistency(n=1)@up", prompt="Say")
    assert "Final Answer" in got.choices[0].text


def test_models_are_listed_and_can_be_looked_up(served: Served) -> None:
    ids = [model.id for model in served.client.models.list()]
    assert {"up", "here", "auto@here", "weighted_vote(n=8)@up", "best_of_n(n=8, select=best)@up"} <= set(ids)
    for id in ids:
        assert served.client.models.retrieve(id).id == id
    assert served.client.models.retrieve("dvts@here").nlrl["strategy"] == "dvts"
    with pytest.raises(openai.NotFoundError, match="up, here"):
        served.client.models.retrieve("gpt-4o")


def test_an_unknown_model_is_a_404_that_names_the_known_ones(served: Served) -> None:
    with pytest.raises(openai.NotFoundError, match="Served: up, here") as caught:
        served.chat("gpt-4o")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_errors_and_answers_have_their_shape_and_headers(served: Served) -> None:
    for got in (
        served.post({"model": "here"}),
        served.post({"model": "here", "messages": QUESTION}, "/v1/nowhere"),
        get(served.url + "/v1/chat/completions"),
        delete(served.url + "/v1/models"),
    ):
        error = got.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and 400 <= got.status_code < 500
        assert got.headers["x-content-type-options"] == "nosniff" and got.headers["x-request-id"].startswith("req_")
        assert (
            got.headers["cache-control"] == "no-store"
            and "default-src 'none'" in got.headers["content-security-policy"]
        )
        assert "server" not in got.headers and "access-control-allow-origin" not in got.headers
    assert get(served.url + "/health").json()["status"] == "ok"
    assert get(served.url + "/openapi.json").json()["openapi"] == "3.1.0"


def test_a_budget_ends_a_request_and_the_answer_says_so(served: Served) -> None:
    got = served.chat("self_consistency(n=50)@here", extra_body={"nlrl": {"budget": {"calls": 3}}})
    assert (got.nlrl["stopped"], got.nlrl["calls"], got.nlrl["attempts"]) == ("calls", 3, 3)
    with pytest.raises(openai.BadRequestError, match="does not hold one attempt") as caught:
        served.chat("here", extra_body={"nlrl": {"budget": {"tokens": 3}}})
    assert caught.value.param == "nlrl.budget.tokens"
    effort = served.chat("self_consistency(n=50)@here", reasoning_effort="low", max_tokens=64)
    assert effort.nlrl["stopped"] == "tokens" and effort.usage.total_tokens <= 4 * 64
