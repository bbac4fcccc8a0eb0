"""Watch a completion as it is written, gist by gist, and stop it by rule.

    result = await stream_gists(model, "What is 17 + 25?", on_gist=print)
    result.gists[0]      # Gist(text="17 + 25 = 42\\n", tokens=9, logprob=-0.21, seconds=0.31)
    result.text          # ends with the answer line
    result.finish        # why it ended: rule, stop, length, timeout

A gist is about a line of text (at most some 32 tokens). The rules are data, see `StopRules`. They look only at what the
model writes: the phrase in the prompt stops nothing. A phrase that arrives in two tokens is found all the same, and the
rule "answer line" waits for the answer: the line that has "Final Answer:" on it is finished first.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from nlrl.core import (
    ANSWER_PHRASE,
    Completion,
    Delta,
    Finish,
    Gist,
    Message,
    Model,
    ModelError,
    Request,
    Sampling,
    UserError,
    user,
)
from nlrl.models.streams import Assembler

T = TypeVar("T")
OnGist = Callable[[Gist], None]
Prompt = str | Message | Sequence[Message]


@dataclass(frozen=True, slots=True)
class StopRules:
    """When to stop a completion; the model's end token always does.

    answer_after  end with the answer line after this phrase (any case), None for no such rule
    phrases       end before any of these; they are not part of the text
    through       end after any of these; they are part of the text
    max_tokens    end after so many tokens
    seconds       end after so long, with what there is by then (`Finish.TIMEOUT`); None for no limit
    """

    answer_after: str | None = ANSWER_PHRASE
    phrases: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    max_tokens: int | None = 512
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UserError(f"StopRules.seconds must be more than zero, got {self.seconds!r}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise UserError(f"StopRules.max_tokens must be at least 1, got {self.max_tokens!r}.")

    def applied_to(self, sampling: Sampling) -> Sampling:
        """The sampling with these rules in it; stop strings that it has already are kept."""
        return replace(
            sampling,
            stop=tuple(dict.fromkeys((*sampling.stop, *self.phrases))),
            stop_after=self.answer_after or sampling.stop_after,
            max_tokens=self.max_tokens if sampling.max_tokens is None else sampling.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class GistResult:
    """What was written, and how. `completion` has the rest: tokens, log-probabilities, seconds.

    pieces  the text as it came, usually a token at a time; together they are the text
    """

    text: str
    gists: tuple[Gist, ...]
    pieces: tuple[str, ...]
    finish: Finish
    completion: Completion

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return self.completion.completion_tokens


async def stream_gists(
    model: Model,
    prompt: Prompt,
    *,
    sampling: Sampling | None = None,
    rules: StopRules | None = None,
    on_gist: OnGist | None = None,
    on_piece: Callable[[str], None] | None = None,
    prefill: str = "",
) -> GistResult:
    """One draw; `on_gist` is called with every gist as soon as it is complete, `on_piece` with text as it comes.

    prompt    the question, or messages
    sampling  default: log-probabilities of the sampled tokens where the model has them, its own default otherwise
    Raises what the model raises (ModelError), and UserError for an empty prompt. A draw that broke off is returned,
    with `Finish.ERROR` and what had arrived.
    """
    rules = rules or StopRules()
    sampling = rules.applied_to(sampling or Sampling(logprobs=0 if model.can.logprobs else None))
    request = Request(_messages(prompt), sampling, prefill=prefill)
    draw = _Draw(Assembler(0, sampling, prefix=prefill, through=rules.through), on_gist, on_piece)
    stream = model.stream(request)
    try:
        async with asyncio.timeout(rules.seconds):
            completion = await draw.read(stream)
    except TimeoutError:
        completion = draw.cut(Finish.TIMEOUT)
    finally:
        if (aclose := getattr(stream, "aclose", None)) is not None:
            await aclose()
    completion = _with_costs(completion, stream)
    pieces = tuple(draw.pieces) if "".join(draw.pieces) == completion.text else (completion.text,)
    return GistResult(completion.text, completion.gists, pieces, completion.finish, completion)


class _Draw:
    """The draw being watched. Its own assembler applies the rules, whether or not the model does."""

    def __init__(self, assembler: Assembler, on_gist: OnGist | None, on_piece: Callable[[str], None] | None) -> None:
        self.assembler, self.on_gist, self.on_piece = assembler, on_gist, on_piece
        self.shown = 0
        self.pieces: list[str] = []

    async def read(self, stream: AsyncIterator[Delta]) -> Completion:
        async for delta in stream:
            text = delta.text
            shown = self.assembler.feed(text, reasoning=delta.reasoning, tokens=delta.tokens, logprobs=delta.logprobs)
            self.take(shown)
            self.show(self.assembler.gists)
            if (completion := delta.completion) is not None:
                return self.whole(completion)
            if self.assembler.stopped:
                return self.cut(self.assembler.stopped)
        raise ModelError("The model ended its stream without saying how the completion ended.")

    def whole(self, completion: Completion) -> Completion:
        """The model's own account of the draw, with the text and the gists that were shown."""
        ours = self.cut(completion.finish)
        if self.assembler.stopped and completion.error is None:
            return replace(completion, text=ours.text, gists=ours.gists, finish=ours.finish, seconds=ours.seconds)
        if completion.text == ours.text:
            return replace(completion, gists=ours.gists, seconds=ours.seconds)
        return completion  # a try broke and was repeated: what was shown holds the broken one too

    def cut(self, finish: Finish) -> Completion:
        last = self.assembler.finish(finish)
        self.take(last)
        completion = cast(Completion, last.completion)
        self.show(completion.gists)
        return completion

    def take(self, delta: Delta | None) -> None:
        if delta is not None and delta.text:
            self.pieces.append(delta.text)
            if self.on_piece is not None:
                self.on_piece(delta.text)

    def show(self, gists: Sequence[Gist]) -> None:
        for gist in gists[self.shown :]:
            self.shown += 1
            if self.on_gist is not None:
                self.on_gist(gist)


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        prompt = user(prompt)
    messages = (prompt,) if isinstance(prompt, Message) else tuple(prompt)
    if not any(message.content.strip() for message in messages):
        raise UserError("The prompt is empty: write a question.")
    return messages


def _with_costs(completion: Completion, stream: object) -> Completion:
    """A draw that was cut has no account by the model but what its stream knows."""
    bill = getattr(stream, "cut", dict)().get(0)
    if bill is None:
        return completion
    counts = ("completion_tokens", "prompt_tokens", "cached_tokens", "lost_prompt_tokens", "lost_completion_tokens")
    return replace(completion, **{name: getattr(bill, name) for name in (*counts, "estimated_tokens", "calls")})
