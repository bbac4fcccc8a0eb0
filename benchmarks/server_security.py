"""Keys: who gets in, how soon one who may not is out, and whether a key can be read anywhere.

    python benchmarks/server_security.py
    python benchmarks/server_security.py --quick

`nlrl serve` as a process of its own, with keys, before an upstream that echoes our key wherever an answer has room.

Marks: without a key every route answers 401 but /health (and /login, which only takes one); a revoked key stops within
a second, and so does what it has running; how much of a wrong secret is right cannot be told by the time its refusal
takes; no key, ours or a client's, is in any file, log, page, metric or answer; names and origins of others are refused.
"""

from __future__ import annotations

import argparse
import json
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from equipment.echo_upstream import WAYS, EchoUpstream
from equipment.marks import Marks
from equipment.served import Served, nlrl_serve
from equipment.timing import chance_above, shown, time_in_turns
from nlrl.server import KeyStore
from nlrl.server import app as routes
from nlrl.testing.stub_server import Manners, StubServer

UPSTREAM_KEY = "Zebra7Quilt9Mango4Pylon2"  # does not look like a key, so that only knowing it hides it
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATHS = {"/v1/models/": "/v1/models/up", "/assets/": "/assets/dashboard.css", "/api/requests/": "/api/requests/req_0",
         "/api/requests//feedback": "/api/requests/req_0/feedback", "/api/runs/": "/api/runs/first"}  # fmt: skip
UNKNOWN = ("/v1/nowhere", "/admin", "/v1/chat/completions/", "/V1/models", "//v1/models", "/v1/models/../models",
           "/%2e%2e/keys", "/assets/../keys.sqlite", "/health/", "/metrics?x=1", "/.env", "/api")  # fmt: skip
