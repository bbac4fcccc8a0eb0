"""One line of the log for each request, in words or as fields. No prompt, no answer, and no key but by its id.

log_request(call)      # req_3f0c... POST /v1/chat/completions 200 61.3ms key=3f0c9a1e model=auto@qwen tokens=412
"""

from __future__ import annotations

import logging

from nlrl.server.http.call import Call

_log = logging.getLogger("nlrl.server")


def log_request(call: Call, *, quiet: bool = False) -> None:
    """Log an answered request; `quiet`: only where everything is logged."""
    path, model = _printable(call.path), _printable(call.model)
    fields = {
        "request_id": call.id, "method": call.method, "path": path, "status": call.status,
        "seconds": round(call.seconds, 6), "key": call.key, "model": model, "tokens": call.tokens,
    }  # fmt: skip
    _log.log(
        logging.DEBUG if quiet else logging.INFO,
        "%s %s %s %d %.1fms key=%s model=%s tokens=%d",
        call.id, call.method, path, call.status, call.seconds * 1e3, call.key, model, call.tokens,
        extra={"fields": fields},
    )  # fmt: skip


def _printable(text: str) -> str:
    """On one line of the log, whatever the client wrote."""
    return text if text.isprintable() else ascii(text)
