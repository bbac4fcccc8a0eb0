"""The problems of a run in three parts: what teaches, what decides, and what is only measured.

    parts = parts_of(problems, settings, held_out=0.25)
    parts.feedback, parts.validation, parts.held_out, parts.notes

With too few problems for three parts there are two, or one, and the notes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nlrl.core import Problem, UserError
from nlrl.learning.language.asking.turn import AskingSettings, split

FEWEST = 4  # problems in a part: with fewer validation problems no change could pass the test (4 wins of 4: p = 0.06)


@dataclass(frozen=True)
class Parts:
    """feedback, validation and held_out as in `improve_policy`; notes say what could not be kept apart."""

    feedback: tuple[Problem, ...]
    validation: tuple[Problem, ...]
    held_out: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    @property
    def training(self) -> tuple[Problem, ...]:
        """All that teaches or decides."""
        return tuple({p.id: p for p in (*self.feedback, *self.validation)}.values())


def parts_of(problems: Sequence[Problem], settings: AskingSettings, *, held_out: float) -> Parts:
    """The parts, by a hash of each problem. Raises UserError for a share outside [0, 1)."""
    if not 0 <= held_out < 1:
        raise UserError(f"held_out must be a share of the problems from 0 to below 1, got {held_out!r}.")
    rest, notes, apart = list({p.id: p for p in problems}.values()), list[str](), list[Problem]()
    many = len(rest)
    if held_out:
        size = round(many * held_out)
        if size >= FEWEST and many - size >= 2 * FEWEST:
            rest, apart = split(rest, replace(settings, validation=held_out))
        else:
            notes.append(
                f"With {_problems(many)} none is held out ({held_out:g} of them would be {size}; it takes {FEWEST}, "
                f"and {2 * FEWEST} to learn from): every accuracy is on problems that were learned from."
            )
    if len(rest) >= 2 * FEWEST:
        feedback, validation = split(rest, settings)
    else:
        feedback = validation = rest
        notes.append(
            f"With {_problems(len(rest))} none is kept for deciding: changes are made and tested on the same, and none "
            f"that does not win {FEWEST} of them passes the test (confidence=0.5 takes any gain)."
        )
    return Parts(tuple(feedback), tuple(validation), tuple(apart), tuple(notes))


def _problems(n: int) -> str:
    return f"{n} problem{'s' if n != 1 else ''}"
