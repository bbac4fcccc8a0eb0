"""`nlrl serve` as a real process, for the benchmarks that look at it from outside.

with nlrl_serve("--model", f"up={upstream}/v1#up") as server:
    httpx.get(server.url + "/health")
    server.log()                     # what it has written so far
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_S = 120.0  # on a busy machine
_URL = re.compile(r"Serving .* at (http://\S+?)/v1$", re.MULTILINE)


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def address(self) -> tuple[str, int]:
        """For a plain socket."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def log(self) -> str:
        """All that it has written to stdout and stderr."""
        return self.output.read_text("utf-8", "replace")

    def resident_mb(self) -> float:
        """Memory it holds now; 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def peak_mb(self) -> float:
        """The most memory it has held; 0 where the system does not tell."""
        try:
            said = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0.0
        return int(said.partition("VmHWM:")[2].split()[0]) / 1e3


def start(*options: str, command: list[str] | None = None, **environment: str) -> Served:
    """Start it on a free port; whoever calls ends it. Raises SystemExit if it does not come up.

    command  in place of `nlrl serve`; it must say "Serving ... at URL/v1" as that does
    """
    handle, name = tempfile.mkstemp(prefix="nlrl-serve-", suffix=".log")
    output = Path(name)
    words = command or [sys.executable, "-m", "nlrl.cli", "serve", "--port", "0"]
    with os.fdopen(handle, "wb") as out:
        process = subprocess.Popen(
            [*words, *options], stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    deadline = time.monotonic() + _START_S
    while not (found := _URL.search(output.read_text("utf-8", "replace"))):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"The server did not start:\n{output.read_text('utf-8', 'replace')}")
        time.sleep(0.05)
    return Served(found[1], process, output)


def stop(server: Served, seconds: float = 40.0) -> int:
    """End it in order; its exit code."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(seconds)
    except subprocess.TimeoutExpired:
        server.process.kill()
        code = server.process.wait()
    server.output.unlink(missing_ok=True)
    return code


@contextmanager
def nlrl_serve(*options: str, command: list[str] | None = None, **environment: str) -> Iterator[Served]:
    """`start`, and `stop` at the end of the block."""
    server = start(*options, command=command, **environment)
    try:
        yield server
    finally:
        stop(server)
