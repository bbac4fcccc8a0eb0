"""Compute-optimal scaling as a function (requirement 4.7; Snell et al. 2024, 2408.03314)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Answer, Budget, Problem, Sampling, UserError
from nlrl.functions.texts import AnswerText, Question, answer_text
from nlrl.verifiers.functions import RewardModel, as_verifier

_DIFFICULTIES = {"easy": 0.85, "medium": 0.5, "hard": 0.15}  # as pass@1


def compute_optimal_scaling(
    prompt: Question,
    difficulty: float | str | None,
    compute_budget: int | Budget | None,
    model: Any,
    tokenizer: Any = None,
    *,
    policy: str | Path | None = None,
    reward_model: RewardModel | Mapping[str, RewardModel] | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> AnswerText:
    """Spend a budget where it pays for a problem of this difficulty; the text of the answer, and with it the `Answer`.

    difficulty      "easy", "medium", "hard", the chance in [0, 1] that one attempt is right, or None: predicted from
                    a probe, which is charged
    compute_budget  samples; or a Budget of tokens, calls, seconds ...; or None
    policy          a file made by `nlrl calibrate`. Without one, a built-in default is used and the answer says so in
                    `answer.notes`: revisions where attempts are mostly right, best-of-n where they are mostly wrong

    Raises UserError for a difficulty or budget that is none of these, or a policy of another model.
    """
    from nlrl.scaling.auto import follow
    from nlrl.scaling.policy import check_model, default_policy, load_policy

    plan = default_policy() if policy is None else load_policy(policy)
    known = _pass_at_1(difficulty)
    budget, samples = _budget(compute_budget)

    async def work(problem: Problem, compute: Compute) -> Answer:
        if policy is not None:
            check_model(plan, compute.model.name, str(policy))
        for note in (*(plan.notes if policy is None else ()), *plan.doubts(problem)):
            compute.note(note)
        return await follow(plan, problem, compute, known=known, samples=samples)

    verifier = as_verifier(reward_model)
    return answer_text(work, prompt, model, tokenizer, verifier=verifier, budget=budget, sampling=sampling, bank=bank)


def _budget(given: int | Budget | None) -> tuple[Budget | None, int | None]:
    """As a budget, and as a number of samples."""
    if given is None or isinstance(given, Budget):
        return given, None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise UserError(f"compute_budget must be a number of samples (1 or more), a Budget, or None; got {given!r}.")
    return None, given


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
