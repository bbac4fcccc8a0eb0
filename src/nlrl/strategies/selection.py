"""Which of the scored attempts becomes the answer.

weighted  a vote weighted by the scores: the class of equivalent answers with the largest sum
          (Li et al. 2023, 2206.02336; Snell et al. 2024, section 5.1)
best      the one attempt with the highest score
majority  the most common answer, whatever the scores
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nlrl.core import Candidate, Problem, UnknownName
from nlrl.strategies.voting import count_votes

SELECTIONS = ("weighted", "best", "majority")

_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Selection:
    """best: the chosen attempt; share: the part of all weight that its answer has, None if nothing weighs, or if there
    was one attempt to choose from; tied: whether the first two classes weigh the same (never for select=best)."""

    best: Candidate | None
    share: float | None
    tied: bool

    @property
    def sureness(self) -> float | None:
        """The share, but never more than the verifier's own score of the chosen attempt: where a search made few
        different answers, that they agree says little."""
        if self.best is None or (self.share is None and not worth(self.best)):
            return self.share
        return min(1.0 if self.share is None else self.share, worth(self.best))


def selects(rule: str) -> Callable[[_Method], _Method]:
    """Declares by which of SELECTIONS a strategy chooses among all its attempts, or the parameter that names it.

    Read through `selection_of` by who counts ties. Searches, which choose among some of theirs, declare nothing.
    """

    def declare(strategy: _Method) -> _Method:
        strategy.selects = rule  # type: ignore[attr-defined]
        return strategy

    return declare


def check_selection(select: str, allowed: Sequence[str] = SELECTIONS) -> None:
    """Raises UnknownName for a selection that does not exist."""
    if select not in allowed:
        raise UnknownName("selection", select, allowed)


def worth(candidate: Candidate) -> float:
    """A candidate's score; 0 where it has none."""
    return candidate.score.value if candidate.score else 0.0


async def select_answer(problem: Problem, attempts: Sequence[Candidate], select: str) -> Selection:
    """Choose among scored attempts. Raises UnknownName for an unknown `select`."""
    check_selection(select)
    weights = [1.0] * len(attempts) if select == "majority" else [worth(c) for c in attempts]
    vote = await count_votes(problem, attempts, weights)
    best = max(attempts, key=worth, default=None) if select == "best" else vote.leader
    total = sum(weights)
    share = next((p.weight / (total or 1.0) for p in vote.parties if best in p.members), None)
    share = share if total > 0 and len(attempts) > 1 else None
    return Selection(best, share, vote.tied and select != "best")
