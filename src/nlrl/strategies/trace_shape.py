"""What the shape of a trace says about its answer, without reading a word of it.

    weights = load_weights("weights.json")          # fitted by `nlrl.evaluation.fit_trace_weights`
    shape = trace_shape(tokens=5210, label=0, looks=[(1500, 2), (2600, 0), (4100, 0)])
    weights.chances_of([shape, ...])                # the chance of each trace to be right

A trace's `looks` are forced answers at some of its points, as classes of answers (-1: none). Features are ratios and
ranks within one problem where they can be, so that they carry over to other problems and models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlrl.core import DataError

LOOK_AT = (0.3, 0.5, 0.65, 0.8, 0.9)  # fractions of a finished trace; 5 looks of 16 tokens on a trace of thousands
FEATURES = (
    "settled",  # fraction of the trace from which on all looks show its final answer
    "first",  # fraction at which a look first shows it
    "steady",  # share of the looks that show it
    "switches",  # share of neighbouring looks that differ
    "finished",  # 1 if it ended by itself, 0 if it was cut off
    "log_tokens",  # natural log of its length, over 1,000 tokens
    "log_relative",  # natural log of its length over the median of its siblings
    "rank",  # share of its siblings that are shorter
    "confidence",  # its mean log-probability less that of its siblings; 0 where unknown
)
_OWN = 6  # so many of them do not depend on siblings
VERSION = 1


class Shape(NamedTuple):
    """One trace: its length in tokens, the features that are its own, and its mean log-probability if known."""

    tokens: int
    own: tuple[float, ...]
    logprob: float | None = None


def trace_shape(
    tokens: int,
    label: int,
    looks: Sequence[tuple[int, int]],
    *,
    finished: bool = True,
    logprob: float | None = None,
) -> Shape:
    """The shape of a trace that answers `label` after `tokens` tokens, with looks (tokens, label) at its past.

    Without looks it counts as one that showed its answer only at the end.
    """
    tokens = max(tokens, 1)
    agrees = [seen == label for _, seen in looks]
    settled = first = 1.0
    for (at, _), same in zip(reversed(looks), reversed(agrees), strict=True):
        if not same:
            break
        settled = at / tokens
    if any(agrees):
        first = looks[agrees.index(True)][0] / tokens
    steady = sum(agrees) / len(agrees) if agrees else 0.0
    pairs = [a[1] != b[1] for a, b in pairwise(looks)]
    switches = sum(pairs) / len(pairs) if pairs else 0.0
    own = (settled, first, steady, switches, float(finished), math.log(tokens / 1000))
    return Shape(tokens, own, logprob)


def sibling_features(
    tokens: Sequence[int], logprobs: Sequence[float], running: int = 0, elapsed: int = 0
) -> NDArray[np.float64]:
    """log_relative, rank and confidence (3 x traces) by the traces' lengths and mean log-probabilities (NaN: unknown).

    `running` siblings have `elapsed` tokens so far.
    """
    own = np.maximum(np.array(tokens, dtype=np.float64), 1.0)
    lengths = np.sort(np.concatenate([own, np.full(running, max(elapsed, 1.0))])) if running else np.sort(own)
    n = len(lengths)
    median = (lengths[(n - 1) // 2] + lengths[n // 2]) / 2
    rank = (lengths.searchsorted(own, "left") + lengths.searchsorted(own, "right")) / (2 * n)
    sure = np.array(logprobs, dtype=np.float64)
    known = np.isfinite(sure)
    confidence = np.where(known, sure - sure[known].mean(), 0.0) if known.any() else np.zeros(len(own))
    return np.stack([np.log(own / median), rank, confidence])


@dataclass(frozen=True)
class TraceWeights:
    """A logistic model of whether a trace is right, and what was found to work with it.

    coefficients  by feature name, on the features as they are; with `intercept`
    power         a trace's vote weighs chance ** power, over the mean of that for the traces of its problem so far:
                  what counts is who is better than its siblings, which carries over to harder and easier problems
    calls         settings from thorough to thrifty, as calibration chose them (see `umpire`); may be empty
    means         of the features over the calibration traces, for people
    held_out_auc  cross-validated, by problems left out of the fit; the penalty was chosen by it too, so that it
                  flatters a little; NaN where it could not be had
    provenance    what it was fitted on
    """

    intercept: float
    coefficients: Mapping[str, float]
    power: float = 2.0
    calls: tuple[Mapping[str, Any], ...] = ()
    means: Mapping[str, float] = field(default_factory=dict)
    held_out_auc: float = float("nan")
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def own_score(self, shape: Shape) -> float:
        """The part of a trace's log-odds that does not depend on its siblings."""
        total = self.intercept
        for name, value in zip(FEATURES, shape.own, strict=False):
            total += self.coefficients.get(name, 0.0) * value
        return total

    def chances(
        self,
        tokens: Sequence[int],
        own: Sequence[float],
        logprobs: Sequence[float],
        running: int = 0,
        elapsed: int = 0,
    ) -> NDArray[np.float64]:
        """The chance of each trace to be right, seen among its siblings: from lengths, own scores and confidences."""
        factors = np.array([self.coefficients.get(name, 0.0) for name in FEATURES[_OWN:]])
        score = np.array(own) + factors @ sibling_features(tokens, logprobs, running, elapsed)
        return 1 / (1 + np.exp(-np.clip(score, -40, 40)))

    def votes(
        self,
        tokens: Sequence[int],
        own: Sequence[float],
        logprobs: Sequence[float],
        running: int = 0,
        elapsed: int = 0,
    ) -> NDArray[np.float64]:
        """What the vote of each trace weighs: 1 on average."""
        heavy = self.chances(tokens, own, logprobs, running, elapsed) ** self.power
        return heavy / heavy.mean()

    def chances_of(self, shapes: Sequence[Shape]) -> NDArray[np.float64]:
        """`chances` of traces that have all ended."""
        sure = [float("nan") if s.logprob is None else s.logprob for s in shapes]
        return self.chances([s.tokens for s in shapes], [self.own_score(s) for s in shapes], sure)


def save_weights(weights: TraceWeights, path: str | Path) -> None:
    """Write as JSON that people can read."""
    content = {"version": VERSION, **asdict(weights)}
    if math.isnan(weights.held_out_auc):
        content["held_out_auc"] = None
    Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@lru_cache(maxsize=16)
def _loaded(path: str, stamp: int) -> TraceWeights:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content.pop("version") != VERSION:
            raise ValueError(f"its version is not {VERSION}")
        unknown = sorted(set(content["coefficients"]) - set(FEATURES))
        if unknown:
            raise ValueError(f"it names unknown features: {', '.join(unknown)}")
        if content.get("held_out_auc") is None:
            content["held_out_auc"] = float("nan")
        content["calls"] = tuple(content.get("calls", ()))
        numbers = [content["intercept"], content["power"], *content["coefficients"].values()]
        if not all(isinstance(x, int | float) and math.isfinite(x) for x in numbers):
            raise ValueError("a number in it is missing or not finite")
        return TraceWeights(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot be used as trace weights: {error!r}. Fit them again.", path=path) from error


def load_weights(path: str | Path) -> TraceWeights:
    """Read weights; a file is read once and again when it changes. Raises DataError if it cannot be used."""
    file = Path(path)
    try:
        stamp = file.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    return _loaded(str(file), stamp)
