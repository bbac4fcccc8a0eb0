"""The window into every thought: the dashboard's pages, and the routes that they read.

    GET  /                           the page; where keys are asked for, 401 and the login page until one was shown
    GET  /assets/NAME                its style and scripts
    POST /login, /logout             a key for a cookie, and back
    GET  /api/overview, /api/requests, /api/requests/ID, /api/events, /api/spend, /api/runs, /api/runs/NAME
    POST /api/requests/ID/feedback   {"thumb": 1, "reference": "42"}: a person's judgement

A key with the scope `read` sees its own requests, `admin` all. The cookie holds a random session, never the key; it
opens these routes only, and ends with the key's revocation, after 12 hours, or with the server.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from nlrl.core.version import __version__
from nlrl.server.api.catalog import Catalog
from nlrl.server.dashboard.pages import HTML, PAGE, asset, login_page
from nlrl.server.dashboard.runs import curves_of, list_policies, list_runs
from nlrl.server.http.access import Access
from nlrl.server.http.admission import Admission
from nlrl.server.http.call import Call
from nlrl.server.http.errors import ApiError
from nlrl.server.http.keys import Key
from nlrl.server.observe.journal import Journal, summary
from nlrl.server.observe.records import Record

_SESSION_S = 12 * 3600.0
_LOOK_S = 0.5
_MOST_SESSIONS = 1000
_COOKIE = "nlrl_session"
_BODY = (16_384, 4)  # bytes, and levels, of a login or a judgement
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Viewer:
    """Who is looking. key: whose requests may be seen, None for all."""

    id: str = "-"
    name: str | None = None
    key: str | None = None
    login: bool = False
    models: tuple[str, ...] | None = None

    @property
    def admin(self) -> bool:
        """Whether everything may be seen."""
        return self.key is None


class Window:
    """The routes' handlers. runs: the folder with benchmark runs and policies to show."""

    def __init__(
        self, journal: Journal, access: Access, catalog: Catalog, admission: Admission, runs: Path | None = None
    ) -> None:
        self._journal, self._access, self._catalog, self._admission = journal, access, catalog, admission
        self._runs = runs
        self._started = time.time()
        self._sessions: dict[str, tuple[str, float]] = {}  # token -> key id, when it ends

    # --- pages

    async def page(self, call: Call) -> None:
        """The dashboard, or the way in."""
        try:
            self._viewer(call)
        except ApiError as error:
            if error.status != 401:
                raise
            page, policy = login_page()
            await call.send(page, HTML, 401, error.headers, policy=policy)
            return
        await call.send(*asset("index.html"), policy=PAGE)

    async def asset(self, call: Call) -> None:
        """A file of the pages. The login page needs none: strangers get nothing else."""
        self._viewer(call)
        await call.send(*asset(call.path.removeprefix("/assets/")), policy=PAGE)

    async def login(self, call: Call) -> None:
        """{"key": "nlrl_..."} for a cookie."""
        body = await call.json(*_BODY)
        secret = body.get("key")
        if self._access.store is None:
            raise ApiError(400, "This server asks for no keys.")
        if not isinstance(secret, str):
            raise ApiError(400, "key: Give the API key as a string.", param="key", code="invalid_value")
        key = self._access.look_up(lambda store: store.find(secret.strip()))
        if key is None:
            raise ApiError(401, "This API key is not valid.", code="invalid_api_key")
        if not key.may("read"):
            raise ApiError(403, "This API key has no 'read' scope.", code="missing_scope")
        token = secrets.token_urlsafe(32)
        self._sessions[token] = (key.id, time.time() + _SESSION_S)
        if len(self._sessions) > _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        await call.send(b"", b"", 204, ((b"set-cookie", _cookie(call, token, _SESSION_S)),))

    async def logout(self, call: Call) -> None:
        """The cookie's session ends."""
        self._viewer(call)
        self._sessions.pop(_token(call), None)
        await call.send(b"", b"", 204, ((b"set-cookie", _cookie(call, "", 0)),))

    # --- what the page reads

    async def overview(self, call: Call) -> None:
        """Who looks at what."""
        viewer = self._viewer(call)
        journal = self._journal
        await call.reply(
            {
                "version": __version__,
                "started": self._started,
                "me": {"key": viewer.id, "name": viewer.name, "admin": viewer.admin, "login": viewer.login},
                "texts": journal.texts,
                "recorded": journal.recorded,
                "models": [m for m in self._catalog.models if viewer.models is None or m in viewer.models],
                "running": self._admission.running,
                "waiting": self._admission.waiting,
                "totals": await asyncio.to_thread(journal.store.totals, viewer.key),
            }
        )

    async def requests(self, call: Call) -> None:
        """?limit=50&before=ID: requests, newest first."""
        viewer, asked = self._viewer(call), _query(call)
        limit = asked.get("limit", "50")
        if not (re.fullmatch("[1-9][0-9]{0,2}", limit) and int(limit) <= 500):
            raise ApiError(400, "limit: Give a number from 1 to 500.", param="limit", code="invalid_value")
        found = self._journal.list(limit=int(limit) + 1, before=asked.get("before"), key=viewer.key)
        names, most = self._names(), int(limit)
        await call.reply({"requests": [_named(summary(r), names) for r in found[:most]], "more": len(found) > most})

    async def request(self, call: Call) -> None:
        """One of them, whole."""
        record = self._one(call, self._viewer(call))
        await call.reply(_named(msgspec.to_builtins(record), self._names()))

    async def feedback(self, call: Call) -> None:
        """A thumb on an answer: 1, -1, or 0 to take it back; and the right answer, if it is known."""
        record = self._one(call, self._viewer(call))
        body = await call.json(*_BODY)
        thumb, reference = body.get("thumb"), body.get("reference")
        if type(thumb) is not int or thumb not in (1, -1, 0):
            raise ApiError(400, "thumb: Give 1, -1, or 0 to take it back.", param="thumb", code="invalid_value")
        if not isinstance(reference, str | None) or len(reference or "") > 10_000:
            raise ApiError(400, "reference: Give the right answer as text.", param="reference", code="invalid_value")
        labelled = self._journal.label(record.id, thumb or None, reference)
        await call.reply(_named(summary(labelled or record), self._names()))

    async def events(self, call: Call) -> None:
        """What happens, as it happens."""
        viewer = self._viewer(call)
        await call.begin_events()
        await call.event(b": these are the events of this server\n\n")
        await call.unless_gone(self._tell(call, viewer))

    async def spend(self, call: Call) -> None:
        """Who spent what."""
        viewer = self._viewer(call)
        store, keys = self._journal.store, {key.id: key for key in self._keys()}
        spent = await asyncio.to_thread(store.by_key, viewer.key)
        shown = [id for id in keys if viewer.key in (None, id)] + [id for id in spent if id not in keys]
        zero = {"requests": 0, "failed": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0}
        rows = []
        for id in shown:
            key = keys.get(id)
            known = {"limit": key.tokens, "used": key.used, "revoked": key.revoked is not None} if key else {}
            sums = msgspec.to_builtins(spent[id]) if id in spent else zero
            rows.append(
                {"key": id, "name": key.name if key else None, **sums, "limit": None, "used": None, "revoked": False}
                | known
            )
        await call.reply({"keys": rows, "days": await asyncio.to_thread(store.by_day, viewer.key)})

    async def runs(self, call: Call) -> None:
        """Benchmark runs and policies on this machine's disk; for admins."""
        runs = self._runs if self._viewer(call).admin else None
        found, policies = await asyncio.to_thread(lambda: (list_runs(runs), list_policies(runs)))
        await call.reply({"runs": found, "policies": policies})

    async def run(self, call: Call) -> None:
        """A run's curves of accuracy against tokens."""
        runs = self._runs if self._viewer(call).admin else None
        name = unquote(call.path.removeprefix("/api/runs/"))
        await call.reply(await asyncio.to_thread(curves_of, runs, name))

    # --- who looks

    def _viewer(self, call: Call) -> Viewer:
        """Raises ApiError 401, 403."""
        if self._access.store is None:
            return Viewer()
        key, login = self._by_session(call), True
        if key is None:
            key, login = self._access.key(call.headers), False
        if not key.may("read"):
            raise ApiError(403, "This API key has no 'read' scope.", code="missing_scope")
        call.key = key.id
        return Viewer(key.id, key.name, None if "admin" in key.scopes else key.id, login, key.models)

    def _by_session(self, call: Call) -> Key | None:
        id, ends = self._sessions.get(_token(call), ("", 0.0))
        if time.time() >= ends:
            return None
        return self._access.look_up(lambda store: store.get(id))

    def _one(self, call: Call, viewer: Viewer) -> Record:
        id = call.path.removeprefix("/api/requests/").removesuffix("/feedback")
        record = self._journal.get(id)
        if record is None or viewer.key not in (None, record.key):
            raise ApiError(404, f"There is no request {id[:80]!r}; it may have been deleted.", code="unknown_request")
        return record

    def _keys(self) -> list[Key]:
        return [] if self._access.store is None else self._access.look_up(lambda store: store.list())

    def _names(self) -> dict[str, str]:
        return {key.id: key.name for key in self._keys()}

    async def _tell(self, call: Call, viewer: Viewer) -> None:
        names, looked = self._names(), time.monotonic()
        async with aclosing(self._journal.feed(viewer.key)) as feed:
            async for event in feed:
                if time.monotonic() - looked > _LOOK_S:
                    self._viewer(call)  # a stream ends with its key
                    names, looked = self._names(), time.monotonic()
                if event is None:
                    await call.event(b": keep-alive\n\n")
                    continue
                name, data = event
                shown = _named(data, names) if name == "request" else data
                await call.event(b"event: " + name.encode() + b"\ndata: " + _encode(shown) + b"\n\n")
        await call.event(b"", last=True)


def _named(told: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {**told, "name": names.get(told["key"])}


def _query(call: Call) -> dict[str, str]:
    try:
        found = parse_qsl(call.query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise ApiError(400, "There are too many parameters in the address.", code="invalid_value") from None
    if len(dict(found)) < len(found):
        raise ApiError(400, "A parameter stands in the address twice.", code="invalid_value")
    return dict(found)


def _token(call: Call) -> str:
    try:
        found = SimpleCookie(call.headers.get(b"cookie", b"").decode("latin-1")).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _cookie(call: Call, token: str, seconds: float) -> bytes:
    secure = "; Secure" if call.secure else ""
    return f"{_COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds:.0f}{secure}".encode()


Handler = Callable[[Window, Call], Awaitable[None]]
