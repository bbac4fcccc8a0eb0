"""What a benchmark of many single marks has seen: a line for each, and the result of all."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any


class Notes:
    """Lines; the benchmark's mark is that every one of them holds."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.lines: list[dict[str, Any]] = []

    def line(self, name: str, ok: bool, seen: str) -> None:
        """Print what was seen, and whether it is as it must be."""
        self.lines.append({"name": name, "ok": ok, "seen": seen})
        print(f"  {'ok ' if ok else 'FAILED'} {name:46} {seen}", flush=True)

    def result(self, benchmark: str, **more: Any) -> int:
        """Print the RESULT line; the exit code."""
        met = all(line["ok"] for line in self.lines)
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
        seconds = round(time.monotonic() - self.began)
        print("RESULT " + json.dumps(
            {"benchmark": benchmark, "met": met, **more, "lines": self.lines, "seconds": seconds, "machine": machine}
        ))  # fmt: skip
        return 0 if met else 1
