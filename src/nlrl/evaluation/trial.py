"""One problem under one strategy, made into a record; whatever goes wrong in it becomes part of that record."""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from nlrl.answers.equivalence import default_equivalence
from nlrl.answers.extraction import extract_answer
from nlrl.bank import Bank
from nlrl.compute import Compute, Ledger, MeteredModel, Purse
from nlrl.core import (
    NOTHING,
    Answer,
    BankError,
    Budget,
    Candidate,
    Completion,
    Finish,
    Message,
    Model,
    NlrlError,
    NotInBank,
    Problem,
    Sampling,
    Score,
    Spend,
    SpendingVerifier,
    Usage,
    Verdict,
    Verifier,
    VerifierError,
    blind,
)
from nlrl.core.version import __version__
from nlrl.evaluation.config import RunConfig, given
from nlrl.evaluation.records import (
    PANEL,
    SCHEMA,
    AnswerRecord,
    Attempt,
    Failure,
    ProblemRecord,
    Record,
    SpendRecord,
    UsageRecord,
)
from nlrl.strategies import get_strategy, solve
from nlrl.strategies.best_of_n import ALTERNATIVES
from nlrl.verifiers.registry import get_verifier

Prompter = Callable[[Problem], tuple[Message, ...]]
Text = tuple[str, str | None]  # what is judged: a text, and the answer read out of it

_LOOKS = 8  # texts that a grader which asks a model judges at once


@dataclass(eq=False)
class Trials:
    """All that the trials of one run share.

    grader   judges every attempt and answer by the reference; no strategy ever sees it
    on_paid  called with what a trial really generated, which is less than its ledger where the bank served
    """

    config: RunConfig
    model: Model
    bank: Bank
    grader: Verifier
    prompt: Prompter | None = None
    on_paid: Callable[[Spend], None] = lambda spend: None
    _judges: list[Verifier] = field(init=False)
    _verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self._judges = list(_verifiers(self.config))
        self._verifier = get_verifier(self.config.verifier)

    def grades(self) -> Grades:
        """Nothing judged yet; one for each problem."""
        return Grades(self.grader, Purse(self.model, self.bank), self.on_paid)

    async def run(self, row: int, problem: Problem, strategy: str, grades: Grades) -> Record:
        """The record of one strategy, or of the panel. Raises only what must end the run: BankError, cancellation."""
        compute = Compute(
            self.model,
            budget=Budget() if strategy == PANEL else self.config.budget,
            bank=self.bank,
            verifier=self._verifier,
            sampling=self._sampling(problem),
            prompt=self.prompt,
        )
        blank = self._blank(row, problem, strategy)
        # the boundary: one strategy on one problem may fail in any way, and the run goes on
        try:
            return await self._fill(blank, problem, compute, grades)
        except Exception as error:
            if _ends_run(error):
                raise
            return msgspec.structs.replace(
                blank, error=_failure(error), usage=_usage(compute.ledger.usage()), time=time.time()
            )
        finally:
            self.on_paid(compute.ledger.paid)

    async def _fill(self, blank: Record, problem: Problem, compute: Compute, grades: Grades) -> Record:
        answer, failure = None, None
        try:
            if blank.strategy == PANEL:
                unseen = blind(problem)
                await compute.score(unseen, await compute.sample(unseen, self.config.samples or 0))
            else:
                answer = await solve(blank.strategy, blind(problem), compute)
        except Exception as error:  # attributed in the record, which keeps the attempts made so far
            if _ends_run(error):
                raise
            failure = _failure(error)
        if compute.failed and not compute.candidates and failure is None:
            failure = _all_failed(compute.failed)
        candidates = answer.candidates if answer else tuple(compute.candidates)
        bought: dict[Text, Spend] = {}
        verdicts = await grades.of(problem, candidates, bought)
        return msgspec.structs.replace(
            blank,
            messages=tuple((m.role, m.content) for m in compute.prompt(problem)),
            attempts=tuple(_attempt(c, v, problem) for c, v in zip(candidates, verdicts, strict=True)),
            classes=tuple(await default_equivalence().classes([c.answer for c in candidates], problem=problem)),
            answer=await _answer(problem, answer, verdicts, grades, bought) if answer else None,
            failures=dict(Counter(_name_of(c) for c in compute.failed)),
            usage=_usage(answer.usage if answer else compute.answer(None).usage),
            grading=_spend(sum(bought.values(), NOTHING)) if bought else None,
            error=failure,
            time=time.time(),
        )

    def _blank(self, row: int, problem: Problem, strategy: str) -> Record:
        return Record(
            row=row,
            problem=ProblemRecord(
                problem.id,
                problem.question,
                problem.reference,
                problem.task_type,
                problem.source,
                problem.choices,
                problem.group,
            ),
            strategy=strategy,
            model=self.model.name,
            sampling=given(self._sampling(problem)),
            budget={} if strategy == PANEL else given(self.config.budget),
            version=__version__,
            v=SCHEMA,
        )

    def _sampling(self, problem: Problem) -> Sampling:
        """What every draw of this problem starts from. If any verifier of the run reads the model's confidence, all
        strategies draw with it: they can only share samples that were asked for in the same way."""
        sampling = self.config.drawing
        if sampling.seed is not None:
            # one seed for all problems would tie their luck together, and intervals over problems would be wrong
            sampling = replace(sampling, seed=(sampling.seed + zlib.crc32(problem.id.encode())) % 2**31)
        if sampling.logprobs is None and self.model.can.logprobs and any(_reads(j, problem) for j in self._judges):
            return replace(sampling, logprobs=ALTERNATIVES)
        return sampling


