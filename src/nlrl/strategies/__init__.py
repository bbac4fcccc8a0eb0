"""How to spend: one file a method, named as its paper names it, and the registry of names."""

from nlrl.strategies.registry import (
    StrategySpec,
    attempts_of,
    get_strategy,
    parse_strategy,
    register_strategy,
    selection_of,
    strategies,
    todays_name,
)
from nlrl.strategies.solve import solve

__all__ = [
    "StrategySpec", "attempts_of", "get_strategy", "parse_strategy", "register_strategy", "selection_of", "solve",
    "strategies", "todays_name",
]  # fmt: skip
