"""Worlds in text with an exact model of themselves: Gymnasium's API, seeded, offline.

make("maze(layout=double_t)")    an environment by its spec; names() lists them all
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from nlrl.core.faces import lazy
from nlrl.core.offers import load

if TYPE_CHECKING:
    from nlrl.environments.exact import (
        Solution,
        evaluate_policy,
        mean_return,
        start_value,
        success_within,
        uniform_policy,
        value_iteration,
    )
    from nlrl.environments.finite import FiniteEnvironment, Outcome, State

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.environments.finite": ("FiniteEnvironment", "Outcome", "State"),
    "nlrl.environments.exact": (
        "Solution", "evaluate_policy", "mean_return", "start_value", "success_within", "uniform_policy",
        "value_iteration",
    ),
})  # fmt: skip

_PLACES = {
    "breakthrough": "nlrl.environments.breakthrough:Breakthrough",
    "frozen_lake": "nlrl.environments.frozen_lake:FrozenLake",
    "maze": "nlrl.environments.maze:Maze",
    "tic_tac_toe": "nlrl.environments.tic_tac_toe:TicTacToe",
    "wordle": "nlrl.environments.wordle:Wordle",
}

__all__ = [
    "FiniteEnvironment", "Outcome", "Solution", "State", "evaluate_policy", "make", "mean_return", "names",
    "start_value", "success_within", "uniform_policy", "value_iteration",
]  # fmt: skip


def make(spec: str) -> FiniteEnvironment:
    """The environment a spec names: "frozen_lake", "maze(layout=medium, observed=partially)", "wordle(words=50)".

    Raises UserError for an unreadable spec or a bad value, UnknownName for an unknown environment or parameter,
    MissingExtra where a package is not installed.
    """
    from nlrl.core import UnknownName, UserError
    from nlrl.core.specs import parse_strategy

    try:
        parsed = parse_strategy(spec)  # the same grammar: a name and parameters
    except UserError:
        raise UserError(
            f"Cannot read the environment {spec[:200]!r}: it must be a name or name(key=value, ...). "
            "Example: maze(layout=double_t)"
        ) from None
    if parsed.name not in _PLACES:
        raise UnknownName("environment", parsed.name, _PLACES)
    kind = load(_PLACES[parsed.name])
    known = inspect.signature(kind).parameters
    for key in parsed.parameters:
        if key not in known:
            raise UnknownName(f"parameter of {parsed.name}", key, known)
    return kind(**parsed.parameters)


def names() -> dict[str, str]:
    """Every environment with the first line of its module's docstring."""
    modules = {name: inspect.getmodule(load(place)) for name, place in sorted(_PLACES.items())}
    return {name: (inspect.getdoc(module) or "").splitlines()[0] for name, module in modules.items()}
