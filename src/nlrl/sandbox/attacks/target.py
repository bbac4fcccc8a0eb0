"""The range: things outside that must not be reached, and a way to tell whether they were."""

# ruff: noqa: E501  (tests in strings)

from __future__ import annotations

import asyncio
import os
import platform
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import nlrl.core
from nlrl.core import CodeTests
from nlrl.sandbox.attacks.attack import Attack, Kind
from nlrl.sandbox.limits import Limits
from nlrl.sandbox.results import Outcome, TestOutcome
from nlrl.sandbox.sandbox import Sandbox

LIMITS = Limits(wall_s=4.0, cpu_s=1.0, memory_bytes=256 << 20, scratch_bytes=4 << 20, output_bytes=1 << 18)
PATTERN = "SECRET-[0-9a-f]{12}"
_CANARY = "SECRET-canary, readable by all\n"

# x86-64 and AArch64; what the filter must refuse, so its own table does not know them
_NUMBERS = """
unshare 272 97|mount 165 40|umount2 166 39|pivot_root 155 41|chroot 161 51|setns 308 268|clone 56 220|keyctl 250 219
add_key 248 217|request_key 249 218|bpf 321 280|userfaultfd 323 282|perf_event_open 298 241|kexec_load 246 104
init_module 175 105|finit_module 313 273|personality 135 92|memfd_create 319 279|name_to_handle_at 303 264
open_by_handle_at 304 265|inotify_init1 294 26|fanotify_init 300 262|quotactl 179 60|reboot 169 142|swapon 167 224
acct 163 89|syslog 103 116|vhangup 153 58|mq_open 180 180|shmget 29 194|semget 64 190|msgget 68 186|io_setup 206 0
splice 275 76|capset 126 91|tgkill 234 131|tkill 200 130|rt_sigqueueinfo 129 138|ptrace 101 117
process_vm_readv 310 270
"""


