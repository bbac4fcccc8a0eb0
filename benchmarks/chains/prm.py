"""The reward model as a process verifier that charges what it reads.

    prm = ChainPRM(Reader(net))
    await prm.opened().score(problem, candidates)      # Score.steps: one value per line, Score.value: the last

Texts are read line by line into a tree, and what was read once stays in a cache: a text that goes on where another
one left off is read from there. `opened()` begins a new account, with nothing read yet, for one solve: a line is
charged when it is first read in that solve. What the reader still holds from an earlier solve of the same problem saves
time and not tokens, as a draw from the bank does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chains.decode import QUIET_TICKS
from chains.net import SIGNS, SPARE, ChainNet, signs
from chains.text import NEWLINE, PAD, encode, mark
from nlrl.core import Candidate, Problem, Score, Spend, Verdict

_BATCH = 256  # nodes read at once


@dataclass(eq=False)
class Node:
    """A line in the tree of what was read: its tokens, its place, its cache, and the value at its end."""

    ids: list[int]
    parent: Node | None
    start: int
    marks: NDArray[np.int64] | None = None
    keys: Tensor | None = None
    values: Tensor | None = None
    value: float = 0.5
    lowest: float = 0.0  # log-probability of the least likely line so far
    children: dict[str, Node] = field(default_factory=dict)
    reading: asyncio.Future[None] | None = None

    @property
    def known(self) -> bool:
        """Whether it has been read."""
        return self.reading is not None and self.reading.done()


class Reader:
    """A reward network and the trees of what it has read; nodes asked for at the same time are read as one batch."""

    def __init__(self, net: ChainNet):
        self.net = net
        self._trees: dict[str, Node] = {}
        self._due: list[Node] = []
        self._task: asyncio.Task[None] | None = None

    def path(self, question: str, text: str) -> list[Node]:
        """The nodes of a text: the question, then its lines; made where they are new, cut at the longest text."""
        root = self._trees.get(question)
        if root is None:
            root = self._trees[question] = Node(encode(question), None, 0)
        nodes = [root]
        for line in text.splitlines():
            if not (line := line.strip()):
                continue
            node = nodes[-1].children.get(line)
            if node is None:
                above = nodes[-1]
                ids, start = [NEWLINE, *encode(line)], above.start + len(above.ids)
                ids = ids[: max(0, min(SPARE, self.net.size.longest - start))]
                node = above.children[line] = Node(ids, above, start)
            nodes.append(node)
        return nodes

    async def read(self, nodes: Sequence[Node]) -> None:
        """Read those of the nodes that were not yet, parents first."""
        for node in nodes:
            if node.reading is None:
                node.reading = asyncio.get_running_loop().create_future()
                self._due.append(node)
                if self._task is None or self._task.done():
                    self._task = asyncio.get_running_loop().create_task(self._run())
        for node in nodes:
            if node.reading is not None and not node.reading.done():
                await node.reading

    def forget(self) -> None:
        """Drop all trees, and with them the caches."""
        self._trees.clear()

    async def _run(self) -> None:
        while self._due:
            for _ in range(QUIET_TICKS):
                await asyncio.sleep(0)
            ready = [n for n in self._due if n.parent is None or n.parent.known][:_BATCH]
            chosen = set(map(id, ready))
            self._due = [n for n in self._due if id(n) not in chosen]
            try:
                with torch.inference_mode():
                    self._extend(ready)
            except Exception as error:  # the boundary to torch: whoever waits for a value must hear of it
                for node in [*ready, *self._due]:
                    if node.reading is not None and not node.reading.done():
                        node.reading.set_exception(error)
                self._due.clear()
                return
            for node in ready:
                if node.reading is not None and not node.reading.done():
                    node.reading.set_result(None)

    def _extend(self, nodes: list[Node]) -> None:
        s = self.net.size
        for node in nodes:
            if not node.ids and node.parent is not None:  # beyond the longest text: nothing more is known of it
                node.value = node.parent.value
        nodes = [n for n in nodes if n.ids]
        if not nodes:
            return
        lengths = np.array([len(n.ids) for n in nodes])
        starts = np.array([n.start for n in nodes])
        ids = np.full((len(nodes), lengths.max()), PAD)
        longest = int((starts + lengths.max()).max())
        keys = torch.zeros(s.layers, len(nodes), longest, s.width // s.heads)
        values = torch.zeros_like(keys)
        for i, node in enumerate(nodes):
            ids[i, : len(node.ids)] = node.ids
            above = node.parent
            while above is not None:
                if above.keys is not None and above.values is not None:
                    keys[:, i, above.start : above.start + len(above.ids)] = above.keys
                    values[:, i, above.start : above.start + len(above.ids)] = above.values
                above = above.parent
        nothing = np.zeros(3, np.int64)
        before = [n.parent.marks[-1] if n.parent is not None and n.parent.marks is not None else nothing for n in nodes]
        marks = mark(ids, np.array(before))
        hidden = self.net.extend(torch.from_numpy(ids), torch.from_numpy(marks), torch.from_numpy(starts), keys, values)
        sure = self.net.head(hidden[:, :-1]).log_softmax(-1).gather(2, torch.from_numpy(ids)[:, 1:, None])[:, :, 0]
        seen = torch.zeros(len(nodes), SIGNS)
        for i, node in enumerate(nodes):
            if node.parent is not None and lengths[i] > 1:
                seen[i] = signs(sure[i, : lengths[i] - 1], node.parent.lowest)
                node.lowest = min(node.parent.lowest, 4 * float(seen[i, 0]))
        ends = hidden[torch.arange(len(nodes)), torch.from_numpy(lengths - 1)]
        for i, (node, value) in enumerate(zip(nodes, self.net.judge(ends, seen).sigmoid().tolist(), strict=True)):
            node.marks = marks[i, : len(node.ids)]
            here = slice(node.start, node.start + len(node.ids))
            node.keys, node.values, node.value = keys[:, i, here].clone(), values[:, i, here].clone(), value


class ChainPRM:
    """A process verifier over one reader. `value` of a score is its last step's, or by `aggregate` min or prod.

    read      tokens charged so far in this account
    reread    what would come on top without a cache: every text from its first token, every time
    """

    def __init__(self, reader: Reader, aggregate: str = "last"):
        self.reader = reader
        self.aggregate = aggregate
        self.read = 0
        self.reread = 0
        self._seen: set[int] = set()
        self._kept: list[Node] = []  # so that no id is used twice

    def opened(self) -> ChainPRM:
        """The same reward model with a new account."""
        return ChainPRM(self.reader, self.aggregate)

    async def price(self, problem: Problem, candidates: Sequence[Candidate]) -> Spend:
        """Exactly the tokens that this account has not read yet."""
        return self._spend(sum(len(n.ids) for n in self._new(problem, candidates)))

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each; partial texts too. An empty text has the value of its question."""
        new = self._new(problem, candidates)
        await self.reader.read(new)
        self._seen.update(map(id, new))
        self._kept += new
        fresh = sum(len(n.ids) for n in new)
        self.read += fresh
        scores, whole = [], 0
        for candidate in candidates:
            nodes = self.reader.path(problem.question, candidate.text)
            whole += sum(len(n.ids) for n in nodes)
            steps = tuple(n.value for n in nodes[1:])
            scores.append(Score(_value(steps or (nodes[0].value,), self.aggregate), Verdict.ABSTAIN, steps))
        self.reread += whole - fresh
        return scores

    def _new(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Node]:
        new: dict[int, Node] = {}
        for candidate in candidates:
            for node in self.reader.path(problem.question, candidate.text):
                if id(node) not in self._seen:
                    new.setdefault(id(node), node)
        return list(new.values())

    def _spend(self, tokens: int) -> Spend:
        return Spend(prompt_tokens=tokens, flops=2.0 * self.reader.net.parameter_count * tokens)


def _value(steps: Sequence[float], aggregate: str) -> float:
    if aggregate == "min":
        return min(steps)
    return float(np.prod(steps)) if aggregate == "prod" else steps[-1]
