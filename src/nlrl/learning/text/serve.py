# pyright: reportMissingImports=false
"""A trained text transformer as a `core.Model`.

All requests in flight become one batch: whoever asks while a batch is being decoded waits for the next one. Decoding
runs in a thread, so that the event loop is free meanwhile. A draw without a seed is given one, noted in its completion.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace

from nlrl.core import (
    Capabilities,
    Completion,
    Delta,
    Message,
    ModelError,
    PromptTooLong,
    Request,
    Sampling,
    UserError,
)
from nlrl.learning.text.decode import ROWS, decode
from nlrl.learning.text.net import Net
from nlrl.learning.text.words import REPLY, Words
from nlrl.learning.text.work import Work
from nlrl.models.streams import gather
from nlrl.models.transformers.sampling import Policy

QUIET_TICKS = 3  # turns of the event loop without a new request before a batch starts
_REMEMBERED = 100_000  # greedy completions

_GreedyKey = tuple[tuple[int, ...], str, Sampling]


class TextModel:
    """Answers as the network was trained to. Made by `TextTransformer.model`; its weights never change.

    Messages become one prompt, a blank line apart. Unset, temperature is 1 and max_tokens the room there is. Draw i of
    a prompt is a fixed function of (weights, prompt, seed + i, temperature, filters), whatever else is in its batch.
    A greedy completion is remembered, and charged as if it were decoded again.
    """

    def __init__(self, net: Net, words: Words):
        self.net, self.words = net, words
        self._name = f"text-{fingerprint(net, words)}"
        self._can = Capabilities(
            n=True,
            logprobs=True,
            prefill=True,
            seed=True,
            context_tokens=net.size.longest,
            parameters=net.parameter_count,
        )
        self._waiting: list[Work] = []
        self._task: asyncio.Task[None] | None = None
        self._greedy: dict[_GreedyKey, Work] = {}  # done or on their way

    @property
    def name(self) -> str:
        """Identity: a hash of weights and vocabulary."""
        return self._name

    @property
    def can(self) -> Capabilities:
        """Draws side by side on one prompt, log-probabilities, prefill, seeds."""
        return self._can

    async def complete(self, request: Request) -> list[Completion]:
        """`request.n` completions in index order. Raises PromptTooLong, UserError, ModelError."""
        return await gather(self.stream(request))

    def stream(self, request: Request) -> TextStream:
        """The same as deltas: one for each draw, when it is done. Closing it cancels what still runs."""
        return TextStream(self, request)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int:
        """Exact: words and characters, and one for the mark between prompt and reply."""
        return len(self.prompt(messages, prefill))

    async def aclose(self) -> None:
        """Nothing to release."""

    def prompt(self, messages: Sequence[Message], prefill: str = "") -> tuple[int, ...]:
        """Token ids of all that stands before the first new token."""
        if not messages:
            raise UserError("A request needs at least one message.")
        text = "\n\n".join(message.content for message in messages)
        return (*self.words.encode(text), REPLY, *self.words.encode(prefill))

    def works(self, request: Request, prompt: tuple[int, ...]) -> list[Work]:
        """One for each draw, on their way; a greedy one is shared by all who ask for it."""
        policy = Policy.of(request.sampling, {"do_sample": True})
        longest = self.net.size.longest - len(prompt)
        wanted = request.sampling.max_tokens
        limit = longest if wanted is None else min(wanted, longest)
        if policy.temperature == 0:
            key = (prompt, request.prefill, replace(request.sampling, seed=None))
            work = self._greedy.get(key)
            if work is None or not work.wanted or work.error is not None:
                if len(self._greedy) >= _REMEMBERED:
                    self._greedy.clear()
                work = self._greedy[key] = Work(self.words, request, prompt, 0, policy, limit)
                self._submit([work])
            return [work] * request.n
        seed = request.sampling.seed
        first = (random.SystemRandom().getrandbits(48) if seed is None else seed) + request.first_index
        works = [Work(self.words, request, prompt, first + i, policy, limit) for i in range(request.n)]
        self._submit(works)
        return works

    def _submit(self, works: list[Work]) -> None:
        for work in works:
            if work.limit < 1:
                work.end_unread()
            else:
                self._waiting.append(work)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        batch: list[Work] = []
        failure: Exception = ModelError(f"{self._name}: the event loop ended before the reply.")
        try:
            while self._waiting:
                await self._settle()
                self._waiting.sort(key=lambda work: len(work.prompt))  # stable: little padding, and nobody starves
                batch, self._waiting = self._waiting[:ROWS], self._waiting[ROWS:]
                await asyncio.to_thread(decode, self.net, batch)
                for work in batch:
                    work.deliver()
        except Exception as error:  # the boundary to torch: whoever waits must hear of it
            failure = ModelError(f"{self._name} failed while decoding: {type(error).__name__}: {error}")
        finally:
            for work in [*batch, *self._waiting]:
                work.fail(failure)
            self._waiting = []

    async def _settle(self) -> None:
        """Let those who are about to ask do so."""
        quiet, seen = 0, len(self._waiting)
        while quiet < QUIET_TICKS and seen < ROWS:
            await asyncio.sleep(0)
            quiet, seen = (quiet + 1, seen) if seen == len(self._waiting) else (0, len(self._waiting))


class TextStream:
    """One request on its way.

    tokens         generated so far, per draw, exact also for those that were cut off
    prompt_tokens  evaluated for it, once for all draws
    """

    def __init__(self, model: TextModel, request: Request):
        sampling = request.sampling
        if sampling.grammar is not None or sampling.json_schema is not None:
            raise ModelError(f"{model.name} cannot follow a grammar or JSON schema.")
        self._model, self._request = model, request
        self._prompt = model.prompt(request.messages, request.prefill)
        if len(self._prompt) >= model.net.size.longest:
            raise PromptTooLong(
                f"The prompt has {len(self._prompt)} tokens; {model.name} takes {model.net.size.longest} with the "
                "reply included. Shorten the prompt, or train a model with a larger `longest`."
            )
        self._works: list[Work] | None = None
        self._arrived: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self._left = request.n
        self.closed = False

    @property
    def tokens(self) -> list[int]:
        """Generated so far, per draw."""
        return [work.tokens for work in self._works or ()]

    @property
    def prompt_tokens(self) -> int:
        """What evaluating the prompt cost so far."""
        return len(self._prompt) if any(work.started for work in self._works or ()) else 0

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> Delta:
        if self._works is None:
            self._works = self._model.works(self._request, self._prompt)
            for index, work in enumerate(self._works):
                work.listen(self, index)
        if self._left == 0:
            raise StopAsyncIteration
        item = await self._arrived.get()
        if isinstance(item, Exception):
            raise item
        self._left -= 1
        return item

    async def aclose(self) -> None:
        """Cancel what still runs and is wanted by nobody else."""
        self.closed = True

    def done(self, index: int, work: Work) -> None:
        """A draw is done."""
        completion = work.completion
        if completion is None:
            return
        # the draws share the prompt's evaluation; it is charged with the first
        prompt, seed = len(self._prompt) if index == 0 else 0, work.seed if work.policy.temperature else None
        own = replace(completion, prompt_tokens=prompt, seed=seed)
        self._arrived.put_nowait(Delta(index, own.text, "", own.completion_tokens, own.logprobs or (), own))

    def broken(self, error: Exception) -> None:
        """A draw will never be done."""
        self._arrived.put_nowait(error)


def fingerprint(net: Net, words: Words) -> str:
    """12 hex digits of weights, shape, precision and vocabulary."""
    digest = hashlib.blake2b(repr((net.size, net.bfloat16, words.pieces)).encode(), digest_size=6)
    for tensor in net.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
