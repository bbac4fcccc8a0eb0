"""Every failure of a request, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

    raise ApiError(404, "The model 'x' is not served here. Served: a, b.", param="model", code="model_not_found")

400 the request, 401 no key, 403 a key without the scope, 404 no such model or route, 413 too large, 429 too many or out
of quota, 502 the upstream failed or refused us, 503 it cannot be reached, 504 it took too long, 500 a bug here.
An upstream's words are passed on without anything that looks like a key; a bug's are not passed on at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from nlrl.core import ModelError, ModelRefused, ModelUnavailable, NlrlError, PromptTooLong, UserError
from nlrl.transport.failures import redact

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "upstream_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
_OUR_KEY = re.compile(r"\bnlrl_[0-9a-f]{8}_[\w-]+")  # in place of a model's name, say
_UPSTREAM_STATUS = re.compile(r"HTTP (\d{3})")


class ApiError(Exception):
    """A failure with its HTTP status. `retry_after_s` becomes the header Retry-After, `allow` (methods) Allow."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        allow: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = _OUR_KEY.sub("[key]", redact(message))
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.allow = ", ".join(allow)

    @property
    def body(self) -> bytes:
        """The JSON of the answer, or of the event that ends a stream."""
        kind = _KINDS.get(self.status, "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What goes with it."""
        found: list[tuple[bytes, bytes]] = []
        if self.retry_after_s is not None:
            found.append((b"retry-after", str(max(1, round(self.retry_after_s))).encode()))
        if self.allow:
            found.append((b"allow", self.allow.encode()))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return tuple(found)


def as_api_error(error: BaseException) -> ApiError | None:
    """The answer to an error of this package, None for one that nobody foresaw (a bug)."""
    for leaf in _leaves(error):
        if isinstance(leaf, ApiError):
            return leaf
    ours = [leaf for leaf in _leaves(error) if isinstance(leaf, NlrlError)]
    return _translated(ours[0]) if ours else None


def _translated(error: NlrlError) -> ApiError:
    said = str(error)
    if isinstance(error, PromptTooLong):
        return ApiError(400, said, param="messages", code="context_length_exceeded")
    if isinstance(error, ModelUnavailable):
        return ApiError(503, said, code="upstream_unavailable", retry_after_s=5)
    if isinstance(error, ModelRefused):
        status = _UPSTREAM_STATUS.search(said)
        return from_upstream(int(status.group(1)), said) if status else ApiError(400, said, code="model_refused")
    if isinstance(error, ModelError):
        return ApiError(400, said, code="not_possible_with_this_model")
    if isinstance(error, UserError):
        return ApiError(400, said)
    return ApiError(500, f"{type(error).__name__}: {said}")


def from_upstream(status: int, message: str, retry_after_s: float | None = None) -> ApiError:
    """The answer to an upstream's refusal. What it says of *our* key or address is not the client's mistake: 502."""
    if status in (400, 413, 422):
        return ApiError(status if status != 422 else 400, message, code="upstream_refused")
    if status == 429:
        return ApiError(429, message, code="upstream_rate_limited", retry_after_s=retry_after_s or 1)
    if status in (503, 529):
        return ApiError(503, message, code="upstream_unavailable", retry_after_s=retry_after_s or 5)
    if status in (408, 504):
        return ApiError(504, message, code="upstream_timeout")
    return ApiError(502, message, code="upstream_failed")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
