"""What a client may ask of the server, and what must come of it: the cases of the conformance suite.

A case is data (`params` for the client's own method, `extra` for fields it has no name for), so that clients in any
language ask the same. `check` returns what is wrong with the outcome, "" for nothing. Where a strategy cannot honour a
field at all (`only`, `never`), it must refuse it with a 400 that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Outcome = dict[str, Any]
Check = Callable[[Outcome, str], str]

QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]
TURNS = [
    {"role": "user", "content": "My number is 17."},
    {"role": "assistant", "content": "I keep 17 in mind."},
    {"role": "user", "content": "What is it and 25 together?"},
]
SYSTEM = [{"role": "system", "content": "Be brief, said the walrus."}, *QUESTION]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALLED = {"id": "call_9", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
RESULT = [
    *QUESTION,
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "call_9", "content": "sunny"},
]
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
IMAGE = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PIXEL]}]
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
VOTING = ("direct", "self_consistency", "adaptive_consistency")  # as docs/reference/server.md has it
GIST = re.compile(r"\[s\d+\] \S")  # a line of an attempt, with its name
STEPWISE = ("beam_search", "dvts", "lookahead_search", "mcts")


@dataclass(frozen=True)
class Case:
    """One thing to ask. key: which of the suite's keys. model: with its name in place of STRATEGY."""

    name: str
    check: Check
    params: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    call: str = "chat"
    key: str = "good"
    model: str = "STRATEGY@up"
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    field: str = ""

    def asked(self, strategy: str) -> dict[str, Any]:
        """`params` for the client."""
        params = {"model": self.model.replace("STRATEGY", strategy), **self.params}
        if self.call == "chat":
            params = {"messages": QUESTION, **params}
            if "max_completion_tokens" not in params and strategy.partition("(")[0] not in STEPWISE:
                params = {"max_tokens": 64, **params}
        return params if self.call != "models" else {}


def judge(case: Case, outcome: Outcome, strategy: str) -> tuple[str, str]:
    """("ok" | "refused" | "FAILED", what is wrong)."""
    name, error, counted = strategy.partition("(")[0], outcome.get("error"), outcome["counted"]
    if (case.only and name not in case.only) or name in case.never:
        if not error or error["status"] != 400 or case.field not in f"{error['param']} {error['message']}":
            return "FAILED", f"not refused by name: {error or outcome['choices']}"
        return ("FAILED", "refused, but asked upstream") if counted["bodies"] else ("refused", "")
    wrong = case.check(outcome, strategy)
    usage = outcome.get("usage")
    if not wrong and usage:
        told = {key: usage[key] for key in ("prompt_tokens", "completion_tokens")}
        if told != {key: counted[key] for key in told} or usage["total_tokens"] != sum(told.values()):
            wrong = f"usage {told}, upstream {counted['prompt_tokens']} + {counted['completion_tokens']}"
    return ("FAILED", wrong) if wrong else ("ok", "")


def _first(outcome: Outcome) -> dict[str, Any]:
    return outcome["choices"][0]


def _answer(outcome: Outcome, strategy: str, *, finish: str = "stop", usage: bool = True) -> str:
    """The usual expectations of an answer."""
    if outcome.get("error"):
        return f"{outcome['error']}"
    choice = _first(outcome)
    if not choice["content"] or choice["finish_reason"] != finish:
        return f"content {choice['content']!r}, finish_reason {choice['finish_reason']!r}"
    if not outcome["id"].startswith(("chatcmpl-", "cmpl-")):
        return f"id {outcome['id']!r}"
    if strategy != "direct" and not outcome["nlrl"]:
        return "no nlrl object"
    return "no usage" if usage and not outcome["usage"] else ""


def _right(outcome: Outcome, strategy: str) -> str:
    wrong = _answer(outcome, strategy)
    return wrong or ("" if "Final Answer: 4" in _first(outcome)["content"] else f"{_first(outcome)['content']!r}")


