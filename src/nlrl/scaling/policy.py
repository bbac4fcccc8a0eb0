"""The compute-optimal policy: which strategy pays for which difficulty, as a file that people can read.

    policy = load_policy("policy.json")
    option = policy.choose(chance=0.35, cap=4000)     # Option(strategy='weighted_vote(n=16)', accuracy=0.61, ...)

A policy is measured on one model and one kind of problem by `nlrl calibrate`, and says so: used on another model it is
refused, used on another kind of problem it adds a note to the answer.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from nlrl.core import DataError, Problem, UserError
from nlrl.scaling.built_in import ASSUMED, EASY, HARD, MEDIUM, Lengths, ways
from nlrl.scaling.difficulty import FEATURES, place
from nlrl.scaling.logistic import Logistic, Staircase
from nlrl.strategies import get_strategy, parse_strategy

VERSION = 1
_PROBE = 4  # attempts of the built-in policy's probe
_Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Option(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to spend in a bin, as measured there.

    strategy  what is run after the probe
    tokens    mean tokens per problem, probe and verification included
    most      the most tokens that any problem took
    cap       the budget in tokens it was measured under, None for no limit
    accuracy  share right in the bin, shrunk towards all problems where the bin is small
    low, high 95 % interval of the share right in the bin
    """

    strategy: str
    tokens: float
    most: int
    accuracy: _Chance
    low: float
    high: float
    cap: int | None = None

    @property
    def needs(self) -> int:
        """The budget that this option was seen to need."""
        return self.most if self.cap is None else self.cap


class Bin(msgspec.Struct, frozen=True):
    """Problems of about one difficulty; bin 0 is the easiest. `options` are the efficient ones, cheapest first."""

    problems: int
    pass_at_1: _Chance
    options: Annotated[tuple[Option, ...], msgspec.Meta(min_length=1)]


class Sureness(msgspec.Struct, frozen=True):
    """From predicted difficulty and what a strategy says of itself to a calibrated confidence."""

    line: Logistic
    steps: Staircase


