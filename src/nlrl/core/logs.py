"""Logging with the standard library: which run, which request, and never a secret.

    setup_logging("INFO")                      # one line a record, on stderr
    setup_logging("DEBUG", json=True)          # one JSON object a line, for machines
    with log_context(run="runs/monday", request="3f0c"):
        logging.getLogger("nlrl.models").warning("429, waiting 2 s")
    12:03:11 WARNING nlrl.models run=runs/monday request=3f0c 429, waiting 2 s

Only the logger "nlrl" is set up; the application around it keeps its own root logger.
"""

from __future__ import annotations

import json as _json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from nlrl.core.errors import UserError

_context: ContextVar[Mapping[str, str]] = ContextVar("nlrl_log_context", default={})  # noqa: B039 (never mutated)

_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
_MASK = "[secret]"
# Things that are secret by their shape: bearer tokens, vendor keys, "api_key=...", and passwords inside URLs.
_SECRETS = (
    re.compile(r"\b()nlrl_[0-9a-f]{8}_[\w-]+"),  # our own server's: a client may write one into a path
    re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{6,}"),
    re.compile(r"\b()(?:sk|pk|hf|gsk|xai|ghp|pypi)[-_][A-Za-z0-9_-]{8,}"),
    re.compile(
        r"(?i)((?:api[-_]?key|access[-_]?token|authorization|password|secret)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]{4,}"
    ),
    re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"),
)
_SECRET_VARIABLE = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$")


def setup_logging(level: str | int = "INFO", json: bool = False, *, stream: TextIO | None = None) -> logging.Logger:
    """Send this package's log records to stderr (or `stream`) and return the logger "nlrl".

    Calling it again replaces the earlier set-up. Raises UserError for a level that does not exist.
    """
    if isinstance(level, str) and level.upper() not in _LEVELS:
        raise UserError(f"Unknown log level {level!r}. Known: {', '.join(_LEVELS)}.")
    logger = logging.getLogger("nlrl")
    for old in [h for h in logger.handlers if getattr(h, "nlrl", False)]:
        logger.removeHandler(old)
        old.close()
    handler = logging.StreamHandler(stream)
    handler.nlrl = True  # type: ignore[attr-defined]  # ours to replace; handlers of others stay
    handler.setFormatter(formatter(json))
    logger.addHandler(handler)
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    logger.propagate = False  # else an application with a root handler would print every record twice
    return logger


def formatter(json: bool = False, *, dated: bool = False) -> logging.Formatter:
    """How a record becomes a line, without secrets: for a terminal, for a file (`dated`), or for machines."""
    return _JsonFormatter() if json else _TextFormatter(dated)


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add fields (run, request, ...) to every record logged inside, also in tasks started inside."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def redact(text: str) -> str:
    """`text` without what looks like a secret, and without the value of any secret environment variable."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_VARIABLE.search(name) and value in text:
            text = text.replace(value, _MASK)
    for pattern in _SECRETS:
        text = pattern.sub(lambda m: f"{m.group(1)}{_MASK}", text)
    return text


class _TextFormatter(logging.Formatter):
    def __init__(self, dated: bool) -> None:
        super().__init__()
        self._dated = dated

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {k}={v}" for k, v in _context.get().items())
        if self._dated:
            line = f"{self.formatTime(record)} - {record.levelname} - {record.name}{fields} {record.getMessage()}"
        else:
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            line = f"{clock} {record.levelname} {record.name}{fields} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_context.get(),
            **getattr(record, "fields", {}),  # of one record, such as a request's
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        # redacted before encoding: escaping would hide a secret that holds a quote or a backslash
        return _json.dumps({k: redact(v) if isinstance(v, str) else v for k, v in fields.items()}, ensure_ascii=False)