@dataclass(eq=False)
class Grades:
    """The grader's verdicts on one problem, each text judged once for all strategies.

    purse    for a grader that asks a model: where its calls pass, into an account of their own
    on_paid  called with what those calls really generated
    """

    grader: Verifier
    purse: Purse | None = None
    on_paid: Callable[[Spend], None] = lambda spend: None
    _known: dict[Text, Score] = field(default_factory=dict)
    _prices: dict[Text, Spend] = field(default_factory=dict)

    async def of(
        self, problem: Problem, candidates: Sequence[Candidate], bought: dict[Text, Spend] | None = None
    ) -> list[Score]:
        """One verdict each, in order. A grader that cannot work abstains, and says why.

        bought  is told what the verdict on each text cost, whoever had it judged first: like samples from the bank,
                verdicts cost every strategy the same
        """
        if problem.reference is None and problem.tests is None and not problem.constraints:
            return [Score(0.5, Verdict.ABSTAIN, reason="the problem has no reference")] * len(candidates)
        fresh = {(c.text, c.answer): c for c in candidates if (c.text, c.answer) not in self._known}
        if fresh:
            scores = await (self._look if self._asks else self._judge)(problem, list(fresh.values()))
            self._known.update(zip(fresh, scores, strict=True))
        if bought is not None and self._asks:
            bought.update({(c.text, c.answer): self._prices[c.text, c.answer] for c in candidates})
        return [self._known[c.text, c.answer] for c in candidates]

    @property
    def _asks(self) -> bool:
        return self.purse is not None and isinstance(self.grader, SpendingVerifier)

    async def _judge(
        self, problem: Problem, candidates: Sequence[Candidate], grader: Verifier | None = None
    ) -> list[Score]:
        try:
            scores = await (grader or self.grader).score(problem, candidates)
        except BankError:
            raise
        except NlrlError as failure:
            scores = [Score(0.5, Verdict.ABSTAIN, reason=str(failure))] * len(candidates)
        if len(scores) != len(candidates):
            raise VerifierError(f"The grader gave {len(scores)} verdicts on {len(candidates)} attempts.")
        return scores

    async def _look(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """Each text by itself and on an account of its own, so that the price of each is known."""
        purse, grader, gate = self.purse, self.grader, asyncio.Semaphore(_LOOKS)
        assert purse is not None and isinstance(grader, SpendingVerifier)

        async def one(candidate: Candidate) -> Score:
            ledger = Ledger()
            metered = grader.metered(lambda model: MeteredModel(purse, ledger, model or purse.model))
            async with gate:
                (score,) = await self._judge(problem, [candidate], metered)
            self._prices[candidate.text, candidate.answer] = ledger.total
            self.on_paid(ledger.paid)
            return score

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(candidate)) for candidate in candidates]
        return [task.result() for task in tasks]


