# pyright: reportMissingImports=false
"""The decode loop: one prompt evaluated once, then n rows that grow together and leave as they finish.

    rows = [Row(seed) for seed in (7, 8, 9)]
    for step in decode(network, prompt_ids, rows, Policy(temperature=0.8)):
        for row, drawn in step:
            row.done = drawn.token in ends                   # the row leaves the batch before the next step
    # stop iterating (or close the generator) and nothing more is computed

All rows share the prompt and every live row takes one token a step, so they are always of equal length: no padding, no
attention mask, and a row's numbers are those it would have alone (up to the rounding of a different batch size).
When the device runs out of memory, the batch is halved and both halves go on from the tokens they already have.

Not covered: encoder-decoder models, and architectures whose state is not a `transformers` cache (RWKV, plain Mamba).
Shapes: R rows, T tokens, V vocabulary, H heads, D head size.
"""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from nlrl.core import ModelError
from nlrl.models.transformers.cache import make_cache
from nlrl.models.transformers.sampling import Policy, choose

PROMPT_CHUNK = 256  # prompt tokens per forward pass: cancellation and memory are bounded by it


class Row:
    """One draw in the batch. Set `done`, and it leaves."""

    def __init__(self, seed: int):
        self._random = random.Random(str(seed))  # a string is hashed: neighbouring and negative seeds share nothing
        self._number = (-1, 0.0)  # the step it is for, and itself
        self.tokens: list[int] = []
        self.reread = 0  # tokens evaluated once more, because the batch had to be split
        self.done = False

    def uniform(self) -> float:
        """A number in [0, 1) for the next token; the same again if that step has to be repeated."""
        if self._number[0] != len(self.tokens):
            self._number = (len(self.tokens), self._random.random())
        return self._number[1]


Alternatives = tuple[tuple[int, float], ...]  # (id, log-probability), most probable first


class Scored(NamedTuple):
    """A token with natural log-probabilities of the model's raw output: before temperature and filters."""

    token: int
    logprob: float
    top: Alternatives