SAME = 0.05  # of an even chance, within which two times cannot be told apart


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def chat(model: str, said: str = "ok", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": said}], "max_tokens": 200, **fields}


# --- who gets in


def walk(notes: Marks, http: httpx.Client, headers: dict[str, dict[str, str]]) -> None:
    """Every route with every method, and some that are not there."""
    known = [PATHS.get(route, route) for route in {**routes._ALL, **routes._WINDOW}]
    for name, sent in headers.items():
        answers: dict[str, int] = {}
        for path in (*known, *UNKNOWN):
            for method in METHODS:
                body = {} if method in ("GET", "HEAD") else {"json": chat("up")}
                answers[f"{method} {path}"] = http.request(method, path, headers=sent, **body).status_code
        opened = {what: code for what, code in answers.items() if code != 401}
        expected = {"GET /health": 200, "POST /login": 400}
        notes.line(f"routes and methods, {name}", opened == expected, f"{len(answers)}; not 401: {opened}")


def scopes(notes: Marks, http: httpx.Client, keys: dict[str, str]) -> None:
    mine = http.post("/v1/chat/completions", json=chat("echo"), headers=bearer(keys["alice"])).headers["x-request-id"]
    seen = {}
    for name in ("alice", "bob", "read", "admin"):
        ids = [r["id"] for r in http.get("/api/requests", headers=bearer(keys[name])).json()["requests"]]
        one = http.get(f"/api/requests/{mine}", headers=bearer(keys[name])).status_code
        thumb = http.post(f"/api/requests/{mine}/feedback", json={"thumb": 1}, headers=bearer(keys[name])).status_code
        seen[name] = (mine in ids, one, thumb)
    others = (False, 404, 404)
    fine = seen == {"alice": (True, 200, 200), "bob": others, "read": others, "admin": (True, 200, 200)}
    notes.line("a key sees its own requests, admin all", fine, f"{seen}")
    asked = http.post("/v1/chat/completions", json=chat("echo"), headers=bearer(keys["read"])).status_code
    notes.line("a key that may only read may not ask", asked == 403, f"{asked}")


def revoked(notes: Marks, server: Served, store: KeyStore) -> None:
    asked = {
        "a stream, passed through": ("POST", "/v1/chat/completions", chat("up", stream=True)),
        "a stream of a vote": ("POST", "/v1/chat/completions", chat("self_consistency(n=4)@up", stream=True)),
        "an answer not streamed": ("POST", "/v1/chat/completions", chat("best_of_n(n=4)@up")),
        "the dashboard's events": ("GET", "/api/events", None),
    }
    for name, (method, path, body) in asked.items():
        key, secret = store.create(f"short-lived, {name}")
        ended: list[float] = []

        def run(how: Any = (method, path, body), secret: str = secret, ended: list[float] = ended) -> None:
            method, path, body = how
            with httpx.Client(base_url=server.url, timeout=60, verify=False) as http:
                http.request(method, path, json=body, headers=bearer(secret))
                ended.append(time.monotonic())

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(1.0)
        running = not ended
        store.revoke(key.id)
        began = time.monotonic()
        refused = httpx.get(server.url + "/v1/models", headers=bearer(secret), verify=False).status_code
        at_once = time.monotonic() - began
        thread.join(30)
        took = ended[0] - began if ended else 30.0
        seen = f"ended after {took * 1e3:.0f} ms; a new request {refused} after {at_once * 1e3:.0f} ms"
        notes.line(f"revoked: {name}", running and took <= 1.0 and refused == 401, seen, exact=False)


def cookies(notes: Marks, http: httpx.Client, store: KeyStore) -> None:
    key, secret = store.create("a browser", scopes=("admin",))
    plain = httpx.Client(base_url=http.base_url, verify=False)
    got = plain.post("/login", json={"key": secret})
    cookie = got.headers.get("set-cookie", "")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    fine = got.status_code == 204 and {"httponly", "samesite=strict"} <= flags and secret not in cookie
    notes.line("the cookie of /login", fine, f"{got.status_code}, {sorted(flags)}")
    codes = {path: plain.get(path).status_code for path in ("/", "/api/overview", "/v1/models", "/metrics")}
    codes["chat"] = plain.post("/v1/chat/completions", json=chat("echo")).status_code
    expected = {"/": 200, "/api/overview": 200, "/v1/models": 401, "/metrics": 401, "chat": 401}
    notes.line("what the cookie opens", codes == expected, f"{codes}")
    value = cookie.partition(";")[0]
    stale = httpx.get(f"{http.base_url}/api/overview", headers={"Cookie": f"{value}A"}, verify=False).status_code
    store.revoke(key.id)
    after = plain.get("/api/overview").status_code
    notes.line("a forged cookie; a revoked key's", (stale, after) == (401, 401), f"{stale}, {after}")
    wrong = [plain.post("/login", json=body).status_code for body in ({"key": secret}, {"key": 5}, {}, {"key": ""})]
    notes.line("/login with what is no key", all(code in (400, 401) for code in wrong), f"{wrong}")
    plain.close()


# --- how long a refusal takes


def timing(notes: Marks, store: KeyStore, rounds: int) -> None:
    _, right = store.create("timed")
    head, body = right[:14], right[14:]  # "nlrl_", eight characters of id, "_"
    other = {True: "A", False: "B"}
    first, last = "wrong from its first character", "wrong in its last character"
    kinds = {
        "no such id": f"nlrl_00000000_{body}",
        first: head + other[body[0] != "A"] + body[1:],
        last: head + body[:-1] + other[body[-1] != "A"],
        "right": right,
    }
    calls = {name: (lambda secret=secret: store.find(secret)) for name, secret in kinds.items()}
    took = time_in_turns(calls, rounds)
    print(f"  find(), {rounds} calls of each kind, in random order; microseconds:")
    for name, values in took.items():
        print(f"      {name:32} {shown(values)}")
    share = {name: chance_above(took[first], values) for name, values in took.items() if name != first}
    seen = ", ".join(f"{name}: {value:.3f}" for name, value in share.items())
    seen = f"chance to take longer than one {first}: {seen}"
    notes.line("time does not tell how much is right", abs(share[last] - 0.5) <= SAME, seen, exact=False)


# --- where a key could be read


def leaks(notes: Marks, folder: Path, secrets: dict[str, str], options: list[str], form: str) -> None:
    """Ask in every way that could make a key show, and look everywhere."""
    records = folder / f"records-{form}.sqlite"
    said: list[bytes] = []
    more = ["--records", str(records), "--texts", "keep", "--log-format", form]
    with nlrl_serve(*options, *more, OPENAI_API_KEY=UPSTREAM_KEY) as server:
        with httpx.Client(base_url=server.url, timeout=60, verify=False) as http:

            def ask(method: str, path: str, **how: Any) -> None:
                got = http.request(method, path, **how)
                said.append(str(got.headers).encode() + got.content)

            good = bearer(secrets["alice"])
            for way in ("ok", *WAYS):
                for model in ("echo", "self_consistency(n=2)@echo", "best_of_n(n=1)@echo"):
                    for stream in (False, True):
                        limited = {"nlrl": {"budget": {"seconds": 0.5}}} if "@" in model else {}
                        asked = chat(model, way, stream=stream, **limited)
                        ask("POST", "/v1/chat/completions", headers=good, json=asked)
            for secret in (s for who, s in secrets.items() if who != "upstream"):  # a key in the wrong place
                ask("POST", "/v1/chat/completions", headers=good, json=chat(secret))
                ask("POST", "/v1/chat/completions", headers=good, json=chat(f"{secret}@echo"))
                ask("POST", "/v1/chat/completions", headers=good, json=chat("echo", nlrl={"strategy": secret}))
                ask("GET", f"/v1/models/{secret}", headers=good)
                ask("GET", f"/{secret}?api_key={secret}", headers=good)
                ask("GET", f"/api/requests/{secret}", headers=good)
                ask("GET", f"/assets/{secret}", headers=good)
                ask("GET", "/v1/models", headers={"Authorization": f"Basic {secret}"})
                ask("POST", "/login", json={"key": secret, "next": secret})
                ask("POST", "/login", json={"key": secret + "x"})
            admin = bearer(secrets["admin"])
            asked = [r["id"] for r in http.get("/api/requests?limit=500", headers=admin).json()["requests"]]
            pages = ("/", "/metrics", "/openapi.json", "/v1/models", "/api/overview", "/api/spend", "/api/runs",
                     "/api/requests?limit=500", *(f"/api/requests/{id}" for id in asked))  # fmt: skip
            for path in pages:
                ask("GET", path, headers=admin)
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.is_file()}
        log = server.log().encode()
    places = {"answers": b"\n".join(said), "log": log, **files}
    found = {
        place: names
        for place, raw in places.items()
        if (names := [name for name, secret in secrets.items() if secret.encode() in raw])
    }
    total = sum(map(len, places.values()))
    seen = f"{len(said)} answers, {len(files)} files, log: {total:,} bytes; found: {found or 'nothing'}"
    notes.line(f"keys are readable nowhere, log as {form}", not found, seen)
    wide = {name: oct(mode) for name, mode in modes.items() if mode & 0o077}
    notes.line(f"files are their owner's alone, log as {form}", not wide, f"{wide or sorted(modes)}")


