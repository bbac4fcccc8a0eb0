"""How attempts are judged: what a verifier costs is reserved and charged, and one that fails abstains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from nlrl.compute.metered import MeteredModel
from nlrl.core import (
    BudgetExhausted,
    Candidate,
    NlrlError,
    Phase,
    PricedVerifier,
    Problem,
    Score,
    SpendingVerifier,
    Stopped,
    Verdict,
    Verifier,
    VerifierError,
)

if TYPE_CHECKING:
    from nlrl.compute.handle import Compute


async def score(
    compute: Compute, problem: Problem, candidates: Sequence[Candidate], verifier: Verifier
) -> list[Candidate]:
    """The candidates with scores, in order. A verifier that fails abstains, with a note.

    Raises VerifierError if the verifier breaks its contract (wrong number of scores).
    """
    known = {c.id: s for c in candidates if (s := compute._shared.scores.get((id(verifier), c.id, c.text)))}
    if known:  # a judgement is bought once
        fresh = [c for c in candidates if c.id not in known]
        judged = iter(await score(compute, problem, fresh, verifier))
        return [replace(c, score=known[c.id]) if c.id in known else next(judged) for c in candidates]
    if not candidates:
        return []
    asked = verifier
    if isinstance(verifier, SpendingVerifier):
        verifier = verifier.metered(
            lambda model: MeteredModel(compute._shared.purse, compute.ledger, model or compute.model)
        )
    try:
        async with asyncio.timeout(compute._seconds_left()), _priced(compute, verifier, problem, candidates):
            scores = await verifier.score(problem, candidates)
    except TimeoutError:
        compute._stop(Stopped.SECONDS)
        scores = [Score(0.5, Verdict.TIMEOUT, reason="the time budget ended")] * len(candidates)
    except BudgetExhausted as spent:
        compute._stop(Stopped(spent.reason))
        scores = [Score(0.5, Verdict.ABSTAIN, reason=str(spent))] * len(candidates)
    except VerifierError:
        raise
    except NlrlError as failure:
        compute.note(f"The verifier failed and abstains: {failure}")
        scores = [Score(0.5, Verdict.ABSTAIN, reason=str(failure))] * len(candidates)
    if len(scores) != len(candidates):
        raise VerifierError(
            f"{type(verifier).__name__} gave {len(scores)} scores for {len(candidates)} candidates; "
            "it must give one each, in order."
        )
    scored = [replace(c, score=s) for c, s in zip(candidates, scores, strict=True)]
    if compute._shared.given:  # after a probe: the strategy may ask for the same judgements
        compute._shared.scores.update({(id(asked), c.id, c.text): s for c, s in zip(candidates, scores, strict=True)})
    by_id = {c.id: c for c in scored}
    compute.candidates = [by_id.get(c.id, c) for c in compute.candidates]
    return scored


@asynccontextmanager
async def _priced(
    compute: Compute, verifier: Verifier, problem: Problem, candidates: Sequence[Candidate]
) -> AsyncIterator[None]:
    """Reserve what a reward model of its own will cost, and charge it. Raises BudgetExhausted."""
    if not isinstance(verifier, PricedVerifier):
        yield
        return
    bound = await verifier.price(problem, candidates)
    while reason := compute.ledger.blocker(bound):
        if not compute.ledger.in_flight:
            raise BudgetExhausted(reason)
        await compute.ledger.freed()
    hold = compute.ledger.reserve(bound)
    try:
        yield
    finally:
        told = getattr(verifier, "spent", None)  # what a server reported, where the bound was not exact
        compute.ledger.settle(hold, Phase.VERIFY, (told and told(problem, candidates)) or bound)
