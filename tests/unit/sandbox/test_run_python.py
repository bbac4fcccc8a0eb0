"""Whole programs: streams, exit codes, limits, and the scratch directory."""

# ruff: noqa: E501  (programs in strings)
from __future__ import annotations

import asyncio
import sysconfig
from collections.abc import Callable

import pytest

from nlrl.sandbox import Limits, Outcome, RunResult, Sandbox


def ran(sandbox: Sandbox, source: str, stdin: str = "", limits: Limits | None = None) -> RunResult:
    return asyncio.run(sandbox.run_python(source, stdin=stdin, limits=limits))


def test_streams_and_exit_codes(sandbox: Sandbox) -> None:
    result = ran(
        sandbox, "import sys\nprint(input()[::-1])\nprint('é\\ud800', file=sys.stderr)\nsys.exit(7)", "äbc\nrest"
    )
    assert (result.stdout, result.exit, result.outcome) == ("cbä\n", 7, Outcome.ERROR)
    assert "é" in result.stderr
    assert ran(sandbox, "import sys; sys.exit('no')").stderr == "no\n"
    assert ran(sandbox, "print(__name__)").stdout == "__main__\n"
    assert ran(sandbox, "exit()").outcome is Outcome.OK
    assert ran(sandbox, "").outcome is Outcome.OK


def test_a_traceback_shows_the_programs_own_lines_only(sandbox: Sandbox) -> None:
    result = ran(sandbox, "def f():\n    return 1 / 0\nf()\n")
    assert result.stderr.splitlines()[1:3] == ['  File "<program>", line 3, in <module>', "    f()"]
    assert result.stderr.count("File ") == 2
    assert "SyntaxError" in ran(sandbox, "def").stderr


def test_exit_handlers_run_and_output_is_flushed(sandbox: Sandbox) -> None:
    source = "import atexit, sys\natexit.register(print, 'bye')\nsys.stdout.write('partial')"
    assert ran(sandbox, source).stdout == "partialbye\n"


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("while True: pass", Outcome.TIMEOUT),
        ("import time; time.sleep(60)", Outcome.TIMEOUT),
        ("x = 'x' * 10**11", Outcome.MEMORY),
        ("print('x' * 10**7)", Outcome.OUTPUT),
        ("import ctypes; ctypes.string_at(0)", Outcome.KILLED),
        ("import os; os._exit(3)", Outcome.ERROR),
    ],
)
def test_outcomes(sandbox: Sandbox, source: str, outcome: Outcome) -> None:
    result = ran(sandbox, source, limits=Limits(wall_s=0.8, cpu_s=1, output_bytes=10**5))
    assert result.outcome is outcome
    assert len(result.stdout) + len(result.stderr) <= 10**5
    assert result.seconds < 8


def test_bytes_that_are_no_text(sandbox: Sandbox) -> None:
    assert ran(sandbox, "import os; os.write(1, b'\\xff\\xfeok')").stdout.endswith("ok")
    source = "import sys; print(sys.stdin.buffer.read() == 'ä\\ud800'.encode('utf-8', 'surrogatepass'))"
    assert ran(sandbox, source, "ä\ud800").stdout == "True\n"


def test_a_megabyte_through_standard_input(sandbox: Sandbox) -> None:
    assert ran(sandbox, "print(len(input()))", "x" * 10**6).stdout == "1000000\n"


def test_the_standard_library_is_there_and_packages_are_not(sandbox: Sandbox) -> None:
    source = """
import importlib
for name in 'asyncio bz2 csv ctypes decimal hashlib heapq json lzma multiprocessing re socket sqlite3 ssl unittest zlib zoneinfo'.split():
    try: importlib.import_module(name)
    except ImportError as e:
        if name not in str(e) and '_' not in str(e): raise
import hashlib, asyncio
print(hashlib.sha256(b'x').hexdigest()[:8], asyncio.run(asyncio.sleep(0, 'async')))
for name in ('msgspec', 'hypothesis', 'nlrl.core'):
    try: importlib.import_module(name)
    except ImportError: continue
    print('visible:', name)
"""
    assert ran(sandbox, source).stdout == "2d711642 async\n"


def test_packages_can_be_shown(opened: Callable[..., Sandbox]) -> None:
    folder = sysconfig.get_path("purelib")
    with_packages = opened(packages=[folder], preload=["msgspec"])
    result = ran(with_packages, "import msgspec; print(msgspec.json.encode([1]))")
    assert result.stdout == "b'[1]'\n", result.stderr


def test_the_scratch_directory_is_private_bounded_and_gone(walled: Sandbox) -> None:
    source = "import os, tempfile\nprint(os.listdir('.'))\nopen('a', 'w').write('x')\nprint(tempfile.mkdtemp()[:4])"
    assert [ran(walled, source).stdout for _ in range(2)] == ["[]\n/tmp\n"] * 2
    bomb = "for i in range(100):\n    open(str(i), 'w').write('x' * 10**5)"
    result = ran(walled, bomb, limits=Limits(scratch_bytes=10**6))
    assert "No space left" in result.stderr
    large = ran(walled, "open('a', 'w').write('x' * 10**7)", limits=Limits(scratch_bytes=10**6))
    assert "File too large" in large.stderr or "No space" in large.stderr


def test_threads_are_bounded(walled: Sandbox) -> None:
    source = """
import threading
gate, n = threading.Event(), 0
try:
    while True:
        threading.Thread(target=gate.wait).start(); n += 1
except RuntimeError: print(n)
gate.set()
"""
    assert ran(walled, source, limits=Limits(threads=10)).stdout == "9\n"


def test_processes_only_where_they_are_allowed(walled: Sandbox) -> None:
    source = """
import os, subprocess, sys
def work(x): return x * x
try: pid = os.fork()
except PermissionError: print('refused'); sys.exit()
if not pid: os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(subprocess.run([sys.executable, '-S', '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout)
import multiprocessing as mp
with mp.get_context('fork').Pool(2) as pool: print(pool.map(work, [1, 2, 3]))
"""
    assert ran(walled, source).stdout == "refused\n"
    family = ran(walled, source, limits=Limits(processes=6))
    assert family.stdout == "5\n42\n\n[1, 4, 9]\n", family.stderr


def test_no_thread_and_no_file_without_walls(opened: Callable[..., Sandbox]) -> None:
    flat = opened(isolation="landlock")
    result = ran(flat, "import threading; threading.Thread(target=print).start()")
    written = ran(flat, "open('/tmp/x', 'w')")
    assert "can't start new thread" in result.stderr
    assert "Permission" in written.stderr


def test_hash_order_is_the_same_every_time(sandbox: Sandbox) -> None:
    assert len({ran(sandbox, "print({*'abcdefgh'})").stdout for _ in range(3)}) == 1


def test_random_numbers_are_not(sandbox: Sandbox) -> None:
    assert len({ran(sandbox, "import random, os; print(random.random(), os.urandom(2))").stdout for _ in range(3)}) == 3
