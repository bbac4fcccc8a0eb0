"""`nlrl classify`: the kind of a prompt, with the reasons."""

from __future__ import annotations

import click

from nlrl.cli.frame import Command
from nlrl.cli.inputs import read_question

_SHOWN = 8  # pieces of evidence; the rest weighs little


@click.command(
    cls=Command,
    examples="""
        nlrl classify "What is 17 + 25?"
        nlrl classify --json @prompt.txt
    """,
)
@click.argument("prompt", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def classify(prompt: tuple[str, ...], as_json: bool) -> None:
    """Say whether PROMPT is math, coding or commonsense, how sure that is, and what speaks for it.

    PROMPT is text, - for standard input, or @file.
    """
    from nlrl.tasks.classify import classify_task

    kind = classify_task(read_question(prompt))
    if as_json:
        import json

        scores = {str(label): round(p, 4) for label, p in kind.scores.items()}
        click.echo(json.dumps({"label": str(kind.label), "scores": scores, "evidence": kind.evidence}))
        return
    click.echo(f"{kind.label}  ({', '.join(f'{label} {p:.2f}' for label, p in kind.scores.items())})")
    for feature, weight in kind.evidence[:_SHOWN]:
        click.echo(f"  {weight:+6.2f}  {feature}")
