"""Exact answers by dynamic programming, where an environment's states can be enumerated.

    solution = value_iteration(env)
    start_value(env, solution.values)                      # 0.542 for frozen_lake(slippery=true)
    success_within(env, solution.policy, env.max_steps)    # 0.740
    mean_return(env, uniform_policy(env), env.max_steps)   # undiscounted, truncated: what an evaluation would measure

A policy maps each state to one action, or to the probabilities of several. All sweeps run over flat arrays with one
entry for each outcome; shapes are named _N states, _A state-action pairs, _O outcomes.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nlrl.core import UserError
from nlrl.environments.finite import FiniteEnvironment, State

Policy = Mapping[State, str] | Mapping[State, Mapping[str, float]]

_MOST_SWEEPS = 50_000  # at discount 1 a walk that takes 1,000 steps to end needs some 30,000
_TIE = 1e-9  # values closer than this are equal: the first legal action wins


@dataclass(frozen=True, slots=True)
class Solution:
    """values[state], policy[state] = best action (the first of equals), q[state, action]."""

    values: dict[State, float]
    policy: dict[State, str]
    q: dict[tuple[State, str], float]


def value_iteration(env: FiniteEnvironment, discount: float | None = None, tolerance: float = 1e-10) -> Solution:
    """The optimum, to within about `tolerance` a sweep. `discount` defaults to the environment's.

    Raises UserError where the states cannot be enumerated, or the sweeps do not settle.
    """
    t, discount = _tables(env), _checked(env, discount)
    v_N = np.zeros(len(t.states))
    for _ in range(_MOST_SWEEPS):
        q_A = t.backup(v_N, discount)
        best_N = np.maximum.reduceat(q_A, t.first_N)
        change = np.abs(best_N - v_N).max()
        v_N = best_N
        if change < tolerance:
            break
    else:
        raise _unsettled(env, discount)
    q_A = t.backup(v_N, discount)
    policy: dict[State, str] = {}
    for a, (state, action) in enumerate(t.pairs):
        if state not in policy and q_A[a] >= v_N[t.state_A[a]] - _TIE - 2 * tolerance:
            policy[state] = action
    values = dict(zip(t.states, v_N.tolist(), strict=True))
    return Solution(values, policy, dict(zip(t.pairs, q_A.tolist(), strict=True)))


def evaluate_policy(env: FiniteEnvironment, policy: Policy, discount: float | None = None) -> dict[State, float]:
    """The value of each state under a policy, without truncation. `discount` defaults to the environment's.

    Raises UserError where the policy lacks a state or names an illegal action, and where the value is infinite: at
    discount 1, a policy that never ends and pays for it.
    """
    t, discount = _tables(env), _checked(env, discount)
    weight_A = t.weights(policy)
    v_N = np.zeros(len(t.states))
    for _ in range(_MOST_SWEEPS):
        new_N = t.mix(t.backup(v_N, discount), weight_A)
        change = np.abs(new_N - v_N).max()
        v_N = new_N
        if change < 1e-13 * max(1.0, np.abs(v_N).max()):
            return dict(zip(t.states, v_N.tolist(), strict=True))
    raise _unsettled(env, discount)


def start_value(env: FiniteEnvironment, values: Mapping[State, float]) -> float:
    """The mean of `values` over the start distribution."""
    return sum(probability * values[state] for probability, state in env.starts())


def mean_return(env: FiniteEnvironment, policy: Policy, steps: int | None = None) -> float:
    """The expected undiscounted return of an episode of at most `steps` (default: the environment's own limit)."""
    t = _tables(env)
    weight_A, v_N = t.weights(policy), np.zeros(len(t.states))
    for _ in range(env.max_steps if steps is None else steps):
        v_N = t.mix(t.backup(v_N, 1.0), weight_A)
    return float(t.start_N @ v_N)


def success_within(env: FiniteEnvironment, policy: Policy, steps: int | None = None) -> float:
    """The probability that an episode succeeds within `steps` (default: the environment's own limit)."""
    t = _tables(env)
    weight_A, v_N = t.weights(policy), np.zeros(len(t.states))
    for _ in range(env.max_steps if steps is None else steps):
        v_N = t.mix(t.expect(t.success_O + np.append(v_N, 0.0)[t.next_O]), weight_A)
    return float(t.start_N @ v_N)


def uniform_policy(env: FiniteEnvironment) -> dict[State, dict[str, float]]:
    """Every legal action alike, in every state."""
    return {s: dict.fromkeys(env.actions(s), 1 / len(env.actions(s))) for s in env.states()}


class _Tables:
    """An environment's model as arrays. A terminal outcome leads to state number N, whose value is 0."""

    def __init__(self, env: FiniteEnvironment):
        self.name = env.name
        self.states = list(env.states())
        number = {state: n for n, state in enumerate(self.states)}
        self.pairs: list[tuple[State, str]] = [(s, a) for s in self.states for a in env.actions(s)]
        self.state_A = np.array([number[s] for s, _ in self.pairs])
        self.first_N = np.searchsorted(self.state_A, np.arange(len(self.states)))
        rows = [(a, o) for a, pair in enumerate(self.pairs) for o in env.outcomes(*pair)]
        self.pair_O = np.array([a for a, _ in rows])
        self.probability_O = np.array([o.probability for _, o in rows])
        self.reward_O = np.array([o.reward for _, o in rows], dtype=float)
        self.next_O = np.array([len(self.states) if o.terminal else number[o.state] for _, o in rows])
        self.success_O = np.array([float(env.success(o)) for _, o in rows])
        self.start_N = np.zeros(len(self.states))
        for probability, state in env.starts():
            self.start_N[number[state]] += probability

    def expect(self, worth_O: np.ndarray) -> np.ndarray:
        return np.bincount(self.pair_O, self.probability_O * worth_O, len(self.pairs))

    def backup(self, v_N: np.ndarray, discount: float) -> np.ndarray:
        return self.expect(self.reward_O + discount * np.append(v_N, 0.0)[self.next_O])

    def mix(self, q_A: np.ndarray, weight_A: np.ndarray) -> np.ndarray:
        return np.bincount(self.state_A, weight_A * q_A, len(self.states))

    def weights(self, policy: Policy) -> np.ndarray:
        """The policy's probability of each pair. Raises UserError for a gap, an illegal action, or a wrong sum."""
        index = {pair: a for a, pair in enumerate(self.pairs)}
        weight_A = np.zeros(len(self.pairs))
        for state in self.states:
            if state not in policy:
                raise UserError(f"The policy says nothing about the state {state!r} of {self.name}.")
            choice = policy[state]
            shares = {choice: 1.0} if isinstance(choice, str) else choice
            if abs(sum(shares.values()) - 1) > 1e-6 or any(p < 0 for p in shares.values()):
                raise UserError(f"The policy's probabilities at {state!r} of {self.name} do not sum to 1.")
            for action, share in shares.items():
                if (state, action) not in index:
                    raise UserError(f"The policy plays {action!r} at {state!r} of {self.name}, which is illegal.")
                weight_A[index[state, action]] = share
        return weight_A


# An environment's model never changes, and enumerating it costs far more than a sweep.
_KNOWN: weakref.WeakKeyDictionary[FiniteEnvironment, _Tables] = weakref.WeakKeyDictionary()


def _tables(env: FiniteEnvironment) -> _Tables:
    if env not in _KNOWN:
        _KNOWN[env] = _Tables(env)
    return _KNOWN[env]


def _checked(env: FiniteEnvironment, discount: float | None) -> float:
    discount = env.discount if discount is None else discount
    if not 0 <= discount <= 1:
        raise UserError(f"A discount lies between 0 and 1, got {discount}.")
    return discount


def _unsettled(env: FiniteEnvironment, discount: float) -> UserError:
    return UserError(
        f"The values of {env.name} at discount {discount} do not settle in {_MOST_SWEEPS} sweeps: episodes may never "
        "end. Use a discount below 1, or mean_return, which truncates."
    )
