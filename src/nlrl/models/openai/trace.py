"""For whoever traces calls: what goes along with the HTTP exchanges of one call, and what they tell.

A context variable, since between the one who asks and the one who sends lie a queue, retries and several tasks, which
all inherit it. Where nobody traces it is None, and nothing is sent or kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class TracedCall:
    """One call of a model.

    headers       sent with each of its exchanges (W3C traceparent)
    answering     the model's name in its answers, "" before there is one
    """

    headers: Mapping[str, str]
    answering: str = ""


TRACED_CALL: ContextVar[TracedCall | None] = ContextVar("nlrl_traced_call", default=None)


def trace_headers() -> Mapping[str, str]:
    """What to send along."""
    call = TRACED_CALL.get()
    return call.headers if call else {}


def heard(body: Mapping[str, Any]) -> None:
    """Keep what an answer, or a piece of it, tells of itself."""
    call = TRACED_CALL.get()
    if call is not None and not call.answering and isinstance(name := body.get("model"), str):
        call.answering = name
