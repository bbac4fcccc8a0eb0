"""What version 0.1 of this package wrote: the files beside this script, through its own commands.

    python tests/data/make_version_0_1.py FOLDER

They are kept as they are and opened by `tests/integration/test_old_files.py`, so that no later version orphans a bank,
a run, a policy, a file of keys or of request records. Run it to see how they came to be, never to renew them.

    problems.jsonl, how.json   eight sums, and how the model is asked: so that new default prompts change no key here
    run/                       `nlrl bench` on the first three, with its bank
    policy/                    `nlrl calibrate`
    keys.sqlite                three keys, one of them revoked; SECRET in the tests opens the first
    requests.sqlite            `nlrl serve --records --texts keep`, after three requests
    logprobs.sqlite            the bank of a `bench` at a server that answers at random
    no-logprobs*.sqlite        the same at one that ignores `logprobs`, with a panel of samples and without: one panel
                               came under two keys, since keys said what the server was believed to give by then
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from nlrl.cli.app import run
from nlrl.server import KeyStore
from nlrl.testing.stub_server import Manners, StubServer

PORT = 18431  # part of the model's name, and so of its keys
SUMS = [(f"What is {a} + {b}?", str(a + b)) for a, b in zip(range(17, 25), range(25, 17, -1), strict=True)]
STRATEGIES = (
    "direct",
    "self_consistency(n=4)",
    "adaptive_consistency(n=4, wave=2)",
    "best_of_n(n=4)",
    "self_refine(rounds=1)",
)
LIVE = ("best_of_n(n=3)", "direct", "self_consistency(n=4)", "self_refine(rounds=1)")


class Forgetful(StubServer):
    """Ignores `logprobs`, as many servers do."""

    async def _completion(self, answer: Any, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        await super()._completion(answer, headers, {k: v for k, v in body.items() if "logprobs" not in k})


def guess(body: Mapping[str, Any], choice: int) -> list[str]:
    """Another answer at every call."""
    words = [f" {random.choice(['so', 'then', 'add', 'both'])}" for _ in range(random.randint(3, 9))]
    return [*words, "\n", "Final", " Answer", ":", f" {random.choice(['42', '41', '12'])}", "\n"]


def nlrl(*args: str) -> None:
    if code := run(list(args)):
        raise SystemExit(f"nlrl {' '.join(args)}: exit code {code}")


def bench(home: Path, model: str, bank: str, strategies: tuple[str, ...], *more: str) -> None:
    asked = [
        "--data",
        str(home / "problems.jsonl"),
        "--policy-prompt",
        str(home / "how.json"),
        "--model",
        model,
        "--limit",
        "3",
    ]
    chosen = [part for strategy in strategies for part in ("--strategy", strategy)]
    nlrl("bench", *asked, *chosen, "--bank", str(home / bank), *more)


def requests(home: Path) -> None:
    """Three requests to a server of our own: plain, streamed, and one that fails."""
    from nlrl.cli import serve as _  # noqa: F401  # the command below must be there before the thread asks for it

    def ask() -> None:
        client = httpx.Client(base_url="http://127.0.0.1:18432/v1", timeout=30)
        while True:
            try:
                client.get("/models")
                break
            except httpx.TransportError:
                threading.Event().wait(0.1)
        said = [{"role": "user", "content": "What is 17 + 25?"}]
        client.post("/chat/completions", json={"model": "self_consistency(n=3)@here", "messages": said, "user": "ann"})
        client.post("/chat/completions", json={"model": "here", "messages": said, "stream": True})
        client.post("/chat/completions", json={"model": "best_of_n(n=2)@here", "messages": said})
        os.kill(os.getpid(), 2)

    threading.Thread(target=ask).start()
    run(["serve", "--model", "here=stochastic:0.6", "--port", "18432", "--records", str(home / "requests.sqlite"),
         "--texts", "keep", "--quiet"])  # fmt: skip


def main(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"question": q, "answer": a, "task_type": "math"}) for q, a in SUMS]
    (home / "problems.jsonl").write_text("\n".join(rows) + "\n")
    said = {"instruction": "Solve the sum in short steps.", "principles": [], "examples": []}
    (home / "how.json").write_text(json.dumps({"v": 1, "policy": said}) + "\n")
    sim = "stochastic:0.6"
    bench(home, sim, "run/bank.sqlite", STRATEGIES, "--samples", "4", "--out", str(home / "run"))
    nlrl("calibrate", "--data", str(home / "problems.jsonl"), "--model", sim, "--samples", "4", "--probe", "2",
         "--bins", "1", "--strategy", "direct", "--strategy", "self_consistency(n=4)",
         "--out", str(home / "policy"))  # fmt: skip
    with KeyStore(home / "keys.sqlite") as keys:
        print("SECRET", keys.create("alice", tokens=1000)[1])
        keys.create("grafana", scopes=("read",), per_minute=60)
        keys.revoke(keys.create("gone")[0].id)
    requests(home)
    for server, bank, more in (
        (StubServer, "logprobs", ("--samples", "4")),
        (Forgetful, "no-logprobs", ("--samples", "4")),
        (Forgetful, "no-logprobs-live", ()),
    ):
        with server(Manners(reply=guess), port=PORT) as stub:
            from nlrl.models.openai import server as _openai_server

            _openai_server._known.clear()  # each as a process of its own would find it
            bench(home, f"{stub.base_url}#stub", f"{bank}.sqlite", STRATEGIES if more else LIVE, "--out",
                  str(home / bank), "--concurrency", "1", *more)  # fmt: skip
        shutil.rmtree(home / bank)  # its bank is enough
    for made in ("run/.lock", "run/report.html", "run/report.png", "policy/bank.sqlite", "policy/report.html",
                 "policy/report.png"):  # fmt: skip
        (home / made).unlink()


if __name__ == "__main__":
    random.seed(3)
    main(Path(sys.argv[1]))
