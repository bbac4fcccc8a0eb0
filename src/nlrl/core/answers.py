"""What a strategy makes of completions: candidates, scores, and at the end one answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from nlrl.core.completions import Completion
from nlrl.core.usage import Usage


class Verdict(StrEnum):
    """What a verifier says. Unparsed is not wrong, and neither is silently dropped."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"  # no answer could be read out of the text
    ABSTAIN = "abstain"  # the verifier cannot tell (no reference, judge undecided)
    TIMEOUT = "timeout"  # judging took too long


@dataclass(frozen=True, slots=True)
class Score:
    """How good a candidate is.

    value    in [0, 1]; what selection uses. An abstaining verifier says 0.5 unless it knows better
    verdict  the judgement, which may abstain
    steps    values per reasoning step, where the verifier gives them, each in [0, 1]
    reason   for people: what was compared, which test failed
    by       who turned the verdict, where it was not the verifier's own rules: "second look"
    """

    value: float
    verdict: Verdict = Verdict.ABSTAIN
    steps: tuple[float, ...] = ()
    reason: str = ""
    by: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0.0 <= self.value <= 1.0):
            raise ValueError(f"Score.value must lie in [0, 1], got {self.value!r}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion as an attempt at a problem.

    id           unique within one solve: "s0", "s1", ... in the order drawn
    answer       what was read out of the text, None if nothing could be
    parents      ids of the candidates it was revised or merged from
    path_tokens  completion tokens on the longest chain that ends here (latency in tokens)
    probes       answers forced out of it at growing token counts: ((tokens, answer), ...)
    """

    id: str
    completion: Completion
    answer: str | None = None
    score: Score | None = None
    parents: tuple[str, ...] = ()
    path_tokens: int = 0
    probes: tuple[tuple[int, str | None], ...] = ()

    @property
    def text(self) -> str:
        """The completion's text."""
        return self.completion.text


class Stopped(StrEnum):
    """Why a strategy stopped."""

    DONE = "done"  # it did all it wanted to
    SETTLED = "settled"  # its stop rule held: more compute would not change the answer
    NO_GAIN = "no_gain"  # the last revision was no better
    TOKENS = "tokens"  # the budget's tokens are spent
    CALLS = "calls"
    FLOPS = "flops"
    SECONDS = "seconds"
    COST = "cost"
    FAILED = "failed"  # no attempt succeeded


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a solve.

    value       the extracted answer, None if there is none
    text        the full text of the chosen attempt
    confidence  in [0, 1], None where the strategy has no estimate
    calibrated  whether confidence was calibrated on problems with known answers
    notes       for people: failed samples, ties, reduced sizes
    """

    value: str | None
    text: str = ""
    confidence: float | None = None
    candidates: tuple[Candidate, ...] = ()
    chosen: str | None = None  # id of the chosen candidate
    usage: Usage = field(default_factory=Usage)
    stopped: Stopped = Stopped.DONE
    notes: tuple[str, ...] = ()
    calibrated: bool = False

    def __str__(self) -> str:
        return self.value if self.value is not None else self.text
