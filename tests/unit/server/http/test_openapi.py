"""The document describes what the server takes: every route, and the limits of the types that read a body."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from nlrl.server.api.body import ChatBody
from nlrl.server.app import _ROUTES, _WINDOW
from nlrl.server.http.openapi import document


def test_every_route_is_described_and_no_other() -> None:
    described = {
        (re.sub(r"\{\w+\}", "", path), method.upper()) for path, item in document()["paths"].items() for method in item
    }
    read = {path: methods for path, methods in _WINDOW.items() if path.startswith("/api/") and path != "/api/events"}
    assert described == {(path, method) for path, methods in (_ROUTES | read).items() for method in methods}


def test_every_reference_leads_somewhere() -> None:
    schemas = document()["components"]["schemas"]
    text = json.dumps(document())
    for part in text.split('"$ref": "')[1:]:
        assert part.partition('"')[0].removeprefix("#/components/schemas/") in schemas


def test_the_fields_of_a_body_have_the_limits_that_are_described() -> None:
    described = schema_of("/v1/chat/completions")["properties"]
    read = msgspec.json.schema(ChatBody)["$defs"]["ChatBody"]["properties"]
    assert set(read) == set(described)
    for name, schema in read.items():
        assert bounds(schema) == bounds(described[name]), name


def schema_of(path: str) -> dict[str, Any]:
    return document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def bounds(schema: dict[str, Any]) -> set[tuple[str, Any]]:
    """All numeric limits, of whatever alternative, one level deep."""
    found = set()
    for one in [schema, *schema.get("anyOf", [])]:
        found |= {(k, one[k]) for k in ("minimum", "maximum", "minItems", "maxItems", "minLength") if k in one}
        for inner in one.get("anyOf", []):
            found |= {(k, inner[k]) for k in ("minimum", "maximum", "minItems", "maxItems") if k in inner}
    return found
