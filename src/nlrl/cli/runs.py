"""`nlrl ls`: the runs on this disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from nlrl.cli.frame import Command
from nlrl.core import UserError


@click.command(
    cls=Command,
    examples="""
        nlrl ls
        nlrl ls /data/runs --json
    """,
)
@click.argument("directory", default="runs", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def ls(directory: Path, as_json: bool) -> None:
    """List the runs under DIRECTORY (default: runs), the latest first."""
    found = find_runs(directory)
    if as_json:
        for run in found:
            click.echo(json.dumps(run))
        return
    if not found:
        raise UserError(
            f"There are no runs under {str(directory)!r}. Make one: nlrl bench --data builtin:math --strategy direct"
        )
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (("run", "left"), ("date", "left"), ("model", "left"), ("data", "left"), ("records", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("accuracy, best first")
    for run in found:
        done = f"{run['records']}/{run['total']}"
        best = sorted(run["accuracy"].items(), key=lambda pair: -pair[1])
        accuracy = "\n".join(f"{value:.2f} {name}" for name, value in best) or "no summary: nlrl report " + run["path"]
        table.add_row(run["path"], run["date"], run["model"], run["data"], done, accuracy)
    console = Console()
    console.print(table)


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
