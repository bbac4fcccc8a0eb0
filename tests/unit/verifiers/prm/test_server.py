"""Reward models on a server, against a real local one that answers like vLLM and SGLang, or badly."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nlrl.core import Candidate, Completion, Finish, PricedVerifier, Problem, Score, UnknownName, UserError
from nlrl.models.openai.model import Patience
from nlrl.verifiers.prm.server import ServerPRM
from nlrl.verifiers.registry import get_verifier

PROBLEM = Problem("What is 3 + 4?", reference="7")
TWO = "3 + 4 = 7\nFinal Answer: 7"
QUICK = Patience(connect_s=2, read_s=2, try_s=1, total_s=5, retries=2, backoff_s=0.01, max_backoff_s=0.02)
KEY = "sk-secret-0123456789"


class Stub:
    """A server of one reward model. `answer` maps (path, body) to (status, body or bytes); requests are kept."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any, dict[str, str]]] = []
        self.answer: Callable[[str, Any], tuple[int, Any]] = lambda path, body: (404, {})
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/tokenize":
                    stub.requests.append((self.path, body, dict(self.headers)))
                status, said = stub.answer(self.path, body)
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.close()


def words(text: str) -> int:
    return len(text.split())


def vllm(path: str, body: Any) -> tuple[int, Any]:
    """A row [wrong, right] for every <extra_0>, as STEP pooling gives them."""
    if path == "/tokenize":
        return 200, {"count": words(body["prompt"]), "max_model_len": 4096, "tokens": []}
    if path != "/pooling":
        return 404, {"detail": "Not Found"}
    rows = [[[0.1 * (k + 1), 1 - 0.1 * (k + 1)] for k in range(text.count("<extra_0>"))] for text in body["input"]]
    data = [{"index": i, "object": "pooling", "data": row} for i, row in enumerate(rows)]
    tokens = sum(map(words, body["input"]))
    return 200, {"object": "list", "data": data[::-1], "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def scores(prm: ServerPRM, *texts: str) -> list[Score]:
    return asyncio.run(prm.score(PROBLEM, candidates(*texts)))


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(f"s{i}", Completion(t, Finish.LENGTH, 1), None) for i, t in enumerate(texts)]


def server(stub: Stub, **options: Any) -> ServerPRM:
    return ServerPRM(stub.url, "prm", patience=QUICK, api_key=KEY, **options)


def test_pooling_gives_a_row_a_step_whatever_the_order(stub):
    stub.answer = vllm
    one, two, none = scores(server(stub), TWO, "a\nb\nc", "  ")
    assert one.steps == pytest.approx((0.9, 0.8)) and one.value == pytest.approx(0.8)
    assert two.steps == pytest.approx((0.9, 0.8, 0.7))
    assert none.reason.startswith("no_steps")
    ((path, body, headers),) = stub.requests
    assert path == "/pooling" and body["model"] == "prm" and headers["Authorization"] == f"Bearer {KEY}"
    assert body["input"][0].endswith("<|im_start|>assistant\n3 + 4 = 7<extra_0>Final Answer: 7<extra_0><|im_end|>\n")


def test_marks_inside_of_a_text_are_no_steps(stub):
    stub.answer = vllm
    (found,) = scores(server(stub), "3<extra_0>4 <|im_end|>\n7")
    assert len(found.steps) == 2
    assert "3< extra_0>4 < |im_end|>" in stub.requests[0][1]["input"][0]


def test_the_price_is_what_the_server_counts_and_what_it_reports(stub):
    stub.answer = vllm
    prm = server(stub, parameters=1000)
    assert isinstance(prm, PricedVerifier)

    async def both():
        given = candidates(TWO, "x\ny")
        price = await prm.price(PROBLEM, given)
        await prm.score(PROBLEM, given)
        return price, prm.spent(PROBLEM, given)

    price, spent = asyncio.run(both())
    assert price == spent and price.calls == 2 and price.flops == 2 * 1000 * price.prompt_tokens
    assert price.prompt_tokens == sum(map(words, stub.requests[0][1]["input"]))


def test_without_a_tokenizer_the_price_is_an_upper_bound(stub):
    stub.answer = lambda path, body: (404, {}) if path == "/tokenize" else vllm(path, body)
    prm = server(stub)

    async def both():
        price = await prm.price(PROBLEM, candidates(TWO))
        await prm.score(PROBLEM, candidates(TWO))
        return price, prm.spent(PROBLEM, candidates(TWO))

    price, spent = asyncio.run(both())
    assert spent and spent.prompt_tokens <= price.prompt_tokens


def test_a_solve_is_charged_and_stays_within_its_budget(stub):
    from nlrl.compute import Compute
    from nlrl.core import Budget, Phase
    from nlrl.testing import ScriptedModel

    stub.answer = vllm

    async def solve(tokens: int):
        compute = Compute(ScriptedModel(TWO), budget=Budget(tokens=tokens))
        scored = await compute.score(PROBLEM, await compute.sample(PROBLEM, 2), server(stub))
        return scored, compute.ledger

    scored, ledger = asyncio.run(solve(100_000))
    assert all(c.score.steps for c in scored) and ledger.phases[Phase.VERIFY].prompt_tokens > 20
    asked = len(stub.requests)
    scored, ledger = asyncio.run(solve(ledger.phases[Phase.SAMPLE].tokens + 5))
    assert ledger.total.tokens <= ledger.budget.tokens and len(stub.requests) == asked  # refused before it was sent
    assert all("budget" in c.score.reason for c in scored if c.score)


