"""Calibrate once, then spend where it pays.

    done = await calibrate(problems, model, bank=Bank("samples.db"), samples=16)
    save_policy(done.policy, "policy.json")            # then: --strategy "auto(policy='policy.json')"

Panels are drawn once into the bank; every strategy at every budget is replayed on the same samples, with a difficulty
probe and without, the probe charged; problems are binned by predicted difficulty; the efficient choices per bin become
the policy, and two-fold cross-validation says what it is worth. (After Snell et al. 2024, 2408.03314, section 3.2.)
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.compute.bill import DEFAULT_MAX_TOKENS
from nlrl.core import Model, Problem, Sampling, Spend, UserError
from nlrl.evaluation.config import given
from nlrl.evaluation.intervals import LEAST_GROUPS, Interval, clusters_of
from nlrl.scaling.cells import Cells, replay_cells
from nlrl.scaling.choose import (
    Settings,
    Validation,
    as_used,
    assemble,
    better,
    cross_validate,
    fit,
    fit_sureness,
    folds,
    held_out_sureness,
    prices,
)
from nlrl.scaling.policy import Level, Policy, Provenance
from nlrl.strategies import parse_strategy
from nlrl.strategies.best_of_n import ALTERNATIVES
from nlrl.tasks.prompts import messages_for
from nlrl.verifiers.registry import get_verifier

LEAST_PROBLEMS = 8
_IN_FLIGHT = 4
# replayed from the panel alone
_VOTES = {"self_consistency", "best_of_n", "weighted_vote", "adaptive_consistency", "early_stopping"}


@dataclass(frozen=True)
class Progress:
    """Where a calibration is: `stage` is "drawing" or "replaying". `paid` is what was generated so far."""

    stage: str
    done: int
    total: int
    paid: Spend


@dataclass(frozen=True)
class Calibration:
    """A policy and all that it was made from.

    plain, probed  the cells without and with a probe; the same strategies and caps
    validation     of the policy that was kept; `other` of the way that was not
    """

    policy: Policy
    plain: Cells
    probed: Cells
    validation: Validation
    other: Validation
    settings: Settings
    problems: tuple[Problem, ...]


def default_strategies(samples: int) -> tuple[str, ...]:
    """Votes, plain and weighted by scores, best-of-N and adaptive stopping, in doubling sizes as the samples go."""
    sizes = [2**i for i in range(1, int(math.log2(max(samples, 1))) + 1)]
    named = ["direct", *(f"self_consistency(n={n})" for n in sizes if n > 2)]
    named += [f"weighted_vote(n={n})" for n in sizes]
    named += [f"best_of_n(n={n}, select=best)" for n in sizes if n > 2]
    if samples >= 8:
        named += [f"adaptive_consistency(n={samples}, threshold={t})" for t in (0.8, 0.95)]
    return tuple(str(parse_strategy(s)) for s in named)


async def calibrate(
    problems: Sequence[Problem],
    model: Model,
    *,
    bank: Bank,
    samples: int = 16,
    strategies: Sequence[str] = (),
    caps: Sequence[int] = (),
    probe: int = 4,
    bins: int = 5,
    verifier: str = "auto",
    sampling: Sampling | None = None,
    source: str = "",
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Calibration:
    """Measure strategies x caps on the model's own samples and make the policy.

    samples     attempts per problem that are drawn first; those the bank has are not drawn again
    strategies  what to choose between; sizes of votes and of best-of-N, and adaptive consistency, if not given
    caps        budgets in tokens per problem that the policy shall hold for; without one it may spend what pays
    probe       attempts in the difficulty probe; 0 makes a policy of one bin

    Raises UserError for too few problems, none with a reference, or samples that do not reach beyond the probe.
    """
    unique = list({p.id: p for p in problems}.values())
    _check(unique, samples, probe, bins, caps, seed)
    named = tuple(dict.fromkeys(str(parse_strategy(s)) for s in strategies)) or default_strategies(samples)
    if any(parse_strategy(s).name == "auto" for s in named):
        raise UserError("auto cannot be calibrated on itself. Name the strategies that it shall choose between.")
    for spec in map(parse_strategy, named):
        size = spec.parameters.get("n", 0)
        if spec.name in _VOTES and isinstance(size, int) and size > samples:
            raise UserError(f"{spec} needs {size} attempts a problem, and {samples} are drawn. Raise --samples.")
    base = sampling or Sampling()
    judge = get_verifier(verifier)

    def drawing(problem: Problem) -> Sampling:
        chosen = base
        if chosen.seed is not None:  # one seed for all problems would tie their luck together
            chosen = replace(chosen, seed=(chosen.seed + zlib.crc32(problem.id.encode())) % 2**31)
        needs = getattr(judge, "needs_logprobs", False)
        if chosen.logprobs is None and model.can.logprobs and bool(needs(problem) if callable(needs) else needs):
            chosen = replace(chosen, logprobs=ALTERNATIVES)
        return chosen

    digest, prompt_tokens = await _draw(unique, model, bank, samples, drawing, on_progress)
    fitting, notes = _fitting_caps(caps, model, prompt_tokens, base)
    common = {"caps": fitting, "verifier": verifier, "sampling": drawing, "samples": samples}
    ways = []
    for attempts in dict.fromkeys((0, probe)):
        before = len(ways) * len(unique)
        total = len(unique) * (2 if probe else 1)

        def tell(done: int, before: int = before, total: int = total) -> None:
            on_progress(Progress("replaying", before + done, total, Spend()))

        ways.append(
            await replay_cells(unique, model, bank, named, probe=attempts, on_problem=tell, **common)  # type: ignore[arg-type]
        )
    settings = Settings(bins, probe=probe, caps=fitting, seed=seed)
    return _decide(
        unique, model.name, verifier, ways[0], ways[-1], settings, named, samples, source, digest, base, notes
    )


def _fitting_caps(
    caps: Sequence[int], model: Model, prompt_tokens: int, sampling: Sampling
) -> tuple[tuple[int, ...], list[str]]:
    """The caps that hold one whole attempt. A smaller one would cut attempts short, which makes them other samples
    than the recorded ones; imported attempts are never cut."""
    wanted = sorted(set(caps))
    least = 0 if getattr(model, "is_panel", False) else prompt_tokens + (sampling.max_tokens or DEFAULT_MAX_TOKENS)
    fitting = tuple(c for c in wanted if c >= least)
    notes = []
    if len(fitting) < len(wanted):
        left = ", ".join(str(c) for c in wanted if c < least)
        notes.append(
            f"Budgets of {left} tokens may not hold one attempt (prompt and at most "
            f"{sampling.max_tokens or DEFAULT_MAX_TOKENS} tokens: {least}) and were left out; lower --max-tokens."
        )
    return fitting, notes


def _check(problems: Sequence[Problem], samples: int, probe: int, bins: int, caps: Sequence[int], seed: int) -> None:
    if len(problems) < LEAST_PROBLEMS:
        raise UserError(
            f"A calibration needs at least {LEAST_PROBLEMS} different problems, got {len(problems)}. "
            "50 and more give bins that mean something."
        )
    if not any(p.reference is not None or p.tests is not None or p.constraints for p in problems):
        raise UserError("None of the problems has a reference or tests, so nothing can be measured on them.")
    if bins < 1 or probe < 0:
        raise UserError(f"bins must be at least 1 and probe at least 0, got {bins} and {probe}.")
    if seed < 0:
        raise UserError(f"The seed must be 0 or more, got {seed}.")
    if caps and min(caps) < 1:
        raise UserError(f"A budget must be at least 1 token, got {min(caps)}.")
    if samples <= probe:
        raise UserError(
            f"{samples} samples do not reach beyond a probe of {probe}. Draw more (--samples) or probe less (--probe)."
        )


async def _draw(
    problems: Sequence[Problem],
    model: Model,
    bank: Bank,
    samples: int,
    drawing: Callable[[Problem], Sampling],
    on_progress: Callable[[Progress], None],
) -> tuple[str, int]:
    """The panels, as far as the bank lacks them: a hash of all of them, and the longest prompt in tokens."""
    hashes: dict[str, str] = {}
    longest = 0
    on_progress(Progress("drawing", 0, len(problems), Spend()))
    paid = Spend()
    waiting = iter(problems)

    async def worker() -> None:
        nonlocal paid, longest
        for problem in waiting:
            prompt = messages_for(problem)
            compute = Compute(model, bank=bank, sampling=drawing(problem), prompt=lambda _, p=prompt: p)
            attempts = await compute.sample(problem, samples)
            content = "\0".join(f"{c.text}\1{c.answer}\1{c.completion.completion_tokens}" for c in attempts)
            hashes[problem.id] = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
            longest = max([longest, *(c.completion.prompt_tokens for c in attempts)])
            paid = paid + compute.ledger.paid
            on_progress(Progress("drawing", len(hashes), len(problems), paid))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_IN_FLIGHT, len(problems))):
            group.create_task(worker())
    return hashlib.sha256("".join(hashes[p.id] for p in problems).encode()).hexdigest()[:16], longest


def _decide(
    problems: Sequence[Problem],
    model: str,
    verifier: str,
    plain: Cells,
    probed: Cells,
    settings: Settings,
    strategies: tuple[str, ...],
    samples: int,
    source: str,
    digest: str,
    sampling: Sampling,
    said: Sequence[str],
) -> Calibration:
    from nlrl.core.version import __version__

    if not np.isfinite(plain.right).any():
        raise UserError("None of the answers could be judged. Check that the problems have references of their kind.")
    at = prices(plain)
    best = other = cross_validate(plain, settings, probed=False, at=at)
    if settings.probe:
        other = cross_validate(probed, settings, probed=True, at=at)
        if better(other, best):
            best, other = other, best
    cells = probed if best.probed else plain
    fitted = fit(cells, settings, probed=best.probed)
    notes = [*said, *_notes(plain, best, fitted.sizes, settings)]
    sure = held_out_sureness(best, folds(len(problems), settings.seed))
    pays = sure is not None and sure.squared[1] < sure.squared[0]
    if sure is not None and sure.squared[1] > sure.squared[0]:
        notes.append("Calibrating the confidence made it worse on problems it had not seen: it stays as stated.")
    policy = assemble(
        fitted,
        cells,
        model=model,
        verifier=verifier,
        probe=settings.probe,
        tasks=tuple(sorted({str(p.task_type) for p in problems if p.task_type})),
        confidence=fit_sureness(as_used(best)) if pays else None,
        expected=tuple(
            Level(round(a.mean, 4), round(low, 4), round(high, 4), round(float(p.tokens.mean()), 1), p.cap, p.price)
            for p in (*best.by_cap, *best.by_price)
            for a in [p.accuracy]
            for low, high in [(a.low, a.high) if a.known else (0.0, 1.0)]
        ),
        provenance=Provenance(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            nlrl=__version__,
            bank=digest,
            source=source,
            problems=len(problems),
            samples=samples,
            strategies=strategies,
            caps=settings.caps,
            seed=settings.seed,
            sampling=given(sampling),
        ),
        notes=tuple(notes),
    )
    return Calibration(policy, plain, probed, best, other, settings, tuple(problems))


def _notes(plain: Cells, best: Validation, sizes: Sequence[int], settings: Settings) -> list[str]:
    notes = []
    known = plain.pass_at_1[np.isfinite(plain.pass_at_1)]
    if settings.probe and not best.probed:
        notes.append(
            "On problems it had not seen, choosing by difficulty did not pay for its probe: the policy is the same "
            "for all problems. More problems, or other strategies, may change that."
        )
    if best.probed and len(sizes) < settings.bins:
        notes.append(
            f"{sum(sizes)} problems do not fill {settings.bins} bins of at least {settings.least}: "
            f"there are {len(sizes)}."
        )
    if len(known) and float(known.mean()) in (0.0, 1.0):
        what = "right" if known.mean() else "wrong"
        notes.append(f"All attempts were {what}: on such problems no strategy can be told from another.")
    groups = int(clusters_of(plain.groups).max()) + 1 if any(plain.groups) else len(plain.groups)
    if any(plain.groups) and groups < LEAST_GROUPS:
        notes.append(
            f"No intervals: the problems come in {groups} groups, and from fewer than {LEAST_GROUPS} nothing can be "
            "said of the next ones (files that need ends have 0 and 1). Add problems of other groups."
        )
    judged = np.isfinite(plain.right[0]).mean()
    if judged < 1:
        notes.append(f"{1 - judged:.0%} of the problems could not be judged and count for tokens only.")
    return notes


def same_tokens(accuracy: Sequence[float], tokens: Sequence[float], at: float) -> float:
    """Tokens at which a curve first reaches the accuracy `at`, linear between its points; infinity if it never does."""
    order = np.argsort(tokens)
    reach = np.maximum.accumulate(np.asarray(accuracy, dtype=np.float64)[order])
    spent = np.asarray(tokens, dtype=np.float64)[order]
    if at > reach[-1]:
        return math.inf
    i = int(np.searchsorted(reach, at, side="left"))
    if i == 0 or reach[i] == reach[i - 1]:
        return float(spent[i])
    part = (at - reach[i - 1]) / (reach[i] - reach[i - 1])
    return float(spent[i - 1] + part * (spent[i] - spent[i - 1]))


def curve(picks: Sequence[object]) -> list[tuple[float, Interval]]:
    """(mean tokens, accuracy) of every point of a validation, cheapest first."""
    points = [(float(p.tokens.mean()), p.accuracy) for p in picks]  # type: ignore[attr-defined]
    return sorted(points, key=lambda point: point[0])
