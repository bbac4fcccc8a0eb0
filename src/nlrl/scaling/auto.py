"""`strategy=auto`: probe, estimate the difficulty, and spend as the calibrated policy says (Snell et al. 2024)."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace as replace_struct

from nlrl.answers.equivalence import default_equivalence
from nlrl.compute import Compute
from nlrl.core import Answer, Budget, Candidate, Problem, Sampling, Stopped, UserError, Verifier
from nlrl.scaling.built_in import ASSUMED, lengths_of, strategy_for
from nlrl.scaling.difficulty import place, probe_features
from nlrl.scaling.policy import Option, Policy, check_model, default_policy, load_policy
from nlrl.strategies import attempts_of, get_strategy
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
    plan, path = plan_for(policy, compute.model.name, price=price, foreign=foreign)
    for note in (*(plan.notes if not path else ()), *plan.doubts(problem)):
        compute.note(note)
    return await follow(plan, problem, compute, price=price)


def plan_for(policy: str | None, model: str, *, price: float = 0.0, foreign: bool = False) -> tuple[Policy, str | None]:
    """The policy that `auto` will follow, and its file if it has one.

    Raises UserError or DataError for a file that cannot be used, or one of another model.
    """
    if not price >= 0:
        raise UserError(f"auto: price must be 0 or more, got {price}.")
    path = policy or os.environ.get(POLICY)
    plan = _read(path, _stamp(path)) if path else default_policy()
    if path and not foreign:
        check_model(plan, model, path)
    return plan, path


async def follow(
    plan: Policy,
    problem: Problem,
    compute: Compute,
    *,
    price: float = 0.0,
    known: float | None = None,
    samples: int | None = None,
) -> Answer:
    """The answer under a policy.

    known    the problem's pass@1, where it need not be predicted: nothing is probed
    samples  attempts in all, those of the probe included, beside what the budget says; where a policy was calibrated,
             the best of its options that makes no more. Without a calibration a limit of calls is one of samples
    """
    probes = (plan.probe and known is None) or (plan.assumed and compute.remaining.tokens is not None)
    sampling = _read_by(plan.verifier, problem, compute) if probes else None
    async with compute.within(sampling=sampling) as handle:
        return await _followed(plan, problem, handle, price, known, samples)


async def _followed(
    plan: Policy, problem: Problem, compute: Compute, price: float, known: float | None, samples: int | None
) -> Answer:
    cap = compute.remaining.tokens
    if samples is None and plan.assumed and (calls := compute.remaining.calls) is not None:
        samples = max(calls, 1)
    chance = plan.bins[0].pass_at_1 if known is None else known
    wanted = plan.probe if samples is None else min(plan.probe, samples)
    seen = 0
    if plan.probe and known is None:
        features, seen = await probe(wanted, plan.verifier, problem, compute)
        chance = plan.chance(features) if seen else chance
        if seen < wanted and compute.stopped:
            compute.note(
                f"The budget held {seen} of {wanted} attempts of the probe, so the difficulty is a rough guess. "
                "Attempts reserve their longest length: a lower limit of tokens lets more of them start."
            )
            compute.stopped = None  # the probe wanted more than there was; what follows may want less
        elif seen and wanted < plan.probe:
            compute.note(f"{samples} samples hold {wanted} of {plan.probe} attempts of the probe: a rough guess.")
    bin_at = place(chance, plan.borders)
    option = await _option(plan, bin_at, chance, problem, compute, cap, price, samples, seen)
    fits = cap is None or option.needs <= cap
    if not fits and plan.provenance is not None:
        compute.note(f"The budget of {cap} tokens is smaller than all that was calibrated for this difficulty.")
    if plan.borders and (seen or known is not None):
        how = "Predicted" if known is None else "Given"
        compute.note(f"{how} pass@1 {chance:.2f}, bin {bin_at + 1} of {len(plan.bins)}: {option.strategy}.")
    spent = compute.ledger.total.tokens
    limit = Budget() if option.cap is None else Budget(tokens=max(option.cap - spent, 0))
    async with compute.within(limit) as inner:
        answer = await get_strategy(option.strategy)(problem, inner)
    as_measured = fits and (seen == plan.probe or known is not None)
    as_measured &= option.cap is not None or answer.stopped in (Stopped.DONE, Stopped.SETTLED, Stopped.NO_GAIN)
    if plan.confidence is None or answer.value is None or not as_measured:
        return answer
    sure = plan.confidence
    stated = sure.steps(sure.line.chance(sureness_features(chance, answer.confidence)))
    return replace(answer, confidence=stated, calibrated=True)


async def _option(
    plan: Policy, bin_at: int, chance: float, problem: Problem, compute: Compute, cap: int | None, price: float,
    samples: int | None, seen: int,
) -> Option:  # fmt: skip
    """What to do in a bin, by the tokens and the samples that there may be; `seen` attempts were made by the probe."""
    if not plan.assumed:
        return within(plan, bin_at, samples).choose(chance, cap, price)
    judged = not _reads_certainty(compute.verifier(plan.verifier), problem)
    if samples is not None and cap is None:
        way = strategy_for(bin_at, samples, judged=judged, heads=seen)
        return Option(way, 0.0, 0, chance, 0.0, 1.0)
    if not seen and cap is not None:  # no probe: the first attempt shows how long they are
        await probe(1, plan.verifier, problem, compute)
    lengths = lengths_of(compute.candidates)
    sized = default_policy(lengths or ASSUMED, judged=judged, heads=max(1, seen))
    option = within(sized, bin_at, samples).choose(chance, cap, price)
    if cap is not None and lengths is not None:
        compute.note(f"Sized by {lengths}, as it was seen here: about {option.tokens:.0f} of {cap} tokens.")
    return option


def within(plan: Policy, bin_at: int, samples: int | None) -> Policy:
    """The policy with the options of a bin that make no more attempts than there may be; the least where all do."""
    if samples is None:
        return plan
    options = plan.bins[bin_at].options
    fitting = [o for o in options if attempts_of(o.strategy) <= samples]
    fitting = fitting or [min(options, key=lambda o: attempts_of(o.strategy))]
    bins = [replace_struct(b, options=tuple(fitting)) if at == bin_at else b for at, b in enumerate(plan.bins)]
    return replace_struct(plan, bins=tuple(bins))


def _read_by(verifier: str, problem: Problem, compute: Compute) -> Sampling | None:
    """What draws must report for the probe's verifier to read; what follows must then sample in the same way."""
    reads = compute.model.can.logprobs and _reads_certainty(compute.verifier(verifier), problem)
    return Sampling(logprobs=ALTERNATIVES) if reads else None


def _reads_certainty(judge: Verifier, problem: Problem) -> bool:
    """Whether nothing but the model's own certainty says which attempt is good."""
    needs = getattr(judge, "needs_logprobs", False)
    return bool(needs(problem)) if callable(needs) else bool(needs)


async def probe(n: int, verifier: str, problem: Problem, compute: Compute) -> tuple[tuple[float, ...], int]:
    """The features of the first n attempts, from which the next strategy then starts, and how many there were."""
    judge = compute.verifier(verifier)
    attempts: list[Candidate] = await compute.probe(problem, n)
    scored = await compute.score(problem, attempts, judge)
    labels = await default_equivalence().classes([c.answer for c in scored], problem=problem)
    return probe_features(problem, scored, labels), len(scored)


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
