"""The real command line in processes of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "nlrl.cli"]


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in one directory, with nothing of the caller's settings but its weights."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("NLRL_", "OPENAI_"))}
        if cache := os.environ.get("NLRL_CACHE"):
            self.env["NLRL_CACHE"] = cache

    def __call__(self, *args: str, stdin: bytes = b"", timeout: float = 60, **env: str) -> Finished:
        done = subprocess.run(
            [*COMMAND, *args],
            cwd=self.directory,
            env=self.env | env,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *args: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.directory,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
def nlrl(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def write_rows(tmp_path):
    """Writes a data file of `count` sums and returns its name."""

    def write(count: int, name: str = "sums.jsonl", extra: bytes = b"") -> str:
        rows = [{"question": f"What is {i} + {2 * i + 7}?", "answer": str(3 * i + 7)} for i in range(count)]
        (tmp_path / name).write_bytes(extra + b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        return name

    return write
