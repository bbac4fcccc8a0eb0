"""`nlrl calibrate`: measure once which strategy pays for which difficulty, and keep it as a policy file."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.datafiles import DataFiles, data_options
from nlrl.cli.frame import Command

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.scaling.calibrate import Calibration, Progress

_LINE_EVERY_S = 10.0


@click.command(
    cls=Command,
    examples="""
        nlrl calibrate --data builtin:math --samples 16 --out runs/math-policy
        nlrl calibrate --data gsm8k.jsonl --limit 100 --budget 2000 --budget 4000 --model qwen2.5-coder-0.5b
        nlrl calibrate --data panel:aime24 --model panel:aime24 --bank traces.sqlite --samples 64
        nlrl solve --strategy "auto(policy='runs/math-policy/policy.json')" "What is 17 + 25?"
    """,
)
@data_options
@click.option("-m", "--model", envvar="NLRL_MODEL", help="A model; see: nlrl models list.  [env: NLRL_MODEL]")
@click.option("-k", "--samples", type=click.IntRange(min=2), default=16, show_default=True, help="Per problem.")
@click.option("-s", "--strategy", "strategies", multiple=True, help="To choose between.  [default: votes, best-of-N]")
@click.option(
    "-b", "--budget", "caps", type=click.IntRange(min=1), multiple=True, help="Tokens per problem; may be repeated."
)
@click.option(
    "--probe",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Attempts that show the difficulty; 0: none.",
)
@click.option("--bins", type=click.IntRange(min=1), default=5, show_default=True, help="Of difficulty.")
@click.option("--verifier", default="auto", show_default=True, help="What best-of-N and the probe ask.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only the first problems of each data set.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("runs/policy"), show_default=True)
@click.option("--temperature", type=float, help="Randomness of the attempts.  [default: 0.8]")
@click.option("--max-tokens", type=int, help="Most tokens of one attempt.  [default: 512]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the folds.")
@click.option("--bank", help="A file that keeps every sample.  [default: OUT/bank.sqlite; env: NLRL_BANK]")
@click.option("--prices", help="Of a server: money per million prompt and completion tokens, such as 0.15,0.60.")
def calibrate(
    data: DataFiles,
    model: str | None,
    samples: int,
    strategies: tuple[str, ...],
    caps: tuple[int, ...],
    probe: int,
    bins: int,
    verifier: str,
    limit: int | None,
    out: Path,
    temperature: float | None,
    max_tokens: int | None,
    seed: int,
    bank: str | None,
    prices: str | None,
) -> int:
    """Measure which strategy at which budget pays for which difficulty; make a policy of it.

    Draws samples once (stop whenever you like; the same command goes on where it was), replays every strategy at every
    budget on them, and checks the policy on problems it was not made from. Then use --strategy auto(policy='FILE').
    """
    from rich.console import Console

    from nlrl.scaling.report import write_report
    from nlrl.strategies import get_strategy
    from nlrl.verifiers.registry import get_verifier

    get_verifier(verifier)
    for text in strategies:
        get_strategy(text)  # a mistyped name must be said before anything is loaded
    console = Console(stderr=True)
    try:
        done, parameters = asyncio.run(
            _run(
                data, model, samples, strategies, caps, probe, bins, verifier, limit, out, temperature, max_tokens,
                seed, bank, prices, console,
            )
        )  # fmt: skip
    except KeyboardInterrupt as stop:
        stop.add_note(f"What was sampled is kept. Go on with:\n  {_same_command()}")
        raise
    paths = write_report(done, out, parameters=parameters)
    _show(done)
    for path in paths:
        click.echo(f"{path.suffix[1:]:8} {path}")
    if done.policy.model.startswith("panel:"):
        _weigh_traces(done, out, bank, samples)
    where = out / "policy.json"
    click.echo(f"\nUse it:  nlrl solve --strategy \"auto(policy='{where}')\" 'your question'")
    return 0


async def _run(
    data: DataFiles, model: str | None, samples: int, strategies: tuple[str, ...], caps: tuple[int, ...],
    probe: int, bins: int, verifier: str, limit: int | None, out: Path, temperature: float | None,
    max_tokens: int | None, seed: int, bank: str | None, prices: str | None, console: Console,
) -> tuple[Calibration, int | None]:  # fmt: skip
    from nlrl.cli.openers import open_bank, open_model, open_problems, sampling
    from nlrl.cli.solve import load
    from nlrl.scaling.calibrate import calibrate as run

    drawing = sampling(temperature, max_tokens)
    problems = open_problems(data, limit, bank, tell=lambda text: click.echo(text, err=True))
    opened = open_model(model or None, problems, bank, prices)
    try:
        await load(opened, console)
        console.print(f"{len(problems)} problems, {opened.name}, into {out}", markup=False, highlight=False)
        with open_bank(bank, out / "bank.sqlite") as kept:
            done = await run(
                problems, opened, bank=kept, samples=samples, strategies=strategies, caps=caps, probe=probe, bins=bins,
                verifier=verifier, sampling=drawing, source=str(data), seed=seed, on_progress=_Teller(console),
            )  # fmt: skip
            return done, opened.can.parameters
    finally:
        await opened.aclose()


def _weigh_traces(done: Calibration, out: Path, bank: str | None, samples: int) -> None:
    """What the shape of recorded traces says of their answers, for the umpire."""
    from nlrl.cli.openers import open_existing_bank
    from nlrl.core import UserError
    from nlrl.evaluation import fit_trace_weights
    from nlrl.strategies.trace_shape import save_weights

    try:
        with open_existing_bank(bank) as kept:
            weights = fit_trace_weights(done.problems, kept, done.policy.model, traces=samples)
    except UserError as failure:  # all right, all wrong: the policy stands all the same
        click.echo(f"No weights for traces: {failure}", err=True)
        return
    path = out / "weights.json"
    save_weights(weights, path)
    click.echo(
        f"weights  {path}: cross-validated AUC {weights.held_out_auc:.2f}, for umpire(thrift=0.5, weights='{path}')"
    )


class _Teller:
    """A line every few seconds."""

    def __init__(self, console: Console) -> None:
        self.console, self.told, self.begun, self.stage = console, 0.0, time.monotonic(), ""

    def __call__(self, now: Progress) -> None:
        at = time.monotonic()
        if now.stage != self.stage:
            self.stage, self.begun, self.told = now.stage, at, 0.0
            if now.done:
                self.begun = self.told = at
                return
        if at - self.told < _LINE_EVERY_S and now.done < now.total:
            return
        self.told = at
        left = f", {(now.total - now.done) * (at - self.begun) / now.done:.0f} s left" if now.done else ""
        drawn = f", {now.paid.completion_tokens:,} tokens drawn" if now.stage == "drawing" else ""
        self.console.print(f"{now.stage}: {now.done}/{now.total} problems{left}{drawn}", markup=False, highlight=False)


def _show(done: Calibration) -> None:
    from rich.console import Console
    from rich.table import Table

    from nlrl.scaling.tables import tables

    console = Console()
    for title, columns, rows in tables(done):
        if not rows:
            continue
        console.print(title, style="bold", markup=False, highlight=False)
        table = Table(box=None, header_style="dim")
        for i, column in enumerate(columns):
            table.add_column(column, justify="left" if i == 0 or "strateg" in column else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table, "", markup=False)
    for note in done.policy.notes:
        click.echo(f"Note: {note}")


def _same_command() -> str:
    context = click.get_current_context(silent=True)
    args = context.find_root().obj.get("args", sys.argv[1:]) if context else sys.argv[1:]
    return shlex.join(["nlrl", *args])
