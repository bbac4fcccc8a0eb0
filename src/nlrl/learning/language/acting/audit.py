"""Style against substance: a critic is judged by what its texts say of the actions, not by how they say it.

    audited = await audit(operators, critic, value_iteration(env))
    audited.in_order, audited.regret, audited.words

Two things are measured against exact values: whether the numbers put the actions of a state into the right order, and
what a reader (the improvement operator) loses by deciding from the texts. Length and variety of words are reported
beside them and enter into nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from nlrl.core import UserError
from nlrl.environments.exact import Solution
from nlrl.environments.finite import State
from nlrl.learning.language.acting.boundary import legal_actions
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.texts import worth
from nlrl.learning.language.side_by_side import side_by_side

Speaker = Callable[[State, str], Awaitable[str]]  # what is said of taking an action in a state

_EQUAL = 1e-6  # two actions whose values are closer than this have no right order
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found out about one critic.

    in_order   share of pairs of actions that its numbers put in the right order; a text without a number is wrong
    regret     mean value lost by the reader's decisions, from 0 (always the best) to 1 (always the worst action)
    undecided  share of states where the reader named no candidate; they count as the worst action
    numbers    share of texts that hold a number
    words      mean words a text; variety: different words among them
    """

    in_order: float
    regret: float
    undecided: float
    numbers: float
    words: float
    variety: float


async def audit(operators: Operators, critic: Speaker, exact: Solution) -> Audit:
    """Hear the critic on every action of every state where the actions differ, and let the reader decide from it.

    Raises UserError where no action matters.
    """
    env = operators.env
    states = [s for s in env.states() if _spread(exact, s, legal_actions(env, s)) > _EQUAL]
    if not states:
        raise UserError(f"In no state of {env.name} does it matter what is done; there is nothing to audit.")
    heard = await side_by_side(_hear(critic, s, legal_actions(env, s)) for s in states)
    decisions = await side_by_side(
        operators.improve(s, list(said.items())) for s, said in zip(states, heard, strict=True)
    )
    right, pairs, lost, undecided = 0.0, 0, 0.0, 0
    for state, said, decision in zip(states, heard, decisions, strict=True):
        q = {a: exact.q[state, a] for a in said}
        for a, b in combinations(said, 2):
            if abs(q[a] - q[b]) > _EQUAL:
                pairs += 1
                right += _in_order(said[a], said[b], q[a] - q[b])
        undecided += not decision.legal
        chosen = q[decision.action] if decision.legal and decision.action is not None else min(q.values())
        lost += (max(q.values()) - chosen) / (max(q.values()) - min(q.values()))
    texts = [text for said in heard for text in said.values()]
    words = [_WORD.findall(text.lower()) for text in texts]
    return Audit(
        in_order=right / pairs,
        regret=lost / len(states),
        undecided=undecided / len(states),
        numbers=sum(worth(text) is not None for text in texts) / len(texts),
        words=sum(map(len, words)) / len(texts),
        variety=sum(len(set(w)) / len(w) for w in words if w) / len(texts),
    )


def ranked(audits: Mapping[str, Audit]) -> Sequence[str]:
    """The critics from best to worst: by the order of their numbers, then by the reader's regret. Never by style."""
    return sorted(audits, key=lambda name: (-audits[name].in_order, audits[name].regret))


async def _hear(critic: Speaker, state: State, actions: Sequence[str]) -> dict[str, str]:
    texts = await asyncio.gather(*(critic(state, action) for action in actions))
    return {action: " ".join(text.split()) for action, text in zip(actions, texts, strict=True)}


def _spread(exact: Solution, state: State, actions: Sequence[str]) -> float:
    values = [exact.q[state, a] for a in actions]
    return max(values) - min(values)


def _in_order(a: str, b: str, difference: float) -> float:
    first, second = worth(a), worth(b)
    if first is None or second is None:
        return 0.0
    if first == second:
        return 0.5  # says nothing, right or wrong
    return float((first > second) == (difference > 0))
