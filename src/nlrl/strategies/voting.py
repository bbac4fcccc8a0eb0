"""Votes over equivalence classes of answers: "0.5", "1/2" and "50 %" are one candidate, not three.

vote = await count_votes(problem, attempts)
vote.leader.answer, vote.share, vote.tied      # '1/2', 0.625, False
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.answers.equivalence import default_equivalence
from nlrl.core import Candidate, Problem


@dataclass(frozen=True, slots=True)
class Party:
    """The attempts that agree on one answer. `weight` is their number, or the sum of their weights."""

    members: tuple[Candidate, ...]
    weight: float

    @property
    def spokesman(self) -> Candidate:
        """The member with the best score; the first among equals."""
        return max(self.members, key=lambda c: c.score.value if c.score else 0.0)


@dataclass(frozen=True, slots=True)
class Vote:
    """Parties by falling weight; an earlier first member breaks a tie. Unparsed attempts vote for nobody.

    share  the leader's part of the votes cast, unparsed ones included; None for fewer than two votes, which say nothing
    tied   whether the first two weigh the same
    """

    parties: tuple[Party, ...]
    share: float | None
    tied: bool

    @property
    def leader(self) -> Candidate | None:
        """Who speaks for the heaviest party; None if no attempt could be read."""
        return self.parties[0].spokesman if self.parties else None


async def count_votes(problem: Problem, attempts: Sequence[Candidate], weights: Sequence[float] | None = None) -> Vote:
    """Group the attempts by equivalent answers and weigh the groups (one vote each if no weights are given)."""
    weights = [1.0] * len(attempts) if weights is None else weights
    labels = await default_equivalence().classes([a.answer for a in attempts], problem=problem)
    groups: dict[int, list[int]] = {}
    for i, label in enumerate(labels):
        if label >= 0:
            groups.setdefault(label, []).append(i)
    parties = [Party(tuple(attempts[i] for i in g), sum(weights[i] for i in g)) for g in groups.values()]
    parties.sort(key=lambda p: -p.weight)  # stable: the party that came first stays first among equals
    total = sum(weights)
    return Vote(
        parties=tuple(parties),
        share=None if len(attempts) < 2 else parties[0].weight / total if parties and total > 0 else 0.0,
        tied=len(parties) > 1 and parties[0].weight == parties[1].weight,
    )
