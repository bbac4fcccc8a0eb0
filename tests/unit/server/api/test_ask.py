"""What a body means: ways, strategies, budgets, and every field used, refused or passed on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Budget, TaskType
from nlrl.models.openai import OpenAIModel
from nlrl.server.api.ask import EFFORT, Ask, read_ask
from nlrl.server.api.body import chat_from_completion
from nlrl.server.api.catalog import Catalog
from nlrl.server.http.errors import ApiError
from nlrl.testing.scripted import ScriptedModel

UP = OpenAIModel("up", base_url="http://127.0.0.1:9/v1", api_key="none")
CATALOG = Catalog({"up": UP, "here": ScriptedModel(["x"]), "we@ird/one": ScriptedModel(["x"])})
HELLO = [{"role": "user", "content": "What is 17 + 25?"}]
LIMITS = Budget(tokens=100_000, seconds=60)


def test_whoever_runs_the_server_may_name_files() -> None:
    ours = Catalog(CATALOG.models, "auto(policy='/etc/policy.json')")
    plain = read_ask({"model": "here", "messages": HELLO}, ours, limits=LIMITS, max_tokens=256)
    assert plain.strategy == "auto(policy='/etc/policy.json')"


def ask(model: str = "here", **fields: Any) -> Ask:
    return read_ask({"model": model, "messages": HELLO, **fields}, CATALOG, limits=LIMITS, max_tokens=256)


def refused(model: str = "here", **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(model, **fields)
    return caught.value


def test_the_id_or_the_object_names_the_strategy_and_nothing_else_does() -> None:
    assert ask().strategy == "direct"
    assert ask("best_of_n( n=3 )@here").strategy == "best_of_n(n=3)"
    assert ask("self_consistency@we@ird/one").model.name == "scripted"
    assert ask(nlrl={"strategy": "mcts"}).strategy == "mcts"
    said = [{"role": "system", "content": "optillm_approach: mcts <strategy>best_of_n(n=99)</strategy>"}, *HELLO]
    assert ask(messages=said).strategy == "direct"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"model": "no_such(n=3)@here"}, 400, "model"),
        ({"model": "best_of_n(m=3)@here"}, 400, "model"),
        ({"model": "best_of_n(n=0)@here"}, 400, "model"),
        ({"model": "best_of_n@nobody"}, 404, "model"),
        ({"nlrl": {"strategy": "no_such"}}, 400, "nlrl.strategy"),
        ({"nlrl": {"strategy": "best_of_n(verifier='prm:/etc/passwd')"}}, 400, "nlrl.strategy"),
        ({"nlrl": {"strategy": "best_of_n(verifier='server_prm:http://10.0.0.1?model=x')"}}, 400, "nlrl.strategy"),
        ({"model": "auto(policy='../policy.json')@here"}, 400, "model"),
        ({"model": "auto(policy=policy)@here"}, 400, "model"),
        ({"model": "mcts@here", "nlrl": {"strategy": "mcts"}}, 400, "nlrl.strategy"),
        ({"nlrl": {"strategi": "mcts"}}, 400, "nlrl"),
        ({"nlrl": {"budget": {"tokens": "4k"}}}, 400, "nlrl.budget.tokens"),
        ({"nlrl": {"budget": {"tokens": 0}}}, 400, "nlrl.budget.tokens"),
        ({"nlrl": {"budget": {"seconds": -1}}}, 400, "nlrl.budget.seconds"),
        ({"nlrl": {"budget": {"flops": 1e9}}}, 400, "nlrl.budget.flops"),
        ({"nlrl": {"task": "poetry"}}, 400, "nlrl.task"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"content": "no role"}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "pope", "content": ""}]}, 400, "messages[0].role"),
        ({"messages": "hello"}, 400, "messages"),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"n": 0}, 400, "n"),
        ({"n": True}, 400, "n"),
        ({"stop": [1]}, 400, "stop[0]"),
        ({"top_logprobs": 3}, 400, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, 400, "response_format"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, 400, "response_format.json_schema.schema"),
        ({"reasoning_effort": "heroic"}, 400, "reasoning_effort"),
        ({"logit_bias": {"1": 5}}, 400, "logit_bias"),
        ({"frequency_penalty": 0.5}, 400, "frequency_penalty"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"never_heard_of": 1}, 400, "never_heard_of"),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "x"}]}, 400, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]}, 400,
         "messages[0].content"),
        ({"model": "mcts@up", "tools": [{"type": "function"}]}, 400, "tools"),
        ({"model": "direct@here", "reasoning_effort": "low"}, 400, "reasoning_effort"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], status: int, param: str) -> None:
    error = refused(**fields)
    assert (error.status, error.param) == (status, param)


def test_an_unknown_model_is_told_the_known_ones() -> None:
    assert "up, here" in refused("nobody").message


def test_labels_and_neutral_values_ask_for_nothing() -> None:
    labels = {"user": "alice", "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "x"}
    neutral = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "store": False,
        "tools": [],
        "stop": None,
    }
    assert ask(**labels, **neutral).extras == ()


def test_plain_requests_to_an_upstream_go_straight_through() -> None:
    assert ask("up").way == "forward"
    assert ask("up", tools=[{"type": "function"}], logit_bias={"5": 1}).way == "forward"
    assert ask("up", nlrl={"budget": {"tokens": 500}}).way == "text"
    assert ask("direct@up", reasoning_effort="high").way == "forward"
    assert ask("direct@up", reasoning_effort="high", nlrl={"budget": {"tokens": 5000}}).way == "raw"
    assert ask("self_consistency@up").way == "text"
    assert ask("self_consistency@up", tools=[{"type": "function"}]).way == "raw"
    assert ask("here").way == "text"


def test_effort_is_a_budget() -> None:
    found = ask(reasoning_effort="medium", max_tokens=100)
    assert (found.strategy, found.budget.tokens) == ("auto", EFFORT["medium"] * 100)
    assert ask(reasoning_effort="none").strategy == "direct"
    assert "reasoning_effort" not in ask("up", reasoning_effort="none").body
    assert ask("direct@up", reasoning_effort="high").body["reasoning_effort"] == "high"
    named = ask("self_consistency@here", reasoning_effort="low", nlrl={"budget": {"tokens": 77}})
    assert (named.strategy, named.budget.tokens) == ("self_consistency", 77)


def test_no_request_has_more_than_the_server_allows() -> None:
    assert ask(nlrl={"budget": {"tokens": 10**9, "calls": 5}}).budget == Budget(tokens=100_000, calls=5, seconds=60)
    assert ask(nlrl={"budget": {"seconds": 2}}).budget.seconds == 2


def test_sampling_is_read_whole() -> None:
    found = ask(
        temperature=0.1, top_p=0.5, top_k=7, min_p=0.01, max_completion_tokens=9, max_tokens=8, stop="END", seed=3,
        logprobs=True, top_logprobs=2, model="self_consistency@up",
        response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    ).sampling  # fmt: skip
    assert (found.temperature, found.top_p, found.top_k, found.min_p) == (0.1, 0.5, 7, 0.01)
    assert (found.max_tokens, found.stop, found.seed, found.logprobs) == (9, ("END",), 3, 2)
    assert found.json_schema == '{"type": "object"}'
    assert ask().sampling.max_tokens == 256


def test_a_conversation_becomes_messages_a_question_and_what_was_before() -> None:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": None},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "17 + 25?"}]},
    ]
    found = ask(messages=turns)
    assert [m.role for m in found.messages] == ["system", "user", "assistant", "user"]
    assert found.problem.question == "What is\n17 + 25?"
    assert "assistant: Hi" in found.problem.context
    assert found.problem.task_type is TaskType.MATH
    assert ask(nlrl={"task": "coding"}).problem.task_type is TaskType.CODING
    json_mode = ask("self_consistency@up", response_format={"type": "json_object"})
    assert json_mode.problem.task_type is TaskType.WRITING


def test_a_prompt_is_one_user_message() -> None:
    body = chat_from_completion({"model": "here", "prompt": ["Say"], "logprobs": 2, "echo": False})
    found = read_ask(body, CATALOG, limits=LIMITS, max_tokens=16, legacy=body)
    assert (found.messages[0].content, found.logprobs) == ("Say", 2)
    for prompt in (None, [1, 2], ["a", "b"], 5):
        with pytest.raises(ApiError) as caught:
            chat_from_completion({"model": "here", "prompt": prompt})
        assert caught.value.status == 400
    with pytest.raises(ApiError, match="suffix"):
        body = chat_from_completion({"model": "best_of_n@up", "prompt": "Say", "suffix": "!"})
        read_ask(body, CATALOG, limits=LIMITS, max_tokens=16, legacy=body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "messages", "temperature", "top_p", "max_tokens", "n", "stop", "seed", "logprobs", "top_logprobs", "stream",
    "stream_options", "response_format", "reasoning_effort", "tools", "tool_choice", "nlrl", "user", "logit_bias",
)  # fmt: skip


@given(st.sampled_from(["here", "up", "auto@up", "x"]), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_body_is_understood_or_refused(model: str, fields: dict[str, Any]) -> None:
    try:
        assert isinstance(ask(model, **fields), Ask)
    except ApiError as error:
        assert error.status in (400, 404)
