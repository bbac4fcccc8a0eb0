"""The server under hostile and random requests: schemathesis on its OpenAPI document, and attacks made by hand.

    python benchmarks/server_fuzz.py
    python benchmarks/server_fuzz.py --quick

`nlrl serve` as a process of its own, before an upstream on 127.0.0.1 that answers at once. Requests are made by
schemathesis from /openapi.json (which needs an environment of its own, .venv-fuzz: it is made with pip where it is
missing; without a network that part is left out, and said so), by damaging valid ones byte by byte, by putting odd
values into fields, and by hand: smuggling, slow and endless ones, large and deep ones.

Marks: no 500 ever, and no other 5xx while the upstream is well; answers conform to the document; every attack is
answered by the 4xx it deserves in OpenAI's shape, or cut off; memory stays bounded; the server answers to the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from equipment.counting_upstream import CountingUpstream
from equipment.hostile import CHAT, FINE, attacks, exchange, mutated, odd_body, sized, status
from equipment.marks import Marks
from equipment.served import Served, nlrl_serve
from nlrl.server import KeyStore
from nlrl.testing.stub_server import StubServer

ROOT = Path(__file__).resolve().parent.parent
MOST_BODY = 10 << 20
BUDGET = "tokens=3000,calls=8,seconds=10"  # what random strategies may spend
PEAK_MB = 800  # of the process: eight bodies of 10 MB at once, read, copied and sent on
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method,allow_header_conformance,response_headers_conformance,ignored_auth"
)


class ServerNotes(Marks):
    """After each kind of attack the server must still be there."""

    def __init__(self, server: Served, quick: bool) -> None:
        super().__init__("server_fuzz", quick)
        self.server = server

    def line(self, name: str, ok: bool, seen: str, exact: bool = True) -> bool:
        alive = httpx.get(self.server.url + "/health", timeout=60, verify=False).status_code == 200
        return super().line(name, ok and alive, seen if alive else f"{seen}; THE SERVER IS GONE", exact)


@contextlib.contextmanager
def fast_upstream() -> Iterator[str]:
    """One that does not look at prompts; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).parent / "equipment" / "fast_upstream.py"
    process = subprocess.Popen([sys.executable, str(script), str(port), "0"])
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def program() -> tuple[str, str]:
    """(the schemathesis to run, "") or ("", why there is none)."""
    own = ROOT / ".venv-fuzz"
    found = own / "bin" / "schemathesis"
    if not found.exists():
        print("Making the environment .venv-fuzz (once) ...", flush=True)
        python = str(own / "bin" / "python")
        locked = ["--require-hashes", "--no-deps", "-r", str(ROOT / "scripts" / "locks" / "fuzz.txt")]
        for command in (
            [sys.executable, "-m", "venv", str(own)],
            [python, "-m", "pip", "install", "--quiet", *locked],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return "", f"{' '.join(command[1:])}: {done.stderr.strip()[-200:]}"
    return str(found), ""


def by_document(notes: ServerNotes, tool: str, upstream: str, examples: int, seconds: int | None) -> int:
    """Cases that schemathesis makes of the document, asked of a server with keys."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.sqlite"
        with KeyStore(keys) as store:
            secret = store.create("fuzz", scopes=("admin",))[1]
        options = ("--model", f"up={upstream}/v1#up", "--budget", BUDGET, "--api-key-file", str(keys), "--quiet")
        with nlrl_serve(*options) as server:
            header = {"Authorization": f"Bearer {secret}"}
            file, report = Path(folder) / "openapi.json", Path(folder) / "report.json"
            file.write_text(json.dumps(narrowed(server, header)))
            command = [tool, "run", str(file), "--url", server.url, "--checks", CHECKS, "--seed", "1", "--no-shrink",
                       "-n", str(examples), "--continue-on-failure", "--suppress-health-check", "all",
                       "-H", f"Authorization: Bearer {secret}", "--request-timeout", "60",
                       "--report", "json", "--report-json-path", str(report)]  # fmt: skip
            command += ["--max-time", str(seconds)] if seconds else []
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            bugs = server.log().count("Traceback")
        if done.returncode not in (0, 1) or not report.exists():
            notes.line("schemathesis", False, (done.stdout + done.stderr)[-300:])
            return 0
        told = json.loads(report.read_text() or "{}")
    cases, operations = told["test_cases"]["generated"], told["operations"]
    wrong = [f"{f['title']}: {f['count']} ({', '.join(f['operations'][:3])})" for f in told["failures"]]
    seen = f"{cases} cases of {operations['tested']} operations; {wrong or 'no failures'}; tracebacks: {bugs}"
    whole = seconds is not None or operations["tested"] == operations["total"]
    notes.line("schemathesis", not wrong and not bugs and whole, seen)
    return cases


def narrowed(server: Served, header: dict[str, str]) -> dict[str, Any]:
    """The document with names that exist in place of any text, so that cases get past the 404."""
    with httpx.Client(base_url=server.url, headers=header, timeout=60, verify=False) as http:
        ids = [http.post(CHAT, json=FINE).headers["x-request-id"] for _ in range(3)]
        found = http.get("/openapi.json").json()
    models = {"enum": ["up", *(f"{strategy}@up" for strategy in ("self_consistency(n=2)", "best_of_n(n=2)", "auto"))]}
    for operations in found["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in ("id", "model"):
                    parameter["schema"] = models if parameter["name"] == "model" else {"enum": ids}
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "model" in schema.get("properties", {}):
                schema["properties"]["model"] = models
    return found


def by_hand(notes: ServerNotes) -> int:
    """The attacks, one after the other."""
    wrong, cut = [], 0
    cases = list(attacks(MOST_BODY))
    for name, sent, expected in cases:
        got = exchange(notes.server.address, sent)
        code = status(got)
        if not got and 200 not in expected:
            cut += 1  # refused while it was still being sent: the reset may overtake the answer
        elif code not in expected or (code >= 400 and b'{"error": {"message": ' not in got):
            wrong.append(f"{name}: {got[:60]!r}")
    seen = f"{len(cases)} attacks, {cut} cut off before their answer; not as expected: {wrong or 'none'}"
    notes.line("attacks made by hand", not wrong, seen)
    return len(cases)


def damaged(notes: ServerNotes, cases: int) -> int:
    """Valid requests with some bytes changed."""
    dice, codes, wrong = random.Random(7), Counter[int](), []
    for _ in range(cases):
        sent = mutated(dice)
        code = status(exchange(notes.server.address, sent, 1.0))  # one that waits for bytes that never come: 0
        codes[code] += 1
        if code >= 500:
            wrong.append(sent[:200])
    seen = f"{cases}: {dict(sorted(codes.items()))} (0: closed, or it waits for more); 5xx: {wrong[:2] or 'none'}"
    notes.line("requests damaged at random", not wrong, seen)
    return cases


def odd_values(notes: ServerNotes, cases: int) -> int:
    """Valid JSON with odd values: 200, or a 4xx in OpenAI's shape."""
    dice, codes, wrong = random.Random(11), Counter[int](), []
    with httpx.Client(base_url=notes.server.url, timeout=60, verify=False) as http:
        for _ in range(cases):
            raw = json.dumps(odd_body(dice)).encode()
            got = http.post(CHAT, content=raw, headers={"Content-Type": "application/json"})
            codes[got.status_code] += 1
            error = got.json().get("error") if got.status_code != 200 else None
            fine = got.status_code == 200 or (error and set(error) == {"message", "type", "param", "code"})
            if not fine or got.status_code >= 500:
                wrong.append((raw[:300], got.status_code, got.text[:200]))
    seen = f"{cases}: {dict(sorted(codes.items()))}; wrong: {wrong[:3] or 'none'}"
    notes.line("odd values in fields", not wrong, seen)
    return cases


def large(notes: ServerNotes, upstream: str) -> None:
    """Prompts of nearly 10 MB, eight at a time: answered, and their memory is given back."""
    body = {**FINE, "messages": [{"role": "user", "content": "word " * ((MOST_BODY - 1000) // 5)}]}
    raws = [json.dumps({**body, "model": model}).encode() for model in ("up", "self_consistency(n=2)@up")]
    codes = Counter[int]()
    with nlrl_serve("--model", f"up={upstream}#up", "--budget", "tokens=100M,calls=8", "--quiet") as server:
        before = server.resident_mb()

        def ask(raw: bytes) -> None:
            codes[status(exchange(server.address, sized(raw), 120))] += 1

        threads = [threading.Thread(target=ask, args=(raws[at % 2],)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after, peak = server.resident_mb(), server.peak_mb()
    seen = f"8 at once: {dict(codes)}; {before:.0f} MB before, {after:.0f} after, {peak:.0f} at most"
    notes.line("prompts of 10 MB", codes == {200: 8} and peak < PEAK_MB, seen, exact=False)


def slow(notes: ServerNotes, connections: int, wait_s: float) -> None:
    """Many clients that send a byte now and then: others are served, and the slow ones are told to go."""
    before = notes.server.resident_mb()
    plugs = [socket.create_connection(notes.server.address, timeout=10) for _ in range(connections)]
    began, took, dropped = time.monotonic(), [], 0
    for plug in plugs:
        plug.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    while time.monotonic() - began < wait_s:
        for plug in plugs:
            with contextlib.suppress(OSError):
                plug.sendall(b"a")
        at = time.monotonic()
        httpx.post(notes.server.url + CHAT, json=FINE, timeout=60, verify=False).raise_for_status()
        took.append(time.monotonic() - at)
        time.sleep(1)
    for plug in plugs:
        plug.settimeout(0.05)
        with contextlib.suppress(OSError):
            dropped += status(plug.recv(4096)) == 408
        plug.close()
    expected = connections if wait_s > 35 else 0
    seen = (
        f"{connections} connections for {wait_s:.0f} s; others {max(took) * 1e3:.0f} ms at most; {dropped} told 408; "
    )
    seen += f"{notes.server.resident_mb() - before:+.0f} MB"
    notes.line("slow headers", dropped >= expected * 0.99, seen, exact=False)


def abandoned(notes: ServerNotes, connections: int) -> None:
    """Bodies that are promised and not sent, and connections that say nothing."""
    before = notes.server.resident_mb()
    promise = sized(b"x" * 1000).replace(b"Content-Length: 1000", b"Content-Length: 10000000")
    plugs = [socket.create_connection(notes.server.address, timeout=10) for _ in range(connections)]
    for at, plug in enumerate(plugs):
        if at % 2:
            plug.sendall(promise)
    began = time.monotonic()
    code = httpx.post(notes.server.url + CHAT, json=FINE, timeout=60, verify=False).status_code
    took = time.monotonic() - began
    grown = notes.server.resident_mb() - before
    for plug in plugs:
        plug.close()
    seen = f"{connections} connections; another request: {code} after {took * 1e3:.0f} ms; {grown:+.0f} MB"
    notes.line("bodies promised and not sent", code == 200 and grown < 100, seen, exact=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    args = parser.parse_args()
    tested = 0
    tool, missing = program()
    with StubServer() as stub, nlrl_serve("--model", f"up={stub.base_url}#up", "--budget", BUDGET) as server:
        notes = ServerNotes(server, args.quick)
        print("What was seen:")
        tested += by_hand(notes)
        tested += odd_values(notes, 200 if args.quick else 5_000)
        tested += damaged(notes, 200 if args.quick else 5_000)
        if tool:
            with CountingUpstream() as whole:
                tested += by_document(notes, tool, whole.url, 5 if args.quick else 100, 8 if args.quick else None)
        else:
            print(f"!! SKIPPED: schemathesis: {missing}")
        slow(notes, 50 if args.quick else 500, 3 if args.quick else 40)
        abandoned(notes, 100 if args.quick else 500)
        with fast_upstream() as upstream:
            large(notes, upstream)
        log = server.log()
        bugs = log.count("Traceback")
        at = log.find("Traceback")
        notes.line("no traceback in the log", not bugs, f"{bugs} of them {log[at : at + 1500] if bugs else ''}")
    return notes.result(requests=tested, skipped=missing or None)


if __name__ == "__main__":
    sys.exit(main())
