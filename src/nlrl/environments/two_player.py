"""A two-player game as an environment for one of the players: the opponent's reply is part of the outcome.

A state is (side, board) with `side`, the agent, to move: "X" to move on "X...O....". The outcomes of an action hold the
opponent's ply with its probability, so nothing about the opponent is hidden from an exact solution.

Opponents
    random       every legal move alike
    first_free   the first legal move
    minimax      `depth` plies ahead, the soonest win and the latest loss; among the best, each alike
    mcts         UCT (Kocsis and Szepesvari 2006) with random playouts; seeded by the board, so the same board always
                 gets the same reply
"""

from __future__ import annotations

import math
import random
import zlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from nlrl.core import UnknownName, UserError
from nlrl.environments.finite import Outcome, State, TextGame

DRAW = "draw"
_OPPONENTS = ("random", "first_free", "minimax", "mcts")
_PER_PLY = 0.99  # minimax likes a win now better than the same win later
_KEPT = 50_000  # replies remembered by an opponent

Opponent = Callable[[str, str], dict[str, float]]  # (board, side to move) -> probability of each move it may make


class Rules(Protocol):
    """A game of two sides who move in turn; boards are strings."""

    sides: tuple[str, str]  # the first one begins
    start: str

    def moves(self, board: str, side: str) -> tuple[str, ...]:
        """Legal moves in a fixed order; none where the game is over."""
        ...

    def play(self, board: str, side: str, move: str) -> str: ...

    def result(self, board: str) -> str | None:
        """The side that has won, DRAW, or None while the game goes on."""
        ...

    def promise(self, board: str, side: str) -> float:
        """How good an unfinished board looks to `side`, strictly between -1 and 1."""
        ...


class TwoPlayerGame(TextGame):
    """One side of a game. Winning is worth 1, a draw 0, losing `loss`.

    first  True: the agent begins; False: the opponent does; "both": each in half of the episodes
    """

    discount = 1.0

    def __init__(self, rules: Rules, opponent: Opponent, first: bool | str, loss: float):
        super().__init__()
        if first not in (True, False, "both"):
            raise UserError(f"first must be true, false or both, got {first!r}.")
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not -1 <= loss <= 0:
            raise UserError(f"loss must be a number from -1 to 0, got {loss!r}.")
        self.game, self._opponent, self._first, self._loss = rules, opponent, first, float(loss)

    @abstractmethod
    def action(self, move: str) -> str:
        """A move of the game as an action text."""

    @abstractmethod
    def move(self, action: str) -> str:
        """And back."""

    def starts(self) -> Sequence[tuple[float, State]]:
        one, other = self.game.sides
        as_first = [(1.0, (one, self.game.start))]
        if self._first is True:
            return as_first
        replies = self._opponent(self.game.start, one)
        as_second = [(p, (other, self.game.play(self.game.start, one, move))) for move, p in replies.items()]
        if self._first is False:
            return as_second
        return [(p / 2, state) for p, state in (*as_first, *as_second)]

    def actions(self, state: State) -> tuple[str, ...]:
        side, board = state
        return tuple(self.action(move) for move in self.game.moves(board, side))

    def transitions(self, state: State, action: str) -> Sequence[Outcome]:
        side, board = state
        other = self.other(side)
        board = self.game.play(board, side, self.move(action))
        if over := self._over(1.0, side, board, f"{side} plays {self.move(action)}"):
            return [over]
        found = []
        for reply, probability in self._opponent(board, other).items():
            after, event = self.game.play(board, other, reply), f"{other} answers {reply}"
            over = self._over(probability, side, after, event)
            found.append(over or Outcome(probability, (side, after), 0.0, False, f"{event}."))
        return found

    def other(self, side: str) -> str:
        one, two = self.game.sides
        return two if side == one else one

    def _over(self, probability: float, side: str, board: str, event: str) -> Outcome | None:
        result = self.game.result(board)
        if result is None:
            return None
        reward = 1.0 if result == side else 0.0 if result == DRAW else self._loss
        end = "a draw" if result == DRAW else f"{result} wins"
        return Outcome(probability, (side, board), reward, True, f"{event}: {end}.")


def make_opponent(rules: Rules, name: str, *, depth: int, simulations: int) -> Opponent:
    """The opponent of that name. Raises UnknownName, or UserError for a depth or a number of simulations below 1."""
    for what, value in (("depth", depth), ("simulations", simulations)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{what} must be a whole number of at least 1, got {value!r}.")
    if name == "random":
        return lambda board, side: dict.fromkeys(moves := rules.moves(board, side), 1 / len(moves))
    if name == "first_free":
        return lambda board, side: {rules.moves(board, side)[0]: 1.0}
    if name == "minimax":
        return lru_cache(_KEPT)(_minimax(rules, depth))
    if name == "mcts":
        return lru_cache(_KEPT)(_mcts(rules, simulations))
    raise UnknownName("opponent", str(name), _OPPONENTS)


def _minimax(rules: Rules, depth: int) -> Opponent:
    one, two = rules.sides

    @lru_cache(_KEPT)
    def worth(board: str, side: str, plies: int) -> float:
        """To `side`, who is to move."""
        result = rules.result(board)
        if result is not None:
            return 0.0 if result == DRAW else 1.0 if result == side else -1.0
        if plies == 0:
            return rules.promise(board, side)
        other = two if side == one else one
        return max(-_PER_PLY * worth(rules.play(board, side, m), other, plies - 1) for m in rules.moves(board, side))

    def reply(board: str, side: str) -> dict[str, float]:
        other = two if side == one else one
        found = {m: -worth(rules.play(board, side, m), other, depth - 1) for m in rules.moves(board, side)}
        best = [m for m, value in found.items() if value >= max(found.values()) - 1e-9]
        return dict.fromkeys(best, 1 / len(best))

    return reply


def _mcts(rules: Rules, simulations: int) -> Opponent:
    one, two = rules.sides

    def reply(board: str, side: str) -> dict[str, float]:
        rng = random.Random(zlib.crc32(f"{side}{board}".encode()))
        root = (side, board)  # a node is (side to move, board)
        visits: dict[tuple[str, str], int] = {root: 0}
        wins: dict[tuple[str, str], float] = {root: 0.0}  # of whoever moved into the node

        def follow(node: tuple[str, str], move: str) -> tuple[str, str]:
            return two if node[0] == one else one, rules.play(node[1], node[0], move)

        def bound(child: tuple[str, str], tries: int) -> float:
            if child not in visits:
                return math.inf
            return wins[child] / visits[child] + math.sqrt(2 * math.log(tries) / visits[child])

        for _ in range(simulations):
            node, path = root, [root]
            while visits.get(node) and (moves := rules.moves(node[1], node[0])):  # down the tree to one new leaf
                children = [follow(node, move) for move in moves]
                rng.shuffle(children)
                tries = visits[node]
                node = max(children, key=lambda child, tries=tries: bound(child, tries))
                path.append(node)
            while (result := rules.result(node[1])) is None:
                node = follow(node, rng.choice(rules.moves(node[1], node[0])))
            for seen in path:
                visits[seen] = visits.get(seen, 0) + 1
                wins[seen] = wins.get(seen, 0.0) + (0.5 if result == DRAW else float(result != seen[0]))
        best = max(rules.moves(board, side), key=lambda move: visits.get(follow(root, move), 0))
        return {best: 1.0}

    return reply
