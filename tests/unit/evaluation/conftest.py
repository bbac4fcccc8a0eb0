"""Recorded runs made from a small random model of attempts: no language model, but real records."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nlrl.core import Budget, Problem, TaskType
from nlrl.evaluation.config import RECORDS, RunConfig, open_run
from nlrl.evaluation.records import (
    PANEL,
    AnswerRecord,
    Attempt,
    ProblemRecord,
    Record,
    SpendRecord,
    UsageRecord,
    encode,
)

Maker = Callable[..., list[Record]]


def _attempt(rng: random.Random, i: int, p: float, reference: str, words: int) -> Attempt:
    right = rng.random() < p
    answer = reference if right else str(rng.randint(0, 9) + 1000)
    parsed = rng.random() < 0.95
    lines = ["Let us see.\n", "word " * rng.randint(words // 2, words) + "\n", f"Final Answer: {answer}"]
    return Attempt(
        id=f"s{i}",
        text="".join(lines),
        answer=answer if parsed else None,
        strict=parsed,
        verdict=("right" if right else "wrong") if parsed else "unparsed",
        reason=f"{answer} against {reference}",
        tokens=sum(len(line) // 4 for line in lines),
        prompt_tokens=40,
        score=min(max(rng.gauss(0.65 if right else 0.4, 0.15), 0), 1),
        gists=tuple((len(line), len(line) // 4, -rng.random(), 0.1 * j) for j, line in enumerate(lines)),
    )


def _classes(attempts: list[Attempt]) -> tuple[int, ...]:
    known: dict[str, int] = {}
    return tuple(-1 if a.answer is None else known.setdefault(a.answer, len(known)) for a in attempts)


def _usage(attempts: list[Attempt]) -> UsageRecord:
    spend = SpendRecord(len(attempts), 40, 0, sum(a.tokens for a in attempts))
    return UsageRecord(spend, {"sample": spend}, max(a.tokens for a in attempts), 0.5)


def _record(row: int, problem: Problem, strategy: str, attempts: list[Attempt], chosen: Attempt | None) -> Record:
    answer = chosen and AnswerRecord(
        chosen.answer, chosen.text, 0.7, chosen.id, "done", (), chosen.strict, chosen.verdict, chosen.reason
    )
    return Record(
        row=row,
        problem=ProblemRecord(problem.id, problem.question, problem.reference, problem.task_type, "made up"),
        strategy=strategy,
        model="made-up@1",
        messages=(("user", problem.question),),
        attempts=tuple(attempts),
        classes=_classes(attempts),
        answer=answer,
        usage=_usage(attempts),
        version="0",
        time=1.0,
    )


@pytest.fixture
def make_problems() -> Callable[..., list[Problem]]:
    def make(n: int, seed: int = 0) -> list[Problem]:
        rng = random.Random(seed)
        kinds = [TaskType.MATH, TaskType.CODING, TaskType.COMMONSENSE]
        return [
            Problem(f"Problem {i}: what is {rng.randint(1, 99)} + {i}?", reference=str(i), task_type=kinds[i % 3])
            for i in range(n)
        ]

    return make


@pytest.fixture
def make_records(make_problems) -> Maker:
    """n problems of three domains: a panel, direct and a majority vote of 8, all on the same attempts."""

    def make(n: int = 30, samples: int = 16, seed: int = 0, words: int = 30) -> list[Record]:
        rng = random.Random(seed)
        records = []
        for row, problem in enumerate(make_problems(n, seed)):
            p = rng.random()
            attempts = [_attempt(rng, i, p, problem.reference or "", words) for i in range(samples)]
            votes = Counter(a.answer for a in attempts[:8] if a.answer)
            winner = votes.most_common(1)[0][0] if votes else None
            voted = next((a for a in attempts if a.answer == winner and winner), attempts[0])
            best = max(attempts[:8], key=lambda a: a.score or 0)
            records += [
                _record(row, problem, PANEL, attempts, None),
                _record(row, problem, "direct", attempts[:1], attempts[0]),
                _record(row, problem, "self_consistency(n=8)", attempts[:8], voted),
                _record(row, problem, "best_of_n(n=8, select=best)", attempts[:8], best),
            ]
        return records

    return make


@pytest.fixture
def make_run(make_records, make_problems) -> Callable[..., Path]:
    """A run directory with such records."""

    def make(path: Path, n: int = 30, samples: int = 16, **how) -> Path:
        path.mkdir(parents=True)
        strategies = ("direct", "self_consistency(n=8)", "best_of_n(n=8, select=best)")
        config = RunConfig(
            strategies=strategies, data="made up", model="made-up", samples=samples, budget=Budget(tokens=4000)
        )
        open_run(path, config, "made-up@1", make_problems(n))
        with (path / RECORDS).open("wb") as file:
            for record in make_records(n, samples, **how):
                file.write(encode(record))
        return path

    return make
