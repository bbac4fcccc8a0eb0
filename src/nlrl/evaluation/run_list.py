"""The runs on a disk, as far as their files tell.

find_runs(Path("runs"))[0]["path"]         # the latest
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


def find_runs(directory: Path) -> list[dict[str, Any]]:
    """What is known of every run in `directory` itself or below it, one or two levels deep, latest first."""
    files = [f for pattern in ("config.json", "*/config.json", "*/*/config.json") for f in directory.glob(pattern)]
    runs = [run for file in files if (run := _about(file)) is not None]
    return sorted(runs, key=lambda run: run["date"], reverse=True)


def _about(file: Path) -> dict[str, Any] | None:
    """One run in plain values; None if the file is the settings of something else."""
    config = _read(file)
    if not isinstance(config.get("strategies"), list) or not isinstance(config.get("problems"), dict):
        return None
    records = file.with_name("records.jsonl")
    lines = _whole_lines(records) if records.exists() else 0
    per_problem = len(config["strategies"]) + bool(config.get("samples"))
    changed = (records if records.exists() else file).stat().st_mtime
    everything = next(iter(_read(file.with_name("summary.json")).get("domains", [])), {})
    return {
        "path": str(file.parent),
        "date": time.strftime("%Y-%m-%d %H:%M", time.localtime(changed)),
        "model": str(config.get("model_name", "")),
        "data": str(config.get("data", "")),
        "problems": int(config["problems"].get("count", 0)),
        "records": lines,
        "total": int(config["problems"].get("count", 0)) * per_problem,
        "accuracy": _means(everything.get("strategies", [])),
    }


def _means(strategies: list[dict[str, Any]]) -> dict[str, float]:
    """Accuracy by strategy; the summary holds [mean, low, high], with null where nothing was judged."""
    return {s["name"]: s["accuracy"][0] for s in strategies if s["accuracy"][0] is not None}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}  # a listing goes on past what it cannot read
    return content if isinstance(content, dict) else {}


def _whole_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))
