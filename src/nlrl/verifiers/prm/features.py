"""What a small reward model looks at in each step: cheap, general, and in linear time.

    rows = step_features(problem, text, logprobs)     one row of FEATURES a step; NaN is "not known"

A row knows the question, the steps before it and the step itself, never what comes after: the value of a prefix must
not depend on how it goes on. That also makes partial and whole texts alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction

from nlrl.core import ANSWER_PHRASE, Problem, TokenLogprob
from nlrl.verifiers.prm.align import tokens_by_step
from nlrl.verifiers.prm.arithmetic import Checked, check_equations, numbers_in
from nlrl.verifiers.prm.steps import steps_of

TEXT_FEATURES = (
    "index",  # of the step, from 0
    "chars_so_far",
    "chars",
    "words",
    "digits_share",
    "is_answer",  # states the final answer
    "sums_right",  # of this step
    "sums_wrong",
    "sums_unknown",
    "wrong_so_far",  # sums, this step included
    "right_so_far",
    "last_sum_wrong",  # the latest judged sum so far
    "operands_known_share",  # of this step's sums: numbers of the question, or results from before
    "numbers",  # in this step
    "numbers_known_share",  # in the question, in earlier steps, or results of this step's sums
    "new_numbers_so_far",  # from nowhere
    "question_numbers_used_share",
    "carries_on",  # uses the latest result
    "answer_is_latest_result",
    "question_words_share",  # of this step's words, in the question too
    "repeats_line",  # says what an earlier line said
    "repeats_so_far",
    "overlap_before",  # with the line before, as a share of words
    "distinct_words_share",
    "hedges",  # "wait", "actually", "mistake" ...
)
LOGPROB_FEATURES = (
    "logprob_mean",
    "logprob_min",
    "logprob_first",
    "logprob_mean_so_far",
    "logprob_min_so_far",
    "logprob_step_min_mean",  # the lowest of the steps' means so far
    "tokens",
)
FEATURES = TEXT_FEATURES + LOGPROB_FEATURES

_LOOK = 2_000  # characters of a step that are looked at
_WORD = re.compile(r"\w+")
_HEDGE = re.compile(r"\b(?:wait|actually|mistake|oops|hmm|however|recheck|incorrect|sorry|maybe|assume)\b", re.I)
_NAN = math.nan


def step_features(
    problem: Problem, text: str, logprobs: Sequence[TokenLogprob] | None = None
) -> list[tuple[float, ...]]:
    """One row of `FEATURES` for each step of the text."""
    steps = [step[:_LOOK] for step in steps_of(text)]
    told = f"{problem.context}\n{problem.question}"[: 10 * _LOOK]
    asked = numbers_in(told)
    history = _History(set(asked), set(asked), {w.lower() for w in _WORD.findall(told)})
    usable = [t for t in logprobs or () if math.isfinite(t.logprob)]
    groups = tokens_by_step(text, usable) if usable else [[] for _ in steps]
    sure = _Sureness()
    return [history.row(step) + sure.row(group) for step, group in zip(steps, groups, strict=True)]


class _History:
    """What was said before the step at hand."""

    def __init__(self, asked: set[Fraction], known: set[Fraction], asked_words: set[str]) -> None:
        self.asked, self.known, self.asked_words = asked, known, asked_words
        self.index = self.chars = self.right = self.wrong = self.new = self.repeats = 0
        self.last_wrong = _NAN
        self.latest: Fraction | None = None
        self.used: set[Fraction] = set()
        self.lines: set[str] = set()
        self.before: set[str] = set()

    def row(self, step: str) -> tuple[float, ...]:
        checked = check_equations(step)
        numbers = numbers_in(step)
        results = set(checked.results)
        words = [w.lower() for w in _WORD.findall(step)]
        distinct = set(words)
        line = " ".join(words)
        _, phrase, answer = step.lower().rpartition(ANSWER_PHRASE.lower())
        known = [n in self.known or n in results for n in numbers]
        operands = [n in self.known or n in results for n in checked.operands]
        repeated = line in self.lines
        carries = _NAN if self.latest is None else float(self.latest in numbers)
        said = numbers_in(answer) if phrase else []
        agrees = float(said[-1] == self.latest) if said and self.latest is not None else _NAN
        self._count(checked, numbers, known, repeated)
        row = (
            float(self.index),
            float(self.chars),
            float(len(step)),
            float(len(words)),
            _share(sum(c.isdigit() for c in step), len(step)),
            float(bool(phrase)),
            float(checked.right),
            float(checked.wrong),
            float(checked.unknown),
            float(self.wrong),
            float(self.right),
            self.last_wrong,
            _share(sum(operands), len(operands)),
            float(len(numbers)),
            _share(sum(known), len(known)),
            float(self.new),
            _share(len(self.used), len(self.asked)),
            carries,
            agrees,
            _share(len(distinct & self.asked_words), len(distinct)),
            float(repeated),
            float(self.repeats),
            _share(len(distinct & self.before), len(distinct | self.before)),
            _share(len(distinct), len(words)),
            float(len(_HEDGE.findall(step))),
        )
        self.index += 1
        self.chars += len(step)
        self.lines.add(line)
        self.before = distinct
        self.known.update(numbers)
        if checked.results:
            self.latest = checked.results[-1]
        return row

    def _count(self, checked: Checked, numbers: list[Fraction], known: list[bool], repeated: bool) -> None:
        self.right += checked.right
        self.wrong += checked.wrong
        if checked.right or checked.wrong:
            self.last_wrong = float(checked.wrong > 0)
        self.new += sum(not k for k in known)
        self.used.update(self.asked.intersection(numbers))
        self.repeats += repeated


class _Sureness:
    """The log-probabilities so far."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0
        self.lowest = self.lowest_mean = math.inf

    def row(self, tokens: Sequence[TokenLogprob]) -> tuple[float, ...]:
        if not tokens:
            return (_NAN,) * len(LOGPROB_FEATURES)
        values = [max(t.logprob, -30.0) for t in tokens]
        mean = math.fsum(values) / len(values)
        self.total += math.fsum(values)
        self.count += len(values)
        self.lowest = min(self.lowest, *values)
        self.lowest_mean = min(self.lowest_mean, mean)
        so_far = self.total / self.count
        return mean, min(values), values[0], so_far, self.lowest, self.lowest_mean, float(len(values))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else _NAN
