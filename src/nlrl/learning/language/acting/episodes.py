"""Episodes of a policy in an environment, each decided in words and told step by step."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from nlrl.core import EnvironmentFailed
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.boundary import describe, guarded
from nlrl.learning.language.acting.policies import ActionPolicy, Uniform, acting, count
from nlrl.learning.language.acting.texts import Decision
from nlrl.learning.language.side_by_side import side_by_side


@dataclass(frozen=True, slots=True)
class Move:
    """One step as it happened: what was seen, said and got."""

    state: State
    observation: str
    decision: Decision
    reward: float
    note: str = ""  # "illegal", or what the environment says happened


@dataclass(frozen=True, slots=True)
class Episode:
    """A whole episode.

    total      sum of the rewards, not discounted
    success    what the environment calls it; None where it does not say
    cut_off    it ended at the step limit
    failed     why the environment broke off; its rewards up to there still count
    """

    seed: int
    moves: tuple[Move, ...]
    total: float
    success: bool | None
    cut_off: bool
    failed: str = ""


@dataclass
class Played:
    """Several episodes and what was heard in them (illegal and unparsed decisions)."""

    episodes: list[Episode] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)

    @property
    def mean_return(self) -> float:
        """Mean total reward; nan of none."""
        return sum(e.total for e in self.episodes) / len(self.episodes) if self.episodes else float("nan")

    @property
    def success_rate(self) -> float | None:
        """Share of successes among the episodes that tell; None if none does."""
        told = [e.success for e in self.episodes if e.success is not None]
        return sum(told) / len(told) if told else None


async def play(env: FiniteEnvironment, policy: ActionPolicy, seeds: Sequence[int]) -> Played:
    """One episode for each seed, side by side, so that a model can answer many at once.

    An environment that raises ends its episode, which says so, and not the others.
    """
    played = Played()
    decide = _remembering(env, policy)
    played.episodes = await side_by_side(_episode(copy.deepcopy(env), decide, seed, played.heard) for seed in seeds)
    return played


def _remembering(env: FiniteEnvironment, policy: ActionPolicy) -> Callable[[State], Awaitable[Decision]]:
    """The policy's decision at a state. Whoever would say the same again is not asked (and charged) again."""
    known: dict[str, asyncio.Future[list[Decision]]] = {}

    async def decide(state: State) -> Decision:
        if isinstance(acting(policy, state), Uniform):
            return (await policy.draws(state, 1))[0]
        text = describe(env, state)
        if text not in known:
            known[text] = asyncio.ensure_future(policy.draws(state, 1))
        return (await known[text])[0]

    return decide


async def _episode(
    env: FiniteEnvironment, decide: Callable[[State], Awaitable[Decision]], seed: int, heard: Counter[str]
) -> Episode:
    moves: list[Move] = []
    total = 0.0
    try:
        observation, info = guarded(env, "reset", lambda: env.reset(seed=seed))
    except EnvironmentFailed as failure:
        heard["environment failures"] += 1
        return Episode(seed, (), total, None, False, str(failure))
    while True:
        state = env.state
        try:
            decision = await decide(state)
            count([decision], heard)
            after, reward, ended, cut_off, info = guarded(
                env, "step", lambda said=decision: env.step(said.action if said.action is not None else said.text)
            )
        except EnvironmentFailed as failure:
            heard["environment failures"] += 1
            return Episode(seed, tuple(moves), total, None, False, str(failure))
        note = "illegal" if info.get("illegal") else str(info.get("event", ""))
        moves.append(Move(state, observation, decision, reward, note))
        total += reward
        observation = after
        if ended or cut_off:
            return Episode(seed, tuple(moves), total, info.get("success"), cut_off and not ended)
