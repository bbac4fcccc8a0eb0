"""`nlrl strategies`: what there is to choose from."""

from __future__ import annotations

import click

from nlrl.cli.frame import Command


@click.command(
    cls=Command,
    examples="""
        nlrl strategies
        nlrl strategies best_of_n
    """,
)
@click.argument("name", required=False)
def strategies(name: str | None) -> None:
    """List the ways to spend compute with their parameters; with NAME, all about one of them."""
    from nlrl import strategies as room

    if name:
        signature, doc = _describe(name)
        click.echo(f"{signature}\n\n{doc}")
        return
    for known, about in room.strategies().items():
        click.echo(f"{_describe(known)[0]}\n    {about}")
    click.echo("\nMore about one: nlrl strategies best_of_n")


def _describe(name: str) -> tuple[str, str]:
    """The call with its default parameters, and the docstring. Raises UnknownName."""
    import inspect

    from nlrl.strategies import StrategySpec, get_strategy, parse_strategy

    name = parse_strategy(name).name
    strategy = get_strategy(name)
    parameters = inspect.signature(strategy).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    return str(StrategySpec(parse_strategy(name).name, defaults)), inspect.getdoc(
        getattr(strategy, "func", strategy)
    ) or ""
