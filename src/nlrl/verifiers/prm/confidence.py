"""How sure the model was of each step, from the log-probabilities of its own tokens.

    ConfidencePRM()                        mean probability of each line
    ConfidencePRM("lowest_group", over="so_far")    DeepConf's lowest group, up to and with each line

The measures are those of `confidence.py`, a line at a time instead of a text at a time (self-certainty: Kang et al.
2025, 2502.18581; lowest group confidence: Fu et al. 2025, 2508.15260). Free of charge, and it cannot tell a confident
mistake from a confident truth. It works on partial texts: a stem carries the log-probabilities of all that was drawn
for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from nlrl.core import Candidate, Problem, Score, TokenLogprob, UserError
from nlrl.verifiers.confidence import (
    CONFIDENCE_SCALE,
    MIN_REST,
    VOCABULARY,
    Measure,
    lowest_group,
    mean_logprob,
    self_certainty,
)
from nlrl.verifiers.prm.align import tokens_by_step
from nlrl.verifiers.prm.steps import abstained, no_steps, step_score, steps_of

STEP_WINDOW = 16  # tokens in a group of lowest_group: a line of a worked solution has 10 to 60
_LEAST_COVERED = 0.5  # of the steps must have tokens


class ConfidencePRM:
    """Step values in [0, 1] from token log-probabilities.

    measure     mean_logprob: exp of the mean. self_certainty: of the maximum that float32 resolves.
                lowest_group: 1 - exp(-c / 8) of the least confident window
    over        "step": each line by itself. "so_far": everything up to and with the line
    window      tokens in a group of lowest_group

    Abstains without log-probabilities, or where fewer than half of the steps have any. A step without tokens has the
    value of the step before it, since nothing new is known.
    """

    needs_logprobs = True  # of the draws: they must be asked for when drawing

    def __init__(
        self,
        measure: Measure = "mean_logprob",
        *,
        over: Literal["step", "so_far"] = "step",
        window: int = STEP_WINDOW,
        vocabulary: int = VOCABULARY,
    ) -> None:
        if measure not in ("mean_logprob", "self_certainty", "lowest_group") or over not in ("step", "so_far"):
            raise UserError(
                "ConfidencePRM: measure must be mean_logprob, self_certainty or lowest_group, and over 'step' or "
                f"'so_far'; got measure={measure!r}, over={over!r}."
            )
        if window < 1 or vocabulary < 2:
            raise UserError(f"ConfidencePRM: window must be at least 1 and vocabulary 2; got {window}, {vocabulary}.")
        self.measure: Measure = measure
        self.over, self.window, self.vocabulary = over, window, vocabulary

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        return [self._score(candidate) for candidate in candidates]

    def _score(self, candidate: Candidate) -> Score:
        steps = len(steps_of(candidate.text))
        if not steps:
            return no_steps()
        usable = [t for t in candidate.completion.logprobs or () if math.isfinite(t.logprob)]
        if not usable:
            return abstained("no_logprobs", "the completion carries no log-probabilities")
        groups = tokens_by_step(candidate.text, usable)
        covered = sum(bool(group) for group in groups)
        if covered < _LEAST_COVERED * steps:
            return abstained("no_logprobs", f"only {covered} of {steps} steps have log-probabilities")
        values: list[float] = []
        seen: list[TokenLogprob] = []
        for group in groups:
            seen += group
            base = group if self.over == "step" else seen
            if group and base:
                values.append(self._value(base))
            else:
                values.append(values[-1] if values else 0.5)
        return step_score(values, steps, f"{self.measure} of each step's tokens")

    def _value(self, tokens: Sequence[TokenLogprob]) -> float:
        if self.measure == "mean_logprob":
            value = math.exp(mean_logprob(tokens))
        elif self.measure == "self_certainty":
            value = self_certainty(tokens, self.vocabulary) / -math.log(MIN_REST)
        elif all(t.top for t in tokens):
            value = 1 - math.exp(-lowest_group(tokens, self.window) / CONFIDENCE_SCALE)
        else:  # no alternatives: the least probable window of the sampled tokens
            windows = range(max(1, len(tokens) - self.window + 1))
            value = math.exp(min(mean_logprob(tokens[i : i + self.window]) for i in windows))
        return min(1.0, max(0.0, value))
