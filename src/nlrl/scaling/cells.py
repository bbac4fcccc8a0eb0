"""Every strategy at every budget on every problem, replayed from the bank: the table a policy is made from.

    cells = await replay_cells(problems, model, bank, strategies, caps=(500, 1000, 2000), probe=4)
    cells.right.shape == cells.tokens.shape == (strategies x (caps + 1), problems)

Problem by problem, so that memory does not grow with the samples, and each draw is decoded once. A solve that never
held more than a budget is the same under it as without, so most budgets need no replay of their own. What the bank
lacks is drawn from the model, where it is a live one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlrl.bank import Bank
from nlrl.bank.snapshot import Snapshot
from nlrl.compute import Compute, Strategy
from nlrl.core import (
    Answer,
    Budget,
    Candidate,
    Completion,
    Finish,
    Model,
    PricedVerifier,
    Problem,
    Sampling,
    Score,
    SpendingVerifier,
    Verdict,
    Verifier,
    blind,
)
from nlrl.evaluation.intervals import Floats, Interval, mean_interval
from nlrl.evaluation.trial import Grades
from nlrl.scaling.auto import probe as probe_with
from nlrl.scaling.difficulty import FEATURES
from nlrl.strategies import get_strategy, parse_strategy, solve
from nlrl.tasks.prompts import messages_for
from nlrl.verifiers.reference import ReferenceVerifier
from nlrl.verifiers.registry import get_verifier

_LOOKS_AT_BUDGET = {"beam_search", "lookahead_search", "dvts", "mcts", "ab_mcts", "revisions"}  # even where all fits


@dataclass(frozen=True)
class Cells:
    """One row per (strategy, cap), one column per problem.

    keys       (strategy, cap in tokens or None)
    right      1 right, 0 not, NaN where the grader cannot tell
    tokens     by the ledger, everything included
    stated     the strategy's own confidence, NaN where it has none
    features   problems x FEATURES, of the probe; without a probe zeros
    pass_at_1  share right of the recorded attempts after those of the probe, NaN where none could be judged
    chain      completion tokens on the critical path
    groups     the cluster of each problem, "" for one that stands alone
    """

    keys: tuple[tuple[str, int | None], ...]
    right: Floats
    tokens: Floats
    stated: Floats
    chain: Floats
    features: Floats
    pass_at_1: Floats
    groups: tuple[str, ...] = ()

    def columns(self, chosen: NDArray[np.bool_] | Sequence[int]) -> Cells:
        """The table of some of the problems."""
        pick = np.asarray(chosen)
        return Cells(
            self.keys,
            self.right[:, pick],
            self.tokens[:, pick],
            self.stated[:, pick],
            self.chain[:, pick],
            self.features[pick],
            self.pass_at_1[pick],
            tuple(np.array(self.groups)[pick].tolist()) if self.groups else (),
        )


def share_right(right: Floats, groups: Sequence[str]) -> Interval:
    """How many of the problems that could be judged are right, by cluster where there are groups."""
    known = np.isfinite(right)
    return mean_interval(right[known], groups=[g for g, k in zip(groups, known, strict=True) if k] if groups else None)


async def replay_cells(
    problems: Sequence[Problem],
    model: Model,
    bank: Bank,
    strategies: Sequence[str],
    *,
    caps: Sequence[int] = (),
    probe: int = 0,
    samples: int = 0,
    verifier: str = "auto",
    sampling: Callable[[Problem], Sampling] | Sampling | None = None,
    grader: Verifier | None = None,
    on_problem: Callable[[int], None] = lambda done: None,
) -> Cells:
    """Every strategy at every cap and without one, after a probe of so many attempts.

    samples  recorded attempts per problem that pass@1 is taken from

    Raises UnknownName for an unknown strategy or verifier before anything runs.
    """
    runs = [(str(parse_strategy(s)), get_strategy(s)) for s in strategies]
    judge, grader = remembering(get_verifier(verifier)), grader or ReferenceVerifier()
    fast = Snapshot(bank)
    keys = tuple((name, cap) for name, _ in runs for cap in (None, *sorted(caps, reverse=True)))
    table = np.full((4, len(keys), len(problems)), np.nan)
    features = np.zeros((len(problems), len(FEATURES)))
    passed = np.full(len(problems), np.nan)
    with fast:
        for column, problem in enumerate(problems):
            row = _Row(problem, model, fast, judge, Grades(grader), sampling, probe)
            at = 0
            for name, run in runs:
                for cell in await row.cells(name, run, sorted(caps, reverse=True)):
                    table[:, at, column] = cell
                    at += 1
            features[column] = row.features
            if samples:
                passed[column] = await row.pass_at_1(samples)
            on_problem(column + 1)
    return Cells(keys, table[0], table[1], table[2], table[3], features, passed, tuple(p.group for p in problems))


class _Row:
    """All cells of one problem."""

    def __init__(
        self,
        problem: Problem,
        model: Model,
        bank: Bank,
        judge: Verifier,
        grades: Grades,
        sampling: Callable[[Problem], Sampling] | Sampling | None,
        probe: int,
    ) -> None:
        self.problem, self.model, self.bank, self.judge, self.grades = problem, model, bank, judge, grades
        self.sampling = sampling(problem) if callable(sampling) else sampling
        self.probe = probe
        self.features: tuple[float, ...] = (0.0,) * len(FEATURES)
        self._prompt = messages_for(problem)  # choosing worked examples costs more than a replayed solve
        self._graded: dict[tuple[str | None, str], float] = {}

    def compute(self, cap: int | None = None) -> Compute:
        return Compute(
            self.model,
            budget=Budget(tokens=cap),
            bank=self.bank,
            verifier=self.judge,
            sampling=self.sampling,
            prompt=lambda _: self._prompt,
        )

    async def cells(self, name: str, run: Strategy, caps: Sequence[int]) -> list[tuple[float, float, float, float]]:
        """The cell without a cap, and one for each cap, from the largest."""
        cell, peak = await self._cell(run, None)
        whole, found = cell, [cell]
        looks = parse_strategy(name).name in _LOOKS_AT_BUDGET
        for cap in caps:
            found.append(whole if peak <= cap and not looks else (await self._cell(run, cap))[0])
        return found

    async def _cell(self, run: Strategy, cap: int | None) -> tuple[tuple[float, float, float, float], int]:
        compute = self.compute(cap)

        async def probed(problem: Problem, compute: Compute) -> Answer:
            if self.probe:
                seen, drawn = await probe_with(self.probe, "default", problem, compute)
                if drawn < self.probe:
                    compute.stopped = None  # as `auto` does
                if cap is None:
                    self.features = seen
            return await run(problem, compute)

        answer = await solve(probed, blind(self.problem), compute)
        right = await self._right(answer)
        stated = float("nan") if answer.confidence is None else answer.confidence
        usage = answer.usage
        return (right, float(usage.tokens), stated, float(usage.critical_path_tokens)), compute.ledger.peak_tokens

    async def _right(self, answer: Answer) -> float:
        # a coding answer is its whole text; for all else the value says it, and texts differ without end
        key = (answer.value, answer.text if self.problem.tests is not None else "")
        if key not in self._graded:
            candidate = Candidate("answer", Completion(answer.text, Finish.STOP, 0), answer.value)
            (score,) = await self.grades.of(self.problem, [candidate])
            self._graded[key] = _number(score)
        return self._graded[key]

    async def pass_at_1(self, samples: int) -> float:
        """Share right of the attempts after those of the probe, or of all where there are no others."""
        attempts = await self.compute().sample(self.problem, samples)
        rest = attempts[self.probe :] or attempts
        known = [n for n in map(_number, await self.grades.of(self.problem, rest)) if n == n]
        return sum(known) / len(known) if known else float("nan")


def _number(score: Score) -> float:
    return float("nan") if score.verdict is Verdict.ABSTAIN else float(score.verdict is Verdict.RIGHT)


def remembering(verifier: Verifier) -> Verifier:
    """A verifier that judges each text of a problem once; what it charges stays the same."""
    if isinstance(verifier, SpendingVerifier):  # its model's replies are in the bank
        return verifier
    return _PricedMemory(verifier) if isinstance(verifier, PricedVerifier) else _Memory(verifier)


class _Memory:
    def __init__(self, verifier: Verifier) -> None:
        self.inner = verifier
        self._problem = ""
        self._known: dict[tuple[str, str | None, int, float], Score] = {}

    @property
    def needs_logprobs(self) -> object:
        """As the verifier behind it."""
        return getattr(self.inner, "needs_logprobs", False)

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        if problem.id != self._problem:
            self._problem, self._known = problem.id, {}
        keys = [(c.text, c.answer, c.completion.completion_tokens, _first_logprob(c)) for c in candidates]
        fresh = {k: c for k, c in zip(keys, candidates, strict=True) if k not in self._known}
        if fresh:
            self._known.update(zip(fresh, await self.inner.score(problem, list(fresh.values())), strict=True))
        return [self._known[k] for k in keys]


def _first_logprob(candidate: Candidate) -> float:
    """Imported attempts may have no text to tell them apart, only their length and how sure they were."""
    return candidate.completion.logprobs[0].logprob if candidate.completion.logprobs else 0.0


class _PricedMemory(_Memory):
    async def price(self, problem: Problem, candidates: Sequence[Candidate]) -> object:
        """As the verifier behind it."""
        return await self.inner.price(problem, candidates)  # type: ignore[attr-defined]
