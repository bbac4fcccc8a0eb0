"""What kind of problem is this? Weighted, word-bounded keyword evidence, in about 20 microseconds.

>>> kind = classify_task("What is 17 + 25?")
>>> kind
'math'
>>> kind.evidence[:3]
[('what is', 1.07), ('<# op #>', 0.58), ('<?>', -0.53)]

A prompt becomes a set of readable features: its words, pairs of neighbouring words (a number reads as "#", a year as
"@", the start as "^"), and marks of structure in angle brackets. Each feature has one weight per class; the class with
the largest sum wins. The weights are a multinomial logistic regression, learned by `scripts/learn_classifier.py` and
shipped as `classifier.json` next to this file, one feature a line.

Not covered: prompts in languages other than English are judged by their structure alone (digits, formulas, code).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from nlrl.core import TaskType

LABELS = (TaskType.MATH, TaskType.CODING, TaskType.COMMONSENSE)  # the order of the weights in the file

HEAD_CHARS, TAIL_CHARS = 500, 200  # what is looked at: a prompt says what it wants at its start or at its end

# Microseconds count here, so: digits are masked by one `translate`, and marks are plain substrings where possible.
_MASK = str.maketrans("0123456789’", "##########'")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d(?![\d.,%]*\d)")
_WORD = re.compile(r"[a-z#@][a-z#_]*")
_OPERATION = re.compile(r"[#@](?: ?(?:[+*/×÷^−=]|x|\*\*) ?| - )[#@]")
_COMMAND = re.compile(r"\\[a-z(\[{]")
_CALL = re.compile(r"[a-z_]{3}\([^)]*\)")
_SNAKE = re.compile(r"[a-z]{2}_[a-z]{2}")
_FULL_NAME = re.compile(r" [A-Z][a-z]+ [A-Z][a-z]")
_FORMULA_SIGN = re.compile("[√∑∫π≤≥²³∞×÷°∠∈−]")

# A substring that means the same whatever stands around it, the feature it stands for, and its rarest character, which
# is looked for first because that is ten times faster.
_MARKS = (
    ("`", "```", "<code fence>"),
    ("#", "#include", "<include>"),
    (";", "();", "<();>"),
    ("{", ") {", "<) {>"),
    (">", "->", "<->>"),
    (">", "=>", "<=>>"),
    ("=", "==", "<==>"),
    (">", ">>> ", "<doctest>"),
    ('"', '"""', "<docstring>"),
    ("/", "//", "<//>"),
    ("/", "/*", "</*>"),
    ("[", "[#, ", "<[#, >"),
    ("$", "$#", "<$#>"),
    ("%", "#%", "<#%>"),
    ("_", "__", "<blank>"),
    (")", "b) ", "<options>"),
    (".", " b. ", "<options>"),
)
_NUMERALS = frozenset(
    ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "fifteen",
     "twenty", "thirty", "forty", "fifty", "hundred", "thousand", "half", "twice", "double", "triple", "third",
     "quarter", "dozen")
)  # fmt: skip
_NUMBERS = ("<numbers 0>", "<numbers 1>", "<numbers 2>", "<numbers 3>", "<numbers 4-6>", "<numbers 4-6>",
            "<numbers 4-6>")  # fmt: skip


class Weights(NamedTuple):
    """The learned file: one weight per class of `LABELS` for no evidence (`bias`) and for each feature."""

    bias: tuple[float, float, float]
    weights: dict[str, tuple[float, float, float]]
    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]


