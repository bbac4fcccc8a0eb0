"""The strategies by name: "module:function" each, imported on use, so a higher room can add its own without lower ones
knowing. How their strings are read and printed stands in `nlrl.core.specs`.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from nlrl.compute import Strategy
from nlrl.core import UnknownName, UserError
from nlrl.core.offers import load, offered
from nlrl.core.specs import StrategySpec, parse_strategy, printed

_PLACES = {
    name: f"nlrl.strategies.{name}:{name}"
    for name in (
        "direct",
        "best_of_n",
        "weighted_vote",
        "self_consistency",
        "adaptive_consistency",
        "self_refine",
        "divide_and_conquer",
        "beam_search",
        "lookahead_search",
        "dvts",
        "mcts",
        "ab_mcts",
        "revisions",
        "early_stopping",
        "probe_gate",
        "finish_order",
        "umpire",
        "until_good",
    )
} | offered("strategy")


def get_strategy(spec: str | StrategySpec) -> Strategy:
    """The strategy a spec names, its parameters bound.

    Raises UnknownName (with the nearest names) for an unknown strategy or parameter, UserError for a bad value.
    """
    spec = parse_strategy(spec) if isinstance(spec, str) else spec
    if spec.name not in _PLACES:
        raise UnknownName("strategy", spec.name, _PLACES)
    run, known = _found(_PLACES[spec.name])
    for key, value in spec.parameters.items():
        if key not in known:
            raise UnknownName(f"parameter of {spec.name}", key, known)
        _check(spec, key, value, known[key].default)
    return functools.partial(run, **spec.parameters)


@functools.cache
def _found(place: str) -> tuple[Strategy, dict[str, inspect.Parameter]]:
    """The function, and the parameters that a spec may set; a server asks for it with every request."""
    run = load(place)
    return run, {n: p for n, p in inspect.signature(run).parameters.items() if p.kind is p.KEYWORD_ONLY}


def attempts_of(text: str) -> int:
    """Attempts that a strategy makes at a problem at most: its `n`; the draft and its revisions; else one.

    >>> attempts_of("best_of_n(n=8, select=best)"), attempts_of("self_refine(rounds=2)"), attempts_of("direct")
    (8, 3, 1)

    Raises what `get_strategy` raises.
    """
    known = inspect.signature(get_strategy(text)).parameters
    if "n" in known:
        return int(known["n"].default)
    return 1 + int(known["rounds"].default) if "rounds" in known else 1


@functools.cache
def selection_of(text: str) -> str | None:
    """How the strategy chooses among all its attempts, one of `selection.SELECTIONS`; None where it has other ways.

    >>> selection_of("best_of_n(n=8, select=best)")
    'best'
    """
    try:
        run = get_strategy(text)
    except UserError:  # of a run by another version, or a caller's own
        return None
    rule: str = getattr(run.func, "selects", "")  # type: ignore[attr-defined]
    known = inspect.signature(run).parameters
    return known[rule].default if rule in known else rule or None


def todays_name(text: str) -> str:
    """What tables call a strategy: an old spelling under the name it has today, anything else as it is.

    >>> todays_name("best_of_n(n=8)")
    'weighted_vote(n=8)'

    Records, policies and clients keep the string they have; only what is shown to people goes through here.
    """
    try:
        spec = parse_strategy(text)
    except UserError:
        return text
    if spec.name != "best_of_n" or spec.parameters.get("select", "weighted") != "weighted":
        return text
    return str(StrategySpec("weighted_vote", {k: v for k, v in spec.parameters.items() if k != "select"}))


def register_strategy(name: str, place: str) -> None:
    """Add a strategy under `name`; `place` is "module:function", imported on first use."""
    _PLACES[name] = place
    selection_of.cache_clear()


def strategies() -> dict[str, str]:
    """Every registered name with the first line of its docstring."""
    about = {}
    for name, place in sorted(_PLACES.items()):
        doc = inspect.getdoc(load(place)) or ""
        about[name] = doc.splitlines()[0] if doc else ""
    return about


def _check(spec: StrategySpec, key: str, value: Any, default: Any) -> None:
    """Numbers must be numbers, and counts positive: a mistake here would surface deep inside a run."""
    if isinstance(default, bool) or default is None:
        return
    if isinstance(default, int) and not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        raise UserError(f"{spec.name}: {key} must be a whole number of at least 1, got {printed(value)}.")
    if isinstance(default, float) and not isinstance(value, int | float):
        raise UserError(f"{spec.name}: {key} must be a number, got {printed(value)}.")
    if isinstance(default, str) and not isinstance(value, str):
        raise UserError(f"{spec.name}: {key} must be a word such as {default}, got {printed(value)}.")
