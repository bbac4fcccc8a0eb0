"""Language values: a text for every state, and the three ways to fit them to new texts.

    PromptedValue  what a model says that is told the rules and the state: nothing is fitted
    Store          a table: what was last said of a state (of several sayings, their merger)
    Retrieve       the texts of the most similar states, put before the model that is asked
    TrainedValue   a small model that is trained on the texts and then asked

A key is a state (V: what is it worth?) or a state with an action (the language successor of NLAC, 2512.04601: what
will follow?). Both are read and fitted in the same way.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.desk import Desk, Role
from nlrl.learning.language.acting.operators import Operators, Variation
from nlrl.learning.language.acting.texts import UNKNOWN, state_text, successor_prompt, value_prompt
from nlrl.learning.learner import TextLearner

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Taken:
    """A state and the action taken there: the key of a successor text."""

    state: State
    action: str


Key = State | Taken
Target = tuple[Key, str]  # a key and what is now said of it


class LanguageValue(Protocol):
    """What is said of a key. `fit` replaces what was said before; targets repeat as often as they were found."""

    async def read(self, key: Key) -> str: ...
    async def fit(self, targets: Sequence[Target], *, seed: int) -> None: ...


def question(env: FiniteEnvironment, key: Key) -> str:
    """The prompt that asks for what is said of a key."""
    return successor_prompt(env, key.state, key.action) if isinstance(key, Taken) else value_prompt(env, key)


@dataclass
class PromptedValue:
    """Ask the model of the role, which judges by the rules alone."""

    env: FiniteEnvironment
    desk: Desk

    async def read(self, key: Key) -> str:
        """One call."""
        return await self.desk.say(_role(key), self.env.rules, question(self.env, key))

    async def fit(self, targets: Sequence[Target], *, seed: int) -> None:
        """Raises TypeError: a prompted model does not change. Take a `Store`, or iterate with fit=False."""
        raise TypeError("a prompted value does not learn; take a Store, or say fit=False")


@dataclass
class Store:
    """A table, by the question's text: states that read alike are one, as they would be for a model.

    Several targets of one question are merged by the operator G1, each counted as often as it was found.
    """

    operators: Operators
    table: dict[str, str] = field(default_factory=dict)

    async def read(self, key: Key) -> str:
        """What was said last; UNKNOWN before."""
        return self.table.get(question(self.operators.env, key), UNKNOWN)

    def known(self, key: Key) -> str:
        """What stands in the table; "" if nothing does."""
        return self.table.get(question(self.operators.env, key), "")

    async def fit(self, targets: Sequence[Target], *, seed: int) -> None:
        """Write the targets down. Keys without a target keep what was said of them."""
        said: dict[str, Counter[str]] = {}
        for key, text in targets:
            said.setdefault(question(self.operators.env, key), Counter())[text] += 1
        for asked, texts in said.items():
            if len(texts) == 1:
                self.table[asked] = next(iter(texts))
            else:
                self.table[asked] = await self.operators.aggregate(Variation(n, t) for t, n in texts.items())


@dataclass
class Retrieve:
    """Ask the model of the role, with what is known of the `nearest` most similar keys before the question."""

    env: FiniteEnvironment
    desk: Desk
    nearest: int = 4
    memory: dict[str, str] = field(default_factory=dict)

    async def read(self, key: Key) -> str:
        """One call. With nothing remembered the model judges by the rules alone."""
        asked = question(self.env, key)
        near = self._most_similar(asked)
        known = "\n\n".join(f"{_about(k)}\nEvaluation: {text}" for k, text in near)
        prompt = f"What is known of similar states:\n\n{known}\n\n{asked}" if near else asked
        return await self.desk.say(_role(key), self.env.rules, prompt)

    def known(self, key: Key) -> str:
        """What is remembered of the key itself; "" if nothing is."""
        return self.memory.get(question(self.env, key), "")

    async def fit(self, targets: Sequence[Target], *, seed: int) -> None:
        """Remember the targets; of several for one key, the one said most often, the later one first."""
        said: dict[str, Counter[str]] = {}
        for key, text in reversed(targets):
            said.setdefault(question(self.env, key), Counter())[text] += 1
        self.memory.update({asked: texts.most_common(1)[0][0] for asked, texts in said.items()})

    def _most_similar(self, asked: str) -> list[tuple[str, str]]:
        """By the cosine of word counts. The least similar first: what stands nearest to the question counts most."""
        words = Counter(_WORD.findall(asked))
        alike = [(_cosine(words, Counter(_WORD.findall(known))), known) for known in self.memory]
        alike.sort(key=lambda pair: pair[0])  # stable: equally similar ones in the order they were learned
        return [(known, self.memory[known]) for _, known in alike[-self.nearest :]]


@dataclass
class TrainedValue:
    """Ask a small model that is trained on the targets. It is shown the state and nothing else."""

    env: FiniteEnvironment
    desk: Desk
    learner: TextLearner
    fitted: bool = False

    async def read(self, key: Key) -> str:
        """One call to the trained model; UNKNOWN before the first fit."""
        if not self.fitted:
            return UNKNOWN
        return await self.desk.say(_role(key), "", self._shown(key))

    async def fit(self, targets: Sequence[Target], *, seed: int) -> None:
        """Train on every target as often as it was found; without any, nothing is learned."""
        if not targets:
            return
        await self.learner.fit([(self._shown(key), text) for key, text in targets], seed=seed)
        for role in {_role(key) for key, _ in targets}:
            self.desk.employ(role, self.learner.model)
        self.fitted = True

    def _shown(self, key: Key) -> str:
        return state_text(self.env, key.state, key.action) if isinstance(key, Taken) else state_text(self.env, key)


def _about(asked: str) -> str:
    """The state (and action) that a question is about, without what is asked of it."""
    return asked[asked.index("State: ") :].rpartition("\n")[0]


def _role(key: Key) -> Role:
    return Role.SUCCESSOR if isinstance(key, Taken) else Role.VALUE


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    dot = sum(n * b[word] for word, n in a.items())
    return dot / math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()) or 1.0)
