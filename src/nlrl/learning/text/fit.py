# pyright: reportMissingImports=false
"""Learning pairs of prompt and reply by heart, and what lies between them.

Only the reply is learned, the prompt is given. Distinct pairs are read once an epoch; how often a pair was given is its
weight in the loss: in expectation the same gradient as reading it so often, for less work.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from nlrl.learning.text.net import Net
from nlrl.learning.text.words import PAD

WARM_UP = 0.1  # share of the steps in which the learning rate rises
_POOL = 16  # batches are cut from so many of them sorted by length: little padding, and still a random mixture
_CLIP = 1.0  # longest gradient
_DECAY = 0.01
_MOMENTUM = 0.95
_OUTER_RATE = 0.3  # AdamW's learning rate beside Muon's


@dataclass(frozen=True, slots=True)
class Example:
    """One distinct pair in tokens, the first `given` of them the prompt.

    weight  how often the pair was given, divided by the mean of that over all distinct pairs
    """

    ids: Sequence[int]
    given: int
    weight: float


def weighed(pairs: Iterable[tuple[Sequence[int], Sequence[int], int]]) -> list[Example]:
    """Examples of (prompt, reply, how often), in tokens; the replies with their end token."""
    known = list(pairs)
    mean = sum(n for _, _, n in known) / len(known)
    return [Example([*prompt, *reply], len(prompt), n / mean) for prompt, reply, n in known]


class Stopped(Exception):
    """The fit is no longer wanted."""


class Diverged(Exception):
    """The loss is no longer a number."""


def learn(
    optimisers: Sequence[torch.optim.Optimizer],
    loss_of: Callable[[Sequence[Example]], torch.Tensor],
    examples: Sequence[Example],
    *,
    steps: int,
    batch: int,
    seed: int,
    stop: threading.Event,
    on_step: Callable[[int, float], None],
) -> list[float]:
    """Train in place; the loss of every step, in nats per reply token. The optimisers' learning rates are the highest.

    Raises Stopped once `stop` is set, Diverged.
    """
    groups = [group for optimiser in optimisers for group in optimiser.param_groups]
    highest = [group["lr"] for group in groups]
    weights = [weight for group in groups for weight in group["params"]]
    losses: list[float] = []
    for step, rows in zip(range(steps), _batches(examples, batch, random.Random(f"batches {seed}")), strict=False):
        if stop.is_set():
            raise Stopped
        for group, rate in zip(groups, highest, strict=True):
            group["lr"] = rate * _pace(step, steps)
        loss = loss_of(rows)
        if not torch.isfinite(loss):
            raise Diverged
        for weight in weights:
            weight.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, _CLIP)
        for optimiser in optimisers:
            optimiser.step()
        losses.append(loss.item())
        on_step(step + 1, losses[-1])
    return losses


def adamw(weights: Iterable[torch.Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019, 1711.05101)."""
    return torch.optim.AdamW(list(weights), lr=learning_rate, betas=(0.9, 0.98), weight_decay=_DECAY)


def optimisers(net: Net, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within the blocks, AdamW for embeddings, norms and the head."""
    inner = [weight for weight in net.blocks.parameters() if weight.dim() == 2]
    known = set(map(id, inner))
    outer = (weight for weight in net.parameters() if id(weight) not in known)
    return [Muon(inner, learning_rate, bfloat16=net.bfloat16), adamw(outer, _OUTER_RATE * learning_rate)]


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    Here it learns a table of 4,520 short texts in half the epochs that AdamW takes, for a third more time a step.
    """

    def __init__(self, weights: Iterable[torch.Tensor], lr: float, *, bfloat16: bool):
        super().__init__(list(weights), {"lr": lr})
        self._kind = torch.bfloat16 if bfloat16 else torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the orthogonal part of each matrix's momentum (Nesterov's)."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                momentum = state.setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - _MOMENTUM)
                update = _orthogonal(weight.grad.lerp(momentum, _MOMENTUM).to(self._kind))
                tall = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * _DECAY).add_(update.to(weight.dtype), alpha=-group["lr"] * tall)


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with all its singular values near 1: five Newton-Schulz steps with Jordan's coefficients."""
    x = matrix / (matrix.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


def loss_of_replies(net: Net, rows: Sequence[Example]) -> torch.Tensor:
    """Nats per token of the replies, each weighed as its pair."""
    with net.computing():
        ids, learned, weight = padded(rows, PAD)
        hidden = net(ids[:, :-1])[learned[:, 1:]]  # a token is predicted from the one before it
        each = F.cross_entropy(net.head(hidden), ids[learned], reduction="none")
        return (each * weight).mean()


def padded(rows: Sequence[Example], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids (B x T, padded on the right), which of them are learned (B x T), and the weights of those (N)."""
    wide = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[pad] * (wide - len(row.ids))] for row in rows])
    place = torch.arange(wide)
    first, end = (torch.tensor(at)[:, None] for at in ([row.given for row in rows], [len(row.ids) for row in rows]))
    learned = (place >= first) & (place < end)
    weight = torch.tensor([row.weight for row in rows])[:, None].expand_as(ids)[learned]
    return ids, learned, weight


def _batches(examples: Sequence[Example], size: int, dice: random.Random) -> Iterator[list[Example]]:
    """Epoch after epoch without end, each in a new order."""
    while True:
        order = list(examples)
        dice.shuffle(order)
        cut: list[list[Example]] = []
        for i in range(0, len(order), size * _POOL):
            pool = sorted(order[i : i + size * _POOL], key=lambda e: len(e.ids))
            cut += [pool[j : j + size] for j in range(0, len(pool), size)]
        dice.shuffle(cut)
        yield from cut


def _pace(step: int, steps: int) -> float:
    """Share of the learning rate: up in a line, then down in a line to (nearly) nothing."""
    warm = max(1, round(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / (steps - warm + 1)