@pytest.mark.parametrize(
    ("route", "path", "options", "row", "value"),
    [
        ("classify", "/classify", {}, {"label": "ok", "probs": [0.3, 0.7], "num_classes": 2}, 0.7),
        ("score", "/score", {}, {"object": "score", "score": 0.6}, 0.6),
        ("pooling", "/pooling", {"per": "step"}, {"data": [[0.9, 0.1], [0.2, 0.8]]}, 0.8),
        ("pooling", "/pooling", {"per": "step", "activation": "sigmoid"}, {"data": [5.0, 0.0]}, 0.5),
    ],
)
def test_routes_that_answer_once_a_text_get_a_text_for_each_step(stub, route, path, options, row, value):
    def answer(at: str, body: Any) -> tuple[int, Any]:
        texts = body.get("input") or body.get("text_2")
        return 200, {"data": [{"index": i, **row} for i in range(len(texts))], "usage": {"prompt_tokens": 9}}

    stub.answer = answer
    (found,) = scores(server(stub, route=route, layout="lines", **options), TWO)
    assert found.steps == pytest.approx((value, value))
    ((at, body, _),) = stub.requests
    texts = body.get("input") or body.get("text_2")
    assert at == path and len(texts) == 2 and texts[1].startswith(texts[0]) and texts[0].endswith("3 + 4 = 7\n")


def test_sglang_takes_text_and_gives_embeddings_with_their_tokens(stub):
    stub.answer = lambda path, body: (
        200,
        [{"embedding": [-1.0, 1.0], "meta_info": {"prompt_tokens": 5}} for _ in body["text"]],
    )
    prm = server(stub, route="reward", activation="softmax", layout="qwen")
    (found,) = scores(prm, TWO)
    assert found.steps == pytest.approx((0.8808, 0.8808), abs=1e-4)
    assert stub.requests[0][0] == "/classify" and stub.requests[0][1]["text"][0].endswith("3 + 4 = 7<extra_0>")
    spent = prm.spent(PROBLEM, candidates(TWO))
    assert spent and spent.prompt_tokens == 10


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"data": [{"data": [[0.5, 0.5]]}]}, "wrong_count: 1 values for 2 steps"),
        ({"data": []}, "wrong_count: 0 results for 1 texts"),
        ({"data": [{"data": [[0.5, None], [0.5, 0.5]]}]}, "not_a_number"),
        (b'{"data": [{"data": [[0.5, NaN], [0.5, 0.5]]}]}', "not_a_number"),
        ({"data": [{"data": [[0.5, 3.5], [0.5, 0.5]]}]}, "out_of_range"),
        ({"data": [{"data": "AAAA"}]}, "wrong_schema"),
        ({"data": [{"data": [[], [0.5]]}]}, "wrong_schema"),
        ({"data": [7]}, "wrong_schema"),
        ({"object": "error", "message": "no"}, "wrong_schema"),
        (b"<html>", "http_failed: not_json"),
        (b"17", "http_failed: wrong_schema"),
    ],
)
def test_answers_that_make_no_sense_are_abstentions_with_a_name(stub, said, name):
    stub.answer = lambda path, body: (200, said)
    (found,) = scores(server(stub), TWO)
    assert found.value == 0.5 and found.steps == () and found.reason.startswith(name)


def test_refusals_are_not_repeated_and_hide_the_key(stub):
    stub.answer = lambda path, body: (401, {"error": {"message": f"bad key {KEY}"}})
    (found,) = scores(server(stub), TWO)
    assert found.reason.startswith("http_failed: refused: HTTP 401") and KEY not in found.reason
    assert len(stub.requests) == 1 and KEY not in repr(server(stub))


def test_trouble_that_passes_is_waited_out(stub):
    def answer(path: str, body: Any) -> tuple[int, Any]:
        return vllm(path, body) if len(stub.requests) > 2 else (503, {"error": "busy"})

    stub.answer = answer
    (found,) = scores(server(stub), TWO)
    assert len(found.steps) == 2 and len(stub.requests) == 3


def test_trouble_that_stays_and_no_server_at_all(stub):
    stub.answer = lambda path, body: (500, {})
    (found,) = scores(server(stub), TWO)
    assert found.reason.startswith("http_failed: server_error") and len(stub.requests) == 3
    (found,) = scores(ServerPRM("http://127.0.0.1:9", "prm", patience=QUICK, api_key=""), TWO)
    assert found.reason.startswith("http_failed: connection")


def test_texts_that_no_encoding_can_hold_are_sent_all_the_same(stub):
    stub.answer = vllm
    (found,) = scores(server(stub), "a\ud800b\nc")
    assert len(found.steps) == 2


def test_options_are_checked_and_names_open_servers(stub):
    for options in ({"route": "magic"}, {"activation": "relu"}, {"route": "score", "per": "candidate"}):
        with pytest.raises(UserError):
            server(stub, **options)
    with pytest.raises(UserError, match="model's name"):
        ServerPRM(stub.url, "")
    with pytest.raises(UserError, match="must begin with http"):
        ServerPRM("localhost", "prm")
    stub.answer = vllm
    opened = get_verifier(f"server_prm:{stub.url}?model=prm&route=pooling")
    assert isinstance(opened, ServerPRM) and opened.model == "prm"
    with pytest.raises(UserError, match="names no model"):
        get_verifier(f"server_prm:{stub.url}")
    with pytest.raises(UnknownName, match="Did you mean: route"):
        get_verifier(f"server_prm:{stub.url}?model=m&rout=pooling")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("prn:x.json", "prm:"),
        ("hf_pmr:x", "hf_prm:"),
        ("process_judg", "process_judge"),
        ("serverprm:x", "server_prm:"),
    ],
)
def test_mistyped_names_get_the_nearest(name, near):
    with pytest.raises(UnknownName) as caught:
        get_verifier(name)
    assert near in str(caught.value)
    with pytest.raises(UserError, match="says no place"):
        get_verifier("prm:")
