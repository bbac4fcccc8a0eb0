"""How hard is a problem for this model? By an oracle, and from the first few attempts.

    oracle_bins([0.9, 0.1, 0.5], bins=3)                      # [0, 2, 1]: 0 is the easiest
    features = probe_features(problem, attempts, labels)      # of the attempts that are drawn anyway
    difficulty.chance(features)                               # predicted pass@1; 1 is easy

Snell et al. 2024 (2408.03314, section 3.2) bin problems by the pass@1 of 2,048 samples (oracle) or by the mean score of
a verifier (predicted), and do not charge for either. Here the probe is a handful of attempts, charged, and handed on to
the strategy as its first ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from nlrl.core import Candidate, Problem

FEATURES = (
    "agreement",  # share of the attempts that agree with the largest class
    "second",  # share of the second largest class
    "distinct",  # number of different answers over the number of attempts
    "unparsed",  # share of attempts without an answer
    "score",  # mean score of the attempts by the verifier; 0.5 where it does not say
    "leader_score",  # mean score of the largest class
    "log_tokens",  # natural log of the mean length of an attempt in tokens, plus one
    "log_prompt",  # natural log of the question's length in characters, plus one
)


def probe_features(problem: Problem, attempts: Sequence[Candidate], labels: Sequence[int]) -> tuple[float, ...]:
    """What the probe shows, in the order of FEATURES.

    labels  class of each attempt's answer; negative where there is none
    """
    n = len(attempts)
    asked = math.log1p(len(problem.question))
    if not n:
        return (0.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.0, asked)
    sizes = Counter(label for label in labels if label >= 0)
    top = [size for _, size in sizes.most_common(2)] + [0, 0]
    leader = next((label for label, size in sizes.items() if size == top[0]), None)
    scores = [c.score.value if c.score else 0.5 for c in attempts]
    led = [s for s, label in zip(scores, labels, strict=True) if label == leader]
    tokens = sum(c.completion.completion_tokens for c in attempts) / n
    return (
        top[0] / n,
        top[1] / n,
        len(sizes) / n,
        sum(label < 0 for label in labels) / n,
        sum(scores) / n,
        sum(led) / len(led) if led else 0.5,
        math.log1p(tokens),
        asked,
    )


def edges(chances: Sequence[float], bins: int, *, least: int = 1) -> tuple[float, ...]:
    """Inner borders of `bins` bins with about equally many problems, easiest first, so falling.

    Where ties or too few problems do not allow it, there are fewer bins: each holds at least `least` of the problems.
    """
    values = np.sort(np.asarray(chances, dtype=np.float64))[::-1]
    most = max(1, min(bins, len(values) // max(1, least)))
    for count in range(most, 1, -1):
        cuts = [len(values) * i // count for i in range(1, count)]
        borders = tuple(float((values[c - 1] + values[c]) / 2) for c in cuts)
        sizes = Counter(place(v, borders) for v in values)
        if len(sizes) == count and min(sizes.values()) >= least:
            return borders
    return ()


def place(chance: float, borders: Sequence[float]) -> int:
    """The bin of a predicted pass@1: 0 is the easiest."""
    return sum(chance <= border for border in borders)


def oracle_bins(pass_at_1: Sequence[float], bins: int = 5) -> list[int]:
    """The bin of each problem by its true pass@1; needs to know the answers, and is for comparison."""
    borders = edges(pass_at_1, bins)
    return [place(p, borders) for p in pass_at_1]
