"""The sync face of language GPI: evaluate a policy, aggregate the evaluations in words, improve it, until convergence.

>>> found = language_gpi("qwen2.5-coder-0.5b", None, "gsm8k.jsonl", None, 4, budget=Budget(tokens=50_000))
>>> found.policy.principles[0].text
'Write one calculation per line.'
>>> found.metrics[0].accuracy, found.metrics[0].assessment, found.ended
(0.36, '22 of 60 right. It forgets to carry.', 'iterations')
>>> compute = Compute(model, prompt=found.policy.messages)
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from nlrl.bank import Bank
from nlrl.core import Budget, Problem, Sampling, UserError
from nlrl.core.kept_files import write_whole
from nlrl.core.sync import run_sync
from nlrl.learning.language.asking.improve_policy import Improvement, improve_policy
from nlrl.learning.language.asking.log import LOG, Entry, read_iterations
from nlrl.learning.language.asking.metrics import HeldOut, Metrics, held_out_of, metrics_of, rollout_rows
from nlrl.learning.language.asking.parts import Parts, parts_of
from nlrl.learning.language.asking.policy import LanguagePolicy, diff
from nlrl.learning.language.asking.proposals import KINDS
from nlrl.learning.language.asking.rollouts import Judge
from nlrl.learning.language.asking.turn import AskingSettings
from nlrl.models.given import as_model
from nlrl.tasks.datasets import load_problems
from nlrl.tasks.rows import as_problem
from nlrl.verifiers.functions import RewardModels, as_verifier

_log = logging.getLogger("nlrl.learning.language")
RESULTS = "cache/language_gpi_results.json"
_NO_END = 1000  # iterations where only convergence or the budget is to end a run

Dataset = str | Path | Sequence[str | Problem | Mapping[str, Any]]


@dataclass(frozen=True, repr=False)
class LanguageGPI(Improvement, Sequence[dict[str, Any]]):
    """What language GPI came to: the rows of the results file as a list, and what is known of the run.

    policy      the policy at the end
    metrics     one an iteration
    held_out    the policies before and after on problems that decided nothing; None without any
    rows        every iteration's rollouts, the rows of the results file
    notes       what a reader of the figures must know
    ended       "converged" (`converged` says why), "iterations" or "budget"
    """

    metrics: tuple[Metrics, ...] = ()
    held_out: HeldOut | None = None
    rows: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[dict[str, Any], ...]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return True  # a run without a row is a run

    @property
    def words(self) -> list[str]:
        """What the policy says now, beside the one that the run began with."""
        start = self.iterations[0].policy if self.iterations else None
        return diff(start or LanguagePolicy(), self.policy)

    @property
    def calls(self) -> int:
        """Calls of models, the critic's too."""
        return sum(i.calls for i in self.iterations)

    def __str__(self) -> str:
        why = f"converged ({self.converged})" if self.converged else f"ended by {self.stopped or 'iterations'}"
        accepted = sum(m.accepted for m in self.metrics)
        spent = f"{self.tokens:,} tokens, {self.calls:,} calls, {self.seconds:.1f} s"
        head = f"Language GPI: {len(self.metrics)} iterations, {accepted} accepted, {why}; {spent}"
        apart = [str(self.held_out)] if self.held_out else []
        return "\n".join([head, *apart, *(self.words or ["the policy is unchanged"]), *self.notes])

    __repr__ = __str__


def language_gpi(
    model: Any,
    tokenizer: Any,
    dataset: Dataset,
    reward_model: RewardModels | list[RewardModels] = None,
    iterations: int | None = 3,
    debug_mode: bool = False,
    *,
    patience: int = len(KINDS),
    held_out: float = 0.25,
    strategy: str = "direct",
    critic: Any = None,
    start: LanguagePolicy | None = None,
    budget: int | Budget | None = None,
    sampling: Sampling | None = None,
    minibatch: int = 8,
    validation: float = 0.5,
    confidence: float = 0.9,
    seed: int = 0,
    concurrency: int = 4,
    bank: Bank | None = None,
    out: str | Path | None = None,
    results: str | Path | None = RESULTS,
    say: Callable[[str], None] = print,
) -> LanguageGPI:
    """Language generalized policy iteration on a data set (Feng et al. 2024, 2411.14251).

    Each iteration rolls the policy in force out and evaluates it, aggregates the evaluations in words, proposes one
    change from them (worked examples, a rule, an instruction), and keeps it where it is better on problems that decide,
    by more than luck; until convergence.

    model, tokenizer  an `nlrl` model or its name and None; or a Hugging Face model and its tokenizer
    dataset           problems: rows with "question" or "problem", "answer" and perhaps "test_cases", plain questions,
                      `Problem`s; or the name or file of a data set
    reward_model      what evaluates: functions by kind of task, one function, verifiers or their names; where it
                      abstains, and without one, the reference does. Whether a rollout is correct the reference says
    iterations        changes to try; None: until it has converged, or the budget ends
    debug_mode        print every rollout
    patience          iterations without an accepted change after which it has converged: by default as many as there
                      are kinds of change, each tried once
    held_out          share of the problems that the policies before and after are measured on, and nothing else
    validation        share of the rest that decides; minibatch, confidence, start, strategy as in `AskingSettings`
    critic            the model that reads the rollouts and proposes; the policy's own if not given
    budget            tokens in all, or a Budget of tokens and calls
    out               a directory for the log and the policy; the same call again goes on from there
    results           where every rollout is written, anew after each iteration; None: nowhere
    say               takes the lines that are printed

    Few problems are used as they are, and `notes` say what that means. Raises UserError for an empty data set, one that
    nobody can judge, a place that cannot be written, or nothing that is a model.
    """
    rows = list(load_problems(dataset) if isinstance(dataset, str | Path) else dataset)
    if not rows:
        raise UserError("The data set is empty. Give problems, or the name or file of a data set.")
    problems = [as_problem(row) for row in rows]
    cases = {
        p.id: r["test_cases"]
        for p, r in zip(problems, rows, strict=True)
        if isinstance(r, Mapping) and "test_cases" in r
    }
    several = reward_model if isinstance(reward_model, list) else [reward_model]
    rewards = [v for r in several if (v := as_verifier(r, test_cases=cases)) is not None]
    settings = AskingSettings(
        _NO_END if iterations is None else iterations, strategy, minibatch, validation, confidence=confidence,
        assess=True, patience=patience, sampling=sampling or Sampling(), seed=seed,
    )  # fmt: skip
    judge = Judge(rewards, rewards_first=True)
    parts = parts_of([p for p in problems if judge.can(p)], settings, held_out=held_out)
    told = _Teller(problems, parts, iterations, debug_mode, say, _place(results), out)
    player, reader = as_model(model, tokenizer), None if critic is None else as_model(critic)

    async def job() -> Improvement:
        try:
            return await improve_policy(
                player, parts.feedback, validation=parts.validation, held_out=parts.held_out, settings=settings,
                start=start, critic=reader, reward_models=rewards, rewards_first=True,
                budget=Budget(tokens=budget) if isinstance(budget, int) else budget, bank=bank, out=out,
                concurrency=concurrency, on_iteration=told,
            )  # fmt: skip
        finally:
            for opened, given in ((player, model), (reader, critic)):
                if opened is not None and opened is not given:
                    await opened.aclose()

    return told.result(run_sync(job()))


