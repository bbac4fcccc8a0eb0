"""The dashboard's back end: what was asked is on it, live and after, to whom it may be shown, and nothing else."""

from __future__ import annotations

import functools
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.server import App, Catalog, Journal, KeyStore, Records, Texts, serving
from nlrl.testing.scripted import ScriptedModel
from nlrl.testing.stub_server import StubServer

get = functools.partial(httpx.get, verify=False)
post = functools.partial(httpx.post, verify=False)
stream = functools.partial(httpx.stream, verify=False)

WORDS = "Add the tens.\nAdd the ones.\nFinal Answer: 42"
SECRET = "What is 17 + 25, asks Mallory?"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again: what was learnt of one upstream must not be believed of the next."""
    monkeypatch.setattr(_openai_server, "_known", {})


@contextmanager
def running(
    texts: Texts = "live", records: Path | None = None, keys: KeyStore | None = None, runs: Path | None = None
) -> Iterator[str]:
    with StubServer() as stub:
        models = {
            "up": OpenAIModel("up", base_url=stub.base_url),
            "here": ScriptedModel(lambda request, index: WORDS, token_seconds=0.05),
        }
        journal = Journal(Records(records) if records else None, texts)
        with serving(App(Catalog(models), keys=keys, journal=journal, runs=runs)) as url:
            yield url


def ask(url: str, model: str, secret: str | None = None, **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": SECRET}], **fields}
    return post(url + "/v1/chat/completions", json=body, headers=bearer(secret), timeout=20)


def bearer(secret: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def one(url: str, id: str, secret: str | None = None) -> dict[str, Any]:
    return get(f"{url}/api/requests/{id}", headers=bearer(secret)).json()


def test_a_request_is_told_with_its_attempts() -> None:
    with running() as url:
        answer = ask(url, "self_consistency(n=4)@here", user="u-17")
        told = one(url, answer.headers["x-request-id"])
        assert told["state"] == "done" and told["status"] == 200 and told["user"] == "u-17"
        assert told["question"] == SECRET and told["answer"] == "42" and told["text"] == WORDS
        assert [a["id"] for a in told["attempts"]] == ["s0", "s1", "s2", "s3"]
        assert sum(a["chosen"] for a in told["attempts"]) == 1 and told["attempts"][1]["text"] == WORDS
        usage = answer.json()["usage"]
        assert told["prompt_tokens"] == usage["prompt_tokens"]
        assert told["completion_tokens"] == usage["completion_tokens"]
        assert told["calls"] == 4 and told["agreement"] == 1.0 and told["phases"]["sample"]["calls"] == 4
        listed = get(url + "/api/requests").json()
        assert [r["id"] for r in listed["requests"]] == [told["id"]] and not listed["more"]
        assert "attempts" not in listed["requests"][0]


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_passed_through_is_told_too(streamed: bool) -> None:
    with running() as url:
        answer = ask(url, "up", stream=streamed)
        told = one(url, answer.headers["x-request-id"])
        assert told["state"] == "done" and told["strategy"] == "direct" and told["completion_tokens"] > 0
        content = _content(answer.text) if streamed else answer.json()["choices"][0]["message"]["content"]
        assert content and told["text"] == content


def _content(events: str) -> str:
    chunks = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def test_gists_and_states_come_as_they_happen() -> None:
    with running() as url, stream("GET", url + "/api/events", timeout=10) as events:
        lines = events.iter_lines()
        next(lines)  # it listens now
        asking = threading.Thread(target=ask, args=(url, "self_consistency(n=2)@here"))
        asking.start()
        states, gists = [], {}
        name = ""
        for line in lines:
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
                if name == "gist":
                    gists.setdefault(data["attempt"], []).append(data["text"])
                    assert states[-1] == "running"  # while it works, not after
                else:
                    states.append(data["state"])
                    if data["state"] == "done":
                        break
        asking.join()
        assert states == ["waiting", "running", "done"]
        assert gists == {"s0": WORDS.splitlines(), "s1": WORDS.splitlines()}


@pytest.mark.parametrize("texts", ["none", "live", "keep"])
def test_texts_are_kept_as_far_as_was_said(texts: Texts, tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with running(texts, path) as url:
        id = ask(url, "self_consistency(n=2)@here").headers["x-request-id"]
        told = one(url, id)
        shown = json.dumps(told)
        assert ("Mallory" in shown) is (texts != "none") and ("Add the tens" in shown) is (texts != "none")
        assert told["completion_tokens"] > 0 and len(told["attempts"]) == 2
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert (b"Mallory" in on_disk) is (texts == "keep") and (b"Add the tens" in on_disk) is (texts == "keep")
    with running(texts, path) as url:  # another day
        assert one(url, id)["completion_tokens"] == told["completion_tokens"]
        assert (one(url, id)["question"] is not None) is (texts == "keep")


def test_a_file_that_another_process_holds_stops_no_answer_and_loses_no_record(tmp_path: Path) -> None:
    """As when it is written anew, after an erasure."""
    path = tmp_path / "requests.sqlite"
    with running("keep", path) as url:
        ask(url, "up")
        holding = sqlite3.connect(path, isolation_level=None)
        holding.execute("BEGIN IMMEDIATE")
        ids = [ask(url, "up").headers["x-request-id"] for _ in range(3)]
        holding.execute("ROLLBACK")
        with Records(path) as beside:
            end = time.monotonic() + 10
            while beside.missing(ids) and time.monotonic() < end:
                time.sleep(0.05)
            assert beside.missing(ids) == set()


def test_what_is_erased_while_the_server_runs_is_gone_and_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with running("keep", path) as url, Records(path) as beside:
        id = ask(url, "self_consistency(n=2)@here", user="u-17").headers["x-request-id"]
        assert beside.erase(user="u-17") == 1
        assert get(f"{url}/api/requests/{id}").status_code == 404
        assert post(f"{url}/api/requests/{id}/feedback", json={"thumb": 1}).status_code == 404
        assert get(url + "/api/requests").json()["requests"] == [] and beside.get(id) is None


def test_failures_and_those_who_left_are_told() -> None:
    with running() as url:
        refused = ask(url, "self_consistency(n=2)@here", nlrl={"budget": {"tokens": 1}})
        assert refused.status_code == 400
        told = one(url, refused.headers["x-request-id"])
        assert told["state"] == "failed" and told["status"] == 400 and "budget" in told["error"]
        with stream("POST", url + "/v1/chat/completions", json={
            "model": "here", "stream": True, "messages": [{"role": "user", "content": "hello"}]}) as left:  # fmt: skip
            id = left.headers["x-request-id"]
            next(left.iter_raw())
        began = time.monotonic()
        while (told := one(url, id))["state"] == "running" and time.monotonic() - began < 2:
            time.sleep(0.01)
        assert told["state"] == "gone" and told["status"] == 499 and told["prompt_tokens"] > 0


def test_a_thumb_is_kept(tmp_path: Path) -> None:
    with running("keep", tmp_path / "r.sqlite") as url:
        id = ask(url, "self_consistency(n=2)@here").headers["x-request-id"]
        where = f"{url}/api/requests/{id}/feedback"
        assert post(where, json={"thumb": 1}).json()["thumb"] == 1
        assert one(url, id)["thumb"] == 1 and one(url, id)["answer"] == "42"
        told = post(where, json={"thumb": -1, "reference": "41"}).json()
        assert told["thumb"] == -1 and told["reference"] == "41"
        assert post(where, json={"thumb": 0}).json()["thumb"] is None
        for wrong in ({"thumb": 2}, {"thumb": True}, {"thumb": 1.0}, {"thumb": "1"}, {}, {"thumb": 1, "reference": 42}):
            assert post(where, json=wrong).status_code == 400
        assert post(url + "/api/requests/req_none/feedback", json={"thumb": 1}).status_code == 404
        assert post(where, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_keys_see_their_own_and_admins_all(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.sqlite")
    secrets = {name: keys.create(name, scopes=(scope,))[1] for name, scope in (("a", "chat"), ("b", "chat"))}
    admin = keys.create("root", scopes=("admin",))[1]
    with running("live", keys=keys) as url:
        ids = {name: ask(url, "self_consistency(n=2)@here", s).headers["x-request-id"] for name, s in secrets.items()}
        for name, secret in secrets.items():
            seen = get(url + "/api/requests", headers=bearer(secret)).json()["requests"]
            assert [r["id"] for r in seen] == [ids[name]] and seen[0]["name"] == name
            other = ids["b" if name == "a" else "a"]
            assert get(f"{url}/api/requests/{other}", headers=bearer(secret)).status_code == 404
            assert post(f"{url}/api/requests/{other}/feedback", json={"thumb": 1}, headers=bearer(secret)).is_error
            spent = get(url + "/api/spend", headers=bearer(secret)).json()["keys"]
            assert [row["name"] for row in spent] == [name]
            assert get(url + "/api/runs", headers=bearer(secret)).json() == {"runs": [], "policies": []}
        assert len(get(url + "/api/requests", headers=bearer(admin)).json()["requests"]) == 2
        rows = get(url + "/api/spend", headers=bearer(admin)).json()["keys"]
        assert {row["name"]: row["requests"] for row in rows} == {"a": 1, "b": 1, "root": 0}


def test_a_browser_logs_in_and_its_session_ends_with_the_key(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.sqlite")
    _, secret = keys.create("alice", scopes=("read",))
    with running("none", keys=keys) as url:
        door = get(url + "/")
        assert door.status_code == 401 and b"<form" in door.content and "default-src 'none'" in door.headers[
            "content-security-policy"
        ]  # fmt: skip
        assert post(url + "/login", json={"key": "nlrl_wrong"}).status_code == 401
        assert post(url + "/login", json={}).status_code == 400
        with httpx.Client(base_url=url, verify=False) as browser:
            assert browser.post("/login", json={"key": secret}).status_code == 204
            cookie = browser.cookies.jar._cookies["127.0.0.1"]["/"]["nlrl_session"]  # type: ignore[attr-defined]
            assert cookie.has_nonstandard_attr("HttpOnly") and secret not in (cookie.value or "")
            assert browser.get("/").status_code == 200 and browser.get("/api/overview").json()["me"]["name"] == "alice"
            assert browser.get("/assets/favicon.svg").status_code == 200
            assert browser.get("/assets/..%2Fkeys.py").status_code == 404
            assert browser.post("/v1/chat/completions", json={"model": "here", "messages": []}).status_code == 401
            assert browser.get("/metrics").status_code == 401  # the cookie opens the dashboard alone
            events = browser.stream("GET", "/api/events")
            with events as open_stream:
                lines = open_stream.iter_lines()
                next(lines)
                keys.revoke("alice")
                began = time.monotonic()
                last = [line for line in lines if line.startswith("data: ")]
                assert time.monotonic() - began < 2 and "invalid_api_key" in last[-1]
            assert browser.get("/api/overview").status_code == 401


def test_strangers_get_nothing(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.sqlite")
    with running("live", keys=keys) as url:
        for path in ("/api/overview", "/api/requests", "/api/requests/x", "/api/events", "/api/spend", "/api/runs",
                     "/api/runs/x", "/assets/dashboard.css", "/assets/none", "/api/none", "/nothing"):  # fmt: skip
            assert get(url + path).status_code == 401, path
        for path in ("/logout", "/api/requests/x/feedback", "/api/overview"):
            assert post(url + path, json={}).status_code in (401,), path


def test_pages_of_requests_and_wrong_questions() -> None:
    with running() as url:
        ids = [ask(url, "up").headers["x-request-id"] for _ in range(5)]
        page = get(url + "/api/requests", params={"limit": 2}).json()
        assert [r["id"] for r in page["requests"]] == ids[:2:-1] and page["more"]
        rest = get(url + "/api/requests", params={"limit": 3, "before": ids[3]}).json()
        assert [r["id"] for r in rest["requests"]] == ids[2::-1] and not rest["more"]
        for limit in ("0", "501", "x", "-1", "9" * 30, "٣", "", "01"):
            assert get(url + "/api/requests", params={"limit": limit}).status_code == 400
        assert get(url + "/api/requests?" + "a=1&" * 1000).status_code == 400
        assert get(url + "/api/requests?limit=1&limit=2").status_code == 400
        assert get(url + "/api/requests", params={"before": "unknown"}).json() == {"requests": [], "more": False}


def test_pages_go_from_those_at_work_on_to_those_that_ended() -> None:
    with running() as url, ThreadPoolExecutor(4) as pool:
        ended = [ask(url, "up").headers["x-request-id"] for _ in range(3)]
        slow = [pool.submit(ask, url, "here", max_tokens=60) for _ in range(4)]
        began = time.monotonic()
        while get(url + "/api/overview").json()["running"] < 4:
            assert time.monotonic() - began < 5
        seen: list[str] = []
        states: list[str] = []
        more = True
        while more:
            page = get(url + "/api/requests", params={"limit": 2} | ({"before": seen[-1]} if seen else {})).json()
            seen += [r["id"] for r in page["requests"]]
            states += [r["state"] for r in page["requests"]]
            more = page["more"]
        assert states == ["running"] * 4 + ["done"] * 3 and seen[4:] == ended[::-1] and len(set(seen)) == 7
        for one_of in slow:
            one_of.result()


def test_runs_on_the_disk_are_shown_as_curves(tmp_path: Path) -> None:
    summary = {"domains": [{"name": "all", "panel": {"k": [1, 2], "tokens": [10.0, 20.0], "curves": {
        "pass": [[0.5, 0.4, 0.6], [None, None, None]]}}, "strategies": [
        {"name": "direct", "tokens": 10.0, "accuracy": [0.5, 0.4, 0.6]}]}]}  # fmt: skip
    run = tmp_path / "first"
    run.mkdir()
    (run / "config.json").write_text(
        json.dumps({"strategies": ["direct"], "problems": {"count": 3}, "model_name": "m"})
    )
    (run / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "policy.json").write_text("{}")
    with running(runs=tmp_path) as url:
        listed = get(url + "/api/runs").json()
        assert [(r["name"], r["model"], r["problems"]) for r in listed["runs"]] == [("first", "m", 3)]
        assert listed["policies"] == []
        assert get(url + "/api/runs/first").json()["curves"] == [
            {"task": "all", "strategy": "pass", "points": [
                {"n": 1, "tokens": 10.0, "accuracy": 0.5, "low": 0.4, "high": 0.6}]},
            {"task": "all", "strategy": "direct", "points": [
                {"n": None, "tokens": 10.0, "accuracy": 0.5, "low": 0.4, "high": 0.6}]},
        ]  # fmt: skip
        assert get(url + "/api/runs/..%2F..").status_code == 404


def test_a_killed_server_has_lost_no_answered_request_and_sigterm_does_not_wait_for_onlookers(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from nlrl.testing.scripted import ScriptedModel
from nlrl.server import App, Catalog, Journal, Records, listen
model = ScriptedModel(lambda request, index: "Final Answer: 42")
app = App(Catalog({{"here": model}}), journal=Journal(Records({str(tmp_path / "r.sqlite")!r}), "keep"))
listen(app, port=int(sys.argv[1]), ready=lambda url: print(url, flush=True))
"""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port = plug.getsockname()[1]

    def start() -> tuple[subprocess.Popen[str], str]:
        server = subprocess.Popen([sys.executable, "-c", script, str(port)], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        return server, server.stdout.readline().strip()

    server, url = start()
    answered = [ask(url, "self_consistency(n=2)@here").headers["x-request-id"] for _ in range(20)]
    server.kill()  # without a moment to think
    server.wait()
    assert server.stdout is not None
    server.stdout.close()
    server, url = start()
    with stream("GET", url + "/api/events", timeout=10) as events:
        next(events.iter_lines())
        listed = get(url + "/api/requests", params={"limit": 100}).json()["requests"]
        assert [r["id"] for r in listed] == answered[::-1] and all(r["state"] == "done" for r in listed)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0 and time.monotonic() - began < 5
    assert server.stdout is not None
    server.stdout.close()
