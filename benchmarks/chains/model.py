"""The generator as a `core.Model`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chains.decode import Decoder, Job
from chains.net import ChainNet
from chains.text import VOCABULARY, decode, prompt_ids
from nlrl.core import (
    Capabilities,
    Completion,
    Delta,
    Finish,
    Message,
    ModelError,
    PromptTooLong,
    Request,
    TokenLogprob,
)
from nlrl.models.streams import Assembler, gather


def weights_name(net: ChainNet) -> str:
    """12 hex digits of the weights."""
    digest = hashlib.blake2b(digest_size=6)
    for tensor in net.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


class ChainModel:
    """A trained `ChainNet` that answers requests; all that are in flight share one batch.

    Draw i of a prompt is a fixed function of (weights, seed + i, prompt and prefill, temperature, top_p). Text comes a
    line at a time, as the digits of a number come in an order of their own; a stop string is seen at the end of its
    line, and the tokens up to there are charged.
    """

    def __init__(self, net: ChainNet, *, rows: int = 512):
        self.decoder = Decoder(net, rows)
        self._name = f"chains-{weights_name(net)}"
        self._can = Capabilities(
            n=True,
            logprobs=True,
            prefill=True,
            seed=True,
            context_tokens=net.size.longest,
            parameters=net.parameter_count,
        )

    @property
    def name(self) -> str:
        """Identity: a hash of the weights."""
        return self._name

    @property
    def can(self) -> Capabilities:
        """Draws side by side on one prompt, log-probabilities, prefill, seeds."""
        return self._can

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model."""
        return await gather(self.stream(request))

    def stream(self, request: Request) -> ChainStream:
        """Deltas, a line at a time; see Model."""
        return ChainStream(self, request)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """Exact: one token a character, one for the answer phrase."""
        return len(prompt_ids(messages, prefill))

    async def aclose(self) -> None:
        """Nothing to close."""


class ChainStream:
    """One request on its way. Closing it cancels what still runs.

    tokens         generated so far, per draw, exact also for those that were cut off
    prompt_tokens  evaluated for it, once for all draws
    """

    def __init__(self, model: ChainModel, request: Request):
        sampling = request.sampling
        ids = prompt_ids(request.messages, request.prefill)
        self._room = len(ids) < model.decoder.longest
        if not (self._room or request.prefill):
            raise PromptTooLong(f"The prompt has {len(ids)} tokens; {model.name} holds {model.decoder.longest}.")
        self._queue: asyncio.Queue[Delta | ModelError] = asyncio.Queue()
        self._left = request.n
        self._wanted = sampling.logprobs
        self._length = len(ids)
        first = (sampling.seed or 0) + request.first_index
        begun = time.monotonic()
        self._draws = [
            Assembler(
                i,
                sampling,
                prefix=request.prefill,
                seed=None if sampling.seed is None else sampling.seed + request.first_index + i,
                started=begun,
            )
            for i in range(request.n)
        ]
        self._job = Job(
            ids=ids,
            keys=[draw_key(first + i, ids) for i in range(request.n)],
            limit=sampling.max_tokens or model.decoder.longest,
            temperature=1.0 if sampling.temperature is None else sampling.temperature,
            top_p=1.0 if sampling.top_p is None else sampling.top_p,
            wants_logprobs=sampling.logprobs is not None,
            take=self._take,
            fail=self._fail,
        )
        self._decoder = model.decoder
        self._submitted = False

    @property
    def tokens(self) -> list[int]:
        """Generated so far, per draw."""
        return self._job.tokens

    @property
    def prompt_tokens(self) -> int:
        """What evaluating the prompt cost so far."""
        return self._length if self._job.started else 0

    def __aiter__(self) -> ChainStream:
        return self

    async def __anext__(self) -> Delta:
        if not self._submitted:
            self._submitted = True
            if self._room:
                self._decoder.submit(self._job)
            else:  # a text that has filled the context has come to its end
                self._left = 0
                for draw in self._draws:
                    self._queue.put_nowait(draw.finish(Finish.LENGTH))
        if not self._left and self._queue.empty():
            raise StopAsyncIteration
        item = await self._queue.get()
        if isinstance(item, ModelError):
            raise item
        return item

    async def aclose(self) -> None:
        """Cancel what still runs."""
        self._job.cancelled = True

    def _take(self, index: int, ids: list[int], sure: NDArray[np.float64] | None, finish: Finish | None) -> bool:
        draw = self._draws[index]
        delta = draw.feed(decode(ids), tokens=len(ids), logprobs=self._logprobs(ids, sure))
        if delta:
            self._queue.put_nowait(delta)
        if not draw.stopped and finish is None:
            return False
        self._left -= 1
        # the draws share the prompt's evaluation; it is charged with the first
        self._queue.put_nowait(draw.finish(finish or Finish.STOP, prompt_tokens=self._length if index == 0 else 0))
        return True

    def _fail(self, error: Exception) -> None:
        self._queue.put_nowait(ModelError(f"Decoding failed: {error!r}"))

    def _logprobs(self, ids: list[int], sure: NDArray[np.float64] | None) -> tuple[TokenLogprob, ...]:
        if sure is None:
            return ()
        best = np.argsort(-sure, axis=1)[:, : min(self._wanted or 0, VOCABULARY - 2)]
        return tuple(
            TokenLogprob(decode([t]), float(row[t]), tuple((decode([int(b)]), float(row[b])) for b in top))
            for t, row, top in zip(ids, sure, best, strict=True)
        )


def draw_key(number: int, ids: Sequence[int]) -> int:
    """64 bits that name one draw on one prompt."""
    content = number.to_bytes(16, "little", signed=True) + bytes(ids)
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
