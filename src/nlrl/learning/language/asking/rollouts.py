"""Rolling a language policy out: one attempt (or one strategy's answer) at each problem, judged, under one ledger.

    roller = Roller(model, bank, Ledger(Budget(tokens=40_000)), judge=Judge())
    rollouts = await roller.roll(policy, problems)       # {problem id: (Rollout, ...)}

The same policy on the same problem is rolled once in a run and remembered. On the same bank, a run that is started
again finds its draws there, and is charged for them as if they had just been drawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from nlrl.answers.extraction import extract_answer
from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.compute.ledger import Ledger
from nlrl.core import (
    Answer,
    Budget,
    BudgetExhausted,
    Candidate,
    Completion,
    Finish,
    Model,
    ModelUnavailable,
    Problem,
    PromptTooLong,
    Sampling,
    Score,
    Spend,
    Stopped,
    Usage,
    Verdict,
    Verifier,
)
from nlrl.learning.language.asking.policy import Evidence, LanguagePolicy
from nlrl.learning.language.side_by_side import side_by_side
from nlrl.strategies import get_strategy, parse_strategy, solve
from nlrl.strategies.best_of_n import ALTERNATIVES
from nlrl.verifiers.reference import ReferenceVerifier
from nlrl.verifiers.registry import get_verifier

_SPENT = (Stopped.TOKENS, Stopped.CALLS, Stopped.FLOPS, Stopped.COST, Stopped.SECONDS)


class Rollout(msgspec.Struct, frozen=True):
    """One answer under a policy, and the judgement on it.

    index    0, 1, ...: the same index of two policies on one problem is one pair
    value    in [0, 1]; None where nobody could judge it, which is neither right nor wrong
    strict   the answer stood where the contract wants it; cut: the attempt ran into its limit of tokens
    tokens   what this answer would cost alone: prompt, attempts, judgement
    correct  by the reference, the tests or the constraints, whoever said the value; None where none of them could tell
    """

    problem: str
    policy: str
    index: int
    value: float | None
    verdict: str
    answer: str | None = None
    text: str = ""
    reason: str = ""
    strict: bool = False
    cut: bool = False
    tokens: int = 0
    correct: bool | None = None

    @property
    def evidence(self) -> Evidence:
        """This rollout as what a principle rests on."""
        return Evidence(self.problem, self.verdict)


Rolled = dict[tuple[str, str], tuple[Rollout, ...]]  # by (policy id, problem id)


class Judge:
    """What says how good a rollout is.

    Problems with a reference, tests or constraints are graded. For the rest the reward models are asked, verifiers or
    their names: the value is the mean of those that do not abstain (`Score`: 0.5 without a verdict); None if all do.

    rewards_first  the reward models are asked for every problem, and the grader only where they all abstain
    """

    def __init__(self, reward_models: Sequence[Verifier | str] = (), *, rewards_first: bool = False) -> None:
        self._grader = ReferenceVerifier()
        self._models = [get_verifier(m) if isinstance(m, str) else m for m in reward_models]
        self._rewards_first = rewards_first and bool(self._models)

    def grades(self, problem: Problem) -> bool:
        """Whether the problem says itself what is right."""
        return problem.reference is not None or problem.tests is not None or bool(problem.constraints)

    def can(self, problem: Problem) -> bool:
        """Whether there is anybody to ask."""
        return self.grades(problem) or bool(self._models)

    def needs_logprobs(self, problem: Problem) -> bool:
        """Whether a reward model will read the token log-probabilities of the draws."""
        graded = self.grades(problem) and not self._rewards_first
        asked = [] if graded else [getattr(m, "needs_logprobs", False) for m in self._models]
        return any(bool(needs(problem)) if callable(needs) else bool(needs) for needs in asked)

    async def score(
        self, problem: Problem, answer: Candidate, compute: Compute
    ) -> tuple[float | None, Score, bool | None]:
        """The value, the score that says most, and whether it is correct. Reward models spend through `compute`."""
        graded = (await self._grader.score(problem, [answer]))[0] if self.grades(problem) else None
        correct = None if graded is None or graded.verdict is Verdict.ABSTAIN else graded.verdict is Verdict.RIGHT
        by_grade = None if correct is None else float(correct)
        if graded is not None and not self._rewards_first:
            return by_grade, graded, correct
        if answer.answer is None and not self._rewards_first:
            return 0.0, Score(0.0, Verdict.UNPARSED, reason="no answer could be read out of the text"), None
        said = [(await compute.score(problem, [answer], model))[0].score for model in self._models]
        heard = [s for s in said if s is not None and not self._abstains(s)]
        if heard:
            value = sum(s.value for s in heard) / len(heard)
            return value, in_words(heard[0], value) if self._rewards_first else heard[0], correct
        if graded is not None:
            return by_grade, graded, correct
        return None, next((s for s in said if s is not None), Score(0.5, reason="nobody could judge it")), None

    def _abstains(self, score: Score) -> bool:
        """A plain function's reward of 0.5 has no reason, and is no abstention."""
        return (
            score.verdict is Verdict.ABSTAIN and score.value == 0.5 and not (self._rewards_first and not score.reason)
        )


