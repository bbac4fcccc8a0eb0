"""Self-Refine (Madaan et al. 2023, 2303.17651), with a verifier that keeps the better of old and new."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Sampling, Stopped, assistant, user

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
    drafts = await compute.score(problem, await compute.sample(problem, 1), judge)
    if not drafts:
        return compute.answer(None)
    best = drafts[0]
    stopped = Stopped.DONE
    for _ in range(rounds):
        if _value(best) == 1.0:
            stopped = Stopped.SETTLED
            break
        dialogue = (*compute.prompt(problem), assistant(best.text))
        critique = await compute.ask((*dialogue, user(_CRITIQUE)), sampling=Sampling(max_tokens=160), problem=problem)
        if "no mistake" in critique.text.lower():
            stopped = Stopped.SETTLED
            break
        request = user(_REVISE.replace("{critique}", critique.text.strip()))
        revised = await compute.score(
            problem, await compute.revise(problem, (*dialogue, request), parents=[best]), judge
        )
        if not revised or _value(revised[0]) <= _value(best):
            stopped = Stopped.NO_GAIN
            break
        best = revised[0]
    return compute.answer(best, confidence=_value(best), stopped=stopped)


def _value(candidate: Candidate) -> float:
    return candidate.score.value if candidate.score else 0.0
