"""The second door: the OpenAI API over HTTP, in front of any model, with a strategy and a budget.

Names are loaded when they are first used; all but the keys and the records need the extra `serve`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nlrl.core import MissingExtra

if TYPE_CHECKING:
    from nlrl.server.app import DEFAULT_LIMITS, App, Settings
    from nlrl.server.catalog import Catalog, public_id
    from nlrl.server.journal import Journal, Texts
    from nlrl.server.keys import SCOPES, Key, KeyStore
    from nlrl.server.records import Record, Records
    from nlrl.server.telemetry import Telemetry, open_telemetry
    from nlrl.server.uvicorn_server import listen, serving

_HOMES = {
    "app": ("DEFAULT_LIMITS", "App", "Settings"),
    "catalog": ("Catalog", "public_id"),
    "journal": ("Journal", "Texts"),
    "keys": ("SCOPES", "Key", "KeyStore"),
    "records": ("Record", "Records"),
    "telemetry": ("Telemetry", "open_telemetry"),
    "uvicorn_server": ("listen", "serving"),
}

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
    for home, names in _HOMES.items():
        if name in names:
            try:
                return getattr(import_module(f"nlrl.server.{home}"), name)
            except ModuleNotFoundError as error:
                if error.name in ("aiohttp", "uvicorn", "httptools"):
                    raise MissingExtra(error.name, "serve", "The server") from error
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
