"""A Pareto pool of language policies: whoever is best on some problem stays, so that specialists survive.

    pool.add(Member(policy, values))           # values: {problem id: value on the validation split}
    parent = pool.pick(random.Random(7))       # as often as the number of problems it leads
    merged = merge(parent.policy, other.policy)

(Pareto selection over problems and merging: GEPA, Agrawal et al. 2025, 2507.19457.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, zip_longest
from typing import TypeVar

from nlrl.learning.language.asking.policy import MOST_EXAMPLES, MOST_PRINCIPLES, Example, LanguagePolicy, Principle

_Part = TypeVar("_Part", Principle, Example)


@dataclass(frozen=True)
class Member:
    """A policy with its value on each validation problem that could be judged."""

    policy: LanguagePolicy
    values: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over its problems; NaN without any."""
        return sum(self.values.values()) / len(self.values) if self.values else float("nan")


@dataclass
class Pool:
    """Members that are best on at least one problem, in the order they came."""

    members: list[Member] = field(default_factory=list)

    def add(self, member: Member) -> bool:
        """Take a member in, and drop those that no longer lead anywhere. Whether it stayed.

        Of equals the earlier one leads: a copy with another wording is no specialist.
        """
        self.members.append(member)
        leads = self.leads()
        self.members = [m for m in self.members if leads[m.policy.id]]
        return member in self.members

    def leads(self) -> dict[str, list[str]]:
        """For each member's policy id, the problems on which it is best: one leader a problem, of equals the one
        with the higher mean, then the earlier."""
        found: dict[str, list[str]] = {m.policy.id: [] for m in self.members}
        for problem in dict.fromkeys(chain.from_iterable(m.values for m in self.members)):
            known = [m for m in self.members if problem in m.values]
            best = max(known, key=lambda m: (m.values[problem], m.mean))  # max keeps the first of equals
            found[best.policy.id].append(problem)
        return found

    def pick(self, rng: random.Random) -> Member:
        """A parent, with a frequency proportional to the number of problems it leads."""
        leads = self.leads()
        return rng.choices(self.members, [len(leads[m.policy.id]) or 1e-9 for m in self.members])[0]

    def specialists(self, merged: Sequence[tuple[str, str]] = ()) -> tuple[Member, Member] | None:
        """The two members that together would be right most, the better one first; pairs in `merged` are done."""

        def together(pair: tuple[Member, Member]) -> float:
            a, b = (m.values for m in pair)
            return sum(max(a.get(p, 0.0), b.get(p, 0.0)) for p in {**a, **b})

        done = {frozenset(names) for names in merged}
        fresh = [p for p in combinations(self.members, 2) if frozenset(m.policy.id for m in p) not in done]
        if not fresh:
            return None
        a, b = max(fresh, key=together)
        return (a, b) if a.mean >= b.mean else (b, a)


def merge(a: LanguagePolicy, b: LanguagePolicy) -> LanguagePolicy:
    """The instruction of `a` (or of `b`, where `a` has none), and the principles and examples of both in turn.

    What exceeds the bounds is left out, the later ones first.
    """
    principles = _in_turn(a.principles, b.principles, lambda p: p.text)[:MOST_PRINCIPLES]
    examples: tuple[Example, ...] | None = None
    if a.examples is not None or b.examples is not None:
        examples = _in_turn(a.examples or (), b.examples or (), lambda e: e.question)[:MOST_EXAMPLES]
    return LanguagePolicy(a.instruction if a.instruction is not None else b.instruction, principles, examples)


def _in_turn(a: Sequence[_Part], b: Sequence[_Part], said: Callable[[_Part], str]) -> tuple[_Part, ...]:
    kept: dict[str, _Part] = {}
    for item in chain.from_iterable(zip_longest(a, b)):
        if item is not None:
            kept.setdefault(said(item), item)
    return tuple(kept.values())
