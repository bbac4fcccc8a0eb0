"""Tic-tac-toe against an opponent, as the one who begins, as the other, or as each in half of the episodes.

A win is worth 1, a draw and a loss 0, so that a state's value is the probability of winning. The exact optimum against
the random opponent wins .995 of the games it begins and .939 of the others: .967. With `loss=-1` the optimum plays
safer (a draw is then worth more than a loss), which is what the minimax opponent asks for: there it draws.
"""

from __future__ import annotations

import re

from nlrl.core.specs import StrategySpec
from nlrl.environments.finite import State, find_action
from nlrl.environments.two_player import DRAW, TwoPlayerGame, make_opponent

_LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
_TAKE = re.compile(r"\btake\s+(?:cell\s+)?([1-9])\b", re.IGNORECASE)
_BARE = re.compile(r"(?:(?:take\s+)?(?:cell\s+)?)([1-9])", re.IGNORECASE)


class Board:
    """The rules. A board is its nine cells, row by row: "X", "O" or "."; a move is a cell, "1" to "9"."""

    sides: tuple[str, str] = ("X", "O")
    start = "." * 9

    def moves(self, board: str, side: str) -> tuple[str, ...]:
        return () if self.result(board) else tuple(str(i + 1) for i, cell in enumerate(board) if cell == ".")

    def play(self, board: str, side: str, move: str) -> str:
        i = int(move) - 1
        return board[:i] + side + board[i + 1 :]

    def result(self, board: str) -> str | None:
        for a, b, c in _LINES:
            if board[a] != "." and board[a] == board[b] == board[c]:
                return board[a]
        return None if "." in board else DRAW

    def promise(self, board: str, side: str) -> float:
        return 0.0  # minimax sees to the end


class TicTacToe(TwoPlayerGame):
    """States are (side, board), the side being the agent's.

    opponent  random, first_free, minimax (perfect) or mcts
    first     true, false or both
    loss      what losing is worth, from -1 to 0
    """

    max_steps = 9  # five moves at most, if all are legal

    def __init__(self, *, opponent: str = "random", first: bool | str = "both", loss: float = 0.0):
        rules = Board()
        super().__init__(rules, make_opponent(rules, opponent, depth=9, simulations=200), first, loss)
        self.name = str(StrategySpec("tic_tac_toe", {"opponent": opponent, "first": first, "loss": float(loss)}))
        self.rules = (
            "You play tic-tac-toe. X begins; X and O take free cells in turn, and three of one's own in a row, a "
            "column or a diagonal win. The cells are numbered 1 to 9, row by row from the top left; the board shows "
            "the number of each free cell. You are told which side is yours, and values are from your point of view: "
            f"a win is worth 1, a draw 0, a loss {loss:g}. After your move you see the board as your opponent's answer "
            "has left it. "
            'Say your move as "Action: take 5".'
        )

    def action(self, move: str) -> str:
        return f"take {move}"

    def move(self, action: str) -> str:
        return action.removeprefix("take ")

    def describe(self, state: State) -> str:
        side, board = state
        cells = [cell if cell != "." else str(i + 1) for i, cell in enumerate(board)]
        result = self.game.result(board)
        turn = "your turn" if result is None else "a draw" if result == DRAW else f"{result} has won"
        return f"You are {side}; {turn}.\n" + "\n".join(" ".join(cells[i : i + 3]) for i in (0, 3, 6))

    def parse(self, text: str) -> str | None:
        found = find_action(text, _TAKE, _BARE)
        return f"take {found[1]}" if found else None
