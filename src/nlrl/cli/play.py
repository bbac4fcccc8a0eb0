"""`nlrl play`: language policy iteration in an environment, from the first clumsy step."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nlrl.cli.budgets import parse_budget
from nlrl.cli.frame import Command
from nlrl.core import BudgetExhausted, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.core import Model, Sampling
    from nlrl.environments.finite import FiniteEnvironment
    from nlrl.learning.language.acting.episodes import Episode
    from nlrl.learning.language.acting.gpi import ActingSettings, Iteration
    from nlrl.learning.language.acting.report import Line

_SHOWN = 5  # changes that are printed after an iteration


@click.command(
    cls=Command,
    examples="""
        nlrl play
        nlrl play "maze(layout=umaze)" --model oracle --iterations 12
        nlrl play "frozen_lake(slippery=true)" --model oracle --sweeps 12 --iterations 20
        nlrl play "maze(layout=double_t)" --model oracle --fit sft --sweeps 3 --iterations 9
        nlrl play "tic_tac_toe(first=true)" --iterations 0 --test-episodes 5
        nlrl play "maze(layout=umaze)" --critic oracle --draws 8 --budget tokens=100k
    """,
)
@click.argument("environment", required=False)
@click.option("-m", "--model", envvar="NLRL_MODEL", help="Who speaks; 'oracle' calculates.  [env: NLRL_MODEL]")
@click.option("--critic", help="Who joins, merges and compares evaluations, if not --model; 'oracle' calculates.")
@click.option("-i", "--iterations", type=click.IntRange(min=0), default=3, show_default=True, help="0: only play.")
@click.option("--sweeps", type=click.IntRange(min=0), default=1, show_default=True, help="Evaluations an iteration.")
@click.option(
    "--fit",
    type=click.Choice(["none", "store", "retrieve", "sft"]),
    default="store",
    show_default=True,
    help="Of texts; none: look ahead at each decision, and learn nothing.",
)
@click.option(
    "--start", type=click.Choice(["model", "uniform"]), help="First policy.  [default: model; oracle: uniform]"
)
@click.option(
    "--steps", type=click.IntRange(min=0), default=1, show_default=True, help="Look-ahead; 0: whole episodes."
)
@click.option("-k", "--samples", type=click.IntRange(min=1), help="Sampled ways an action may go.  [default: all]")
@click.option("--draws", type=click.IntRange(min=1), help="Policy draws to find actions.  [default: all legal actions]")
@click.option("--top", type=click.IntRange(min=1), help="Most frequent of them that are looked at.  [default: all]")
@click.option("--refine", is_flag=True, help="Tell the policy what would follow, in place of comparing actions.")
@click.option("--successors", is_flag=True, help="With --refine: fit texts of what follows, too.")
@click.option("--episodes", type=click.IntRange(min=1), help="Learn where these lead.  [default: in every state]")
@click.option(
    "--test-episodes", "--held-out", "held_out", type=click.IntRange(min=0), default=20, show_default=True,
    help="Episodes to test on; nothing is learned from them.",
)  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Runs, for the curve's interval."
)
@click.option("-b", "--budget", help='Of a run, such as "tokens=100k".')
@click.option("--temperature", type=float, help="Of the policy's draws.  [default: 0.8]")
@click.option("--max-tokens", type=int, help="Of one text.  [default: 256]")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="[default: runs/play-ENVIRONMENT-MODEL]")
@click.option("--bank", help="A file that keeps every text.  [default: OUT/bank.sqlite; env: NLRL_BANK]")
def play(
    environment: str | None,
    model: str | None,
    critic: str | None,
    iterations: int,
    sweeps: int,
    fit: str,
    start: str | None,
    steps: int,
    samples: int | None,
    draws: int | None,
    top: int | None,
    refine: bool,
    successors: bool,
    episodes: int | None,
    held_out: int,
    seeds: int,
    budget: str | None,
    temperature: float | None,
    max_tokens: int | None,
    out: Path | None,
    bank: str | None,
) -> int:
    """Learn to act in ENVIRONMENT by language policy iteration: evaluate in words, compare, decide, again.

    Without ENVIRONMENT, list them. Stop it whenever you like: what was said is kept, and the same command goes on.
    """
    from rich.console import Console

    from nlrl.cli.openers import sampling
    from nlrl.environments import make, names
    from nlrl.learning.language.acting.evaluation import Evaluation
    from nlrl.learning.language.acting.gpi import ActingSettings
    from nlrl.learning.language.acting.improvement import Enumerate, Refine

    if environment is None:
        for name, about in names().items():
            click.echo(f"{name:14} {about}")
        return 0
    if successors and not refine:
        raise UserError("--successors are what --refine tells the policy; give both.")
    if fit == "none" and model == "oracle":
        raise UserError("The oracle knows no state's worth. With --fit none, give a --model, and --critic oracle.")
    env = make(environment)
    settings = ActingSettings(
        iterations=iterations,
        sweeps=sweeps,
        evaluation=Evaluation(steps=steps or None, samples=samples),
        improvement=Refine() if refine else Enumerate(draws=draws, top=top),
        episodes=episodes,
        held_out=tuple(range(10_000, 10_000 + held_out)),
        tolerance=1e-5,
        fit=fit != "none",
    )
    console = Console(stderr=True, soft_wrap=True)
    drawing = sampling(temperature, max_tokens)
    uniform = start == "uniform" or (start is None and model == "oracle")
    config = {
        "environment": env.name, "model": model, "critic": critic, "start": "uniform" if uniform else "model",
        "iterations": iterations, "sweeps": sweeps, "fit": fit, "steps": steps, "samples": samples, "draws": draws,
        "top": top, "refine": "successors" if successors else refine, "episodes": episodes, "held_out": held_out,
        "temperature": temperature, "max_tokens": max_tokens,
    }  # fmt: skip
    out = out or Path("runs", "play-" + re.sub(r"[^\w.]+", "-", f"{env.name} {model or 'default'}").strip("-"))
    _claim(out, config)
    try:
        lines, learned, name, shown = asyncio.run(
            _run(env, model, critic, settings, fit, successors, uniform, seeds, budget, drawing, out, bank, console)
        )
    except KeyboardInterrupt as stop:
        from nlrl.cli.calibrate import _same_command

        stop.add_note(f"What was said is kept. Go on with:\n  {_same_command()}")
        raise
    from nlrl.learning.language.acting.report import write_report

    facts = {"environment": env.name, "model": name, "rules": env.rules}
    facts["settings"] = ", ".join(f"{key}={value}" for key, value in config.items() if value not in (None, False))
    for path in write_report(f"{env.name}, {name}", facts, lines, learned, out):
        click.echo(f"{path.suffix[1:]:8} {path}")
    if shown is not None and iterations == 0:
        _tell(shown)
    return 0


async def _run(
    env: FiniteEnvironment, model: str | None, critic: str | None, settings: ActingSettings, fit: str, successors: bool,
    uniform: bool, seeds: int, budget: str | None, drawing: Sampling, out: Path, bank: str | None, console: Console,
) -> tuple[list[Line], dict[int, list[tuple[str, str, str]]], str, Episode | None]:  # fmt: skip
    from dataclasses import replace

    from nlrl.cli.openers import open_bank, open_model
    from nlrl.cli.solve import load
    from nlrl.learning.language.acting.desk import CRITIC_ROLES, Desk
    from nlrl.learning.language.acting.episodes import play as play_episodes
    from nlrl.learning.language.acting.fits import fitted_policy, fitted_value
    from nlrl.learning.language.acting.gpi import language_policy_iteration
    from nlrl.learning.language.acting.improvement import Refine
    from nlrl.learning.language.acting.operators import Operators
    from nlrl.learning.language.acting.oracle import OracleModel
    from nlrl.learning.language.acting.policies import PromptedPolicy, Uniform
    from nlrl.learning.language.acting.report import learned_row, line, start_line

    opened: Model = OracleModel() if model == "oracle" else open_model(model or None, [], bank)
    judge: Model | None = OracleModel() if critic == "oracle" else open_model(critic, [], bank) if critic else None
    lines: list[Line] = []
    learned: dict[int, list[tuple[str, str, str]]] = {}
    shown: Episode | None = None
    try:
        await load(opened, console)
        console.print(f"{env.name}, {opened.name}, into {out}", markup=False, highlight=False)
        with open_bank(bank, out / "bank.sqlite") as kept:
            for seed in range(seeds):
                desk = Desk(
                    opened,
                    roles=dict.fromkeys(CRITIC_ROLES, judge) if judge else {},
                    bank=kept,
                    budget=parse_budget(budget),
                    sampling=replace(drawing, seed=seed),
                )
                operators = Operators(env, desk)
                start = Uniform(env, seed) if uniform else PromptedPolicy(env, desk)
                value, policy = fitted_value(fit, operators, seed), fitted_policy(fit, operators, start, seed + 1)
                own = replace(settings, seed=seed)
                if successors:
                    own = replace(own, improvement=Refine(successors=fitted_value(fit, operators, seed + 2)))
                try:
                    before = await play_episodes(env, policy, settings.held_out) if settings.held_out else None
                except BudgetExhausted as spent:
                    lines.append(start_line(seed, None, desk))
                    console.print(
                        f"seed {seed}: {spent} It ended in the first test, before anything was learned. "
                        "Raise --budget, or lower --test-episodes.",
                        markup=False,
                    )
                    continue
                lines.append(start_line(seed, before, desk))
                if before:
                    shown = before.episodes[0]
                    console.print(f"seed {seed}, at first: {_result(before.mean_return, before.success_rate)}")

                def told(iteration: Iteration, seed: int = seed) -> None:
                    lines.append(line(env, seed, iteration))
                    _progress(console, env, seed, iteration)

                result = await language_policy_iteration(operators, value, policy, own, on_iteration=told)
                console.print(f"seed {seed}: stopped by {result.stopped}", markup=False, highlight=False)
                states = {change.state for iteration in result.iterations for change in iteration.changes}
                learned[seed] = [await learned_row(env, value, result.policy, s) for s in sorted(states, key=repr)]
    finally:
        await opened.aclose()
        if judge is not None:
            await judge.aclose()
    return lines, learned, opened.name, shown


def _claim(out: Path, config: dict[str, Any]) -> None:
    """Make the directory this run's. Raises UserError if it holds another one: only more iterations go on."""
    from nlrl.core.kept_files import make_folder, write_whole

    file = out / "config.json"
    if file.exists():
        try:
            before = json.loads(file.read_text("utf-8"))
            differ = [key for key in config if before[key] != config[key] and key != "iterations"]
            differ += ["iterations"] * (config["iterations"] < before["iterations"])
        except (ValueError, KeyError, TypeError):
            differ = ["config.json"]
        if differ:
            raise UserError(f"{out} holds a run with other settings ({', '.join(differ)}). Choose another --out.")
    make_folder(out)
    write_whole(file, json.dumps(config, indent=1).encode() + b"\n")


