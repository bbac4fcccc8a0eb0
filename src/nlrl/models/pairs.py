"""A pair of anything with `generate` and anything with `decode`: stand-ins in tests, and other runtimes' models.

    Pair(model, tokenizer)      # model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=512, ...)

PyTorch modules have a backend of their own (`models.transformers`), which batches, streams and counts exactly. This one
calls `generate` once for each draw, with the arguments that Hugging Face models know, and decodes what comes back. What
has `logits` and no sequences is one step of a draw: the likeliest token is taken and `generate` called again, until it
has nothing more to give (StopIteration) or the limit is reached.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, ModelError, Request, UserError
from nlrl.models.streams import Assembler, gather
from nlrl.models.token_bounds import prompt_bound

_ENDED = object()
_DEFAULT_TOKENS = 512


class Pair:
    """A model that generates and a tokenizer that decodes, behind `Model`. Calls are made one after the other.

    Tokens are counted where ids come and go; a prompt without ids is charged its bound, a piece without ids one token.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        for thing, method in ((model, "generate"), (tokenizer, "decode")):
            if not callable(getattr(thing, method, None)):
                raise UserError(
                    f"{type(thing).__name__} has no {method}(). A pair is a model with generate() and a tokenizer with "
                    "decode(); an nlrl model needs no tokenizer: give None."
                )
        self._model, self._tokenizer = model, tokenizer
        self._name = f"pair:{type(model).__name__}+{type(tokenizer).__name__}"
        self._can = Capabilities()
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """The names of both classes: there is nothing to tell such pairs apart by."""
        return self._name

    @property
    def can(self) -> Capabilities:
        """Text, and nothing else."""
        return self._can

    async def complete(self, request: Request) -> list[Completion]:
        """`request.n` completions in index order. Raises ModelError where generating or decoding fails."""
        return await gather(self.stream(request))

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The draws in turn: each as one piece, or token by token from a model that steps."""
        text = self._text(request.messages, request.prefill)
        inputs = await self._call(self._tokenizer, text, return_tensors="pt")
        given: dict[str, Any] = dict(inputs) if isinstance(inputs, Mapping) else {"inputs": inputs}
        prompt = _ids(given.get("input_ids"))
        for index in range(request.n):
            draw = Assembler(index, request.sampling, prefix=request.prefill)
            limit = request.sampling.max_tokens or _DEFAULT_TOKENS
            finish = Finish.LENGTH
            while not draw.stopped and draw.tokens < limit:
                output = await self._call(self._model.generate, **given, **_arguments(request, limit))
                if output is _ENDED:
                    finish = Finish.STOP
                    break
                step = _is_step(output)
                new = _argmax(output.logits) if step else _without(prompt, _first(output))
                piece = await self._call(self._tokenizer.decode, new, skip_special_tokens=True)
                if piece is _ENDED:
                    finish = Finish.STOP
                    break
                if not isinstance(piece, str):
                    raise ModelError(f"{self._name}: decode() gave {type(piece).__name__} instead of text.")
                tokens = len(new) if not step and isinstance(new, Sequence) and new else 1
                if delta := draw.feed(piece, tokens=tokens):
                    yield delta
                if not step:
                    finish = Finish.LENGTH if draw.tokens >= limit else Finish.STOP
                    break
            untold = 0 if prompt else prompt_bound(request.messages, request.prefill)
            yield draw.finish(finish, prompt_tokens=len(prompt) or untold, estimated_tokens=untold)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """The number of ids that the tokenizer gives; None if it gives none."""
        inputs = await self._call(self._tokenizer, self._text(messages, prefill), return_tensors="pt")
        return len(_ids(inputs.get("input_ids"))) or None if isinstance(inputs, Mapping) else None

    async def aclose(self) -> None:
        """Nothing to close."""

    def _text(self, messages: Sequence[Message], prefill: str) -> str:
        """The tokenizer's own template where it has one; a single message of a user as it stands."""
        template = getattr(self._tokenizer, "chat_template", None)
        if isinstance(template, str):
            turns = [{"role": m.role, "content": m.content} for m in messages]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return f"{text}{prefill}"
        return "\n\n".join([*(m.content for m in messages), *filter(None, [prefill])])

    async def _call(self, function: Any, *arguments: Any, **keywords: Any) -> Any:
        def guarded() -> Any:
            with self._turn:
                try:
                    return function(*arguments, **keywords)
                except StopIteration:  # no future can carry it
                    return _ENDED

        try:
            return await asyncio.to_thread(guarded)
        except Exception as error:
            raise ModelError(f"{self._name} failed: {type(error).__name__}: {error}") from error


def _arguments(request: Request, limit: int) -> dict[str, Any]:
    sampling = request.sampling
    if sampling.temperature == 0:
        return {"max_new_tokens": limit, "do_sample": False}
    known = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    return {"max_new_tokens": limit, "do_sample": True, **{k: v for k, v in known.items() if v is not None}}


def _is_step(output: Any) -> bool:
    return not hasattr(type(output), "__getitem__") and hasattr(output, "logits")  # of the class: mocks have it all


def _first(output: Any) -> Any:
    """The first sequence of what `generate` gives: ids, or ids in an object with `sequences`."""
    sequences = output["sequences"] if isinstance(output, Mapping) else output
    return sequences[0]


def _ids(values: Any) -> list[int]:
    """The ids in one row of a batch, whatever holds them; [] where there are none."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, list) and values and isinstance(values[0], list):
        values = values[0]
    return values if isinstance(values, list) and all(isinstance(v, int) for v in values) else []


def _without(prompt: list[int], sequence: Any) -> Any:
    """A decoder repeats its prompt before what it adds."""
    ids = _ids(sequence)
    return ids[len(prompt) :] if prompt and ids[: len(prompt)] == prompt else (ids or sequence)


def _argmax(logits: Any) -> int:
    """The likeliest token of the last place of the first sequence."""
    row = logits.tolist() if hasattr(logits, "tolist") else logits
    while isinstance(row[-1], list):
        row = row[-1] if len(row) > 1 else row[0]
    scores: Iterator[tuple[float, int]] = ((score, -at) for at, score in enumerate(row))
    return -max(scores)[1]
