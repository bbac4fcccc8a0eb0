"""What n recorded attempts say about spending k: exact expectations over all subsets of size k.

    >>> pass_at_k(n=10, right=3, k=5)
    0.9166666666666667

Every estimator answers "had only k of these n attempts been drawn, how often would the answer be right?", averaged
over all k-subsets, which has less variance than looking at the first k. Only `weighted_at_k` has no closed form; it
averages over seeded random orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_ORDERS = 400  # random orders per problem: a standard error of at most 0.025 on one problem, 0.0025 on 100
_MOST_EXACT = 512  # attempts: beyond, the exact sum takes seconds and its binomials leave the range of floats
_MOST_SUBSETS = 400  # up to this many, weighted_at_k enumerates instead


def pass_at_k(n: int, right: int, k: int) -> float:
    """Chance that at least one of k attempts is right, given `right` of n (Chen et al. 2021, 2107.03374, section 2.1).

    An oracle: it needs to know which attempt is right. Computed as a stable product, unbiased for k <= n.
    Raises ValueError unless 0 <= right <= n and 1 <= k <= n.
    """
    _check(n, k)
    if not 0 <= right <= n:
        raise ValueError(f"right must lie in 0..{n}, got {right}")
    if n - right < k:
        return 1.0
    wrong = np.arange(n - right + 1, n + 1, dtype=np.float64)
    return float(1.0 - np.prod(1.0 - k / wrong))


def majority_at_k(labels: Sequence[int], right: Sequence[bool], k: int) -> float:
    """Chance that the most common answer of k attempts is right; ties are split evenly.

    labels  class of each attempt's answer; negative for unparsed, which vote for nobody
    right   whether each attempt is right; where a class is only partly right, its right share counts
    Exact: a sum over the votes m of a right class, of the number of ways in which all others get at most m.
    Beyond 512 attempts it is estimated as `weighted_at_k` is.
    """
    n = len(labels)
    _check(n, k)
    if n > _MOST_EXACT:
        return float(weighted_at_k(labels, np.ones(n), right, [k])[0])
    sizes, goodness = _classes(labels, right)
    silent = n - sum(sizes)
    total = 0.0
    for j, good in enumerate(goodness):
        if good > 0:
            others = tuple(sorted(sizes[:j] + sizes[j + 1 :]))
            total += good * _wins(sizes[j], others, silent)[k]
    return min(total, 1.0)


def best_of_k(scores: ArrayLike, right: Sequence[bool], k: int) -> float:
    """Chance that the highest-scored of k attempts is right; among equal scores every attempt is as likely.

    Closed form: the top score lies at or below s with chance C(#{score <= s}, k) / C(n, k).
    """
    values = np.asarray(scores, dtype=np.float64)
    n = len(values)
    _check(n, k)
    good = np.asarray(right, dtype=np.float64)
    levels, group = np.unique(values, return_inverse=True)
    members = np.bincount(group, minlength=len(levels))
    share = np.bincount(group, weights=good, minlength=len(levels)) / members
    below = np.concatenate([[0], np.cumsum(members)])
    reached = np.array([_ratio(int(b), n, k) for b in below])
    return float(np.dot(np.diff(reached), share))


def weighted_at_k(
    labels: Sequence[int], weights: ArrayLike, right: Sequence[bool], ks: Sequence[int], *, seed: int = 0
) -> Floats:
    """For each k, the chance that the class with the largest sum of weights is right; ties are split evenly.

    All subsets where there are few, else prefixes of seeded random orders, shared by all k (so the curve is smooth).
    Attempts with a negative label give their weight to nobody. Classes of weight zero never win.
    """
    n = len(labels)
    for k in ks:
        _check(n, k)
    values = np.asarray(weights, dtype=np.float64)
    sizes, goodness = _classes(labels, right)
    if not sizes:
        return np.zeros(len(ks))
    known = {label: i for i, label in enumerate(dict.fromkeys(x for x in labels if x >= 0))}
    votes = np.zeros((n, len(sizes)))  # attempt x class
    for i, label in enumerate(labels):
        if label >= 0:
            votes[i, known[label]] = values[i]
    marks = sorted(set(ks))
    orders = _orders(n, seed)[:, : marks[-1]]
    # sums between the marks, then over them: order x mark x class
    steps = np.add.reduceat(votes[orders], [0, *marks[:-1]], axis=1)
    running = np.cumsum(steps, axis=1)
    right_share = np.asarray(goodness)
    at = {
        k: _share_of_winners(_subset_sums(votes, k) if comb(n, k) <= _MOST_SUBSETS else running[:, i], right_share)
        for i, k in enumerate(marks)
    }
    return np.array([at[k] for k in ks])


@lru_cache(maxsize=8)
def _orders(n: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(n), (_ORDERS, 1)), axis=1)


def _subset_sums(votes: Floats, k: int) -> Floats:
    from itertools import combinations

    return np.array([votes[list(chosen)].sum(axis=0) for chosen in combinations(range(len(votes)), k)])


def _share_of_winners(sums: Floats, goodness: Floats) -> float:
    top = sums.max(axis=1, keepdims=True)
    # sums of the same weights in another order differ in the last bits, and are ties all the same
    winners = (sums >= top - 1e-9) & (top > 0)
    count = np.maximum(winners.sum(axis=1), 1)
    return float(np.mean((winners * goodness).sum(axis=1) / count))


def _classes(labels: Sequence[int], right: Sequence[bool]) -> tuple[list[int], list[float]]:
    """Size and right share of each class, in order of appearance."""
    sizes: dict[int, int] = {}
    rights: dict[int, int] = {}
    for label, good in zip(labels, right, strict=True):
        if label >= 0:
            sizes[label] = sizes.get(label, 0) + 1
            rights[label] = rights.get(label, 0) + bool(good)
    return list(sizes.values()), [rights[x] / sizes[x] for x in sizes]


@lru_cache(maxsize=65536)
def _wins(own: int, others: tuple[int, ...], silent: int) -> Floats:
    """For k = 0 .. n, the chance that a class of size `own` wins the vote of k attempts, a tie of t counting 1/t.

    ways[t, x] counts subsets of the others with x attempts, of which t classes got exactly m votes and none more:
    the product of one small polynomial per class. Many problems share their sizes, hence the cache.
    """
    n = own + sum(others) + silent
    totals = np.array([float(comb(n, k)) for k in range(n + 1)])
    wins = np.zeros(n + 1)
    for m in range(1, own + 1):
        ways = np.array([[float(comb(silent, x)) for x in range(silent + 1)]])
        for size in others:
            below = np.array([float(comb(size, x)) for x in range(min(m - 1, size) + 1)])
            grown = np.zeros((ways.shape[0] + (size >= m), ways.shape[1] + size))
            for x, count in enumerate(below):
                grown[: ways.shape[0], x : x + ways.shape[1]] += count * ways
            if size >= m:
                grown[1:, m : m + ways.shape[1]] += comb(size, m) * ways
            ways = grown
        shares = (ways / np.arange(1, ways.shape[0] + 1)[:, None]).sum(axis=0)
        reach = min(len(shares), n + 1 - m)
        wins[m : m + reach] += comb(own, m) * shares[:reach]
    return wins / totals


def _ratio(a: int, n: int, k: int) -> float:
    """C(a, k) / C(n, k), without large numbers."""
    if a < k:
        return 0.0
    steps = np.arange(k, dtype=np.float64)
    return float(np.prod((a - steps) / (n - steps)))


def _check(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k must lie in 1..{n} (the number of attempts), got {k}")
