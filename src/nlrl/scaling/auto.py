"""`strategy=auto`: probe, estimate the difficulty, and spend as the calibrated policy says (Snell et al. 2024)."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Sampling
from nlrl.rewards.equivalence import default_equivalence
from nlrl.scaling.difficulty import place, probe_features
from nlrl.scaling.policy import Policy, check_model, default_policy, load_policy
from nlrl.strategies import get_strategy
from nlrl.strategies.best_of_n import ALTERNATIVES

POLICY = "NLRL_POLICY"  # names the policy file where the strategy's parameters do not


async def auto(
    problem: Problem, compute: Compute, *, policy: str | None = None, price: float = 0.0, foreign: bool = False
) -> Answer:
    """Draw a few attempts, see how hard the problem is, and go on with what pays there.

    `policy` is a file made by `nlrl calibrate`, or else NLRL_POLICY names it; without one a built-in default is used,
    which the answer says. `price` is how much accuracy 1,000 tokens must be worth: at 0.02 two points. `foreign=true`
    allows a policy of another model. The probe is charged in its own phase, and its attempts are the first ones of
    the strategy that is chosen, as far as that samples in the same way.

    One unit of budget buys what the policy's options need. Fails where the problems are unlike those of the
    calibration. Confidence is calibrated where the policy is.
    """
    path = policy or os.environ.get(POLICY)
    plan = _read(path, _stamp(path)) if path else default_policy()
    if path and not foreign:
        check_model(plan, compute.model.name, path)
    for note in (*(plan.notes if not path else ()), *plan.doubts(problem)):
        compute.note(note)
    return await follow(plan, problem, compute, price=price)


async def follow(
    plan: Policy, problem: Problem, compute: Compute, *, price: float = 0.0, known: float | None = None
) -> Answer:
    """The answer under a policy. `known` is the problem's pass@1, where it need not be predicted: nothing is probed."""
    cap = compute.remaining.tokens
    chance = plan.bins[0].pass_at_1 if known is None else known
    bin_at = place(chance, plan.borders)
    if plan.probe and known is None:
        features = await probe(plan.probe, plan.verifier, problem, compute)
        chance = plan.chance(features)
        bin_at = place(chance, plan.borders)
    option = plan.choose(chance, cap, price)
    if cap is not None and option.needs > cap and plan.provenance is not None:
        compute.note(f"The budget of {cap} tokens is smaller than all that was calibrated for this difficulty.")
    if plan.borders:
        how = "Predicted" if known is None else "Given"
        compute.note(f"{how} pass@1 {chance:.2f}, bin {bin_at + 1} of {len(plan.bins)}: {option.strategy}.")
    if option.cap is not None:
        compute.narrow(tokens=option.cap)
    answer = await get_strategy(option.strategy)(problem, compute)
    if plan.confidence is None:
        return answer
    sure = plan.confidence
    return replace(answer, confidence=sure.steps(sure.line.chance(sureness_features(chance, answer.confidence))))


async def probe(n: int, verifier: str, problem: Problem, compute: Compute) -> tuple[float, ...]:
    """The features of the first n attempts, which the next strategy then starts from."""
    judge = compute.verifier(verifier)
    needs = getattr(judge, "needs_logprobs", False)
    if compute.model.can.logprobs and bool(needs(problem) if callable(needs) else needs):
        compute.adopt(Sampling(logprobs=ALTERNATIVES))  # for all that follows, so that it samples in the same way
    attempts: list[Candidate] = await compute.probe(problem, n)
    scored = await compute.score(problem, attempts, judge)
    labels = await default_equivalence().classes([c.answer for c in scored], problem=problem)
    return probe_features(problem, scored, labels)


def sureness_features(chance: float, stated: float | None) -> tuple[float, float]:
    """What calibrated confidence is made of: log odds of the predicted pass@1, and of what the strategy states."""
    return _log_odds(chance), _log_odds(chance if stated is None else stated)


def _log_odds(p: float) -> float:
    p = min(max(p, 0.01), 0.99)
    return math.log(p / (1 - p))


def _stamp(path: str) -> int:
    """Changes when the file does; 0 where there is none, which reading it will say."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=32)
def _read(path: str, stamp: int) -> Policy:
    return load_policy(path)
