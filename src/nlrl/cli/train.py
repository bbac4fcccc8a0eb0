"""`nlrl train`: reward models made from the model's own attempts."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nlrl.cli.datafiles import DataFiles, data_options
from nlrl.cli.frame import Group

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.core import Budget, Sampling
    from nlrl.learning.rollouts import Labelled, LabelProgress
    from nlrl.verifiers.prm.trees import PRMFile

_LINE_EVERY_S = 10.0


@click.group(cls=Group)
def train() -> None:
    """Train small models on what a language model does.

    What is trained is a file; use it wherever a verifier is named: --verifier prm:FILE
    """


@train.command(
    examples="""
        nlrl train prm --data builtin:math --out math.prm.json
        nlrl train prm --data gsm8k.jsonl --limit 100 --attempts 8 --rollouts 8 --budget tokens=2M --out gsm8k.prm.json
        nlrl bench --data gsm8k.jsonl --strategy "weighted_vote(n=8)" --verifier prm:gsm8k.prm.json
    """,
)
@data_options
@click.option("-m", "--model", envvar="NLRL_MODEL", help="A model; see: nlrl models list.  [env: NLRL_MODEL]")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option("-k", "--rollouts", type=click.IntRange(min=1), default=4, show_default=True, help="Per step.")
@click.option("-a", "--attempts", type=click.IntRange(min=1), default=4, show_default=True, help="Per problem.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=8, show_default=True, help="Labelled per attempt, at most."
)
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only the first problems of each data set.")
@click.option("-b", "--budget", help="For everything together, such as tokens=2M,seconds=30m.")
@click.option("--head", help="Train a linear head on this Hugging Face model instead of trees.")
@click.option("--temperature", type=float, help="Randomness of attempts and rollouts.  [default: 0.8]")
@click.option("--max-tokens", type=int, help="Most tokens of one of them.  [default: 512]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds and of the learner.")
@click.option("--concurrency", type=click.IntRange(min=1), default=4, show_default=True, help="Problems in flight.")
@click.option("--bank", help="A file that keeps every sample, or none.  [default: OUT.bank.sqlite; env: NLRL_BANK]")
@click.option("--prices", help="Of a server: money per million prompt and completion tokens, such as 0.15,0.60.")
def prm(
    data: DataFiles,
    model: str | None,
    out: Path,
    rollouts: int,
    attempts: int,
    steps: int,
    limit: int | None,
    budget: str | None,
    head: str | None,
    temperature: float | None,
    max_tokens: int | None,
    seed: int,
    concurrency: int,
    bank: str | None,
    prices: str | None,
) -> int:
    """Train a process reward model: how likely is a right answer after each step?

    Samples attempts at problems with references, completes each attempt from every step a few times, and learns from
    the share that came out right (Math-Shepherd, Wang et al. 2024). Stop it whenever you like: the same command goes on
    where it was. At the end: how good the model is on problems that it had not seen, and how to use it.
    """
    from rich.console import Console

    from nlrl.cli.budgets import parse_budget
    from nlrl.cli.openers import sampling

    _check_learner(head)
    if out.is_dir():
        raise click.BadParameter(f"{str(out)!r} is a directory; name a file, such as {out / 'math.prm.json'}")
    how = {"rollouts": rollouts, "attempts": attempts, "max_steps": steps, "concurrency": concurrency}
    limits, drawing = parse_budget(budget), sampling(temperature, max_tokens)
    console = Console(stderr=True)
    try:
        file = asyncio.run(_train(data, model, limit, how, limits, drawing, head, seed, out, bank, prices, console))
    except KeyboardInterrupt as stop:
        stop.add_note(f"What was sampled is kept. Go on with:\n  {_same_command()}")
        raise
    for line in report_lines(file):
        click.echo(line)
    click.echo(
        f"\nWritten: {out}\nUse it:  nlrl bench {data.typed} --strategy 'weighted_vote(n=8)' --verifier prm:{out}"
    )
    return 0


async def _train(
    data: DataFiles,
    spec: str | None,
    limit: int | None,
    how: dict[str, Any],
    budget: Budget,
    drawing: Sampling,
    head: str | None,
    seed: int,
    out: Path,
    bank: str | None,
    prices: str | None,
    console: Console,
) -> PRMFile:
    from nlrl.cli.openers import check_measurable, open_bank, open_model, open_problems
    from nlrl.cli.solve import load
    from nlrl.core.version import __version__
    from nlrl.learning.rollouts import label_attempts
    from nlrl.verifiers.prm.trees import write_prm

    problems = open_problems(data, limit, bank, tell=lambda text: click.echo(text, err=True))
    model = open_model(spec or None, problems, bank, prices)
    try:
        await load(model, console)
        check_measurable(budget, model)
        console.print(f"{len(problems)} problems, {model.name}", markup=False, highlight=False)
        with open_bank(bank, Path(f"{out}.bank.sqlite")) as samples:
            labelled = await label_attempts(
                problems, model, **how, budget=budget, bank=samples, sampling=drawing, on_event=_Teller(console)
            )
    finally:
        await model.aclose()
    _say(labelled, console)
    provenance: dict[str, Any] = {
        "nlrl": __version__,
        "model": model.name,
        "data": str(data),
        "asked": {name: value for name, value in how.items() if name != "concurrency"},
        "temperature": drawing.temperature,
        "max_tokens": drawing.max_tokens,
    }
    if head:
        from nlrl.learning.linear_head import train_head

        file = await asyncio.to_thread(train_head, labelled, head, provenance=provenance, seed=seed)
    else:
        from nlrl.learning.prm import train_prm

        file = await asyncio.to_thread(train_prm, labelled, provenance=provenance, seed=seed)
    write_prm(file, out)
    return file


def _check_learner(head: str | None) -> None:
    """What the learner needs must be missing before the sampling, not after it."""
    if head:
        from nlrl.models.transformers.load import require

        require("torch", "transformers")
    else:
        from nlrl.learning.boosting import require_sklearn

        require_sklearn()


class _Teller:
    """A line every few seconds, and one at the start and the end."""

    def __init__(self, console: Console) -> None:
        self.console, self.told, self.begun = console, -_LINE_EVERY_S, time.monotonic()

    def __call__(self, now: LabelProgress) -> None:
        from nlrl.cli.progress import clock

        at = time.monotonic()
        if at - self.told < _LINE_EVERY_S and now.done < now.total:
            return
        self.told = at
        parts = [f"{now.done}/{now.total} problems", f"{now.steps:,} steps labelled", f"{now.tokens:,} tokens"]
        if now.generated:
            parts.append(f"{now.generated / max(at - self.begun, 1e-3):.0f} generated/s")
        if 0 < now.done < now.total:
            parts.append(f"{clock((at - self.begun) / now.done * (now.total - now.done))} left")
        self.console.print(", ".join(parts), markup=False, highlight=False, soft_wrap=True)


def _say(labelled: Labelled, console: Console) -> None:
    for reason, times in labelled.skipped.most_common():
        console.print(f"Left out: {reason} ({times} times)", markup=False, highlight=False)
    if labelled.stopped:
        console.print(
            f"The budget ended ({labelled.stopped}); {labelled.problems} problems were begun.",
            markup=False,
            highlight=False,
        )


def report_lines(file: PRMFile) -> list[str]:
    """What was learnt from, and how good it is, for people."""
    made, held = file.provenance, file.held_out

    def number(name: str) -> str:
        return "-" if held.get(name) is None else f"{held[name]:.3f}"

    lines = [
        f"Learnt from {made['steps']:,} steps of {made['attempts']:,} attempts at {made['problems']:,} problems "
        f"({made['attempts_right']:,} attempts right), {made['rollouts']:,} rollouts, {made['tokens']:,} tokens.",
        f"On problems it had not seen ({held['how']}):",
        f"  AUC                     {number('auc')}   right steps above wrong ones; 0.5 is chance",
        f"  AUC before the answer   {number('auc_before_the_answer')}   of steps after which the end was still open",
        f"  AUC of attempts         {number('auc_of_attempts')}   right attempts above wrong ones, by their last step",
        f"  Brier score             {number('brier')}   {number('brier_of_mean')} for always saying the mean label",
        f"  calibration error       {number('calibration_error')}   mean label {number('mean_label')}",
        "  predicted   observed   steps",
    ]
    lines += [f"  {b['predicted']:>9.2f}   {b['observed']:>8.2f}   {b['steps']:>5}" for b in held["calibration"]]
    if held.get("brier") is not None and held["brier"] >= held["brier_of_mean"]:
        lines.append("It is no better than the mean label. More problems (--limit) or --rollouts may help.")
    return lines


def _same_command() -> str:
    context = click.get_current_context()
    return shlex.join(["nlrl", *context.find_root().obj.get("args", sys.argv[1:])])
