"""The boundary to environments, which may be anybody's code: what one raises by mistake is told as its failure.

    describe(env, state)              # EnvironmentFailed: my_world failed in describe of (3, 1): KeyError('door')

Everything here that asks an environment asks it through these, so that a run can count the failure and go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nlrl.core import EnvironmentFailed, NlrlError
from nlrl.environments.finite import FiniteEnvironment, Outcome, State

_T = TypeVar("_T")


def guarded(env: FiniteEnvironment, what: str, call: Callable[[], _T]) -> _T:
    """What the call returns. Raises EnvironmentFailed in place of whatever it raises by mistake."""
    try:
        return call()
    except NlrlError:
        raise
    except Exception as error:  # the boundary to code that is not ours
        raise EnvironmentFailed(f"{env.name} failed in {what}: {error!r}") from error


def describe(env: FiniteEnvironment, state: State) -> str:
    """A state as the agent sees it."""
    return guarded(env, f"describe of {state!r}", lambda: env.describe(state))


def legal_actions(env: FiniteEnvironment, state: State) -> tuple[str, ...]:
    """The legal actions."""
    return guarded(env, f"actions of {state!r}", lambda: env.actions(state))


def parse(env: FiniteEnvironment, text: str) -> str | None:
    """The action in a reply."""
    return guarded(env, f"parse of {text[:200]!r}", lambda: env.parse(text))


def imagine(env: FiniteEnvironment, state: State, action: str) -> Sequence[Outcome]:
    """What may come of an action."""
    return guarded(env, f"outcomes of {action!r} in state {state!r}", lambda: env.outcomes(state, action))
