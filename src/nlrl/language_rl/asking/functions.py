"""The sync face of language GPI on single-turn problems.

>>> found = language_gpi("qwen2.5-coder-0.5b", None, "gsm8k.jsonl", None, 4, budget=Budget(tokens=50_000))
>>> found.policy.principles[0].text
'Write one calculation per line.'
>>> compute = Compute(model, prompt=found.policy.messages)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlrl.compute import Bank
from nlrl.core import Budget, Model, Problem, Sampling, UserError, Verifier
from nlrl.language_rl.asking.improve_policy import Improvement, improve_policy
from nlrl.language_rl.asking.policy import LanguagePolicy
from nlrl.language_rl.asking.turn import AskingSettings
from nlrl.models.given import as_model
from nlrl.tasks.classify import classify_task

RewardModels = Verifier | str | Sequence[Verifier | str] | None


def language_gpi(
    model: Any,
    tokenizer: Any,
    dataset: str | Path | Sequence[str | Problem],
    reward_models: RewardModels = None,
    iterations: int = 4,
    *,
    strategy: str = "direct",
    critic: Any = None,
    start: LanguagePolicy | None = None,
    budget: int | Budget | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    bank: Bank | None = None,
    out: str | Path | None = None,
) -> Improvement:
    """Improve a language policy on a data set by language generalized policy iteration (Feng et al. 2024, 2411.14251).

    model, tokenizer  an `nlrl` model or its name and None; or a Hugging Face model and its tokenizer
    dataset           the name or file of a data set, or problems; plain questions are problems without a reference
    reward_models     verifiers or their names; they judge what has no reference or tests
    iterations        proposals to try
    critic            the model that reads the rollouts and proposes; the policy's own if not given
    budget            tokens in all, or a Budget of tokens and calls
    out               a directory for the log and the policy; the same call again goes on from there

    Raises UserError for an empty data set, one that nobody can judge, or nothing that is a model.
    """
    problems = _problems(dataset)
    limit = Budget(tokens=budget) if isinstance(budget, int) else budget
    settings = AskingSettings(iterations=iterations, strategy=strategy, sampling=sampling or Sampling(), seed=seed)
    judges = [reward_models] if isinstance(reward_models, str | Verifier) else list(reward_models or ())

    async def job() -> Improvement:
        reader: Model | None = None if critic is None else as_model(critic)
        return await improve_policy(
            as_model(model, tokenizer),
            problems,
            settings=settings,
            start=start,
            critic=reader,
            reward_models=judges,
            budget=limit,
            bank=bank,
            out=out,
        )

    return asyncio.run(job())


def _problems(dataset: str | Path | Sequence[str | Problem]) -> list[Problem]:
    if isinstance(dataset, str | Path):
        from nlrl.tasks.datasets import load_problems

        return list(load_problems(dataset))
    found = [p if isinstance(p, Problem) else Problem(p, task_type=classify_task(p).label) for p in dataset]
    if not found:
        raise UserError("The data set is empty. Give problems, or the name or file of a data set.")
    return found
