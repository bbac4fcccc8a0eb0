"""Who may ask, and what nobody may send: keys, limits, hostile bytes; and the server's orderly end."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from nlrl.core import Budget
from nlrl.server import KeyStore, Settings
from nlrl.testing.stub_server import Fault, Manners, StubServer

# loading certificates takes a tenth of a second, and there is no TLS here
get = functools.partial(httpx.get, verify=False)
post = functools.partial(httpx.post, verify=False)
stream = functools.partial(httpx.stream, verify=False)
request = functools.partial(httpx.request, verify=False)


def raw(url: str, sent: bytes, seconds: float = 5.0) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as plug:
        try:
            plug.sendall(sent)
            got = plug.recv(65536)
            while b"\r\n\r\n" not in got:
                got += plug.recv(65536)
            return got
        except ConnectionError:
            return b""


def framed(body: bytes, *headers: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_hostile_bytes_are_a_clear_4xx(lab: Any) -> None:
    settings = Settings(max_body_bytes=100_000, hosts=frozenset({"localhost", "127.0.0.1"}))
    with StubServer() as stub, lab.running(stub, settings) as url:
        told = json.dumps(lab.body("quick")).encode()
        deep = b'{"model": "quick", "messages": [], "x": ' + b"[" * 100 + b"]" * 100 + b"}"
        cases: list[tuple[str, bytes, tuple[int, ...]]] = [
            ("fine", framed(told, f"Content-Length: {len(told)}"), (200,)),
            ("too large, told", framed(b"", "Content-Length: 100001"), (413,)),
            ("too large, not told", framed(b"1ffff\r\n" + b"x" * 0x1FFFF, "Transfer-Encoding: chunked"), (413,)),
            ("bad utf-8", framed(b'{"model": "\xff"}', "Content-Length: 14"), (400,)),
            ("half a character", framed(b'{"model": "\\ud800"}', "Content-Length: 19"), (400,)),
            ("deep", framed(deep, f"Content-Length: {len(deep)}"), (400,)),
            ("very deep", framed(b"[" * 90_000, "Content-Length: 90000"), (400,)),
            ("no object", framed(b"[]", "Content-Length: 2"), (400,)),
            ("empty", framed(b"", "Content-Length: 0"), (400,)),
            ("two lengths", framed(told, f"Content-Length: {len(told)}", "Content-Length: 3"), (400,)),
            ("length and chunks", framed(b"0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), (400,)),
            ("odd chunks", framed(b"0\r\n\r\n", "Transfer-Encoding: xchunked"), (400,)),
            ("negative length", framed(b"", "Content-Length: -5"), (400,)),
            ("two hosts", framed(told, f"Content-Length: {len(told)}", "Host: evil"), (400,)),
            ("no host", b"GET /health HTTP/1.1\r\n\r\n", (400,)),
            ("foreign host", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", (421,)),
            (
                "a form",
                framed(told, f"Content-Length: {len(told)}").replace(b"application/json", b"text/plain"),
                (415,),
            ),
            ("no http", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", (400,)),
            ("long head", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", (431,)),
            ("endless head", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 400_000, (431,)),
            ("many heads", b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 30_000 + b"\r\n", (431,)),
            ("a null", b"GET /health\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
        ]
        for name, sent, expected in cases:
            got = raw(url, sent)
            if not got and expected != (200,):
                continue  # it was refused while it still sent: the reset may overtake the answer
            assert int(got.split(b" ", 2)[1]) in expected, (name, got[:200])
            if expected != (200,):
                assert b'"error"' in got or b"HTTP/1.1 4" in got, name
        assert get(url + "/health").json() == {"status": "ok", "running": 0, "waiting": 0}


def test_a_long_prompt_goes_through(lab: Any) -> None:
    with StubServer() as stub, lab.running(stub) as url:
        long = [{"role": "user", "content": "word " * 400_000}]
        for model in ("up", "quick"):
            got = post(url + "/v1/chat/completions", json={"model": model, "messages": long}, timeout=30)
            assert got.status_code == 200


def test_without_a_key_nothing_and_with_one_only_what_it_may(
    lab: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nlrl")
    with KeyStore(tmp_path / "keys") as keys, StubServer() as stub, lab.running(stub, keys=keys) as url:
        chat = keys.create("alice", tokens=400)[1]
        read = keys.create("grafana", scopes=("read",))[1]
        for method, path in (
            ("GET", "/v1/models"), ("GET", "/openapi.json"), ("POST", "/v1/chat/completions"), ("GET", "/"),
            ("POST", "/v1/completions"), ("PUT", "/v1/models"), ("GET", "/v1/models/up"), ("GET", "/metrics"),
        ):  # fmt: skip
            assert request(method, url + path).status_code == 401, path
        assert get(url + "/health").status_code == 200
        assert get(url + "/v1/models", headers={"Authorization": f"Bearer {read}"}).status_code == 200

        def ask(secret: str, model: str, **fields: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {secret}"}
            return post(url + "/v1/chat/completions", json=lab.body(model, **fields), headers=headers, timeout=20)

        assert ask(read, "up").status_code == 403
        assert ask(chat, "up", max_tokens=30).status_code == 200
        assert ask(chat, "up", max_tokens=1000).status_code == 429  # may cost more than is left
        voted = ask(chat, "self_consistency(n=50)@up", max_tokens=30).json()
        assert voted["nlrl"]["stopped"] == "tokens" and voted["usage"]["total_tokens"] < 400
        spent = stub.tokens
        lab.soon(lambda: keys.list()[0].used == spent, 2)
        while (last := ask(chat, "up", max_tokens=30)).status_code == 200:
            pass
        assert last.json()["error"]["code"] == "insufficient_quota" and stub.tokens <= 400
        assert all(lab.secret not in r.text for r in (last,))
        log = caplog.text
        assert "key=" in log and chat not in log and lab.secret not in log and "17 + 25" not in log
        assert stub.headers[-1]["authorization"] == f"Bearer {lab.secret}"


def test_a_key_in_the_wrong_place_is_not_said_again(lab: Any, tmp_path: Path) -> None:
    told = json.dumps({"error": {"message": f"you sent {lab.secret}"}})
    echo = Fault("body", body=f"data: {told}\n\n".encode(), content_type="text/event-stream")
    with (
        KeyStore(tmp_path / "keys") as keys,
        StubServer(faults=lambda number, asked: echo) as stub,
        lab.running(stub, keys=keys) as url,
    ):
        secret = keys.create("alice")[1]
        headers = {"Authorization": f"Bearer {secret}"}
        for model in (secret, f"{secret}@up", f"best_of_n(verifier={secret})@up"):
            got = post(url + "/v1/chat/completions", json=lab.body(model), headers=headers)
            assert got.status_code in (400, 404) and secret not in got.text
        streamed = post(url + "/v1/chat/completions", json=lab.body("up", stream=True), headers=headers).text
        assert "you sent [key]" in streamed and lab.secret not in streamed


@pytest.mark.parametrize("model", ["up", "self_consistency(n=4)@up", "here"])
def test_a_revoked_key_stops_within_a_second(lab: Any, tmp_path: Path, model: str) -> None:
    slow = Manners(token_seconds=0.05, reply=lambda asked, choice: [" word", "\n"] * 100)
    with KeyStore(tmp_path / "keys") as keys, StubServer(slow) as stub, lab.running(stub, keys=keys) as url:
        headers = {"Authorization": f"Bearer {keys.create('alice')[1]}"}
        asked = lab.body(model, stream=True, max_tokens=200)
        with stream("POST", url + "/v1/chat/completions", json=asked, headers=headers, timeout=20) as got:
            parts = got.iter_text()
            next(parts)
            keys.revoke("alice")
            began = time.monotonic()
            rest = "".join(parts)
            assert time.monotonic() - began < 1.0
        assert "revoked" in rest and "[DONE]" not in rest
        lab.soon(lambda: stub.in_flight == 0)
        assert get(url + "/v1/models", headers=headers).status_code == 401


def test_limits_of_the_server_hold_for_every_request(lab: Any) -> None:
    settings = Settings(limits=Budget(calls=2, tokens=5000))
    with StubServer() as stub, lab.running(stub, settings) as url:
        asked = lab.body("self_consistency(n=8)@quick", nlrl={"budget": {"calls": 100}})
        assert post(url + "/v1/chat/completions", json=asked).json()["nlrl"]["calls"] == 2


CHILD = """
import sys
from nlrl.models.openai import OpenAIModel
from nlrl.server import App, Catalog, listen
model = OpenAIModel("up", base_url=sys.argv[1], api_key="none")
sys.exit(0 if listen(App(Catalog({"up": model})), port=0, drain_s=10, ready=lambda url: print(url, flush=True)) else 1)
"""


def test_sigterm_finishes_what_is_at_work_and_takes_no_more(lab: Any) -> None:
    slow = Manners(token_seconds=0.05, reply=lambda asked, choice: [" word"] * 30)
    with StubServer(slow) as stub:
        command = [sys.executable, "-c", CHILD, stub.base_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ)) as child:
            assert child.stdout is not None
            url = child.stdout.readline().decode().strip()
            asked = lab.body("up", stream=True)
            with stream("POST", url + "/v1/chat/completions", json=asked, timeout=20) as got:
                parts = got.iter_text()
                next(parts)
                child.send_signal(signal.SIGTERM)
                time.sleep(0.4)
                with pytest.raises(httpx.ConnectError):
                    get(url + "/health")
                rest = "".join(parts)
            assert rest.endswith("data: [DONE]\n\n")
            assert child.wait(5) == 0
