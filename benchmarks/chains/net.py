"""A small decoder-only transformer: rotary positions, one key and value for all heads (Shazeer
2019, 1911.02150: the cache is what decoding reads), pre-norm, ReLU MLP; a value head for step scores, which is
also told how likely the network itself finds the step.

Shapes: B rows, T new tokens, L tokens in the cache, H heads, E width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chains.text import MARKS, VOCABULARY

SIGNS = 3  # what `signs` tells of a step
SPARE = 64  # positions beyond the longest text, for padding


@dataclass(frozen=True)
class Size:
    """Width, layers, heads, and the longest text in tokens."""

    width: int = 64
    layers: int = 3
    heads: int = 4
    longest: int = 192


class Block(nn.Module):
    """Attention and MLP, each added to what came in."""

    def __init__(self, size: Size):
        super().__init__()
        d = size.width
        self.heads, self.each = size.heads, d // size.heads
        self.before_attention, self.before_mlp = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, d + 2 * self.each, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B x H x T x E), keys and values (B x 1 x T x E); queries and keys turned by their positions."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.before_attention(x)).split((d, self.each, self.each), dim=-1)
        q = q.view(b, t, self.heads, self.each).transpose(1, 2)
        return rotate(q, turn), rotate(k[:, None], turn), v[:, None]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add the attended values and the MLP."""
        b, h, t, e = attended.shape
        x = x + self.out(attended.transpose(1, 2).reshape(b, t, h * e))
        return x + self.down(F.relu(self.up(self.before_mlp(x))))


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding (Su et al. 2021, 2104.09864)."""
    cos, sin = turn
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def signs(line: Tensor, before: float | Tensor) -> Tensor:
    """What the network itself would have thought of writing a line: the log-probability of the whole, of its least
    likely token, and of the least likely line before it.

    line  log-probabilities of its tokens
    """
    whole, least = line.sum().clamp(min=-20.0), line.min().clamp(min=-20.0)
    return torch.stack((whole, least, torch.as_tensor(before, dtype=whole.dtype))) / 4


class ChainNet(nn.Module):
    """Next-token logits, and a value in (0, 1) at every token."""

    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        self.embed = nn.Embedding(VOCABULARY, size.width)
        self.places = nn.ModuleList(nn.Embedding(count, size.width) for count in MARKS)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, VOCABULARY, bias=False)
        self.value = nn.Sequential(nn.Linear(size.width + SIGNS, 64), nn.ReLU(), nn.Linear(64, 1))
        self.register_buffer("sees", torch.ones(1))  # 0: the value head is not told the signs
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.1 if "embed" in name or "places" in name else weight.shape[1] ** -0.5)
            if name.endswith(("out.weight", "down.weight")):
                nn.init.zeros_(weight)
        half = size.width // size.heads // 2
        angles = torch.arange(size.longest + SPARE)[:, None] * 1000.0 ** -(torch.arange(half) / half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    @property
    def parameter_count(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.parameters())

    def _input(self, ids: Tensor, marks: Tensor) -> Tensor:
        return sum((table(marks[:, :, i]) for i, table in enumerate(self.places)), start=self.embed(ids))

    def forward(self, ids: Tensor, marks: Tensor) -> Tensor:
        """Hidden states (B x T x width) of whole texts, padded on the right."""
        x = self._input(ids, marks)
        turn = (self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        for block in self.blocks:
            q, k, v = block.project(x, turn)
            k, v = k.expand_as(q), v.expand_as(q)
            x = block.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.norm(x)

    def judge(self, hidden: Tensor, signs: Tensor) -> Tensor:
        """Values in logits (N) of steps from the hidden states at their ends (N x width) and their signs (N x 3)."""
        return self.value(torch.cat((hidden, signs * self.sees), dim=-1))[:, 0]

    def extend(self, ids: Tensor, marks: Tensor, start: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Hidden states of T new tokens that follow `start` (B) tokens in the cache; writes the cache.

        keys, values  layers x B x L x E, views of the caller's storage; L covers the longest row
        """
        b, t = ids.shape
        at = start[:, None] + torch.arange(t)  # B x T
        x = self._input(ids, marks)
        turn = (self.cos[at][:, None], self.sin[at][:, None])
        unseen = (torch.arange(keys.shape[2]) > at[:, :, None])[:, None]  # B x 1 x T x L
        rows = torch.arange(b)[:, None]
        for i, block in enumerate(self.blocks):
            q, k, v = block.project(x, turn)
            keys[i][rows, at] = k[:, 0]
            values[i][rows, at] = v[:, 0]
            # one key for all heads: heads and new tokens are rows of one product (faster here than the fused kernel)
            scores = torch.bmm(q.reshape(b, -1, block.each), keys[i].transpose(1, 2)) * block.each**-0.5
            weights = scores.view(b, block.heads, t, -1).masked_fill(unseen, -torch.inf).softmax(dim=-1)
            attended = torch.bmm(weights.view(b, block.heads * t, -1), values[i])
            x = block.finish(x, attended.view(b, block.heads, t, block.each))
        return self.norm(x)