class Network:
    """A causal language model as the loop needs it: `forward` takes ids and a cache, and returns float32 logits."""

    def __init__(self, model: Any):
        self.model = model
        accepted = inspect.signature(model.forward).parameters
        # `cache` since transformers 5.24; before, and in code that a checkpoint brings along, `past_key_values`
        self.cache_name = next((name for name in ("cache", "past_key_values") if name in accepted), "")
        if not self.cache_name or model.config.is_encoder_decoder:
            raise ModelError(
                f"{type(model).__name__} is not a causal language model with a key-value cache. Only those work here."
            )
        self._keeps = "logits_to_keep" in accepted
        # recurrent layers take either a whole prompt or single tokens: their prompt is not cut into pieces
        self.recurrent = bool(getattr(model, "_is_stateful", False))

    def new_cache(self) -> Any:
        """An empty cache for this architecture."""
        return make_cache(self.model.config)

    def forward(self, ids_RT: Sequence[Sequence[int]], cache: Any, *, last: int = 1) -> torch.Tensor:
        """Append the tokens to the cache; logits (R, last, V) of the last positions."""
        ids = torch.tensor(ids_RT, dtype=torch.long, device=self.model.device)
        keep = {"logits_to_keep": last} if self._keeps else {}  # or a chunk's logits alone: 256 x 150,000 floats
        out = self.model(input_ids=ids, use_cache=True, return_dict=True, **{self.cache_name: cache}, **keep)
        return out.logits[:, -last:].float()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Without dropout, also where the caller is in the middle of training."""
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)

    def pieces(self, tokens: Sequence[int], *, fresh: bool) -> Iterator[Sequence[int]]:
        """Cut tokens for one forward pass each; `fresh` says that the cache is still empty."""
        size = PROMPT_CHUNK if not self.recurrent else (len(tokens) if fresh else 1)
        for start in range(0, len(tokens), max(size, 1)):
            yield tokens[start : start + size]


@torch.no_grad()
def decode(
    network: Network, prompt: Sequence[int], rows: Sequence[Row], policy: Policy, *, top: int = 0, max_batch: int = 64
) -> Generator[list[tuple[Row, Scored]], None, None]:
    """Yield after every step what each live row drew (nothing after a piece of the prompt).

    `top` alternatives are reported per token. More than `max_batch` rows go in turns on one prompt evaluation.
    Raises torch's out-of-memory error only when a single row does not fit.
    """
    with network.evaluating():
        cache = network.new_cache()
        logits_1V = torch.empty(0)
        for piece in network.pieces(prompt, fresh=True):
            logits_1V = network.forward([piece], cache)[:, -1]
            yield []
        turns = [list(rows[start : start + max_batch]) for start in range(0, len(rows), max_batch)][::-1]
        while turns:
            group = turns.pop()
            try:
                # the prompt's one row is kept for whoever comes next: the other turns, or the halves of this batch
                own = copy.deepcopy(cache) if turns or len(group) > 1 else cache
                yield from _together(network, own, logits_1V, group, policy, top)
                continue
            except RuntimeError as error:
                group = [row for row in group if not row.done]
                if not out_of_memory(error) or len(group) < 2:
                    raise
            # outside of the except block: the error's traceback held the very tensors that must go
            own = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            half = len(group) // 2
            turns += [group[half:], group[:half]]


def _together(
    network: Network, cache: Any, logits_1V: torch.Tensor, group: list[Row], policy: Policy, top: int
) -> Iterator[list[tuple[Row, Scored]]]:
    """Grow the rows of one batch until all are done. They hold equally many tokens: none, or those before a split.

    `cache` and `logits_1V` are those of the prompt, in one row. The cache is changed.
    """
    cache.reorder_cache(torch.zeros(len(group), dtype=torch.long, device=logits_1V.device))
    logits_RV = logits_1V.expand(len(group), -1)
    for row in group:
        row.reread += len(row.tokens)
    for piece in network.pieces(range(len(group[0].tokens)), fresh=False):
        logits_RV = network.forward([[row.tokens[at] for at in piece] for row in group], cache)[:, -1]
    while True:
        drawn = _scored(logits_RV, choose(logits_RV, policy, [row.uniform() for row in group]).tolist(), top)
        for row, one in zip(group, drawn, strict=True):
            row.tokens.append(one.token)
        yield list(zip(group, drawn, strict=True))
        live = [at for at, row in enumerate(group) if not row.done]
        if not live:
            return
        if len(live) < len(group):
            cache.reorder_cache(torch.tensor(live, device=logits_RV.device))
            group[:] = [group[at] for at in live]
        logits_RV = network.forward([row.tokens[-1:] for row in group], cache)[:, -1]


@torch.no_grad()
def score(network: Network, tokens: Sequence[int], start: int, *, top: int = 0) -> Generator[list[Scored], None, None]:
    """Of each of `tokens[start:]` given all before it: its log-probability and the best alternatives. `start` >= 1.

    Yields after every piece of the text, also where the piece holds nothing that is asked for.
    """
    with network.evaluating():
        cache = network.new_cache()
        seen = 0
        for piece in network.pieces(tokens[:-1], fresh=True):
            seen += len(piece)
            wanted = min(len(piece), seen - start + 1)  # its last so many positions predict tokens that are asked for
            logits_TV = network.forward([piece], cache, last=max(wanted, 1))[0]
            yield _scored(logits_TV, tokens[seen - wanted + 1 : seen + 1], top) if wanted > 0 else []


def _scored(logits_TV: torch.Tensor, tokens: Sequence[int], top: int) -> list[Scored]:
    """What the model's raw output says of one token per row, and of its `top` best alternatives."""
    normaliser_T1 = logits_TV.logsumexp(dim=-1, keepdim=True)
    ids_T1 = torch.tensor(tokens, device=logits_TV.device).unsqueeze(1)
    logprobs = (logits_TV.gather(1, ids_T1) - normaliser_T1).squeeze(1).tolist()
    best: list[Alternatives] = [()] * len(tokens)
    if top:
        values, ids = logits_TV.topk(min(top, logits_TV.shape[-1]), dim=-1)
        pairs = zip(ids.tolist(), (values - normaliser_T1).tolist(), strict=True)
        best = [tuple(zip(*row, strict=True)) for row in pairs]
    return [Scored(*one) for one in zip(tokens, logprobs, best, strict=True)]


def out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of device or host memory. Hosts and Apple devices say so in words only."""
    named = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, named) or (isinstance(error, RuntimeError) and any(word in str(error) for word in words))
