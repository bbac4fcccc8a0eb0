"""A strategy has a name and parameters: one string, parsed and printed without loss.

    >>> str(parse_strategy("best_of_n( select=best, n=16 )"))
    'best_of_n(n=16, select=best)'

The same string is used on the command line, in records, in policy files and by HTTP clients. The registry maps names
to "module:function" and imports on use, so a higher room can add its own without lower ones knowing.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from nlrl.compute import Strategy
from nlrl.core import UnknownName, UserError
from nlrl.core.offers import offered

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


@dataclass(frozen=True)
class StrategySpec:
    """A parsed strategy string. `str(spec)` is canonical: parameters sorted, equal specs print equally."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        inner = ", ".join(f"{key}={_print(value)}" for key, value in sorted(self.parameters.items()))
        return f"{self.name}({inner})"


def parse_strategy(text: str) -> StrategySpec:
    """Read "name" or "name(key=value, ...)"; values are numbers, true/false/none, words or quoted strings.

    Raises UserError for anything else, saying what is wrong. Names are not checked here; `get_strategy` does.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _unreadable(text, "it is not of the form name or name(key=value, ...)") from None
    if isinstance(tree, ast.Name):
        return StrategySpec(tree.id)
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        raise _unreadable(text, "it is not of the form name or name(key=value, ...)")
    if tree.args or any(k.arg is None for k in tree.keywords):
        raise _unreadable(text, "every parameter needs its name, such as n=8")
    return StrategySpec(tree.func.id, {str(k.arg): _value(k.value, text) for k in tree.keywords})


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
    module, function = place.split(":")
    run = getattr(importlib.import_module(module), function)
    return run, {n: p for n, p in inspect.signature(run).parameters.items() if p.kind is p.KEYWORD_ONLY}


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
        module, function = place.split(":")
        doc = inspect.getdoc(getattr(importlib.import_module(module), function)) or ""
        about[name] = doc.splitlines()[0] if doc else ""
    return about


def _check(spec: StrategySpec, key: str, value: Any, default: Any) -> None:
    """Numbers must be numbers, and counts positive: a mistake here would surface deep inside a run."""
    if isinstance(default, bool) or default is None:
        return
    if isinstance(default, int) and not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        raise UserError(f"{spec.name}: {key} must be a whole number of at least 1, got {_print(value)}.")
    if isinstance(default, float) and not isinstance(value, int | float):
        raise UserError(f"{spec.name}: {key} must be a number, got {_print(value)}.")
    if isinstance(default, str) and not isinstance(value, str):
        raise UserError(f"{spec.name}: {key} must be a word such as {default}, got {_print(value)}.")


_WORDS = {"true": True, "false": False, "none": None}


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | bool | None):
        if isinstance(node.value, float) and not isfinite(node.value):
            raise _unreadable(text, "a number is too large")
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    raise _unreadable(text, f"the value {ast.unparse(node)!r} is neither a number nor a word")


def _print(value: Any) -> str:
    for word, meaning in _WORDS.items():
        if value is meaning:
            return word
    if not isinstance(value, str):
        return repr(value)
    # Python reads bare words of other scripts in their normal form: a ligature would come back as two letters
    plain = value.isascii() and value.isidentifier() and not keyword.iskeyword(value) and value not in _WORDS
    return value if plain else repr(value)


def _unreadable(text: str, why: str) -> UserError:
    return UserError(f"Cannot read the strategy {text[:200]!r}: {why}. Example: best_of_n(n=8, select=best)")
