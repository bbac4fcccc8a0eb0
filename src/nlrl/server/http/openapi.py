"""The OpenAPI document of the server, written down once and served at /openapi.json."""

from __future__ import annotations

import functools
from typing import Any

from nlrl.server.api.ask import EFFORT


@functools.cache
def document(models: tuple[str, ...] = ()) -> dict[str, Any]:
    """OpenAPI 3.1. models: some ids that are served, offered as values."""
    from nlrl.core.version import __version__

    any_id = {**_TEXT, "minLength": 1, "description": "MODEL or STRATEGY@MODEL"}
    shared = {"model": {"anyOf": [{"enum": list(models)}, any_id]} if models else any_id, **_SHARED}
    chat = _object(["model", "messages"], {**shared, **_CHAT}, extra=True)
    legacy = _object(["model", "prompt"], {**shared, **_LEGACY}, extra=True)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nlrl",
            "version": __version__,
            "description": "The OpenAI API in front of any model, with a budget and a strategy for spending it.",
        },
        "security": [{"key": []}],
        "paths": {
            "/health": {"get": {**_op("health", "Is it up?", "Health"), "security": []}},
            "/openapi.json": {"get": _op("openapi", "This document.", "Any")},
            "/v1/models": {"get": _op("models", "Models, and strategies on them.", "Models")},
            "/v1/models/{model}": {
                "get": {
                    **_op("model", "One model.", "Model"),
                    "parameters": [_named("model", "path")],
                }
            },
            "/v1/chat/completions": {"post": _op("chat", "Answer a conversation.", "ChatCompletion", chat)},
            "/v1/completions": {"post": _op("completions", "Answer one prompt.", "Completion", legacy)},
            **_window(),
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Any": {"type": "object"},
                "Health": _object(["status"], {"status": _TEXT, "running": _NATURAL, "waiting": _NATURAL}),
                "Model": _object(["id", "object"], {"id": _TEXT, "object": {"const": "model"}}, extra=True),
                "Models": _object(["data"], {"data": _list({"$ref": "#/components/schemas/Model"})}, extra=True),
                "ChatCompletion": _answer({"message": {"type": "object"}}),
                "Completion": _answer({"text": _TEXT}),
                "Error": _object(
                    ["error"],
                    {
                        "error": _object(
                            ["message", "type", "param", "code"],
                            {"message": _TEXT, "type": _TEXT, "param": _or_null(_TEXT), "code": _or_null(_TEXT)},
                        )
                    },
                ),
            },
        },
    }


def _window() -> dict[str, Any]:
    """What the dashboard reads, and a script may read too."""
    judgement = _object(["thumb"], {"thumb": {"enum": [1, -1, 0]}, "reference": _or_null(_MOST_TEXT)}, extra=True)
    id, name = _named("id", "path"), _named("name", "path")
    limit = {**_named("limit", "query"), "required": False, "schema": _int(1, 500)}
    before = {**_named("before", "query"), "required": False}
    feedback = _op("feedback", "Judge an answer.", "Any", judgement, streams=False)
    return {
        "/api/overview": {"get": _op("overview", "The server, and who is asking.", "Any")},
        "/api/requests": {"get": {**_op("requests", "Requests, newest first.", "Any"), "parameters": [limit, before]}},
        "/api/requests/{id}": {"get": {**_op("request", "One request, whole.", "Any"), "parameters": [id]}},
        "/api/requests/{id}/feedback": {"post": {**feedback, "parameters": [id]}},
        "/api/spend": {"get": _op("spend", "Tokens by key and by day.", "Any")},
        "/api/runs": {"get": _op("runs", "Benchmark runs and policies.", "Any")},
        "/api/runs/{name}": {"get": {**_op("run", "A run's curves.", "Any"), "parameters": [name]}},
    }


def _named(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": True, "schema": _TEXT}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def _object(required: list[str], properties: dict[str, Any], *, extra: bool = False) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": extra}


def _int(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def _number(low: float, high: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high}


def _op(
    name: str, summary: str, answer: str, body: dict[str, Any] | None = None, *, streams: bool = True
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    if body is not None and streams:
        content["text/event-stream"] = {}  # no schema: it would be one of each event, and the last is no JSON
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    found: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": content},
            "4XX": {"description": "The request, its key, or its rate.", "content": failed},
            "5XX": {"description": "The upstream, or a bug.", "content": failed},
        },
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


_TEXT: dict[str, Any] = {"type": "string"}
_MOST_TEXT = {**_TEXT, "maxLength": 10_000}
_NATURAL: dict[str, Any] = {"type": "integer", "minimum": 0}
_BUDGET = {"tokens": _int(0, 10**12), "calls": _int(0, 10**9)} | {
    name: _number(0, 1e30) for name in ("flops", "seconds", "cost")
}
_NLRL = _object(
    [],
    {
        "strategy": _or_null({**_TEXT, "minLength": 1, "examples": ["weighted_vote(n=8)", "auto"]}),
        "budget": _or_null(_object([], {name: _or_null(schema) for name, schema in _BUDGET.items()})),
        "task": _or_null({"enum": ["math", "coding", "commonsense", "writing"]}),
    },
)
_SHARED: dict[str, Any] = {
    name: _or_null(schema)
    for name, schema in {
        "temperature": _number(0, 100),
        "top_p": _number(0, 1),
        "top_k": _int(0, 2**31 - 1),
        "min_p": _number(0, 1),
        "max_tokens": _int(1, 10**9),
        "n": _int(1, 128),
        "stop": {"anyOf": [_TEXT, _list(_TEXT, maxItems=16)]},
        "seed": _int(-(2**63), 2**63 - 1),
        "stream": {"type": "boolean"},
        "stream_options": _object([], {"include_usage": _or_null({"type": "boolean"})}, extra=True),
        "nlrl": _NLRL,
    }.items()
}
_ROLE = {"enum": ["system", "developer", "user", "assistant", "tool", "function"]}
_CONTENT = {"anyOf": [_TEXT, _list({"type": "object"}), {"type": "null"}]}
_CHAT = {
    "messages": _list(_object(["role"], {"role": _ROLE, "content": _CONTENT}, extra=True), minItems=1),
    "max_completion_tokens": _or_null(_int(1, 10**9)),
    "logprobs": _or_null({"type": "boolean"}),
    "top_logprobs": _or_null(_int(0, 20)),
    "response_format": _or_null({"type": "object"}),
    "reasoning_effort": _or_null({"enum": list(EFFORT)}),
    "tools": _or_null(_list({"type": "object"})),
}
_LEGACY = {
    "prompt": {"anyOf": [_TEXT, _list(_TEXT, minItems=1, maxItems=1)]},
    "logprobs": _or_null(_int(0, 20)),
}


def _answer(choice: dict[str, Any]) -> dict[str, Any]:
    one = _object(["index", "finish_reason", *choice], {"index": _NATURAL, **choice}, extra=True)
    return _object(["id", "object", "choices"], {"id": _TEXT, "object": _TEXT, "choices": _list(one)}, extra=True)
