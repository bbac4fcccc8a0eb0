"""Decoding of all requests in flight as one batch.

Whoever submits a job joins at the next token; a row that ends makes room at once. Rows are kept side by side in one
cache (the last one moves into a gap), so that a step reads views and copies nothing.

What a row draws depends on its own key and its own tokens alone: token t is taken at the point that a counter-based
random number (SplitMix64, Steele et al. 2014) of (key, t) marks in the cumulative distribution. Who else is in the
batch changes the logits by float rounding only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from chains.net import ChainNet
from chains.text import END, NEWLINE, PAD, UNKNOWN, mark
from nlrl.core import Finish, ModelError

QUIET_TICKS = 3  # turns of the event loop without a new job before the batch goes on
_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniforms(keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number in [0, 1) for each (key, count)."""
    with np.errstate(over="ignore"):
        z = keys + (counts.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * 2.0**-53


Taker = Callable[[int, list[int], "NDArray[np.float64] | None", Finish | None], bool]


@dataclass(eq=False)
class Job:
    """n draws on one prompt.

    keys     one per draw
    take     called line by line with (draw, new tokens, their log-probabilities over the vocabulary, why it ended or
             None); true ends the draw
    fail     called instead of `take` if the decoder breaks
    tokens   generated so far, per draw
    """

    ids: Sequence[int]
    keys: Sequence[int]
    limit: int
    temperature: float
    top_p: float
    wants_logprobs: bool
    take: Taker
    fail: Callable[[Exception], None]
    tokens: list[int] = field(default_factory=list)
    started: bool = False
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.tokens = [0] * len(self.keys)


class Decoder:
    """One network and the rows it is decoding. Lives in one event loop at a time."""

    def __init__(self, net: ChainNet, rows: int = 512):
        self.net, self.rows = net, rows
        s = net.size
        self.longest = s.longest
        shape = (s.layers, rows, s.longest, s.width // s.heads)
        self._keys, self._values = torch.zeros(shape), torch.zeros(shape)
        self._waiting: deque[Job] = deque()
        self._jobs: list[tuple[Job, int]] = []  # of the rows in use, in their order
        self._length = np.zeros(rows, np.int64)  # tokens in the cache
        self._last = np.zeros(rows, np.int64)
        self._made = np.zeros(rows, np.int64)  # tokens generated
        self._handed = np.zeros(rows, np.int64)  # of those, handed on
        self._marks = np.zeros((rows, 3), np.int64)  # of the last token in the cache
        self._key = np.zeros(rows, np.uint64)
        self._heat = np.zeros(rows)
        self._top_p = np.zeros(rows)
        self._text = np.zeros((rows, s.longest), np.int64)
        self._arrays = (
            self._length, self._last, self._made, self._handed, self._marks, self._key, self._heat, self._top_p,
            self._text,
        )  # fmt: skip
        self._sure: dict[tuple[Job, int], list[NDArray[np.float64]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._submitted = 0
        self.steps = 0  # decoding steps
        self.decoded = 0  # tokens

    def submit(self, job: Job) -> None:
        """Queue a job; it starts as soon as all its draws find room."""
        if len(job.keys) > self.rows:
            raise ModelError(f"{len(job.keys)} draws at once are more than the {self.rows} that fit; ask for fewer.")
        self._waiting.append(job)
        self._submitted += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting or self._jobs:
                await self._settle()
                for row in range(len(self._jobs) - 1, -1, -1):
                    if self._jobs[row][0].cancelled:
                        self._free(row)
                with torch.inference_mode():  # never across an await: it would hold for other tasks too
                    self._admit()
                    if self._jobs:
                        self._step()
        except Exception as error:  # the boundary to torch: whoever waits for a token must hear of it
            jobs = {id(job): job for job in [*self._waiting, *(job for job, _ in self._jobs)]}
            self._waiting.clear()
            self._jobs.clear()
            for job in jobs.values():
                job.fail(error)

    async def _settle(self) -> None:
        """Let those who are about to submit do so."""
        quiet, seen = 0, self._submitted
        while quiet < QUIET_TICKS:
            await asyncio.sleep(0)
            quiet, seen = (quiet + 1, seen) if seen == self._submitted else (0, self._submitted)

    def _admit(self) -> None:
        ready: list[Job] = []
        room = self.rows - len(self._jobs)
        while self._waiting and (self._waiting[0].cancelled or len(self._waiting[0].keys) <= room):
            job = self._waiting.popleft()
            if not job.cancelled:
                ready.append(job)
                room -= len(job.keys)
        if not ready:
            return
        lengths = np.array([len(job.ids) for job in ready])
        ids = np.full((len(ready), lengths.max()), PAD)
        for i, job in enumerate(ready):
            ids[i, : len(job.ids)] = job.ids
        s = self.net.size
        keys = torch.zeros(s.layers, len(ready), ids.shape[1], s.width // s.heads)
        values = torch.zeros_like(keys)
        marks = mark(ids)
        start = torch.zeros(len(ready), dtype=torch.long)
        hidden = self.net.extend(torch.from_numpy(ids), torch.from_numpy(marks), start, keys, values)
        logits = self.net.head(hidden[torch.arange(len(ready)), torch.from_numpy(lengths - 1)])
        first = len(self._jobs)
        source: list[int] = []
        for i, job in enumerate(ready):
            job.started = True
            for draw, key in enumerate(job.keys):
                row = len(self._jobs)
                self._jobs.append((job, draw))
                self._length[row], self._made[row], self._handed[row] = lengths[i], 0, 0
                self._marks[row] = marks[i, lengths[i] - 1]
                self._key[row], self._heat[row], self._top_p[row] = key, job.temperature, job.top_p
                source.append(i)
        rows, wide = slice(first, len(self._jobs)), ids.shape[1]
        self._keys[:, rows, :wide] = keys[:, source]
        self._values[:, rows, :wide] = values[:, source]
        self._draw(rows, logits[source])

    def _step(self) -> None:
        b = len(self._jobs)
        start = torch.from_numpy(self._length[:b])
        wide = int(self._length[:b].max()) + 1
        last = self._last[:b, None]
        marks = mark(last, self._marks[:b])
        self._marks[:b] = marks[:, 0]
        keys, values = self._keys[:, :b, :wide], self._values[:, :b, :wide]
        hidden = self.net.extend(torch.from_numpy(last), torch.from_numpy(marks), start, keys, values)
        self._length[:b] += 1
        self.steps += 1
        self._draw(slice(0, b), self.net.head(hidden[:, 0]))

    def _draw(self, rows: slice, logits: torch.Tensor) -> None:
        """Choose the next token of these rows, hand on what is due, and free the rows that ended."""
        table = logits.numpy().astype(np.float64)
        table[:, [PAD, UNKNOWN]] = -np.inf
        chosen = choose(table, self._heat[rows], self._top_p[rows], uniforms(self._key[rows], self._made[rows]))
        at = np.arange(rows.start, rows.stop)
        self._text[at, self._made[rows]] = chosen
        self._last[rows] = chosen
        self._made[rows] += 1
        self.decoded += len(at)
        for row in at:
            job, draw = self._jobs[row]
            job.tokens[draw] = int(self._made[row])
            if job.wants_logprobs:
                self._sure.setdefault((job, draw), []).append(_log_softmax(table[row - rows.start]))
        limits = np.array([self._jobs[row][0].limit for row in at])
        full = (self._made[rows] >= limits) | (self._length[rows] + 1 >= self.longest)
        due = (chosen == END) | (chosen == NEWLINE) | full
        for i in np.flatnonzero(due)[::-1]:  # from the end, so that freeing moves only rows that were looked at
            row = int(at[i])
            finish = Finish.STOP if chosen[i] == END else Finish.LENGTH if full[i] else None
            job, draw = self._jobs[row]
            new = self._text[row, self._handed[row] : self._made[row]].tolist()
            self._handed[row] = self._made[row]
            sure = np.array(self._sure.pop((job, draw))) if job.wants_logprobs else None
            if job.take(draw, new, sure, finish) or finish is not None:
                self._free(row)

    def _free(self, row: int) -> None:
        job, draw = self._jobs[row]
        self._sure.pop((job, draw), None)
        last = len(self._jobs) - 1
        if row != last:
            n = int(self._length[last])
            self._keys[:, row, :n] = self._keys[:, last, :n]
            self._values[:, row, :n] = self._values[:, last, :n]
            for array in self._arrays:
                array[row] = array[last]
            self._jobs[row] = self._jobs[last]
        self._jobs.pop()


def choose(
    logits: NDArray[np.float64], heat: NDArray[np.float64], top_p: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.int64]:
    """One token per row: the most likely one at temperature 0, else by `u` through the cumulative distribution."""
    greedy = logits.argmax(axis=1)
    scaled = logits / np.where(heat > 0, heat, 1.0)[:, None]
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    if (top_p < 1).any():
        order = np.argsort(-p, axis=1, kind="stable")
        ranked = np.take_along_axis(p, order, axis=1)
        kept = np.cumsum(ranked, axis=1) - ranked < top_p[:, None]
        np.put_along_axis(p, order, ranked * kept, axis=1)
        p /= p.sum(axis=1, keepdims=True)
    drawn = (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)
    drawn = np.minimum(drawn, p.shape[1] - 1)
    drawn = np.where(np.take_along_axis(p, drawn[:, None], axis=1)[:, 0] > 0, drawn, greedy)  # u beyond a rounded sum
    return np.where(heat > 0, drawn, greedy)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())
