"""Mazes of LMRL-Gym (Abdulhai et al. 2023, 2311.18232): its layouts, observations, actions and rewards.

A step costs -1, the step that reaches the goal 0, a reply that is no action -4 (and nothing moves). Walking into a
wall is a legal step that goes nowhere. Episodes start on any free cell but the goal, each alike.

double_t  26 free cells, goal (8, 6), 25 starts. Optimal mean return -6.84, uniform play -85.9.
umaze     7 free cells, goal (3, 3), 6 starts. Optimal mean return -2.5.
medium    26 free cells, 25 starts; LMRL-Gym sets no goal, D4RL's maze2d-medium does: (6, 6). Optimal mean return -4.72.

These returns are undiscounted, over at most 101 steps: LMRL-Gym's limit of 100 lets a 101st action cost its -1 before
the episode fails, so its worst return is -101. (There that last action never moves; here it may. Uniform play differs
in the third digit after the point.)

Partially observed, the text names the walls around and nothing else; a position then shares its text with others, and
`describe` is a function of the state alone, so remembering is the agent's business. The exact optimum is that of an
agent who sees its position.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlrl.core import UnknownName
from nlrl.core.specs import StrategySpec
from nlrl.environments.finite import Outcome, State, TextGame, find_action

_LAYOUTS = {
    "double_t": (
        (8, 6),
        "#############",
        "#.....#.....#",
        "###.#####.###",
        "###.#####.###",
        "###.#####.###",
        "###.......###",
        "######.######",
        "######.######",
        "######.######",
        "#############",
    ),
    "umaze": (
        (3, 3),
        "#####",
        "#...#",
        "#.#.#",
        "#.#.#",
        "#####",
    ),
    "medium": (
        (6, 6),
        "########",
        "#..#...#",
        "#..#.#.#",
        "##....##",
        "###.#..#",
        "#....#.#",
        "#..#...#",
        "########",
    ),
}
_STEPS = {"move left": (0, -1), "move right": (0, 1), "move up": (-1, 0), "move down": (1, 0)}
_AROUND = {"to your right": (0, 1), "to your left": (0, -1), "above you": (-1, 0), "below you": (1, 0)}
_MOVE = re.compile(r"\bmove\s+(left|right|up|down)\b", re.IGNORECASE)
_BARE = re.compile(r"(?:move\s+)?(left|right|up|down)", re.IGNORECASE)


class Maze(TextGame):
    """States are (row, column), counted from 0 at the top left, as in LMRL-Gym's texts.

    layout    double_t, umaze or medium
    observed  fully: goal, position and walls; partially: walls only
    """

    discount = 1.0
    max_steps = 101

    def __init__(self, *, layout: str = "double_t", observed: str = "fully"):
        super().__init__()
        if layout not in _LAYOUTS:
            raise UnknownName("layout of maze", str(layout), _LAYOUTS)
        if observed not in ("fully", "partially"):
            raise UnknownName("observation of maze", str(observed), ("fully", "partially"))
        self.name = str(StrategySpec("maze", {"layout": layout, "observed": observed}))
        self.goal, *self._rows = _LAYOUTS[layout]
        self._full = observed == "fully"
        self._cells = [(r, c) for r, row in enumerate(self._rows) for c, cell in enumerate(row) if cell == "."]
        sees = (
            "You see the goal's position, your own, and the walls next to you. Positions are (row, column): "
            "down adds 1 to the row, right adds 1 to the column."
            if self._full
            else "You see only the walls next to you, not where you are: remember how you moved."
        )
        self.rules = (
            "You walk through a maze to its goal. Every step costs 1, the step that reaches the goal nothing, and "
            f"a reply that is no move costs 4. Walking into a wall goes nowhere. {sees} "
            'Say your move as "Action: move left", "Action: move right", "Action: move up" or "Action: move down".'
        )

    def starts(self) -> Sequence[tuple[float, State]]:
        return [(1 / (len(self._cells) - 1), cell) for cell in self._cells if cell != self.goal]

    def actions(self, state: State) -> tuple[str, ...]:
        return tuple(_STEPS) if state != self.goal and state in self._cells else ()

    def transitions(self, state: State, action: str) -> Sequence[Outcome]:
        down, right = _STEPS[action]
        new = (state[0] + down, state[1] + right)
        if new == self.goal:
            return [Outcome(1.0, new, 0.0, True, "You reach the goal.")]
        if self._wall(*new):
            return [Outcome(1.0, state, -1.0, False, "You walk into a wall and stay.")]
        return [Outcome(1.0, new, -1.0, False, f"You {action}.")]

    def illegal(self, state: State) -> Outcome:
        return Outcome(1.0, state, -4.0, False, "That was no move; you stay.")

    def success(self, outcome: Outcome) -> bool:
        return outcome.terminal

    def describe(self, state: State) -> str:
        if state == self.goal:
            return "Success\n"
        walls = [where for where, (down, right) in _AROUND.items() if self._wall(state[0] + down, state[1] + right)]
        text = _walls(walls)
        if self._full:
            text = (
                f"The goal is at position {_at(self.goal)}. Your current position is at position {_at(state)}. {text}"
            )
        return text + "\n"

    def parse(self, text: str) -> str | None:
        found = find_action(text, _MOVE, _BARE)
        return f"move {found[1].lower()}" if found else None

    def _wall(self, row: int, column: int) -> bool:
        return self._rows[row][column] == "#"


def _walls(where: Sequence[str]) -> str:
    if not where:
        return "There are no walls near you."
    return f"There is a wall {where[0]}." if len(where) == 1 else f"There are walls {', '.join(where)}."


def _at(position: tuple[int, int]) -> str:
    """LMRL-Gym spells numbers digit by digit, for the sake of tokenizers: column 10 is "1 0"."""
    return ", ".join(" ".join(str(number)) for number in position)
