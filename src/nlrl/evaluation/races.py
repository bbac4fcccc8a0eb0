"""Recorded traces as the umpire sees them: lengths, shapes, classes of answers, and which of those are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.answers.extraction import extract_answer
from nlrl.bank import Bank, Draw, panel_key
from nlrl.core import Candidate, Completion, Finish, Problem, Verdict
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.trace_shape import LOOK_AT, Shape, trace_shape
from nlrl.strategies.umpire import MOST
from nlrl.verifiers.reference import ReferenceVerifier


@dataclass(frozen=True)
class RaceTrace:
    """A recorded trace as the umpire would see it.

    looks  number of forced answers that weighing it takes
    said   class of its answer, -1 if it has none
    label  class of what it votes for where it was looked at: without an answer, what it last showed
    """

    tokens: int
    looks: int
    said: int
    label: int
    shape: Shape


@dataclass(frozen=True)
class Race:
    """The traces of one problem; `right` holds the classes that are right answers. `judged` is false where no answer
    could be told right or wrong, as without a reference."""

    problem_id: str
    traces: tuple[RaceTrace, ...]
    right: frozenset[int]
    prompt_tokens: int
    judged: bool = True


async def read_races(
    problems: Sequence[Problem], bank: Bank, model_name: str, *, traces: int = MOST, looks: bool = True
) -> list[Race]:
    """The recorded traces of each problem, in order; empty where there are none."""
    families: dict[str, list[Draw]] = {}
    if not model_name.startswith("panel:"):
        for _, problem_id, draws in bank.families(model_name):
            if problem_id is not None and len(draws) > len(families.get(problem_id, ())):
                families[problem_id] = draws
    found = []
    for problem in problems:
        draws = families.get(problem.id) or list(
            (await bank.get(panel_key(model_name, problem), range(traces))).values()
        )
        found.append(await _race(problem, draws[:traces], looks))
    return found


async def _race(problem: Problem, draws: Sequence[Draw], looks: bool) -> Race:
    vote, grader = RunningVote(problem), ReferenceVerifier()
    traces, texts = [], {}
    for draw in draws:
        c, answer = draw.completion, draw.answer
        if answer is None and c.text:
            answer = extract_answer(c.text, problem).answer
        seen: dict[int, str | None] = {}
        if looks:
            for fraction in LOOK_AT:
                limit = int(c.completion_tokens * fraction)
                past = next((p for p in reversed(draw.probes) if p[0] <= limit), None)
                if past is not None:
                    seen[past[0]] = past[1]
        labelled = [(at, vote.glance(seen[at])) for at in sorted(seen)]
        said = await vote.label(answer)
        if answer is None and seen:
            answer = seen[max(seen)]
        label = await vote.label(answer)
        if label >= 0:
            texts.setdefault(label, (answer, c.text))
        sure = [t.logprob for t in c.logprobs or ()]
        shape = trace_shape(
            c.completion_tokens,
            vote.glance(answer),
            labelled,
            finished=c.finish in (Finish.STOP, Finish.RULE),
            logprob=sum(sure) / len(sure) if sure else None,
        )
        traces.append(RaceTrace(c.completion_tokens, len(labelled), said, label, shape))
    right, known = set(), not texts
    for label, (answer, text) in texts.items():
        (score,) = await grader.score(problem, [Candidate("", Completion(text, Finish.STOP, 0), answer)])
        known |= score.verdict is not Verdict.ABSTAIN
        if score.verdict is Verdict.RIGHT:
            right.add(label)
    prompt = max((d.completion.prompt_tokens for d in draws), default=0)
    return Race(problem.id, tuple(traces), frozenset(right), prompt, known)
