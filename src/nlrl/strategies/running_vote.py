"""A vote that grows by one attempt at a time, in the classes that counting it anew would give.

    vote = RunningVote(problem)
    await vote.add("1/2"), await vote.add("0.5"), await vote.add(None)      # 0, 0, -1: the class of each answer

A known answer costs one look-up. Only an answer in a new form is compared with the classes there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlrl.answers.equivalence import canonical, default_equivalence
from nlrl.core import Problem


class RunningVote:
    """Classes of answers, numbered in order of appearance, and the weight that each has."""

    def __init__(self, problem: Problem) -> None:
        self.weights: list[float] = []
        self._problem = problem
        self._texts: list[str] = []  # different answers, in order of appearance
        self._classes: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._glanced: dict[str | None, int] = {None: -1}
        self._glanced_keys: dict[str, int] = {}

    async def add(self, answer: str | None, weight: float = 1.0) -> int:
        """Count an answer; its class, -1 for none."""
        label = await self.label(answer)
        if label >= 0:
            self.weights[label] += weight
        return label

    async def label(self, answer: str | None) -> int:
        """The class of an answer, without a vote; a new one opens a class."""
        if answer is None:
            return -1
        known = self._classes.get(answer)
        if known is not None:
            return known
        key = canonical(answer, self._problem)
        label = -1 if key is None else self._keys.get(key)
        self._texts.append(answer)
        if label is None and key is not None:
            # a prefix of the answers has the same classes whatever follows, so only the last one is news
            label = (await default_equivalence().classes(self._texts, problem=self._problem))[-1]
            self._keys[key] = label
            if label == len(self.weights):
                self.weights.append(0.0)
        self._classes[answer] = -1 if label is None else label
        return self._classes[answer]

    def glance(self, answer: str | None) -> int:
        """A number for the written form of an answer, -1 for none: equal numbers are equal answers, but an answer in
        another form may have another. For forced answers, which are many and mostly of no consequence: no formula is
        compared with any other. These numbers are no classes.
        """
        known = self._glanced.get(answer)
        if known is None:
            key = canonical(answer, self._problem)
            known = -1 if key is None else self._glanced_keys.setdefault(key, len(self._glanced_keys))
            self._glanced[answer] = known
        return known

    async def labels(self, answers: Sequence[str | None]) -> list[int]:
        """As `label`, for each."""
        return [await self.label(answer) for answer in answers]

    @property
    def leader(self) -> int:
        """The heaviest class, the earliest among equals; -1 if there is none with weight."""
        return max(range(len(self.weights)), key=self.weights.__getitem__, default=-1)

    def top_two(self) -> tuple[float, float]:
        """The weights of the leader and of the runner-up."""
        first = second = 0.0
        for weight in self.weights:
            if weight > first:
                first, second = weight, first
            elif weight > second:
                second = weight
        return first, second
