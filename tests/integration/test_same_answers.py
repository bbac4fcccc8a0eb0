"""What every strategy answers and spends, on draws that are always the same: nothing of it changes unnoticed.

python tests/integration/test_same_answers.py        # writes the fingerprints anew, after a change that is meant

A fingerprint is a hash over answers, candidates, notes and ledgers of one strategy under several budgets: drawn live,
replayed from the bank, and on an imported panel with traces. A changed one names the strategy; say in the commit why.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from nlrl.bank import Bank, ReplayModel
from nlrl.compute import Compute
from nlrl.core import Budget, Model, NlrlError, Problem, TaskType
from nlrl.evaluation import import_panels
from nlrl.strategies import solve
from nlrl.testing import StochasticModel

FILE = Path(__file__).parents[1] / "data" / "same_answers.json"
STRATEGIES = (
    "direct", "best_of_n(n=6, select=best, verifier=mean_logprob)", "best_of_n(n=5, verifier=judge)",
    "weighted_vote(n=6)", "self_consistency(n=7)", "adaptive_consistency(n=12, wave=3)",
    "self_refine(rounds=2, verifier=judge)", "divide_and_conquer(parts=2)", "beam_search(n=8, width=2)",
    "lookahead_search(n=8)", "dvts(n=8)", "mcts(n=8)", "ab_mcts(n=8)", "revisions(n=6)", "early_stopping(window=3)",
    "probe_gate(every=20)", "finish_order", "umpire(thrift=0.5)", "until_good(n=6, threshold=0.8)", "auto",
)  # fmt: skip
BUDGETS = (Budget(), Budget(tokens=300), Budget(tokens=2500, calls=9))
CANCELS = ("adaptive_consistency",)  # how far a live draw had come when it was cancelled depends on the machine
WALL = ("seconds",)  # the one thing that differs from run to run


def problems() -> list[Problem]:
    pairs = [(17, 25), (48, 77), (93, 12), (61, 9)]
    return [
        Problem(f"Case {i}: What is {a} + {b}?", reference=str(a + b), task_type=TaskType.MATH)
        for i, (a, b) in enumerate(pairs)
    ]


def panel(folder: Path, asked: list[Problem]) -> Path:
    """24 recorded traces for each problem, with probes."""
    rng = random.Random(9)
    lines = []
    for problem in asked:
        samples = []
        for _ in range(24):
            tokens = rng.randint(20, 200)
            answer = problem.reference if rng.random() < 0.5 else str(rng.randint(10, 200))
            probes = [
                {"tokens": t, "answer": answer if rng.random() < 0.7 else "7"} for t in range(20, tokens, 20)
            ]  # fmt: skip
            samples.append({"answer": answer, "tokens": tokens, "text": "x " * tokens, "probes": probes})
        row = {"problem_id": problem.id, "question": problem.question, "reference": problem.reference}
        lines.append(json.dumps({**row, "task_type": "math", "prompt_tokens": 30, "samples": samples}))
    path = folder / "panel.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


def plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name not in WALL}
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value if isinstance(value, int | str | None) else repr(value)


async def account(strategy: str, problem: Problem, model: Model, budget: Budget, bank: Bank) -> Any:
    compute = Compute(model, budget=budget, bank=bank)
    try:
        answer = await solve(strategy, problem, compute)
    except NlrlError as error:
        return f"{type(error).__name__}: {error}"
    drawn = [
        (c.id, c.text, c.answer, c.path_tokens, c.parents, c.score and c.score.value, c.probes)
        for c in answer.candidates
    ]  # fmt: skip
    return plain([dataclasses.replace(answer, candidates=()), drawn])


async def fingerprints(folder: Path, strategies: tuple[str, ...] = STRATEGIES) -> dict[str, str]:
    asked = problems()
    rates = {p.id: rate for p, rate in zip(asked, (0.9, 0.6, 0.4, 0.15), strict=True)}
    live = StochasticModel(
        asked, rates, tokens=40, seed=3, p_fix=0.4, p_break=0.1, logprob_gap=0.4, logprob_noise=0.3
    )  # fmt: skip
    recorded = ReplayModel("panel:traces", is_panel=True)
    prints = {}
    with Bank(folder / "live.sqlite") as bank, Bank(folder / "panel.sqlite") as traces:
        await import_panels(panel(folder, asked), traces, "traces")
        ways: list[tuple[Model, Bank, list[Problem]]] = [
            (live, bank, asked), (ReplayModel(live.name), bank, asked), (recorded, traces, traces.problems("traces"))
        ]  # fmt: skip
        for strategy in strategies:
            taken = ways[2:] if strategy.startswith(CANCELS) else ways
            told = [
                await account(strategy, problem, model, budget, store)
                for model, store, these in taken for budget in BUDGETS for problem in these
            ]  # fmt: skip
            prints[strategy] = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return prints


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_answers_and_ledgers_are_what_they_were(strategy: str, tmp_path: Path):
    known = json.loads(FILE.read_text("utf-8"))
    assert asyncio.run(fingerprints(tmp_path, (strategy,)))[strategy] == known[strategy]


if __name__ == "__main__":
    import tempfile

    each: dict[str, str] = {}
    for name in STRATEGIES:  # each in a folder of its own, as the test does it
        with tempfile.TemporaryDirectory() as made:
            each |= asyncio.run(fingerprints(Path(made), (name,)))
    FILE.write_text(json.dumps(each, indent=1) + "\n", "utf-8")
