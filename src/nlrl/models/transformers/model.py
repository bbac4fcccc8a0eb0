# pyright: reportMissingImports=false
"""Hugging Face `transformers` as a model: a checkpoint on disk or hub, a GGUF file, or a pair already in memory.

    model = TransformersModel.load("Qwen/Qwen2.5-Coder-0.5B-Instruct")
    model = TransformersModel.from_pretrained_pair(my_model, my_tokenizer)
    await model.complete(Request((user("What is 17 + 25?"),), Sampling(temperature=0.8, max_tokens=64), n=8))

The n draws of a request are one batch on one evaluation of the prompt; a draw that ends leaves the batch. Requests
wait for each other, first come, first served: draws of different requests are not batched together (a server such as
vLLM does that). Penalties and processors of the checkpoint's generation_config are not applied, only its temperature,
top_p, top_k and min_p, each where the request sets none; max_tokens unset means to the end of the context.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Generator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nlrl.core import (
    Capabilities,
    Completion,
    Delta,
    Finish,
    Message,
    ModelError,
    NlrlError,
    PromptTooLong,
    Request,
    TokenLogprob,
    UserError,
    assistant,
)
from nlrl.models.streams import Assembler, gather
from nlrl.models.transformers.load import Source, fingerprint, identity, load, require
from nlrl.models.transformers.prompts import Detokenizer, Prompts
from nlrl.models.transformers.stream import Draw, Steps, TransformersStream
from nlrl.models.transformers.worker import Worker

if TYPE_CHECKING:
    from nlrl.models.transformers.decode import Row, Scored

MAX_BATCH = 64  # rows in one batch; more draws than that go in turns on the same prompt evaluation
UNBOUNDED_TOKENS = 4096  # the limit of a draw where neither the request nor the model's context sets one


class TransformersModel:
    """A causal language model and its tokenizer behind the `Model` protocol. Use `load` or `from_pretrained_pair`.

    Its weights are taken to stay as they are: after training them, make a new one, so that the name changes too.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, max_batch: int = MAX_BATCH):
        from nlrl.models.transformers.decode import Network

        if max_batch < 1:
            raise UserError(f"max_batch must be one or more, got {max_batch}.")
        self._network = Network(model)
        self._prompts = Prompts(tokenizer)
        self._name = name
        self._max_batch = max_batch
        self._worker = Worker(name)
        generation = getattr(model, "generation_config", None)
        self._defaults: dict[str, Any] = generation.to_diff_dict() if generation is not None else {}
        self._ends = _ids(getattr(generation, "eos_token_id", None)) | _ids(tokenizer.eos_token_id)
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._can = Capabilities(
            n=True,
            logprobs=True,
            prefill=True,
            seed=True,
            prompt_logprobs=True,
            context_tokens=context,
            parameters=model.num_parameters(),
        )

    @classmethod
    def load(
        cls,
        spec: str,
        *,
        revision: str | None = None,
        gguf_file: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = MAX_BATCH,
        trust_remote_code: bool = False,
        local_files_only: bool = False,
    ) -> TransformersModel:
        """Load a checkpoint: a directory, a .gguf file, or a hub id, "ORG/NAME[/FILE.gguf][@REVISION]".

        device  "auto" is every CUDA device there is, else Apple's, else the CPU; or "cpu", "cuda:1", ...
        dtype   "auto" is the checkpoint's own, except float32 on a CPU
        Raises MissingExtra (torch or transformers), ModelMissing (not there, or not usable), ModelError (no memory).
        """
        source = Source.parse(spec)
        source = replace(source, revision=revision or source.revision, gguf_file=gguf_file or source.gguf_file)
        model, tokenizer = load(
            source, device=device, dtype=dtype, trust_remote_code=trust_remote_code, local_files_only=local_files_only
        )
        name = f"hf:{source}@{identity(source, model, tokenizer)}"
        return cls(model, tokenizer, name=name, max_batch=max_batch)

    @classmethod
    def from_pretrained_pair(cls, model: Any, tokenizer: Any, *, max_batch: int = MAX_BATCH) -> TransformersModel:
        """A model and a tokenizer that are in memory already, where and as they are. The name holds a fingerprint."""
        require("torch", "transformers")
        label = getattr(model, "name_or_path", "") or type(model).__name__
        return cls(model, tokenizer, name=f"hf:{label}@{fingerprint(model, tokenizer)}", max_batch=max_batch)

    @property
    def name(self) -> str:
        """ "hf:", the id or path, "@", and the hub's commit, or a fingerprint of weights and tokenizer."""
        return self._name

    @property
    def can(self) -> Capabilities:
        """Everything but grammars and JSON schemas."""
        return self._can

    async def complete(self, request: Request) -> list[Completion]:
        """`request.n` completions in index order. Raises PromptTooLong, UserError, ModelError."""
        return await gather(self.stream(request))

    def stream(self, request: Request) -> TransformersStream:
        """The same as deltas, a token at a time. Closing it stops the work before the next token.

        `Completion.seconds` counts from when the request's turn came. Log-probabilities are the model's own, before
        temperature and filters, and include the end token. A draw without a seed is given one, noted in its completion.
        """
        return TransformersStream(self._worker, lambda account: self._generate(request, account))

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int:
        """Exact length of the prompt in tokens, chat template and prefill included.

        Raises PromptTooLong for one so far beyond the context that counting it would take seconds.
        """
        return len(await asyncio.to_thread(self._prompt, messages, prefill))

    async def prompt_logprobs(
        self, messages: Sequence[Message], continuation: str, *, prefill: str = "", top: int = 0
    ) -> tuple[TokenLogprob, ...]:
        """Log-probability of each token of a given continuation of the prompt, in one evaluation.

        The text is tokenised as a whole: where its first characters merge with the end of the prompt into one token,
        that token is counted to the continuation. Raises PromptTooLong, ModelError.
        """
        scored: list[TokenLogprob] = []
        async with aclosing(self._worker.iterate(lambda: self._score(messages, continuation, prefill, top))) as pieces:
            async for piece in pieces:
                scored += piece
        return tuple(scored)

    async def aclose(self) -> None:
        """Stop what runs and end the worker thread. What still waits raises ModelError."""
        await self._worker.aclose()

    def _generate(self, request: Request, account: TransformersStream) -> Steps:
        """In the worker thread: the deltas of each step."""
        from nlrl.models.transformers.decode import Row, decode
        from nlrl.models.transformers.sampling import Policy

        sampling, started = request.sampling, time.monotonic()
        if sampling.grammar is not None or sampling.json_schema is not None:
            raise ModelError(
                f"{self._name} cannot follow a grammar or JSON schema; use the embedded engine or a server."
            )
        policy = Policy.of(sampling, self._defaults)
        prompt = self._prompt(request.messages, request.prefill)
        limit = self._room(prompt, sampling.max_tokens)
        first_seed = sampling.seed if sampling.seed is not None else random.SystemRandom().getrandbits(48)
        draws: dict[Row, Draw] = {}
        for index in range(request.n):
            seed = first_seed + request.first_index + index
            out = Assembler(index, sampling, prefix=request.prefill, seed=seed, started=started)
            words = Detokenizer(self._prompts.text, prompt)
            row = Row(seed)
            draws[row] = Draw(row, out, words, limit=limit, prompt_tokens=0 if index else len(prompt))
        if limit < 1 or not draws:
            yield [draw.end(Finish.LENGTH, prompt_tokens=0) for draw in draws.values()]
            return
        begun = False
        account.tokens = [0] * len(draws)
        top = max(0, sampling.logprobs or 0)
        try:
            for step in decode(self._network, prompt, list(draws), policy, top=top, max_batch=self._max_batch):
                deltas: list[Delta] = []
                account.prompt_tokens = len(prompt)
                for row, drawn in step:
                    begun = True
                    account.tokens[draws[row].index] += 1
                    deltas += draws[row].take(drawn.token, self._named(drawn), ended=drawn.token in self._ends)
                yield deltas
        except Exception as error:  # torch raises whatever it likes; here it is known whose request it was
            failure = self._failure(error, rows=len(draws), prompt_tokens=len(prompt))
            if not begun:
                raise failure from error
            yield [draw.end(Finish.ERROR, error=str(failure)) for row, draw in draws.items() if not row.done]

    def _score(
        self, messages: Sequence[Message], continuation: str, prefill: str, top: int
    ) -> Generator[list[TokenLogprob], None, None]:
        from nlrl.models.transformers.decode import score

        before = self._prompt(messages, prefill)
        tokens = self._prompt(messages, prefill + continuation)
        if not continuation:
            return
        pairs = enumerate(zip(before, tokens, strict=False))
        start = next((at for at, (old, new) in pairs if old != new), len(before))
        self._room(tokens[:-1], 1)
        try:
            for scored in score(self._network, tokens, max(start, 1), top=top):
                yield [self._named(one) for one in scored]
        except Exception as error:  # as above
            raise self._failure(error, rows=1, prompt_tokens=len(tokens)) from error

    def _prompt(self, messages: Sequence[Message], prefill: str) -> list[int]:
        context = self._can.context_tokens
        if context is not None and self._prompts.surely_exceeds((*messages, assistant(prefill)), context):
            raise self._too_long(f"more than {context}")
        return self._prompts.ids(messages, prefill)

    def _too_long(self, tokens: str) -> PromptTooLong:
        return PromptTooLong(
            f"The prompt has {tokens} tokens; {self._name} takes {self._can.context_tokens} with the answer included. "
            "Shorten the prompt, or use a model with a longer context."
        )

    def _room(self, prompt: Sequence[int], max_tokens: int | None) -> int:
        """How many tokens a draw may have. Raises PromptTooLong where not even one fits."""
        context = self._can.context_tokens
        if context is not None and len(prompt) >= context:
            raise self._too_long(str(len(prompt)))
        wanted = max_tokens if max_tokens is not None else (UNBOUNDED_TOKENS if context is None else context)
        return wanted if context is None else min(wanted, context - len(prompt))

    def _named(self, scored: Scored) -> TokenLogprob:
        piece = self._prompts.piece
        return TokenLogprob(piece(scored.token), scored.logprob, tuple((piece(one), its) for one, its in scored.top))

    def _failure(self, error: Exception, *, rows: int, prompt_tokens: int) -> NlrlError:
        from nlrl.models.transformers.decode import out_of_memory

        if isinstance(error, NlrlError):
            return error
        if out_of_memory(error):
            return ModelError(
                f"{self._name} ran out of memory at {prompt_tokens} prompt tokens, one draw of {rows} at a time. "
                "Lower max_tokens, shorten the prompt, or load it with a smaller dtype."
            )
        return ModelError(f"{self._name} failed while generating: {type(error).__name__}: {error}")


def _ids(value: int | Sequence[int] | None) -> frozenset[int]:
    """`eos_token_id` comes as a number, a list, or not at all."""
    return frozenset() if value is None else frozenset((value,) if isinstance(value, int) else value)