class Level(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the policy reached on problems it had not seen (two-fold cross-validation).

    cap, price  the budget and the price of tokens it was asked to keep to
    """

    accuracy: float
    low: float
    high: float
    tokens: float
    cap: int | None = None
    price: float = 0.0


class Provenance(msgspec.Struct, frozen=True):
    """Where a policy comes from.

    bank     hash of the recorded samples it was made from: the same hash means the same samples
    source   the data as named
    """

    created: str
    nlrl: str
    bank: str
    source: str
    problems: int
    samples: int
    strategies: tuple[str, ...]
    caps: tuple[int, ...]
    seed: int
    sampling: dict[str, Any] = {}


class Policy(msgspec.Struct, frozen=True):
    """A calibrated policy. `probe` attempts are drawn first (0: none, and then there is one bin).

    assumed  nothing is measured: the options are sized when they are used (`nlrl.scaling.built_in`)
    """

    model: str
    tasks: tuple[str, ...]
    probe: Annotated[int, msgspec.Meta(ge=0)]
    verifier: str
    difficulty: Logistic | None
    borders: tuple[float, ...]
    bins: Annotated[tuple[Bin, ...], msgspec.Meta(min_length=1)]
    confidence: Sureness | None = None
    expected: tuple[Level, ...] = ()
    provenance: Provenance | None = None
    notes: tuple[str, ...] = ()
    version: int = VERSION
    assumed: bool = False

    def chance(self, features: tuple[float, ...]) -> float:
        """Predicted pass@1 of a problem from its probe; the calibration set's where there is no probe."""
        return self.difficulty.chance(features) if self.difficulty else self.bins[0].pass_at_1

    def choose(self, chance: float, cap: int | None = None, price: float = 0.0) -> Option:
        """The option of the problem's bin with the best accuracy less `price` per 1,000 tokens.

        cap  tokens that may be spent, probe included
        """
        options = self.bins[place(chance, self.borders)].options
        return options[best_option([(o.cap, o.accuracy, o.tokens, o.most) for o in options], cap, price)]

    def doubts(self, problem: Problem) -> list[str]:
        """Why this problem may lie outside of what was calibrated."""
        kind = str(problem.task_type) if problem.task_type else None
        if kind and self.tasks and kind not in self.tasks:
            return [f"The policy was calibrated on {', '.join(self.tasks)} problems; this one is {kind}."]
        return []


def best_option(
    options: Sequence[tuple[int | None, float, float, int]], cap: int | None, price: float, *, capped: bool = False
) -> int:
    """Index of the best of (cap, accuracy, mean tokens, most tokens).

    Under a cap: what was measured under it or a smaller one, and what never took more (not if `capped`: then only what
    was measured under a cap counts, which is exact). If nothing fits, what needs least.
    """
    at = range(len(options))
    if cap is None:
        fitting = [i for i in at if options[i][0] is None]
    else:
        fitting = [i for i in at if (under := options[i][0]) is not None and under <= cap]
        if not capped:
            fitting += [i for i in at if options[i][0] is None and options[i][3] <= cap]
    fitting = fitting or [min(at, key=lambda i: options[i][0] or options[i][3])]
    return max(fitting, key=lambda i: (options[i][1] - price * options[i][2] / 1000, -options[i][2]))


def check_model(policy: Policy, name: str, where: str) -> None:
    """Raises UserError if the policy was measured on another model."""
    if policy.model not in ("", name):
        raise UserError(
            f"The policy {where} was calibrated on {policy.model}, and the model is {name}. "
            "Calibrate it for this model (nlrl calibrate), or insist with auto(..., foreign=true)."
        )


def load_policy(path: str | Path) -> Policy:
    """Read a policy file. Raises UserError if it cannot be read, DataError if it is not one."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        hint = f"Name {path / 'policy.json'}" if path.is_dir() else f"Make one with nlrl calibrate --out {path.parent}"
        raise UserError(f"The policy {path} cannot be read: {error.strerror}. {hint}") from error
    try:
        policy = msgspec.json.decode(raw, type=Policy)
        if policy.version != VERSION:
            raise ValueError(f"it has version {policy.version}; this nlrl reads version {VERSION}. Calibrate again")
        _check(policy)
        if len(policy.bins) != len(policy.borders) + 1:
            raise ValueError(f"{len(policy.bins)} bins do not fit {len(policy.borders)} borders")
        if list(policy.borders) != sorted(policy.borders, reverse=True):
            raise ValueError("the borders must fall: bin 0 is the easiest")
        if policy.difficulty and not (
            len(policy.difficulty.weights)
            == len(policy.difficulty.means)
            == len(policy.difficulty.scales)
            == len(FEATURES)
        ):
            raise ValueError(f"the difficulty needs {len(FEATURES)} weights: {', '.join(FEATURES)}")
        if policy.borders and not (policy.difficulty and policy.probe):
            raise ValueError("several bins need a probe and a difficulty to tell them apart")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"not a policy: {error}. Make it again with nlrl calibrate", path=str(path)) from error
    return policy


def _check(policy: Policy) -> None:
    """Raises ValueError for what would fail, or mislead, only when the policy is used."""
    for option in (o for b in policy.bins for o in b.options):
        spec = parse_strategy(option.strategy)
        if spec.name == "auto":
            raise ValueError("auto cannot be one of its own options")
        try:
            get_strategy(spec)
        except UserError as error:
            raise ValueError(f"its option {option.strategy!r}: {error}".rstrip(".")) from error
        if min(option.tokens, option.most, option.cap or 0) < 0:
            raise ValueError(f"its option {option.strategy!r} has negative tokens")
    if not all(0 <= border <= 1 for border in policy.borders):
        raise ValueError("a border is no chance between 0 and 1")
    if policy.confidence is not None:
        line, steps = policy.confidence.line, policy.confidence.steps
        if not len(line.weights) == len(line.means) == len(line.scales) == 2:
            raise ValueError("the confidence needs two weights")
        rising = list(steps.at) == sorted(steps.at) and list(steps.value) == sorted(steps.value)
        if len(steps.at) != len(steps.value) or not rising or not all(0 <= v <= 1 for v in steps.value):
            raise ValueError("the confidence's steps must rise within 0 and 1")


def save_policy(policy: Policy, path: str | Path) -> None:
    """Write a policy, whole or not at all. Raises UserError if the file cannot be written."""
    path = Path(path)
    text = msgspec.json.format(msgspec.json.encode(policy), indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(text + b"\n")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise UserError(f"The policy {path} cannot be written: {error.strerror}. Name another place.") from error


def default_policy(lengths: Lengths = ASSUMED, *, judged: bool = False, heads: int = _PROBE) -> Policy:
    """Revisions where the first four attempts agree, best of N where they do not, the more the less they do.

    lengths, judged, heads  as in `built_in.ways`; those of the problem at hand are put in when the policy is followed
    The accuracies are not measured: of what the budget holds, the most is taken.
    """

    def bin_of(at: int, pass_at_1: float) -> Bin:
        found = enumerate(ways(at, lengths, judged=judged, heads=heads))
        options = [Option(w.strategy, w.tokens, w.most, pass_at_1 + 0.01 * i, 0.0, 1.0) for i, w in found]
        return Bin(0, pass_at_1, tuple(options))

    agreement = Logistic(0.0, (1.2, *[0.0] * (len(FEATURES) - 1)), (0.6, *[0.0] * 7), (0.25, *[1.0] * 7))
    return Policy(
        model="",
        tasks=(),
        probe=_PROBE,
        verifier="default",
        difficulty=agreement,
        borders=(0.7, 0.3),
        bins=(bin_of(EASY, 0.8), bin_of(MEDIUM, 0.5), bin_of(HARD, 0.2)),
        notes=("No policy was calibrated for this model: the built-in default was used (nlrl calibrate makes one).",),
        assumed=True,
    )
