"""One request on its way: from the tokens its rows draw, in the worker thread, to deltas and completions."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from nlrl.core import Completion, Delta, Finish, TokenLogprob
from nlrl.models.streams import Assembler, cut_draws
from nlrl.models.transformers.prompts import Detokenizer
from nlrl.models.transformers.worker import Worker

if TYPE_CHECKING:
    from nlrl.models.transformers.decode import Row

Steps = Generator[list[Delta], None, None]


class TransformersStream:
    """The deltas of a request, and what they cost.

    tokens         generated so far, per draw. After `aclose` this is what was really generated for each, also where a
                   draw was cancelled, or its last tokens were never read: charge `cut`, not the deltas
    prompt_tokens  evaluated for the prompt: all of it, once that has begun
    """

    def __init__(self, worker: Worker, steps: Callable[[TransformersStream], Steps]) -> None:
        self.tokens: list[int] = []
        self.prompt_tokens = 0
        self._finished: dict[int, Completion] = {}
        self._deltas = self._run(worker, steps)

    def __aiter__(self) -> TransformersStream:
        return self

    async def __anext__(self) -> Delta:
        delta = await anext(self._deltas)
        if delta.completion is not None:
            self._finished[delta.index] = delta.completion
        return delta

    async def aclose(self) -> None:
        """Stop the work before its next token; returns when it has stopped."""
        await self._deltas.aclose()

    def cut(self) -> dict[int, Completion]:
        """What draws cost that were begun and not finished."""
        begun = dict(enumerate(self.tokens)) if self.prompt_tokens else {}
        return cut_draws(begun, self.prompt_tokens, self._finished)

    async def _run(self, worker: Worker, steps: Callable[[TransformersStream], Steps]) -> AsyncGenerator[Delta, None]:
        async with aclosing(worker.iterate(lambda: steps(self))) as items:
            async for deltas in items:
                for delta in deltas:
                    yield delta


class Draw:
    """Feeds what a row draws into its `Assembler`, and tells the row when it is done.

    limit          most tokens it may have
    prompt_tokens  charged to this draw: the whole prompt to the first of a request, nothing to the others
    """

    def __init__(self, row: Row, out: Assembler, words: Detokenizer, *, limit: int, prompt_tokens: int):
        self.index = out.index
        self._row, self._out, self._words = row, out, words
        self._limit, self._prompt_tokens = limit, prompt_tokens

    def take(self, token: int, named: TokenLogprob, *, ended: bool) -> Iterator[Delta]:
        """Feed one token; the last delta comes with the token that ends the draw."""
        if not math.isfinite(named.logprob):
            yield self.end(Finish.ERROR, error="The model's output is not a number; load it with dtype='float32'.")
            return
        if delta := self._out.feed("" if ended else self._words.push(token), tokens=1, logprobs=(named,)):
            yield delta
        if ended or self._out.stopped or self._out.tokens >= self._limit:
            yield self.end(Finish.STOP if ended else Finish.LENGTH)

    def end(self, finish: Finish, *, prompt_tokens: int | None = None, error: str | None = None) -> Delta:
        """The last delta, with the completion."""
        self._row.done = True
        shown = self._out.feed(self._words.flush())
        charged = self._prompt_tokens if prompt_tokens is None else prompt_tokens
        last = self._out.finish(finish, prompt_tokens=charged, error=error, lost_prompt_tokens=self._row.reread)
        return replace(last, text=shown.text + last.text) if shown else last
