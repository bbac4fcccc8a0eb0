"""One seed of everything: problems, a generator, its rollouts, and the reward models trained on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from chains.fit import Clock, Labelled, fit_generator, fit_prm, label_steps
from chains.model import ChainModel
from chains.net import ChainNet, Size
from chains.prm import ChainPRM, Reader
from chains.task import Chain, make_chains
from nlrl.core import ANSWER_PHRASE, Message, Problem, Request, Sampling, user

MAX_TOKENS = 144  # the longest chain has 117
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=MAX_TOKENS, stop_after=ANSWER_PHRASE)


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    problems          to measure on
    generator_steps   training batches of the generator: few, so that it is far from perfect
    body_steps        further batches for the body of the reward model, which begins as a copy of the generator
    rollout_problems  problems the reward model learns from, and `rollouts` attempts at each
    prm_steps         training batches of the value head
    weak_problems     as many problems the weak reward model learns from, in `weak_steps` batches; its body is
                      the generator itself, and it is not told how likely that finds a step
    """

    problems: int = 168
    generator_steps: int = 1200
    body_steps: int = 1400
    rollout_problems: int = 1000
    rollouts: int = 16
    prm_steps: int = 1500
    weak_problems: int = 40
    weak_steps: int = 200


@dataclass
class World:
    """What one seed made. `notes` say what it cost and how good it is."""

    seed: int
    chains: list[Chain]
    generator: ChainModel
    strong: ChainPRM
    weak: ChainPRM
    notes: list[str]

    @property
    def problems(self) -> list[Problem]:
        """The problems to measure on."""
        return [chain.problem for chain in self.chains]


def prompt(problem: Problem) -> tuple[Message, ...]:
    """The bare expression: the generator was taught nothing else."""
    return (user(problem.question),)


def make_world(seed: int, plan: Plan, keep: Path | None = None) -> World:
    """Train all of one seed; with `keep`, weights are kept there and taken from there the next time."""
    clock, notes = Clock(), []
    tests = make_chains(plan.problems, f"test {seed}")
    asked = frozenset(chain.question for chain in tests)
    name = f"{seed}-{plan.generator_steps}-{plan.problems}"
    net = _kept(keep, f"generator-{name}", lambda: fit_generator(seed, plan.generator_steps, exclude=asked))
    model = ChainModel(net)
    notes.append(f"generator: {net.parameter_count} weights, {clock():.0f} s")
    body = _kept(
        keep, f"body-{name}-{plan.body_steps}",
        lambda: fit_generator(seed, plan.body_steps, exclude=asked, start=net, rate=3e-3),
    )  # fmt: skip
    notes.append(f"body of the reward model: {clock():.0f} s")
    name += f"-{plan.body_steps}-{plan.rollout_problems}x{plan.rollouts}"
    train = make_chains(plan.rollout_problems, f"rollouts {seed}", exclude=asked)
    labelled: list[list[Labelled]] = []

    def data(count: int) -> list[Labelled]:
        if not labelled:
            labelled.extend(asyncio.run(_rollouts(model, train, plan.rollouts)))
            attempts = plan.rollout_problems * plan.rollouts
            notes.append(f"rollouts: {attempts} attempts, {clock():.0f} s")
        return [row for rows in labelled[:count] for row in rows]

    strong = _kept(
        keep, f"strong-{name}-{plan.prm_steps}", lambda: fit_prm(body, data(len(train)), seed, plan.prm_steps)
    )
    weak = _kept(
        keep,
        f"weak-{name}-{plan.weak_problems}-{plan.weak_steps}",
        lambda: fit_prm(net, data(plan.weak_problems), seed, plan.weak_steps, blind=True),
    )
    notes.append(f"reward models: {clock():.0f} s")
    return World(seed, tests, model, ChainPRM(Reader(strong)), ChainPRM(Reader(weak)), notes)


async def _rollouts(model: ChainModel, chains: list[Chain], count: int) -> list[list[Labelled]]:
    gate = asyncio.Semaphore(4 * 512 // count)  # enough to keep the batch full, and no more results in memory

    async def one(chain: Chain) -> list[Labelled]:
        async with gate:
            drawn = await model.complete(Request(prompt(chain.problem), SAMPLING, n=count))
        texts = [c.text for c in drawn]
        right = [text.rstrip().endswith(chain.lines[-1]) for text in texts]
        return label_steps(chain.question, texts, right)

    return list(await asyncio.gather(*map(one, chains)))


def _kept(keep: Path | None, name: str, make: Callable[[], ChainNet]) -> ChainNet:
    file = None if keep is None else keep / f"{name}.pt"
    if file is not None and file.exists():
        net = ChainNet(Size())
        net.load_state_dict(torch.load(file, weights_only=True))
        return net.eval()
    net = make()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), file)
    return net
