"""A GGUF model, run by llama.cpp inside this process.

    model = LlamaModel("~/models/some.gguf")
    request = Request((user("What is 17 + 25?"),), Sampling(temperature=0.8, max_tokens=64), n=8)
    completions = await model.complete(request)       # 8 draws, one evaluation of the prompt

Things to know:
- Loading happens on first use (or `await model.load()`), once for all models with the same weights and sizes. The
  model may be used from any thread and event loop, several at once.
- Draw i is seeded with `sampling.seed + i`, however it is asked for: alone, or as one of n. Without a seed one is
  drawn, and recorded in each completion.
- A seed turns the prompt cache off: the last token of a cached prompt is evaluated alone, which changes the last
  digits of its numbers, and after some words the text. Without the cache, draws were the same alone, in batches and
  beside other requests in every comparison made. Floating point does not promise it: to replay, use the sample bank.
- Log-probabilities are the model's own: before temperature and truncation.
- What `Sampling` leaves unset is llama.cpp's default: temperature 0.8, top_k 40, top_p 0.95, min_p 0.05.
- The text is all that the model wrote, verbatim: where a model thinks between <think> tags, they are part of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from nlrl.core import Capabilities, Completion, Message, Request
from nlrl.models.llama import engine as _llama_engine
from nlrl.models.llama import prompt as _llama_prompt
from nlrl.models.llama.gguf import read_header
from nlrl.models.llama.sizes import sizes
from nlrl.models.llama.stream import LlamaStream
from nlrl.models.streams import gather


class LlamaModel:
    """A model in a GGUF file. See the module for what to know.

    path            of the file; `~` is expanded
    name            identity, default: the file's name and the first 12 digits of its SHA-256, "model@1d9614638d18"
    slots           draws at once, default 16; a request of more is split, each part evaluates the prompt once
    context_tokens  prompt plus completion of one draw, default 2048; never more than the model was trained with
    threads         default: the physical cores
    prompt_cache    keep evaluated prompts and use what a later one shares with them; default: unless a seed is set
    Slots and context not given are made smaller where memory is short.
    Raises ModelMissing if the file is not there, is no GGUF file, or is cut off.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        slots: int | None = None,
        context_tokens: int | None = None,
        threads: int | None = None,
        prompt_cache: bool | None = None,
    ) -> None:
        self.path = Path(path).expanduser()
        self._header = read_header(self.path)
        self._sizes = sizes(self._header, slots=slots, context_tokens=context_tokens, threads=threads)
        self._name = name
        self._prompt_cache = prompt_cache
        self._engine: _llama_engine.Engine | None = None
        self._lock = threading.Lock()
        self._can = Capabilities(
            n=True,
            n_most=self._sizes.slots,
            logprobs=True,
            prefill=True,
            grammar=True,
            json_schema=True,
            seed=True,
            context_tokens=self._sizes.context_tokens,
            parameters=self._header.parameters,
        )

    @property
    def name(self) -> str:
        """The weights' identity. The file is hashed once (half a second per gigabyte) and the hash remembered."""
        if self._name is None:
            from nlrl.models.weights import sha256_of

            self._name = f"{self.path.stem}@{sha256_of(self.path)[:12]}"
        return self._name

    @property
    def can(self) -> Capabilities:
        """What this model can do."""
        return self._can

    @property
    def slots(self) -> int:
        """Draws that run at once."""
        return self._sizes.slots

    def load(self) -> None:
        """Load the weights now (1 to 3 s) instead of with the first request. Blocks; call it from any thread."""
        self._loaded()

    def _loaded(self) -> _llama_engine.Engine:
        _llama_engine.check_fork()
        with self._lock:
            if self._engine is None:
                self._engine = _llama_engine.acquire(self.path, self._sizes)
            return self._engine

    async def complete(self, request: Request) -> list[Completion]:
        """`request.n` completions in index order. To cancel and yet learn what was spent, use `stream`."""
        return await gather(self.stream(request))

    def stream(self, request: Request) -> LlamaStream:
        """The deltas of all draws as they come."""
        return LlamaStream(self._loaded, self._sizes, request, self._prompt_cache)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int:
        """Exact number of tokens of the prompt, chat template included.

        Raises PromptTooLong for a prompt so far beyond the context that counting it would take seconds.
        """

        def count() -> int:
            context = self._sizes.context_tokens
            return len(_llama_prompt.prompt_tokens(self._loaded().ask, messages, prefill, context))

        return await asyncio.to_thread(count)

    async def aclose(self) -> None:
        """Give the engine back; its memory is freed when nobody else uses it. Asking again loads it again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(_llama_engine.release, engine)

    def tokens_generated(self) -> int:
        """All tokens the engine generated since it was loaded, cancelled ones included, by its own counter."""
        return self._loaded().generated()
