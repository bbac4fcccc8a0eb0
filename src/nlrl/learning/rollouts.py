"""How good was each step? Finish the text from there a few times and see how often it comes out right.

    labelled = await label_attempts(problems, model, attempts=4, rollouts=4, bank=Bank("prm.sqlite"))
    labelled.attempts[0].shares        # (0.75, 0.75, 0.0): the third step broke it

The soft labels of Math-Shepherd (Wang et al. 2024, arXiv 2312.08935, section 3.3): the label of a step is the share of
its completions that reach the reference. Everything is drawn through `Compute`: charged, kept in the bank (running it
again goes on where it stopped), and bounded by one budget for all problems.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

from nlrl.answers.extraction import extract_answer
from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import (
    ANSWER_PHRASE,
    Budget,
    Candidate,
    Finish,
    Model,
    Phase,
    Problem,
    PromptTooLong,
    Sampling,
    Stopped,
    TokenLogprob,
    Usage,
    UserError,
    Verdict,
    Verifier,
)
from nlrl.verifiers.prm.steps import step_ends, steps_of

ALTERNATIVES = 5  # reported per token, as the strategies ask for
MAX_STEPS = 8  # labelled per attempt; of more, these are spread evenly and the last is always among them


@dataclass(frozen=True, slots=True)
class LabelledAttempt:
    """One attempt with the worth of its steps.

    labelled  which steps have a label, by index, ascending
    shares    their labels: the share of completions from there that were right, in [0, 1]
    rollouts  how many completions each label rests on; 0 where the text itself had ended, so that it is known
    right     whether the attempt itself was
    """

    problem: Problem
    text: str
    logprobs: tuple[TokenLogprob, ...] | None
    labelled: tuple[int, ...]
    shares: tuple[float, ...]
    rollouts: tuple[int, ...]
    right: bool


@dataclass(frozen=True)
class LabelProgress:
    """Where the labelling is: problems done, steps labelled so far, tokens by the ledger, newly generated ones."""

    done: int
    total: int
    steps: int
    tokens: int
    generated: int


@dataclass
class Labelled:
    """All attempts with labels, in the order of the problems, and what they cost.

    stopped  why it ended before all problems were done; None if it did not
    skipped  why attempts or problems have no labels, and how often
    """

    attempts: list[LabelledAttempt] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    generated: int = 0
    problems: int = 0
    stopped: Stopped | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def steps(self) -> int:
        """Number of labels."""
        return sum(len(a.labelled) for a in self.attempts)


async def label_attempts(
    problems: Sequence[Problem],
    model: Model,
    *,
    attempts: int = 4,
    rollouts: int = 4,
    max_steps: int = MAX_STEPS,
    budget: Budget | None = None,
    bank: Bank | None = None,
    sampling: Sampling | None = None,
    concurrency: int = 4,
    grader: Verifier | None = None,
    on_event: Callable[[LabelProgress], None] | None = None,
) -> Labelled:
    """Attempts at every problem that has a reference, each step labelled by `rollouts` completions.

    budget       for everything together; with one, problems go one after the other, so that a second run ends where
                 the first did
    concurrency  problems in flight without a budget
    grader       judges by the reference; the standard one if not given

    Raises UserError where no problem has a reference, or the model cannot continue a given text.
    """
    if min(attempts, rollouts, max_steps, concurrency) < 1:
        raise UserError(
            f"attempts, rollouts, max_steps and concurrency must be at least 1, got {attempts}, {rollouts}, "
            f"{max_steps}, {concurrency}."
        )
    judged = list({p.id: p for p in problems if p.reference is not None or p.tests or p.constraints}.values())
    if not judged:
        raise UserError(
            f"None of the {len(problems)} problems has a reference answer, so no step can be labelled. "
            "Give data with references, such as --data builtin:math"
        )
    if not model.can.prefill:
        raise UserError(
            f"{model.name} cannot continue a started text, which labelling steps needs. Use an embedded model "
            "(nlrl models list), or a server that can (vLLM, SGLang) opened with prefill=True."
        )
    if grader is None:
        from nlrl.verifiers.reference import ReferenceVerifier

        grader = ReferenceVerifier()
    root = Compute(model, budget=budget, bank=bank, sampling=sampling)
    work = _Labelling(root, grader, attempts, rollouts, max_steps)
    bounded = any(getattr(root.ledger.budget, f.name) is not None for f in fields(Budget))
    out = Labelled()
    found: dict[int, list[LabelledAttempt]] = {}
    waiting = iter(enumerate(judged))

    def tell() -> None:
        if on_event:
            steps = sum(len(a.labelled) for each in found.values() for a in each)
            paid = root.ledger.paid.completion_tokens
            on_event(LabelProgress(len(found), len(judged), steps, root.ledger.total.tokens, paid))

    async def worker() -> None:
        for at, problem in waiting:
            if out.stopped:
                return
            async with root.spawn() as child:
                done = await work.label(child, problem, out.skipped)
                out.stopped = out.stopped or child.stopped
            root.candidates.clear()  # nobody chooses between them, and there may be a hundred thousand
            found[at] = done
            tell()

    tell()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(1 if bounded else min(concurrency, len(judged))):
                group.create_task(worker())
    except BaseExceptionGroup as failures:  # the first says what is wrong; callers expect it, not a group
        raise _first(failures) from None
    out.attempts = [a for at in sorted(found) for a in found[at]]
    out.problems = len(found)
    out.usage = root.ledger.usage()
    out.generated = root.ledger.paid.completion_tokens
    if root.failed:
        out.skipped["a draw failed"] += len(root.failed)
    return out


@dataclass
class _Labelling:
    root: Compute
    grader: Verifier
    attempts: int
    rollouts: int
    max_steps: int

    async def label(self, compute: Compute, problem: Problem, skipped: Counter[str]) -> list[LabelledAttempt]:
        """The labelled attempts at one problem; what cannot be labelled is counted."""
        try:
            with_logprobs = Sampling(logprobs=ALTERNATIVES) if compute.model.can.logprobs else None
            drawn = await compute.sample(problem, self.attempts, phase=Phase.SLEEP, sampling=with_logprobs)
        except PromptTooLong:
            skipped["the problem does not fit into the model's context"] += 1
            return []
        distinct = list({c.text: c for c in drawn}.values())
        if len(distinct) < len(drawn):
            skipped["an attempt repeats another one"] += len(drawn) - len(distinct)
        right = await self._right(problem, distinct)
        labelled = []
        for candidate, verdict in zip(distinct, right, strict=True):
            if verdict is None:
                skipped["an attempt could not be judged"] += 1
            elif not steps_of(candidate.text):
                skipped["an attempt is empty"] += 1
            elif (attempt := await self._steps(compute, problem, candidate, verdict)) is not None:
                labelled.append(attempt)
            else:
                skipped["the budget ended before an attempt was labelled"] += 1
        return labelled

    async def _steps(
        self, compute: Compute, problem: Problem, candidate: Candidate, right: bool
    ) -> LabelledAttempt | None:
        """The attempt with labels for those of its steps that could be afforded; None if for none."""
        text, ends = candidate.text, step_ends(candidate.text)
        over = candidate.completion.finish is not Finish.LENGTH
        labels: dict[int, tuple[float, int]] = {}
        for k in _spread(len(ends), self.max_steps):
            prefix = text[: ends[k]]
            if (over and k == len(ends) - 1) or ANSWER_PHRASE.lower() in prefix.lower():
                labels[k] = float(right), 0  # it has said its answer
                continue
            if not prefix.endswith("\n"):
                prefix += "\n"
            try:
                ends_of_it = await compute.sample(problem, self.rollouts, prefill=prefix, phase=Phase.SLEEP)
            except PromptTooLong:
                break
            whole = [_whole(prefix, c, problem) for c in ends_of_it]
            verdicts = [v for v in await self._right(problem, whole) if v is not None]
            if verdicts:
                labels[k] = sum(verdicts) / len(verdicts), len(verdicts)
            if compute.stopped:
                break
        if not labels:
            return None
        return LabelledAttempt(
            problem,
            text,
            candidate.completion.logprobs,
            tuple(labels),
            tuple(share for share, _ in labels.values()),
            tuple(n for _, n in labels.values()),
            right,
        )

    async def _right(self, problem: Problem, candidates: Sequence[Candidate]) -> list[bool | None]:
        """Whether each is right; a text without an answer is not, None where the grader cannot tell."""
        scores = await self.grader.score(problem, candidates) if candidates else []
        return [None if s.verdict is Verdict.ABSTAIN else s.verdict is Verdict.RIGHT for s in scores]


def _whole(prefix: str, piece: Candidate, problem: Problem) -> Candidate:
    text = prefix + piece.text
    return replace(piece, completion=replace(piece.completion, text=text), answer=extract_answer(text, problem).answer)


def _spread(n: int, most: int) -> list[int]:
    """At most `most` of n indices, evenly spread, with the last among them."""
    if n <= most:
        return list(range(n))
    return sorted({round((i + 1) * n / most) - 1 for i in range(most)})


def _first(failures: BaseExceptionGroup) -> BaseException:
    inner = failures.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
