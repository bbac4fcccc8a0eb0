"""Budgets as people write them.

>>> parse_budget("tokens=4k, seconds=2m")
Budget(tokens=4000, calls=None, flops=None, seconds=120.0, cost=None)
>>> format_budget(Budget(tokens=4000, seconds=120))
'tokens=4000,seconds=120'
"""

from __future__ import annotations

import math
import re
from dataclasses import fields

from nlrl.core import Budget, UnknownName, UserError

_NAMES = tuple(f.name for f in fields(Budget))
_AMOUNT = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)")
_TIMES = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
# no "m" here: a thousandth, a minute and a million are all meant by it
_COUNTS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15}
_EXAMPLE = 'Example: --budget "tokens=4000,seconds=30"'


def parse_budget(text: str | None) -> Budget:
    """Read "name=amount,..." with the suffixes k, M, G, T (counts) and s, m, h (seconds); empty is no limit.

    Raises UserError for anything else and for a budget of zero, UnknownName for an unknown resource.
    """
    limits: dict[str, float] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, amount = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UserError(f"Cannot read the budget {part.strip()!r}: it is not of the form name=amount. {_EXAMPLE}")
        if name not in _NAMES:
            raise UnknownName("resource in the budget", name, _NAMES)
        if name in limits:
            raise UserError(f"The budget names {name} twice. Give it once.")
        limits[name] = _amount(name, amount)
    tokens, calls = (int(limits[n]) if n in limits else None for n in ("tokens", "calls"))
    return Budget(tokens, calls, limits.get("flops"), limits.get("seconds"), limits.get("cost"))


def format_budget(budget: Budget) -> str:
    """The shortest text that `parse_budget` reads back as `budget`; "" for no limit."""
    limits = ((f.name, getattr(budget, f.name)) for f in fields(Budget))
    return ",".join(f"{name}={_number(value)}" for name, value in limits if value is not None)


def _amount(name: str, text: str) -> float:
    match = _AMOUNT.fullmatch(text)
    units = _TIMES if name == "seconds" else _COUNTS
    if not match or match.group(2) not in units:
        known = ", ".join(u for u in units if u)
        raise UserError(f"Cannot read {name}={text[:50]!r} in the budget; write a number, with {known} if you like.")
    value = float(match.group(1).replace("_", "")) * units[match.group(2)]
    if not math.isfinite(value) or value < 0:
        raise UserError(f"The budget's {name} must be a positive number, got {text[:50]}.")
    if name in ("tokens", "calls"):
        value = float(int(value))
    if value == 0:
        raise UserError(f"A budget of zero {name} buys nothing; not even one attempt. {_EXAMPLE}")
    return value


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
