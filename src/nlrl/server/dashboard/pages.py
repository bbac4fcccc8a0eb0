"""The files of the dashboard, and the one page for strangers.

asset("dashboard.css")        # (b"...", b"text/css; charset=utf-8")
login_page()                  # (b"<!doctype html>...", b"default-src 'none'; script-src 'sha256-...'; ...")
"""

from __future__ import annotations

import functools
import hashlib
import re
from base64 import b64encode
from importlib.resources import files

from nlrl.server.http.errors import ApiError

PAGE = b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HTML = b"text/html; charset=utf-8"
_KINDS = {
    "css": b"text/css; charset=utf-8",
    "html": HTML,
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
_LINK = re.compile(rb'<link rel="stylesheet" href="/?assets/([\w.]+)">')
_SCRIPT = re.compile(rb'<script type="module" src="/?assets/([\w.]+)"></script>')
_ICON = re.compile(rb'"/?assets/([\w.]+\.svg)"')


@functools.cache
def _all() -> dict[str, bytes]:
    return {
        file.name: file.read_bytes() for file in (files("nlrl.server.dashboard") / "assets").iterdir() if file.is_file()
    }


def asset(name: str) -> tuple[bytes, bytes]:
    """A file and its content type. Raises ApiError 404."""
    kind = _KINDS.get(name.rpartition(".")[2])
    if kind is None or name not in _all():
        raise ApiError(404, f"There is no file {name[:80]!r}.", code="unknown_route")
    return _all()[name], kind


@functools.cache
def login_page() -> tuple[bytes, bytes]:
    """The page with its style, script and pictures in it, and the policy that lets nothing else run.

    Strangers are given this one answer, and no other file."""
    page = _LINK.sub(lambda m: b"<style>%s</style>" % _named(m), asset("login.html")[0])
    page = _SCRIPT.sub(lambda m: b'<script type="module">%s</script>' % _named(m), page)
    page = _ICON.sub(lambda m: b'"data:image/svg+xml;base64,%s"' % b64encode(_named(m)), page)
    policy = b"default-src 'none'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    policy += b"frame-ancestors 'none'; style-src %s; script-src %s" % (
        _hashes(rb"<style>(.*?)</style>", page),
        _hashes(rb'<script type="module">(.*?)</script>', page),
    )
    return page, policy


def _named(found: re.Match[bytes]) -> bytes:
    return asset(found[1].decode())[0]


def _hashes(pattern: bytes, page: bytes) -> bytes:
    texts = re.findall(pattern, page, re.DOTALL)
    return b" ".join(b"'sha256-%s'" % b64encode(hashlib.sha256(text).digest()) for text in texts) or b"'none'"
