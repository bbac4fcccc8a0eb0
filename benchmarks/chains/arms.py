"""Runs strategies on a world's problems and keeps what each answer cost.

An arm is a strategy string. Baselines run as they are. A *planned* arm begins with the probe that a policy needs to
know which arm to take: one attempt, scored by the reward model. The probe is charged, and where the arm is itself made
of independent attempts it is the first of them.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chains.prm import ChainPRM
from chains.world import SAMPLING, World, prompt
from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Completion, Finish, Phase, Problem
from nlrl.strategies import get_strategy, solve
from nlrl.strategies.registry import parse_strategy
from nlrl.strategies.until_good import go_on
from nlrl.strategies.voting import count_votes

TOGETHER = 48  # problems at once: fills the batch, and bounds what the reward models' caches hold
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Arms x problems: right (0 or 1), tokens of the ledger, of these what the reward model read, what it would have
    read on top without its cache, FLOPs, and the critical path in tokens."""

    arms: tuple[str, ...]
    right: Floats
    tokens: Floats
    verify: Floats
    reread: Floats
    flops: Floats
    path: Floats


@dataclass(frozen=True)
class Probes:
    """Per problem what the probe shows: the reward model's value of the bare question and of the first attempt."""

    question: Floats
    attempt: Floats


async def run_arms(
    world: World, prm: ChainPRM, fixed: Sequence[str], planned: Sequence[str], bank: Bank
) -> tuple[Outcome, Outcome]:
    """Every arm on every problem: the fixed ones as they are, the planned ones after the probe."""
    problems = world.problems
    runs = [get_strategy(arm) for arm in fixed] + [functools.partial(after_probe, arm=arm) for arm in planned]
    table = np.zeros((6, len(runs), len(problems)))

    async def one(a: int, p: int) -> None:
        account = prm.opened()
        compute = Compute(world.generator, bank=bank, verifier=account, sampling=SAMPLING, prompt=prompt)
        answer = await solve(runs[a], problems[p], compute)
        usage = answer.usage
        table[:, a, p] = (
            answer.value == problems[p].reference, usage.tokens, usage.verifier_tokens, account.reread,
            usage.total.flops, usage.critical_path_tokens,
        )  # fmt: skip

    for start in range(0, len(problems), TOGETHER):
        some = range(start, min(start + TOGETHER, len(problems)))
        await asyncio.gather(*(one(a, p) for a in range(len(runs)) for p in some))
        prm.reader.forget()
    cut = len(fixed)
    return Outcome(tuple(fixed), *table[:, :cut]), Outcome(tuple(planned), *table[:, cut:])


async def run_probes(world: World, bank: Bank) -> Probes:
    """What a policy sees before it chooses. (Their cost is in every planned arm.)"""
    values = np.zeros((2, len(world.problems)))

    async def one(p: int, problem: Problem) -> None:
        compute = Compute(world.generator, bank=bank, verifier=world.strong.opened(), sampling=SAMPLING, prompt=prompt)
        values[:, p] = (await probe(problem, compute))[1]

    await asyncio.gather(*(one(p, problem) for p, problem in enumerate(world.problems)))
    world.strong.reader.forget()
    return Probes(*values)


async def probe(problem: Problem, compute: Compute) -> tuple[list[Candidate], tuple[float, float]]:
    """One attempt with its score, and the reward model's values of the bare question and of the attempt."""
    first = await compute.sample(problem, 1, phase=Phase.PROBE)
    bare = Candidate("question", Completion("", Finish.STOP, 0))
    question, *scored = await compute.score(problem, [bare, *first])
    values = [c.score.value if c.score else 0.5 for c in (question, *scored)]
    return scored, (values[0], values[-1])


async def after_probe(problem: Problem, compute: Compute, *, arm: str) -> Answer:
    """The probe, and then the arm."""
    attempts, _ = await probe(problem, compute)
    spec = parse_strategy(arm)
    if spec.name == "until_good":
        return await go_on(
            problem, compute, attempts, **{"n": 16, "width": 1, "threshold": 0.8} | dict(spec.parameters)
        )
    if spec.name not in ("direct", "self_consistency", "best_of_n"):
        return await get_strategy(spec)(problem, compute)
    n = 1 if spec.name == "direct" else spec.parameters["n"]
    rest = await compute.sample(problem, n - 1) if n > 1 else []
    if spec.name == "best_of_n":
        attempts = [*attempts, *await compute.score(problem, rest)]
        weights = [c.score.value if c.score else 0.0 for c in attempts]
    else:
        attempts = [*attempts, *rest]
        weights = [1.0] * len(attempts)
    return compute.answer((await count_votes(problem, attempts, weights)).leader)
