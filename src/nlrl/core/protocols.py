"""The contracts between rooms, all on one screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from nlrl.core.answers import Candidate, Score
from nlrl.core.completions import Capabilities, Completion, Delta, Message, Request
from nlrl.core.problems import Problem
from nlrl.core.usage import Spend


@runtime_checkable
class Model(Protocol):
    """The one seam to tokens.

    name      identity: weights and revision; part of the bank's key
    complete  exactly `request.n` completions, in index order. A draw that failed is a Completion with `error` set;
              an exception (ModelError) means that the request as a whole is impossible. Cancelling the task frees
              what was being generated
    stream    the same as deltas as they come, indices interleaved; the last delta of each index carries its
              completion; closing the iterator cancels the rest. It may have a method `cut() -> {index: Completion}`
              that says, once it is closed, what draws cost that were begun and not finished; without it they are
              charged what their deltas told, and the prompt
    count_prompt_tokens  exact length of the prompt in tokens, or None where the backend cannot tell beforehand
    """

    @property
    def name(self) -> str: ...
    @property
    def can(self) -> Capabilities: ...
    async def complete(self, request: Request) -> list[Completion]: ...
    def stream(self, request: Request) -> AsyncIterator[Delta]: ...
    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None: ...
    async def aclose(self) -> None: ...


@runtime_checkable
class Verifier(Protocol):
    """How good are these candidates? One score each, in order; one that fails to judge abstains."""

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]: ...


@runtime_checkable
class SpendingVerifier(Verifier, Protocol):
    """A verifier that asks a model. `metered` returns a copy whose calls go through the given meter,
    which takes the verifier's own model (None: the solver's) and returns one that charges the ledger."""

    def metered(self, meter: Callable[[Model | None], Model]) -> Verifier: ...


@runtime_checkable
class PricedVerifier(Verifier, Protocol):
    """A verifier that computes without a `Model`: a reward model of its own, in this process or on a server.

    price  an upper bound of what scoring would cost (tokens read, FLOPs): it is reserved before, and charged after,
           unless a method `spent(problem, candidates) -> Spend | None` then knows better
    """

    async def price(self, problem: Problem, candidates: Sequence[Candidate]) -> Spend: ...


class Environment(Protocol):
    """Gymnasium's five-value step, over text."""

    def reset(self, *, seed: int | None = None) -> tuple[str, dict[str, Any]]: ...
    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]: ...
