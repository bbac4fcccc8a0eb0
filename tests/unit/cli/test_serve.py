"""`nlrl serve` and `nlrl keys`: who may listen where, what models are called, and keys made, listed and revoked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from nlrl.cli.keys import keys
from nlrl.cli.serve import check_open, hosts_of, is_loopback, open_models, serve
from nlrl.core import UnknownName, UserError
from nlrl.server import KeyStore


def test_only_this_machine_may_come_without_a_key() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        assert is_loopback(host)
        check_open(host, None)
        assert "localhost" in (hosts_of(host) or ())
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.org"):
        with pytest.raises(UserError, match="nlrl keys create"):
            check_open(host, None)
        check_open(host, Path("keys.sqlite"))
        assert hosts_of(host) is None


def test_models_have_the_names_that_clients_use() -> None:
    specs = (
        "stochastic:0.6",
        "small=stochastic:0.2",
        "http://127.0.0.1:9/v1#org/big=x",
        "mine=http://127.0.0.1:9/v1#y",
    )
    assert list(open_models(specs, None)) == ["stochastic:0.6", "small", "org/big=x", "mine"]
    with pytest.raises(UserError, match="--model other="):
        open_models(("a=stochastic:0.1", "a=stochastic:0.2"), None)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    run, file = CliRunner(), str(tmp_path / "keys.sqlite")
    made = run.invoke(keys, ["create", "alice", "--tokens", "5000", "--per-minute", "60", "--api-key-file", file])
    secret = made.stdout.strip()
    assert made.exit_code == 0 and secret.startswith("nlrl_") and "not shown again" in made.stderr
    with KeyStore(file) as store:
        found = store.find(secret)
        assert found is not None and (found.tokens, found.per_minute, found.scopes) == (5000, 60, ("chat",))
    listed = run.invoke(keys, ["list", "--api-key-file", file], env={"COLUMNS": "140"})
    assert "alice" in listed.stdout and "5,000" in listed.stdout and secret not in listed.output
    assert run.invoke(keys, ["revoke", "alice", "--api-key-file", file]).exit_code == 0
    assert "revoked" in run.invoke(keys, ["list", "--api-key-file", file], env={"COLUMNS": "140"}).stdout
    assert isinstance(run.invoke(keys, ["revoke", "bob", "--api-key-file", file]).exception, UnknownName)
    assert isinstance(run.invoke(keys, ["list", "--api-key-file", file + "x"]).exception, UserError)


def test_help_ends_with_examples() -> None:
    said = CliRunner().invoke(serve, ["--help"]).output
    assert "nlrl serve --model" in said and "api-key-file" in said


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    code = "import sys; from nlrl.cli.serve import serve; sys.exit(serve.main(sys.argv[1:], standalone_mode=False))"
    keys = tmp_path / "keys.sqlite"
    with KeyStore(keys) as store:
        secret = store.create("alice")[1]
    command = [sys.executable, "-c", code, "-m", "tiny=stochastic:0.6", "-p", "0", "--api-key-file", str(keys)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes) as child:  # type: ignore[call-overload]
        line = child.stdout.readline().decode()
        url = line.split(" at ")[1].strip()
        assert "tiny" in line
        headers = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{url}/models", verify=False).status_code == 401
        assert httpx.get(f"{url}/models", headers=headers, verify=False).json()["data"][0]["id"] == "tiny"
        child.send_signal(signal.SIGTERM)
        _, log = child.communicate(timeout=10)
        assert child.returncode == 0
        assert b"GET /v1/models 200" in log and secret.encode() not in log
