"""What can go wrong with one HTTP exchange, by name, and what follows from each.

    transient: rate_limited, overloaded, server_error, timeout, connection, cut_stream, not_json, wrong_schema
    for good:  refused, prompt_too_long, too_large

A failure's name is the first word of `Completion.error`, so that records can be counted by it.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import httpx


class FailureKind(StrEnum):
    """The name of a failure."""

    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 503, 529
    SERVER_ERROR = "server_error"  # other 5xx, or an error object inside a 200
    TIMEOUT = "timeout"  # connecting, between two bytes, or in all
    CONNECTION = "connection"  # refused, reset, closed before the answer began
    CUT_STREAM = "cut_stream"  # the answer began and did not end
    NOT_JSON = "not_json"  # an HTML page, half a body, binary
    WRONG_SCHEMA = "wrong_schema"  # JSON, but not a chat completion
    REFUSED = "refused"  # 400, 401, 403, 404 ...
    PROMPT_TOO_LONG = "prompt_too_long"
    TOO_LARGE = "too_large"  # the answer is larger than any completion


_FOR_GOOD = {FailureKind.REFUSED, FailureKind.PROMPT_TOO_LONG, FailureKind.TOO_LARGE}
_TRANSIENT_STATUS = {408, 409, 425, 429}
_TOO_LONG = re.compile(
    r"context[_ ](?:length|size|window)|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|reduce the length|exceeds? the (?:available|model'?s) context",
    re.IGNORECASE,
)
_CONTEXT_TOKENS = re.compile(r"maximum context length is (\d{3,9})", re.IGNORECASE)
_SECRET = re.compile(r"(?:\b(?:sk|pk|rk|gsk|xai|hf|key)[-_][\w*.\-]{6,})|(?<=Bearer )\S+|(?<=://)[^/\s@]+@")
_MESSAGE_CHARS = 400


class CallFailed(Exception):
    """One exchange failed. Never leaves this room: it becomes a retry, a Completion with `error`, or a ModelError."""

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        never_connected: bool = False,
        refusal: bool = False,
        body: str = "",
    ) -> None:
        """refusal: the server did not take the request up, so that it cost nothing (unless it had begun to answer)."""
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.retry_after_s = retry_after_s
        self.never_connected = never_connected
        self.refusal = refusal or never_connected
        self.body = body

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"

    @property
    def transient(self) -> bool:
        """Whether asking again may help."""
        return self.kind not in _FOR_GOOD

    @property
    def overload(self) -> bool:
        """Whether the server asked for fewer requests."""
        return self.kind in (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED)

    @property
    def context_tokens(self) -> int | None:
        """The context size, where the server's message tells it."""
        hit = _CONTEXT_TOKENS.search(self.body)
        return int(hit.group(1)) if hit else None


def from_status(status: int, headers: Mapping[str, str], body: bytes, *, secret: str = "") -> CallFailed:
    """The failure behind a status other than 200."""
    text = body.decode("utf-8", "replace")
    message, code = server_message(text, secret)
    detail = f"HTTP {status}: {message}" if message else f"HTTP {status} without a message"
    if 300 <= status < 400:
        detail = redact(f"HTTP {status}: the server redirects to {headers.get('location', '?')}; set base_url to it")
        return CallFailed(FailureKind.REFUSED, detail, status=status, refusal=True)
    if status in (400, 413, 422, 500) and (code == "context_length_exceeded" or _TOO_LONG.search(f"{code} {message}")):
        kind = FailureKind.PROMPT_TOO_LONG
    elif status == 429 and code == "insufficient_quota":
        kind = FailureKind.REFUSED  # the account is empty: waiting does not help
    elif status == 429:
        kind = FailureKind.RATE_LIMITED
    elif status in (503, 529):
        kind = FailureKind.OVERLOADED
    elif status in _TRANSIENT_STATUS or status >= 500:
        kind = FailureKind.TIMEOUT if status in (408, 504) else FailureKind.SERVER_ERROR
    elif status < 300:
        kind = FailureKind.WRONG_SCHEMA
    else:
        kind = FailureKind.REFUSED
    pause = retry_after_s(headers)
    return CallFailed(kind, detail, status=status, retry_after_s=pause, refusal=True, body=text[:65536])


def from_error_object(error: Any, *, secret: str = "") -> CallFailed:
    """The failure behind {"error": ...} where a completion, or its next piece, should have been."""
    message, code = _message_of({"error": error}, secret)
    detail = message or "an error without a message"
    if code.isdigit() and 400 <= int(code) <= 599:
        return from_status(int(code), {}, json.dumps({"error": {"message": detail}}).encode(), secret=secret)
    if _TOO_LONG.search(f"{code} {message}"):
        return CallFailed(FailureKind.PROMPT_TOO_LONG, detail, refusal=True, body=message)
    if "rate" in code and "limit" in code:
        return CallFailed(FailureKind.RATE_LIMITED, detail, refusal=True)
    return CallFailed(FailureKind.SERVER_ERROR, f"an error object instead of a completion: {detail}", refusal=True)


def from_transport(error: httpx.HTTPError, *, began: bool, secret: str = "") -> CallFailed:
    """The failure behind an exception of the HTTP client. `began`: the answer's first bytes had come."""
    detail = redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, secret)
    if isinstance(error, httpx.ConnectError):
        return CallFailed(FailureKind.CONNECTION, f"cannot connect ({detail})", never_connected=True)
    if isinstance(error, httpx.TimeoutException):
        connecting = isinstance(error, httpx.ConnectTimeout)
        detail = f"it took too long to {'connect' if connecting else 'send the request'}"
        return CallFailed(FailureKind.TIMEOUT, detail, never_connected=connecting, refusal=True)
    if isinstance(error, httpx.DecodingError):
        return CallFailed(FailureKind.NOT_JSON, f"the body cannot be decompressed ({detail})")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return CallFailed(FailureKind.REFUSED, detail, refusal=True)
    return CallFailed(FailureKind.CUT_STREAM if began else FailureKind.CONNECTION, detail, refusal=not began)


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds the server asks to wait (RFC 9110, 10.2.3: seconds or a date), None if it does not say so readably.

    >>> retry_after_s({"retry-after": "1.5"})
    1.5
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            seconds = float(value) * scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        due = email.utils.parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    if now is None:
        try:  # the server's own clock, so that a difference between the clocks does not matter
            now = email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            now = time.time()
    return max(0.0, due - now)


def server_message(text: str, secret: str = "") -> tuple[str, str]:
    """(message, code) out of an error body of any shape: OpenAI, FastAPI, plain text, an HTML page. Without the key."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        # only the start: the pattern takes quadratic time on a page made to be slow
        plain = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text[:4096], flags=re.DOTALL | re.IGNORECASE)
        return _short(plain, secret), ""
    message, code = _message_of(body, secret)
    return message or _short(text, secret), code


def redact(text: str, secret: str = "") -> str:
    """`text` without the key, or anything that looks like one."""
    if secret:
        text = text.replace(secret, "[key]")
    return _SECRET.sub("[key]", text)


def _message_of(body: Any, secret: str) -> tuple[str, str]:
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return _short(error, secret), ""
    code = error.get("code") or error.get("type") or ""
    return _short(error.get("message") or error.get("detail") or error.get("msg") or "", secret), str(code)


def _short(value: Any, secret: str) -> str:
    """One line of at most 400 characters, redacted before it is cut: half a key would not be recognised."""
    text = value if isinstance(value, str) else json.dumps(value)
    line = " ".join(redact(text, secret).split())
    return line if len(line) <= _MESSAGE_CHARS else line[: _MESSAGE_CHARS - 1] + "…"
