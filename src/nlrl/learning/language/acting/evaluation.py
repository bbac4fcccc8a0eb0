"""What a state is worth under a policy, as a text: the targets that values are fitted to.

    Evaluation()                          Bellman: V(s) = G1 over a, s' of G2(d(s, a, r, s'), V(s'))
    Evaluation(samples=8)                 the same over 8 sampled transitions
    Evaluation(steps=3)                   TD(3): stretches of three steps, then V
    Evaluation(steps=None, samples=16)    Monte Carlo: 16 whole episodes, and no V but where one was cut off

A stretch that ends the episode is told by its rewards; V is never asked about what comes after the end. One that was
cut off (the environment's step limit) continues with V.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nlrl.core import UserError
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.boundary import imagine
from nlrl.learning.language.acting.operators import Operators, Variation
from nlrl.learning.language.acting.policies import ActionPolicy, distribution
from nlrl.learning.language.acting.texts import Step, path_text
from nlrl.learning.language.side_by_side import side_by_side

Read = Callable[[State], Awaitable[str]]
Stretch = tuple[float, tuple[Step, ...]]  # a chance and what happens


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How variations are found.

    steps         length of a stretch; None: to the end of the episode
    samples       stretches that are sampled for a state; None: all of them, with their chances
    policy_draws  draws that stand for a policy whose chances are not known
    """

    steps: int | None = 1
    samples: int | None = None
    policy_draws: int = 8

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("samples", self.samples), ("policy_draws", self.policy_draws)):
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
        if self.steps is None and self.samples is None:
            raise UserError("Whole episodes cannot all be listed; say how many to sample, such as samples=16.")

    async def target(
        self,
        operators: Operators,
        policy: ActionPolicy,
        read: Read,
        state: State,
        *,
        action: str | None = None,
        seed: str = "",
    ) -> str | None:
        """What is to be said of `state`, or of taking `action` there; None if the policy names no legal action.

        Raises EnvironmentFailed.
        """
        paths = await self._paths(operators, policy, state, action, seed)
        if not paths:
            return None
        texts = await side_by_side(self._text(operators, read, steps) for _, steps in paths)
        variations = [Variation(p, text) for (p, _), text in zip(paths, texts, strict=True)]
        return await operators.aggregate(variations) if any(v.text for v in variations) else None

    async def _text(self, operators: Operators, read: Read, steps: Sequence[Step]) -> str:
        last = steps[-1].outcome
        if self.steps is None and last.terminal:
            told = path_text(operators.env, steps)
            if len(told) <= operators.room:
                return told  # a whole episode says it all
        return await operators.join(steps, None if last.terminal else await read(last.state))

    async def _paths(
        self, operators: Operators, policy: ActionPolicy, state: State, action: str | None, seed: str
    ) -> list[Stretch]:
        env, heard = operators.env, operators.heard

        async def actions(at: State, first: bool) -> dict[str, float]:
            if first and action is not None:
                return {action: 1.0}
            return dict(await distribution(policy, env, at, self.policy_draws, heard))

        if self.samples is None:
            return await self._all(env, actions, state)
        paths: list[Stretch] = []
        for k in range(self.samples):
            steps = await self._sampled(env, actions, state, random.Random(f"{seed}:{state!r}:{action}:{k}"))
            if steps:
                paths.append((1 / self.samples, steps))
        return paths

    async def _all(
        self, env: FiniteEnvironment, actions: Callable[[State, bool], Awaitable[dict[str, float]]], state: State
    ) -> list[Stretch]:
        whole: list[Stretch] = []
        open_paths: list[Stretch] = [(1.0, ())]
        for depth in range(self.steps or 0):
            longer: list[Stretch] = []
            for chance, steps in open_paths:
                at = steps[-1].outcome.state if steps else state
                for action, p in (await actions(at, depth == 0)).items():
                    for outcome in imagine(env, at, action):
                        path = (chance * p * outcome.probability, (*steps, Step(at, action, outcome)))
                        (whole if outcome.terminal else longer).append(path)
            open_paths = longer
        return whole + open_paths

    async def _sampled(
        self,
        env: FiniteEnvironment,
        actions: Callable[[State, bool], Awaitable[dict[str, float]]],
        state: State,
        rng: random.Random,
    ) -> tuple[Step, ...]:
        steps: list[Step] = []
        at = state
        while len(steps) < (self.steps or env.max_steps):
            chances = await actions(at, not steps)
            if not chances:
                break  # a stretch that ends here goes on with V
            action = rng.choices(list(chances), weights=list(chances.values()))[0]
            outcomes = imagine(env, at, action)
            outcome = rng.choices(outcomes, weights=[o.probability for o in outcomes])[0]
            steps.append(Step(at, action, outcome))
            if outcome.terminal:
                break
            at = outcome.state
        return tuple(steps)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """An evaluation with all that it needs: what decisions are improved by.

    policy  whose values these are
    read    what is said of the state that a stretch ends in
    seed    of sampled stretches
    """

    evaluation: Evaluation
    operators: Operators
    policy: ActionPolicy
    read: Read
    seed: str = ""

    async def of(self, state: State, action: str | None = None) -> str | None:
        """What is to be said of `state`, or of taking `action` there; see `Evaluation.target`."""
        return await self.evaluation.target(
            self.operators, self.policy, self.read, state, action=action, seed=self.seed
        )


def once(read: Read) -> Read:
    """`read`, asking only once for each key: the value as it was when the sweep began."""
    known: dict[State, asyncio.Future[str]] = {}

    async def reading(key: State) -> str:
        if key not in known:
            known[key] = asyncio.ensure_future(read(key))
        return await known[key]

    return reading
