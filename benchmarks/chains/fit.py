"""Training: the generator on chains, the reward model on Monte-Carlo rollouts of the generator."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from chains.net import ChainNet, Size, signs
from chains.task import DIGITS, STEPS, make_chain
from chains.text import END, NEWLINE, PAD, encode, mark


def fit_generator(
    seed: int,
    steps: int,
    *,
    exclude: frozenset[str] = frozenset(),
    start: ChainNet | None = None,
    batch: int = 16,
    rate: float = 5e-3,
) -> ChainNet:
    """A generator trained for `steps` batches of fresh random chains, none of them in `exclude`: from nothing, or
    from a copy of `start`."""
    torch.manual_seed(seed)
    rng = random.Random(f"generator {seed} {start is None}")
    net = ChainNet(Size()) if start is None else copy.deepcopy(start).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
    for _ in range(steps):
        texts, starts = [], []
        k = rng.choice(STEPS)
        for _ in range(batch):
            chain = make_chain(rng, k, rng.choice(DIGITS))
            while chain.question in exclude:
                chain = make_chain(rng, k, rng.choice(DIGITS))
            question = [*encode(chain.question), NEWLINE]
            texts.append([*question, *encode("\n".join(chain.lines)), END])
            starts.append(len(question))
        ids, marks = padded(texts)
        target = ids[:, 1:].clone()
        place = torch.arange(target.shape[1])
        target[place[None] < torch.tensor(starts)[:, None] - 1] = PAD  # the question is given, not learned
        loss = F.cross_entropy(
            net.head(net(ids[:, :-1], marks[:, :-1])).flatten(0, 1), target.flatten(), ignore_index=PAD
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        plan.step()
    return net.eval()


@dataclass(frozen=True)
class Labelled:
    """One attempt with the value of its steps.

    ids     tokens of question, line break and attempt
    ends    index of the last token of the question and of each step
    values  share of the generator's rollouts from there that ended right
    weights number of these rollouts
    """

    ids: list[int]
    ends: list[int]
    values: list[float]
    weights: list[float]


def label_steps(question: str, attempts: Sequence[str], right: Sequence[bool]) -> list[Labelled]:
    """Soft labels (Math-Shepherd, Wang et al. 2023, 2312.08935) for the distinct attempts at one question.

    All attempts whose work begins with the same lines are rollouts from these lines, each an independent draw, so the
    share of them that ends right estimates the value of the last of these lines; a step that only one attempt took has
    that attempt's outcome. Only outcomes are used; nobody tells which step was wrong. The end of the question is
    labelled too, with the share of all attempts that are right: the reward model's first guess of the difficulty.
    """
    lines = [[line for line in text.splitlines() if line.strip()] for text in attempts]
    tally: dict[tuple[str, ...], list[int]] = {}
    for work, good in zip(lines, right, strict=True):
        for i in range(len(work)):
            count = tally.setdefault(tuple(work[: i + 1]), [0, 0])
            count[0] += good
            count[1] += 1
    made = []
    for work in dict.fromkeys(map(tuple, lines)):
        if not work:
            continue
        ids = encode(question)
        ends = [len(ids) - 1]
        for line in work:
            ids += [NEWLINE, *encode(line)]
            ends.append(len(ids) - 1)
        counts = [(sum(right), len(right)), *(tally[work[: i + 1]] for i in range(len(work)))]
        made.append(Labelled(ids, ends, [g / n for g, n in counts], [float(n) for _, n in counts]))
    return made


def fit_prm(body: ChainNet, data: Sequence[Labelled], seed: int, steps: int, *, blind: bool = False) -> ChainNet:
    """A reward model: a copy of `body`, left as it is, with a value head that learns the labels of `data`.

    blind  the head is not told how likely the body finds a step
    """
    torch.manual_seed(seed)
    net = copy.deepcopy(body).requires_grad_(False)
    net.sees.fill_(0.0 if blind else 1.0)
    hidden, seen, target, weight = _features(net, data)
    net.value.requires_grad_(True)
    optimiser = torch.optim.AdamW(net.value.parameters(), lr=3e-3, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.15)
    for _ in range(steps):
        some = torch.randint(len(target), (1024,))
        loss = F.binary_cross_entropy_with_logits(net.judge(hidden[some], seen[some]), target[some], reduction="none")
        loss = (loss * weight[some]).sum() / weight[some].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    return net.eval()


@torch.inference_mode()
def _features(net: ChainNet, data: Sequence[Labelled], batch: int = 256) -> tuple[torch.Tensor, ...]:
    """Hidden states, signs, labels and weights of all labelled steps."""
    found: list[tuple[torch.Tensor, ...]] = []
    order = sorted(range(len(data)), key=lambda i: len(data[i].ids))
    for i in range(0, len(order), batch):
        rows = [data[j] for j in order[i : i + batch]]
        ids, marks = padded([row.ids for row in rows])
        hidden = net(ids, marks)
        sure = net.head(hidden[:, :-1]).log_softmax(-1).gather(2, ids[:, 1:, None])[:, :, 0]
        for b, row in enumerate(rows):
            before, seen = 0.0, [torch.zeros(3)]
            for last, end in zip(row.ends, row.ends[1:], strict=False):
                seen.append(signs(sure[b, last + 1 : end], before))
                before = min(before, 4 * float(seen[-1][0]))
            # a label from few rollouts is noise, but a step seen a hundred times is still one step
            weights = torch.tensor(row.weights).clamp(max=4.0)
            found.append((hidden[b, row.ends], torch.stack(seen), torch.tensor(row.values), weights))
    return tuple(torch.cat(parts).clone() for parts in zip(*found, strict=True))


def padded(texts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids as one matrix, padded on the right, and their marks."""
    ids = np.full((len(texts), max(map(len, texts))), PAD)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return torch.from_numpy(ids), torch.from_numpy(mark(ids))


class Clock:
    """Seconds since it was made or last read."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def __call__(self) -> float:
        now = time.perf_counter()
        passed, self.last = now - self.last, now
        return passed
