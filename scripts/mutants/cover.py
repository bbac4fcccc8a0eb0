"""Which tests run which line, and what processor time each takes: made once by pytest-cov, read for every fault."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from coverage import CoverageData
from faults import ROOMS, Fault

HERE = Path(__file__).resolve().parent
LEAST_TESTS = 3  # are tried, however long they take
FEW_FILES, FEW_TESTS, FEW_S = 6, 25, 0.5  # of the first try: a file takes longer to import than its fast tests to run


class Cover:
    """The map in a folder: `coverage` (lines and contexts) and `took.jsonl` (seconds of each test)."""

    def __init__(self, folder: Path, package: Path):
        self.package = package
        self.data = CoverageData(str(folder / "coverage"))
        self.data.read()
        self.seconds: dict[str, float] = defaultdict(float)
        for line in (folder / "took.jsonl").read_text("utf-8").splitlines():
            test, seconds, passed = json.loads(line)
            self.seconds[test] = seconds if passed else math.inf  # what fails without a fault shows none
        self._lines: dict[Path, dict[int, set[str]]] = {}

    def lines(self, path: Path) -> dict[int, set[str]]:
        """Line -> ids of the tests that run it. What runs on import belongs to no test."""
        if path not in self._lines:
            contexts = self.data.contexts_by_lineno(str(self.package / path))
            self._lines[path] = {n: {c.rpartition("|")[0] for c in who if c} for n, who in contexts.items()}
        return self._lines[path]

    def tests(self, fault: Fault, limit_s: float) -> tuple[list[str], list[str]]:
        """Tests to try first, and those to try then, each in order; nothing where nothing runs the statement.

        First a few fast ones of the files that run the statement most; then the others that run it, the fastest
        first, and behind them such as run something of the file: a value that is made on import, or kept by a cache,
        is used by tests that do not run its line. Where nobody runs it but the import, all tests of the room are
        tried. As many as fit into `limit_s` seconds.
        """
        lines = self.lines(fault.path)
        span = range(fault.first_line, fault.last_line + 1)
        if not any(n in lines for n in span):
            return [], []
        direct = set().union(*(lines.get(n, set()) for n in span))
        touched = Counter(test for who in lines.values() for test in who)
        room = f"tests/unit/{fault.path.parts[0]}/"
        # what runs on import belongs to no test: then all tests of the room may see it, whatever lines they run
        near = direct or touched.keys() | {t for t in self.seconds if t.startswith(room)}
        few: dict[str, list[str]] = defaultdict(list)
        for test in sorted(near, key=lambda t: (self.seconds[t], t)):
            if len(few[_file(test)]) < FEW_TESTS and self.seconds[test] < FEW_S:
                few[_file(test)].append(test)
        # the tests of the room itself, and of those the file that runs most of this one, say most about it
        close = sorted(few, key=lambda name: (room not in name, -max(map(touched.__getitem__, few[name]), default=0)))
        close = close[:FEW_FILES]
        first = [test for name in close for test in few[name]]
        order = sorted(direct - set(first), key=lambda t: (self.seconds[t], t))
        order += sorted(
            (near | touched.keys()) - direct - set(first),
            key=lambda t: (room not in t, -touched[t], self.seconds[t], t),
        )
        then, total = [], self.expected_s(first)
        for test in (t for t in order if self.seconds[t] < math.inf):
            total += self.seconds[test] + 0.005
            if total > limit_s and len(first) + len(then) >= LEAST_TESTS:
                break
            then.append(test)
        return first, then

    def expected_s(self, tests: list[str]) -> float:
        return sum(self.seconds[t] for t in tests)


def _file(test: str) -> str:
    return test.partition("::")[0]


def make(root: Path, folder: Path, tests: list[str], workers: int, *, add: bool = False) -> int:
    """Run the suite once with coverage; pytest's exit code. `add`: only these tests anew, the rest as it is known."""
    folder.mkdir(parents=True, exist_ok=True)
    if not add:
        for name in ("coverage", "took.jsonl"):
            (folder / name).unlink(missing_ok=True)
    rooms = [f"--cov={root / 'src' / 'nlrl' / room}" for room in ROOMS.values()]
    command = [sys.executable, "-m", "pytest", "-p", "only", "-p", "no:cacheprovider", *rooms, "--cov-context=test"]
    command += ["--cov-append"] if add else []
    command += ["--cov-report=", "-n", str(workers), "-m", "not slow and not hf and not alone", *tests]
    env = {
        **os.environ,
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{HERE}",
        "COVERAGE_FILE": str(folder / "coverage"),
        "NLRL_TESTS_TOOK": str(folder / "took.jsonl"),
    }
    return subprocess.run(command, cwd=root, env=env).returncode