def _seen(*texts: str, role: str = "") -> Check:
    """An answer, and one upstream call that held all of it."""

    def check(outcome: Outcome, strategy: str) -> str:
        for body in outcome["counted"]["bodies"]:
            said = json.dumps(body["messages"])
            if all(text in said for text in texts) and (not role or body["messages"][0]["role"] == role):
                return _answer(outcome, strategy)
        return f"{texts} did not reach the upstream"

    return check


def _sent(name: str, value: Any = None) -> Check:
    """An answer, and every upstream call held the field."""

    def check(outcome: Outcome, strategy: str) -> str:
        bodies = outcome["counted"]["bodies"]
        if not bodies or not all(name in body and value in (None, body[name]) for body in bodies):
            return f"{name} did not reach the upstream"
        return _answer(outcome, strategy)

    return check


def _calls_tool(outcome: Outcome, strategy: str) -> str:
    if outcome.get("error"):
        return f"{outcome['error']}"
    choice = _first(outcome)
    if choice["finish_reason"] != "tool_calls" or len(choice["tool_calls"]) != 1 or choice["content"]:
        return f"{choice}"
    call = choice["tool_calls"][0]
    told = json.loads(call["arguments"])
    return "" if (call["name"], told) == ("weather", {"city": "Paris", "days": 2}) else f"{call}"


def _json(outcome: Outcome, strategy: str) -> str:
    wrong = _sent("response_format")(outcome, strategy) if strategy == "direct" else _answer(outcome, strategy)
    return wrong or ("" if "answer" in json.loads(_first(outcome)["content"]) else "not in that form")


def _two(outcome: Outcome, strategy: str) -> str:
    wrong = _answer(outcome, strategy)
    return wrong or ("" if [choice["index"] for choice in outcome["choices"]] == [0, 1] else "not two choices")


def _stopped(outcome: Outcome, strategy: str) -> str:
    wrong = _answer(outcome, strategy)
    return wrong or (f"{_first(outcome)['content']!r}" if "Final" in _first(outcome)["content"] else "")


def _scored(outcome: Outcome, strategy: str) -> str:
    wrong, choice = _answer(outcome, strategy), _first(outcome) if outcome.get("choices") else {}
    return wrong or ("" if "".join(choice["tokens"] or ()) == choice["content"] else f"tokens {choice['tokens']}")


def _short(outcome: Outcome, strategy: str) -> str:
    return _answer(outcome, strategy, finish="length")


def _stream(outcome: Outcome, strategy: str) -> str:
    wrong = _answer(outcome, strategy, usage=False)
    if not wrong and (outcome["usage"] or outcome["chunks"] < 3):
        return "usage, though nobody asked" if outcome["usage"] else f"{outcome['chunks']} chunks"
    return wrong or ("" if (strategy == "direct") != bool(GIST.match(_first(outcome)["reasoning"])) else "gists")


def _stream_usage(outcome: Outcome, strategy: str) -> str:
    return _answer(outcome, strategy) or ("" if outcome["usage_chunks"] == 1 else "not one chunk with usage")


def _legacy(outcome: Outcome, strategy: str) -> str:
    return _answer(outcome, strategy) or ("" if outcome["object"] == "text_completion" else f"{outcome['object']}")


def _legacy_stream(outcome: Outcome, strategy: str) -> str:
    return _answer(outcome, strategy, usage=False) or ("" if not outcome["usage"] else "usage, though nobody asked")


def _effort(outcome: Outcome, strategy: str) -> str:
    if strategy == "direct":  # passed on: a reasoning model may be upstream
        return _sent("reasoning_effort", "medium")(outcome, strategy)
    spent = outcome["usage"]["total_tokens"] if outcome.get("usage") else 0
    return _answer(outcome, strategy) or ("" if spent <= 16 * 64 else f"{spent} tokens, allowed 1024")


