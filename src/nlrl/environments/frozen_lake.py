# pyright: reportMissingImports=false
"""FrozenLake 4x4: cross the ice to the goal, fall into no hole. Map and transition table are gymnasium's own.

    SFFF      S start    F ice
    FHFH      H hole     G goal (reward 1, everything else 0)
    FFFH
    HFFG

Slippery (gymnasium's default): a move goes where it was meant to with probability 1/3, and to either side with 1/3
each. The exact optimum at discount 0.99 has V(start) = 0.542 and reaches the goal within 100 steps with probability
0.740; uniform play with 0.014. Needs the extra `play`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlrl.core import MissingExtra, UserError
from nlrl.core.specs import StrategySpec
from nlrl.environments.finite import Outcome, State, TextGame, find_action

_ACTIONS = ("move left", "move down", "move right", "move up")  # in gymnasium's order: the index is its action number
_STEPS = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}
_GROUND = {"S": "ice", "F": "ice", "H": "hole", "G": "goal"}
_MOVE = re.compile(r"\bmove\s+(left|down|right|up)\b", re.IGNORECASE)
_BARE = re.compile(r"(?:move\s+)?(left|down|right|up)", re.IGNORECASE)


class FrozenLake(TextGame):
    """States are gymnasium's: the number of the cell, row by row from the top left."""

    discount = 0.99
    max_steps = 100

    def __init__(self, *, slippery: bool = True):
        """Raises MissingExtra without gymnasium."""
        super().__init__()
        if not isinstance(slippery, bool):
            raise UserError(f"frozen_lake: slippery must be true or false, got {slippery!r}.")
        try:
            from gymnasium.envs.toy_text.frozen_lake import MAPS, FrozenLakeEnv
        except ImportError:
            raise MissingExtra("gymnasium", "play", "FrozenLake") from None
        self.name = str(StrategySpec("frozen_lake", {"slippery": slippery}))
        self._table = FrozenLakeEnv(map_name="4x4", is_slippery=slippery).P
        self._map = MAPS["4x4"]
        ice = (
            "The ice is slippery: you go where you mean to only one time in three, and one time in three each to the "
            "two sides of it."
            if slippery
            else "The ice is not slippery: you go where you mean to."
        )
        self.rules = (
            "You cross a frozen lake of 4 rows and 4 columns, counted from the top left. S is the start, F is ice, "
            "H is a hole, G is the goal:\n" + "\n".join(self._map) + "\n"
            "Reaching the goal is worth 1 and ends the episode; falling into a hole is worth 0 and ends it too. "
            f"{ice} At the edge you stay where you are. "
            'Say your move as "Action: move left", "Action: move down", "Action: move right" or "Action: move up".'
        )

    def starts(self) -> Sequence[tuple[float, State]]:
        return [(1.0, "".join(self._map).index("S"))]

    def actions(self, state: State) -> tuple[str, ...]:
        return _ACTIONS if self._at(*divmod(state, 4)) == "ice" else ()

    def transitions(self, state: State, action: str) -> Sequence[Outcome]:
        table = self._table[state][_ACTIONS.index(action)]
        meant = action.removeprefix("move ")
        return [
            Outcome(float(p), int(s), float(r), bool(end), self._event(state, meant, int(s))) for p, s, r, end in table
        ]

    def describe(self, state: State) -> str:
        row, column = divmod(state, 4)
        here = self._at(row, column)
        where = f"You are in row {row + 1}, column {column + 1}"
        if here != "ice":
            return f"{where}: {'the goal' if here == 'goal' else 'in a hole'}."
        around = (f"{way}: {self._at(row + down, column + right)}" for way, (down, right) in _STEPS.items())
        return f"{where}. {'; '.join(around).capitalize()}."

    def parse(self, text: str) -> str | None:
        found = find_action(text, _MOVE, _BARE)
        return f"move {found[1].lower()}" if found else None

    def _at(self, row: int, column: int) -> str:
        return _GROUND[self._map[row][column]] if 0 <= row < 4 and 0 <= column < 4 else "edge"

    def _event(self, state: int, meant: str, new: int) -> str:
        """What can be seen from outside: where it went, not which way the ice pulled."""
        (row, column), (new_row, new_column) = divmod(state, 4), divmod(new, 4)
        if new == state:
            return "You stay where you are."
        way = next(w for w, step in _STEPS.items() if step == (new_row - row, new_column - column))
        moved = f"You move {way}" if way == meant else f"You slip {way}"
        ends = {"hole": " and fall into a hole.", "goal": " and reach the goal."}
        return moved + ends.get(self._at(new_row, new_column), ".")
