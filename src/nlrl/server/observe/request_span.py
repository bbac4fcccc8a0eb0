"""The span of a request, and what the spans of its calls, which stand below it, share with it."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

from nlrl.compute import Ledger
from nlrl.core import Spend
from nlrl.models.openai.wire import apportion
from nlrl.server.api.ask import Ask
from nlrl.server.observe import genai_names as names

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def known(attributes: dict[str, Any]) -> dict[str, Any]:
    """Those that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}


class Tracing(Protocol):
    """What makes spans: OpenTelemetry's API, a tracer, and the headers that carry a trace on."""

    api: Any
    tracer: Any
    w3c: Any

    def fail(self, span: Span, kind: str) -> None: ...


class RequestSpan:
    """The span of a request, and what those below it share. `failure`: why it failed, None if it did not."""

    ask: Ask
    ledger: Ledger

    def __init__(self, telemetry: Tracing, span: Span) -> None:
        self.telemetry, self.span = telemetry, span
        self.failure: str | None = None
        self._prompt_tokens = 0  # of the calls below
        self._uncounted: list[tuple[Span, int, int]] = []  # over at that time, with so many prompt tokens at least

    def understood(self, ask: Ask, ledger: Ledger) -> None:
        """Work begins; what it spends is charged to `ledger`, which is this request's alone."""
        self.ask, self.ledger = ask, ledger
        found = {"nlrl.model": ask.model_id, "nlrl.strategy": ask.strategy, "nlrl.way": ask.way}
        limits = {f"nlrl.budget.{limit.name}": getattr(ask.budget, limit.name) for limit in fields(ask.budget)}
        self.span.set_attributes(known(found | limits))

    def ended(self, span: Span, spent: Spend, *, counted: bool) -> None:
        """A call is over. counted: the model has told the length of the prompt."""
        self._prompt_tokens += spent.prompt_tokens
        if counted:
            span.end()
        else:
            self._uncounted.append((span, time.time_ns(), spent.prompt_tokens))

    def accounted(self) -> None:
        """All is spent: only now is it known what was charged for prompts whose calls were cut off too early."""
        spent = self.ledger.paid
        missing = max(0, spent.prompt_tokens - self._prompt_tokens)
        shares = apportion(missing, [1] * len(self._uncounted))
        for (span, at, least), share in zip(self._uncounted, shares, strict=True):
            span.set_attribute(names.INPUT_TOKENS, least + share)
            span.end(at)
        shown = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "cancelled_tokens", "cost")
        shown += ("estimated_tokens",) if spent.estimated_tokens else ()
        self.span.set_attributes({f"nlrl.usage.{name}": getattr(spent, name) for name in shown})

    def end(self, status: int) -> None:
        """It is answered, or never will be: 499 is what the log calls a client that left before."""
        if status == 499:
            self.failure = "client_gone"
        elif status:
            self.span.set_attribute("http.response.status_code", status)
        if failure := self.failure or (str(status) if status >= 500 else None):
            self.telemetry.fail(self.span, failure)
        self.span.end()
