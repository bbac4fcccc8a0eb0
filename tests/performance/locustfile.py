"""A load test of `nlrl serve`: plain requests, votes and streams, side by side, as many clients send them.

    pip install locust
    nlrl serve --model http://127.0.0.1:8080/v1#small
    locust -f tests/performance/locustfile.py --host http://127.0.0.1:8000 --headless -u 256 -r 32 -t 60s

    NLRL_LOAD_MODEL    the model to ask for; default: the first that the server lists
    NLRL_LOAD_KEY      an API key, if the server asks for one
    NLRL_LOAD_N        attempts of a vote; default 8

A request counts as failed if its status is not 200, if it holds no answer, or if a stream has no [DONE]. A stream is
listed twice: "stream" to its end, and "stream, first text". It ends with code 1 if more than 1 % failed.
Nothing here is run by the test suite, and locust is no dependency of this project.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

from locust import HttpUser, between, events, task  # pyright: ignore[reportMissingImports]

QUESTIONS = [
    "What is 17 + 25?",
    "A shop sells pens at 3 for 2 dollars. What do 12 pens cost?",
    "Name the capital of Australia, and nothing else.",
    "Write a Python function that reverses a string.",
]
MOST_FAILED = 0.01


class _Client(HttpUser):
    """What all of them share: the model, the key, and what a good answer is."""

    abstract = True
    wait_time = between(0.1, 1.0)
    model = os.environ.get("NLRL_LOAD_MODEL", "")

    def on_start(self) -> None:
        """Find out what there is to ask."""
        if key := os.environ.get("NLRL_LOAD_KEY"):
            self.client.headers["Authorization"] = f"Bearer {key}"
        if not self.model:
            self.model = self.client.get("/v1/models", name="models").json()["data"][0]["id"]

    def body(self, model: str, **fields: Any) -> dict[str, Any]:
        """A question, in OpenAI's shape."""
        question = {"role": "user", "content": random.choice(QUESTIONS)}
        return {"model": model, "messages": [question], "max_tokens": 64, **fields}

    def ask(self, name: str, body: dict[str, Any]) -> None:
        """A whole answer."""
        with self.client.post("/v1/chat/completions", json=body, name=name, catch_response=True) as got:
            if got.status_code != 200:
                got.failure(f"{got.status_code}: {got.text[:200]}")
            elif not got.json()["choices"][0]["message"]["content"]:
                got.failure("no text")


class Passing(_Client):
    """Most requests: one plain attempt, passed through."""

    weight = 6

    @task
    def plain(self) -> None:
        """One attempt."""
        self.ask("direct", self.body(self.model))


class Voting(_Client):
    """Some ask for a vote."""

    weight = 2
    attempts = int(os.environ.get("NLRL_LOAD_N", "8"))

    @task
    def vote(self) -> None:
        """Self-consistency."""
        self.ask(f"self_consistency of {self.attempts}", self.body(f"self_consistency(n={self.attempts})@{self.model}"))


class Streaming(_Client):
    """Some read along."""

    weight = 2

    @task(3)
    def plain(self) -> None:
        """The tokens of one attempt."""
        self.read_along("stream", self.body(self.model, stream=True))

    @task
    def gists(self) -> None:
        """The gists of a vote, then its answer."""
        self.read_along("stream of a vote", self.body(f"self_consistency(n=4)@{self.model}", stream=True))

    def read_along(self, name: str, body: dict[str, Any]) -> None:
        """To the end; the time to the first text is an entry of its own."""
        began, first, done = time.perf_counter(), None, False
        with self.client.post("/v1/chat/completions", json=body, name=name, stream=True, catch_response=True) as got:
            if got.status_code != 200:
                got.failure(f"{got.status_code}: {got.text[:200]}")
                return
            for line in got.iter_lines():
                if line == b"data: [DONE]":
                    done = True
                elif line.startswith(b"data: ") and first is None and _holds_text(line[6:]):
                    first = time.perf_counter() - began
            if not done:
                got.failure("the stream ended without [DONE]")
        if first is not None:
            events.request.fire(
                request_type="SSE",
                name=f"{name}, first text",
                response_time=first * 1000,
                response_length=0,
                exception=None,
                context={},
            )


def _holds_text(event: bytes) -> bool:
    deltas = [choice.get("delta", {}) for choice in json.loads(event).get("choices", ())]
    return any(delta.get("content") or delta.get("reasoning") for delta in deltas)


@events.quitting.add_listener
def judge(environment: Any, **_: Any) -> None:
    """The exit code: 1 if too much failed, or nothing was asked at all."""
    total = environment.stats.total
    environment.process_exit_code = int(total.num_requests == 0 or total.fail_ratio > MOST_FAILED)
