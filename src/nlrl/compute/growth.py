"""How unfinished texts grow: step by step along several stems, by a chunk, or forced to their answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nlrl.answers.extraction import extract_answer
from nlrl.compute.session import over
from nlrl.core import (
    ANSWER_PHRASE,
    BudgetExhausted,
    Candidate,
    Finish,
    ModelError,
    Phase,
    Problem,
    PromptTooLong,
    Sampling,
    Spend,
    Stopped,
)

if TYPE_CHECKING:
    from nlrl.compute.handle import Compute


def step_sampling(stop: str, tokens: int, sampling: Sampling | None) -> Sampling:
    """One step: it ends with `stop`, after `tokens`, or with the answer."""
    return over(Sampling(max_tokens=tokens, stop=(stop,), stop_after=ANSWER_PHRASE), sampling)


async def branch(
    compute: Compute,
    problem: Problem,
    stems: Sequence[Candidate | None],
    n: int,
    stop: str,
    step: Sampling,
    phase: Phase,
) -> list[list[Candidate]]:
    """See `Compute.branch`."""
    _check_prefill(compute)

    async def grow(stem: Candidate | None) -> list[Candidate]:
        text, parents = (stem.text, [stem]) if stem else ("", [])
        try:
            drawn = await compute.sample(problem, n, prefill=text, parents=parents, sampling=step, phase=phase)
        except PromptTooLong:
            if stem is None:
                raise
            compute.note("A text had filled the model's context and was not continued.")
            return []
        return [_replaced(compute, piece, _grown(stem, piece, stop, problem)) for piece in drawn]

    bounds = [await compute.bound(problem, n, prefill=stem.text if stem else "", sampling=step) for stem in stems]
    if compute.ledger.blocker(sum(bounds, Spend())) is None:
        async with asyncio.TaskGroup() as group:
            growing = [group.create_task(grow(stem)) for stem in stems]
        compute.candidates.sort(key=_number)  # drawn side by side, they came as they ended
        return [task.result() for task in growing]
    # side by side, what still fits would depend on which ends first, and a replay would differ from the live run
    return [await grow(stem) for stem in stems]


async def extend(compute: Compute, problem: Problem, candidate: Candidate, tokens: int) -> Candidate:
    """See `Compute.extend`."""
    return await _proceed(compute, problem, candidate, candidate.text, Sampling(max_tokens=tokens))


async def force(compute: Compute, problem: Problem, candidate: Candidate, tokens: int) -> Candidate:
    """See `Compute.force`."""
    prefill = f"{candidate.text.rstrip()}\n\n{ANSWER_PHRASE}"
    return await _proceed(compute, problem, candidate, prefill, Sampling(max_tokens=tokens, stop=("\n",)))


async def _proceed(
    compute: Compute, problem: Problem, candidate: Candidate, prefill: str, sampling: Sampling
) -> Candidate:
    """The candidate with `prefill` in place of its text, continued once. Raises BudgetExhausted, ModelError."""
    _check_prefill(compute)
    grown = await compute.sample(problem, 1, prefill=prefill, parents=[candidate], sampling=sampling)
    if not grown:
        raise BudgetExhausted(compute.stopped or Stopped.FAILED)
    whole = replace(grown[0].completion, text=prefill + grown[0].text)
    answer = extract_answer(whole.text, problem).answer
    return _replaced(compute, grown[0], replace(grown[0], completion=whole, answer=answer))


def _grown(stem: Candidate | None, piece: Candidate, stop: str, problem: Problem) -> Candidate:
    """`stem` with one more step. The backends cut the stop string off and do not say whether it was that or the end
    token that ended the step; a text that was over without an answer shows it by an empty next step."""
    c = piece.completion
    _, phrase, after = c.text.lower().rpartition(ANSWER_PHRASE.lower())
    over = c.finish is Finish.RULE or not c.text.strip() or bool(phrase and c.finish is Finish.STOP and after.strip())
    before = stem.text if stem else ""
    text = before + c.text + (stop if c.finish is Finish.STOP and not over else "")
    sure = (*(stem.completion.logprobs or () if stem else ()), *(c.logprobs or ()))
    whole = replace(c, text=text, finish=c.finish if over else Finish.LENGTH, logprobs=sure or None)
    return replace(piece, completion=whole, answer=extract_answer(text, problem).answer if over else None)


def _check_prefill(compute: Compute) -> None:
    if not compute.model.can.prefill:
        raise ModelError(f"{compute.model.name} cannot continue a given text (prefill); use a strategy without it.")


def _replaced(compute: Compute, piece: Candidate, whole: Candidate) -> Candidate:
    at = next(i for i, c in enumerate(compute.candidates) if c.id == piece.id)
    compute.candidates[at] = whole
    return whole


def _number(candidate: Candidate) -> int:
    return int(candidate.id[1:])
