"""Any OpenAI-compatible server as a model: vLLM, SGLang, llama-server, Ollama, paid APIs.

    model = OpenAIModel("qwen2.5-7b-instruct", base_url="http://localhost:8000/v1")
    completions = await model.complete(Request((user("What is 17 + 25?"),), Sampling(temperature=0.8), n=16))

What servers differ in is found out on the way and remembered for each server and model: whether `n` draws can share one
request (else they go out side by side), whether streams report their usage, what the context is. What goes wrong is
repeated with growing pauses, and every token that a broken try had cost stays on the bill (`lost_*_tokens`).

Not covered: tools, images, and the /v1/completions and /v1/responses routes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from nlrl.core import (
    Capabilities,
    Completion,
    Delta,
    Message,
    ModelRefused,
    ModelUnavailable,
    Prices,
    Request,
    UserError,
)
from nlrl.models.openai.run import Run, Target
from nlrl.models.openai.server import Known, Patience, Server, Stats, known, leave, server
from nlrl.models.openai.wire import json_schema

OPENAI_URL = "https://api.openai.com/v1"
_DEFAULT_PATIENCE = Patience()
_PROBE_S = 5.0
_PROBES = 2  # so often is /models asked before its silence is believed


class OpenAIModel:
    """A model behind /chat/completions.

    model            its name on the server
    base_url         what comes before /chat/completions; default OPENAI_BASE_URL, else OpenAI's own
    api_key          default OPENAI_API_KEY; never shown, logged or kept in a record. It goes out as a bearer token, or
                     as Azure's `api-key` where the base URL has an api-version; not at all where extra_headers has one
    max_concurrency  requests in flight, over all models of this server in this event loop; fewer when it is overloaded
    patience         time limits and retries
    prefill          the server continues a started answer (vLLM and SGLang: continue_final_message)
    grammar_field    the request field that takes a GBNF grammar (llama-server: "grammar"), None if there is none
    context_tokens, parameters, prices   what the server does not tell; `context_tokens` overrules what it does
    extra_body, extra_headers            sent with every request, e.g. {"chat_template_kwargs": {...}}
    max_response_bytes                   a longer answer is a failure

    `complete` and `stream` raise ModelRefused, PromptTooLong or ModelUnavailable if the request cannot succeed at all.
    A draw that fails after all retries is a Completion whose `error` begins with the failure's name (FailureKind).

    While a stream runs, text of a try that breaks is followed by the text of the next try from its start: the
    Completion in the last delta holds the whole. Its deltas' tokens add up to what was paid for so far.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        max_concurrency: int = 64,
        patience: Patience = _DEFAULT_PATIENCE,
        prefill: bool = False,
        grammar_field: str | None = None,
        context_tokens: int | None = None,
        parameters: int | None = None,
        prices: Prices | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        max_response_bytes: int = 64 << 20,
    ) -> None:
        if not model:
            raise UserError("OpenAIModel needs the model's name on the server. `curl BASE_URL/models` lists them.")
        if max_concurrency < 1:
            raise UserError(f"max_concurrency must be at least 1, got {max_concurrency}.")
        self.model = model
        self.base_url = checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        self._key = os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key
        self._key = self._key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UserError("The API key holds characters that no key has (a line break?). Set OPENAI_API_KEY anew.")
        headers = {"Content-Type": "application/json", **(extra_headers or {})}
        if self._key and not {"authorization", "api-key"} & {name.lower() for name in headers}:
            headers |= _authorization(self.base_url, self._key)
        self._max_concurrency = max_concurrency
        self._can_prefill = prefill
        self._context_tokens = context_tokens
        self._parameters = parameters
        self._prices = prices
        self._known: Known = known(self.base_url, model)
        self._target = Target(
            model,
            headers,
            self._key,
            patience,
            max_response_bytes,
            grammar_field,
            extra_body or {},
            self._count_prompt,
        )

    def __repr__(self) -> str:
        return f"OpenAIModel({self.model!r}, host={host_of(self.base_url)!r})"

    @property
    def name(self) -> str:
        """Identity: the model and the server it is asked at, without user, path and query."""
        return f"openai:{self.model}@{host_of(self.base_url)}"

    @property
    def can(self) -> Capabilities:
        """What is known so far. `n` is False until the server has shown it; `logprobs`, `seed` and `json_schema` may
        always be asked for, and a server that does not give them is said to ignore them once it has shown that."""
        found = self._known
        return Capabilities(
            n=found.n_given > 1,
            n_most=found.n_given,
            logprobs=True,
            prefill=self._can_prefill,
            grammar=self._target.grammar_field is not None,
            json_schema=True,
            seed=True,
            context_tokens=self._context_tokens or found.context_tokens,
            parameters=self._parameters or found.parameters,
            prices=self._prices,
            ignores=frozenset({"logprobs"} if found.logprobs is False else ()),
        )

    @property
    def stats(self) -> Stats:
        """Requests, retries and failures so far, of all who talk to this model on this server."""
        return self._known.stats

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model."""
        done: dict[int, Completion] = {}

        def keep(delta: Delta) -> None:
            if delta.completion is not None:
                done[delta.index] = delta.completion

        await self._run(request, keep, eager=False)
        return [done[index] for index in sorted(done)]

    def stream(self, request: Request) -> _Stream:
        """Deltas as they come; see Model. Closing the iterator hangs up at once."""
        return _Stream(self, request)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """As the server has counted this prompt before, or as its /tokenize counts it; None if it has neither."""
        return await self._count_prompt(Request(tuple(messages), prefill=prefill))

    async def probe(self) -> Capabilities:
        """Ask the server for the model's context and size, where it tells them; done anyway with the first request."""
        await self._probe(await self._server())
        return self.can

    async def aclose(self) -> None:
        """Close the connections of the running event loop, unless another model uses them too."""
        await leave(self.base_url, self)

    async def _server(self) -> Server:
        return await server(self.base_url, self, self._max_concurrency, self._target.patience)

    async def _run(
        self,
        request: Request,
        emit: Callable[[Delta], None],
        *,
        eager: bool,
        began: Callable[[Run], None] = lambda run: None,
    ) -> None:
        if request.n < 1:
            return
        if request.prefill and not self._can_prefill:
            raise ModelRefused(
                f"{self.name} is not known to continue a started answer. If it does (vLLM, SGLang), say prefill=True."
            )
        if request.sampling.grammar is not None and self._target.grammar_field is None:
            raise ModelRefused(
                f"{self.name} takes no grammar. Use a JSON Schema, or name its field: grammar_field='grammar'."
            )
        if request.sampling.json_schema is not None:
            json_schema(request.sampling.json_schema)
        place = await self._server()
        run = Run(self._target, self._known, place, request, emit, eager)
        began(run)
        asked = self._known.probes >= _PROBES or self._known.probing or self._context_tokens is not None
        probe = None if asked else asyncio.create_task(self._probe(place))
        self._known.probing |= probe is not None
        try:
            await run.go()
        finally:
            if probe is not None:
                self._known.probing = False
                probe.cancel()
                await asyncio.gather(probe, return_exceptions=True)

    async def _probe(self, place: Server) -> None:
        _, body = await place.ask(place.url("/models"), self._target.headers, timeout_s=_PROBE_S)
        self._known.probes += 1
        entries = body.get("data") if isinstance(body, dict) else None
        entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        # a server of one model answers to any name, so its only entry is ours
        ours = [entry for entry in entries if entry.get("id") == self.model] or (entries if len(entries) == 1 else [])
        if ours:
            self._known.probes = _PROBES
            meta = ours[0].get("meta")
            meta = meta if isinstance(meta, dict) else {}
            # vLLM, SGLang | OpenRouter | Groq | llama-server
            for value in (*map(ours[0].get, ("max_model_len", "context_length", "context_window")), meta.get("n_ctx")):
                if isinstance(value, int) and value > 0:
                    self._known.context_tokens = value
                    break
            if isinstance(size := meta.get("n_params"), int) and size > 0:
                self._known.parameters = size

    async def _count_prompt(self, request: Request) -> int | None:
        found = self._known
        if (counted := found.prompt_tokens(request)) is None and found.tokenize != "":
            place = await self._server()
            if found.tokenize is None:
                async with place.finding_out:
                    counted = await self._tokenize(place, request)
            else:
                counted = await self._tokenize(place, request)
            if counted is not None:
                found.learn_prompt(request, counted)
        return counted

    async def _tokenize(self, place: Server, request: Request) -> int | None:
        """As vLLM's or llama-server's own routes count it. Learns which of them there are."""
        found, headers = self._known, self._target.headers
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        flags = {"add_generation_prompt": True}
        if request.prefill:
            messages.append({"role": "assistant", "content": request.prefill})
            flags = {"add_generation_prompt": False, "continue_final_message": True}
        body: dict[str, Any] = {"model": self.model, "messages": messages, **flags}
        status = other_status = None
        if found.tokenize in (None, "vllm"):
            status, said = await place.ask(place.root_url("/tokenize"), headers, body, timeout_s=_PROBE_S)
            if isinstance(said, dict) and isinstance(count := said.get("count"), int):
                found.tokenize = "vllm"
                return count
        if found.tokenize in (None, "llama"):
            other_status, said = await place.ask(place.root_url("/apply-template"), headers, body, timeout_s=_PROBE_S)
            if isinstance(said, dict) and isinstance(prompt := said.get("prompt"), str):
                body = {"content": prompt, "add_special": True, "parse_special": True}
                _, said = await place.ask(place.root_url("/tokenize"), headers, body, timeout_s=_PROBE_S)
                if isinstance(said, dict) and isinstance(tokens := said.get("tokens"), list):
                    found.tokenize = "llama"
                    return len(tokens)
        if found.tokenize is None:
            answered = status is not None and other_status is not None and max(status, other_status) < 429
            found.tokenize_misses += 1
            if answered or found.tokenize_misses >= _PROBES:
                found.tokenize = ""
        return None


