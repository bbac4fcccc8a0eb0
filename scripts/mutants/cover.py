"""Which tests run which line, and how long each test takes: made once by pytest-cov, read for every fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from coverage import CoverageData

from faults import ROOMS, Fault

HERE = Path(__file__).resolve().parent


class Cover:
    """The map in a folder: `coverage` (lines and contexts) and `took.jsonl` (seconds of each test)."""

    def __init__(self, folder: Path, package: Path):
        self.package = package
        self.data = CoverageData(str(folder / "coverage"))
        self.data.read()
        self.seconds: dict[str, float] = defaultdict(float)
        for line in (folder / "took.jsonl").read_text("utf-8").splitlines():
            test, seconds, outcome = json.loads(line)
            self.seconds[test] += seconds if outcome == "passed" else 1e9  # what fails without a fault shows none
        self._lines: dict[Path, dict[int, set[str]]] = {}

    def lines(self, path: Path) -> dict[int, set[str]]:
        """Line -> ids of the tests that run it. What runs on import belongs to no test."""
        if path not in self._lines:
            contexts = self.data.contexts_by_lineno(str(self.package / path))
            self._lines[path] = {n: {c.rpartition("|")[0] for c in who if c} for n, who in contexts.items()}
        return self._lines[path]

    def tests(self, fault: Fault, limit_s: float) -> tuple[list[str], bool]:
        """Tests to try, in order, and whether the line itself is run by one.

        First those that run the statement, the fastest first; behind them others that run something of the file, those
        that run most of it first: a value that is made on import, or kept by a cache, is used by tests that do not
        run its line. As many as fit into `limit_s` seconds.
        """
        lines = self.lines(fault.path)
        touched: dict[str, int] = defaultdict(int)
        for who in lines.values():
            for test in who:
                touched[test] += 1
        direct = set().union(*(lines.get(n, set()) for n in range(fault.first_line, fault.last_line + 1)))
        order = sorted(direct, key=lambda t: (self.seconds[t], t))
        order += sorted(set(touched) - direct, key=lambda t: (-touched[t], self.seconds[t], t))
        chosen, total = [], 0.0
        for test in order:
            cost = self.seconds[test] + 0.005
            if total + cost <= limit_s:
                chosen.append(test)
                total += cost
        return chosen, bool(direct) or (bool(touched) and not _in_function(lines, fault))

    def expected_s(self, tests: list[str]) -> float:
        return sum(self.seconds[t] for t in tests)


def _in_function(lines: dict[int, set[str]], fault: Fault) -> bool:
    """Whether nothing ran the statement, not even the import of its module."""
    return not any(n in lines for n in range(fault.first_line, fault.last_line + 1))


def make(root: Path, folder: Path, tests: list[str], workers: int) -> int:
    """Run the suite once with coverage; pytest's exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("coverage", "took.jsonl"):
        (folder / name).unlink(missing_ok=True)
    rooms = [f"--cov={root / 'src' / 'nlrl' / room}" for room in ROOMS.values()]
    command = [sys.executable, "-m", "pytest", "-p", "only", "-p", "no:cacheprovider", *rooms, "--cov-context=test"]
    command += ["--cov-report=", "-n", str(workers), "-m", "not slow and not hf and not alone", *tests]
    env = {
        **os.environ,
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{HERE}",
        "COVERAGE_FILE": str(folder / "coverage"),
        "NLRL_TESTS_TOOK": str(folder / "took.jsonl"),
    }
    return subprocess.run(command, cwd=root, env=env).returncode
