"""Benchmarking with reward models: the guide's `run_tests`. For intervals, budgets and resuming: `nlrl bench`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlrl.compute import Compute
from nlrl.core import (
    Completion,
    Model,
    ModelError,
    Problem,
    Sampling,
    TaskType,
    UserError,
    Verdict,
    Verifier,
    blind,
    user,
)
from nlrl.core.sync import run_sync
from nlrl.functions.files import CACHE_DIR, save_results_to_json
from nlrl.functions.gists import STOP_PHRASES, show_gist
from nlrl.functions.strategies import GOOD_ENOUGH, ROUNDS, SAMPLING, as_candidate
from nlrl.functions.texts import open_model
from nlrl.models.gists import StopRules, stream_gists
from nlrl.strategies import solve
from nlrl.strategies.self_refine import refine
from nlrl.tasks.datasets import load_problems
from nlrl.tasks.prompts import get_dynamic_prompt
from nlrl.tasks.rows import as_problem
from nlrl.verifiers.functions import ByKind, RewardModels, as_verifier
from nlrl.verifiers.reference import ReferenceVerifier

RESULTS = "benchmark_results.json"
_log = logging.getLogger("nlrl.functions")
_ATTEMPTS = 3  # at a coding task: the guide's
_TOKENS = 200


def run_tests(
    model: Any,
    tokenizer: Any,
    datasets_dict: Mapping[str, Iterable[Any] | str | Path],
    reward_models: RewardModels = None,
    debug_mode: bool = False,
    *,
    difficulty: str | float = "easy",
    steps: int = 3,
    max_steps: int = _TOKENS,
    folder: str | Path = CACHE_DIR,
) -> list[dict[str, Any]]:
    """Ask every question of every set, print the accuracies, and write all of it to `cache/benchmark_results.json`.

    datasets_dict  name -> rows (`question` or `problem`, `answer`, for code `test_cases`), plain questions, problems,
                   or the name or file of a data set
    reward_models  a function of the text, or a mapping of them by kind of problem: a text that it scores at 0.9 or
                   less is criticised and written anew, at most three times, and the better one kept. Kinds without
                   one are left as they are
    debug_mode     print each gist and each sample as it comes
    difficulty, steps   of the prompts; max_steps: tokens of an answer

    Coding tasks take three attempts and the answer that most of them agree on, others one, token by token, stopped at
    the answer. Whether an answer is right is decided by meaning, for code by its tests in the sandbox, not by the
    letters of the whole output; null where the row has nothing to judge by. A row that fails has an `error`, and the
    rest goes on. The file is written as well when the run is interrupted.

    Returns the list in the file: task_name, index, prompt, dynamic_prompt, model_output, expected_answer, gists,
    is_correct; and task_type, answer (as read), tokens, error. Raises UserError for a set without rows or for nothing
    that is a model, DataError for a row without a question.
    """
    sets = {name: _rows(name, rows) for name, rows in datasets_dict.items()}
    problems = [problem for rows in sets.values() for problem, _ in rows]
    cases = {p.id: row["test_cases"] for rows in sets.values() for p, row in rows if row.get("test_cases")}
    judge = as_verifier(reward_models, test_cases=cases)
    results: list[dict[str, Any]] = []

    async def whole() -> None:
        opened, ours = open_model(model, tokenizer, problems)
        try:
            for name, rows in sets.items():
                print(f"\nRunning benchmark for: {name}")
                for index, (problem, row) in enumerate(rows):
                    prompt = str(get_dynamic_prompt(_kind(problem), problem, difficulty, steps))
                    result = {"task_name": name, "index": index, "prompt": problem.question, "dynamic_prompt": prompt}
                    result |= await _sample(opened, problem, prompt, judge, max_steps, debug_mode)
                    result["expected_answer"] = row.get("answer", problem.reference)
                    results.append(result)
                    if debug_mode:
                        _print(result, len(rows))
                print(f"\n{_accuracy(name, results)}", flush=True)
                _log.info(
                    "%s; %s tokens",
                    _accuracy(name, results),
                    sum(r["tokens"] for r in results if r["task_name"] == name),
                )
        finally:
            save_results_to_json(results, Path(folder) / RESULTS)
            if ours:
                await opened.aclose()

    run_sync(whole())
    return results


def _rows(name: str, rows: Iterable[Any] | str | Path) -> list[tuple[Problem, Mapping[str, Any]]]:
    """The problems of a set, each with the row it came from ({} for what was no row)."""
    given = load_problems(rows).problems if isinstance(rows, str | Path) else list(rows)
    if not given:
        raise UserError(f"The data set {name!r} is empty. Give rows with a question and an answer.")
    return [(as_problem(row), row if isinstance(row, Mapping) else {}) for row in given]


def _kind(problem: Problem) -> TaskType:
    return problem.task_type or TaskType.COMMONSENSE


async def _sample(
    model: Model, problem: Problem, prompt: str, judge: Verifier | None, max_steps: int, debug_mode: bool
) -> dict[str, Any]:
    """The fields of one answer."""
    asked = blind(problem)
    compute = Compute(model, verifier=judge, sampling=SAMPLING, prompt=lambda p: (user(prompt),))
    gists: Sequence[str] = ()
    tokens, error = 0, None
    draft = as_candidate("", problem)
    try:
        if _kind(problem) is TaskType.CODING:
            answer = await solve(f"self_consistency(n={_ATTEMPTS})", asked, compute)
            draft = next((c for c in answer.candidates if c.id == answer.chosen), next(iter(answer.candidates), draft))
        else:
            rules = StopRules(STOP_PHRASES[0], through=STOP_PHRASES[1:], max_tokens=max_steps)
            show = show_gist(max_steps) if debug_mode else None
            result = await stream_gists(model, prompt, sampling=Sampling(temperature=0.0), rules=rules, on_piece=show)
            gists, tokens, error = [*result.pieces], _tokens(result.completion), result.completion.error
            draft = as_candidate(result.text, problem)
        if error is None and judge is not None and _judges(judge, problem):
            answer = await refine(asked, compute, draft, judge, rounds=ROUNDS, enough=GOOD_ENOUGH)
            draft = as_candidate(answer.text, problem)
    except ModelError as failure:
        error = str(failure)
    score = (await ReferenceVerifier().score(problem, [draft]))[0] if error is None else None
    spent = compute.ledger.usage(critical_path_tokens=0, seconds=0.0)
    return {
        "model_output": draft.text,
        "gists": list(gists),
        "is_correct": None if score is None or score.verdict is Verdict.ABSTAIN else score.verdict is Verdict.RIGHT,
        "task_type": str(_kind(problem)),
        "answer": draft.answer,
        "tokens": tokens + spent.tokens,
        "error": error,
    }


def _judges(judge: Verifier, problem: Problem) -> bool:
    return not isinstance(judge, ByKind) or _kind(problem) in judge.verifiers


def _tokens(completion: Completion) -> int:
    lost = completion.lost_prompt_tokens + completion.lost_completion_tokens
    return completion.prompt_tokens + completion.completion_tokens + lost


def _accuracy(name: str, results: Sequence[Mapping[str, Any]]) -> str:
    judged = [r["is_correct"] for r in results if r["task_name"] == name and r["is_correct"] is not None]
    asked = sum(r["task_name"] == name for r in results)
    if not judged:
        return f"{name} Accuracy: unknown, none of {asked} answers could be judged"
    left = "" if len(judged) == asked else f" ({asked - len(judged)} of {asked} could not be judged)"
    return f"{name} Accuracy: {100 * sum(judged) / len(judged):.2f}%{left}"


def _print(result: Mapping[str, Any], total: int) -> None:
    print(f"\nSample {result['index'] + 1}/{total}:")
    for title, field in (
        ("Prompt", "dynamic_prompt"), ("Model Output", "model_output"), ("Gists", "gists"),
        ("Expected Answer", "expected_answer"), ("Correct", "is_correct"), ("Error", "error"),
    ):  # fmt: skip
        if field != "error" or result[field]:
            print(f"{title}: {result[field]}")
