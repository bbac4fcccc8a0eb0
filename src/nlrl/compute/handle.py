"""`Compute`: the one handle through which a strategy touches the world.

    compute = Compute(model, budget=Budget(tokens=4000), verifier=get_verifier("auto"))
    attempts = await compute.sample(problem, 8)          # fewer, if the budget says so
    scored = await compute.score(problem, attempts)
    return compute.answer(best, confidence=0.9)

When the budget is spent, `sample` returns what it could draw, `stopped` says why, and calls that cannot be partial
(`ask`, `revise`, `extend`) raise BudgetExhausted, which `nlrl.strategies.solve` turns into the best answer so far.
A draw that fails is a note and a count, not an exception.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from nlrl.compute._drawing import Watcher, drawing, over
from nlrl.compute._growth import branch, proceed
from nlrl.compute._scoring import score
from nlrl.compute._watching import watching
from nlrl.compute.bank import Bank, Draw
from nlrl.compute.bill import longest, with_max_tokens
from nlrl.compute.ledger import Ledger
from nlrl.compute.purse import Purse
from nlrl.compute.traces import ProbePlan, Watch
from nlrl.core import (
    ANSWER_PHRASE,
    Answer,
    Budget,
    BudgetExhausted,
    Candidate,
    Completion,
    Message,
    Model,
    ModelError,
    Phase,
    Problem,
    Request,
    Sampling,
    Score,
    Spend,
    Stopped,
    UserError,
    Verifier,
)
from nlrl.rewards.extraction import extract_answer
from nlrl.rewards.registry import get_verifier

# temperature and top_p as measured for small models; 512 tokens hold a worked grade-school solution
DEFAULT_SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=512)
STEP_TOKENS = 128  # of one reasoning step: a line of a worked solution has 10 to 60

Prompter = Callable[[Problem], tuple[Message, ...]]


@dataclass
class _Shared:
    """What a handle and its children have in common."""

    purse: Purse
    verifier: Verifier | None
    sampling: Sampling
    prompt: Prompter
    watch: Watcher | None
    begun: float = field(default_factory=time.monotonic)
    drawn: int = 0  # candidates so far: names them
    next_index: Counter[str] = field(default_factory=Counter)
    given: dict[str, deque[tuple[str, Draw]]] = field(default_factory=dict)  # probed, for whoever samples next
    longest: dict[str, int] = field(default_factory=dict)  # tokens of the longest draw so far, by family
    short: bool = False  # it was said that not all attempts fitted
    judges: dict[str, Verifier] = field(default_factory=dict)
    scores: dict[tuple[int, str, str], Score] = field(default_factory=dict)  # by verifier, candidate and text
    failed: list[Completion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Compute:
    """A model, a bank, a verifier and a budget, for one problem.

    model     where tokens come from
    budget    limits of this solve
    bank      where samples are kept; a fresh one in memory if not given
    verifier  what `score` uses; "auto" if not given (never sees the reference)
    sampling  defaults of every draw; `seed` makes a fresh run repeatable
    prompt    turns a problem into chat messages
    watch     called with (candidate id, delta) as text streams in
    """

    def __init__(
        self,
        model: Model,
        *,
        budget: Budget | None = None,
        bank: Bank | None = None,
        verifier: Verifier | None = None,
        sampling: Sampling | None = None,
        prompt: Prompter | None = None,
        watch: Watcher | None = None,
    ):
        budget = budget or Budget()
        _check_measurable(budget, model)
        if prompt is None:
            from nlrl.tasks.prompts import messages_for as prompt
        self._shared = _Shared(Purse(model, bank or Bank()), verifier, over(DEFAULT_SAMPLING, sampling), prompt, watch)
        self.ledger = Ledger(budget)
        self.candidates: list[Candidate] = []
        self.stopped: Stopped | None = None
        self.path_tokens = 0
        self._deadline = None if budget.seconds is None else self._shared.begun + budget.seconds

    @property
    def model(self) -> Model:
        """The model behind this handle."""
        return self._shared.purse.model

    @property
    def remaining(self) -> Budget:
        """What may still be spent."""
        return replace(self.ledger.remaining, seconds=self._seconds_left())

    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    @property
    def failed(self) -> Sequence[Completion]:
        """Draws that failed; never candidates, never lost from the count."""
        return self._shared.failed

    @property
    def notes(self) -> Sequence[str]:
        """What people should know about this solve."""
        return self._shared.notes

    def prompt(self, problem: Problem) -> tuple[Message, ...]:
        """The chat messages a plain attempt at the problem starts from."""
        return self._shared.prompt(problem)

    def verifier(self, name: str = "default") -> Verifier:
        """The verifier registered under a name; "default" is this handle's own, or else "auto"."""
        if name == "default" and self._shared.verifier is not None:
            return self._shared.verifier
        return self._shared.judges.setdefault(name, get_verifier("auto" if name == "default" else name))

    def note(self, text: str) -> None:
        """Add a note to the answer, once."""
        if text not in self._shared.notes:
            self._shared.notes.append(text)

    def adopt(self, sampling: Sampling) -> None:
        """Make `sampling` the default of every draw from here on, over what was set before."""
        self._shared.sampling = over(self._shared.sampling, sampling)

    def narrow(self, *, tokens: int) -> None:
        """Lower the budget to `tokens` in all, what is spent included; a limit that is lower already stays."""
        limit = self.ledger.budget.tokens
        self.ledger.budget = replace(self.ledger.budget, tokens=tokens if limit is None else min(limit, tokens))

    # --- attempts

    async def probe(self, problem: Problem, n: int) -> list[Candidate]:
        """The first n attempts, charged as a probe. Whoever samples the same way next gets them as its own first
        ones, without paying again: knowing how hard a problem is costs only what was not needed for solving it."""
        request = with_max_tokens(Request(self.prompt(problem), self._shared.sampling))
        key = Purse.key(self.model, request, problem)
        given = self._shared.given.setdefault(key, deque())
        wave = self._waves(problem, n, n, None, "", (), Phase.PROBE, None, given)
        async with aclosing(wave) as waves:
            return [attempt async for attempt in waves]

    async def sample(
        self,
        problem: Problem,
        n: int = 1,
        *,
        messages: tuple[Message, ...] | None = None,
        prefill: str = "",
        parents: Sequence[Candidate] = (),
        phase: Phase = Phase.SAMPLE,
        sampling: Sampling | None = None,
    ) -> list[Candidate]:
        """n attempts at once; fewer where the budget ends or draws fail. One prompt evaluation is shared."""
        wave = self._waves(problem, n, n, messages, prefill, parents, phase, sampling)
        async with aclosing(wave) as waves:
            return [attempt async for attempt in waves]

    async def bound(self, problem: Problem, n: int = 1) -> Spend:
        """The most that the next n attempts may cost: what `sample` reserves for them."""
        request = with_max_tokens(Request(self.prompt(problem), self._shared.sampling, n))
        first = self._shared.next_index[Purse.key(self.model, request, problem)]
        request = replace(request, first_index=first)
        return (await self._shared.purse.bound(self.model, request, problem))(n, longest(request))

    @asynccontextmanager
    async def sampling(
        self,
        problem: Problem,
        n: int,
        *,
        wave: int = 8,
        messages: tuple[Message, ...] | None = None,
        phase: Phase = Phase.SAMPLE,
        sampling: Sampling | None = None,
    ) -> AsyncIterator[AsyncGenerator[Candidate, None]]:
        """Up to n attempts, `wave` of them in flight, yielded in the order drawn; leaving cancels the rest.

        The order is that of the draws and not of their ends, so that what a strategy concludes does not depend on
        timing, and does not favour short attempts.
        """
        attempts = self._waves(problem, n, wave, messages, "", (), phase, sampling)
        try:
            yield attempts
        finally:
            await attempts.aclose()

    def traces(
        self,
        problem: Problem,
        *,
        probes: ProbePlan | None = None,
        every: int | None = None,
        sampling: Sampling | None = None,
    ) -> AbstractAsyncContextManager[Watch]:
        """Attempts in flight under a token clock; `nlrl.compute.traces` says how it runs and what it charges.

        probes  when running traces are asked for the answer they would give now
        every   live only: tokens that all traces grow by at a time; None draws them whole
        """
        return watching(self, problem, probes, every, sampling)

    async def revise(
        self, problem: Problem, messages: tuple[Message, ...], *, parents: Sequence[Candidate], n: int = 1
    ) -> list[Candidate]:
        """Attempts made from earlier ones. Raises BudgetExhausted if not even one fits."""
        attempts = await self.sample(problem, n, messages=messages, parents=parents)
        if not attempts and self.stopped:
            raise BudgetExhausted(self.stopped)
        return attempts

    async def extend(self, problem: Problem, candidate: Candidate, *, tokens: int) -> Candidate:
        """Continue a partial attempt by at most `tokens`. Needs a model that can prefill. Raises BudgetExhausted."""
        return await proceed(self, problem, candidate, candidate.text, Sampling(max_tokens=tokens))

    async def branch(
        self,
        problem: Problem,
        stems: Sequence[Candidate | None],
        n: int = 1,
        *,
        stop: str = "\n",
        tokens: int = STEP_TOKENS,
        sampling: Sampling | None = None,
        phase: Phase = Phase.SAMPLE,
    ) -> list[list[Candidate]]:
        """One more step for every stem, n ways each, all of them at once; None is the empty stem.

        A step ends with `stop` or after `tokens`. The result has one list per stem: candidates with the whole text so
        far, shorter lists where the budget ends or draws fail. `finish` LENGTH is a text that may be continued; one
        that has stated its answer, or had nothing more to say, is over. Needs a model that can prefill.
        """
        return await branch(self, problem, stems, n, stop, tokens, sampling, phase)

    async def force(self, problem: Problem, candidate: Candidate, *, tokens: int = 32) -> Candidate:
        """Close the thinking and demand an answer now. Needs a model that can prefill. Raises BudgetExhausted."""
        prefill = f"{candidate.text.rstrip()}\n\n{ANSWER_PHRASE}"
        return await proceed(self, problem, candidate, prefill, Sampling(max_tokens=tokens, stop=("\n",)))

    async def ask(
        self,
        messages: tuple[Message, ...],
        *,
        phase: Phase = Phase.SAMPLE,
        sampling: Sampling | None = None,
        problem: Problem | None = None,
    ) -> Completion:
        """One completion that is not an attempt: a critique, a plan. Raises BudgetExhausted, ModelError."""
        start = self.path_tokens
        async with aclosing(drawing(self, problem, 1, 1, messages, "", phase, sampling)) as draws:
            async for _, draw in draws:
                self.path_tokens = max(self.path_tokens, start + draw.completion.completion_tokens)
                return draw.completion
        if self.stopped:
            raise BudgetExhausted(self.stopped)
        failure = self.failed[-1].error if self.failed else "no draw"
        raise ModelError(f"{self.model.name} gave no text: {failure}")

    async def _waves(
        self,
        problem: Problem,
        n: int,
        wave: int,
        messages: tuple[Message, ...] | None,
        prefill: str,
        parents: Sequence[Candidate],
        phase: Phase,
        sampling: Sampling | None,
        keep: deque[tuple[str, Draw]] | None = None,
    ) -> AsyncGenerator[Candidate, None]:
        prompt = messages if messages is not None else self.prompt(problem)
        origin = max([0, *(p.path_tokens for p in parents)]) if parents else self.path_tokens
        shared_ids = {c.id: c for c in self.candidates} if self._shared.given and keep is None else {}
        async with aclosing(drawing(self, problem, n, wave, prompt, prefill, phase, sampling)) as draws:
            async for name, draw in draws:
                if (probed := shared_ids.get(name)) is not None:
                    yield probed
                    continue
                if keep is not None:
                    keep.append((name, draw))
                c = draw.completion
                attempt = Candidate(
                    id=name,
                    completion=c,
                    answer=draw.answer if draw.answer is not None else extract_answer(c.text, problem).answer,
                    parents=tuple(p.id for p in parents),
                    path_tokens=origin + c.completion_tokens,
                    probes=draw.probes,
                )
                self.candidates.append(attempt)
                self.path_tokens = max(self.path_tokens, attempt.path_tokens)
                yield attempt

    def _stop(self, reason: Stopped) -> None:
        self.stopped = self.stopped or reason

    # --- scores

    async def score(
        self, problem: Problem, candidates: Sequence[Candidate], verifier: Verifier | None = None
    ) -> list[Candidate]:
        """The candidates with scores, in order. A verifier that fails abstains, with a note.

        Raises VerifierError if the verifier breaks its contract (wrong number of scores).
        """
        return await score(self, problem, candidates, verifier or self.verifier())

    # --- children

    @asynccontextmanager
    async def spawn(self, budget: Budget | None = None) -> AsyncIterator[Compute]:
        """A child with its own slice of the budget, charged here too. On exit its longest chain joins this one's.

        Children started side by side in a TaskGroup begin at the same point of the critical path.
        """
        child = object.__new__(Compute)
        child._shared = self._shared
        child.ledger = Ledger(budget or Budget(), parent=self.ledger)
        child.candidates, child.stopped, child.path_tokens = [], None, self.path_tokens
        limit = budget.seconds if budget else None
        ends = [d for d in (self._deadline, None if limit is None else time.monotonic() + limit) if d is not None]
        child._deadline = min(ends, default=None)
        try:
            yield child
        finally:
            self.candidates.extend(child.candidates)
            self.path_tokens = max(self.path_tokens, child.path_tokens)

    # --- the end

    def answer(
        self,
        chosen: Candidate | None,
        *,
        confidence: float | None = None,
        stopped: Stopped = Stopped.DONE,
        value: str | None = None,
    ) -> Answer:
        """The answer of a strategy, with everything that was drawn and spent. A spent budget overrides `stopped`."""
        notes = list(self.notes)
        if self.failed:
            kinds = Counter((c.error or "").split(":")[0] for c in self.failed)
            named = ", ".join(f"{n} x {kind}" for kind, n in kinds.most_common())
            notes.append(f"{len(self.failed)} of {self._shared.drawn} draws failed ({named}).")
        if chosen is None and self.failed:
            stopped = Stopped.FAILED
        usage = self.ledger.usage(critical_path_tokens=self.path_tokens, seconds=time.monotonic() - self._shared.begun)
        return Answer(
            value=value if value is not None else (chosen.answer if chosen else None),
            text=chosen.text if chosen else "",
            confidence=confidence,
            candidates=tuple(self.candidates),
            chosen=chosen.id if chosen else None,
            usage=usage,
            stopped=self.stopped or stopped,
            notes=tuple(notes),
        )


def _check_measurable(budget: Budget, model: Model) -> None:
    if budget.flops is not None and model.can.parameters is None:
        raise UserError(f"A FLOPs budget needs the size of {model.name}, which is unknown; give a token budget.")
    if budget.cost is not None and model.can.prices is None:
        raise UserError(f"A cost budget needs the prices of {model.name}, which are unknown; give a token budget.")
