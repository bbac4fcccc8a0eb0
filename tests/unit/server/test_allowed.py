"""A key's list of models, strategies and budgets holds on every way a request can name one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from nlrl.cli.app import run
from nlrl.core import Budget, UnknownName
from nlrl.models.openai import OpenAIModel
from nlrl.server import App, Catalog, Key, KeyStore, serving
from nlrl.server.allowed import Allowed, allowed_strategy
from nlrl.server.api.ask import read_ask
from nlrl.server.http.errors import ApiError
from nlrl.testing.scripted import ScriptedModel
from nlrl.testing.stub_server import StubServer

UP = OpenAIModel("up", base_url="http://127.0.0.1:9/v1", api_key="none")
CATALOG = Catalog({"up": UP, "here": ScriptedModel(["x"])}, "auto")
SAID = [{"role": "user", "content": "What is 17 + 25?"}]


def key(**fields: Any) -> Key:
    return Key("k", "k", ("chat",), None, None, 0, 0.0, None, **fields)


def ask(of: Key, model: str = "up", **fields: Any) -> Any:
    body = {"model": model, "messages": SAID, **fields}
    return read_ask(body, CATALOG, limits=Budget(tokens=100_000), max_tokens=256, allowed=Allowed(CATALOG, of))


@pytest.mark.parametrize(
    ("of", "body", "param", "may"),
    [
        ({"models": ("up",)}, {"model": "here"}, "model", "It may use: up"),
        ({"models": ("up",)}, {"model": "direct@here"}, "model", "It may use: up"),
        ({"strategies": ("direct",)}, {"model": "best_of_n(n=4)@up"}, "model", "direct"),
        ({"strategies": ("direct",)}, {"nlrl": {"strategy": "best_of_n"}}, "nlrl.strategy", "direct"),
        ({"strategies": ("direct",)}, {}, "nlrl.strategy", "direct"),  # the server's default
        ({"strategies": ("direct",)}, {"reasoning_effort": "high"}, "nlrl.strategy", "direct"),
        ({"strategies": ("best_of_n(n=4)",)}, {"model": "best_of_n(n=5)@up"}, "model", "best_of_n(n=4)"),
        ({"strategies": ("best_of_n(n=4)",)}, {"model": "best_of_n@up"}, "model", "best_of_n(n=4)"),
        ({"budget": Budget(tokens=500)}, {"nlrl": {"budget": {"tokens": 501}}}, "nlrl.budget.tokens", "500"),
        ({"budget": Budget(seconds=2)}, {"nlrl": {"budget": {"seconds": 3}}}, "nlrl.budget.seconds", "for 2 a request"),
        ({"max_tokens": 100}, {"max_tokens": 101}, "max_tokens", "for 100 an attempt"),
        ({"max_tokens": 100}, {"max_tokens": 9, "max_completion_tokens": 101}, "max_completion_tokens", "100"),
    ],
)
def test_what_is_not_allowed_is_a_403_that_names_what_is(
    of: dict[str, Any], body: dict[str, Any], param: str, may: str
) -> None:
    with pytest.raises(ApiError) as refused:
        ask(key(**of), **body)
    assert refused.value.status == 403 and refused.value.param == param
    assert may in refused.value.message and "This API key may not" in refused.value.message
    assert ask(key(), **body)  # another key may


def test_what_is_allowed_is_done_and_bounded_by_the_key() -> None:
    plain = ask(key(strategies=("direct",), max_tokens=100), "direct@up")
    assert plain.way == "forward" and plain.body["max_tokens"] == 100  # the upstream would not know of our bound
    assert ask(key(max_tokens=100), "direct@up", max_tokens=7).body["max_tokens"] == 7
    bounded = ask(key(budget=Budget(tokens=500, calls=9)), "direct@up")
    assert bounded.way == "text" and bounded.budget == Budget(tokens=500, calls=9)
    less = ask(key(budget=Budget(tokens=500)), "best_of_n(n=2)@up", nlrl={"budget": {"tokens": 300}})
    assert less.budget.tokens == 300
    assert ask(key(budget=Budget(tokens=500)), reasoning_effort="high", model="up").budget.tokens == 500
    assert ask(key(strategies=("best_of_n",)), "best_of_n(n=4)@up").strategy == "best_of_n(n=4)"


def test_a_list_of_models_shows_what_may_be_used() -> None:
    ids = [entry["id"] for entry in Allowed(CATALOG, key(models=("up",), strategies=("best_of_n(n=3)",))).listing()]
    assert ids == ["up", "best_of_n(n=3)@up"]
    assert [e["id"] for e in Allowed(CATALOG, key(models=("here",), strategies=("auto",))).listing()] == [
        "here", "auto@here"
    ]  # fmt: skip
    assert [e["id"] for e in Allowed(CATALOG).listing()] == [e["id"] for e in CATALOG.listing()]
    with pytest.raises(ApiError) as unknown:
        Allowed(CATALOG, key(models=("up",))).find("elsewhere")
    assert unknown.value.status == 404 and "Served: up;" in unknown.value.message


def test_mistyped_strategies_make_no_key() -> None:
    assert allowed_strategy("best_of_n") == "best_of_n" and allowed_strategy("best_of_n( n = 4 )") == "best_of_n(n=4)"
    with pytest.raises(UnknownName):
        allowed_strategy("best_of_m")


def test_every_route_asks(tmp_path: Path) -> None:
    with StubServer() as stub, KeyStore(tmp_path / "keys.sqlite") as keys:
        models = {"up": OpenAIModel("up", base_url=stub.base_url), "other": ScriptedModel(["Final Answer: 42"])}
        secret = keys.create("intern", models=["up"], strategies=["direct"], scopes=("chat", "read"))[1]
        with (
            serving(App(Catalog(models), keys=keys)) as url,
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, verify=False) as client,
        ):
            assert client.post("/v1/chat/completions", json={"model": "up", "messages": SAID}).status_code == 200
            for path, body in (
                ("/v1/chat/completions", {"model": "other", "messages": SAID}),
                ("/v1/chat/completions", {"model": "best_of_n(n=2)@up", "messages": SAID}),
                ("/v1/chat/completions", {"model": "up", "messages": SAID, "nlrl": {"strategy": "best_of_n"}}),
                ("/v1/chat/completions", {"model": "other", "messages": SAID, "stream": True}),
                ("/v1/completions", {"model": "other", "prompt": "1 + 1 ="}),
                ("/v1/completions", {"model": "self_consistency(n=2)@up", "prompt": "1 + 1 ="}),
            ):
                answer = client.post(path, json=body)
                assert answer.status_code == 403, (body, answer.text)
                assert answer.json()["error"]["type"] == "permission_error"
            assert [entry["id"] for entry in client.get("/v1/models").json()["data"]] == ["up"]
            assert client.get("/v1/models/other").status_code == 403
            assert client.get("/v1/models/auto@up").status_code == 403
            assert client.get("/v1/models/direct@up").status_code == 200
            assert "other" not in json.dumps(client.get("/openapi.json").json().get("paths"))
            assert client.get("/api/overview").json()["models"] == ["up"]


def test_keys_of_version_0_1_may_use_everything_and_new_ones_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "keys.sqlite"
    shutil.copy(Path(__file__).parents[2] / "data/version_0_1/keys.sqlite", path)
    create = ["keys", "create", "intern", "--model", "up", "--strategy", "direct", "--strategy", "best_of_n(n=4)"]
    limits = ["--budget-per-request", "tokens=20k", "--max-tokens", "1000", "--api-key-file", str(path)]
    assert run([*create, *limits]) == 0
    with KeyStore(path, create=False) as keys, KeyStore(path) as beside:
        assert [k.name for k in keys.list()] == ["alice", "grafana", "gone", "intern"]
        assert all(k.models is None and k.strategies is None and k.budget == Budget() for k in keys.list()[:3])
        made = beside.list()[-1]
        assert (made.models, made.strategies) == (("up",), ("direct", "best_of_n(n=4)"))
        assert (made.budget, made.max_tokens) == (Budget(tokens=20_000), 1000)
    capsys.readouterr()
    assert run(["keys", "list", "--api-key-file", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.count("everything") == 3 and "best_of_n(n=4)" in said
    assert "tokens=20000 a request" in said and "1000 tokens an attempt" in said
    assert run(["keys", "create", "x", "--strategy", "best_of_m", "--api-key-file", str(path)]) != 0
