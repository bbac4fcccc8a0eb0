"""The second door: the OpenAI API over HTTP, in front of any model, with a strategy and a budget.

Names are loaded when they are first used; all but the keys and the records need the extra `serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nlrl.core import MissingExtra
from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.server.api.catalog import Catalog, public_id
    from nlrl.server.app import DEFAULT_LIMITS, App, Settings
    from nlrl.server.http.keys import SCOPES, Key, KeyStore
    from nlrl.server.http.uvicorn_server import listen, serving
    from nlrl.server.observe.journal import Journal, Texts
    from nlrl.server.observe.records import Record, Records
    from nlrl.server.observe.telemetry import Telemetry, open_telemetry

_load, __dir__ = lazy(__name__, {
    "nlrl.server.app": ("DEFAULT_LIMITS", "App", "Settings"),
    "nlrl.server.api.catalog": ("Catalog", "public_id"),
    "nlrl.server.observe.journal": ("Journal", "Texts"),
    "nlrl.server.http.keys": ("SCOPES", "Key", "KeyStore"),
    "nlrl.server.observe.records": ("Record", "Records"),
    "nlrl.server.observe.telemetry": ("Telemetry", "open_telemetry"),
    "nlrl.server.http.uvicorn_server": ("listen", "serving"),
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
