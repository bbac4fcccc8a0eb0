"""How sure it is that the leader of a vote is ahead for good: a Beta posterior over leader against runner-up.

>>> round(leader_holds(4, 0), 3), round(leader_holds(2.5, 0.7), 3)
(0.969, 0.807)

Aggarwal et al. 2023 (2305.11860) use it for whole votes; here votes may have any weight.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, exp, lgamma, log

_TINY = 1e-30
_ENOUGH = 1e-9  # relative change of the continued fraction
_TERMS = 300


@lru_cache(maxsize=65536)
def leader_holds(first: float, second: float) -> float:
    """P(p > 1/2) under Beta(first + 1, second + 1); 0 while the leader has no votes."""
    if first <= 0:
        return 0.0
    if first == int(first) and second == int(second) and first + second < 1000:
        n = int(first + second) + 1
        return sum(comb(n, k) for k in range(int(first) + 1)) / 2**n  # a binomial sum, for whole numbers
    a, b = first + 1, second + 1
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) - (a + b) * log(2))
    return 1.0 - _lower(front, a, b)


def _lower(front: float, a: float, b: float) -> float:
    """The regularised incomplete beta function at one half, by the side on which its continued fraction converges."""
    if (a + 1) / (a + b + 2) > 0.5:
        return front * _fraction(a, b) / a
    return 1.0 - front * _fraction(b, a) / b


def _fraction(a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function at x = 1/2 (Lentz; DLMF 8.17.22)."""
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * 0.5 / (a + 1))
    value = d
    for m in range(1, _TERMS):
        for term in (
            m * (b - m) * 0.5 / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * 0.5 / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _ENOUGH:
            break
    return value


def _away(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