class _Stream:
    """The deltas of a request; `cut` tells, once it is closed, what the unfinished draws have cost."""

    def __init__(self, model: OpenAIModel, request: Request) -> None:
        self._run: Run | None = None
        self._handed_over: set[int] = set()
        self._deltas = self._read(model, request)

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Delta:
        delta = await anext(self._deltas)
        if delta.completion is not None:
            self._handed_over.add(delta.index)
        return delta

    async def aclose(self) -> None:
        """Hang up."""
        await self._deltas.aclose()

    def cut(self) -> dict[int, Completion]:
        """Draws that were begun and not finished, or not read to their end, with their bills."""
        if self._run is None:
            return {}
        bills = self._run.cut() | self._run.finished
        return {index: bill for index, bill in bills.items() if index not in self._handed_over}

    async def _read(self, model: OpenAIModel, request: Request) -> AsyncGenerator[Delta, None]:
        deltas: asyncio.Queue[Delta | None] = asyncio.Queue()

        def keep(run: Run) -> None:
            self._run = run

        async def run() -> None:
            try:
                await model._run(request, deltas.put_nowait, eager=True, began=keep)
            finally:
                deltas.put_nowait(None)

        task = asyncio.create_task(run())
        try:
            while (delta := await deltas.get()) is not None:
                yield delta
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def checked_url(text: str) -> str:
    import httpx

    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise UserError(f"The base URL {text!r} is not a URL ({error}). Example: http://localhost:8000/v1") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"The base URL {text!r} must begin with http:// or https://, e.g. http://localhost:8000/v1")
    return str(url).rstrip("/")


def _authorization(base_url: str, key: str) -> dict[str, str]:
    """The header that carries the key. Azure's dated API (the only one with an api-version) takes keys in one of its
    own, and in the usual one only the tokens of its Entra ID, which are JSON Web Tokens and so begin with "eyJ"."""
    import httpx

    azure = "api-version" in httpx.URL(base_url).params and not key.startswith("eyJ")
    return {"api-key": key} if azure else {"Authorization": f"Bearer {key}"}


def host_of(base_url: str) -> str:
    import httpx

    return httpx.URL(base_url).netloc.decode("ascii")


__all__ = ["ModelUnavailable", "OpenAIModel", "Patience", "Stats"]
