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

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from nlrl.compute.bank import Bank, Draw
from nlrl.compute.ledger import Hold, Ledger
from nlrl.compute.purse import MeteredModel, Purse, longest, with_max_tokens
from nlrl.compute.traces import ProbePlan, Watch, watching
from nlrl.core import (
    ANSWER_PHRASE,
    Answer,
    Budget,
    BudgetExhausted,
    Candidate,
    Completion,
    Delta,
    Finish,
    Message,
    Model,
    ModelError,
    NlrlError,
    Phase,
    PricedVerifier,
    Problem,
    PromptTooLong,
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
from nlrl.rewards.extraction import extract_answer
from nlrl.rewards.registry import get_verifier

# temperature and top_p as measured for small models; 512 tokens hold a worked grade-school solution
DEFAULT_SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=512)
STEP_TOKENS = 128  # of one reasoning step: a line of a worked solution has 10 to 60
_LEAST_TOKENS = 8  # the shortest completion worth asking for when the budget is nearly spent

Prompter = Callable[[Problem], tuple[Message, ...]]
Watcher = Callable[[str, Delta], None]


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
        self._shared = _Shared(Purse(model, bank or Bank()), verifier, _over(DEFAULT_SAMPLING, sampling), prompt, watch)
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
        self._shared.sampling = _over(self._shared.sampling, sampling)

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
        return await self._continue(problem, candidate, candidate.text, Sampling(max_tokens=tokens))

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
        self._check_prefill()
        step = _over(Sampling(max_tokens=tokens, stop=(stop,), stop_after=ANSWER_PHRASE), sampling)

        async def grow(stem: Candidate | None) -> list[Candidate]:
            text, parents = (stem.text, [stem]) if stem else ("", [])
            try:
                drawn = await self.sample(problem, n, prefill=text, parents=parents, sampling=step, phase=phase)
            except PromptTooLong:
                if stem is None:
                    raise
                self.note("A text had filled the model's context and was not continued.")
                return []
            return [self._replaced(piece, _grown(stem, piece, stop, problem)) for piece in drawn]

        prompt = self.prompt(problem)
        bounds = []
        for stem in stems:
            request = Request(prompt, _over(self._shared.sampling, step), n, prefill=stem.text if stem else "")
            bounds.append((await self._shared.purse.bound(self.model, request, problem))(n, tokens))
        if self.ledger.blocker(sum(bounds, Spend())) is None:
            async with asyncio.TaskGroup() as group:
                growing = [group.create_task(grow(stem)) for stem in stems]
            self.candidates.sort(key=_number)  # drawn side by side, they came as they ended
            return [task.result() for task in growing]
        # side by side, what still fits would depend on which ends first, and a replay would differ from the live run
        return [await grow(stem) for stem in stems]

    async def force(self, problem: Problem, candidate: Candidate, *, tokens: int = 32) -> Candidate:
        """Close the thinking and demand an answer now. Needs a model that can prefill. Raises BudgetExhausted."""
        prefill = f"{candidate.text.rstrip()}\n\n{ANSWER_PHRASE}"
        return await self._continue(problem, candidate, prefill, Sampling(max_tokens=tokens, stop=("\n",)))

    async def _continue(self, problem: Problem, candidate: Candidate, prefill: str, sampling: Sampling) -> Candidate:
        self._check_prefill()
        grown = await self.sample(problem, 1, prefill=prefill, parents=[candidate], sampling=sampling)
        if not grown:
            raise BudgetExhausted(self.stopped or Stopped.FAILED)
        whole = replace(grown[0].completion, text=prefill + grown[0].text)
        return self._replaced(grown[0], replace(grown[0], completion=whole, answer=_answer_in(whole.text, problem)))

    def _check_prefill(self) -> None:
        if not self.model.can.prefill:
            raise ModelError(f"{self.model.name} cannot continue a given text (prefill); use a strategy without it.")

    def _replaced(self, piece: Candidate, whole: Candidate) -> Candidate:
        at = next(i for i, c in enumerate(self.candidates) if c.id == piece.id)
        self.candidates[at] = whole
        return whole

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
        async with aclosing(self._draws(problem, 1, 1, messages, "", phase, sampling)) as draws:
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
        async with aclosing(self._draws(problem, n, wave, prompt, prefill, phase, sampling)) as draws:
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
                    answer=draw.answer if draw.answer is not None else _answer_in(c.text, problem),
                    parents=tuple(p.id for p in parents),
                    path_tokens=origin + c.completion_tokens,
                    probes=draw.probes,
                )
                self.candidates.append(attempt)
                self.path_tokens = max(self.path_tokens, attempt.path_tokens)
                yield attempt

    async def _draws(
        self,
        problem: Problem | None,
        n: int,
        wave: int,
        messages: tuple[Message, ...],
        prefill: str,
        phase: Phase,
        sampling: Sampling | None,
    ) -> AsyncGenerator[tuple[str, Draw], None]:
        """Good draws in order, in waves that fit the budget. Sets `stopped` when it ends before n."""
        shared, model = self._shared, self.model
        request = with_max_tokens(Request(messages, _over(shared.sampling, sampling), prefill=prefill))
        left = n
        given = shared.given.get(Purse.key(model, request, problem)) if phase is not Phase.PROBE else None
        while given and left > 0:
            left -= 1
            yield given.popleft()
        while left > 0:
            key = Purse.key(model, request, problem)
            ask = replace(request, n=min(left, wave), first_index=shared.next_index[key])
            fitting = await self._fitting(ask, problem)
            if fitting is None:
                return
            call, hold = fitting
            size = call.n
            key = Purse.key(model, call, problem)  # cutting a first attempt short makes it another sample
            call = replace(call, first_index=shared.next_index[key])
            shared.next_index[key] += size
            names = [f"s{shared.drawn + i}" for i in range(size)]
            shared.drawn += size
            left -= size
            flow = shared.purse.wave(
                call, ledger=self.ledger, phase=phase, hold=hold, problem=problem, on_delta=_named(shared.watch, names)
            )
            try:
                async with aclosing(flow) as draws:
                    while True:
                        try:
                            if self._deadline is None:
                                offset, draw = await anext(draws)
                            else:
                                async with asyncio.timeout(self._seconds_left()):
                                    offset, draw = await anext(draws)
                        except StopAsyncIteration:
                            break
                        if draw.completion.ok:
                            yield names[offset], draw
                        else:
                            shared.failed.append(draw.completion)
            except TimeoutError:
                self._stop(Stopped.SECONDS)
                return

    async def _fitting(self, ask: Request, problem: Problem | None) -> tuple[Request, Hold] | None:
        """The request with as many draws as fit now, and their reservation.

        While others hold reservations that may give something back, it waits; None when nothing will ever fit.
        """
        while True:
            if self._seconds_left() == 0:
                self._stop(Stopped.SECONDS)
                return None
            bound = await self._shared.purse.bound(self.model, ask, problem)
            # from here to the reservation nothing may await: two askers must not see the same free tokens
            most = longest(ask)
            size = _largest(ask.n, lambda k, bound=bound, most=most: self.ledger.blocker(bound(k, most)) is None)
            if size:
                return replace(ask, n=size), self.ledger.reserve(bound(size, most))
            if self.ledger.in_flight:
                await self.ledger.freed()
                continue
            reason = self.ledger.blocker(bound(1, most))
            room = (self.remaining.tokens or 0) - bound(1, 0).tokens
            if reason is not Stopped.TOKENS or self.candidates or room < _LEAST_TOKENS:
                self._stop(reason or Stopped.TOKENS)
                return None
            # a first attempt cut to what a small budget holds is worth more than none
            self.note(f"The budget holds only {room} completion tokens; the attempt was cut to that.")
            ask = replace(ask, n=1, sampling=replace(ask.sampling, max_tokens=room))

    def _stop(self, reason: Stopped) -> None:
        self.stopped = self.stopped or reason

    # --- scores

    async def score(
        self, problem: Problem, candidates: Sequence[Candidate], verifier: Verifier | None = None
    ) -> list[Candidate]:
        """The candidates with scores, in order. A verifier that fails abstains, with a note.

        Raises VerifierError if the verifier breaks its contract (wrong number of scores).
        """
        verifier = verifier or self.verifier()
        known = {c.id: s for c in candidates if (s := self._shared.scores.get((id(verifier), c.id, c.text)))}
        if known:  # a judgement is bought once
            fresh = [c for c in candidates if c.id not in known]
            judged = iter(await self.score(problem, fresh, verifier))
            return [replace(c, score=known[c.id]) if c.id in known else next(judged) for c in candidates]
        if not candidates:
            return []
        asked = verifier
        if isinstance(verifier, SpendingVerifier):
            verifier = verifier.metered(self._metered)
        try:
            async with asyncio.timeout(self._seconds_left()), self._priced(verifier, problem, candidates):
                scores = await verifier.score(problem, candidates)
        except TimeoutError:
            self._stop(Stopped.SECONDS)
            scores = [Score(0.5, Verdict.TIMEOUT, reason="the time budget ended")] * len(candidates)
        except BudgetExhausted as spent:
            self._stop(Stopped(spent.reason))
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
        if self._shared.given:  # after a probe: the strategy may ask for the same judgements
            self._shared.scores.update({(id(asked), c.id, c.text): s for c, s in zip(candidates, scores, strict=True)})
        by_id = {c.id: c for c in scored}
        self.candidates = [by_id.get(c.id, c) for c in self.candidates]
        return scored

    @asynccontextmanager
    async def _priced(
        self, verifier: Verifier, problem: Problem, candidates: Sequence[Candidate]
    ) -> AsyncIterator[None]:
        """Reserve what a reward model of its own will cost, and charge it. Raises BudgetExhausted."""
        if not isinstance(verifier, PricedVerifier):
            yield
            return
        bound = await verifier.price(problem, candidates)
        while reason := self.ledger.blocker(bound):
            if not self.ledger.in_flight:
                raise BudgetExhausted(reason)
            await self.ledger.freed()
        hold = self.ledger.reserve(bound)
        try:
            yield
        finally:
            told = getattr(verifier, "spent", None)  # what a server reported, where the bound was not exact
            self.ledger.settle(hold, Phase.VERIFY, (told and told(problem, candidates)) or bound)

    def _metered(self, model: Model | None) -> Model:
        return MeteredModel(self._shared.purse, self.ledger, model or self.model)

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