class Classification(str):
    """The label as a string, with its reasons: `classify_task(p) == "math"`, `.evidence`, `.scores`.

    label     the same as a `TaskType`
    evidence  (feature, weight for this label) of every known feature found, strongest first
    scores    probability of each class, adding up to 1
    """

    __slots__ = ("_found", "label", "scores")

    label: TaskType
    scores: Mapping[TaskType, float]
    _found: tuple[str, ...]

    def __new__(cls, label: TaskType, scores: Mapping[TaskType, float], found: tuple[str, ...] = ()) -> Classification:
        self = super().__new__(cls, label.value)
        self.label, self.scores, self._found = label, scores, found
        return self

    @property
    def evidence(self) -> list[tuple[str, float]]:
        """Known features that were found, with their weight for the label, by falling size of the weight."""
        column, weights = LABELS.index(self.label), learned().weights
        return sorted(((f, weights[f][column]) for f in self._found), key=lambda pair: (-abs(pair[1]), pair[0]))

    def __getnewargs__(self) -> tuple[TaskType, Mapping[TaskType, float], tuple[str, ...]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.label, self.scores, self._found  # for pickle and copy


def classify_task(prompt: str, known: Weights | None = None) -> Classification:
    """The kind of a prompt: "math", "coding" or "commonsense". A prompt without words or without
    evidence is commonsense.

    Never fails on a string; looks at its first 500 and last 200 characters only, so its cost is bounded.
    `known` are other weights than the shipped ones, for measuring.
    """
    known = known or learned()
    words, marks = read(prompt)
    weights = known.weights
    found = [*known.words.intersection(words), *map(" ".join, known.pairs.intersection(zip(["^", *words], words)))]  # noqa: B905
    found += [mark for mark in marks if mark in weights]
    if not words or not found or found == ["<numbers 0>"]:  # the absence of numbers alone says nothing
        return Classification(TaskType.COMMONSENSE, {t: float(t is TaskType.COMMONSENSE) for t in LABELS})
    math_, coding, commonsense = known.bias
    for feature in found:
        w = weights[feature]
        math_ += w[0]
        coding += w[1]
        commonsense += w[2]
    top = max(math_, coding, commonsense)
    m, c, s = math.exp(math_ - top), math.exp(coding - top), math.exp(commonsense - top)
    total = m + c + s
    scores = {TaskType.MATH: m / total, TaskType.CODING: c / total, TaskType.COMMONSENSE: s / total}
    label = LABELS[0] if m == 1.0 else LABELS[1] if c == 1.0 else LABELS[2]
    return Classification(label, scores, tuple(found))


def read(prompt: str) -> tuple[list[str], list[str]]:
    """The words of a prompt in order, numbers as "#", and its marks of structure."""
    if len(prompt) > HEAD_CHARS + TAIL_CHARS:
        prompt = prompt[:HEAD_CHARS] + "\n" + prompt[-TAIL_CHARS:]
    masked = prompt.lower().translate(_MASK)
    if "####" in masked:
        masked = _YEAR.sub("@", prompt.lower()).translate(_MASK)
    marks = []
    flat = masked.replace("##", "#").replace("##", "#").replace("##", "#").replace("#.#", "#").replace("#,#", "#")
    words = _WORD.findall(flat)

    numbers = words.count("#") + len(_NUMERALS.intersection(words))
    marks.append(_NUMBERS[numbers] if numbers < 7 else "<numbers 7+>")
    if numbers > 1:
        if ". " in flat:
            marks.append("<numbers in sentences>")
        if "how many" in flat or "how much" in flat:
            marks.append("<how many of numbers>")
    if _OPERATION.search(flat):
        marks.append("<# op #>")
    if "\\" in flat and _COMMAND.search(flat):
        marks.append("<\\command>")  # in LaTeX, calls and underscores mean something else
    else:
        if "(" in flat and _CALL.search(flat):
            marks.append("<call()>")
        if "_" in flat and _SNAKE.search(flat):
            marks.append("<snake_case>")
    if not flat.isascii() and _FORMULA_SIGN.search(flat):
        marks.append("<formula sign>")
    if _FULL_NAME.search(prompt):
        marks.append("<Full Name>")
    if "\n" in flat:
        marks.append("<lines>" if flat.count("\n") < 4 else "<many lines>")
    if flat.endswith(("?", "? ", "?\n")):
        marks.append("<?>")
    marks += [feature for rare, mark, feature in _MARKS if rare in flat and mark in flat]
    return words, marks


def features(prompt: str) -> set[str]:
    """The set of features of a prompt, whether the weights know them or not. The learning script uses it."""
    words, marks = read(prompt)
    return {*words, *map(" ".join, zip(["^", *words], words, strict=False)), *marks}


@cache
def learned() -> Weights:
    """The shipped weights, read once."""
    raw = json.loads(files("nlrl.tasks").joinpath("classifier.json").read_text("utf-8"))
    return compile_weights(tuple(raw["bias"]), {feature: tuple(w) for feature, w in raw["weights"].items()})


def compile_weights(bias: tuple[float, float, float], weights: dict[str, tuple[float, float, float]]) -> Weights:
    """Sort the features by kind, as `classify_task` looks them up."""
    plain = [f for f in weights if not f.startswith("<")]
    pairs = [tuple(f.split(" ")) for f in plain if " " in f]
    return Weights(bias, weights, frozenset(f for f in plain if " " not in f), frozenset(pairs))  # pyright: ignore[reportArgumentType]