# --- pages of others


def foreign(notes: Marks, http: httpx.Client, server: Served, keys: dict[str, str]) -> None:
    port = server.address[1]
    names = ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0")
    codes = {
        (host, path): http.get(path, headers={"Host": host, **bearer(keys["admin"])}).status_code
        for host in names
        for path in ("/", "/v1/models", "/health")
    }
    seen = f"{len(names)} names on {len(codes) // len(names)} routes: {set(codes.values())}"
    notes.line("names of others (rebinding)", set(codes.values()) == {421}, seen)
    origin = {"Origin": "https://evil.example"}
    preflight = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answers = [
        http.get("/v1/models", headers=origin | bearer(keys["alice"])),
        http.get("/api/overview", headers=origin | bearer(keys["alice"])),
        http.options("/v1/chat/completions", headers=preflight),
        http.options("/login", headers=preflight),
    ]
    named = [name for got in answers for name in got.headers if name.startswith("access-control")]
    notes.line("no other origin may read (CORS)", not named, f"{[a.status_code for a in answers]}, headers: {named}")
    raw = json.dumps(chat("echo")).encode()
    simple = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    got = [http.post("/v1/chat/completions", content=raw, headers={"Content-Type": kind, **bearer(keys["alice"])})
           for kind in simple]  # fmt: skip
    got += [http.post("/login", content=b"{}", headers={"Content-Type": kind}) for kind in simple]
    seen = [one.status_code for one in got]
    notes.line("what a page may post unasked (CSRF)", set(seen) == {415}, f"{seen}")


