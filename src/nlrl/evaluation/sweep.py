"""Many strategies at many budgets over recorded samples: the offline half of a benchmark.

    points = await sweep(problems, ["direct", "weighted_vote(n=64)"], [Budget(tokens=500), Budget(tokens=2000)],
                         model=ReplayModel("panel:gpt-oss", is_panel=True), bank=bank)
    points[0].accuracy, points[0].tokens          # per problem, in the order of the problems

Nothing is written and no attempt is graded but the answers; `run_benchmark` keeps the full record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Budget, Candidate, Completion, Finish, Model, Problem, Sampling, Verdict, Verifier
from nlrl.evaluation.config import given
from nlrl.strategies import get_strategy, solve
from nlrl.tasks.prompts import messages_for
from nlrl.verifiers.reference import ReferenceVerifier
from nlrl.verifiers.registry import get_verifier

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """One strategy at one budget. Arrays hold one number per problem.

    right   1 for a right answer, 0 for any other, NaN where the grader cannot tell
    tokens  what the ledger says the answer cost
    calls   draws it cost
    """

    strategy: str
    budget: Budget
    right: Floats
    tokens: Floats
    calls: Floats

    @property
    def accuracy(self) -> float:
        """Share of right answers among those that could be judged; NaN if none could."""
        return float(np.nanmean(self.right)) if np.isfinite(self.right).any() else float("nan")

    def __str__(self) -> str:
        limits = ", ".join(f"{name}={value}" for name, value in given(self.budget).items()) or "no limit"
        return f"{self.strategy} at {limits}: {self.accuracy:.3f} for {self.tokens.mean():.0f} tokens"


async def sweep(
    problems: Sequence[Problem],
    strategies: Sequence[str],
    budgets: Sequence[Budget],
    *,
    model: Model,
    bank: Bank,
    sampling: Sampling | None = None,
    verifier: str = "auto",
    grader: Verifier | None = None,
) -> list[Point]:
    """Every strategy at every budget on every problem, in that order.

    With a `ReplayModel` nothing is generated: draws that the bank lacks fail, and are counted as such by the
    strategies. Raises UnknownName for an unknown strategy or verifier before anything runs.
    """
    runs = [(name, get_strategy(name)) for name in strategies]
    judge, grader = get_verifier(verifier), grader or ReferenceVerifier()
    prompts = {p.id: messages_for(p) for p in problems}  # choosing worked examples costs more than a replayed draw
    graded: list[dict[str | None, float]] = [{} for _ in problems]
    points = []
    for name, run in runs:
        for budget in budgets:
            table = np.empty((3, len(problems)))
            for i, problem in enumerate(problems):
                compute = Compute(
                    model, budget=budget, bank=bank, verifier=judge, sampling=sampling, prompt=lambda p: prompts[p.id]
                )
                answer = await solve(run, problem, compute)
                if answer.value not in graded[i]:
                    graded[i][answer.value] = await _grade(grader, problem, answer.value, answer.text)
                table[:, i] = graded[i][answer.value], answer.usage.tokens, answer.usage.total.calls
            points.append(Point(name, budget, *table))
    return points


async def _grade(grader: Verifier, problem: Problem, value: str | None, text: str) -> float:
    candidate = Candidate("answer", Completion(text, Finish.STOP, 0), value)
    (score,) = await grader.score(problem, [candidate])
    return float("nan") if score.verdict is Verdict.ABSTAIN else float(score.verdict is Verdict.RIGHT)
