"""`nlrl ls`: the runs on this disk."""

from __future__ import annotations

import json
from pathlib import Path

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
    from nlrl.evaluation.run_list import find_runs

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
