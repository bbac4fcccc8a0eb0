"""What was spent, and what may be.

Usage(calls=8, prompt_tokens=212, completion_tokens=1040, ...).tokens == 1252
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import add, attrgetter, sub


class Phase(StrEnum):
    """What tokens were spent on."""

    SLEEP = "sleep"  # before the question was known
    PROBE = "probe"  # difficulty estimates
    SAMPLE = "sample"  # attempts and revisions
    VERIFY = "verify"  # judges and reward models


@dataclass(frozen=True, slots=True)
class Spend:
    """Plain counts of one phase, or of everything.

    calls              completions asked for (n draws are n calls, however they are sent)
    prompt_tokens      prompt tokens charged, cached ones included
    cached_tokens      of those, read from a prefix cache
    completion_tokens  generated tokens, those of cancelled and broken draws included
    cancelled_tokens   of those, generated but thrown away (cancelled siblings, broken tries)
    flops              2 x parameters x uncached tokens; 0 where the model's size is unknown
    seconds            model seconds, summed over calls (not wall clock)
    cost               money, by the model's prices; 0 where unknown
    estimated_tokens   of all tokens, those that no server told: charged by an upper bound
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cancelled_tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0
    estimated_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together: what budgets count."""
        return self.prompt_tokens + self.completion_tokens

    def counts(self) -> dict[str, float]:
        """The numbers by name."""
        return dict(zip(self.__slots__, _counts(self), strict=True))

    def __add__(self, other: Spend) -> Spend:
        if other is NOTHING:  # most of what a fresh ledger adds; each sum makes an object
            return self
        return other if self is NOTHING else Spend(*map(add, _counts(self), _counts(other)))

    def __sub__(self, other: Spend) -> Spend:
        return self if other is NOTHING else Spend(*map(sub, _counts(self), _counts(other)))


NOTHING = Spend()
# in the order of the fields; ledgers add up millions of these in a replay
_counts = attrgetter(*(f.name for f in fields(Spend)))


@dataclass(frozen=True, slots=True)
class Usage:
    """All that one answer cost: the total, its split by phase, and the longest chain.

    critical_path_tokens  completion tokens on the longest chain of calls that had to wait for each other
    seconds               wall clock
    """

    total: Spend = NOTHING
    phases: Mapping[Phase, Spend] = field(default_factory=dict)
    critical_path_tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens of all phases."""
        return self.total.tokens

    @property
    def verifier_tokens(self) -> int:
        """Tokens spent on judges and reward models."""
        return self.phases.get(Phase.VERIFY, NOTHING).tokens


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a solve; None is no limit. Every one holds, at any concurrency.

    tokens   prompt plus completion tokens, verifiers included
    calls    completions asked for
    flops    floating point operations (needs a model of known size)
    seconds  wall clock; what has not ended by then is cancelled
    cost     money (needs a model with prices)
    """

    tokens: int | None = None
    calls: int | None = None
    flops: float | None = None
    seconds: float | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:  # a request makes several of these
            value = getattr(self, name)
            if value is not None and not value >= 0:  # `not >=` also refuses NaN
                raise ValueError(f"Budget.{name} must be zero or more, got {value!r}")
