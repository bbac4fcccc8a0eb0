"""FLOPs: what answering and pretraining cost, and when a small model with test-time compute beats a larger one.

    small, large = Shape(0.5e9), Shape(7e9)
    match = matched(small, large, pretraining_tokens=1e12, inference_tokens=1e12)
    match.times, match.ratio, match.factor         # 14.0, 1.0, 53.0: 53 times the tokens of one large answer

A forward pass costs 2 floating point operations per weight and token (a multiplication and an addition), a training
step three times that (Kaplan et al. 2020, 2001.08361, section 2.1): 2N per token that is generated or prefilled, 6ND
for pretraining. Tokens read from a prefix cache cost nothing. A model M times larger, pretrained on as many tokens,
costs M (6 N D + 2 N T); the small one costs 6 N D + 2 N T k with k times the tokens. Both are equal at
k = M + 3 (M - 1) / R, where R = T / D (Snell et al. 2024, 2408.03314, section 7).

Not covered: embeddings and norms apart from the weights, sparse experts (give the active weights), quantisation,
memory traffic, and what reward models cost beyond the tokens they are charged for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.core import Spend, UserError

FORWARD = 2.0  # per weight and token
TRAINING = 6.0  # forward once, backward twice


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model counts.

    parameters  weights, N
    layers      number of attention layers, and
    width       heads x size of a head (d_attn, mostly d_model): both needed for the attention term only
    """

    parameters: float
    layers: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        _positive("parameters", self.parameters)
        for name in ("layers", "width"):
            value = getattr(self, name)
            if value is not None:
                _positive(name, value)


@dataclass(frozen=True, slots=True)
class Flops:
    """Floating point operations: of the weights, and of attention (0 where it was not asked for)."""

    weights: float
    attention: float = 0.0

    @property
    def total(self) -> float:
        """Both."""
        return self.weights + self.attention

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.weights + other.weights, self.attention + other.attention)


def forward_flops(shape: Shape, tokens: float, *, context: float = 0, attention: bool = False) -> Flops:
    """One sequence grows by `tokens` after `context` tokens that are already in the cache.

    attention  add the scores and the weighted sum: 4 x layers x width per token and token it looks at, itself
               included. Token number p of a sequence looks at p tokens (causal)
    """
    _counts("tokens", tokens)
    _counts("context", context)
    looked_at = tokens * context + tokens * (tokens + 1) / 2
    return Flops(FORWARD * shape.parameters * tokens, _attention(shape) * looked_at if attention else 0.0)


def answer_flops(
    shape: Shape,
    prompt_tokens: float,
    completion_tokens: Sequence[float],
    *,
    cached_tokens: float = 0,
    attention: bool = False,
) -> Flops:
    """One call: a prompt that is evaluated once, and draws that share it.

    completion_tokens  one number per draw
    cached_tokens      of the prompt, found in a prefix cache: not evaluated, but looked at

    Raises UserError where more is cached than there is.
    """
    _counts("cached_tokens", cached_tokens)
    if cached_tokens > prompt_tokens:
        raise UserError(f"{cached_tokens:g} cached tokens of a prompt of {prompt_tokens:g}: it cannot be more.")
    total = forward_flops(shape, prompt_tokens - cached_tokens, context=cached_tokens, attention=attention)
    for tokens in completion_tokens:
        total += forward_flops(shape, tokens, context=prompt_tokens, attention=attention)
    return total


def spend_flops(shape: Shape, spend: Spend) -> Flops:
    """What a ledger's account cost: 2N per uncached prompt token and generated token, cancelled ones included."""
    fresh = spend.prompt_tokens - spend.cached_tokens
    return Flops(FORWARD * shape.parameters * (fresh + spend.completion_tokens))


def pretraining_flops(
    shape: Shape, tokens: float, *, sequence_tokens: float | None = None, attention: bool = False
) -> Flops:
    """6ND. The attention term needs the length of the training sequences, and is three times that of a forward pass."""
    _counts("tokens", tokens)
    weights = TRAINING * shape.parameters * tokens
    if not attention:
        return Flops(weights)
    if sequence_tokens is None or not sequence_tokens >= 1:
        raise UserError("The attention term of pretraining needs sequence_tokens, one or more.")
    return Flops(weights, 3 * _attention(shape) * tokens * (sequence_tokens + 1) / 2)


@dataclass(frozen=True, slots=True)
class Match:
    """A small model and a larger one at equal FLOPs, pretraining and inference together.

    times         M, how many times more weights the larger one has
    ratio         R, inference tokens of the larger one / pretraining tokens
    factor        how many times the larger one's inference tokens the small one may spend
    small_tokens  inference tokens of the small one in all, factor x those of the larger
    flops         the common total
    """

    times: float
    ratio: float
    factor: float
    small_tokens: float
    flops: float