def _verifiers(config: RunConfig) -> list[Verifier]:
    """The verifiers that the panel and the strategies will ask, as far as their parameters name them."""
    names = [config.verifier] if config.samples else []
    for text in config.strategies:
        named = inspect.signature(get_strategy(text)).parameters.get("verifier")
        if named is not None and isinstance(named.default, str):
            names.append(config.verifier if named.default == "default" else named.default)
    return [get_verifier(name) for name in dict.fromkeys(names)]


def _reads(verifier: object, problem: Problem) -> bool:
    needs = getattr(verifier, "needs_logprobs", None)
    return bool(needs(problem) if callable(needs) else needs)


async def _answer(
    problem: Problem, answer: Answer, verdicts: Sequence[Score], grades: Grades, bought: dict[Text, Spend]
) -> AnswerRecord:
    """The answer with its verdict: that of the chosen attempt, unless the strategy made another value of it."""
    grade = None
    for candidate, verdict in zip(answer.candidates, verdicts, strict=True):
        if candidate.id == answer.chosen and candidate.answer == answer.value:
            grade = verdict
    if grade is None and answer.value is None and not answer.text:
        grade = Score(0.0, Verdict.UNPARSED, reason="no attempt was made")
    if grade is None:
        whole = Candidate("answer", Completion(answer.text, Finish.STOP, 0), answer.value)
        grade = (await grades.of(problem, [whole], bought))[0]
    return AnswerRecord(
        value=answer.value,
        text=answer.text,
        confidence=answer.confidence,
        chosen=answer.chosen,
        stopped=answer.stopped,
        notes=answer.notes,
        strict=_strict(answer.text, problem),
        verdict=grade.verdict,
        reason=grade.reason,
        by=grade.by,
    )


def _attempt(candidate: Candidate, verdict: Score, problem: Problem) -> Attempt:
    c, score = candidate.completion, candidate.score
    joined = c.text.startswith("".join(g.text for g in c.gists))
    return Attempt(
        id=candidate.id,
        text=c.text,
        answer=candidate.answer,
        strict=_strict(c.text, problem),
        verdict=verdict.verdict,
        reason=verdict.reason,
        tokens=c.completion_tokens,
        prompt_tokens=c.prompt_tokens,
        path_tokens=candidate.path_tokens,
        finish=c.finish,
        score=score.value if score else None,
        score_verdict=score.verdict if score else "",
        score_reason=score.reason if score else "",
        parents=candidate.parents,
        reasoning=c.reasoning,
        by=verdict.by,
        gists=tuple((len(g.text) if joined else g.text, g.tokens, g.logprob, g.seconds) for g in c.gists),
    )


def _strict(text: str, problem: Problem) -> bool | None:
    return extract_answer(text, problem).strict if text else None


def _usage(usage: Usage) -> UsageRecord:
    return UsageRecord(
        total=_spend(usage.total),
        phases={phase: _spend(spend) for phase, spend in usage.phases.items()},
        critical_path_tokens=usage.critical_path_tokens,
        seconds=usage.seconds,
    )


def _spend(spend: Spend) -> SpendRecord:
    return SpendRecord(
        spend.calls,
        spend.prompt_tokens,
        spend.cached_tokens,
        spend.completion_tokens,
        spend.cancelled_tokens,
        spend.flops,
        spend.seconds,
        spend.cost,
        spend.estimated_tokens,
    )


def _ends_run(error: BaseException) -> bool:
    """Whether it is the bank or the disk that failed, and not this strategy on this problem."""
    if isinstance(error, BaseExceptionGroup):
        return any(_ends_run(inner) for inner in error.exceptions)
    return isinstance(error, BankError) and not isinstance(error, NotInBank)


def _all_failed(draws: Sequence[Completion]) -> Failure:
    """Nothing was drawn at all: an outage rather than a result, so it is tried again when the run is resumed."""
    return Failure(_name_of(draws[0]), f"All {len(draws)} draws failed: {(draws[0].error or '')[:500]}")


def _failure(error: Exception) -> Failure:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    where = ""
    if not isinstance(error, NlrlError):  # a mistake in the code: say where
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return Failure(type(error).__name__, str(error)[:2000], where)


def _name_of(completion: Completion) -> str:
    return (completion.error or "").split(":")[0][:80]
