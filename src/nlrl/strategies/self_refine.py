"""Self-Refine (Madaan et al. 2023, 2303.17651), with a verifier that keeps the better of old and new."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, BudgetExhausted, Candidate, Problem, Sampling, Stopped, Verifier, assistant, user

_CRITIQUE = (
    "Check the answer above. Go through it step by step and name the first real mistake, in at most three sentences. "
    "If there is none, reply with exactly: No mistake."
)
_REVISE = "A reviewer says: {critique}\n\nSolve the task again and correct this. Keep the format of the first answer."


async def self_refine(problem: Problem, compute: Compute, *, rounds: int = 2, verifier: str = "default") -> Answer:
    """Draft, let the model criticise its draft, revise; keep a revision only if the verifier likes it better.

    Stops when the critique finds nothing, when a round brings no gain, or after `rounds`.

    One unit of budget buys one critique and one revision, in sequence. Fails when the model cannot see its own
    mistakes: without a good verifier, right answers are revised to wrong ones (Huang et al. 2023, 2310.01798).
    """
    judge = compute.verifier(verifier)
    drafts = await compute.sample(problem, 1)
    if not drafts:
        return compute.answer(None)
    return await refine(problem, compute, drafts[0], judge, rounds=rounds)


async def refine(
    problem: Problem, compute: Compute, draft: Candidate, judge: Verifier, *, rounds: int, enough: float | None = None
) -> Answer:
    """The draft, or the best of its revisions: each is made after a critique, and kept if `judge` likes it better.

    enough  a score above it ends the refining; None: only the full score does
    """
    best = (await compute.score(problem, [draft], judge))[0]
    stopped = Stopped.DONE
    try:
        for _ in range(rounds):
            if _value(best) == 1.0 or (enough is not None and _value(best) > enough):
                stopped = Stopped.SETTLED
                break
            dialogue = (*compute.prompt(problem), assistant(best.text))
            limit = Sampling(max_tokens=160)
            critique = await compute.ask((*dialogue, user(_CRITIQUE)), sampling=limit, problem=problem)
            if "no mistake" in critique.text.lower():
                stopped = Stopped.SETTLED
                break
            request = user(_REVISE.replace("{critique}", critique.text.strip()))
            revisions = await compute.revise(problem, (*dialogue, request), parents=[best])
            scored = await compute.score(problem, revisions, judge)
            if not scored or _value(scored[0]) <= _value(best):
                stopped = Stopped.NO_GAIN
                break
            best = scored[0]
    except BudgetExhausted as spent:
        stopped = Stopped(spent.reason)  # the best so far, which may be the draft itself
    return compute.answer(best, confidence=_value(best), stopped=stopped)


def _value(candidate: Candidate) -> float:
    return candidate.score.value if candidate.score else 0.0