class Range:
    """Canaries: a process, a file, an environment variable, listening sockets. A context manager.

    The environment variable is set in this process while the range is open, so open it before the sandbox starts.
    """

    def __enter__(self) -> Range:
        self._folder = tempfile.TemporaryDirectory(prefix="nlrl-range-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)
        self._canary = folder / "canary.txt"
        self._canary.write_text(_CANARY)
        self._canary.chmod(0o666)
        self._victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        self._name = f"nlrl-range-{os.getpid()}-{secrets.token_hex(4)}"
        paths = str(folder / "socket")
        self._listeners = [socket.create_server(("127.0.0.1", 0))]
        port = self._listeners[0].getsockname()[1]
        for family, kind, address in (
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
            (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._name}"),
            (socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{self._name}-datagram"),
            (socket.AF_UNIX, socket.SOCK_STREAM, paths),
            (socket.AF_UNIX, socket.SOCK_DGRAM, f"{paths}-datagram"),
        ):
            listener = socket.socket(family, kind)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            self._listeners.append(listener)
        for path in folder.glob("socket*"):
            path.chmod(0o777)
        for listener in self._listeners:
            listener.setblocking(False)
        os.environ["SECRET_TOKEN"] = "SECRET-of-the-environment"
        self._words = {
            "victim": repr(self._victim.pid),
            "canary": repr(str(self._canary)),
            "port": repr(port),
            "abstract": repr(self._name),
            "unix": repr(paths),
            "home": repr(str(Path.home())),
            "source": repr(nlrl.core.__file__),
            "pattern": PATTERN,
        }
        column = {"x86_64": 1, "aarch64": 2}.get(platform.machine(), 1)
        for entry in _NUMBERS.replace("\n", "|").split("|"):
            if entry:
                fields = entry.split()
                self._words[f"SYS_{fields[0]}"] = fields[column]
        return self

    def __exit__(self, *exc: object) -> None:
        os.environ.pop("SECRET_TOKEN", None)
        for listener in self._listeners:
            listener.close()
        self._victim.kill()
        self._victim.wait()
        self._folder.cleanup()

    @property
    def victim_pid(self) -> int:
        """The process that must live."""
        return self._victim.pid

    async def attempt(self, sandbox: Sandbox, attack: Attack, limits: Limits = LIMITS) -> str:
        """Run it. What it achieved, "" where it was contained."""
        program = re.sub(r"\$(\w+)", lambda m: self._words.get(m[1], m[0]), attack.program)
        if attack.processes > 1:
            limits = Limits(**{f: getattr(limits, f) for f in limits.__slots__} | {"processes": attack.processes})
        if attack.kind is Kind.FORGE:
            report = await sandbox.run_tests(program, _hidden_tests(), limits=limits)
            seconds = report.seconds
            passed = [r.name for r in report.results if r.outcome is TestOutcome.PASSED]
            breach = f"passed {passed}" if passed or report.passed else ""
            invalid = [r.message for r in report.results if r.outcome is TestOutcome.INVALID]
            breach = breach or (f"turned tests invalid: {invalid}" if invalid else "")
        else:
            result = await sandbox.run_python(program, stdin="SECRET on standard input", limits=limits)
            text, seconds = result.stdout + result.stderr, result.seconds
            breach = text[text.index("BREACH") :][:200] if "BREACH" in result.stdout else ""
            if attack.kind is Kind.ESCAPE and result.outcome is Outcome.ERROR:
                breach = f"the attack itself is broken: {result.stderr[-200:]}"
        if not breach and seconds > limits.wall_s + 5:
            breach = f"took {seconds:.1f} s"
        return breach or self.touched()

    def touched(self) -> str:
        """Which canary was touched, "" where none was."""
        if self._victim.poll() is not None:
            return "the victim was killed"
        if Path(f"/proc/{self._victim.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
            return "the victim was stopped"
        if sorted(p.name for p in self._canary.parent.iterdir()) != ["canary.txt", "socket", "socket-datagram"]:
            return "files were made or removed"
        if self._canary.read_text() != _CANARY or self._canary.stat().st_mode & 0o777 != 0o666:
            return "the canary file was changed"
        for listener in self._listeners:
            try:
                got = listener.accept() if listener.type == socket.SOCK_STREAM else listener.recv(64)
            except BlockingIOError:
                continue
            if isinstance(got, tuple):
                got[0].close()
            return f"something arrived at {listener.getsockname()}"
        return ""

    def descendants(self) -> set[int]:
        """Processes that descend from this one, zygotes among them: what must be the same after as before."""
        parents: dict[int, int] = {}
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                try:
                    parents[int(path.name)] = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
        found, todo = set[int](), [os.getpid()]
        while todo:
            parent = todo.pop()
            children = [p for p, of in parents.items() if of == parent]
            found.update(children)
            todo.extend(children)
        return found

    async def left_over(self, before: set[int], patience_s: float = 3.0) -> set[int]:
        """Processes that were not there `before`, after waiting for them to go."""
        for _ in range(int(patience_s / 0.05)):
            if not self.descendants() - before:
                return set()
            await asyncio.sleep(0.05)
        return self.descendants() - before


def _hidden_tests() -> CodeTests:
    """Tests of every shape, which only knowledge of a fresh random value passes."""
    secret = f"SECRET-{secrets.token_hex(6)}"
    number = secrets.randbelow(10**9) + 10**9
    return CodeTests(
        checks=(
            f"assert f(3) == {secret!r}",
            f"assert f(4) == [5, 1, {secret!r}]",
            f"assert abs(f(5) - {number / 8}) < 1e-9",
            f"assert sum(f(6)) == {number}",
            f"assert {secret!r} in f(7)",
            f"assert {{{secret!r}}} <= f(8)",
            f"assert len(f(9)) == {number}",
            f"assert str(f(10)) == {secret!r}",
            f"assert f(11) >= {number} and f(11) <= {number}",
            f"assert {number} == f(12)",
            f"assert isinstance(f(13), str) and f(13).startswith({secret!r})",
            f"assert all(map(lambda x: f(x) == {secret!r}, [15, 16]))",
            f"assert all(f(x) == {secret!r} for x in [17, 18])",
            f"import math\nassert math.isclose(f(14), {number}, rel_tol=1e-12)",
            f"with f(19) as got:\n    assert got == {secret!r}",
            f"with f(20):\n    if str(f(21)) != {secret!r}:\n        raise ValueError({secret!r})\n    assert f(22) == {number}",
            f"try:\n    f(23)\nexcept Exception as error:\n    assert str(error) == {secret!r}",
            f"import asyncio\nassert asyncio.run(f(24)) == {secret!r}",
            f"import asyncio\nasync def test_a():\n    async with f(25) as got:\n        assert [x async for x in got] == [{number}]",
            "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    f(26)\n"
            f"assert out.getvalue() == {secret!r}",
            f"from unittest.mock import patch\nwith patch('builtins.input', return_value='x'):\n    assert f(27) == {secret!r}",
            f"assert repr(f(28)) == {secret!r}",
            "import unittest\nclass Hidden(unittest.TestCase):\n"
            f"    def test_a(self): self.assertEqual(f(29), {secret!r})\n"
            f"    def test_b(self):\n        with self.subTest(n=30): self.assertIn({secret!r}, f(30))",
            f">>> f(31)\n{secret!r}",
            f"class TestHidden:\n    def test_a(self):\n        for value in f(32):\n            assert value == {secret!r}",
            f"def check(candidate):\n    assert candidate(3) == {secret!r}, 'no'\n    assert candidate(4) != 5",
        ),
        entry_point="f",
    )
