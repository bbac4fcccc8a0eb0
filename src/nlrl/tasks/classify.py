"""What kind of problem is this? Weighted evidence for what is asked, in 15 to 50 microseconds.

>>> kind = classify_task("What is 17 + 25?")
>>> kind
'math'
>>> kind.evidence[:2]
[('?#', 1.4), ('<# op #>', 1.21)]

A prompt becomes a set of readable features (`nlrl.tasks.evidence`). Each has one weight per class; the class with the
largest sum wins, and without evidence it is commonsense. The concepts of words are written by hand, the weights are a
multinomial logistic regression, learned by `scripts/learn_classifier.py`; both stand in `classifier.json` next to this
file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from nlrl.core import TaskType
from nlrl.tasks.evidence import Lexicon, features, lexicon

LABELS = (TaskType.MATH, TaskType.CODING, TaskType.COMMONSENSE)  # the order of the weights in the file


class Weights(NamedTuple):
    """The learned file: the concepts; one weight per class of `LABELS` for no evidence (`bias`) and each feature."""

    lexicon: Lexicon
    bias: tuple[float, float, float]
    weights: dict[str | tuple[str, str], tuple[float, float, float]]


class Classification(str):
    """The label as a string, with its reasons: `classify_task(p) == "math"`, `.evidence`, `.scores`.

    label     the same as a `TaskType`
    evidence  (feature, weight for this label) of every known feature found, strongest first
    scores    probability of each class, adding up to 1
    """

    __slots__ = ("_found", "label", "scores")

    label: TaskType
    scores: Mapping[TaskType, float]
    _found: tuple[str | tuple[str, str], ...]

    def __new__(
        cls, label: TaskType, scores: Mapping[TaskType, float], found: tuple[str | tuple[str, str], ...] = ()
    ) -> Classification:
        self = super().__new__(cls, label.value)
        self.label, self.scores, self._found = label, scores, found
        return self

    @property
    def evidence(self) -> list[tuple[str, float]]:
        """Known features that were found, with their weight for the label, by falling size of the weight."""
        column, weights = LABELS.index(self.label), learned().weights
        named = ((f if isinstance(f, str) else " ".join(f), weights[f][column]) for f in self._found)
        return sorted(named, key=lambda pair: (-abs(pair[1]), pair[0]))

    def __getnewargs__(self) -> tuple[TaskType, Mapping[TaskType, float], tuple[str | tuple[str, str], ...]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.label, self.scores, self._found  # for pickle and copy


def classify_task(prompt: str, *, known: Weights | None = None) -> Classification:
    """The kind of a prompt: "math", "coding" or "commonsense". A prompt without evidence is commonsense.

    Never fails on a string; looks at 550 characters only, so its cost is bounded.
    `known` are other weights than the shipped ones, for measuring.
    """
    known = known or learned()
    weights, found = known.weights, []
    math_, coding, commonsense = known.bias
    for feature in features(prompt, known.lexicon):
        w = weights.get(feature)
        if w is not None:
            found.append(feature)
            math_ += w[0]
            coding += w[1]
            commonsense += w[2]
    if not found:
        return Classification(TaskType.COMMONSENSE, {t: float(t is TaskType.COMMONSENSE) for t in LABELS})
    top = max(math_, coding, commonsense)
    m, c, s = math.exp(math_ - top), math.exp(coding - top), math.exp(commonsense - top)
    total = m + c + s
    scores = {TaskType.MATH: m / total, TaskType.CODING: c / total, TaskType.COMMONSENSE: s / total}
    label = LABELS[2] if s == 1.0 else LABELS[0] if m == 1.0 else LABELS[1]
    return Classification(label, scores, tuple(found))


def as_feature(name: str) -> str | tuple[str, str]:
    """The feature of that name: two concepts stand with a space between them."""
    first, space, second = name.partition(" ")
    return (first, second) if space and not name.startswith("<") else name


@cache
def learned() -> Weights:
    """The shipped concepts and weights, read once."""
    raw = json.loads(files("nlrl.tasks").joinpath("classifier.json").read_text("utf-8"))
    weights = {as_feature(name): tuple(w) for name, w in raw["weights"].items()}
    return Weights(lexicon(raw["words"], raw["rules"]), tuple(raw["bias"]), weights)  # pyright: ignore[reportArgumentType]
