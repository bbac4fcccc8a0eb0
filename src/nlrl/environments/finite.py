"""What every text environment here is: Gymnasium's reset and step over text, plus an exact model of itself.

    env = make("maze(layout=double_t)")
    text, info = env.reset(seed=0)
    text, reward, terminated, truncated, info = env.step("Action: move up")

    env.outcomes(env.state, "move up")      # what could have happened, with probabilities: nothing is sampled

`FiniteEnvironment` is the contract, `TextGame` the half of it that all environments share. A game needs to say only
where it starts, what is legal, what an action can lead to, and how a state reads.

An action that is illegal, or cannot be read at all, is never replaced by another: it costs a step, and what else it
costs is the game's own rule (`illegal`).
"""

from __future__ import annotations

import copy
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from nlrl.core import Environment, UserError

# Hashable plain data: tuples, strings, ints. `Any`, so that each environment may unpack its own.
State: TypeAlias = Any

_MOST_STATES = 20_000  # more than any table here needs; beyond it, enumerating takes longer than anyone waits
_MOST_KEPT = 50_000  # outcomes remembered, in (state, action) pairs


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that an action can lead to.

    probability  given state and action; the outcomes of one action sum to 1
    event        what happened, for people and models: "You slip down.", "O answers 3."
    """

    probability: float
    state: State
    reward: float
    terminal: bool
    event: str = ""


class FiniteEnvironment(Environment, Protocol):
    """An environment that knows its own model, so that an exact answer can stand beside a learned one.

    name       lossless: `make(env.name)` builds the same environment
    rules      the rules and the action format as a paragraph for a language model; says whose perspective
    discount   the one its exact optimum is stated for
    max_steps  an episode is truncated after that many steps
    state      where it stands after `reset` and `step`
    """

    name: str
    rules: str
    discount: float
    max_steps: int
    state: State

    def starts(self) -> Sequence[tuple[float, State]]:
        """The start distribution: (probability, state)."""
        ...

    def states(self) -> Sequence[State]:
        """All non-terminal states that can be reached, in a fixed order. Raises UserError where there are too many."""
        ...

    def actions(self, state: State) -> tuple[str, ...]:
        """The legal actions as texts, in a fixed order."""
        ...

    def outcomes(self, state: State, action: str) -> tuple[Outcome, ...]:
        """All that a legal action can lead to, equal outcomes merged. Raises UserError for an illegal action."""
        ...

    def illegal(self, state: State) -> Outcome:
        """What an illegal or unreadable action costs here."""
        ...

    def success(self, outcome: Outcome) -> bool:
        """Whether this outcome ends the episode well."""
        ...

    def describe(self, state: State) -> str:
        """The observation: the state as the agent sees it. Terminal states read too."""
        ...

    def parse(self, text: str) -> str | None:
        """The action in a model's reply, spelt as in `actions`; None where there is none. Does not check legality."""
        ...

    def reset(self, *, seed: int | None = None, state: State = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode, at `state` if given. A seed makes all later episodes repeatable, until the next seed."""
        ...


class TextGame(FiniteEnvironment, ABC):
    """The shared half: enumeration, merging, and episodes sampled from the very outcomes the model states."""

    def __init__(self) -> None:
        self.state = None
        self._random = random.Random()
        self._outcomes: dict[tuple[State, str], tuple[Outcome, ...]] = {}  # they never change
        self._steps = 0
        self._running = False

    def __deepcopy__(self, memo: dict[int, Any]) -> TextGame:
        """An environment of its own with its own luck, which shares what never changes: the known outcomes."""
        other = copy.copy(self)
        other._random = random.Random()
        return other

    @abstractmethod
    def transitions(self, state: State, action: str) -> Sequence[Outcome]:
        """What a legal action can lead to; equal outcomes may repeat. `outcomes` checks and merges."""

    def outcomes(self, state: State, action: str) -> tuple[Outcome, ...]:
        known = self._outcomes.get((state, action))
        if known is None:
            known = self._merged(state, action)
            if len(self._outcomes) < _MOST_KEPT:
                self._outcomes[state, action] = known
        return known

    def _merged(self, state: State, action: str) -> tuple[Outcome, ...]:
        if action not in self.actions(state):
            legal = ", ".join(self.actions(state)[:10]) or "nothing"
            raise UserError(f"{action!r} is not legal here in {self.name}. Legal: {legal}.")
        merged: dict[tuple[State, float, bool, str], float] = {}
        for o in self.transitions(state, action):
            key = (o.state, o.reward, o.terminal, o.event)
            merged[key] = merged.get(key, 0.0) + o.probability
        return tuple(Outcome(probability, *key) for key, probability in merged.items() if probability > 0)

    def states(self) -> Sequence[State]:
        found = dict.fromkeys(state for _, state in self.starts())
        queue = list(found)
        for state in queue:  # grows while it is read: breadth first
            for action in self.actions(state):
                for outcome in self.outcomes(state, action):
                    if not outcome.terminal and outcome.state not in found:
                        found[outcome.state] = None
                        queue.append(outcome.state)
            if len(queue) > _MOST_STATES:
                raise UserError(f"{self.name} has too many states to enumerate (more than {_MOST_STATES}).")
        return queue

    def illegal(self, state: State) -> Outcome:
        return Outcome(1.0, state, 0.0, False, "That was not a legal action; nothing changed.")

    def success(self, outcome: Outcome) -> bool:
        return outcome.terminal and outcome.reward > 0

    def reset(self, *, seed: int | None = None, state: State = None) -> tuple[str, dict[str, Any]]:
        if seed is not None:
            self._random = random.Random(seed)
        if state is None:
            starts = self.starts()
            state = self._random.choices([s for _, s in starts], [p for p, _ in starts])[0]
        elif not self.actions(state):
            raise UserError(f"{self.name} cannot begin at {state!r}: nothing is legal there.")
        self.state, self._steps, self._running = state, 0, True
        return self.describe(state), {"state": state, "actions": self.actions(state)}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Gymnasium's five values. `info` says what was understood ("action"), whether it was "illegal", what
        happened ("event"), whether that is "success", and the new "state". Raises UserError outside an episode."""
        if not self._running:
            raise UserError(f"No episode of {self.name} is running. Call reset() first.")
        understood = self.parse(action)
        illegal = understood is None or understood not in self.actions(self.state)
        if illegal or understood is None:
            outcome = self.illegal(self.state)
        else:
            options = self.outcomes(self.state, understood)
            outcome = self._random.choices(options, [o.probability for o in options])[0]
        self.state = outcome.state
        self._steps += 1
        truncated = not outcome.terminal and self._steps >= self.max_steps
        self._running = not (outcome.terminal or truncated)
        info = {
            "state": outcome.state,
            "action": understood,
            "illegal": illegal,
            "event": outcome.event,
            "success": self.success(outcome),
        }
        return self.describe(outcome.state), outcome.reward, outcome.terminal, truncated, info


_MARKER = re.compile(r"\baction\b[\s*_`]*[:=]", re.IGNORECASE)
_WRAPPING = " \t\r\n.!*_`'\"<>[]()"  # what models put around an action


def find_action(text: str, pattern: re.Pattern[str], bare: re.Pattern[str]) -> re.Match[str] | None:
    """The one action that a reply names: in the line after its last "Action:", or, without that, anywhere.

    pattern  an action in prose: "move up"
    bare     a short form, accepted where it is all that is said: "up"

    Where several different actions are named, none is: the choice is not ours.
    """
    marks = list(_MARKER.finditer(text))
    said = text[marks[-1].end() :].strip(_WRAPPING).partition("\n")[0] if marks else text
    if alone := bare.fullmatch(said.strip(_WRAPPING)):
        return alone
    found = list(pattern.finditer(said))
    different = {tuple(part.lower() for part in match.groups()) for match in found}
    return found[0] if len(different) == 1 else None
