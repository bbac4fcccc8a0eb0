"""Bytes to other machines: what can go wrong, how many at a time, and events as they arrive.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.transport.failures import (
        CallFailed,
        FailureKind,
        from_error_object,
        from_status,
        from_transport,
        redact,
        retry_after_s,
        server_message,
    )
    from nlrl.transport.limit import AdaptiveLimit, Ticket
    from nlrl.transport.sse import Event, EventTooLong, SseDecoder

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.transport.failures": (
        "CallFailed", "FailureKind", "from_error_object", "from_status", "from_transport", "redact", "retry_after_s",
        "server_message",
    ),
    "nlrl.transport.limit": ("AdaptiveLimit", "Ticket"),
    "nlrl.transport.sse": ("Event", "EventTooLong", "SseDecoder"),
})  # fmt: skip

__all__ = [
    "AdaptiveLimit", "CallFailed", "Event", "EventTooLong", "FailureKind", "SseDecoder", "Ticket", "from_error_object",
    "from_status", "from_transport", "redact", "retry_after_s", "server_message",
]  # fmt: skip
