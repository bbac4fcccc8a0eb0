"""`Compute`: the one handle through which a strategy touches the world.

    compute = Compute(model, budget=Budget(tokens=4000), verifier=get_verifier("auto"))
    attempts = await compute.sample(problem, 8)          # fewer, if the budget says so
    scored = await compute.score(problem, attempts)
    return compute.answer(best, confidence=0.9)

When the budget is spent, `sample` returns what it could draw, `stopped` says why, and calls that cannot be partial
(`ask`, `revise`, `extend`) raise BudgetExhausted, which `nlrl.strategies.solve` turns into the best answer so far.
A draw that fails is a note and a count, not an exception.

How an attempt comes to be, from here down: `sample` makes an `Order`; `_attempts` reads what `_draws` draws, in waves
that `_fit` the ledger; each wave is one `Purse.wave`, which looks into the bank, draws what is missing from the model,
and settles. Nothing else draws; children share the session and charge their parent.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import TypeVar

from nlrl.answers.extraction import extract_answer
from nlrl.bank.samples import Bank, Draw
from nlrl.compute import growth
from nlrl.compute._watching import watching
from nlrl.compute.bill import cut_short, largest, longest, with_max_tokens
from nlrl.compute.ledger import Hold, Ledger
from nlrl.compute.metered import MeteredModel, priced
from nlrl.compute.purse import Purse
from nlrl.compute.session import Order, Prompter, Session, Watcher, over
from nlrl.compute.traces import ProbePlan, Watch
from nlrl.core import (
    Answer,
    Budget,
    BudgetExhausted,
    Candidate,
    Completion,
    Message,
    Model,
    ModelError,
    NlrlError,
    Phase,
    Problem,
    Request,
    Sampling,
    Score,
    Spend,
    SpendingVerifier,
    Stopped,
    UserError,
    Verdict,
    Verifier,
    VerifierError,
)
from nlrl.verifiers.registry import get_verifier

# temperature and top_p as measured for small models; 512 tokens hold a worked grade-school solution
DEFAULT_SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=512)
STEP_TOKENS = 128  # of one reasoning step: a line of a worked solution has 10 to 60
T = TypeVar("T")


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
        self.session = Session(Purse(model, bank or Bank()), verifier, prompt, watch)
        self.defaults = over(DEFAULT_SAMPLING, sampling)
        deadline = None if budget.seconds is None else self.session.begun + budget.seconds
        self.ledger = Ledger(budget, deadline=deadline)
        self.candidates: list[Candidate] = []
        self.stopped: Stopped | None = None
        self.path_tokens = 0
        self._account: Ledger | None = None  # whose account the answer shows, if not this handle's own

    @property
    def model(self) -> Model:
        """The model behind this handle."""
        return self.session.purse.model

    @property
    def remaining(self) -> Budget:
        """What may still be spent."""
        return self.ledger.remaining

    @property
    def failed(self) -> Sequence[Completion]:
        """Draws that failed; never candidates, never lost from the count."""
        return self.session.failed

    @property
    def notes(self) -> Sequence[str]:
        """What people should know about this solve."""
        return self.session.notes

    def prompt(self, problem: Problem) -> tuple[Message, ...]:
        """The chat messages a plain attempt at the problem starts from."""
        return self.session.prompt(problem)

    def verifier(self, name: str = "default") -> Verifier:
        """The verifier registered under a name; "default" is this handle's own, or else "auto"."""
        if name == "default" and self.session.verifier is not None:
            return self.session.verifier
        return self.session.judges.setdefault(name, get_verifier("auto" if name == "default" else name))

    def note(self, text: str) -> None:
        """Add a note to the answer, once."""
        if text not in self.session.notes:
            self.session.notes.append(text)

    def stop(self, reason: Stopped) -> None:
        """Keep the first reason why no more was drawn."""
        self.stopped = self.stopped or reason

    def request(
        self,
        problem: Problem,
        n: int = 1,
        *,
        messages: tuple[Message, ...] | None = None,
        prefill: str = "",
        sampling: Sampling | None = None,
    ) -> Request:
        """The request for n attempts, with the defaults of this handle and a bound on their length."""
        messages = self.prompt(problem) if messages is None else messages
        return with_max_tokens(Request(messages, over(self.defaults, sampling), n, prefill=prefill))

    async def bound(
        self, problem: Problem, n: int = 1, *, prefill: str = "", sampling: Sampling | None = None
    ) -> Spend:
        """The most that the next n attempts may cost: what `sample` reserves for them."""
        request = self.request(problem, n, prefill=prefill, sampling=sampling)
        request = replace(request, first_index=self.session.next_index[Purse.key(self.model, request, problem)])
        return (await self.session.purse.bound(self.model, request, problem))(n, longest(request))

    # --- attempts

    async def probe(self, problem: Problem, n: int) -> list[Candidate]:
        """The first n attempts, charged as a probe. Whoever samples the same way next gets them as its own first
        ones, without paying again: knowing how hard a problem is costs only what was not needed for solving it."""
        request = self.request(problem, n)
        keep = self.session.probed.setdefault(Purse.key(self.model, request, problem), deque())
        return await _all(self._attempts(Order(problem, request, n, Phase.PROBE), keep=keep))

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
        request = self.request(problem, n, messages=messages, prefill=prefill, sampling=sampling)
        return await _all(self._attempts(Order(problem, request, n, phase), parents))

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
        request = self.request(problem, n, messages=messages, sampling=sampling)
        async with aclosing(self._attempts(Order(problem, request, wave, phase))) as attempts:
            yield attempts

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
        return await growth.extend(self, problem, candidate, tokens)

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
        step = growth.step_sampling(stop, tokens, sampling)
        return await growth.branch(self, problem, stems, n, stop, step, phase)

    async def force(self, problem: Problem, candidate: Candidate, *, tokens: int = 32) -> Candidate:
        """Close the thinking and demand an answer now. Needs a model that can prefill. Raises BudgetExhausted."""
        return await growth.force(self, problem, candidate, tokens)

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
        request = with_max_tokens(Request(messages, over(self.defaults, sampling)))
        for _, draw in await _all(self.draws(Order(problem, request, 1, phase))):
            self.path_tokens = max(self.path_tokens, start + draw.completion.completion_tokens)
            return draw.completion
        if self.stopped:
            raise BudgetExhausted(self.stopped)
        failure = self.failed[-1].error if self.failed else "no draw"
        raise ModelError(f"{self.model.name} gave no text: {failure}")

    async def _attempts(
        self, order: Order, parents: Sequence[Candidate] = (), keep: deque[tuple[str, Draw]] | None = None
    ) -> AsyncGenerator[Candidate, None]:
        """Draws, each read as a candidate. A probe keeps them for whoever samples next."""
        assert order.problem is not None
        origin = max([0, *(p.path_tokens for p in parents)]) if parents else self.path_tokens
        known = {c.id: c for c in self.candidates} if self.session.probed and keep is None else {}
        async with aclosing(self.draws(order)) as draws:
            async for name, draw in draws:
                if (probed := known.get(name)) is not None:
                    yield probed
                    continue
                if keep is not None:
                    keep.append((name, draw))
                c = draw.completion
                attempt = Candidate(
                    id=name,
                    completion=c,
                    answer=draw.answer if draw.answer is not None else extract_answer(c.text, order.problem).answer,
                    parents=tuple(p.id for p in parents),
                    path_tokens=origin + c.completion_tokens,
                    probes=draw.probes,
                )
                self.candidates.append(attempt)
                self.path_tokens = max(self.path_tokens, attempt.path_tokens)
                yield attempt

    async def draws(self, order: Order) -> AsyncGenerator[tuple[str, Draw], None]:
        """Good draws with their names, in order, in waves that fit the budget. Stops this handle when it ends before
        all are there."""
        session, problem, request = self.session, order.problem, order.request
        left, ended = request.n, 0
        family = Purse.key(self.model, request, problem)
        probed = session.probed.get(family) if order.phase is not Phase.PROBE else None
        while probed and left > 0:
            left, ended = left - 1, ended + 1
            yield probed.popleft()
        while left > 0:
            wave = replace(request, n=min(left, order.wave), first_index=session.next_index[family])
            fitting = await self._fit(wave, problem, family)
            if fitting is None:
                self._note_shortage(request.n - left, request)
                return
            call, hold = fitting
            # cutting a first attempt short makes it another sample
            key = family if call.sampling is wave.sampling else Purse.key(self.model, call, problem)
            call = replace(call, first_index=session.indices(key, call.n))
            names = session.names(call.n)
            left -= call.n
            flow = session.purse.wave(
                call, ledger=self.ledger, phase=order.phase, hold=hold, problem=problem, key=key,
                on_delta=session.watcher(names),
            )  # fmt: skip
            try:
                async with aclosing(flow) as drawn:
                    async for offset, draw in drawn:
                        if draw.completion.ok:
                            tokens = draw.completion.completion_tokens
                            session.longest[family] = max(session.longest.get(family, 0), tokens)
                            ended += 1
                            yield names[offset], draw
                        else:
                            session.failed.append(draw.completion)
            except TimeoutError:
                self.stop(Stopped.SECONDS)
                self._note_shortage(ended, request)
                return

    async def _fit(self, wave: Request, problem: Problem | None, family: str) -> tuple[Request, Hold] | None:
        """The request with as many draws as fit now, and their reservation.

        While others hold reservations that may give something back, it waits; None when nothing will ever fit. A first
        attempt cut to what a small budget holds is worth more than none.
        """
        while True:
            if self.ledger.seconds_left == 0:
                self.stop(Stopped.SECONDS)
                return None
            bound = await self.session.purse.bound(self.model, wave, problem)
            # from here to the reservation nothing may await: two askers must not see the same free tokens
            most = longest(wave)
            size = largest(wave.n, lambda k, bound=bound, most=most: self.ledger.blocker(bound(k, most)) is None)
            if size:
                return replace(wave, n=size), self.ledger.reserve(bound(size, most))
            if self.ledger.in_flight:
                await self.ledger.freed()
                continue
            reason = self.ledger.blocker(bound(1, most)) or Stopped.TOKENS
            first = not self.candidates
            seen = 0 if first else self.session.longest.get(family)
            cut = None
            if reason is Stopped.TOKENS and seen is not None:
                cut = cut_short(wave, bound, self.remaining.tokens or 0, seen)
            if cut is None:
                self.stop(reason)
                return None
            if first:
                room = longest(cut)
                self.note(f"The budget holds only {room} completion tokens; the attempt was cut to that.")
            wave = cut

    def _note_shortage(self, drawn: int, request: Request) -> None:
        """Say, once for a solve, that fewer attempts were made than asked for; of a step of one nothing is said."""
        if request.n > 1 and not request.prefill and not self.session.short:
            self.session.short = True
            reason = "ended within the time" if self.stopped is Stopped.SECONDS else "fitted the budget"
            self.note(f"{drawn} of {request.n} attempts {reason}.")

    # --- scores

    def metered(self, model: Model | None = None) -> MeteredModel:
        """A model (this handle's, if not given) whose calls are charged here, as verifying."""
        return MeteredModel(self.session.purse, self.ledger, model or self.model)

    async def score(
        self, problem: Problem, candidates: Sequence[Candidate], verifier: Verifier | None = None
    ) -> list[Candidate]:
        """The candidates with scores, in order. A verifier that fails abstains, with a note.

        Raises VerifierError if the verifier breaks its contract (wrong number of scores).
        """
        asked = verifier = verifier or self.verifier()
        judged = self.session.judged
        known = {c.id: s for c in candidates if (s := judged.get((id(asked), c.id, c.text)))}
        if known:  # a judgement is bought once
            fresh = iter(await self.score(problem, [c for c in candidates if c.id not in known], asked))
            return [replace(c, score=known[c.id]) if c.id in known else next(fresh) for c in candidates]
        if not candidates:
            return []
        if isinstance(verifier, SpendingVerifier):
            verifier = verifier.metered(self.metered)
        try:
            async with asyncio.timeout(self.ledger.seconds_left), priced(verifier, self.ledger, problem, candidates):
                scores = await verifier.score(problem, candidates)
        except TimeoutError:
            self.stop(Stopped.SECONDS)
            scores = [Score(0.5, Verdict.TIMEOUT, reason="the time budget ended")] * len(candidates)
        except BudgetExhausted as spent:
            self.stop(Stopped(spent.reason))
            scores = [Score(0.5, Verdict.ABSTAIN, reason=str(spent))] * len(candidates)
        except VerifierError:
            raise
        except NlrlError as failure:
            self.note(f"The verifier failed and abstains: {failure}")
            scores = [Score(0.5, Verdict.ABSTAIN, reason=str(failure))] * len(candidates)
        if len(scores) != len(candidates):
            raise VerifierError(
                f"{type(verifier).__name__} gave {len(scores)} scores for {len(candidates)} candidates; "
                "it must give one each, in order."
            )
        scored = [replace(c, score=s) for c, s in zip(candidates, scores, strict=True)]
        if self.session.probed:  # after a probe: the strategy may ask for the same judgements
            judged.update({(id(asked), c.id, c.text): s for c, s in zip(candidates, scores, strict=True)})
        by_id = {c.id: c for c in scored}
        self.candidates[:] = [by_id.get(c.id, c) for c in self.candidates]
        return scored

    # --- children

    @asynccontextmanager
    async def spawn(self, budget: Budget | None = None) -> AsyncIterator[Compute]:
        """A child with its own slice of the budget, charged here too. On exit its longest chain joins this one's.

        Children started side by side in a TaskGroup begin at the same point of the critical path.
        """
        child = self._child(budget or Budget())
        try:
            yield child
        finally:
            self.candidates.extend(child.candidates)
            self.path_tokens = max(self.path_tokens, child.path_tokens)

    @asynccontextmanager
    async def within(self, budget: Budget | None = None, *, sampling: Sampling | None = None) -> AsyncIterator[Compute]:
        """This handle under further limits, and with other defaults: what is drawn there is drawn here, and an answer
        made there tells all that was spent here."""
        child = self._child(budget or Budget())
        child.defaults = over(self.defaults, sampling)
        child.candidates = self.candidates
        child._account = self._account or self.ledger
        try:
            yield child
        finally:
            self.path_tokens = max(self.path_tokens, child.path_tokens)
            self.stopped = self.stopped or child.stopped

    def _child(self, budget: Budget) -> Compute:
        child = object.__new__(Compute)
        child.session, child.defaults, child.ledger = self.session, self.defaults, self.ledger.child(budget)
        child.candidates, child.stopped, child.path_tokens, child._account = [], None, self.path_tokens, None
        return child

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
            notes.append(f"{len(self.failed)} of {self.session.drawn} draws failed ({named}).")
        if chosen is None and self.failed:
            stopped = Stopped.FAILED
        account = self._account or self.ledger
        return Answer(
            value=value if value is not None else (chosen.answer if chosen else None),
            text=chosen.text if chosen else "",
            confidence=confidence,
            candidates=tuple(self.candidates),
            chosen=chosen.id if chosen else None,
            usage=account.usage(critical_path_tokens=self.path_tokens, seconds=monotonic() - self.session.begun),
            stopped=self.stopped or stopped,
            notes=tuple(notes),
        )


async def _all(wave: AsyncGenerator[T, None]) -> list[T]:
    async with aclosing(wave) as items:
        return [item async for item in items]


def _check_measurable(budget: Budget, model: Model) -> None:
    if budget.flops is not None and model.can.parameters is None:
        raise UserError(f"A FLOPs budget needs the size of {model.name}, which is unknown; give a token budget.")
    if budget.cost is not None and model.can.prices is None:
        raise UserError(f"A cost budget needs the prices of {model.name}, which are unknown; give a token budget.")
