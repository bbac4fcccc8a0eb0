"""What an answer counts: 1 where it is right, 0 where it is not, a share where only the order of a draw decided.

    values = outcomes(records, silent(records))        # {problem id: 1.0, 0.0 or a share}

Where equals lead (two answers with as many votes, two attempts with one score), a strategy takes the earlier, and which
that is was chance. The row counts what all of them are worth on the average, by the functions of the curves, so that
the same samples have one number. What failed, was not read, or could not be judged is not right. Left out are only
problems on which nothing at all could be judged, such as those without a reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nlrl.core import Verdict
from nlrl.evaluation.estimators import best_of_k, weighted_at_k
from nlrl.evaluation.records import Record
from nlrl.strategies import selection_of


def silent(records: Iterable[Record]) -> set[str]:
    """The problems on which the grader could not tell even once."""
    abstained: set[str] = set()
    judged: set[str] = set()
    for record in records:
        verdicts = [a.verdict for a in record.attempts]
        verdicts += [record.answer.verdict] if record.answer and not record.error else []
        for verdict in verdicts:
            (abstained if verdict == Verdict.ABSTAIN else judged).add(record.problem.id)
    return abstained - judged


def outcomes(records: Sequence[Record], unknown: set[str]) -> dict[str, float]:
    """What each record's answer counts, by problem, without those on which nothing is known."""
    return {r.problem.id: outcome(r) for r in records if r.problem.id not in unknown and (r.error or r.answer)}


def outcome(record: Record) -> float:
    """What one answer counts, in [0, 1]."""
    if record.error or record.answer is None:
        return 0.0
    shared = _shared(record)
    return float(record.answer.verdict == Verdict.RIGHT) if shared is None else shared


def _shared(record: Record) -> float | None:
    """The mean of all that the strategy might as well have answered; None where it chose by other means."""
    select = selection_of(record.strategy)
    attempts, n = record.attempts, len(record.attempts)
    place = next((i for i, a in enumerate(attempts) if record.answer and a.id == record.answer.chosen), None)
    if select is None or place is None or len(record.classes) != n:
        return None
    if record.answer is None or attempts[place].verdict != record.answer.verdict:
        return None  # it made something else of the attempt
    right = [a.verdict == Verdict.RIGHT for a in attempts]
    weights = [1.0] * n if select == "majority" else [a.score or 0.0 for a in attempts]
    if select == "best":
        led, value = weights[place] == max(weights), best_of_k(weights, right, n)
    else:
        sums: dict[int, float] = {}
        for label, weight in zip(record.classes, weights, strict=True):
            sums[label] = sums.get(label, 0.0) + (weight if label >= 0 else 0.0)
        led = 0 < sums[record.classes[place]] >= max(sums.values()) - 1e-9
        value = float(weighted_at_k(record.classes, weights, right, [n])[0])
    return value if led else None  # else it chose by something that is not in the record
