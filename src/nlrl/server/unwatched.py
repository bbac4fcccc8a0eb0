"""An upstream asked for whole answers, for requests of which nobody watches the writing.

A stream is an event a token: for eight attempts of 300 tokens 2,400 pieces of JSON, a hundred times the work of one
whole answer. A stream pays where text is passed on as it comes, where a deadline may want what has been written by
then, and where a strategy breaks attempts off, since only a stream tells what those had cost. Elsewhere this is used.

One case remains in which an attempt is broken off here: its client has gone. The upstream tells nothing then, so it is
charged by the clock, at the mean speed of this model's attempts so far (`Speed`): an estimate, in favour of neither.
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, ModelError, Request
from nlrl.models._openai_exchange import Draw, Exchange
from nlrl.models._openai_failures import CallFailed
from nlrl.models._openai_server import Known
from nlrl.models._openai_wire import Use, payload, read_chunk
from nlrl.models.openai import OpenAIModel
from nlrl.server.errors import ApiError
from nlrl.server.upstream import Upstreams

# they never break off an attempt of their own
PATIENT = ("direct", "self_consistency", "best_of_n", "weighted_vote", "self_refine", "divide_and_conquer")


class Speed:
    """How fast one attempt of a model grows, from those that were seen to their end."""

    def __init__(self) -> None:
        self.tokens_per_s = 50.0

    def learn(self, tokens: float, seconds: float) -> None:
        """An attempt of so many tokens has taken so long."""
        if seconds > 0:
            self.tokens_per_s += (tokens / seconds - self.tokens_per_s) / 16

    def guess(self, max_tokens: int | None, seconds: float) -> int:
        """Tokens of an attempt after so long."""
        return min(round(self.tokens_per_s * seconds), max_tokens or 1 << 30)


class Unwatched:
    """The same model, name and connections, without streams; see Model."""

    upstreams: Upstreams | None = None  # the server's quick client, once it runs

    def __init__(self, model: OpenAIModel) -> None:
        self.name = model.name  # made anew each time it is asked for, and a vote asks a dozen times
        self.model = copy.copy(model)
        # to a server that is known to count whole answers but not streams, an OpenAIModel sends no streams
        self.model._known = Known(stream_usage=False, whole_usage=True, probes=2)
        self.speed = Speed()
        self.counts_streams = True  # takes stream_options.include_usage: see `forward`

    @property
    def can(self) -> Capabilities:
        """What the model can."""
        return self.model.can

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model."""
        return [delta.completion async for delta in self.stream(request) if delta.completion]

    def stream(self, request: Request) -> _Whole:
        """One delta for each draw."""
        return _Whole(self, self._deltas(request), request)

    async def _deltas(self, request: Request) -> AsyncGenerator[Delta, None]:
        known = self.model._known
        if request.n > 1 and known.n_refused is not None and known.n_given == 1:
            async with aclosing(self._side_by_side(request)) as stream:
                async for delta in stream:
                    yield delta
            return
        deltas = await self._at_once(request)
        if deltas is not None:
            for delta in deltas:
                yield delta
            return
        async with aclosing(self.model.stream(request)) as stream:
            async for delta in stream:
                yield delta

    async def _side_by_side(self, request: Request) -> AsyncGenerator[Delta, None]:
        """One choice a call, as they end. Raises ModelError if none of them can succeed."""
        calls = [asyncio.ensure_future(self._one(request, at)) for at in range(request.n)]
        refused: list[tuple[int, ModelError]] = []
        try:
            for ended in asyncio.as_completed(calls):
                at, deltas, error = await ended
                if error is not None:
                    refused.append((at, error))
                for delta in deltas:
                    yield replace(delta, index=at)
            if len(refused) == request.n:
                raise refused[0][1]
            for at, error in refused:
                yield Delta(at, completion=Completion("", Finish.ERROR, 0, error=str(error)))
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _one(self, request: Request, at: int) -> tuple[int, list[Delta], ModelError | None]:
        one = replace(request, n=1, first_index=request.first_index + at)
        try:
            deltas = await self._at_once(one)
            return at, [d async for d in self.model.stream(one)] if deltas is None else deltas, None
        except ModelError as error:
            return at, [], error

    async def _at_once(self, request: Request) -> list[Delta] | None:
        """All draws by one exchange of the quick client; None where that is not sure to work: then the model asks, who
        finds out what the upstream can do, and tries again what fails."""
        model = self.model
        if self.upstreams is None or request.prefill or request.sampling.grammar:
            return None
        if request.n > 1 and (model._known.n_refused is not None or request.n > model._known.n_given):
            return None
        seed = request.sampling.seed
        seeds = [None if seed is None else seed + request.first_index + i for i in range(request.n)]
        deltas: list[Delta] = []
        exchange = Exchange(request, [Draw(index, seed) for index, seed in enumerate(seeds)], deltas.append)
        use = Use(stream=False).without(
            frozenset(name for name, accepted in model._known.accepts.items() if not accepted)
        )
        asked = payload(model.model, request, first=0, n=request.n, use=use, grammar_field=None, extra={})
        try:
            async with self.upstreams.post(model, "/chat/completions", asked) as reply:
                reading = read_chunk(json.loads(await reply.whole()))
        except (ApiError, CallFailed, ValueError, RecursionError):
            return None
        exchange.take(replace(reading, whole=True))
        if exchange.prompt_tokens is not None:
            model._known.learn_prompt(request, exchange.prompt_tokens)
        for share in exchange.settle():
            missing = None if share.done else "the upstream gave fewer choices than it was asked for"
            deltas.append(
                share.assembler.finish(
                    share.finish,
                    completion_tokens=share.completion_tokens,
                    prompt_tokens=share.prompt_tokens or 0,
                    cached_tokens=share.cached_tokens,
                    error=missing,
                )
            )
        return deltas

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """As the model."""
        return await self.model.count_prompt_tokens(messages, prefill)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self.model.aclose()


class _Whole:
    """A stream of whole answers. `tokens` and `prompt_tokens` are what a broken one is charged with."""

    def __init__(self, owner: Unwatched, stream: AsyncGenerator[Delta, None], request: Request) -> None:
        self._owner, self._stream, self._request = owner, stream, request
        self._begun = time.monotonic()
        self._left = request.n
        self.tokens: list[int] = []
        self.prompt_tokens = 0

    def __aiter__(self) -> _Whole:
        return self

    async def __anext__(self) -> Delta:
        delta = await anext(self._stream)
        if delta.completion is not None:
            self._left -= 1
            self._owner.speed.learn(delta.completion.completion_tokens, delta.completion.seconds)
        return delta

    async def aclose(self) -> None:
        if self._left:
            guess = self._owner.speed.guess(self._request.sampling.max_tokens, time.monotonic() - self._begun)
            self.tokens = [guess] * self._request.n
            self.prompt_tokens = sum(len(message.content) for message in self._request.messages) // 4
        await self._stream.aclose()
