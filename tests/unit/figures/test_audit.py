"""The audit of dependencies: only what was looked up may be called clean. The real pip-audit, before a stub service."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

import audit

VULNERABLE = {
    "vulns": [{
        "id": "PYSEC-2099-1", "summary": "s", "details": "d", "aliases": ["CVE-2099-1"],
        "affected": [{
            "package": {"name": "second", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}],
        }],
    }]
}  # fmt: skip


@contextmanager
def service(answers: dict[str, dict]) -> Iterator[str]:
    """OSV's query API: the answer by package name, {} (nothing known) for any other."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answers.get(asked["package"]["name"], {})).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which two packages are installed."""
    for name, version in (("first", "1.0"), ("second", "2.0")):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return tmp_path


def look_up(url: str, installed: Path) -> int:
    options = ("--vulnerability-service", "osv", "--osv-url", url, "--path", str(installed), "--timeout", "5")
    return audit.look_up(sys.executable, options)


def test_all_looked_up_and_nothing_known(installed, capsys):
    with service({}) as url:
        assert look_up(url, installed) == 0
    assert "2 of 2 packages were looked up; 0 vulnerabilities" in capsys.readouterr().out


def test_a_vulnerability_fails_with_its_name(installed, capsys):
    with service({"second": VULNERABLE}) as url:
        assert look_up(url, installed) == audit.FOUND
    said = capsys.readouterr().out
    assert "VULNERABLE  second 2.0: PYSEC-2099-1 (CVE-2099-1), mended in 2.1" in said and "first" not in said


def test_a_service_out_of_reach_is_no_clean_bill(installed, capsys):
    with service({}) as url:
        pass  # its port is closed from here on
    assert look_up(url, installed) == audit.NOT_ALL
    said = capsys.readouterr().out
    assert said.startswith("NOT AUDITED") and "./test --audit again" in said


def test_what_the_service_does_not_know_is_not_clean():
    rows = [{"name": "one", "skip_reason": "Dependency not found on PyPI"}]
    assert audit.read(json.dumps({"dependencies": rows})).code == audit.NOT_ALL
    rows.append({"name": "two", "version": "1", "vulns": []})
    assert audit.read(json.dumps({"dependencies": rows})).code == audit.NOT_ALL
    assert audit.read(json.dumps({"dependencies": rows[1:]})).code == 0
    assert audit.read(json.dumps({"dependencies": []})).code == audit.NOT_ALL