def _grown(stem: Candidate | None, piece: Candidate, stop: str, problem: Problem) -> Candidate:
    """`stem` with one more step. The backends cut the stop string off and do not say whether it was that or the end
    token that ended the step; a text that was over without an answer shows it by an empty next step."""
    c = piece.completion
    _, phrase, after = c.text.lower().rpartition(ANSWER_PHRASE.lower())
    over = c.finish is Finish.RULE or not c.text.strip() or bool(phrase and c.finish is Finish.STOP and after.strip())
    before = stem.text if stem else ""
    text = before + c.text + (stop if c.finish is Finish.STOP and not over else "")
    sure = (*(stem.completion.logprobs or () if stem else ()), *(c.logprobs or ()))
    whole = replace(c, text=text, finish=c.finish if over else Finish.LENGTH, logprobs=sure or None)
    return replace(piece, completion=whole, answer=_answer_in(text, problem) if over else None)


def _answer_in(text: str, problem: Problem) -> str | None:
    return extract_answer(text, problem).answer


def _number(candidate: Candidate) -> int:
    return int(candidate.id[1:])


def _named(watch: Watcher | None, names: list[str]) -> Callable[[Delta], None] | None:
    return None if watch is None else lambda delta: watch(names[delta.index], delta)


def _over(base: Sampling, over: Sampling | None) -> Sampling:
    """`base` with what is set in `over`."""
    if over is None:
        return base
    fresh = Sampling()
    changed = {name: getattr(over, name) for name in over.__slots__ if getattr(over, name) != getattr(fresh, name)}
    return replace(base, **changed)


def _largest(n: int, fits: Callable[[int], bool]) -> int:
    """The largest k <= n that fits, by bisection; 0 if none."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _check_measurable(budget: Budget, model: Model) -> None:
    if budget.flops is not None and model.can.parameters is None:
        raise UserError(f"A FLOPs budget needs the size of {model.name}, which is unknown; give a token budget.")
    if budget.cost is not None and model.can.prices is None:
        raise UserError(f"A cost budget needs the prices of {model.name}, which are unknown; give a token budget.")
