"""What each iteration of language GPI measured and learned, and every rollout of it as a row.

    metrics = metrics_of(entries, training, held_out)      # one an iteration, the cost of the start in the first
    metrics[0].line()     "Iteration 1 Language GPI Accuracy: 52.50% in training, 50.00% held out; evaluation 0.53; ..."
    rollout_rows(entries, problems)                        # what cache/language_gpi_results.json holds

All of it is read from the log of the run, so that a run that was gone on with tells the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlrl.core import Problem
from nlrl.evaluation.intervals import Interval, gain_interval, mean_interval
from nlrl.learning.language.asking.log import Entry
from nlrl.learning.language.asking.policy import LanguagePolicy, diff
from nlrl.learning.language.asking.rollouts import Rollout

TASK_NAME = "Language GPI"


@dataclass(frozen=True)
class Metrics:
    """One iteration: the evaluation of the policy in force when it began, and the change that was tried.

    evaluation  mean value of its rollouts on the training problems: by the reward where one was given; None: unknown
    accuracy    share of those that are correct by the reference; None where no problem has one
    held_out    the same on the problems kept apart; None where there are none, or not all were tried
    assessment  the evaluations, aggregated in words
    kind        of the change, and what became of it (`Entry.decision`)
    learned     what the accepted change says, line by line; () where none was accepted. tried: of any change
    tokens, calls, seconds  of the iteration; seconds are None where it was read from a log
    """

    iteration: int
    policy: str
    evaluation: float | None
    accuracy: float | None
    held_out: float | None
    assessment: str
    kind: str
    decision: str
    tried: tuple[str, ...]
    tokens: int
    calls: int
    seconds: float | None
    note: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the policy changed."""
        return self.decision == "accepted"

    @property
    def learned(self) -> tuple[str, ...]:
        """The words by which the policy changed."""
        return self.tried if self.accepted else ()

    def line(self) -> str:
        """The iteration on one line."""
        parts = [f"{_percent(self.accuracy)}"]
        parts[0] += "" if self.held_out is None else f" in training, {_percent(self.held_out)} held out"
        parts += [f"evaluation {'unknown' if self.evaluation is None else f'{self.evaluation:.3f}'}"]
        parts += [f"{self.tokens:,} tokens, {self.calls:,} calls"]
        if self.seconds is not None:
            parts[-1] += f", {self.seconds:.1f} s"
        parts += [f"{self.kind or 'no change'}: {self.decision}{f' ({self.note})' if self.note else ''}"]
        return f"Iteration {self.iteration} {TASK_NAME} Accuracy: {'; '.join(parts)}"


@dataclass(frozen=True)
class HeldOut:
    """The policies before and after on problems that decided nothing, with 95 % intervals over them.

    by  "accuracy" against the references, or "evaluation" by the reward, where no problem has one
    """

    problems: int
    by: str
    before: Interval
    after: Interval
    gain: Interval

    def __str__(self) -> str:
        def told(i: Interval, sign: str = "") -> str:
            return f"{100 * i.mean:{sign}.1f} [{100 * i.low:{sign}.1f}, {100 * i.high:{sign}.1f}]"

        return (
            f"{self.by} on {self.problems} held-out problems in %: {told(self.before)} before, {told(self.after)} "
            f"after, {told(self.gain, '+')}{'' if self.gain.excludes_zero else ' (a tie)'}"
        )


