"""Whose words a copy holds: what a panel's line says of the request it was made from, so that erasure finds it.

origin_text(record)      # 'request=req_3f0c&key=3f0c9a1e&user=u-17', the `source` of a problem
read_origin(text)        # Origin(request='req_3f0c', key='3f0c9a1e', user='u-17')

It goes wherever the problem goes: into a sample bank, and from there into the records of runs. Names are quoted as in
an address, so any will do. Version 0.1 wrote the request's id alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from nlrl.server.observe.records import Record


@dataclass(frozen=True, slots=True)
class Origin:
    """The request, the id of its API key ("-" where none was asked for), and its user; None where it is not told."""

    request: str
    key: str | None = None
    user: str | None = None


def origin_text(record: Record) -> str:
    """As the source of a problem."""
    user = {} if record.user is None else {"user": record.user}
    return urlencode({"request": record.id, "key": record.key, **user})


def read_origin(text: str) -> Origin | None:
    """None where the problem came from somewhere else."""
    if text.startswith("req_"):
        return Origin(text)
    if not text.startswith("request="):
        return None
    told = dict(parse_qsl(text, keep_blank_values=True))
    return Origin(told["request"], told.get("key"), told.get("user"))