def _result(mean_return: float, success: float | None) -> str:
    return f"return {mean_return:.3f}" + (f", success {100 * success:.0f} %" if success is not None else "")


def _progress(console: Console, env: FiniteEnvironment, seed: int, iteration: Iteration) -> None:
    played = f"{_result(iteration.played.mean_return, iteration.played.success_rate)}; " if iteration.played else ""
    total = iteration.usage.total
    console.print(
        f"seed {seed}, iteration {iteration.number}: {played}{len(iteration.changes)} of {iteration.states} decisions "
        f"changed; so far {sum(iteration.calls.values()):,} calls, {total.tokens:,} tokens; {iteration.seconds:.1f} s",
        markup=False,
        highlight=False,
    )
    for change in iteration.changes[:_SHOWN]:
        state = " ".join(env.describe(change.state).split())
        console.print(f"    {change.before or '-'} -> {change.after}   {state}", markup=False, highlight=False)
    if len(iteration.changes) > _SHOWN:
        console.print(f"    and {len(iteration.changes) - _SHOWN} more", markup=False, highlight=False)
    heard = ", ".join(f"{n} {what}" for what, n in iteration.heard.items() if n)
    if heard:
        console.print(f"    heard so far: {heard}", markup=False, highlight=False)


def _tell(episode: Episode) -> None:
    """One episode, step by step."""
    from nlrl.cli.live import printable

    for move in episode.moves:
        click.echo(f"\n{move.observation.strip()}\n> {printable(move.decision.text.strip())}")
        did = move.decision.action or "no action could be read"
        click.echo(f"  {did}: reward {move.reward:g}" + (f" ({move.note})" if move.note else ""))
    click.echo(f"\nreturn {episode.total:g}" + (f"; {episode.failed}" if episode.failed else ""))