def matched(
    small: Shape,
    large: Shape,
    *,
    pretraining_tokens: float,
    inference_tokens: float,
    small_pretraining_tokens: float | None = None,
) -> Match:
    """The tokens that the small model may spend for the FLOPs of the larger one.

    inference_tokens          of the larger model over its whole life, prompts included
    small_pretraining_tokens  if it was trained on another number of tokens; the factor is then no longer
                              M + 3 (M - 1) / R, and below 0 where its training alone cost more than all of the larger

    Raises UserError for numbers that are not above zero, or a small model that is the larger one.
    """
    _positive("pretraining_tokens", pretraining_tokens)
    _positive("inference_tokens", inference_tokens)
    if small_pretraining_tokens is not None:
        _positive("small_pretraining_tokens", small_pretraining_tokens)
    if large.parameters < small.parameters:
        raise UserError(
            f"The small model has {small.parameters:g} weights, the large one {large.parameters:g}; swap them."
        )
    times = large.parameters / small.parameters
    ratio = inference_tokens / pretraining_tokens
    own = pretraining_tokens if small_pretraining_tokens is None else small_pretraining_tokens
    # divided by 2 N D: M (3 + R) = 3 D'/D + R k
    factor = times + 3 * (times - own / pretraining_tokens) / ratio
    total = large.parameters * (TRAINING * pretraining_tokens + FORWARD * inference_tokens)
    return Match(times, ratio, factor, factor * inference_tokens, total)


def factor_at(times: float, ratio: float) -> float:
    """M + 3 (M - 1) / R: how many times the tokens, both pretrained on as many."""
    _positive("times", times)
    _positive("ratio", ratio)
    return times + 3 * (times - 1) / ratio


def ratio_at(times: float, factor: float) -> float:
    """The R at which a factor is just allowed: below it, the small model may spend more. Infinite at factor = M,
    which is allowed always. Raises UserError for a factor below M: that much is always allowed."""
    _positive("times", times)
    if factor < times:
        raise UserError(f"A factor of {factor:g} is below M = {times:g}, and allowed at every R.")
    return math.inf if factor == times else 3 * (times - 1) / (factor - times)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The small model's best measured point that fits the larger one's FLOPs, at one R.

    allowed     tokens per problem it may spend
    tokens      tokens per problem it does spend, None where not even its cheapest point fits
    accuracy    what it then reaches (0 where nothing fits)
    difference  that less the larger model's accuracy
    measured    whether `allowed` lies within what was measured; beyond it, more tokens might give more
    """

    ratio: float
    factor: float
    allowed: float
    tokens: float | None
    accuracy: float
    difference: float
    measured: bool


def compare_matched(
    small: Shape,
    large: Shape,
    points: Sequence[tuple[float, float]],
    *,
    large_tokens: float,
    large_accuracy: float,
    ratios: Sequence[float] = (0.16, 0.79, 22.0),
) -> list[Comparison]:
    """Small model with test-time compute against the larger one's plain answer, for each R.

    points        (mean tokens per problem, accuracy) of the small model, measured
    large_tokens  mean tokens per problem of the larger one's answer, prompt included, as in `points`
    ratios        R; the default ones are those of Snell et al. 2024, figure 9

    Nothing is interpolated: a point is reached or it is not. Raises UserError for numbers that cannot be.
    """
    if not points:
        raise UserError("The small model needs at least one measured point of (tokens, accuracy).")
    _positive("large_tokens", large_tokens)
    for tokens, accuracy in points:
        _counts("tokens", tokens)
        _share("accuracy", accuracy)
    _share("large_accuracy", large_accuracy)
    times = large.parameters / small.parameters
    found = []
    for ratio in ratios:
        factor = factor_at(times, ratio)
        allowed = factor * large_tokens
        fitting = [p for p in points if p[0] <= allowed]
        best = max(fitting, key=lambda p: (p[1], -p[0]), default=None)
        accuracy = best[1] if best else 0.0
        found.append(
            Comparison(
                ratio,
                factor,
                allowed,
                best[0] if best else None,
                accuracy,
                accuracy - large_accuracy,
                allowed <= max(p[0] for p in points),
            )
        )
    return found


def _attention(shape: Shape) -> float:
    if shape.layers is None or shape.width is None:
        raise UserError("The attention term needs the model's number of layers and its width (heads x head size).")
    return 4.0 * shape.layers * shape.width


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name} must be a number above zero, got {value!r}.")


def _counts(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise UserError(f"{name} must be a number, zero or more, got {value!r}.")


def _share(name: str, value: float) -> None:
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise UserError(f"{name} must lie in [0, 1], got {value!r}.")
