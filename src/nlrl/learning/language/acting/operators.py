"""The language operators of Feng et al. 2024 (2411.14251), each one call to a model that reads and writes texts.

    G2  join       one transition, or a stretch of them, with the value of where it led: "r + gamma V"
    G1  aggregate  several variations merged into one evaluation: "the expectation"
    I   improve    the evaluations of candidate actions, made into a reasoning and an action

An oracle in the model's place (`nlrl.learning.language.acting.oracle`) makes them exact, and what is built on them
value iteration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nlrl.core import UserError
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.desk import Desk, Role
from nlrl.learning.language.acting.texts import (
    TERMINAL,
    Decision,
    Step,
    aggregate_prompt,
    decide,
    improve_prompt,
    join_prompt,
    path_text,
    worth,
)

FAN_IN = 32  # variations in one prompt; more are merged in a tree
ROOM = 8_000  # characters of what one prompt joins or merges: half a context of 4,096 tokens


@dataclass(frozen=True, slots=True)
class Variation:
    """One way things may go, with the chance of it."""

    chance: float
    text: str


@dataclass
class Operators:
    """The operators in one environment.

    fan_in  how many variations one aggregation reads; more are merged in groups, the chances carried along
    room    how many characters they may have together, and a stretch of an episode: longer ones are told in parts
    heard   what the texts lacked: "empty" evaluations, evaluations "without a number"
    """

    env: FiniteEnvironment
    desk: Desk
    fan_in: int = FAN_IN
    room: int = ROOM
    heard: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.fan_in < 2:
            raise UserError(f"fan_in must be at least 2, or merging would never end; got {self.fan_in}.")

    async def join(self, steps: Sequence[Step], future: str | None) -> str:
        """G2(d(steps), V). `future` is None where the episode ended: its text comes from the reward, never from V.

        A stretch that is too long for one prompt is joined half by half, the later one first."""
        description = path_text(self.env, steps)
        if len(description) > self.room and len(steps) > 1:
            half = len(steps) // 2
            return await self.join(steps[:half], await self.join(steps[half:], future))
        prompt = join_prompt(description, TERMINAL if future is None else future, len(steps), self.env.discount)
        return self._checked(await self.desk.say(Role.JOIN, self.env.rules, prompt))

    async def aggregate(self, variations: Iterable[Variation]) -> str:
        """G1. Equal texts are one variation with the sum of their chances, and the order is that of the alphabet:
        what is merged cannot depend on the order it was found in. Raises ValueError if there is nothing to merge."""
        chances: dict[str, float] = {}
        for variation in variations:
            if variation.text.strip():
                chances[variation.text] = chances.get(variation.text, 0.0) + variation.chance
        merged = [Variation(chance, text) for text, chance in sorted(chances.items()) if chance > 0]
        if not merged:
            raise ValueError("there is no variation with any text to aggregate")
        least = 1  # in a group, however long they are
        while True:
            merged = [await self._merge(group) for group in self._groups(merged, least)]
            if len(merged) == 1:
                return merged[0].text
            least = 2  # these are replies, which the desk keeps short; and so it ends

    def _groups(self, variations: Sequence[Variation], least: int) -> list[list[Variation]]:
        groups: list[list[Variation]] = [[]]
        length = 0
        for variation in variations:
            length += len(variation.text)
            here = len(groups[-1])
            if here == self.fan_in or (here >= least and length > self.room):
                groups.append([])
                length = len(variation.text)
            groups[-1].append(variation)
        return groups

    async def _merge(self, group: Sequence[Variation]) -> Variation:
        total = sum(v.chance for v in group)
        prompt = aggregate_prompt([(v.chance / total, v.text) for v in group], self.env.discount)
        return Variation(total, self._checked(await self.desk.say(Role.AGGREGATE, self.env.rules, prompt)))

    async def improve(self, state: State, evaluations: Sequence[tuple[str, str]]) -> Decision:
        """I: a decision among the candidate actions. One that names none of them is returned as it is, not legal."""
        prompt = improve_prompt(self.env, state, evaluations)
        decision = decide(self.env, state, await self.desk.say(Role.IMPROVE, self.env.rules, prompt))
        candidates = {action for action, _ in evaluations}
        return decision if decision.action in candidates else Decision(decision.text, decision.action, False)

    def _checked(self, text: str) -> str:
        if not text.strip():
            self.heard["empty"] += 1
        elif worth(text) is None:
            self.heard["without a number"] += 1
        return text.strip()