class _Replay:
    """The log, entry by entry: what is known of each policy, and which one is in force."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.known: dict[tuple[str, str], list[Rollout]] = {}
        self.policies: dict[str, LanguagePolicy] = {}
        self._entries = entries

    def __iter__(self) -> Iterator[tuple[Entry, str]]:
        """Each iteration with the policy that was in force when it began; what it rolled is known by then."""
        before = ""
        for entry in self._entries:
            for rollout in entry.rollouts:
                self.known.setdefault((rollout.policy, rollout.problem), []).append(rollout)
            if entry.policy is not None:
                self.policies[entry.policy.id] = entry.policy
            yield entry, before or entry.incumbent
            before = entry.incumbent

    def of(self, policy: str, problems: Sequence[Problem]) -> list[list[Rollout]]:
        """The rollouts of a policy, problem by problem."""
        return [self.known.get((policy, p.id), []) for p in problems]


def metrics_of(
    entries: Sequence[Entry],
    training: Sequence[Problem],
    held_out: Sequence[Problem],
    seconds: Mapping[int, float] | None = None,
) -> tuple[Metrics, ...]:
    """One an iteration. What the evaluation of the start policy cost is counted to the first; where the budget ended in
    it, it is the first.

    seconds  by the number of the entry, as far as they were measured
    """
    replay, made, seconds = _Replay(entries), list[Metrics](), seconds or {}
    start = entries[0] if entries else None
    for entry, policy in replay:
        if entry.iteration == 0 and entry.decision != "stopped":
            continue
        first = start if entry.iteration == 1 else None
        took = [seconds.get(e.iteration) for e in (first, entry) if e is not None]
        change = diff(replay.policies.get(policy, LanguagePolicy()), entry.policy) if entry.policy else []
        rolled = replay.of(policy, training)
        made.append(
            Metrics(
                iteration=max(entry.iteration, 1),
                policy=policy,
                evaluation=_mean(_values(rolled, evaluated=True)),
                accuracy=_mean(_values(rolled)),
                held_out=_mean(_values(apart)) if all(apart := replay.of(policy, held_out)) else None,
                assessment=str(entry.assessment or ""),
                kind=entry.kind,
                decision=entry.decision,
                tried=tuple(change),
                tokens=entry.tokens + (first.tokens if first else 0),
                calls=entry.calls + (first.calls if first else 0),
                seconds=None if None in took else sum(t for t in took if t is not None),
                note=entry.note,
            )
        )
    return tuple(made)


def held_out_of(entries: Sequence[Entry], problems: Sequence[Problem]) -> HeldOut | None:
    """The start policy beside the last one; None where one of them was not tried on all the problems."""
    replay, policies = _Replay(entries), list[str]()
    for entry, _ in replay:
        policies.append(entry.incumbent)
    if not problems or not policies:
        return None
    before, after = (replay.of(policy, problems) for policy in (policies[0], policies[-1]))
    if not all(before) or not all(after):
        return None
    for by in ("accuracy", "evaluation"):
        a, b = (_values(rolled, evaluated=by == "evaluation") for rolled in (before, after))
        pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
        if pairs:
            first, last = [x for x, _ in pairs], [y for _, y in pairs]
            gain = gain_interval(last, first)
            return HeldOut(len(pairs), by, mean_interval(first), mean_interval(last), gain)
    return None


def rollout_rows(entries: Sequence[Entry], problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Each iteration's rollout of the policy in force on each problem, in the order of the problems.

    gists are the lines that a rollout was written in; evaluation_score is None where nobody could judge, is_correct
    where nothing says what is right. A policy that is still in force is not rolled out again: its rows are the same.
    Problems that the budget did not reach have none.
    """
    replay, rows = _Replay(entries), list[dict[str, Any]]()
    for entry, policy in replay:
        if entry.iteration == 0 and entry.decision != "stopped":
            continue
        said = replay.policies.get(policy, LanguagePolicy())
        for index, (problem, rolled) in enumerate(zip(problems, replay.of(policy, problems), strict=True)):
            if rolled:
                rows.append(_row(max(entry.iteration, 1), index, problem, said, rolled[0]))
    return rows


def _row(iteration: int, index: int, problem: Problem, policy: LanguagePolicy, rollout: Rollout) -> dict[str, Any]:
    return {
        "task_name": TASK_NAME,
        "iteration": iteration,
        "index": index,
        "prompt": problem.question,
        "dynamic_prompt": "\n\n".join(message.content for message in policy.messages(problem)),
        "model_output": rollout.text,
        "expected_answer": problem.reference,
        "gists": rollout.text.splitlines(keepends=True),
        "evaluation_score": rollout.value,
        "is_correct": rollout.correct,
    }


def _values(rolled: Sequence[Sequence[Rollout]], *, evaluated: bool = False) -> list[float | None]:
    """Problem by problem, the mean over its rollouts of what is known: their values, or whether they are correct."""
    table = [[r.value if evaluated else r.correct for r in some] for some in rolled]
    return [_mean([None if v is None else float(v) for v in row]) for row in table]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.2f}%"
