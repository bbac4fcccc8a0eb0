"""A person's words, put through every door and copied to wherever they can be copied to, are gone after an erasure:
searched for in the bytes of all files. Everybody else's are still there, and what was made of them goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nlrl.bank import Bank
from nlrl.cli.app import run
from nlrl.evaluation import read_records
from nlrl.learning.language.asking.log import read_iterations
from nlrl.learning.language.asking.policy import load_language_policy
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.server import App, Catalog, Journal, KeyStore, Records, serving
from nlrl.testing.stub_server import Manners, StubServer

ANN = "ann 'o\" %_é\n"  # a user's id may be anything
SUMS = range(1, 9)


def question(who: str, n: int) -> str:
    return f"{who} number {n} has {n} apples and gets {n + 1} more.\nHow many apples does {who} number {n} have then?"


def about(body: Mapping[str, Any]) -> str:
    """The last question of a request."""
    messages = body.get("messages") or [{"role": "user", "content": body.get("prompt", "")}]
    return next(m["content"] for m in reversed(messages) if m["role"] == "user")


def reply(body: Mapping[str, Any], choice: int) -> list[str]:
    """Right where the prompt shows how (a worked example of the same kind), or else for every other question; and
    always with the person's name in it."""
    asked = about(body)
    number = next((int(w) for w in asked.split() if w.isdigit()), 0)
    who = asked.split()[0] if asked.split() else "nobody"
    shown = any("apples does" in m["content"] for m in body.get("messages", ())[:-1] if m["role"] == "user")
    right = shown or number % 2 == 0
    steps = f"{who} adds " + "one and " * number + f"{number} and {number + 1}."
    return re.findall(r"\s*\S+", f"{steps}\nFinal Answer: {2 * number + (1 if right else 2)}")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openai_server, "_known", {})
    for name in ("NLRL_MODEL", "NLRL_BANK", "NLRL_RECORDS", "NLRL_API_KEY_FILE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def served(home: Path, stub: StubServer) -> Iterator[tuple[str, dict[str, str]]]:
    """A server that keeps all texts in `home`, and a key for each of two people."""
    with KeyStore(home / "keys.sqlite") as keys:
        secrets = {name: keys.create(name, scopes=("chat", "read"))[1] for name in ("ann", "bob")}
        models = {"up": OpenAIModel("up", base_url=stub.base_url)}
        journal = Journal(Records(home / "requests.sqlite"), "keep")
        with serving(App(Catalog(models), keys=keys, journal=journal)) as url:
            yield url, secrets


def go_through_every_door(url: str, secret: str, user: str, who: str) -> list[str]:
    """The ids of the requests."""
    ids: list[str] = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, verify=False, timeout=20) as client:

        def post(path: str, **body: Any) -> str:
            answer = client.post(path, json={"user": user, **body})
            assert answer.status_code == 200, answer.text
            ids.append(answer.headers["x-request-id"])
            return ids[-1]

        def said(text: str) -> list[dict[str, Any]]:
            return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]

        for n in SUMS:  # votes, labelled with a thumb or with the right answer
            id = post("/v1/chat/completions", model="self_consistency(n=3)@up", messages=said(question(who, n)))
            thumb = {"thumb": 1} if n % 2 == 0 else {"thumb": -1, "reference": str(2 * n + 1)}
            assert client.post(f"/api/requests/{id}/feedback", json=thumb).status_code == 200
        id = post("/v1/chat/completions", model="weighted_vote(n=2)@up", messages=said(f"Who is {who} the Great?"))
        words = {"thumb": -1, "reference": f"{who} the Great is the queen of the far north"}
        assert client.post(f"/api/requests/{id}/feedback", json=words).status_code == 200
        post("/v1/chat/completions", model="up", messages=said(f"Plainly: what does {who} like?"))
        post("/v1/chat/completions", model="up", messages=said(f"As it comes: where does {who} live?"), stream=True)
        post("/v1/chat/completions", model="best_of_n(n=2)@up", messages=said(f"In votes, {who}?"), stream=True)
        post("/v1/completions", model="self_consistency(n=2)@up", prompt=f"{who} was born in")
        tools = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
        call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": json.dumps({"of": who})}}
        told = [
            {"role": "user", "content": f"Look {who} up."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": f"{who}: 5 Elm Street"},
        ]
        post("/v1/chat/completions", model="self_consistency(n=2)@up", messages=told, tools=tools)
        post("/v1/chat/completions", model="up", messages=told, tools=tools)
    return ids


def copy_everywhere(home: Path, model: str) -> list[list[str]]:
    """From the records into a bank, files, runs, and policies; returns the commands that go on with runs."""
    bank, records = str(home / "bank.sqlite"), str(home / "requests.sqlite")
    assert run(["data", "labels", "--records", records, "--bank", bank]) == 0
    assert run(["data", "labels", "--records", records, "--out", str(home / "labels.jsonl")]) == 0
    assert run(["data", "export", "--records", records, "--out", str(home / "export.jsonl")]) == 0
    assert run(["bank", "export", "panel:served", str(home / "panel.jsonl"), "--bank", bank]) == 0
    panel = ["--data", "panel:served", "--bank", bank]
    runs = home / "runs"
    going_on = [
        ["bench", *panel, "--model", "panel:served", "--samples", "1", "-s", "direct", "-o", str(runs / "replayed")],
        ["bench", *panel, "--model", model, "--samples", "2", "-s", "self_refine(rounds=1)", "-o", str(runs / "drawn")],
        ["improve", *panel, "--model", model, "--iterations", "2", "-o", str(runs / "improved")],
    ]
    alone = [
        ["calibrate", *panel, "--model", "panel:served", "--samples", "2", "--probe", "0", "-o", str(runs / "policy")],
        ["bench", "--data", str(home / "labels.jsonl"), "--model", model, "-s", "direct", "-o", str(runs / "labels"),
         "--policy-prompt", str(runs / "improved" / "policy.json")],
    ]  # fmt: skip
    for command in (*going_on, *alone):
        assert run(command) == 0, command
    assert run(["report", str(runs / "drawn")]) == 0
    return going_on


def files_with(home: Path, word: str) -> list[str]:
    """Files whose bytes hold a word: logs and free pages of databases, and temporary files, are files too."""
    return [
        str(f.relative_to(home)) for f in sorted(home.rglob("*")) if f.is_file() and word.encode() in f.read_bytes()
    ]


@pytest.mark.filterwarnings("ignore:Polyfit may be")  # calibrate on so few problems; no matter here
def test_nothing_of_a_person_is_left_in_the_bytes_of_any_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with StubServer(Manners(reply=reply)) as stub, served(home, stub) as (url, secrets):
        anns = go_through_every_door(url, secrets["ann"], ANN, "Zebulona")
        bobs = go_through_every_door(url, secrets["bob"], "bob", "Quentin")
        going_on = copy_everywhere(home, f"{stub.base_url}#stub")
        learned = load_language_policy(home / "runs/improved/policy.json")
        assert any("Zebulona" in e.question for e in learned.examples or ()), "nothing was learned of them: no test"
        before = files_with(home, "Zebulona")
        assert {"requests.sqlite", "bank.sqlite", "labels.jsonl", "export.jsonl", "panel.jsonl"} <= {
            name.removesuffix("-wal") for name in before
        }
        made = ("drawn/records.jsonl", "drawn/report.html", "improved/policy.json", "improved/iterations.jsonl",
                "improved/report.html", "labels/records.jsonl")  # fmt: skip
        assert {f"runs/{name}" for name in made} <= set(before)
        capsys.readouterr()

        erase = ["data", "erase", "--user", ANN, "--records", str(home / "requests.sqlite"), "--in", str(home)]
        assert run([*erase, "--dry-run"]) == 0
        assert files_with(home, "Zebulona") == before
        assert run([*erase, "--yes"]) == 0, capsys.readouterr().err
        told = capsys.readouterr()
        print(told.out, told.err)
        assert files_with(home, "Zebulona") == []
        assert "Left:" not in told.err and "upstream providers" in told.err

        # the server, still running, shows and finds nothing more of theirs, and all of the other's
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secrets['ann']}"}, verify=False) as client:
            assert client.get("/api/requests").json()["requests"] == []
            assert [client.get(f"/api/requests/{id}").status_code for id in anns] == [404] * len(anns)
        with Records(home / "requests.sqlite") as records:
            assert {r.id for r in records.each()} == set(bobs)
        # what others said is there, in every store, and opens
        stores = {"requests.sqlite", "bank.sqlite", "labels.jsonl", "export.jsonl", "panel.jsonl"}
        assert set(files_with(home, "Quentin")) >= stores | {
            f"runs/{name}/records.jsonl" for name in ("drawn", "labels")
        }
        with Bank(home / "bank.sqlite") as bank:
            assert sorted(p.question for p in bank.problems("served")) == sorted(
                [*(question("Quentin", n) for n in SUMS), "Who is Quentin the Great?"]
            )
        assert len(list(read_records(home / "runs/replayed/records.jsonl"))) == 2 * (len(SUMS) + 1)
        assert read_iterations(home / "runs/improved/iterations.jsonl")[1][0].accuracy > 0
        load_language_policy(home / "runs/improved/policy.json")
        for command in going_on:  # the runs go on, with what is left
            assert run(command) == 0, capsys.readouterr().err
        assert files_with(home, "Zebulona") == []
        assert run([*erase, "--yes"]) == 0  # asked once more, there is nothing to do
