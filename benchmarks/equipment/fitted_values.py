# pyright: reportMissingImports=false
"""Fitted value iteration without language: what a sceptic sets beside values that are said in sentences.

    by_table(env, iterations)                      # a number for each state; no network
    by_network(env, iterations, recipe, seed)      # the same transformer as the text learner's, with one number as head

Both look one step ahead with the environment's own outcomes, as the language pipeline does, take the best action's
worth as the state's next value (so evaluation and improvement are one step), and play greedily by the same look-ahead.
The network reads a state's text to its end and says one number there; it is fitted to all states' values by squared
error, going on from its weights of the iteration before, with the text learner's optimisers, recipe, batches and seed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nlrl.environments.exact import mean_return
from nlrl.learning.language.acting.texts import state_text
from nlrl.learning.learner import Recipe
from nlrl.learning.text.fit import adamw, learn, optimisers, weighed
from nlrl.learning.text.net import Net, Size
from nlrl.learning.text.words import END, PAD, REPLY, Words

_READ = 512  # states at once


@dataclass(frozen=True)
class Point:
    """After an iteration: the exact mean return of the greedy policy, and seconds since the beginning."""

    iteration: int
    mean_return: float
    seconds: float


@dataclass(frozen=True)
class Plain:
    """A run without language. readings: values looked up or computed by the network, one a state and iteration."""

    kind: str
    points: tuple[Point, ...]
    readings: int

    @property
    def mean_return(self) -> float:
        return self.points[-1].mean_return

    def first_at(self, least: float) -> Point | None:
        """Where it first reached so much."""
        return next((p for p in self.points if p.mean_return >= least), None)


class _Ahead:
    """An environment's outcomes as arrays, all states at once; a terminal outcome leads to the last place, worth 0."""

    def __init__(self, env: Any) -> None:
        self.states = list(env.states())
        number = {state: n for n, state in enumerate(self.states)}
        self.pairs = [(n, action) for n, state in enumerate(self.states) for action in env.actions(state)]
        rows = [(at, o) for at, (n, a) in enumerate(self.pairs) for o in env.outcomes(self.states[n], a)]
        self.pair = np.array([at for at, _ in rows])
        self.chance = np.array([o.probability for _, o in rows])
        self.reward = np.array([o.reward for _, o in rows], dtype=float)
        self.next = np.array([len(self.states) if o.terminal else number[o.state] for _, o in rows])
        self.first = np.searchsorted([n for n, _ in self.pairs], np.arange(len(self.states)))
        self.discount = env.discount

    def worth(self, values: np.ndarray) -> np.ndarray:
        """Of each (state, action)."""
        led_to = np.append(values, 0.0)[self.next]
        return np.bincount(self.pair, self.chance * (self.reward + self.discount * led_to), len(self.pairs))

    def best(self, values: np.ndarray) -> np.ndarray:
        """Of each state, by its best action."""
        return np.maximum.reduceat(self.worth(values), self.first)

    def greedy(self, values: np.ndarray) -> dict[Any, str]:
        worth, ends = self.worth(values), [*self.first[1:], len(self.pairs)]
        chosen = [a + int(np.argmax(worth[a:b])) for a, b in zip(self.first, ends, strict=True)]
        return {state: self.pairs[at][1] for state, at in zip(self.states, chosen, strict=True)}


def by_table(env: Any, iterations: int) -> Plain:
    """A number kept for each state."""
    begun, ahead = time.perf_counter(), _Ahead(env)
    values, points = np.zeros(len(ahead.states)), []
    for i in range(1, iterations + 1):
        values = ahead.best(values)
        points.append(Point(i, mean_return(env, ahead.greedy(values)), time.perf_counter() - begun))
    return Plain("table", tuple(points), len(ahead.states) * iterations)


def by_network(env: Any, iterations: int, recipe: Recipe, seed: int) -> Plain:
    """The text learner's network, which says a number in place of a sentence."""
    begun, ahead = time.perf_counter(), _Ahead(env)
    texts = [state_text(env, state) for state in ahead.states]
    words = Words().grown(texts)
    ids = [[*words.encode(text), REPLY] for text in texts]
    net = _Numbers(Size(longest=128), len(words), seed)
    values, points = np.zeros(len(texts)), []
    for i in range(1, iterations + 1):
        values = net.fitted(ids, ahead.best(values), recipe, seed + i).read(ids)
        points.append(Point(i, mean_return(env, ahead.greedy(values)), time.perf_counter() - begun))
    return Plain("network", tuple(points), len(texts) * iterations)


class _Numbers:
    """The transformer with a head of one number, in units of the targets' spread around their mean."""

    def __init__(self, size: Size, vocabulary: int, seed: int) -> None:
        self.net = Net(size, vocabulary, seed)
        self.head = torch.nn.Linear(size.width, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.mean, self.spread = 0.0, 1.0

    def fitted(self, ids: list[list[int]], targets: np.ndarray, recipe: Recipe, seed: int) -> _Numbers:
        """Trained on, towards these values."""
        self.mean, self.spread = float(targets.mean()), float(targets.std()) or 1.0
        wanted = {tuple(row): float((y - self.mean) / self.spread) for row, y in zip(ids, targets, strict=True)}
        examples = weighed((row, [END], 1) for row in ids)

        def loss(rows: Any) -> torch.Tensor:
            states = [list(row.ids[: row.given]) for row in rows]
            y = torch.tensor([wanted[tuple(state)] for state in states])
            return torch.nn.functional.mse_loss(self._say(states), y)

        an_epoch = -(-len(examples) // recipe.batch)
        chosen = [
            *optimisers(self.net, recipe.learning_rate),
            adamw(self.head.parameters(), 0.3 * recipe.learning_rate),
        ]
        for group in chosen[1].param_groups:  # the words' head takes no part
            group["params"] = [p for p in group["params"] if p is not self.net.head.weight]
        learn(
            chosen, loss, examples, steps=max(recipe.epochs * an_epoch, recipe.least_steps), batch=recipe.batch,
            seed=seed, stop=threading.Event(), on_step=lambda *_: None,
        )  # fmt: skip
        return self

    def read(self, ids: list[list[int]]) -> np.ndarray:
        with torch.no_grad():
            parts = [self._say(ids[i : i + _READ]) for i in range(0, len(ids), _READ)]
        return torch.cat(parts).double().numpy() * self.spread + self.mean

    def _say(self, states: list[list[int]]) -> torch.Tensor:
        wide = max(map(len, states))
        hidden = self.net(torch.tensor([[*row, *[PAD] * (wide - len(row))] for row in states]))
        last = torch.tensor([len(row) - 1 for row in states])
        return self.head(hidden[torch.arange(len(states)), last])[:, 0]
