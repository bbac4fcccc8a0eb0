"""Finding an isolation, falling back, refusing."""

# ruff: noqa: E501  (programs in strings)
from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nlrl.core import CodeTests, SandboxUnavailable
from nlrl.sandbox import Sandbox, boxes, bubblewrap, isolation, run_code_tests
from nlrl.sandbox.box import landlock
from nlrl.sandbox.interpreter import interpreter_files
from nlrl.sandbox.packages import Visible

RIGHT, TESTS = "def f(x): return x + 1", CodeTests(("assert f(1) == 2",))


def test_a_broken_bubblewrap_falls_back_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Sandbox]
) -> None:
    if not landlock.abi():
        pytest.skip("this kernel has no Landlock")
    monkeypatch.setattr(bubblewrap, "bwraps", lambda: iter(["/bin/false"]))
    sandbox = opened()
    found = sandbox.isolation()
    assert (found.kind, found.walled) == ("landlock", False)
    assert "/bin/false" in found.reason
    assert run_code_tests(RIGHT, TESTS, sandbox=sandbox).isolation == "landlock"


def test_no_isolation_is_a_refusal_with_reasons_and_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opened: Callable[..., Sandbox]
) -> None:
    monkeypatch.setattr(bubblewrap, "bwraps", lambda: iter(["/bin/false"]))
    witness = tmp_path / "ran"
    sandbox = opened(isolation="bubblewrap")
    for act in (
        lambda: run_code_tests(f"open({str(witness)!r}, 'w')", TESTS, sandbox=sandbox),
        lambda: asyncio.run(sandbox.run_python(f"open({str(witness)!r}, 'w')")),
        sandbox.isolation,
    ):
        with pytest.raises(SandboxUnavailable, match=r"(?s)/bin/false.*Next step: install bubblewrap"):
            act()
    assert not witness.exists()


def test_no_bubblewrap_at_all(monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Sandbox]) -> None:
    monkeypatch.setattr(bubblewrap, "bwraps", lambda: iter([]))
    sandbox = opened(isolation="bubblewrap")
    with pytest.raises(SandboxUnavailable, match="no bwrap in PATH"):
        sandbox.isolation()


def test_another_system_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="needs Linux"):
        boxes.start_box(None, Visible())


def test_a_box_without_walls_around_its_jobs(monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Sandbox]) -> None:
    """As on systems that let bubblewrap make namespaces, and nobody else."""

    def flat(failures: list[str]) -> Iterator[boxes._Way]:
        for path in bubblewrap.bwraps():
            yield boxes._Way("bubblewrap", path)

    monkeypatch.setattr(boxes, "_ways", flat)
    sandbox = opened()
    try:
        found = sandbox.isolation()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    assert (found.kind, found.walled) == ("bubblewrap", False)
    assert run_code_tests(RIGHT, TESTS, sandbox=sandbox).passed
    source = """
import os, threading
for act in (lambda: open('x', 'w'), lambda: open('/tmp/x', 'w'), os.fork, lambda: os.kill(1, 9), lambda: open('/proc/1/mem'), lambda: os.listdir('/etc')):
    try: act()
    except OSError: continue
    print('BREACH')
try: threading.Thread(target=print).start(); print('BREACH')
except RuntimeError: pass
"""
    result = asyncio.run(sandbox.run_python(source))
    assert (result.stdout, result.exit) == ("", 0), result.stderr


def test_this_machines_isolation_has_a_reason() -> None:
    found = isolation()
    assert found.kind in ("bubblewrap", "landlock")
    assert found.reason


def test_the_self_check_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nlrl.sandbox"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("isolation: ")
    assert "BAD" not in done.stdout


def test_what_is_shown_of_the_interpreter() -> None:
    files = interpreter_files()
    assert files.executable.is_file()
    assert not any("site-packages" in str(path) for path in files.shown)
    shown = list(files.openable())
    assert any(path.name == "os.py" or path.name.startswith("python3") for path in shown)
    assert not any(path.is_relative_to(hidden) for path in shown for hidden in files.hidden)
    home = Path.home()
    assert home not in files.shown
    assert Path("/etc") not in files.shown
    assert Path("/") not in files.shown