class _Teller:
    """Prints an iteration when it is made, and writes the rollouts so far."""

    def __init__(
        self, problems: Sequence[Problem], parts: Parts, iterations: int | None, debug: bool,
        say: Callable[[str], None], results: Path | None, out: str | Path | None,
    ) -> None:  # fmt: skip
        self.problems, self.parts, self.iterations, self.debug = problems, parts, iterations, debug
        self.say, self.results, self.log = say, results, None if out is None else Path(out) / LOG
        self.entries: list[Entry] = []
        self.seconds: dict[int, float] = {}
        self.begun = self.last = time.monotonic()

    def __call__(self, done: Entry) -> None:
        now = time.monotonic()
        self.seconds[done.iteration], self.last = now - self.last, now
        self.entries = [*self.entries, done] if self.log is None else read_iterations(self.log)[1]
        if done.iteration or done.decision == "stopped":
            self.tell()

    def tell(self) -> None:
        metrics = metrics_of(self.entries, self.parts.training, self.parts.held_out, self.seconds)[-1]
        of = "" if self.iterations is None else f"/{self.iterations}"
        self.say(f"\n--- Language GPI Iteration {metrics.iteration}{of} ---")
        rows = rollout_rows(self.entries, self.problems)
        self.write(rows)
        for row in rows if self.debug else ():
            if row["iteration"] == metrics.iteration:
                self.say(_shown(row))
        self.say(metrics.line())
        _log.info(metrics.line())
        if metrics.assessment:
            self.say(f"  assessment: {metrics.assessment}")
        for line in metrics.tried:
            self.say(f"  {line}")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.results is not None:
            write_whole(self.results, json.dumps(rows, indent=4).encode())

    def result(self, found: Improvement) -> LanguageGPI:
        rows = rollout_rows(found.iterations, self.problems)
        self.write(rows)
        metrics = metrics_of(found.iterations, self.parts.training, self.parts.held_out, self.seconds)
        apart, notes = held_out_of(found.iterations, self.parts.held_out), [*self.parts.notes, *_doubts(metrics)]
        if self.parts.held_out and apart is None:
            notes.append("The budget ended before the first and the last policy were tried on all held-out problems.")
        whole = LanguageGPI(
            found.policy, found.iterations, found.stopped, found.converged, metrics, apart, tuple(rows), tuple(notes),
            time.monotonic() - self.begun,
        )  # fmt: skip
        self.say(f"\n{whole}")
        return whole


def _doubts(metrics: Sequence[Metrics]) -> list[str]:
    last = metrics[-1] if metrics else None
    if last is None or last.evaluation is None or last.accuracy is None or last.evaluation < 1 or last.accuracy >= 1:
        return []
    return [
        f"The reward gives every rollout its highest value, though {100 * last.accuracy:.0f} % are correct by the "
        "reference: by this reward nothing is left to improve."
    ]


def _place(results: str | Path | None) -> Path | None:
    """Where the results go; that it can be written is found out before anything is spent."""
    if results is None:
        return None
    path = Path(results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(beside := path.with_name(path.name + ".part"), b"")
        beside.unlink()
    except OSError as error:
        raise UserError(
            f"The results {path} cannot be written: {error.strerror}. Name another place with results=, or None."
        ) from error
    return path


def _shown(row: Mapping[str, Any]) -> str:
    labels = {
        "Prompt": "dynamic_prompt", "Model Output": "model_output", "Gists": "gists",
        "Evaluation Score": "evaluation_score", "Expected Answer": "expected_answer", "Correct": "is_correct",
    }  # fmt: skip
    head = f"\nIteration {row['iteration']}, Sample {row['index'] + 1}:"
    return "\n".join([head, *(f"{label}: {row[name]}" for label, name in labels.items())])
