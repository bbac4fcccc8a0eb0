"""Breakthrough on 5x5 with two rows of pawns a side, against an opponent.

Pawns move one row forward, straight or diagonally, and capture diagonally only; the first to reach the far row wins,
and so does who captures every pawn. There are no draws, and whoever is to move can move. (OpenSpiel's board of this
size has one row of pawns a side, which is another game; hence rules of our own.)

Far too many positions to enumerate: `states()` says so. A solution from the end of the game needs `reset(state=...)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlrl.core import UserError
from nlrl.core.specs import StrategySpec
from nlrl.environments.finite import State, find_action
from nlrl.environments.two_player import TwoPlayerGame, make_opponent

_FILES = "abcde"
_SIZE = 5
_MOVE = re.compile(r"\b([a-e])([1-5])\s*(?:(?:-|x|to|takes)\s*)?([a-e])([1-5])\b", re.IGNORECASE)


class Pawns:
    """The rules. A board is 25 cells, row by row from the top (row 5): "W", "B" or "."; a move is "b2-c3", from-to.
    White begins, at the bottom, and moves up."""

    sides: tuple[str, str] = ("W", "B")
    start = "B" * 10 + "." * 5 + "W" * 10

    def moves(self, board: str, side: str) -> tuple[str, ...]:
        if self.result(board):
            return ()
        ahead = -1 if side == "W" else 1
        found = []
        for i, cell in enumerate(board):
            if cell != side:
                continue
            row, column = divmod(i, _SIZE)
            for sideways in (-1, 0, 1):
                if 0 <= column + sideways < _SIZE:
                    there = (row + ahead) * _SIZE + column + sideways
                    if board[there] == "." or (sideways and board[there] != side):
                        found.append(f"{_cell(i)}-{_cell(there)}")
        return tuple(found)

    def play(self, board: str, side: str, move: str) -> str:
        cells = list(board)
        cells[_index(move[:2])], cells[_index(move[3:])] = ".", side
        return "".join(cells)

    def result(self, board: str) -> str | None:
        if "W" in board[:_SIZE] or "B" not in board:
            return "W"
        return "B" if "B" in board[-_SIZE:] or "W" not in board else None

    def promise(self, board: str, side: str) -> float:
        """Pawns count one, and rows walked a tenth; scaled to stay well inside a win."""
        balance = 0.0
        for i, cell in enumerate(board):
            row = i // _SIZE
            if cell != ".":
                walked = _SIZE - 1 - row if cell == "W" else row
                balance += (1 if cell == side else -1) * (1 + walked / 10)
        return balance / 20


class Breakthrough(TwoPlayerGame):
    """States are (side, board), the side being the agent's.

    opponent     random, first_free, minimax or mcts
    first        true (the agent is W), false or both
    loss         what losing is worth, from -1 to 0
    depth        plies that minimax looks ahead
    simulations  playouts of mcts for each of its moves
    """

    max_steps = 30  # each side has at most 25 moves that do not end the game

    def __init__(
        self,
        *,
        opponent: str = "random",
        first: bool | str = "both",
        loss: float = 0.0,
        depth: int = 2,
        simulations: int = 100,
    ):
        rules = Pawns()
        super().__init__(rules, make_opponent(rules, opponent, depth=depth, simulations=simulations), first, loss)
        given = {"opponent": opponent, "first": first, "loss": float(loss), "depth": depth, "simulations": simulations}
        self.name = str(StrategySpec("breakthrough", given))
        self.rules = (
            "You play Breakthrough on a board of 5 columns, a to e from the left, and 5 rows, 1 to 5 from the bottom. "
            "W begins and moves up, B moves down. A pawn moves one row forward, straight or diagonally, onto a free "
            "cell; diagonally it may also capture. Who first reaches the far row wins, and so does who captures all "
            "pawns. You are told which side is yours, and values are from your point of view: a win is worth 1, a loss "
            f"{loss:g}. After your move you see the board as your opponent's answer has left it. "
            'Say your move as "Action: b2-c3", from and to.'
        )

    def states(self) -> Sequence[State]:
        raise UserError(f"{self.name} has too many states to enumerate; play it, or search from a given state.")

    def action(self, move: str) -> str:
        return move

    def move(self, action: str) -> str:
        return action

    def describe(self, state: State) -> str:
        side, board = state
        result = self.game.result(board)
        turn = "your turn" if result is None else f"{result} has won"
        rows = (f"{_SIZE - r} {' '.join(board[r * _SIZE : (r + 1) * _SIZE])}" for r in range(_SIZE))
        way = "up" if side == "W" else "down"
        return f"You are {side} and move {way}; {turn}.\n" + "\n".join(rows) + f"\n  {' '.join(_FILES)}"

    def parse(self, text: str) -> str | None:
        found = find_action(text, _MOVE, _MOVE)
        return "{}{}-{}{}".format(*found.groups()).lower() if found else None


def _cell(i: int) -> str:
    return f"{_FILES[i % _SIZE]}{_SIZE - i // _SIZE}"


def _index(cell: str) -> int:
    return (_SIZE - int(cell[1])) * _SIZE + _FILES.index(cell[0])
