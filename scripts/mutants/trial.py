"""One fault in a fresh copy of the project, and what the tests that run its line say to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cover import HERE, Cover

from faults import Fault

START_S = 120.0  # for starting Python, importing and collecting on a busy machine
SLOWER = 20.0  # a test may take so many times its processor time
TESTS_S = 15.0  # at most so many seconds of tests for one fault


@dataclass(frozen=True)
class Verdict:
    """`caught`, `survived` or `timeout`; `by` is the test that failed, or could not even start."""

    fault: Fault
    outcome: str
    by: str | None = None
    note: str = ""


def judge(root: Path, fault: Fault, cover: Cover) -> Verdict:
    """Put the fault into a copy and run its tests until one fails."""
    tries = [tests for tests in cover.tests(fault, TESTS_S) if tests]
    if not tries:
        return Verdict(fault, "survived", note="no test runs this line")
    with copy(root) as place:
        (place / "src" / "nlrl" / fault.path).write_text(fault.code, "utf-8")
        for tests in tries:
            code, failed = run(place, tests, START_S + SLOWER * cover.expected_s(tests))
            if code is None:
                return Verdict(fault, "timeout", by=failed)
            if code:
                return Verdict(fault, "caught", by=failed or tests[0], note="" if failed else "cannot be imported")
    return Verdict(fault, "survived", note=f"{sum(map(len, tries))} tests passed")


def run(place: Path, tests: list[str], limit_s: float) -> tuple[int | None, str | None]:
    """pytest's exit code (None: out of time) and the first test that failed, if one did."""
    wanted, took = place / "tests.json", place / "took.jsonl"
    took.unlink(missing_ok=True)
    wanted.write_text(json.dumps(tests), "utf-8")
    files = list(dict.fromkeys(t.partition("::")[0] for t in tests))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "only", "-p", "_hypothesis_pytestplugin"]
    command += ["-p", "no:cacheprovider", "--no-header", "--tb=no", "--hypothesis-seed=0", *files]
    env = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # which takes longer to import than most tests to run
        "PYTHONPATH": f"{place / 'src'}{os.pathsep}{HERE}",
        "NLRL_TESTS_ONLY": str(wanted),
        "NLRL_TESTS_TOOK": str(took),
    }
    process = subprocess.Popen(
        command, cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        code: int | None = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError):  # and whatever the tests had started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lines = took.read_text("utf-8").splitlines() if took.exists() else []
    return code, next((test for test, _, passed in map(json.loads, lines) if not passed), None)


@contextlib.contextmanager
def copy(root: Path) -> Iterator[Path]:
    """The tracked and new files of the project in a folder that goes away; compiled files come along."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout.decode()
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        for name in filter(None, listed.split("\0")):
            source, target = root / name, place / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        for cache in (root / "src").rglob("__pycache__"):
            shutil.copytree(cache, place / cache.relative_to(root), dirs_exist_ok=True)
        yield place
