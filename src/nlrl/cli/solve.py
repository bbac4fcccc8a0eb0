"""`nlrl solve`: one question, its attempts as they are written, the answer, how sure it is, and what it cost."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from nlrl.cli import account
from nlrl.cli.budgets import parse_budget
from nlrl.cli.frame import Command
from nlrl.cli.inputs import read_question
from nlrl.cli.live import live_view, printable
from nlrl.cli.profiling import profile_option
from nlrl.core import Answer, Budget, Problem, Sampling, TaskType, UserError, blind

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.compute.handle import Prompter
    from nlrl.core import Model
    from nlrl.tasks.classify import Classification

# With a budget and no strategy: attempts until it is sure enough, or for programs, which no plain vote settles, eight
# weighed by their tests; the budget cuts either short.
_WITH_BUDGET = {TaskType.CODING: "weighted_vote(n=8)", TaskType.WRITING: "weighted_vote(n=8)"}
_WITH_BUDGET_ELSE = "adaptive_consistency(n=16)"
_WITHOUT_BUDGET = "direct"


@dataclass(frozen=True)
class Ask:
    """What the command line said."""

    problem: Problem
    strategy: str
    model: str | None
    prices: str | None
    budget: Budget
    sampling: Sampling
    bank: str | None
    policy_prompt: str | None
    hinted: bool  # whether the strategy is only our default, so that a hint how to spend more is in place


@click.command(
    cls=Command,
    examples="""
        nlrl solve "What is 17 + 25?"
        nlrl solve --strategy "self_consistency(n=8)" "How many minutes are 3.5 hours?"
        nlrl solve --budget "tokens=4k,seconds=30" --reference 210 @question.txt
        echo "Write a function that reverses a list." | nlrl solve --task coding --quiet -
    """,
)
@click.argument("question", nargs=-1, required=True)
@click.option("-s", "--strategy", help="How to spend, such as weighted_vote(n=8); see: nlrl strategies.")
@click.option("-b", "--budget", help="Limits, such as tokens=4k,calls=16,seconds=30,cost=0.05,flops=1e12.")
@click.option("-m", "--model", envvar="NLRL_MODEL", help="A model; see: nlrl models list.  [env: NLRL_MODEL]")
@click.option("--prices", help="Of a server: money per million prompt and completion tokens, such as 0.15,0.60.")
@click.option("--task", type=click.Choice([str(t) for t in TaskType]), help="Do not classify; it is this.")
@click.option("--reference", help="The right answer: the attempt is judged by it, after the fact.")
@click.option("--policy-prompt", help="A policy.json of nlrl improve: how the model is asked.")
@click.option("--verifier", help="What scores attempts, where the strategy uses a verifier.")
@click.option("--temperature", type=float, help="Randomness of the attempts.  [default: 0.8]")
@click.option("--max-tokens", type=int, help="Most tokens of one attempt.  [default: 512]")
@click.option("--seed", type=int, help="Attempt i is drawn with seed + i, where the model takes seeds.")
@click.option("--bank", help="A file that keeps every sample, or none.  [default: none; env: NLRL_BANK]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print the answer, and nothing else.")
@profile_option
def solve(
    question: tuple[str, ...],
    strategy: str | None,
    budget: str | None,
    model: str | None,
    prices: str | None,
    task: str | None,
    reference: str | None,
    policy_prompt: str | None,
    verifier: str | None,
    temperature: float | None,
    max_tokens: int | None,
    seed: int | None,
    bank: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Answer QUESTION: text, - for standard input, or @file.

    Without --strategy it takes one attempt; with --budget it takes as many as help and fit.
    """
    from rich.console import Console

    from nlrl.cli.openers import sampling

    limits = parse_budget(budget)
    text = read_question(question)
    if not text:
        raise UserError('The question is empty. Ask something, for example: nlrl solve "What is 17 + 25?"')
    if strategy:
        with_verifier(strategy, verifier)  # a mistake here must be said first, before anything is shown
    draws = replace(sampling(temperature, max_tokens), seed=seed)
    console = Console(stderr=True, quiet=quiet)
    kind = _classify(text, task, console)
    named = with_verifier(strategy or _default(kind, budget), verifier)
    ask = Ask(
        Problem(text, reference=reference, task_type=kind),
        named,
        model,
        prices,
        limits,
        draws,
        bank,
        policy_prompt,
        hinted=not (strategy or budget),
    )
    solved = asyncio.run(_run(ask, console, show=not (quiet or as_json)))
    answer = solved.answer
    if as_json:
        click.echo(account.as_json(solved))
    elif quiet:
        click.echo(printable(answer.value if answer.value is not None else answer.text))
    else:
        account.show(solved, Console())
        if ask.hinted and sys.stdout.isatty():
            click.echo('One attempt. To spend more: --strategy "self_consistency(n=8)", or --budget tokens=4k')
    return 0 if answer.candidates else 1


