"""From an `Ask` to choices: the strategy run over `Compute`, and the account of it.

solved = await spend(ask, model, payer=caller.ledger, watch=gists)
solved.choices[0].text, solved.choices[0].answer.confidence, solved.spent.completion_tokens
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nlrl.compute import Compute, Ledger
from nlrl.core import Answer, Candidate, Completion, Delta, Finish, Model, Spend, Stopped, Usage
from nlrl.server.api.ask import Ask
from nlrl.server.api.request_bank import RequestBank
from nlrl.server.http.errors import ApiError
from nlrl.strategies import solve
from nlrl.strategies.voting import count_votes

Watch = Callable[[str, Delta], None]
_STATUS = {"rate_limited": 429, "overloaded": 503, "connection": 503, "timeout": 504}  # of all that failed
_LENGTH = (Finish.LENGTH, Finish.TIMEOUT, Finish.CANCELLED)


@dataclass(frozen=True)
class Choice:
    """One of the n answers of a request.

    completion  the attempt that was chosen; None if the deadline left only `text`, what had been written by then
    agreement   of the attempts with an answer, the share whose answer is the chosen one's; None where there is none
    """

    answer: Answer
    completion: Completion | None
    text: str
    agreement: float | None

    @property
    def finish_reason(self) -> str:
        """As OpenAI names it."""
        if self.completion is None or self.completion.finish in _LENGTH:
            return "length"
        return "content_filter" if self.completion.finish is Finish.FILTER else "stop"


@dataclass(frozen=True)
class Solved:
    """All choices, what they cost together (`usage`), and what the model's server counted for it (`spent`)."""

    choices: tuple[Choice, ...]
    usage: Usage
    spent: Spend
    failed: int


def both(one: Watch | None, other: Watch) -> Watch:
    """Two that look at the same."""

    def watch(name: str, delta: Delta) -> None:
        if one is not None:
            one(name, delta)
        other(name, delta)

    return watch


async def spend(ask: Ask, model: Model, *, payer: Ledger, watch: Watch | None = None) -> Solved:
    """Run the ask's strategy, n times if n choices are wanted, under one budget. What is spent is charged to `payer`.

    Raises ApiError where not one attempt came of it, ModelError and UserError as `solve` does.
    """
    written = _Written(watch)
    compute = Compute(
        model,
        budget=ask.budget,
        bank=RequestBank(),
        sampling=ask.sampling,
        prompt=lambda _: ask.messages,
        watch=written if ask.watched else None,
    )
    compute.ledger.parent = payer
    if ask.direct:
        attempts = await compute.sample(ask.problem, ask.n)
        answers = [compute.answer(attempt) for attempt in attempts] or [compute.answer(None)]
    elif ask.n == 1:
        answers = [await solve(ask.strategy, ask.problem, compute)]
    else:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_solve_apart(ask, compute)) for _ in range(ask.n)]
        answers = [task.result() for task in running]
    whole = compute.answer(None)
    choices = [choice for answer in answers if (choice := await _choice(ask, answer, written))]
    if not choices:
        raise _nothing(whole.stopped, compute, payer)
    return Solved(tuple(choices), whole.usage, compute.ledger.paid, len(compute.failed))


async def _solve_apart(ask: Ask, compute: Compute) -> Answer:
    """One of several solves that share a budget. They draw one after the other from the same family of samples, so
    no two of them see the same attempt."""
    async with compute.spawn() as child:
        return await solve(ask.strategy, ask.problem, child)


async def _choice(ask: Ask, answer: Answer, written: _Written) -> Choice | None:
    chosen = next((c for c in answer.candidates if c.id == answer.chosen), None)
    if chosen is not None:
        agreement = None if ask.direct else await _agreement(ask, answer, chosen)
        return Choice(answer, chosen.completion, answer.text, agreement)
    if answer.text:  # a strategy that wrote its answer out of several attempts
        return Choice(answer, None, answer.text, None)
    if answer.candidates:  # none could be read: the first is as good as any
        first = answer.candidates[0]
        return Choice(answer, first.completion, first.text, None)
    if answer.stopped is Stopped.SECONDS:
        return Choice(answer, None, written.most(), None)
    return None


async def _agreement(ask: Ask, answer: Answer, chosen: Candidate) -> float | None:
    vote = await count_votes(ask.problem, answer.candidates)
    ours = next((party for party in vote.parties if any(m.id == chosen.id for m in party.members)), None)
    voters = sum(len(party.members) for party in vote.parties)
    return len(ours.members) / voters if ours and voters > 1 else None  # one vote is no agreement


def _nothing(stopped: Stopped, compute: Compute, payer: Ledger) -> ApiError:
    """Why there is no attempt at all."""
    if compute.failed:
        why = compute.failed[0].error or ""
        status = _STATUS.get(why.partition(":")[0], 502)
        return ApiError(status, f"Every attempt failed: {why.rstrip('.')}.", code="upstream_failed", retry_after_s=5)
    left, own = payer.remaining.tokens, compute.ledger.budget.tokens
    if left is not None and (own is None or left < own):
        return ApiError(429, f"This key has {left:,} tokens left, too few for one attempt.", code="insufficient_quota")
    return ApiError(
        400,
        f"The budget ({stopped}) does not hold one attempt. Raise it, or lower max_tokens.",
        param=f"nlrl.budget.{stopped}",
        code="budget_too_small",
    )


class _Written:
    """Passes deltas on, and remembers what each attempt has written so far: at a deadline it may be all there is."""

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch
        self._texts: dict[str, list[str]] = {}

    def __call__(self, name: str, delta: Delta) -> None:
        if delta.text:
            self._texts.setdefault(name, []).append(delta.text)
        if self._watch is not None:
            self._watch(name, delta)

    def most(self) -> str:
        """The text of the attempt that has got furthest."""
        return max(("".join(parts) for parts in self._texts.values()), key=len, default="")