def loopback(notes: Marks, server: Served) -> None:
    words = ["serve", "--host", "0.0.0.0", "--port", "0", "--model", "http://127.0.0.1:9/v1#x"]
    command = [sys.executable, "-m", "nlrl.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = f"exit {done.returncode}: {done.stderr.strip()[:90]}"
    notes.line("other addresses without keys", done.returncode != 0, said)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine would use
            own = probe.getsockname()[0]
        except OSError:
            own = "127.0.0.2"
    try:
        socket.create_connection((own, server.address[1]), timeout=3).close()
        reached = True
    except OSError:
        reached = False
    seen = f"{server.url}; at {own}: {'open' if reached else 'closed'}"
    notes.line("by default only loopback is listened on", not reached, seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer timings, one form of the log")
    args = parser.parse_args()
    notes = Marks("server_security", args.quick)
    slow = Manners(token_seconds=0.1, reply=lambda asked, choice: [" word", "\n"] * 200)
    with tempfile.TemporaryDirectory() as name, StubServer(slow) as stub, EchoUpstream() as echo:
        folder = Path(name)
        with KeyStore(folder / "keys.sqlite") as store:
            wanted = {"alice": ("chat",), "bob": ("chat",), "read": ("read",), "admin": ("admin",)}
            keys = {who: store.create(who, scopes=scopes)[1] for who, scopes in wanted.items()}
            gone, dead = store.create("gone")
            store.revoke(gone.id)
            options = ["--model", f"up={stub.base_url}#up", "--model", f"echo={echo.url}/v1#echo"]
            options += ["--api-key-file", str(folder / "keys.sqlite")]
            with (
                nlrl_serve(*options, "--quiet", OPENAI_API_KEY=UPSTREAM_KEY) as server,
                httpx.Client(base_url=server.url, timeout=60, verify=False) as http,
            ):
                headers = {
                    "no key": {}, "a revoked key": bearer(dead), "a wrong key": bearer(keys["alice"] + "x"),
                    "no Bearer": {"Authorization": keys["alice"]}, "a made-up cookie": {"Cookie": "nlrl_session=x"},
                }  # fmt: skip
                print("What was seen:")
                walk(notes, http, headers)
                scopes(notes, http, keys)
                revoked(notes, server, store)
                cookies(notes, http, store)
                foreign(notes, http, server, keys)
                loopback(notes, server)
            timing(notes, store, 2_000 if args.quick else 20_000)
            secrets = {**keys, "revoked": dead, "upstream": UPSTREAM_KEY}
            for form in ("json",) if args.quick else ("text", "json"):
                leaks(notes, folder, secrets, options, form)
        sent = echo.keys == {f"Bearer {UPSTREAM_KEY}"}
        notes.line("the upstream was sent its key and no other", sent, f"{len(echo.keys)} kinds of Authorization")
    return notes.result()


if __name__ == "__main__":
    sys.exit(main())
