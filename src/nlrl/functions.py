"""The sync face: plain functions over any `nlrl` model, or a Hugging Face model with its tokenizer.

    >>> answer = best_of_n_generate("What is 17 + 25?", model, tokenizer, n=8)
    >>> str(answer), answer.usage.tokens
    ('42', 612)

Each runs the strategy of the same name to its end and returns its whole `Answer`. Inside a running event loop use the
async strategies (`nlrl.solve`) instead; these functions would block it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlrl.compute import Bank, Compute, Strategy
from nlrl.core import (
    Answer,
    Budget,
    Candidate,
    Completion,
    Finish,
    Problem,
    Sampling,
    Score,
    UserError,
    Verifier,
)
from nlrl.models.given import as_model
from nlrl.rewards import get_verifier
from nlrl.strategies import get_strategy, parse_strategy, solve
from nlrl.strategies.voting import count_votes
from nlrl.tasks import classify_task

RewardModel = Verifier | Callable[[str, str], float]


def best_of_n_generate(
    prompt: str | Problem,
    model: Any,
    tokenizer: Any = None,
    *,
    n: int = 8,
    reward_model: RewardModel | str | None = None,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> Answer:
    """n attempts, the one that `reward_model` scores highest: a verifier, its registered name, or a function of
    (prompt, text). For the answer with the largest sum of scores use `solve("weighted_vote(n=8)", ...)`."""
    return _run(f"best_of_n(n={n}, select=best)", prompt, model, tokenizer, reward_model, budget, sampling, bank)


def self_refine(
    prompt: str | Problem,
    model: Any,
    tokenizer: Any = None,
    *,
    rounds: int = 2,
    reward_model: RewardModel | str | None = None,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> Answer:
    """Draft, critique, revise, at most `rounds` times; a revision is kept only if the reward says it is better."""
    return _run(f"self_refine(rounds={rounds})", prompt, model, tokenizer, reward_model, budget, sampling, bank)


def divide_and_conquer(
    prompt: str | Problem,
    model: Any,
    tokenizer: Any = None,
    *,
    parts: int = 3,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> Answer:
    """Split into at most `parts` questions, answer them in order, solve the whole with those answers in view."""
    return _run(f"divide_and_conquer(parts={parts})", prompt, model, tokenizer, None, budget, sampling, bank)


_DIFFICULTIES = {"easy": 0.85, "medium": 0.5, "hard": 0.15}  # as pass@1


def compute_optimal_scaling(
    prompt: str | Problem,
    difficulty: float | str | None,
    compute_budget: int | Budget | None,
    model: Any,
    tokenizer: Any = None,
    *,
    policy: str | Path | None = None,
    reward_model: RewardModel | str | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> Answer:
    """Spend a budget as the calibrated policy says for a problem of this difficulty (Snell et al. 2024, 2408.03314).

    difficulty      "easy", "medium", "hard", the chance in [0, 1] that one attempt is right, or None: predicted from
                    a probe, which is charged
    compute_budget  tokens, or a Budget, or None
    policy          a file made by `nlrl calibrate`; without one a built-in default is used, and the answer says so

    Raises UserError for a difficulty that is none of these, or a policy of another model.
    """
    from nlrl.scaling.auto import follow
    from nlrl.scaling.policy import check_model, default_policy, load_policy

    plan = default_policy() if policy is None else load_policy(policy)
    known = _pass_at_1(difficulty)
    if not (compute_budget is None or isinstance(compute_budget, Budget)) and (
        isinstance(compute_budget, bool) or not isinstance(compute_budget, int) or compute_budget < 1
    ):
        raise UserError(f"compute_budget must be tokens (1 or more), a Budget, or None; got {compute_budget!r}.")
    budget = compute_budget if isinstance(compute_budget, Budget) else Budget(tokens=compute_budget)

    async def run(problem: Problem, compute: Compute) -> Answer:
        if policy is not None:
            check_model(plan, compute.model.name, str(policy))
        for note in (*(plan.notes if policy is None else ()), *plan.doubts(problem)):
            compute.note(note)
        return await follow(plan, problem, compute, known=known)

    return _run(run, prompt, model, tokenizer, reward_model, budget, sampling, bank)


def _pass_at_1(difficulty: float | str | None) -> float | None:
    if difficulty is None:
        return None
    if isinstance(difficulty, int | float) and not isinstance(difficulty, bool) and 0 <= difficulty <= 1:
        return difficulty
    if isinstance(difficulty, str) and difficulty in _DIFFICULTIES:
        return _DIFFICULTIES[difficulty]
    raise UserError(
        f"difficulty must be one of {', '.join(_DIFFICULTIES)}, a chance from 0 to 1, or None; got {difficulty!r}."
    )


def self_consistency_selection(candidates: Sequence[str], *, prompt: str | Problem = "") -> str:
    """Of several solutions, the one whose final answer most of them reach (the first such; "" if there are none).

    Answers are read out of the texts and compared by meaning: "1/2" and "0.5" vote together. Texts in which no answer
    can be found vote as they are.
    """
    from nlrl.rewards.extraction import extract_answer

    problem = as_problem(prompt)
    attempts = [
        Candidate(f"s{i}", Completion(t, Finish.STOP, 0), extract_answer(t, problem).answer or t.strip() or None)
        for i, t in enumerate(candidates)
    ]
    leader = asyncio.run(count_votes(problem, attempts)).leader
    return leader.text if leader else ""


def save_results_to_json(results: Any, path: str | Path) -> Path:
    """Write results (dataclasses, mappings, lists ...) as JSON: the whole file or, on any failure, the old one.

    Raises UserError if the place cannot be written.
    """
    path = Path(path)
    text = json.dumps(results, default=_plain, indent=2, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text + "\n")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}. Choose another path.") from error
    return path


def as_problem(prompt: str | Problem) -> Problem:
    """A prompt as a problem of the type it is classified as. Raises UserError if it is empty."""
    if isinstance(prompt, Problem):
        return prompt
    return Problem(prompt, task_type=classify_task(prompt).label)


@dataclasses.dataclass(frozen=True)
class _FunctionVerifier:
    """A plain function (prompt, text) -> [0, 1] as a verifier; values outside are cut to the range."""

    function: Callable[[str, str], float]

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        values = [float(self.function(problem.question, c.text)) for c in candidates]
        return [Score(min(max(v, 0.0), 1.0)) for v in values]


def _run(
    strategy: str | Strategy,
    prompt: str | Problem,
    model: Any,
    tokenizer: Any,
    reward_model: RewardModel | str | None,
    budget: Budget | None,
    sampling: Sampling | None,
    bank: Bank | None,
) -> Answer:
    problem = as_problem(prompt)
    if not problem.question.strip():
        raise UserError("The prompt is empty; ask something.")
    run: str | Strategy = strategy
    verifier: Verifier | None = None
    if isinstance(reward_model, str) and not isinstance(strategy, str):
        verifier = get_verifier(reward_model)
    elif isinstance(reward_model, str):
        spec = parse_strategy(str(strategy))
        run = get_strategy(dataclasses.replace(spec, parameters={**spec.parameters, "verifier": reward_model}))
    elif isinstance(reward_model, Verifier):
        verifier = reward_model
    elif reward_model is not None:
        verifier = _FunctionVerifier(reward_model)

    async def job() -> Answer:
        compute = Compute(as_model(model, tokenizer), budget=budget, bank=bank, verifier=verifier, sampling=sampling)
        return await solve(run, problem, compute)

    return asyncio.run(job())


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
