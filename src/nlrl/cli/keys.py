"""`nlrl keys`: who may use a server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.frame import Group

if TYPE_CHECKING:
    from nlrl.server import Key

_FILE = click.option(
    "--api-key-file", "path", type=click.Path(path_type=Path), default="keys.sqlite", show_default=True,
    envvar="NLRL_API_KEY_FILE", help="The file of keys.  [env: NLRL_API_KEY_FILE]",
)  # fmt: skip


@click.group(cls=Group)
def keys() -> None:
    """Create, list and revoke the API keys of `nlrl serve`.

    The file holds hashes only: a key is shown once, when it is made. A running server follows every change at once.
    """


@keys.command(
    examples="""
        nlrl keys create alice
        nlrl keys create batch --tokens 5000000 --per-minute 60
        nlrl keys create grafana --scope read
        nlrl keys create intern --model qwen2.5-coder-0.5b --strategy direct --strategy "self_consistency(n=4)"
        nlrl keys create carol --budget-per-request tokens=20k,seconds=60 --max-tokens 1000
    """
)
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, default=("chat",), show_default=True,
    help="chat: ask models; read: see models and figures; admin: everything. May be repeated.",
)  # fmt: skip
@click.option("--tokens", type=click.IntRange(min=1), help="How many tokens it may spend in all.")
@click.option("--per-minute", type=click.IntRange(min=1), help="How many requests it may make a minute.")
@click.option("--model", "models", multiple=True, help="A model it may ask, by its name at the server.  [default: all]")
@click.option(
    "--strategy", "strategies", multiple=True,
    help="A strategy it may use: a name, or all of it with its parameters.  [default: all]",
)  # fmt: skip
@click.option("--budget-per-request", "budget", help="The most that one request may name, such as tokens=20k.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The longest attempt it may ask for.")
@_FILE
def create(
    name: str, scopes: tuple[str, ...], tokens: int | None, per_minute: int | None, models: tuple[str, ...],
    strategies: tuple[str, ...], budget: str | None, max_tokens: int | None, path: Path,
) -> None:  # fmt: skip
    """Make a key for NAME and print it. It cannot be shown again."""
    from nlrl.cli.budgets import parse_budget
    from nlrl.server import KeyStore

    if strategies:
        from nlrl.server.allowed import allowed_strategy

        strategies = tuple(map(allowed_strategy, strategies))
    with KeyStore(path) as store:
        key, secret = store.create(
            name, scopes=scopes, tokens=tokens, per_minute=per_minute, models=models, max_tokens=max_tokens,
            strategies=strategies, budget=parse_budget(budget) if budget else None,
        )  # fmt: skip
    click.echo(f"{key.name} ({', '.join(key.scopes)}), id {key.id}. Keep this, it is not shown again:", err=True)
    click.echo(secret)


@keys.command("list", examples="nlrl keys list")
@_FILE
def list_(path: Path) -> None:
    """List the keys: id, name, scopes, limits, what they have used, and what they may use."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from nlrl.server import KeyStore

    with KeyStore(path, create=False) as store:
        found = store.list()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "name", "scopes", "tokens used", "of", "per minute", "may use", "made", "state"):
        table.add_column(column, no_wrap=column in ("id", "name"), overflow="fold")
    for key in found:
        table.add_row(
            key.id,
            key.name,
            " ".join(key.scopes),
            f"{key.used:,}",
            "" if key.tokens is None else f"{key.tokens:,}",
            "" if key.per_minute is None else str(key.per_minute),
            _may_use(key),
            _day(key.created),
            "valid" if key.revoked is None else f"revoked {_day(key.revoked)}",
        )
    Console().print(table, markup=False)


@keys.command(examples="nlrl keys revoke alice\nnlrl keys revoke 3f0c9a1e")
@click.argument("which")
@_FILE
def revoke(which: str, path: Path) -> None:
    """End the key of that name or id for good; what it has running is stopped within a second."""
    from nlrl.server import KeyStore

    with KeyStore(path, create=False) as store:
        key = store.revoke(which)
    click.echo(f"{key.name} ({key.id}) is revoked.")


def _may_use(key: Key) -> str:
    from nlrl.cli.budgets import format_budget

    limits = [f"{most} a request"] if (most := format_budget(key.budget)) else []
    limits += [f"{key.max_tokens} tokens an attempt"] if key.max_tokens else []
    return "\n".join([*(key.models or ()), *(key.strategies or ()), *limits]) or "everything"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
