"""`nlrl bank`: what was ever sampled, out to a file and in from elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from nlrl.cli.datafiles import DataFiles, data_options
from nlrl.cli.frame import Group

_SHOWN = 10  # lines with a mistake that are named


@click.group(cls=Group)
def bank() -> None:
    """Look into a sample bank, import and export recorded samples.

    A bank is one file; every run keeps one at OUT/bank.sqlite. NLRL_BANK names the one to use if none is given.
    """


@bank.command(examples="nlrl bank info runs/first/bank.sqlite")
@click.argument("path", required=False)
def info(path: str | None) -> None:
    """How many samples of which models the bank at PATH holds."""
    from nlrl.cli.openers import open_existing_bank

    with open_existing_bank(path) as samples:
        models, panels, where = samples.models(), samples.panels(), samples.path
    click.echo(f"{where}: {sum(models.values()):,} samples")
    for name, count in models.items():
        click.echo(f"  {count:>9,}  {name}")
    for name, problems in panels.items():
        click.echo(f"  panel {name}: {problems:,} problems; use it with --data panel:{name} --model panel:{name}")


@bank.command("import", examples='nlrl bank import traces.jsonl --bank bank.sqlite --name "gpt-oss"')
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bank", "path", help="The bank to write to; made if it is not there.  [env: NLRL_BANK]")
@click.option("--name", help="What to call the panel.  [default: the file's name]")
def import_(file: Path, path: str | None, name: str | None) -> None:
    """Read recorded samples (JSON lines) from FILE into a bank, to be replayed at no cost.

    A line: {"question": "...", "reference": "70", "samples": [{"answer": "70", "tokens": 163, "text": null}, ...]}
    """
    from nlrl.cli.openers import bank_path, open_bank
    from nlrl.evaluation import import_panels

    target = bank_path(path)
    with open_bank(str(target)) as samples:
        imported = asyncio.run(import_panels(file, samples, name or file.stem))
    for error in imported.errors[:_SHOWN]:
        click.echo(f"left out: {error}", err=True)
    if len(imported.errors) > _SHOWN:
        click.echo(f"left out: {len(imported.errors) - _SHOWN} more lines", err=True)
    click.echo(f"{imported.samples:,} samples on {imported.problems:,} problems are in {target}. Replay them with:")
    here = f"--data panel:{imported.name} --model panel:{imported.name} --bank {target}"
    click.echo(f'  nlrl bench {here} --strategy "self_consistency(n=8)"')


@bank.command(
    examples="""
        nlrl bank export runs/first panel.jsonl
        nlrl bank export panel:gpt-oss panel.jsonl --bank bank.sqlite
        nlrl bank export smollm2-135m@b179c9523d0e panel.jsonl --bank bank.sqlite --data builtin:math
    """
)
@click.argument("source")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bank", "path", help="The bank to read from.  Not needed for a run.  [env: NLRL_BANK]")
@data_options(required=False, about="For a model's name: the problems its samples were drawn for.")
def export(source: str, file: Path, path: str | None, data: DataFiles) -> None:
    """Write the samples of SOURCE (a run, panel:NAME, or a model in the bank) to FILE as JSON lines."""
    from nlrl.cli.openers import open_bank, open_existing_bank, open_problems
    from nlrl.evaluation import export_panels

    problems = open_problems(data, None, path, graded=False)
    a_run = (Path(source) / "config.json").is_file()
    with open_bank("none") if a_run else open_existing_bank(path) as samples:
        count, drawn = asyncio.run(export_panels(samples, source, file, problems=problems))
    click.echo(f"{drawn:,} samples on {count:,} problems are in {file}.")
