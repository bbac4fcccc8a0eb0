"""The cases of the conformance suite, asked by OpenAI's own Python client: the twin of conformance.mjs.

    python conformance.py < suite.json       one line of JSON for each case: what came of it

suite.json: {"upstream": URL, "cases": [{"base_url", "key", "call", "params", "extra"}]}. Nothing is judged here.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

import openai


def main() -> None:
    suite = json.load(sys.stdin)
    http = openai.DefaultHttpxClient(verify=False)  # loading certificates for plain HTTP takes longer than the request
    for case in suite["cases"]:
        outcome = ask(case, http)
        with urllib.request.urlopen(f"{suite['upstream']}/take") as counted:
            print(json.dumps({**outcome, "counted": json.load(counted)}), flush=True)


def ask(case: dict[str, Any], http: Any) -> dict[str, Any]:
    client = openai.OpenAI(base_url=case["base_url"], api_key=case["key"], max_retries=0, timeout=60, http_client=http)
    params = case["params"]
    more = {"extra_body": case["extra"]} if case["extra"] else {}
    try:
        if case["call"] == "models":
            return {"ids": [model.id for model in client.models.list()]}
        if case["call"] == "model":
            return client.models.retrieve(params["model"]).model_dump()
        room: Any = client.chat.completions if case["call"] == "chat" else client.completions
        said = room.create(**params, **more)
        return streamed(said) if params.get("stream") else whole(said.model_dump())
    except openai.APIError as error:
        status = getattr(error, "status_code", None)
        names = {"status": status, "code": error.code, "param": error.param, "message": error.message}
        return {"error": {"class": type(error).__name__, **names}}


def whole(said: dict[str, Any]) -> dict[str, Any]:
    choices = []
    for choice in said["choices"]:
        message = choice.get("message") or {"content": choice.get("text")}
        found = {**empty(choice["index"]), "content": message["content"], "reasoning": message.get("reasoning") or ""}
        found["tool_calls"] = [tool_call(call) for call in message.get("tool_calls") or []]
        choices.append(found | {"finish_reason": choice["finish_reason"], "tokens": tokens(choice.get("logprobs"))})
    return {**said, "choices": choices}


def streamed(stream: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"usage": None, "nlrl": None, "chunks": 0, "usage_chunks": 0}
    choices: dict[int, dict[str, Any]] = {}
    for event in stream:
        chunk = event.model_dump()
        found["chunks"] += 1
        for name in ("id", "object", "model"):
            found.setdefault(name, chunk[name])
        found["nlrl"] = chunk.get("nlrl") or found["nlrl"]
        if chunk.get("usage"):
            found["usage"] = chunk["usage"]
            found["usage_chunks"] += 1
        for piece in chunk["choices"]:
            choice = choices.setdefault(piece["index"], empty(piece["index"]))
            delta = piece.get("delta") or {"content": piece.get("text")}
            choice["content"] += delta.get("content") or ""
            choice["reasoning"] += delta.get("reasoning") or ""
            choice["tool_calls"] += [tool_call(call) for call in delta.get("tool_calls") or []]
            choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
            if (scored := tokens(piece.get("logprobs"))) is not None:
                choice["tokens"] = (choice["tokens"] or []) + scored
    return {**found, "choices": [choices[index] for index in sorted(choices)]}


def empty(index: int) -> dict[str, Any]:
    return {
        "index": index, "content": "", "reasoning": "", "tool_calls": [], "finish_reason": None, "tokens": None
    }  # fmt: skip


def tool_call(call: dict[str, Any]) -> dict[str, str]:
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def tokens(logprobs: dict[str, Any] | None) -> list[str] | None:
    if not logprobs:
        return None
    if logprobs.get("tokens") is not None:
        return logprobs["tokens"]
    return [one["token"] for one in logprobs["content"]] if logprobs.get("content") is not None else None


if __name__ == "__main__":
    main()
