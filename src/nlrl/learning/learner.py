"""What trains on texts: pairs of prompt and reply go in, and a model that answers comes out.

    learner = TextTransformer()                                # or FineTuner.load("HuggingFaceTB/SmolLM2-135M")
    report = await learner.fit([("2+2=", "4"), ("2+3=", "5")], seed=0)
    await learner.model.complete(Request((user("2+2="),), Sampling(temperature=0)))

A learner grows from fit to fit; a model stays what it is. Whoever needs yesterday's opinion keeps yesterday's `model`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nlrl.core import Model, UserError

Pair = tuple[str, str]  # prompt, reply
OnProgress = Callable[["FitProgress"], None]


@dataclass(frozen=True, slots=True)
class FitProgress:
    """Where a fit stands. `loss` is the mean of the latest steps, in nats per token of the replies."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a fit did.

    pairs       as given, repeated ones counted each time
    distinct    of those, different ones
    tokens      of the replies, one reading of all distinct pairs
    loss        nats per reply token, mean over the last reading of the pairs
    first_loss  the same over the first one
    seconds     wall clock
    name        of the model that came out
    """

    pairs: int
    distinct: int
    steps: int
    tokens: int
    first_loss: float
    loss: float
    seconds: float
    name: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit.

    epochs         readings of all distinct pairs
    least_steps    more readings where the pairs are so few that these would be fewer batches than this
    batch          distinct pairs in one step
    learning_rate  at its highest: it rises over the first tenth of the steps and falls to zero over the rest
    """

    epochs: int
    least_steps: int
    batch: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.least_steps < 1 or self.batch < 1 or not 0 < self.learning_rate < 1:
            raise UserError(f"A recipe needs at least one epoch, step and pair, and a rate in (0, 1); got {self}.")


class TextLearner(Protocol):
    """A model that learns from texts.

    name   identity of the weights as they are now: `model.name`
    model  answers as of the last fit, for ever: a fit makes a new one and leaves this one alone
    fit    learn to answer each prompt with its reply. What is learned adds to what was learned before. A pair that
           stands k times counts k times. Cancelled or failed, it leaves the learner as it was.
           Raises UserError for pairs that cannot be learned from
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> Model: ...
    async def fit(self, pairs: Sequence[Pair], *, seed: int) -> FitReport: ...


def counted(pairs: Sequence[Pair]) -> dict[Pair, int]:
    """Distinct pairs, in the order of their first appearance, and how often each stands there.

    Raises UserError where there is nothing to learn from.
    """
    for i, (prompt, reply) in enumerate(pairs):
        if not reply.strip():
            raise UserError(f"Pair {i} has an empty reply (its prompt begins {prompt[:60]!r}). Leave such pairs out.")
    if not pairs:
        raise UserError("There are no pairs to learn from. Give at least one (prompt, reply).")
    return Counter((prompt, reply) for prompt, reply in pairs)
