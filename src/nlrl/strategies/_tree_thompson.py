"""The tree of AB-MCTS-A (Inoue et al. 2025, 2503.04412) as plain data: widen or deepen, by posterior.

    tree = ThompsonTree(seed=1)
    node = tree.ask()              # 0: make a new answer from nothing; i: make one from answer i
    new = tree.tell(node, 0.4)     # the score of what came of it; its number
    tree = ThompsonTree.load(json.loads(json.dumps(tree.dump())))

From the root on, every node has two arms: GEN, to make one more child here, and CONT, to go on below one of the
children it has. Each arm has a posterior over the scores it leads to, and one draw of each decides (Thompson sampling);
if CONT wins, the children are drawn against each other in the same way. GEN's posterior knows the scores of the node's
own children, a child's that of itself and of everything below it, CONT's that of everything below the children. All
follow from running sums, so that telling a score costs a few additions for every ancestor.

numpy is imported on first use: a wide node draws for all its children at once, which is 10 times as fast as a loop.
"""

from __future__ import annotations

from array import array
from math import sqrt
from typing import TYPE_CHECKING, Any

from nlrl.core import UnknownName, UserError

if TYPE_CHECKING:
    import numpy as np

# priors of the paper: Beta(1/2, 1/2); normal-inverse-gamma with mean 0, kappa = nu = 1, tau^2 = 0.1
_BETA = 0.5
_TAU2 = 0.1
_COUNT, _TOTAL, _SQUARES = range(3)  # running sums of scores: all that a conjugate posterior needs
_Sums = list[float]


class ThompsonTree:
    """Node i is entry i of the lists; node 0 is the root, which is no answer.

    posterior  "beta" (scores as shares of successes) or "normal" (normal-inverse-gamma: mean and spread both unknown)
    ranks      which child of its parent a node is
    scores     of each node itself; the root's means nothing
    made       sums of the scores of a node's own children
    below      sums of the scores of all that is below a node, its children included
    arms       for each child of a node, in order: sums of its own score and all below it, as three columns
    """

    def __init__(self, posterior: str = "beta", seed: int = 0) -> None:
        from numpy.random import PCG64, Generator

        if posterior not in ("beta", "normal"):
            raise UnknownName("posterior", posterior, ["beta", "normal"])
        self.posterior = posterior
        self.parents: list[int] = []
        self.ranks: list[int] = []
        self.children: list[list[int]] = []
        self.scores: list[float] = []
        self.made: list[_Sums] = []
        self.below: list[_Sums] = []
        self.arms: list[tuple[array[float], array[float], array[float]]] = []
        self._random: np.random.Generator = Generator(PCG64(seed))
        self._draw = self._beta if posterior == "beta" else self._normal
        self._add_node(-1, 0, 0.0)

    def ask(self) -> int:
        """The node to make one more answer from; may be asked any number of times before anything is told."""
        node = 0
        while children := self.children[node]:
            made, below = self.made[node], self.below[node]
            gen = self._draw(*made)
            if gen >= self._draw(below[0] - made[0], below[1] - made[1], below[2] - made[2]):
                break
            node = children[0] if len(children) == 1 else children[self._best_arm(node)]
        return node

    def tell(self, node: int, score: float) -> int:
        """An answer was made from `node` and has this score in [0, 1]. Returns its number.

        Raises UserError for a node that does not exist or a score outside its range.
        """
        if not 0 <= node < len(self.parents):
            raise UserError(f"There is no node {node}; the tree has nodes 0 to {len(self.parents) - 1}.")
        if not 0.0 <= score <= 1.0:  # NaN fails every comparison
            raise UserError(f"A score must lie in [0, 1], got {score!r}.")
        new = len(self.parents)
        self._add_node(node, len(self.children[node]), score)
        self.children[node].append(new)
        for column in self.arms[node]:
            column.append(0.0)
        _add(self.made[node], score)
        child = new
        while node >= 0:
            rank, (counts, totals, squares) = self.ranks[child], self.arms[node]
            counts[rank] += 1.0
            totals[rank] += score
            squares[rank] += score * score
            _add(self.below[node], score)
            child, node = node, self.parents[node]
        return new

    def line(self, node: int) -> list[int]:
        """The answers on the way from the root to a node, itself included; empty for the root."""
        way = []
        while node > 0:
            way.append(node)
            node = self.parents[node]
        return way[::-1]

    def dump(self) -> dict[str, Any]:
        """All there is, the state of its randomness included, as JSON can hold it."""
        return {
            "posterior": self.posterior, "parents": self.parents, "scores": self.scores,
            "random": self._random.bit_generator.state,
        }  # fmt: skip

    @classmethod
    def load(cls, state: dict[str, Any]) -> ThompsonTree:
        """The tree that `dump` gave; it goes on as the other would."""
        tree = cls(state["posterior"])
        for parent, score in zip(state["parents"][1:], state["scores"][1:], strict=True):
            tree.tell(parent, score)  # the sums follow
        tree._random.bit_generator.state = state["random"]
        return tree

    def _add_node(self, parent: int, rank: int, score: float) -> None:
        self.parents.append(parent)
        self.ranks.append(rank)
        self.children.append([])
        self.scores.append(score)
        self.made.append([0.0, 0.0, 0.0])
        self.below.append([0.0, 0.0, 0.0])
        self.arms.append((array("d"), array("d"), array("d")))

    def _best_arm(self, node: int) -> int:
        """The child with the highest draw, all of them drawn at once."""
        import numpy as np

        counts, totals, squares = (np.frombuffer(column) for column in self.arms[node])
        if self.posterior == "beta":
            return int(self._random.beta(_BETA + totals, _BETA + (counts - totals)).argmax())
        degrees = 1.0 + counts
        spread = _TAU2 + squares - totals * totals / degrees
        drawn = totals / degrees + self._random.standard_t(degrees) * np.sqrt(spread) / degrees
        return int(drawn.argmax())

    def _beta(self, count: float, total: float, squares: float) -> float:
        return self._random.beta(_BETA + total, _BETA + max(0.0, count - total))

    def _normal(self, count: float, total: float, squares: float) -> float:
        """The mean of a normal-inverse-gamma posterior is Student's t (Murphy 2023, "Probabilistic Machine Learning:
        Advanced Topics", section 3.4.3.3): with prior mean 0 and kappa = nu = 1, both have 1 + count degrees."""
        degrees = 1.0 + count
        spread = _TAU2 + max(0.0, squares - total * total / degrees)  # nu tau^2
        return total / degrees + self._random.standard_t(degrees) * sqrt(spread) / degrees


def _add(sums: _Sums, score: float) -> None:
    sums[_COUNT] += 1.0
    sums[_TOTAL] += score
    sums[_SQUARES] += score * score
