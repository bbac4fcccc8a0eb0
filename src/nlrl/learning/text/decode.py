# pyright: reportMissingImports=false
"""Many prompts, many draws, one batch.

    decode(net, draws)      # every draw's `take` is called token by token until it says that it is over

Prompts that several draws share are read once. Rows that are over leave the batch when half of it is idle. What a draw
gets is a fixed function of (weights, prompt, key, policy): token t is taken at the point that a counter-based random
number (SplitMix64, Steele et al. 2014) of (key, t) marks in the distribution, and who else is in the batch does not
change a bit of the logits (see `_text_net`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nlrl.learning.text.net import LEAST_ROWS, PROMPT_BLOCK, Net
from nlrl.learning.text.words import PAD, REPLY
from nlrl.models.transformers.sampling import Policy, choose

ROWS = 512  # decoded side by side
_READ_TOKENS = 4096  # prompt tokens in one forward pass: more no longer fit into the processor's cache
_GROW = 32  # tokens by which the cache grows
_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))

Alternatives = tuple[tuple[int, float], ...]  # (token, its natural log-probability), most probable first


class Draw(Protocol):
    """One text in the making.

    prompt   all tokens before the first one to be drawn, at least one
    key      64 bits that name its random numbers
    top      alternatives wanted with each log-probability, None for no log-probabilities
    wanted   false once nobody waits for it any more
    take     one token, with its log-probability and alternatives; true when the draw is over
    """

    prompt: tuple[int, ...]
    key: int
    policy: Policy
    top: int | None

    @property
    def wanted(self) -> bool: ...
    def take(self, token: int, logprob: float | None, top: Alternatives) -> bool: ...


def decode(net: Net, draws: Sequence[Draw], rows: int = ROWS) -> None:
    """Run all draws to their ends, at most `rows` of them at a time."""
    order = sorted(draws, key=lambda draw: len(draw.prompt))  # neighbours are of one length: little padding
    with torch.inference_mode(), net.computing():
        for start in range(0, len(order), rows):
            live = [draw for draw in order[start : start + rows] if draw.wanted]
            if live:
                _together(net, live)


def _together(net: Net, draws: list[Draw]) -> None:
    number = {prompt: i for i, prompt in enumerate(dict.fromkeys(draw.prompt for draw in draws))}
    idle = max(0, LEAST_ROWS - len(draws))
    live: list[Draw | None] = [*draws, *[None] * idle]
    at = np.array([len(draw.prompt) for draw in draws] + [len(draws[0].prompt)] * idle)
    source = torch.tensor([number[draw.prompt] for draw in draws] + [0] * idle)
    keys, values, hidden = _read(net, list(number))
    keys, values, state = keys[:, source], values[:, source], hidden[source]
    made = 0
    while True:
        last = _draw(net, state, live, made)
        made += 1
        kept = [i for i, draw in enumerate(live) if draw is not None]
        if not kept:
            return
        if 2 * len(kept) <= len(live) and len(live) > LEAST_ROWS:
            kept += [i for i, draw in enumerate(live) if draw is None][: max(0, LEAST_ROWS - len(kept))]
            rows = torch.tensor(kept)
            keys, values, last, at = keys[:, rows], values[:, rows], last[rows], at[kept]
            live = [live[i] for i in kept]
        wide = int(at.max()) + 1
        if wide > keys.shape[2]:
            room = (0, 0, 0, min(_GROW, net.size.longest - keys.shape[2]))
            keys, values = (F.pad(cache, room) for cache in (keys, values))
        state = net.extend(last, torch.from_numpy(at), keys[:, :, :wide], values[:, :, :wide])
        at = np.minimum(at + 1, net.size.longest - 1)  # a row that is over may stand still at the end


def _read(net: Net, prompts: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys and values (layers x prompts x L x E) and the hidden state of each prompt's last token."""
    longest = _padded(max(map(len, prompts)), net.size.longest)
    shape = (net.size.layers, len(prompts), longest, net.size.width // net.size.heads)
    kind = torch.bfloat16 if net.bfloat16 else torch.float32
    keys, values = torch.zeros(shape, dtype=kind), torch.zeros(shape, dtype=kind)
    hidden = torch.empty(len(prompts), net.size.width)
    start = 0
    while start < len(prompts):  # they are sorted by length
        wide, count = 0, 0
        for prompt in prompts[start:]:
            wide_with = _padded(len(prompt), net.size.longest)
            if count and (count + 1) * wide_with > _READ_TOKENS:
                break
            wide, count = wide_with, count + 1
        some = prompts[start : start + count]
        states, cache = net.read(torch.tensor([[*p, *[PAD] * (wide - len(p))] for p in some]))
        for layer, (k, v) in enumerate(cache):
            keys[layer, start : start + count, :wide] = k
            values[layer, start : start + count, :wide] = v
        hidden[start : start + count] = states[torch.arange(count), torch.tensor([len(p) - 1 for p in some])]
        start += count
    return keys, values, hidden


def _padded(tokens: int, longest: int) -> int:
    return min(-(-tokens // PROMPT_BLOCK) * PROMPT_BLOCK, longest)


def _draw(net: Net, state: torch.Tensor, live: list[Draw | None], made: int) -> torch.Tensor:
    """Choose the next token of every row and hand it over; rows that are over become None."""
    logits = net.head(state).float()
    logits[:, [PAD, REPLY]] = -torch.inf
    chosen = torch.empty(len(live), dtype=torch.long)
    policies: dict[Policy, list[int]] = {}
    for i, draw in enumerate(live):
        policies.setdefault(draw.policy if draw else Policy(), []).append(i)
    for policy, rows in policies.items():
        some = logits if len(rows) == len(live) else logits[rows]
        random = uniforms([draw.key if (draw := live[i]) else 0 for i in rows], made) if policy.temperature else []
        chosen[rows] = choose(some, policy, random)
    sure = logits.log_softmax(-1) if any(draw and draw.top is not None for draw in live) else None
    for i, token in enumerate(chosen.tolist()):
        draw = live[i]
        if draw is None:
            continue
        logprob, top = None, ()
        if sure is not None and draw.top is not None:
            logprob = float(sure[i, token])
            best = sure[i].topk(min(draw.top, sure.shape[1] - 2))
            top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        if draw.take(token, logprob, top) or not draw.wanted:
            live[i] = None
    return chosen


def uniforms(keys: Sequence[int], count: int) -> list[float]:
    """One number in [0, 1) for each key: its number `count`."""
    z: NDArray[np.uint64] = np.array(keys, np.uint64)
    with np.errstate(over="ignore"):
        z = z + np.uint64(count + 1) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)) * 2.0**-53).tolist()
