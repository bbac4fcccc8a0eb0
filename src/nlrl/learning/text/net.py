# pyright: reportMissingImports=false
"""A small decoder-only transformer: pre-norm, rotary positions (Su et al. 2021, 2104.09864), one key and value for all
heads (Shazeer 2019, 1911.02150: the cache is what decoding reads), ReLU MLP.

What a row computes does not depend on its neighbours in the batch, to the last bit, if no matrix product has fewer than
`LEAST_ROWS` rows and prompts are padded to a multiple of `PROMPT_BLOCK`: below that, CPU kernels sum in another order.

Shapes: B rows, T new tokens, L tokens in the cache, H heads, E width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST_ROWS = 8
PROMPT_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Size:
    """Width, layers, heads, and the longest prompt and reply together, in tokens."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    longest: int = 512


class Block(nn.Module):
    """Attention and MLP, each added to what came in."""

    def __init__(self, size: Size):
        super().__init__()
        d = size.width
        self.heads, self.each = size.heads, d // size.heads
        self.before_attention, self.before_mlp = nn.LayerNorm(d, bias=False), nn.LayerNorm(d, bias=False)
        self.qkv, self.out = _linear(d, d + 2 * self.each), _linear(d, d)
        self.up, self.down = _linear(d, 4 * d), _linear(4 * d, d)

    def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B x H x T x E), keys and values (B x 1 x T x E); queries and keys turned by their positions."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.before_attention(x)).split((d, self.each, self.each), dim=-1)
        q = q.view(b, t, self.heads, self.each).transpose(1, 2)
        return _rotate(q, turn), _rotate(k[:, None], turn), v[:, None]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add the attended values and the MLP."""
        b, h, t, e = attended.shape
        x = x + self.out(attended.transpose(1, 2).reshape(b, t, h * e))
        return x + self.down(F.relu(self.up(self.before_mlp(x))))


class Net(nn.Module):
    """Hidden states of texts; `head` turns them into next-token logits.

    bfloat16  matrix products are computed in it (under `computing`); the weights stay in float32
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, size: Size, vocabulary: int, seed: int, *, bfloat16: bool = False):
        super().__init__()
        self.size, self.bfloat16 = size, bfloat16
        self.embed = nn.Embedding(vocabulary, size.width, _weight=torch.empty(vocabulary, size.width))
        self.place = nn.Embedding(size.longest, size.width, _weight=torch.empty(size.longest, size.width))
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width, bias=False)
        self.head = _linear(size.width, vocabulary)
        dice = torch.Generator().manual_seed(seed)  # the global one belongs to the caller
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "down.weight", "place.weight")):
                nn.init.zeros_(weight)
            elif weight.dim() == 2:
                nn.init.normal_(weight, std=_spread(name, size), generator=dice)
        half = size.width // size.heads // 2
        angles = torch.arange(size.longest)[:, None] * 1000.0 ** -(torch.arange(half) / half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    @property
    def parameter_count(self) -> int:
        """Number of weights that every token is multiplied with, and the tables it is looked up in."""
        return sum(weight.numel() for weight in self.parameters())

    def computing(self) -> torch.autocast:
        """What every computation with this network stands under."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)

    @property
    def _layers(self) -> list[Block]:
        return cast("list[Block]", self.blocks)

    def grow(self, vocabulary: int, seed: int) -> None:
        """Make room for new words, with random embeddings; the old ones stay."""
        old = self.embed.num_embeddings
        dice = torch.Generator().manual_seed(seed)
        for name in ("embed", "head"):
            new = torch.empty(vocabulary - old, self.size.width)
            nn.init.normal_(new, std=_spread(name, self.size), generator=dice)
            layer = getattr(self, name)
            layer.weight = nn.Parameter(torch.cat((layer.weight.detach(), new)))
        self.embed.num_embeddings = self.head.out_features = vocabulary

    def forward(self, ids: Tensor) -> Tensor:
        """Hidden states (B x T x width) of whole texts, padded on the right."""
        x, _ = self.read(ids)
        return x

    def read(self, ids: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Hidden states of whole texts, and each layer's keys and values (B x T x E)."""
        t = ids.shape[1]
        x = self.embed(ids) + self.place.weight[:t]
        turn, cache = (self.cos[:t], self.sin[:t]), []
        future = torch.full((t, t), -torch.inf).triu(1)
        for block in self._layers:
            q, k, v = block.project(x, turn)
            cache.append((k[:, 0], v[:, 0]))
            x = block.finish(x, _attend(q, k[:, 0], v[:, 0], future))
        return self.norm(x), cache

    def extend(self, ids: Tensor, at: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Hidden states (B x width) of one new token a row, which stands at position `at` (B); writes the cache.

        keys, values  layers x B x L x E, views of the caller's storage; L covers the longest row
        """
        b = len(ids)
        x = (self.embed(ids) + self.place(at))[:, None]
        turn = (self.cos[at][:, None, None], self.sin[at][:, None, None])
        unseen = torch.zeros(b, 1, 1, keys.shape[2])
        unseen.masked_fill_((torch.arange(keys.shape[2]) > at[:, None])[:, None, None], -torch.inf)
        rows = torch.arange(b)
        for i, block in enumerate(self._layers):
            q, k, v = block.project(x, turn)
            keys[i][rows, at] = k[:, 0, 0].to(keys.dtype)
            values[i][rows, at] = v[:, 0, 0].to(values.dtype)
            x = block.finish(x, _attend(q, keys[i], values[i], unseen))
        return self.norm(x[:, 0])


def fast_bfloat16() -> bool:
    """Whether this processor multiplies matrices in bfloat16 (twice as fast here as float32); others emulate it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) if torch.backends.mkldnn.is_available() else False


def _attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """What each head reads (B x H x T x E); `mask` is added to the scores (B x H x T x L).

    With one key for all heads, heads and tokens are the rows of one product. The fused kernel is no faster forward and
    takes six times as long backward, where the key has to be repeated for each head.
    """
    b, h, t, e = q.shape
    scores = torch.bmm(q.reshape(b, h * t, e) * e**-0.5, keys.transpose(1, 2)).view(b, h, t, -1) + mask
    return torch.bmm(scores.softmax(dim=-1).view(b, h * t, -1), values).view(b, h, t, e)


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.utils.skip_init(nn.Linear, inputs, outputs, bias=False)  # its own start would read the global dice


def _spread(name: str, size: Size) -> float:
    """Standard deviation of a weight's start."""
    return 0.1 if name.startswith("embed") else size.width**-0.5 / (4 if name.startswith("head") else 1)
