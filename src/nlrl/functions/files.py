"""The guide's utilities: a log file, results as JSON, tokens kept."""

from __future__ import annotations

import dataclasses
import json as _json
import logging
import os
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from nlrl.core import UserError
from nlrl.core.logs import formatter
from nlrl.core.logs import setup_logging as _to_stream

CACHE_DIR = "cache"
_LOG_FILE = "system.log"
_KEPT = 1024  # texts whose tokens are kept, per tokenizer


def setup_logging(
    log_level: str | int = "INFO",
    *,
    folder: str | Path | None = CACHE_DIR,
    json: bool = False,
    stream: TextIO | None = None,
) -> logging.Logger:
    """Log to `cache/system.log` (which grows), a line a record: time - level - message. Returns the logger "nlrl".

    folder  where the file lies; None for a terminal instead (`stream`, or stderr)
    json    one JSON object a line

    Records of every logger come in, as the guide's set-up is that of the whole process; what looks like a secret is cut
    out of them. Calling it again replaces the earlier set-up. Raises UserError for a level that does not exist, or a
    file that cannot be written.
    """
    if folder is None or stream is not None:
        return _to_stream(log_level, json, stream=stream)
    path = Path(folder) / _LOG_FILE
    logger = _to_stream(log_level, json)  # checks the level, and removes an earlier set-up
    for handler in [h for h in logger.handlers if getattr(h, "nlrl", False)]:
        logger.removeHandler(handler)
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "nlrl", False)]:
        root.removeHandler(old)
        old.close()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))  # for its owner alone
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}. Choose another folder.") from error
    handler.nlrl = True  # type: ignore[attr-defined]  # ours to replace
    handler.setFormatter(formatter(json, dated=True))
    root.addHandler(handler)
    root.setLevel(logger.level)
    if logger.level > logging.DEBUG:  # a line for each request to an engine says nothing that people look for
        logging.getLogger("httpx").setLevel(logging.WARNING)
    logger.propagate = True
    return logger


def save_results_to_json(results: Any, filepath: str | Path) -> Path:
    """Write results (dataclasses, mappings, lists ...) as JSON: the whole file or, on any failure, the old one.

    Raises UserError if the place cannot be written.
    """
    path = Path(filepath)
    text = _json.dumps(results, default=_plain, indent=4, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text + "\n")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}. Choose another path.") from error
    return path


_tokens: weakref.WeakKeyDictionary[Any, OrderedDict[str, Any]] = weakref.WeakKeyDictionary()


def tokenize_with_cache(tokenizer: Any, text: str) -> Any:
    """What `tokenizer(text, return_tensors="pt")` gives, kept for the last thousand texts of each tokenizer.

    The same object is handed out again: do not change it in place. Raises UserError for what is no tokenizer.
    """
    if not callable(tokenizer):
        raise UserError(f"{type(tokenizer).__name__} is no tokenizer. nlrl models count their own: give a tokenizer.")
    try:
        kept = _tokens.setdefault(tokenizer, OrderedDict())
    except TypeError:  # no weak reference to it, or no hash: nothing can be kept for it
        return tokenizer(text, return_tensors="pt")
    if text not in kept:
        kept[text] = tokenizer(text, return_tensors="pt")
        if len(kept) > _KEPT:
            kept.popitem(last=False)
    kept.move_to_end(text)
    return kept[text]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