def _object(outcome: Outcome, strategy: str) -> str:
    if wrong := _answer(outcome, "nlrl"):
        return wrong
    nlrl = outcome["nlrl"]
    return "" if nlrl["strategy"] == strategy and nlrl["calls"] <= 12 else f"{nlrl['strategy']} {nlrl['calls']}"


def _is_listed(outcome: Outcome, strategy: str) -> str:
    return "" if {"up", "auto@up"} <= set(outcome.get("ids", ())) else f"{outcome}"


def _is_model(outcome: Outcome, strategy: str) -> str:
    return "" if outcome.get("id") == f"{strategy}@up" else f"{outcome}"


def _fails(kind: str, status: int, param: str = "") -> Check:
    """The client's own exception, with OpenAI's fields, and nothing asked upstream."""

    def check(outcome: Outcome, strategy: str) -> str:
        error = outcome.get("error")
        if not error or (error["class"], error["status"]) != (kind, status) or outcome["counted"]["bodies"]:
            return f"{error or 'no error'}; {len(outcome['counted']['bodies'])} calls"
        return "" if error["message"] and param in (error["param"] or "") else f"{error}"

    return check


CASES = (
    Case("plain", _right),
    Case("multi-turn", _seen("My number is 17.", "I keep 17 in mind.", "25 together"), {"messages": TURNS}),
    Case("system", _seen("walrus", role="system"), {"messages": SYSTEM}),
    Case("tools", _calls_tool, {"tools": TOOLS}, only=VOTING, field="tools"),
    Case("tools, stream", _calls_tool, {"tools": TOOLS, "stream": True}, only=VOTING, field="tools"),
    Case("tool result", _seen("call_9", "sunny"), {"messages": RESULT}, only=VOTING, field="messages["),
    Case("image", _seen("image_url"), {"messages": IMAGE}, only=VOTING, field="messages[0].content"),
    Case("penalty", _sent("frequency_penalty", 0.5), {"frequency_penalty": 0.5}, only=VOTING, field="frequency_pen"),
    Case("response_format", _json, {"response_format": FORM}, never=STEPWISE, field="response_format"),
    Case("n", _two, {"n": 2}),
    Case("stop", _stopped, {"stop": ["Final"]}, never=STEPWISE, field="stop"),
    Case("seed", _sent("seed"), {"seed": 7}),
    Case("logprobs", _scored, {"logprobs": True, "top_logprobs": 2}, never=STEPWISE, field="logprobs"),
    Case("max_tokens", _short, {"max_tokens": 4}, never=STEPWISE, field="max_tokens"),
    Case(
        "max_completion_tokens",
        _short,
        {"max_completion_tokens": 4},
        never=STEPWISE,
        field="max_completion_tokens",
    ),
    Case("stream", _stream, {"stream": True}),
    Case("stream, usage", _stream_usage, {"stream": True, "stream_options": {"include_usage": True}}),
    Case("completions", _legacy, {"prompt": "What is 17 + 25?"}, call="completions"),
    Case(
        "completions, stream",
        _legacy_stream,
        {"prompt": "What is 17 + 25?", "stream": True},
        call="completions",
    ),
    Case("models", _is_listed, call="models"),
    Case("model", _is_model, call="model"),
    Case("reasoning_effort", _effort, {"reasoning_effort": "medium"}),
    Case("nlrl object", _object, extra={"nlrl": {"strategy": "STRATEGY", "budget": {"calls": 12}}}, model="up"),
    Case("400 value", _fails("BadRequestError", 400, "temperature"), {"temperature": 1000}),
    Case(
        "400 budget",
        _fails("BadRequestError", 400, "nlrl.budget.tokens"),
        extra={"nlrl": {"budget": {"tokens": 1}}},
    ),
    Case("401", _fails("AuthenticationError", 401), key="bad"),
    Case("403", _fails("PermissionDeniedError", 403), key="read"),
    Case("404", _fails("NotFoundError", 404, "model"), model="STRATEGY@nowhere"),
    Case("429", _fails("RateLimitError", 429), key="poor"),
)
