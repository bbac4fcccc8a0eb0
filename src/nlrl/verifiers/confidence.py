"""How sure the model was of its own words, from log-probabilities alone; no second model, no reference.

self_certainty  mean over tokens of KL(uniform || p)  (Kang et al. 2025, arXiv 2502.18581)
mean_logprob    mean log-probability of the sampled tokens, as the geometric mean probability
lowest_group    the least confident stretch: the minimum over sliding windows of mean token confidence, which is the
                negative mean log-probability of the best alternatives (DeepConf, Fu et al. 2025, arXiv 2508.15260)

A backend reports only the best few alternatives. The mass that is left is spread evenly over the rest of the
vocabulary, which is the distribution nearest to uniform that fits what is known: the approximation is a lower bound
of KL(uniform || p). With one prompt and one model it ranks answers; across models the numbers do not compare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from nlrl.core import Candidate, Problem, Score, TokenLogprob, Verdict
from nlrl.verifiers._verdicts import unparsed

Measure = Literal["self_certainty", "mean_logprob", "lowest_group"]

MIN_LOGPROB = -30.0  # a grammar leaves alternatives at -inf
MIN_REST = 1e-6  # float32 log-probabilities do not resolve less than this of remaining mass
VOCABULARY = 50_000  # where the size is unknown; it shifts all values alike and hardly changes their order
GROUP_TOKENS = 128  # DeepConf uses 2048 on traces of tens of thousands of tokens; ours are hundreds
CONFIDENCE_SCALE = 8.0  # maps DeepConf's open range into [0, 1); typical confidences lie between 3 and 16


def token_certainty(token: TokenLogprob, vocabulary: int = VOCABULARY) -> float:
    """KL(uniform || p) in nats of one token's distribution, as far as it is known; 0 for a uniform one."""
    known = _known(token)
    mass = math.fsum(math.exp(p) for p in known)
    rest = max(1.0 - mass, MIN_REST)
    n_rest = vocabulary - len(known)
    if n_rest <= 0:  # all of it is known
        return max(0.0, -math.fsum(known) / len(known) - math.log(len(known)))
    total = math.fsum(known) + n_rest * math.log(rest / n_rest)
    return max(0.0, -total / vocabulary - math.log(vocabulary))


def self_certainty(tokens: Sequence[TokenLogprob], vocabulary: int = VOCABULARY) -> float:
    """Mean token certainty in nats; at least 0."""
    return math.fsum(token_certainty(t, vocabulary) for t in tokens) / len(tokens)


def mean_logprob(tokens: Sequence[TokenLogprob]) -> float:
    """Mean log-probability of the sampled tokens in nats; at most 0."""
    return min(0.0, math.fsum(t.logprob for t in tokens) / len(tokens))


def token_confidence(token: TokenLogprob) -> float:
    """DeepConf's token confidence: minus the mean log-probability of the alternatives; high where one takes all."""
    known = _known(token)
    return -math.fsum(known) / len(known)


def lowest_group(tokens: Sequence[TokenLogprob], window: int = GROUP_TOKENS) -> float:
    """The smallest mean confidence of `window` tokens in a row (of all tokens, if there are fewer)."""
    values = [token_confidence(t) for t in tokens]
    return _lowest_mean(values, window)


def _lowest_mean(values: Sequence[float], window: int) -> float:
    window = min(window, len(values))
    total = math.fsum(values[:window])
    lowest = total
    for i in range(window, len(values)):
        total += values[i] - values[i - window]
        lowest = min(lowest, total)
    return lowest / window


class SelfCertainty:
    """Scores by the model's own certainty, mapped into [0, 1] without changing the order.

    measure     see the module; "lowest_group" without alternatives falls back on the sampled tokens' probabilities
    window      tokens in a group
    vocabulary  size of the model's vocabulary, where known

    It cannot tell right from wrong, so its verdict is always to abstain, with a value. Without log-probabilities it
    has no value either (0.5). A candidate without an answer is unparsed.
    """

    needs_logprobs = True  # of the draws: they must be asked for when drawing

    def __init__(
        self, measure: Measure = "self_certainty", *, window: int = GROUP_TOKENS, vocabulary: int = VOCABULARY
    ) -> None:
        if measure not in ("self_certainty", "mean_logprob", "lowest_group"):
            raise ValueError(f"measure must be self_certainty, mean_logprob or lowest_group, got {measure!r}")
        if window < 1 or vocabulary < 2:
            raise ValueError(f"window must be at least 1 and vocabulary at least 2, got {window} and {vocabulary}")
        self.measure: Measure = measure
        self.window, self.vocabulary = window, vocabulary

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        return [self._score(candidate) for candidate in candidates]

    def _score(self, candidate: Candidate) -> Score:
        if candidate.answer is None:
            return unparsed()
        tokens = [t for t in candidate.completion.logprobs or () if _usable(t)]
        if not tokens:
            return Score(0.5, Verdict.ABSTAIN, reason="the completion carries no log-probabilities")
        if self.measure == "mean_logprob":
            raw = mean_logprob(tokens)
            value = math.exp(raw)
        elif self.measure == "self_certainty":
            raw = self_certainty(tokens, self.vocabulary)
            value = raw / -math.log(MIN_REST)
        elif all(t.top for t in tokens):
            raw = lowest_group(tokens, self.window)
            value = 1 - math.exp(-raw / CONFIDENCE_SCALE)
        else:
            raw = _lowest_mean([t.logprob for t in tokens], self.window)
            value = math.exp(min(raw, 0.0))
        return Score(
            min(1.0, max(0.0, value)), Verdict.ABSTAIN, reason=f"{self.measure} {raw:.4f} over {len(tokens)} tokens"
        )


def _usable(token: TokenLogprob) -> bool:
    """Some backends report NaN or -inf for tokens that a grammar forced."""
    return math.isfinite(token.logprob)


def _known(token: TokenLogprob) -> list[float]:
    """Log-probabilities of the alternatives, or of the sampled token where there are none; -inf is cut off."""
    return [max(p, MIN_LOGPROB) for _, p in token.top if not math.isnan(p)] or [token.logprob]
