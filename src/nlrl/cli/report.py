"""`nlrl report`: what a run came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.frame import Command
from nlrl.core import MissingExtra, UserError

if TYPE_CHECKING:
    from nlrl.evaluation.summary import Summary

_LATEST = "latest"


@click.command(
    cls=Command,
    examples="""
        nlrl report runs/first
        nlrl report latest --format terminal
        nlrl report runs/first --json | jq .domains
    """,
)
@click.argument("run")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="terminal, png or html; may be repeated. Default: all three.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of the tables.")
def report(run: str, formats: tuple[str, ...], as_json: bool) -> None:
    """Show accuracy against tokens of RUN (a directory, or "latest"), finished or not.

    Writes summary.json, a picture and a page that works without a network, in which every problem opens to its
    attempts.
    """
    from nlrl.evaluation.report import FORMATS

    path = _latest() if run == _LATEST else Path(run)
    chosen = formats or FORMATS
    if as_json:
        chosen = tuple(f for f in chosen if f != "terminal")
    _, written = show_run(path, chosen)
    if as_json:
        click.echo(written[0].read_text(encoding="utf-8"), nl=False)
    else:
        say_written(path, written)


def show_run(path: Path, formats: tuple[str, ...]) -> tuple[Summary, list[Path]]:
    """The report of a run. Without matplotlib there is no picture, which is said and spoils nothing else."""
    from nlrl.evaluation.report import report as make

    try:
        return make(path, formats)
    except MissingExtra as missing:
        if "png" not in formats:
            raise
        click.echo(f"No picture: {missing}", err=True)
        # what is printed already is not printed again
        return make(path, tuple(f for f in formats if f not in ("png", "terminal")))


def say_written(path: Path, written: list[Path]) -> None:
    """Where everything is."""
    names = {".json": "summary", ".png": "picture", ".html": "page"}
    click.echo(f"records  {path / 'records.jsonl'}")
    for file in written:
        click.echo(f"{names.get(file.suffix, file.suffix):8} {file}")


def _latest() -> Path:
    from nlrl.evaluation.run_list import find_runs

    found = find_runs(Path("runs"))
    if not found:
        raise UserError("There are no runs under 'runs'. Make one with nlrl bench, or name its directory.")
    return Path(found[0]["path"])
