"""One request on its way through the engine: from the engine's chunks, which come in threads, to deltas."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nlrl.core import Completion, Delta, Finish, ModelError, ModelRefused, Request, TokenLogprob, UserError
from nlrl.models.llama import request as _llama_request
from nlrl.models.llama.engine import Call, Engine
from nlrl.models.llama.prompt import prompt_tokens, too_long_error
from nlrl.models.llama.sizes import Sizes
from nlrl.models.streams import Assembler, cut_draws, open_answer


class LlamaStream:
    """The deltas of a request, and what they cost.

    After `aclose` the engine's own counts hold, also where a draw was cancelled, or its last tokens were never read:
    charge `cut`, not the deltas.
    """

    def __init__(
        self, load: Callable[[], Engine], sizes: Sizes, request: Request, prompt_cache: bool | None = None
    ) -> None:
        self._load, self._sizes, self._request = load, sizes, request
        self._prompt_cache = request.sampling.seed is None if prompt_cache is None else prompt_cache
        self._parts: list[_Part] = []
        self._prompt_length = 0
        self._finished: dict[int, Completion] = {}
        self._deltas = self._run()

    def __aiter__(self) -> LlamaStream:
        return self

    async def __anext__(self) -> Delta:
        delta = await anext(self._deltas)
        if delta.completion is not None:
            self._finished[delta.index] = delta.completion
        return delta

    async def aclose(self) -> None:
        """Cancel what still runs; returns when its slots are free."""
        await self._deltas.aclose()

    @property
    def tokens(self) -> list[int]:
        """Generated so far, per draw."""
        return [count for part in self._parts for count in part.call.tokens]

    def cut(self) -> dict[int, Completion]:
        """What draws cost that were begun and not finished."""
        begun = [part for part in self._parts if part.call.started]
        tokens = {d.index: count for part in begun for d, count in zip(part.draws, part.call.tokens, strict=True)}
        return cut_draws(tokens, len(begun) * self._prompt_length, self._finished)

    async def _run(self) -> AsyncGenerator[Delta]:
        request = self._request
        _check(request)
        started = time.monotonic()
        engine = await asyncio.to_thread(self._load)
        prompt = await asyncio.to_thread(
            prompt_tokens, engine.ask, request.messages, request.prefill, self._sizes.context_tokens
        )
        self._prompt_length = len(prompt)
        if len(prompt) >= self._sizes.context_tokens:
            raise too_long_error(f"of {len(prompt):,} tokens", self._sizes.context_tokens)
        inbox = _Inbox()
        self._parts = self._split(prompt, inbox, started)
        try:
            for part in self._parts:
                engine.submit(part.call)
            while not all(part.ended for part in self._parts):
                event = await inbox.get()
                for delta in event.part.deltas(event, engine):
                    yield delta
        finally:
            await _end(self._parts, engine, inbox)

    def _split(self, prompt: list[int], inbox: _Inbox, started: float) -> list[_Part]:
        """The calls that make up the request: as many draws at once as there are slots."""
        request, slots = self._request, self._sizes.slots
        given = request.sampling.seed
        seed = secrets.randbelow(2**31) if given is None else given
        room = self._sizes.context_tokens - len(prompt)  # the engine rounds a context up, to a multiple of 256
        answer_open = bool(open_answer(request.prefill, request.sampling.stop_after))
        parts = []
        for offset in range(0, request.n, slots):
            n = min(slots, request.n - offset)
            first = request.first_index + offset
            parameters = _llama_request.parameters(
                request, n=n, first=first, seed=seed, answer_open=answer_open, prompt_cache=self._prompt_cache
            )
            parameters["max_tokens"] = min(parameters.get("max_tokens", room), room)
            draws = [
                Assembler(
                    offset + i,
                    request.sampling,
                    prefix=request.prefill,
                    seed=_llama_request.draw_seed(seed, first + i),
                    started=started,
                )
                for i in range(n)
            ]
            parts.append(_Part({**parameters, "prompt": prompt}, draws, inbox, len(prompt)))
        return parts


@dataclass(frozen=True, slots=True)
class _Event:
    """A chunk of a part's call, or its end."""

    part: _Part
    chunk: dict[str, Any] | None = None
    failure: Exception | None = None


