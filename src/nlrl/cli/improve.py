"""`nlrl improve`: a better language policy from the model's own rollouts, and the page that says how it came about."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.budgets import format_budget, parse_budget
from nlrl.cli.datafiles import DataFiles, data_options
from nlrl.cli.frame import Command

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.core import Budget, Problem
    from nlrl.learning.language.asking.improve_policy import Improvement
    from nlrl.learning.language.asking.log import Entry
    from nlrl.learning.language.asking.turn import AskingSettings

PICTURE, PAGE = "learning.png", "report.html"


@click.command(
    cls=Command,
    examples="""
        nlrl improve --data gsm8k.jsonl --iterations 4 --budget tokens=50k --out runs/gsm8k-policy
        nlrl improve --data builtin:commonsense --model qwen2.5-coder-0.5b --critic http://localhost:8000
        nlrl improve --data questions.csv --reward-model judge --strategy "weighted_vote(n=4)" --minibatch 12
        nlrl improve --data builtin:math --model stochastic:0.6 --seeds 3
    """,
)
@data_options
@click.option("-i", "--iterations", type=click.IntRange(min=0), default=4, show_default=True, help="Proposals to try.")
@click.option("-m", "--model", envvar="NLRL_MODEL", help="A model; see: nlrl models list.  [env: NLRL_MODEL]")
@click.option("--critic", help="The model that reads attempts and proposes.  [default: the same]")
@click.option("--reward-model", "reward_models", multiple=True, help="A verifier for problems without a reference.")
@click.option("-s", "--strategy", default="direct", show_default=True, help="How each answer is made.")
@click.option("-b", "--budget", help="Of a run, such as tokens=50k.")
@click.option("--start", type=click.Path(path_type=Path), help="A policy file to start from.  [default: the task's]")
@click.option("--minibatch", type=click.IntRange(min=1), default=8, show_default=True, help="Problems read at a time.")
@click.option(
    "--validation", type=float, default=0.5, show_default=True, help="Share of problems a candidate must win."
)
@click.option("-k", "--samples", type=click.IntRange(min=1), default=1, show_default=True, help="Answers per problem.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only the first problems of each data set.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("runs/language-policy"), show_default=True)
@click.option("--temperature", type=float, help="Randomness of the attempts.  [default: 0.8]")
@click.option("--max-tokens", type=int, help="Most tokens of one attempt.  [default: 512]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of splits and draws.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Runs, for a curve over seeds.")
@click.option("--concurrency", type=click.IntRange(min=1), default=4, show_default=True, help="Problems in flight.")
@click.option("--bank", help="A file that keeps every sample.  [default: OUT/bank.sqlite; env: NLRL_BANK]")
@click.option("--prices", help="Of a server: money per million prompt and completion tokens, such as 0.15,0.60.")
def improve(
    data: DataFiles, iterations: int, model: str | None, critic: str | None, reward_models: tuple[str, ...],
    strategy: str, budget: str | None, start: Path | None, minibatch: int, validation: float, samples: int,
    limit: int | None, out: Path, temperature: float | None, max_tokens: int | None, seed: int, seeds: int,
    concurrency: int, bank: str | None, prices: str | None,
) -> int:  # fmt: skip
    """Improve how a model is asked: an instruction, numbered rules and worked examples, from its own attempts.

    Half of the problems teach, the other half decide: a change is kept only if it holds there. Stop it whenever you
    like; the same command goes on where it was.
    """
    from rich.console import Console

    from nlrl.cli.openers import sampling
    from nlrl.learning.language.asking.turn import AskingSettings
    from nlrl.strategies import get_strategy
    from nlrl.verifiers.registry import get_verifier

    get_strategy(strategy)  # mistyped names must be said before anything is loaded
    for name in reward_models:
        get_verifier(name)
    limits, drawing = parse_budget(budget), sampling(temperature, max_tokens)
    console = Console(stderr=True)

    def settings_of(number: int) -> AskingSettings:
        return AskingSettings(iterations, strategy, minibatch, validation, samples, sampling=drawing, seed=number)

    async def work() -> tuple[list[Improvement], list[Problem], str]:
        from nlrl.cli.openers import open_bank, open_model, open_problems
        from nlrl.cli.solve import load
        from nlrl.learning.language.asking.improve_policy import improve_policy
        from nlrl.learning.language.asking.policy import load_language_policy

        problems = open_problems(
            data, limit, bank, tell=lambda text: click.echo(text, err=True), graded=not reward_models
        )
        first = load_language_policy(start) if start else None
        opened = open_model(model or None, problems, bank, prices)
        reader = open_model(critic, problems, bank) if critic else None
        try:
            await load(opened, console)
            console.print(f"{len(problems)} problems, {opened.name}, into {out}", markup=False, highlight=False)
            found = []
            with open_bank(bank, out / "bank.sqlite") as kept:
                for number in range(seed, seed + seeds):
                    found.append(
                        await improve_policy(
                            opened, problems, settings=settings_of(number), start=first, critic=reader,
                            reward_models=reward_models, budget=limits, bank=kept, concurrency=concurrency,
                            out=out if seeds == 1 else out / f"seed-{number}", on_iteration=_teller(console),
                        )
                    )  # fmt: skip
            return found, problems, opened.name
        finally:
            await opened.aclose()
            if reader is not None:
                await reader.aclose()

    try:
        found, problems, name = asyncio.run(work())
    except KeyboardInterrupt as stop:
        stop.add_note(f"What was sampled is kept. Go on with:\n  {_same_command()}")
        raise
    _write(found, problems, name, data, limits, out, console)
    _show(found, out if seeds == 1 else out / f"seed-{seed}")
    return 0


def _teller(console: Console) -> Callable[[Entry], None]:
    """A line an iteration, and what changed."""
    from nlrl.learning.language.asking.page import in_words
    from nlrl.learning.language.asking.policy import LanguagePolicy, diff

    known: dict[str, LanguagePolicy] = {}

    def tell(done: Entry) -> None:
        if done.policy is not None:
            known[done.policy.id] = done.policy
        line = f"{done.iteration} {done.kind or 'no proposal'}: {done.decision}"
        seen = done.validation or done.minibatch
        if seen is not None:
            line += f", {'validation' if done.validation else 'minibatch'} {in_words(seen)}"
        line += f"; incumbent {100 * done.accuracy:.1f} %, {done.tokens:,} tokens"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        if done.iteration and done.policy is not None and done.parents:
            before = known.get(done.parents[0], LanguagePolicy())
            for change in diff(before, done.policy):
                style = "green" if change.startswith("+") else "red"
                console.print(f"    {change}", style=style, markup=False, highlight=False, soft_wrap=True)

    return tell


def _write(
    found: list[Improvement], problems: list[Problem], model: str, data: DataFiles, limits: Budget, out: Path,
    console: Console,
) -> None:  # fmt: skip
    from nlrl.core import MissingExtra
    from nlrl.learning.language.asking.page import save_page
    from nlrl.learning.language.asking.plot import save_png

    runs, title = [f.iterations for f in found], f"{model} on {data}"
    picture: Path | None = out / PICTURE
    try:
        save_png(title, runs, out / PICTURE)
    except MissingExtra as missing:
        console.print(f"No picture: {missing}", markup=False, highlight=False)
        picture = None
    facts = {
        "model": model,
        "data": f"{data}, {len(problems)} problems",
        "budget": format_budget(limits) or "none",
        "spent": f"{sum(f.tokens for f in found):,} tokens",
        "replies that were no edit": str(sum(f.unparsed for f in found)),
        "attempts on which the critic failed": str(sum(f.failed_notes for f in found)),
    }
    save_page(title, facts, runs, {p.id: p for p in problems}, out / PAGE, picture)


def _show(found: list[Improvement], where: Path) -> None:
    from nlrl.cli.live import printable
    from nlrl.learning.language.asking.policy import LanguagePolicy, diff

    for number, one in enumerate(found):
        if len(found) > 1:
            click.echo(f"Run {number + 1}:")
        for line in diff(LanguagePolicy(), one.policy) or ["The prompt of the task, unchanged: no change held."]:
            click.echo(printable(line))
        first, last = one.iterations[0], one.iterations[-1]
        if first.decision == "stopped":
            click.echo(
                f"The budget of {one.stopped} is too small: it ended before the start policy was tried on the "
                f"validation problems, after {one.tokens:,} tokens. Run it again with a larger --budget: it goes on."
            )
            continue
        click.echo(
            f"Validation: {100 * first.accuracy:.1f} % before, {100 * last.accuracy:.1f} % after (the figure it was "
            f"chosen by; test it on other problems). {one.tokens:,} tokens."
        )
        if one.stopped:
            click.echo(
                f"The budget of {one.stopped} ended before all iterations were made; with a larger one it goes on."
            )
    base = where if len(found) == 1 else where.parent
    click.echo(f"\npage     {base / PAGE}\npolicy   {where / 'policy.json'}")
    if any(diff(LanguagePolicy(), one.policy) for one in found):
        click.echo(f"\nUse it:  nlrl solve --policy-prompt {where / 'policy.json'} 'your question'")


def _same_command() -> str:
    context = click.get_current_context(silent=True)
    args = context.find_root().obj.get("args", sys.argv[1:]) if context else sys.argv[1:]
    return shlex.join(["nlrl", *args])