def in_words(score: Score, value: float) -> Score:
    """A reward as a judgement that a critic can read: a number alone says neither right nor wrong."""
    verdict = score.verdict
    if verdict is Verdict.ABSTAIN:
        verdict = Verdict.RIGHT if value >= 1 else Verdict.WRONG
    return Score(score.value, verdict, reason=score.reason or f"the reward is {value:.2f} of 1")


@dataclass(eq=False)
class Roller:
    """Rolls policies; everything it spends goes through `ledger`.

    strategy  how each answer is made, such as "direct" or "weighted_vote(n=4)"
    samples   answers per problem
    seed      of the draws, where the model takes seeds; each problem gets its own
    known     what was rolled before; `fresh` collects what this instance adds to it
    """

    model: Model
    bank: Bank
    ledger: Ledger
    judge: Judge = field(default_factory=Judge)
    strategy: str = "direct"
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    seed: int | None = None
    concurrency: int = 4
    known: Rolled = field(default_factory=dict)
    fresh: list[Rollout] = field(default_factory=list)
    _failures: list[ModelUnavailable] = field(default_factory=list)

    def __post_init__(self) -> None:
        get_strategy(self.strategy)  # a mistyped name must fail now
        self._plain = parse_strategy(self.strategy).name == "direct"

    async def roll(self, policy: LanguagePolicy, problems: Sequence[Problem]) -> dict[str, tuple[Rollout, ...]]:
        """All rollouts of a policy, by problem id. Raises BudgetExhausted; what was rolled until then is kept.

        A problem on which the model failed is one that nobody could judge; where it failed on most of them, it is an
        outage, and ModelUnavailable is raised.

        Side by side only where the budget surely holds them all: else what still fits would depend on which ends
        first, and a run that is resumed would differ from a straight one.
        """
        name, failed = policy.id, len(self._failures)
        missing = list({p.id: p for p in problems if (name, p.id) not in self.known}.values())
        try:
            if await self._fits(policy, missing):
                await self._side_by_side(policy, missing)
            else:
                for problem in missing:
                    await self._one(policy, problem)
        finally:  # in the order asked for, whichever ended first
            self.fresh += [r for p in missing for r in self.known.get((name, p.id), ())]
        if 2 * (len(self._failures) - failed) > len(missing):
            raise self._failures[-1]
        return {p.id: self.known[name, p.id] for p in problems}

    async def _side_by_side(self, policy: LanguagePolicy, problems: Sequence[Problem]) -> None:
        waiting = iter(problems)

        async def worker() -> None:
            for problem in waiting:
                await self._one(policy, problem)

        await side_by_side(worker() for _ in range(min(self.concurrency, len(problems))))

    async def _fits(self, policy: LanguagePolicy, problems: Sequence[Problem]) -> bool:
        if self.ledger.budget == Budget():
            return True
        if not self._plain:
            return False  # how much another strategy will want is not known beforehand
        bounds = [await self.handle(policy, problem).bound(problem, self.samples) for problem in problems]
        return self.ledger.blocker(sum(bounds, Spend())) is None

    def handle(self, policy: LanguagePolicy, problem: Problem) -> Compute:
        """A handle that spends under the policy, charged to this run's ledger."""
        sampling = self.sampling
        if self.seed is not None and self.model.can.seed:
            # one seed for all problems would tie their luck together
            sampling = replace(sampling, seed=(self.seed + zlib.crc32(problem.id.encode())) % 2**31)
        if sampling.logprobs is None and self.model.can.logprobs and self.judge.needs_logprobs(problem):
            sampling = replace(sampling, logprobs=ALTERNATIVES)
        compute = Compute(self.model, bank=self.bank, sampling=sampling, prompt=policy.messages)
        compute.ledger = Ledger(parent=self.ledger)
        return compute

    async def _one(self, policy: LanguagePolicy, problem: Problem) -> None:
        compute = self.handle(policy, problem)
        # neither the reference nor the hidden tests decide anything before the judgement
        blind = replace(problem, reference=None, aliases=(), id=problem.id)
        made: list[Rollout] = []
        try:
            if self._plain:  # draws of one call share one evaluation of the prompt
                answers = await self._attempts(blind, compute)
            else:
                answers = [await self._answer(blind, compute) for _ in range(self.samples)]
            made = [await self._judged(problem, policy, i, a, compute) for i, a in enumerate(answers)]
        except PromptTooLong as failure:
            made = [Rollout(problem.id, policy.id, 0, 0.0, Verdict.UNPARSED, reason=str(failure)[:300])]
        except ModelUnavailable as failure:
            made = [Rollout(problem.id, policy.id, 0, None, Verdict.ABSTAIN, reason=str(failure)[:300])]
            self._failures.append(failure)
        self.known[policy.id, problem.id] = tuple(made)

    async def _attempts(self, problem: Problem, compute: Compute) -> list[Answer]:
        await self._must_fit(problem, compute, self.samples)
        drawn = await compute.sample(problem, self.samples)
        if compute.stopped is not None:
            raise BudgetExhausted(compute.stopped)
        if not drawn:  # some of several failing is fewer answers, no failure
            raise self._failure(problem, compute)
        length = max(c.completion.prompt_tokens for c in drawn)
        return [
            replace(compute.answer(c), usage=Usage(Spend(1, length, 0, c.completion.completion_tokens))) for c in drawn
        ]

    async def _answer(self, problem: Problem, compute: Compute) -> Answer:
        await self._must_fit(problem, compute, 1)
        before = compute.ledger.total
        async with compute.spawn() as child:
            answer = await solve(self.strategy, problem, child)
        narrowed = child.ledger.budget.tokens is not None  # by the strategy itself, such as a policy with caps
        if answer.stopped in _SPENT and not (narrowed and answer.stopped is Stopped.TOKENS):
            raise BudgetExhausted(answer.stopped)
        if answer.stopped is Stopped.FAILED:
            raise self._failure(problem, compute)
        return replace(answer, usage=Usage(compute.ledger.total - before))

    async def _must_fit(self, problem: Problem, compute: Compute, n: int) -> None:
        """A first attempt is never cut to what is left: it would be judged for the budget's end, not the policy's."""
        if self.ledger.budget != Budget():
            reason = self.ledger.blocker(await compute.bound(problem, n))
            if reason is not None:
                raise BudgetExhausted(reason)

    def _failure(self, problem: Problem, compute: Compute) -> ModelUnavailable:
        why = compute.failed[-1].error if compute.failed else "no draw"
        return ModelUnavailable(f"{self.model.name} gave no answer to problem {problem.id}: {why}")

    async def _judged(
        self, problem: Problem, policy: LanguagePolicy, index: int, answer: Answer, compute: Compute
    ) -> Rollout:
        chosen = next((c for c in answer.candidates if c.id == answer.chosen and c.answer == answer.value), None)
        whole = chosen or Candidate("answer", Completion(answer.text, Finish.STOP, 0), answer.value)
        before = compute.ledger.total.tokens
        value, score, correct = await self.judge.score(problem, whole, compute)
        if compute.stopped is not None and compute.stopped in _SPENT:  # the reward model had no room
            raise BudgetExhausted(compute.stopped)
        return Rollout(
            problem=problem.id,
            policy=policy.id,
            index=index,
            value=value,
            verdict=score.verdict,
            answer=answer.value,
            text=answer.text,
            reason=score.reason[:300],
            strict=extract_answer(answer.text, problem).strict,
            cut=whole.completion.finish is Finish.LENGTH,
            tokens=answer.usage.tokens + compute.ledger.total.tokens - before,
            correct=correct,
        )


def value_of(rollouts: Sequence[Rollout]) -> float | None:
    """The mean over the judged rollouts of one problem; None if none was."""
    judged = [r.value for r in rollouts if r.value is not None]
    return sum(judged) / len(judged) if judged else None


def values_of(rolled: Mapping[str, Sequence[Rollout]]) -> dict[str, float]:
    """The judged problems of a table with their values."""
    return {name: value for name, rollouts in rolled.items() if (value := value_of(rollouts)) is not None}
