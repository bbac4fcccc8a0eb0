"""A small world of additions, one a line, and a process verifier that knows the sums: what searches are tested with."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace

import pytest

from nlrl.compute import Compute
from nlrl.core import Problem, Score, Spend, TaskType, Verdict
from nlrl.strategies import solve
from nlrl.testing.scripted import ScriptedModel

SEARCHES = ("beam_search", "lookahead_search", "dvts", "mcts")

CHAIN = Problem("What is 1 + 2 + 3 + 4?", "10", TaskType.MATH)
TERMS = (2, 3, 4)


def chain_line(depth: int, before: int, slip: int) -> str:
    """Step `depth` of the sum, off by `slip`; after the terms, the answer line."""
    if depth >= len(TERMS):
        return f"Final Answer: {before}"
    return f"{before} + {TERMS[depth]} = {before + TERMS[depth] + slip}"


def last_sum(text: str) -> int:
    found = re.findall(r"= (-?\d+)", text)
    return int(found[-1]) if found else 1


def chain_reply(request, index, right=(0,), period=4):
    """Of every `period` draws those in `right` add correctly; another is off by its number, so that texts differ."""
    depth = sum(1 for line in request.prefill.splitlines() if line.strip())
    greedy = request.sampling.temperature == 0.0
    slip = 0 if greedy or index % period in right or depth >= len(TERMS) else index % period
    return chain_line(depth, last_sum(request.prefill), slip)


@dataclass
class SumChecker:
    """0.9 for a line that adds correctly to what stood before, 0.2 for one that does not, and from there on.

    texts        all that were scored
    spoil        what to do to the list of scores before it is given back
    tokens_each  what reading one candidate costs
    """

    texts: list[str] = field(default_factory=list)
    spoil: object = None
    tokens_each: int = 0

    async def price(self, problem, candidates) -> Spend:
        return Spend(prompt_tokens=self.tokens_each * len(candidates))

    async def score(self, problem, candidates) -> list[Score]:
        self.texts += [c.text for c in candidates]
        scores = [self._of(c.text) for c in candidates]
        return self.spoil(scores) if callable(self.spoil) else scores

    @staticmethod
    def _of(text: str) -> Score:
        steps, before, depth, sound = [], 1, 0, True
        for line in text.splitlines():
            if not line.strip():
                continue
            said = last_sum(line) if "=" in line else before
            if "=" in line:
                sound &= depth < len(TERMS) and said == before + TERMS[depth]
            before, depth = said, depth + 1
            steps.append(0.9 if sound else 0.2)
        return Score(steps[-1] if steps else 0.5, Verdict.ABSTAIN, steps=tuple(steps))


def untimed(answer):
    """An answer without the seconds it took."""
    usage = answer.usage
    phases = {p: replace(s, seconds=0.0) for p, s in usage.phases.items()}
    return replace(answer, usage=replace(usage, seconds=0.0, phases=phases, total=replace(usage.total, seconds=0.0)))


class World:
    """What a test needs of all this."""

    problem = CHAIN
    searches = SEARCHES
    Checker = SumChecker
    reply = staticmethod(chain_reply)
    untimed = staticmethod(untimed)

    @staticmethod
    def model(reply=chain_reply, **options):
        return ScriptedModel(reply, **options)

    @staticmethod
    def solve(strategy, model=None, verifier=None, problem=CHAIN, **options):
        model = model or ScriptedModel(chain_reply)
        compute = Compute(model, verifier=verifier or SumChecker(), **options)
        return asyncio.run(solve(strategy, problem, compute))


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World
