"""A search tree over steps, as plain data: PUCT selection, incremental backup, no model in sight.

    tree = PuctTree()
    (leaf,) = tree.ask()                                # 0, the root: expand it
    children = tree.tell(leaf, [0.7, 0.2], [False, True])    # values of its children, and which are over
    tree = PuctTree.load(json.loads(json.dumps(tree.dump())))

PUCT (Rosin 2011; Silver et al. 2017): go to the child with the largest  Q + c P sqrt(N) / (1 + n), where Q is the mean
of all values seen below it (its own included), P its prior (even, if none are told), N and n the visits of parent and
child. A leaf that was asked for and not yet told counts as a visit worth nothing, so that leaves asked for at once
differ. Nodes that are over, and those with nothing open below them, are never gone to again: a second look at a
finished text would cost nothing and tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any

from nlrl.core import UserError


@dataclass(slots=True)
class PuctTree:
    """Node i is row i of the lists; node 0 is the root.

    explore   the constant c: how much an untried child may look better than it is known to be
    parents   -1 for the root
    open_     how many leaves at or below a node can still be asked for; 0 closes it
    """

    explore: float = 1.0
    parents: list[int] = field(default_factory=lambda: [-1])
    children: list[list[int]] = field(default_factory=lambda: [[]])
    priors: list[float] = field(default_factory=lambda: [1.0])
    visits: list[int] = field(default_factory=lambda: [0])
    totals: list[float] = field(default_factory=lambda: [0.0])
    open_: list[int] = field(default_factory=lambda: [1])
    pending: list[int] = field(default_factory=list)

    def ask(self, most: int = 1) -> list[int]:
        """Up to `most` different leaves to expand, best first; none once everything is over or asked for.

        Each must be told about, with no children if it could not be expanded.
        """
        asked = []
        while len(asked) < most and self.open_[0]:
            leaf = self._descend()
            self._climb(leaf, visits=1, total=0.0, opened=-1)
            self.pending.append(leaf)
            asked.append(leaf)
        return asked

    def tell(
        self, leaf: int, values: Sequence[float], over: Sequence[bool], priors: Sequence[float] | None = None
    ) -> list[int]:
        """The children of an asked leaf: their values in [0, 1] and which are over. Returns their numbers.

        priors  how likely each child is the right one, summing to 1; even if not given

        Raises UserError for a leaf that was not asked for, or lists of different length.
        """
        if leaf not in self.pending:
            raise UserError(f"Node {leaf} was not asked for. Tell only what `ask` gave out, once.")
        if len(over) != len(values) or (priors is not None and len(priors) != len(values)):
            raise UserError(f"{len(values)} values came with {len(over)} marks of being over; give one for each child.")
        self.pending.remove(leaf)
        first = len(self.parents)
        for i, value in enumerate(values):
            self.parents.append(leaf)
            self.children.append([])
            self.priors.append(1.0 / len(values) if priors is None else priors[i])
            self.visits.append(1)
            self.totals.append(value)
            self.open_.append(0 if over[i] else 1)
        made = list(range(first, len(self.parents)))
        self.children[leaf] = made
        self._climb(leaf, visits=len(made) - 1, total=sum(values), opened=len(made) - sum(map(bool, over)))
        return made

    def value(self, node: int) -> float:
        """Mean of the values seen at and below a node; 0 before there are any."""
        return self.totals[node] / self.visits[node] if self.visits[node] else 0.0

    def depth(self, node: int) -> int:
        """Number of steps from the root."""
        steps = 0
        while (node := self.parents[node]) >= 0:
            steps += 1
        return steps

    def dump(self) -> dict[str, Any]:
        """All there is, as JSON can hold it."""
        return asdict(self)

    @classmethod
    def load(cls, state: dict[str, Any]) -> PuctTree:
        """The tree that `dump` gave."""
        return cls(**state)

    def _descend(self) -> int:
        node, visits, totals, priors, open_ = 0, self.visits, self.totals, self.priors, self.open_
        while children := self.children[node]:
            reach = self.explore * sqrt(visits[node])
            best, node = -1.0, -1
            for child in children:
                if open_[child]:
                    n = visits[child]
                    promise = totals[child] / n + reach * priors[child] / (1 + n)
                    if promise > best:
                        best, node = promise, child
        return node

    def _climb(self, node: int, visits: int, total: float, opened: int) -> None:
        parents = self.parents
        while node >= 0:
            self.visits[node] += visits
            self.totals[node] += total
            self.open_[node] += opened
            node = parents[node]
