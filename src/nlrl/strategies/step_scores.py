"""What a process reward model's step scores are worth as one number (Lightman et al. 2023, 2305.20050).

>>> step_value(Score(0.9, steps=(0.8, 0.5, 0.9)), "min")
0.5

A step is a non-empty line of the text; a process verifier gives one value in [0, 1] for each. Snell et al. 2024
(2408.03314, appendix E) found `last` the best for models trained on soft rollout labels; `min` and `prod` suit models
trained on human labels of each step (Lightman et al. 2023); `mean` is the most forgiving.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from nlrl.compute import Compute
from nlrl.core import Candidate, Problem, Score, UnknownName, Verdict, Verifier, VerifierError
from nlrl.verifiers.prm.steps import steps_of

AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda steps: steps[-1],
    "min": min,
    "prod": math.prod,
    "mean": lambda steps: math.fsum(steps) / len(steps),
}


def check_aggregate(aggregate: str) -> None:
    """Raises UnknownName for an aggregate that does not exist: before anything is drawn, not after."""
    if aggregate not in AGGREGATES:
        raise UnknownName("aggregate", aggregate, AGGREGATES)


def step_value(score: Score, aggregate: str = "last", *, text: str | None = None) -> float:
    """The score's step values as one number in [0, 1]; its `value` where it has none.

    text  what was scored; if given, there must be one value for each of its steps

    Raises VerifierError for values that are not numbers in [0, 1] or for the wrong number of them, UnknownName for
    an aggregate that does not exist.
    """
    check_aggregate(aggregate)
    if not score.steps:
        return score.value
    for position, value in enumerate(score.steps, 1):
        if not (isinstance(value, int | float) and 0.0 <= value <= 1.0):  # NaN fails every comparison
            raise VerifierError(f"Step {position} of {len(score.steps)} was scored {value!r}; it must lie in [0, 1].")
    if text is not None and len(score.steps) != (count := len(steps_of(text))):
        raise VerifierError(f"A text of {count} steps got {len(score.steps)} step scores; a step is a non-empty line.")
    return min(1.0, max(0.0, float(AGGREGATES[aggregate](score.steps))))


async def score_steps(
    problem: Problem, compute: Compute, candidates: Sequence[Candidate], verifier: Verifier, aggregate: str
) -> list[Candidate]:
    """The candidates scored, each `score.value` being its step value.

    A broken score among good ones abstains with a note: one failure is data. Raises VerifierError if all are broken,
    or if the verifier cannot even make a score (a value outside [0, 1]).
    """
    try:
        scored = await compute.score(problem, candidates, verifier)
    except ValueError as error:  # `Score` refuses such a value itself, somewhere inside the verifier
        raise VerifierError(f"{type(verifier).__name__} broke its contract: {error}") from error
    valued: list[Candidate] = []
    broken: list[VerifierError] = []
    for candidate in scored:
        score = candidate.score or Score(0.5)
        try:
            score = replace(score, value=step_value(score, aggregate, text=candidate.text))
        except VerifierError as error:
            broken.append(error)
            score = Score(0.5, Verdict.ABSTAIN, reason=str(error))
        valued.append(replace(candidate, score=score))
    if broken:
        message = f"{type(verifier).__name__} broke its contract: {broken[0]}"
        if len(broken) == len(valued) > 1:
            raise VerifierError(message)
        compute.note(f"{message} It abstains where it did.")
    return valued
