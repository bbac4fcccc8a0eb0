"""The servers that the server benchmarks ask: ours, its peers, a bare proxy, and the upstream behind them.

    with upstream(0.05) as up, nlrl_serve(up.url) as ours:
        ...                                        # ours.port, ours.cpu_s(), ours.peak_mb()

Each runs in a process of its own on 127.0.0.1, from the beginning of the `with` block to its end.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START_S = 300.0


class Server:
    """A server in a process of its own.

    command  what starts it on a port
    ready    is called once it listens, again after each restart
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        ready: Callable[[int], None] = lambda port: None,
        **environment: str,
    ) -> None:
        self.port = free_port()
        self._command, self._ready, self._environment = command(self.port), ready, environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        environment, nowhere = {**os.environ, **self._environment}, subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, env=environment, stdout=nowhere, stderr=nowhere)
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise SystemExit(f"did not start: {' '.join(self._command)}") from None
                time.sleep(0.05)
        self._ready(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Begin anew, on the same port."""
        self.stop()
        self.__enter__()

    @property
    def pid(self) -> int:
        """Of its process; 0 before it runs."""
        return self._process.pid if self._process else 0

    @property
    def url(self) -> str:
        """What comes before /chat/completions."""
        return f"http://127.0.0.1:{self.port}/v1"

    # --- what it has used, as Linux tells it; 0 elsewhere

    def cpu_s(self) -> float:
        """Processor seconds so far, all threads."""
        fields = self._told("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    def memory_mb(self) -> float:
        """Resident now, in MB."""
        return self._status("VmRSS:")

    def peak_mb(self) -> float:
        """The most that was resident since `forget_peak`, in MB."""
        return self._status("VmHWM:")

    def forget_peak(self) -> None:
        """Measure the peak from here."""
        with contextlib.suppress(OSError):  # then it is the peak since the start
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def open_files(self) -> int:
        """File descriptors that are open."""
        try:
            return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())
        except OSError:
            return 0

    def _status(self, name: str) -> float:
        lines = self._told("status").splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)

    def _told(self, file: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/{file}").read_text()
        except OSError:
            return ""


def end_orderly() -> None:
    """Leave every `with` block also when told to end by SIGTERM, so that no server stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ask(port: int, method: str, route: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """One small request: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, route, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# --- who they are


def upstream(delay_s: float) -> Server:
    """Answers every question alike, after `delay_s`."""
    return _script("fast_upstream.py", str(delay_s))


def dripping(every_s: float) -> Server:
    """Streams a token every `every_s`."""
    return _script("dripping_upstream.py", str(every_s))


def bare_proxy(base: str) -> Server:
    """The least that can be written with the libraries that ours uses."""
    return _script("bare_proxy.py", base)


def nlrl_serve(base: str, *options: str) -> Server:
    """Ours. Its model "one" is the same upstream, but gives one choice a call, however many are asked for."""
    models = ["--model", f"stub={base}#stub", "--model", f"one={base}#one"]
    command = [sys.executable, "-m", "nlrl.cli", "serve", *models, "--quiet", *options]
    return Server(lambda port: [*command, "--port", str(port)], OPENAI_API_KEY="none")


def its_hub(python: str, base: str) -> Server:
    """its_hub 1.2.0, its "iaas" server, in the environment of `python`."""
    wanted = {"endpoint": base, "api_key": "none", "model": "stub", "alg": "self-consistency", "budget": 8}

    def configure(port: int) -> None:
        status, said = ask(port, "POST", "/configure", {**wanted, "regex_patterns": [r"Final Answer: (\d+)"]})
        if status != 200:
            raise SystemExit(f"its_hub refuses its configuration: {status} {said[:300]!r}")

    code = "from its_hub.integration.iaas.app_server import main; main()"
    return Server(lambda port: [python, "-c", code, "--port", str(port), "--log-level", "ERROR"], configure)


def optillm(python: str, base: str) -> Server:
    """optillm 0.4.0, in the environment of `python`."""
    code = "import sys; from optillm import main; sys.exit(main())"
    command = [python, "-c", code, "--base-url", base, "--log", "error"]
    return Server(lambda port: [*command, "--port", str(port)], OPENAI_API_KEY="none")


def _script(name: str, *arguments: str) -> Server:
    return Server(lambda port: [sys.executable, str(HERE / name), str(port), *arguments])