def with_verifier(strategy: str, verifier: str | None) -> str:
    """The strategy with that verifier. Raises UserError if it uses none, UnknownName if there is no such strategy."""
    import inspect

    from nlrl.strategies import StrategySpec, get_strategy, parse_strategy
    from nlrl.verifiers.registry import get_verifier

    spec = parse_strategy(strategy)
    run = get_strategy(spec)  # a mistyped name must be said before a model is loaded
    if verifier is None:
        return str(spec)
    if "verifier" not in inspect.signature(run).parameters:
        raise UserError(
            f"{spec.name} uses no verifier. Use weighted_vote, best_of_n or self_refine, or leave --verifier out."
        )
    get_verifier(verifier)
    return str(StrategySpec(spec.name, {**spec.parameters, "verifier": verifier}))


def _default(kind: TaskType, budget: str | None) -> str:
    return _WITH_BUDGET.get(kind, _WITH_BUDGET_ELSE) if budget else _WITHOUT_BUDGET


def _classify(text: str, task: str | None, console: Console) -> TaskType:
    from nlrl.tasks.classify import classify_task

    if task:
        return TaskType(task)
    found: Classification = classify_task(text)
    reasons = ", ".join(f"{printable(feature)} {weight:+.1f}" for feature, weight in found.evidence[:4])
    line = f"{found.label} ({found.scores[found.label]:.2f}): {reasons or 'no evidence for anything else'}"
    console.print(f"Task: {line}", style="dim", markup=False, highlight=False)
    return found.label


async def _run(ask: Ask, console: Console, *, show: bool) -> account.Solved:
    from nlrl.cli.openers import check_measurable, open_bank, open_model
    from nlrl.compute import Compute
    from nlrl.strategies import solve as spend

    prompt = prompter(ask.policy_prompt)
    with open_bank(ask.bank) as bank:
        model = open_model(ask.model, [ask.problem], ask.bank, ask.prices)
        try:
            await load(model, console)
            check_measurable(ask.budget, model)
            with live_view(console, several=ask.strategy != _WITHOUT_BUDGET, quiet=not show) as view:
                compute = Compute(model, budget=ask.budget, bank=bank, sampling=ask.sampling, prompt=prompt, watch=view)
                answer = await spend(ask.strategy, blind(ask.problem), compute)
            return account.Solved(
                problem=ask.problem,
                strategy=ask.strategy,
                answer=answer,
                model=model.name,
                sized=model.can.parameters is not None,
                priced=model.can.prices is not None,
                verdict=await _judge(ask.problem, answer) if ask.problem.reference is not None else None,
                failed=tuple(c.error or "" for c in compute.failed),
            )
        finally:
            await model.aclose()


def prompter(path: str | None) -> Prompter | None:
    """How a language policy's file asks; None without one. Raises DataError."""
    from nlrl.learning.language.asking.policy import load_language_policy

    return load_language_policy(path).messages if path else None


async def load(model: Model, console: Console) -> None:
    """Load weights now, with a word on it, so that the first attempt's time is its own."""
    load = getattr(model, "load", None)
    if not callable(load):
        return
    with console.status(f"Loading {model.name} ..."):
        await asyncio.to_thread(load)


async def _judge(problem: Problem, answer: Answer) -> str:
    from nlrl.verifiers.reference import ReferenceVerifier

    chosen = [c for c in answer.candidates if c.id == answer.chosen]
    if not chosen:
        return "unparsed"
    score = (await ReferenceVerifier().score(problem, chosen))[0]
    return str(score.verdict)
