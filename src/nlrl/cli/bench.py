"""`nlrl bench`: measure strategies on data sets, and go on after whatever stopped it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.budgets import format_budget, parse_budget
from nlrl.cli.datafiles import DataFiles, data_options
from nlrl.cli.failures import FAILED, INTERRUPTED
from nlrl.cli.frame import Command
from nlrl.cli.profiling import profile_option
from nlrl.strategies import parse_strategy

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.core import Model, Verifier
    from nlrl.evaluation.config import RunConfig
    from nlrl.evaluation.run import Run
    from nlrl.learning.language.asking.policy import LanguagePolicy

# What to compare when nothing is named, on the same eight samples: one attempt, a vote, and by scores a weighted vote
# and the one best.
_STRATEGIES = ("direct", "self_consistency(n=8)", "weighted_vote(n=8)", "best_of_n(n=8, select=best)")
_SAMPLES = 8


@click.command(
    cls=Command,
    examples="""
        nlrl bench --data builtin:math --limit 10
        nlrl bench --data gsm8k.jsonl --strategy direct --strategy "weighted_vote(n=16)" --samples 16 --out runs/gsm8k
        nlrl bench --data builtin:coding --budget tokens=8k --model smollm2-135m
        nlrl bench --data builtin:math --model stochastic:0.6
        nlrl bench --data triviaqa.jsonl --second-look http://localhost:8000/v1#Qwen/Qwen2.5-7B-Instruct
    """,
)
@data_options
@click.option("-s", "--strategy", "strategies", multiple=True, help="May be repeated.  [default: three common ones]")
@click.option("-b", "--budget", help="Per problem and strategy, such as tokens=4k,calls=16,seconds=30.")
@click.option("-k", "--samples", type=int, help="Attempts per problem that all strategies share, for the curves.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only the first problems of each data set.")
@click.option("-m", "--model", envvar="NLRL_MODEL", help="A model; see: nlrl models list.  [env: NLRL_MODEL]")
@click.option("--prices", help="Of a server: money per million prompt and completion tokens, such as 0.15,0.60.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Directory of the run.  [default: runs/...]")
@click.option("--policy-prompt", help="A policy.json of nlrl improve: how the model is asked.")
@click.option(
    "--verifier", default="auto", show_default=True, help="What scores the samples for best-of-k and the weighted vote."
)
@click.option("--second-look", help="A model that is asked again where the grader's rules say no.  [default: none]")
@click.option("--temperature", type=float, help="Randomness of the attempts.  [default: 0.8]")
@click.option("--max-tokens", type=int, help="Most tokens of one attempt.  [default: 512]")
@click.option("--seed", type=int, help="Attempt i is drawn with seed + i, where the model takes seeds.")
@click.option("--concurrency", type=int, default=4, show_default=True, help="Problems in flight.")
@click.option("--bank", help="A file that keeps every sample, or none.  [default: OUT/bank.sqlite; env: NLRL_BANK]")
@profile_option
def bench(
    data: DataFiles,
    strategies: tuple[str, ...],
    budget: str | None,
    samples: int | None,
    limit: int | None,
    model: str | None,
    prices: str | None,
    out: Path | None,
    policy_prompt: str | None,
    verifier: str,
    second_look: str | None,
    temperature: float | None,
    max_tokens: int | None,
    seed: int | None,
    concurrency: int,
    bank: str | None,
) -> int:
    """Measure strategies on the same samples of the same problems.

    Stop it whenever you like (Ctrl-C, or worse): the same command goes on where it was. At the end: tables, and the
    paths of the records, the summary, the picture and the page.
    """
    from rich.console import Console

    from nlrl.cli.openers import sampling
    from nlrl.cli.report import say_written, show_run
    from nlrl.compute.machine import in_words
    from nlrl.evaluation.config import RunConfig
    from nlrl.evaluation.report import FORMATS
    from nlrl.learning.language.asking.policy import load_language_policy
    from nlrl.verifiers.registry import get_verifier

    policy = load_language_policy(policy_prompt) if policy_prompt else None
    get_verifier(verifier)  # a mistyped name must be said before anything is loaded
    if not strategies and samples is None:
        strategies, samples = _STRATEGIES, _SAMPLES
    config = RunConfig(
        strategies=strategies,
        data=str(data),
        model=model or "",
        budget=parse_budget(budget),
        samples=samples,
        sampling=sampling(temperature, max_tokens),
        seed=seed,
        verifier=verifier,
        second_look=second_look or "",
        prompt=policy.id if policy else "",
        concurrency=concurrency,
    )
    path = out or default_out(config, limit)
    console = Console(stderr=True)
    try:
        run = asyncio.run(_run(config, policy, data, limit, prices, path, bank, console))
    except Exception as error:
        if (path / "records.jsonl").exists():
            error.add_note(f"What is done is kept in {path}. When it is mended, go on with: {_same_command()}")
        raise
    if run.interrupted:
        done = f"{run.progress.done} of {run.progress.total} records are done"
        click.echo(f"\nInterrupted; {done}. Resume with:\n  {_same_command()}", err=True)
        return INTERRUPTED
    _, written = show_run(path, FORMATS)
    say_written(path, written)
    click.echo(f"used     {in_words(run.used)}")
    problems = run.progress.total // len(run.progress.standing)
    if broken := [name for name, standing in run.progress.standing.items() if standing.failed >= problems > 0]:
        click.echo(f"\nFailed on every problem: {', '.join(broken)}. The page and the records say why.", err=True)
        return FAILED
    return 0


async def _run(
    config: RunConfig,
    policy: LanguagePolicy | None,
    data: DataFiles,
    limit: int | None,
    prices: str | None,
    path: Path,
    bank: str | None,
    console: Console,
) -> Run:
    from nlrl.cli.openers import check_measurable, open_bank, open_model, open_problems
    from nlrl.cli.progress import bench_view
    from nlrl.cli.solve import load
    from nlrl.evaluation.run import run_benchmark
    from nlrl.models.weights.known import DEFAULT_MODEL

    problems = open_problems(data, limit, bank, tell=lambda text: click.echo(text, err=True))
    model = open_model(config.model or None, problems, bank, prices)
    looker = model
    try:
        if config.second_look:
            if config.second_look != (config.model or DEFAULT_MODEL):  # weights are loaded once
                looker = open_model(config.second_look, problems, bank)
            await load(looker, console)
        await load(model, console)
        check_measurable(config.budget, model)
        _check_policies(config, model.name)
        console.print(f"{len(problems)} problems, {model.name}, into {path}", markup=False, highlight=False)
        # the bank comes last: what fails before it leaves no directory behind
        with open_bank(bank, path / "bank.sqlite") as samples, bench_view(console) as view:
            run = await run_benchmark(
                config, model, problems, bank=samples, out_dir=path, on_event=view,
                prompt=policy.messages if policy else None, grader=_grader(config, looker),
            )  # fmt: skip
    finally:
        await model.aclose()
        if looker is not model:
            await looker.aclose()
    if run.duplicates:
        console.print(f"{run.duplicates} problems were left out, since equal ones came before.", highlight=False)
    if run.torn_bytes:
        console.print(f"A half-written record ({run.torn_bytes} bytes) was cut off and made again.", highlight=False)
    return run


def _grader(config: RunConfig, looker: Model) -> Verifier | None:
    """The standard grader with a second look, where one was asked for."""
    if not config.second_look:
        return None
    from nlrl.verifiers.second_look import SecondLook

    return SecondLook(looker)


def _check_policies(config: RunConfig, model: str) -> None:
    """A policy that cannot be used must be refused before anything is sampled, and not once per problem."""
    for spec in map(parse_strategy, config.strategies):
        if spec.name == "auto":
            from nlrl.scaling.auto import plan_for

            plan_for(**{"policy": None, **spec.parameters}, model=model)


def default_out(config: RunConfig, limit: int | None) -> Path:
    """A directory named after the settings, so that the same command finds its own run again."""
    settings = repr((config.settings(), config.data, config.model, limit, format_budget(config.budget)))
    digest = hashlib.sha256(settings.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    sets = config.data.split(" (")[0].split()  # behind them stands which columns were chosen
    names = [re.sub(r"[^\w.-]+", "-", Path(text).stem if "/" in text else text) for text in sets]
    model = re.sub(r"[^\w.-]+", "-", config.model) or "default"
    return Path("runs", f"{'+'.join(names)[:60]}-{model[-40:]}-{digest}")


def _same_command() -> str:
    context = click.get_current_context()
    return shlex.join(["nlrl", *context.find_root().obj.get("args", sys.argv[1:])])
