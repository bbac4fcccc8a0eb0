"""Bytes that no honest client sends, and what must come of them: equipment of `server_fuzz`.

`attacks` are whole cases, each with the statuses that are a clear answer to it; `mutated` damages a valid request at
random; `odd_body` is valid JSON with odd values in odd places.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import socket
from collections.abc import Iterator
from typing import Any

CHAT = "/v1/chat/completions"
FINE: dict[str, Any] = {"model": "up", "messages": [{"role": "user", "content": "What is 17 + 25?"}], "max_tokens": 16}
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, "", " ", "\x00", "\u202e",
    "\ud800", "x" * 10_000, "NaN", "../../etc/passwd", "best_of_n(n=1000000000)@up", "auto(policy='/etc/passwd')@up",
    "self_consistency(n=-1)@up", "__import__('os')", "best_of_n(" * 200, "@" * 500, [], {}, [[]], [{}], [None],
    {"": ""}, {"type": "text"}, {"type": "json_schema"}, {"$ref": "#"}, [1, "a", None], "🙂" * 100, "direct@up",
    "umpire@up",
]  # fmt: skip
NAMES = (
    "model", "messages", "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "n", "stop",
    "seed", "logprobs", "top_logprobs", "stream", "stream_options", "response_format", "reasoning_effort", "tools",
    "tool_choice", "nlrl", "user", "metadata", "logit_bias", "prompt", "echo", "unheard_of", "",
)  # fmt: skip


def framed(body: bytes, *headers: str, path: str = CHAT, line: str = "") -> bytes:
    """A request with the headers given, right or wrong."""
    first = line or f"POST {path} HTTP/1.1"
    lines = [first, "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def sized(body: bytes, *headers: str, path: str = CHAT) -> bytes:
    """A request that tells its length truly."""
    return framed(body, f"Content-Length: {len(body)}", *headers, path=path)


def attacks(most_body: int) -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
    """(name, bytes, statuses that are right)."""
    told = json.dumps(FINE).encode()
    size = f"Content-Length: {len(told)}"
    hidden = b"POST /v1/chat/completions HTTP/1.1\r\nHost: evil\r\n\r\n"
    bad = (400,)
    yield "an honest request", sized(told), (200,)
    # two readers of one request
    yield "length and chunks", framed(b"0\r\n\r\n" + hidden, size, "Transfer-Encoding: chunked"), bad
    yield "chunks and length", framed(b"0\r\n\r\n" + hidden, "Transfer-Encoding: chunked", size), bad
    yield "two lengths that differ", framed(told, size, "Content-Length: 3"), bad
    yield "two lengths that agree", framed(told, size, size), bad
    yield "two lengths in one", framed(told, f"Content-Length: {len(told)}, 3"), bad
    yield "two ways of chunks", framed(b"0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), bad
    yield "chunks not last", framed(b"0\r\n\r\n", "Transfer-Encoding: chunked, identity"), bad
    yield "odd chunks", framed(b"0\r\n\r\n", "Transfer-Encoding: xchunked"), bad
    yield "tab before chunked", framed(told, "Transfer-Encoding:\tchunked", size), bad
    yield "space before the colon", framed(told, f"Content-Length : {len(told)}"), bad
    yield "a folded header", framed(told, size, "X-Long: a\r\n b"), (200, 400)
    yield "a folded length", framed(told, f"Content-Length:\r\n {len(told)}"), bad
    yield "a bare line feed", framed(told, size).replace(b"\r\n", b"\n"), (200, 400)
    yield "a carriage return in a value", framed(told, size, "X: a\rContent-Length: 3"), bad
    yield "a null in a value", framed(told, size, "X: a\x00b"), (200, 400)
    yield "a null in a name", framed(told, size, "X\x00: a"), bad
    yield "a null in the path", b"GET /health\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", bad
    yield "a length with a sign", framed(told, f"Content-Length: +{len(told)}"), bad
    yield "a negative length", framed(b"", "Content-Length: -5"), bad
    yield "a length in hex", framed(told, f"Content-Length: {hex(len(told))}"), bad
    yield "a length beyond all numbers", framed(b"", "Content-Length: " + "9" * 40), (400, 413)
    yield "a chunk with a negative size", framed(b"-1\r\nx\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), bad
    yield "a chunk beyond all numbers", framed(b"f" * 20 + b"\r\nx\r\n", "Transfer-Encoding: chunked"), (400, 413)
    yield "a chunk that lies", framed(b"3\r\nabcdef\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), bad
    yield "two hosts", framed(told, size, "Host: evil"), bad
    yield "two keys", framed(told, size, "Authorization: Bearer a", "Authorization: Bearer b"), bad
    yield "no host", b"GET /health HTTP/1.1\r\n\r\n", bad
    yield "a foreign host", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", (421,)
    target = b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "a foreign address as target", target, (200, 400, 404, 421)
    yield "CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404, 405, 421)
    yield "an upgrade", framed(told, size, "Upgrade: websocket", "Connection: Upgrade"), (200, 400)
    yield "HTTP/0.9", b"GET /\r\n\r\n", bad
    yield "HTTP/3.7", b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n", (400, 505)
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", bad
    yield "an unheard-of method", b"BREW /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 405)
    for query in ("a=1&" * 30, "limit=0005009999", "limit=-1", "limit=%00", "before=%ff%fe", "before=" + "x" * 9_000):
        yield f"?{query[:20]}", f"GET /api/requests?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), (200, 400)
    # sizes
    yield "one header of 70 kB", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", (431,)
    yield "headers without end", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 400_000, (431,)
    yield "30,000 headers", b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 30_000 + b"\r\n", (431,)
    yield "a path of 100 kB", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 414, 431)
    yield "a body too large, told", framed(b"", f"Content-Length: {most_body + 1}"), (413,)
    large = b"%x\r\n" % (most_body + 1) + b"x" * (most_body + 1)
    yield "a body too large, in chunks", framed(large, "Transfer-Encoding: chunked"), (413,)
    # bodies
    yield "no body", framed(b"", "Content-Length: 0"), bad
    yield "no type", sized(told).replace(b"Content-Type: application/json\r\n", b""), (415,)
    yield "a form", sized(told).replace(b"application/json", b"text/plain"), (415,)
    yield "packed", sized(told, "Content-Encoding: gzip"), (200, 400, 415)
    for name, body in (
        ("bad UTF-8", b'{"model": "\xff"}'),
        ("overlong UTF-8", b'{"model": "\xc0\xaf"}'),
        ("half a character", b'{"model": "\\ud800", "messages": []}'),
        ("UTF-16", '{"model": "up"}'.encode("utf-16")),
        ("a byte order mark", b"\xef\xbb\xbf" + told),
        ("a list", b"[]"),
        ("a number", b"5"),
        ("a number of 5,000 digits", b'{"model": "up", "messages": [], "seed": ' + b"9" * 5_000 + b"}"),
        ("not a number", b'{"model": "up", "messages": [], "temperature": NaN}'),
        ("half an object", told[:-10]),
        ("two objects", told + told),
        ("deep lists", b'{"model": "up", "messages": [], "x": ' + b"[" * 100 + b"]" * 100 + b"}"),
        ("very deep lists", b"[" * 1_000_000),
        ("very deep objects", b'{"a":' * 500_000),
        ("deep closed objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("a million keys", b"{" + b",".join(b'"%d":1' % i for i in range(500_000)) + b"}"),
        ("no messages", b'{"model": "up", "messages": []}'),
    ):
        yield name, sized(body), bad


def mutated(dice: random.Random) -> bytes:
    """A valid request with a few bytes changed, moved, doubled or cut off."""
    data = bytearray(sized(json.dumps(FINE).encode()))
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data))
        match dice.randrange(5):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                del data[at : at + dice.randint(1, 20)]
            case 2:
                data[at:at] = dice.randbytes(dice.randint(1, 20))
            case 3:
                data[at:at] = data[at : at + dice.randint(1, 60)]
            case 4:
                data[at] ^= 1 << dice.randrange(8)
    return bytes(data)


def odd_body(dice: random.Random) -> dict[str, Any]:
    """A request of which some fields hold what they should not."""
    body = copy.deepcopy(FINE)
    for _ in range(dice.randint(1, 3)):
        place: Any = body
        if dice.random() < 0.3 and isinstance(body.get("messages"), list) and body["messages"]:
            place = body["messages"][0] if isinstance(body["messages"][0], dict) else body
        name = dice.choice(("role", "content", "tool_calls", "name") if place is not body else NAMES)
        place[name] = copy.deepcopy(dice.choice(ODD))
    return body


def exchange(address: tuple[str, int], sent: bytes, seconds: float = 15.0) -> bytes:
    """The first answer that comes back, as far as it does; b"" for a closed connection."""
    got = b""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=seconds) as plug:
        with contextlib.suppress(OSError):  # refused while it was still being sent: the answer may be there already
            plug.sendall(sent)
        while not _whole(got) and (part := plug.recv(65536)):
            got += part
    return got


def _whole(got: bytes) -> bool:
    head, end, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and (length is None or len(body) >= int(length[1]))


def status(got: bytes) -> int:
    """0 for no answer."""
    first = got.split(b" ", 2)
    return int(first[1]) if len(first) > 2 and first[0].startswith(b"HTTP/") and first[1].isdigit() else 0
