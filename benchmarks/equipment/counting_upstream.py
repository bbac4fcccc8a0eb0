"""An OpenAI-compatible upstream with the whole surface of the API, which counts every token it gives out.

    with CountingUpstream() as upstream:
        ...                              # point a server at upstream.url
        upstream.take()                  # {"prompt_tokens": 12, "completion_tokens": 9, "bodies": [...]}

Equipment of the conformance suite. `take` is what was counted since the last time; `GET /take` is the
same for clients in other languages. One attempt in four says 41
where the others say 42; with `tools` it calls one, with `response_format` it answers in JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

_JSON, _EVENTS = b"application/json", b"text/event-stream"


def prompt_tokens(said: Any) -> int:
    """Words and marks of everything in the prompt, and three for each message."""
    messages = said if isinstance(said, list) else [said]
    return sum(3 + len(re.findall(r"\w+|[^\w\s]", json.dumps(message))) for message in messages)


def tokens_of(body: dict[str, Any], choice: int) -> tuple[list[str], str]:
    """(tokens, finish_reason) of one choice: `stop`, the limits and a started answer are honoured."""
    seed = body.get("seed")
    number = 41 if ((0 if seed is None else seed) + choice) % 4 == 0 else 42
    begun = body["messages"][-1]["content"] if body.get("continue_final_message") else ""
    if said := re.search(r"41|42", begun):
        number = said[0]
    if (body.get("response_format") or {}).get("type", "text") != "text":
        tokens = ["{", '"answer"', ":", f" {number}", "}"]
    else:
        tokens = ["17", " +", " 25", " is", f" {number}", ".", "\n\n", "Final", " Answer", ":", f" {number}"]
    if begun:
        rest = "".join(tokens)
        tokens = re.findall(r"\s*\S+|\s+", rest[len(begun) :] if rest.startswith(begun) else f" {number}")
    finish, stops = "stop", body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    ends = [at for stop in stops if (at := "".join(tokens).find(stop)) >= 0]
    if ends:
        tokens = _cut(tokens, min(ends))
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None and len(tokens) > limit:
        tokens, finish = tokens[:limit], "length"
    return tokens, finish


def _end(finish: str | None) -> int:
    """The end token, which has no text, counts too."""
    return int(finish in ("stop", "tool_calls"))


def _cut(tokens: list[str], end: int) -> list[str]:
    kept: list[str] = []
    for token in tokens:
        if end <= 0:
            break
        kept.append(token[:end])
        end -= len(token)
    return kept


def _logprobs(tokens: list[str], top: int, legacy: bool) -> dict[str, Any]:
    others = [{"token": f"~{i}", "logprob": -2.0 - i, "bytes": None} for i in range(top)]
    if legacy:
        pairs = {other["token"]: other["logprob"] for other in others}
        return {"tokens": tokens, "token_logprobs": [-0.1] * len(tokens), "top_logprobs": [pairs] * len(tokens)}
    return {"content": [{"token": t, "logprob": -0.1, "bytes": None, "top_logprobs": others} for t in tokens]}


class CountingUpstream:
    """Serves until the `with` block ends, in a thread."""

    def __init__(self) -> None:
        self._count = {"prompt_tokens": 0, "completion_tokens": 0}
        self._bodies: list[dict[str, Any]] = []
        self._busy = self._calls = 0
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            port=0,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=600,  # closing an idle connection just as it is used would be a fault of its own
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> CountingUpstream:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def take(self) -> dict[str, Any]:
        """What was given out, and asked, since the last look."""
        taken = {**self._count, "bodies": self._bodies}
        self._count, self._bodies = dict.fromkeys(self._count, 0), []
        return taken

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/take":
            for _ in range(200):  # what was cancelled may still be on its way out
                if not self._busy:
                    break
                await asyncio.sleep(0.01)
            return await _whole(send, self.take())
        if path == "/v1/models":
            return await _whole(send, {"object": "list", "data": [{"id": "up", "object": "model"}]})
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return await _whole(send, {"error": {"message": "no such route"}}, 404)
        raw, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        self._busy += 1
        try:
            await self._complete(json.loads(raw), send, legacy=path == "/v1/completions")
        finally:
            self._busy -= 1

    async def _complete(self, body: dict[str, Any], send: Any, *, legacy: bool) -> None:
        self._bodies.append(body)
        self._calls += 1
        drawn = [tokens_of(body, choice) for choice in range(body.get("n") or 1)]
        after_tool = not legacy and body["messages"][-1]["role"] == "tool"
        called = _tool_call(body, self._calls) if body.get("tools") and not after_tool else None
        if called:
            drawn = [(called["function"]["arguments"].split(" "), "tool_calls") for _ in drawn]
        usage = {
            "prompt_tokens": prompt_tokens(body["prompt"] if legacy else body["messages"]),
            "completion_tokens": sum(len(tokens) + _end(finish) for tokens, finish in drawn),
        }
        usage["total_tokens"] = sum(usage.values())
        for name in self._count:
            self._count[name] += usage[name]
        kind = "text_completion" if legacy else "chat.completion"
        head = {"id": f"chatcmpl-{self._calls}", "object": kind, "created": 1, "model": "up"}
        top = (body.get("logprobs") if legacy else body.get("top_logprobs")) or 0
        asked = body.get("logprobs") is not None if legacy else bool(body.get("logprobs"))

        def scores(tokens: list[str]) -> dict[str, Any] | None:
            return _logprobs(tokens, top, legacy) if asked else None

        if not body.get("stream"):
            choices = []
            for index, (tokens, finish) in enumerate(drawn):
                message = {"role": "assistant", "content": None if called else "".join(tokens), "refusal": None}
                if called:
                    message["tool_calls"] = [called]
                said = {"text": message["content"]} if legacy else {"message": message}
                choices.append({"index": index, **said, "finish_reason": finish, "logprobs": scores(tokens)})
            await _whole(send, {**head, "choices": choices, "usage": usage})
            return
        await _begin(send, 200, _EVENTS)
        options = body.get("stream_options") or {}
        if not legacy:
            head["object"] += ".chunk"
        sent = [0] * len(drawn)
        for index, delta, tokens, finish in _pieces(drawn, called):
            said = {"text": "".join(tokens)} if legacy else {"delta": delta}
            choice = {"index": index, **said, "finish_reason": finish, "logprobs": scores(tokens) if tokens else None}
            chunk: dict[str, Any] = {**head, "choices": [choice]}
            sent[index] += len(tokens) + _end(finish)
            if options.get("continuous_usage_stats"):
                chunk["usage"] = {**usage, "completion_tokens": sent[index]}
            await _part(send, b"data: " + json.dumps(chunk).encode() + b"\n\n")
        if options.get("include_usage"):
            await _part(send, b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n")
        await _part(send, b"data: [DONE]\n\n", last=True)


def _tool_call(body: dict[str, Any], number: int) -> dict[str, Any]:
    """The same call every time, but not in the same words."""
    arguments = ('{"city": "Paris", "days": 2}', '{"days": 2.0, "city": "Paris"}')[number % 2]
    asked = body["tools"][0].get("function")
    function = {"name": asked.get("name") if isinstance(asked, dict) else "unnamed", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _pieces(
    drawn: list[tuple[list[str], str]], called: dict[str, Any] | None
) -> Iterator[tuple[int, dict[str, Any], list[str], str | None]]:
    for index, (tokens, finish) in enumerate(drawn):
        yield index, {"role": "assistant", "content": None if called else ""}, [], None
        if called:
            yield index, {"tool_calls": [{"index": 0, **called}]}, tokens, None
        else:
            for token in tokens:
                yield index, {"content": token}, [token], None
        yield index, {}, [], finish


async def _begin(send: Any, status: int, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})


async def _part(send: Any, body: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})


async def _whole(send: Any, body: Any, status: int = 200) -> None:
    await _begin(send, status, _JSON)
    await _part(send, json.dumps(body).encode(), last=True)