class _Inbox:
    """From the engine's threads to the event loop. The loop is woken once for all that has come, not for each token."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: deque[_Event] = deque()
        self._come = asyncio.Event()
        self._waking = False

    def put(self, event: _Event) -> None:
        """Called in any thread. Raises RuntimeError if the loop is closed: nobody listens any more."""
        self._events.append(event)
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._waking = False  # before the events are taken: what comes from now on wakes again
        self._come.set()

    async def get(self) -> _Event:
        """The next event. Only one is taken: whoever stops reading leaves the rest, and with it the end, to `_end`."""
        while not self._events:
            self._come.clear()
            await self._come.wait()
        return self._events.popleft()


class _Part:
    """One call of a request, and its draws."""

    def __init__(self, parameters: dict[str, Any], draws: list[Assembler], inbox: _Inbox, prompt_length: int) -> None:
        self.draws, self.prompt_length = draws, prompt_length
        self.ended = False
        self._open = set(range(len(draws)))
        self._fed = [0] * len(draws)
        self._error: Exception | None = None

        def on_end(failure: Exception | None) -> None:
            with contextlib.suppress(RuntimeError):  # nobody listens any more
                inbox.put(_Event(self, failure=failure))

        self.call = Call(parameters, len(draws), lambda chunk: inbox.put(_Event(self, chunk)), on_end)

    def deltas(self, event: _Event, engine: Engine) -> list[Delta]:
        """What the event means. Raises ModelError where nothing came of the whole call."""
        if event.chunk is None:
            self.ended = True
            return self._end(event.failure)
        if "error" in event.chunk:
            self._error = _error(event.chunk["error"])
            return []
        if "prompt_progress" in event.chunk:
            return []
        deltas = [delta for choice in event.chunk["choices"] for delta in self._choice(choice, event.chunk)]
        if self._open and all(self.draws[i].stopped for i in self._open):
            engine.cancel(self.call)  # the engine would go on with what nobody wants; `_end` finishes the draws
        return deltas

    def _choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> list[Delta]:
        i = choice["index"]
        if i not in self._open:
            return []
        total = chunk["timings"]["predicted_n"]
        tokens, self._fed[i] = total - self._fed[i], total
        fed = self.draws[i].feed(choice["text"], tokens=tokens, logprobs=self._logprobs(choice))
        deltas = [fed] if fed else []
        if reason := choice.get("finish_reason"):
            usage = chunk["usage"]
            cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            finish = Finish.LENGTH if reason == "length" else Finish.STOP
            broken = self._broken_schema(i) if finish is Finish.STOP else None
            deltas.append(self._finish(i, finish, usage["completion_tokens"], cached, broken))
        return deltas

    def _broken_schema(self, i: int) -> str | None:
        """The engine says nothing when it cannot use a JSON schema: it generates freely. So look at what came."""
        draw = self.draws[i]
        if draw.sampling.json_schema is None or draw.stopped or draw.sampling.stop:
            return None
        try:
            json.loads(draw.text)
        except ValueError:
            return "The engine did not keep to the JSON schema. It may not know all of it: simplify the schema."
        return None

    def _logprobs(self, choice: dict[str, Any]) -> Sequence[TokenLogprob]:
        wanted = self.draws[0].sampling.logprobs
        if wanted is None or not choice.get("logprobs"):
            return ()
        return [
            TokenLogprob(
                one["token"],
                one["logprob"],
                tuple((other["token"], other["logprob"]) for other in one["top_logprobs"][:wanted]),
            )
            for one in choice["logprobs"]["content"]
        ]

    def _finish(self, i: int, finish: Finish, tokens: int, cached: int = 0, error: str | None = None) -> Delta:
        self._open.discard(i)
        first = i == 0  # the one evaluation of the prompt is charged to the first draw
        return self.draws[i].finish(
            finish,
            completion_tokens=tokens,
            prompt_tokens=self.prompt_length if first else 0,
            cached_tokens=cached if first else 0,
            error=error,
        )

    def _end(self, failure: Exception | None) -> list[Delta]:
        """Finish the draws that the engine did not: those we stopped, or, if it broke, with what had arrived."""
        left = sorted(self._open)
        if not left:
            return []
        tokens = self.call.tokens
        if all(self.draws[i].stopped for i in left):
            return [self._finish(i, Finish.RULE, tokens[i]) for i in left]
        error = self._error or failure or ModelError("The model was closed while it was still asked.")
        if not any(tokens):
            raise error
        told = {i: None if self.draws[i].stopped else str(error) for i in left}
        return [self._finish(i, Finish.ERROR, tokens[i], error=told[i]) for i in left]


async def _end(parts: Sequence[_Part], engine: Engine, inbox: _Inbox) -> None:
    """Cancel what runs, and wait until it has left the engine. (A second cancellation ends the waiting, no more.)"""
    running = [part for part in parts if not part.ended]
    for part in running:
        engine.cancel(part.call)
    while not all(part.ended for part in running):
        event = await inbox.get()
        event.part.ended |= event.chunk is None


def _check(request: Request) -> None:
    if request.n < 1 or request.first_index < 0:
        raise UserError(f"A request needs n >= 1 and first_index >= 0, got {request.n} and {request.first_index}.")
    _llama_request.check(request.sampling)


def _error(error: dict[str, Any]) -> ModelError:
    """The engine's refusal as one of ours."""
    said = f"{error.get('message', error)}"
    if error.get("type") == "exceed_context_size_error":
        return too_long_error(f"of {error.get('n_prompt_tokens', 'many')} tokens", error.get("n_ctx", 0))
    if error.get("type") == "invalid_request_error":
        hint = " Check the GBNF grammar or the JSON schema." if "grammar" in said else ""
        return ModelRefused(f"The engine refused the request: {said}.{hint}")
    return ModelError(f"The engine failed: {said}")
