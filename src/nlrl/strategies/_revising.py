"""How a model is asked to do an attempt again, and how several are asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nlrl.compute import Compute
from nlrl.core import Candidate, Message, Problem, Sampling, Verdict, assistant, user
from nlrl.strategies._step_search import in_order

CONTEXT = 4  # earlier attempts in view (Snell et al. 2024, section 6.1)
_SHOWN = 1200  # characters of an attempt: four of them fill less than a context of 2,048 tokens
# The question stands last, as in the worked examples before it: small instruct models hold on to that form, and lose
# the question, or write about the worked examples, where an instruction stands in its place.
_AGAIN = "That answer may be wrong. Check each step, then write the corrected solution in the same format."
_RATED = "A checker rates that answer {score} on a scale from 0 to 1.{reason} Write a better one in the same format."


def revision_prompt(
    prompt: tuple[Message, ...], attempts: Sequence[Candidate], *, scores: bool = False
) -> tuple[Message, ...]:
    """`prompt`, the last few attempts as turns that were not accepted, and the question again; `prompt` itself if
    there are none. With `scores`, the model is told what each was worth."""
    question = prompt[-1].content
    turns: list[Message] = []
    for attempt in attempts[-CONTEXT:]:
        comment = _rating(attempt) if scores and attempt.score else _AGAIN
        turns += [assistant(_shown(attempt.text)), user(f"{comment}\n\n{question}")]
    return (*prompt, *turns)


async def attempt_each(
    problem: Problem,
    compute: Compute,
    prompts: Sequence[tuple[Message, ...]],
    parents: Sequence[Sequence[Candidate]],
    sampling: Sampling | None = None,
) -> list[Candidate | None]:
    """One attempt for every prompt, in order; None where a draw failed or did not fit.

    Those without parents have the same prompt, and are one call of several draws. Side by side where there is no
    limit to run into, else one after the other: what still fits would depend on which ends first, and a replay would
    differ from the live run.
    """
    drawn: list[Candidate | None] = [None] * len(prompts)
    plain = [i for i, p in enumerate(parents) if not p]
    others = [i for i, p in enumerate(parents) if p]

    async def draw(places: list[int]) -> None:
        first = places[0]
        made = await compute.sample(
            problem, len(places), messages=prompts[first], parents=parents[first], sampling=sampling
        )
        for place, candidate in zip(places, made, strict=False):
            drawn[place] = candidate

    calls = [plain] * bool(plain) + [[i] for i in others]
    left = compute.remaining
    if left.tokens is left.calls is left.flops is left.cost is None:
        async with asyncio.TaskGroup() as group:
            for places in calls:
                group.create_task(draw(places))
    else:
        for places in calls:
            await draw(places)
    in_order(compute)
    return drawn


def _shown(text: str) -> str:
    """The attempt, its middle left out where it is long: beginning and answer tell most."""
    text = text.strip()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}\n...\n{text[-_SHOWN // 2 :]}"


def _rating(attempt: Candidate) -> str:
    score = attempt.score
    if score is None:
        return _AGAIN
    reason = f" {score.reason[:200].strip()}." if score.verdict is Verdict.WRONG and score.reason else ""
    return _RATED.replace("{score}", f"{score.value:.2f}").replace("{reason}", reason)
