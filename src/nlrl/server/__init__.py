"""The second door: the OpenAI API over HTTP, in front of any model, with a strategy and a budget.

Names are loaded when they are first used; all but the keys and the records need the extra `serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nlrl.core import MissingExtra
from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.server.app import DEFAULT_LIMITS, App, Settings
    from nlrl.server.catalog import Catalog, public_id
    from nlrl.server.journal import Journal, Texts
    from nlrl.server.keys import SCOPES, Key, KeyStore
    from nlrl.server.records import Record, Records
    from nlrl.server.telemetry import Telemetry, open_telemetry
    from nlrl.server.uvicorn_server import listen, serving

_load, __dir__ = lazy(__name__, {
    "nlrl.server.app": ("DEFAULT_LIMITS", "App", "Settings"),
    "nlrl.server.catalog": ("Catalog", "public_id"),
    "nlrl.server.journal": ("Journal", "Texts"),
    "nlrl.server.keys": ("SCOPES", "Key", "KeyStore"),
    "nlrl.server.records": ("Record", "Records"),
    "nlrl.server.telemetry": ("Telemetry", "open_telemetry"),
    "nlrl.server.uvicorn_server": ("listen", "serving"),
})  # fmt: skip

__all__ = [
    "App",
    "Catalog",
    "DEFAULT_LIMITS",
    "Journal",
    "Key",
    "KeyStore",
    "Record",
    "Records",
    "SCOPES",
    "Settings",
    "Telemetry",
    "Texts",
    "listen",
    "open_telemetry",
    "public_id",
    "serving",
]


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name in ("aiohttp", "uvicorn", "httptools"):
            raise MissingExtra(error.name, "serve", "The server") from error
        raise
