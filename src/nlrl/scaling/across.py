"""One budget for many problems: every next wave of attempts goes where the most is to be gained.

    table = await fit_gain(calibration, bank, model.name)                  # once
    answers = await solve_all(problems, lambda p: Compute(model, bank=bank), 200_000, gain=table)

Each problem is answered by a vote over its attempts. All start with one; then attempts go, in waves, to

    gain         the best expected rise of accuracy per token, from a table learned on a calibration panel; without
                 one, or where it sees no gain anywhere, to the leader that is least sure and still worth something
    elimination  whoever has the fewest, but no longer to problems that are settled (the leader holds for good by its
                 Beta posterior) or hopeless (many attempts, hardly two of which agree): successive elimination
                 (Even-Dar et al. 2006). While tokens are left when all are out, it looks again more strictly
    uniform      whoever has the fewest

One unit of budget buys one more voter where it is expected to matter. It fails where votes do: on problems whose most
common answer is wrong, which to every rule look like those where it is right.

A round is planned while nothing is in flight and holds only what surely fits, so neither timing nor the number of
waves in flight can exceed the total, and a replay gives the same answers and the same account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nlrl.compute import Compute, Ledger
from nlrl.core import Answer, BankError, Budget, Candidate, NotInBank, Problem, Spend, Stopped, UserError
from nlrl.scaling.gains import GainTable, State, Worth
from nlrl.strategies.lead import leader_holds
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.voting import count_votes

RULES = ("gain", "elimination", "uniform")
# who is eliminated: where P(the leader truly leads) is above the first, as in adaptive consistency (Aggarwal et al.
# 2023), or after so many attempts without agreement. While tokens are left when all are out, the next stage looks again
STAGES = ((0.95, 8), (0.99, 16), (0.999, 32))
_TYPICAL_WEIGHT = 2.0  # attempts of average length that stand beside a problem's own in the forecast of its cost
_EMPTY_WAVES = 2  # waves without one attempt, after which a problem gets no more


async def solve_all(
    problems: Sequence[Problem],
    compute_for: Callable[[Problem], Compute],
    total_tokens: int,
    *,
    rule: str = "gain",
    wave: int = 4,
    most: int = 64,
    in_flight: int = 8,
    gain: GainTable | None = None,
    ledger: Ledger | None = None,
) -> list[Answer]:
    """An answer per problem, in order, for at most `total_tokens` tokens in all.

    compute_for  a fresh handle for each problem; its own limits hold too
    wave         attempts that a problem gets at a time, sharing one evaluation of the prompt
    most         attempts per problem
    in_flight    waves side by side; the next ones are chosen when all have ended
    ledger       where everything is charged too, such as that of a larger run

    What fails on one problem is a note in its answer. A problem that got nothing because the total was too small says
    so in `stopped`. Tokens are left over where all problems are settled or hopeless. Raises UserError for input that
    cannot be used, and BankError if the bank fails.
    """
    _check(problems, total_tokens, rule, wave, most, in_flight)
    shared = Ledger(Budget(tokens=total_tokens), parent=ledger)
    opened = [_open(problem, compute_for, shared) for problem in problems]
    cases = [case for case in opened if isinstance(case, _Case)]
    if rule == "gain" and gain is not None:
        _check_model(gain, cases)
    plan = _Plan(cases, shared, rule, gain if rule == "gain" else None, wave, most)
    while chosen := await plan.next_round(in_flight):
        try:
            async with asyncio.TaskGroup() as group:
                for case, attempts in chosen:
                    group.create_task(case.draw(attempts))
        except ExceptionGroup as failures:  # only the bank's; a problem's own are in its notes
            raise failures.exceptions[0] from failures
    return [await case.answer() if isinstance(case, _Case) else case for case in opened]


@dataclass(eq=False)
class _Case:
    """A problem, its handle and its votes. `out` says why it gets no more attempts."""

    problem: Problem
    compute: Compute
    attempts: list[Candidate] = field(default_factory=list)
    out: Stopped | None = None
    failure: str = ""
    empty: int = 0  # waves in a row that gave nothing
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        self.vote = RunningVote(self.problem)

    @property
    def state(self) -> State:
        first, second = self.vote.top_two()
        kinds = sum(w > 0 for w in self.vote.weights)
        return State(len(self.attempts), int(first), int(second), kinds)

    async def draw(self, n: int) -> None:
        """n more attempts and their votes. Raises BankError if the bank fails; all else is this problem's own."""
        try:
            drawn = await self.compute.sample(self.problem, n)
            for attempt in drawn:
                await self.vote.add(attempt.answer)
        except Exception as error:  # the boundary: one problem may fail in any way, and the others go on
            if isinstance(error, BankError) and not isinstance(error, NotInBank):
                raise
            self.fail(error)
            return
        self.attempts += drawn
        self.prompt_tokens = max([self.prompt_tokens, *(a.completion.prompt_tokens for a in drawn)])
        self.completion_tokens += sum(a.completion.completion_tokens for a in drawn)
        self.empty = 0 if drawn else self.empty + 1
        if self.compute.stopped:
            self.out = self.compute.stopped
        elif self.empty >= _EMPTY_WAVES:
            self.out = Stopped.DONE if self.attempts else Stopped.FAILED

    def fail(self, error: Exception) -> None:
        self.out, self.failure = Stopped.FAILED, _named(error)

    async def answer(self) -> Answer:
        if self.failure:
            self.compute.note(self.failure)
        vote = await count_votes(self.problem, self.attempts)
        sure = None if vote.share is None else leader_holds(*self.vote.top_two()) * vote.share
        return self.compute.answer(vote.leader, confidence=sure, stopped=self.out or Stopped.DONE)


class _Plan:
    """Who is next. Looks only at what has ended, so it does not depend on timing."""

    def __init__(
        self, cases: list[_Case], shared: Ledger, rule: str, gain: GainTable | None, wave: int, most: int
    ) -> None:
        self.cases, self.shared, self.rule, self.gain, self.wave, self.most = cases, shared, rule, gain, wave, most
        self._typical = 0.0
        self._stage = 0
        self._known: dict[int, tuple[int, float, Worth]] = {}  # by case: attempts and typical length then

    async def next_round(self, in_flight: int) -> list[tuple[_Case, int]]:
        """The next waves, as (case, attempts); [] when nothing more is to be done."""
        while True:
            wanted = self._wanted()
            if not wanted:
                if self._readmitted():
                    continue
                return []
            chosen = await self._fitting(wanted, in_flight)
            if chosen:
                return chosen  # else everyone asked was found not to fit, and is out

    def _wanted(self) -> list[tuple[_Case, int]]:
        """Those still in, the worthiest first, with the size of their next wave."""
        active = [c for c in self.cases if c.out is None]
        unopened = [c for c in active if not c.attempts]
        if unopened:
            return [(c, 1) for c in unopened]
        drawn = sum(len(c.attempts) for c in active)
        self._typical = sum(c.completion_tokens for c in active) / drawn if drawn else 0.0
        found = []
        for case in active:
            worth = self._worth(case)
            if case.out is None:
                found.append((worth.rate, case, min(worth.attempts, self.most - len(case.attempts))))
        found.sort(key=lambda f: -f[0])  # stable: the earlier problem first among equals
        if self.rule != "gain" and found:
            size = self._even_wave([case for _, case, _ in found])
            return [(case, min(size, room)) for _, case, room in found]
        return [(case, size) for _, case, size in found]

    def _readmitted(self) -> bool:
        """Whether a stricter stage takes back some that were eliminated.

        A table that sees no more gain anywhere may have seen too few problems to know: what is left over then goes by
        the strictest stage of the rule without a table.
        """
        if any(c.out is Stopped.TOKENS for c in self.cases) or self._stage + 1 == len(STAGES):
            return False
        back = [c for c in self.cases if c.out in (Stopped.SETTLED, Stopped.NO_GAIN)]
        for case in back:
            case.out = None
        self._stage = self._stage + 1 if self.gain is None else len(STAGES) - 1
        self.gain = None
        return bool(back)

    def _worth(self, case: _Case) -> Worth:
        """What the case's next wave is worth; sets `out` where that is nothing."""
        state = case.state
        if state.attempts >= self.most:
            case.out = Stopped.DONE
            return Worth(0.0, 0)
        if self.rule == "gain" and self.gain is not None:
            return self._learned(case, state, self.gain)
        if self.rule != "uniform":
            case.out = _eliminated(state, *STAGES[self._stage])
        if self.rule != "gain":
            return Worth(1.0 / (1 + state.attempts), self.wave)
        doubt = 1.0 - leader_holds(state.first, state.second)
        promise = (state.first + 1) / (state.attempts + 2)  # that what the votes agree on is right
        return Worth(doubt * promise / (state.attempts + 1) / self.cost(case, 1), self.wave)

    def _learned(self, case: _Case, state: State, table: GainTable) -> Worth:
        before = self._known.get(id(case))
        if before and before[0] == state.attempts and abs(before[1] - self._typical) <= 0.02 * before[1]:
            return before[2]
        worth = table.best(state, lambda horizon: self.cost(case, horizon), self.most - state.attempts)
        if worth.rate <= 0:
            case.out = Stopped.SETTLED if 2 * state.first > state.attempts else Stopped.NO_GAIN
        worth = Worth(worth.rate, min(worth.attempts, self.wave))
        self._known[id(case)] = (state.attempts, self._typical, worth)
        return worth

    def cost(self, case: _Case, attempts: int) -> float:
        """Tokens that so many more attempts are likely to take, in waves."""
        mean = case.completion_tokens + _TYPICAL_WEIGHT * self._typical
        mean /= len(case.attempts) + _TYPICAL_WEIGHT
        return max(mean * attempts + case.prompt_tokens * -(-attempts // self.wave), 1.0)

    def _even_wave(self, active: list[_Case]) -> int:
        """Near the end smaller waves, so that all of those with the fewest attempts still get one."""
        fewest = min(len(c.attempts) for c in active)
        level = [c for c in active if len(c.attempts) == fewest]
        left = self.shared.remaining.tokens
        size = self.wave
        while size > 1 and left is not None and sum(self.cost(c, size) for c in level) > left:
            size -= 1
        return size

    async def _fitting(self, wanted: Sequence[tuple[_Case, int]], in_flight: int) -> list[tuple[_Case, int]]:
        """The first few of `wanted` whose upper bounds fit the total together.

        Nothing is in flight here, so what does not fit alone will never fit: it is out.
        """
        chosen: list[tuple[_Case, int]] = []
        held = Spend()
        for case, size in wanted:
            if len(chosen) == in_flight:
                break
            try:
                fits, bound = await self._largest(case, size, held, whole=bool(chosen))
            except Exception as error:  # the boundary, as in `draw`: a prompt may be impossible to build
                if isinstance(error, BankError) and not isinstance(error, NotInBank):
                    raise
                case.fail(error)
                continue
            if fits:
                chosen.append((case, fits))
                held += bound
            elif chosen:
                break  # it may fit when these have given back what they do not need
            elif not case.attempts:
                return [(case, 1)]  # alone: the handle cuts a first attempt to what is left, or says why not
            else:
                case.out = case.compute.ledger.blocker(bound)  # the total's limit, or its own
        return chosen

    async def _largest(self, case: _Case, size: int, held: Spend, *, whole: bool) -> tuple[int, Spend]:
        """How many of `size` attempts fit beside `held`, and their bound; all or none where `whole`."""
        bound = Spend()
        for n in (size,) if whole else range(size, 0, -1):
            bound = await case.compute.bound(case.problem, n)
            if self.shared.blocker(held + bound) is None and case.compute.ledger.blocker(bound) is None:
                return n, bound
        return 0, bound


def _eliminated(state: State, settled: float, patience: int) -> Stopped | None:
    if state.attempts > 1 and leader_holds(state.first, state.second) > settled:
        return Stopped.SETTLED
    if state.attempts >= patience and state.first <= 1 + state.attempts / 8:
        return Stopped.NO_GAIN
    return None


def _open(problem: Problem, compute_for: Callable[[Problem], Compute], shared: Ledger) -> _Case | Answer:
    try:
        compute = compute_for(problem)
    except Exception as error:  # the boundary, as in `draw`
        return Answer(None, stopped=Stopped.FAILED, notes=(_named(error),))
    if compute.ledger.parent is not None or compute.ledger.total.calls or compute.ledger.in_flight:
        raise UserError(
            "compute_for must give each problem a fresh handle of its own: this one was used before, or is a child. "
            "Return a new Compute(model, bank=bank) from it."
        )
    compute.ledger.parent = shared
    return _Case(problem, compute)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _check(problems: Sequence[Problem], total: int, rule: str, wave: int, most: int, in_flight: int) -> None:
    if not problems:
        raise UserError("There are no problems to solve; give at least one.")
    seen: dict[str, int] = {}
    for i, problem in enumerate(problems):
        if problem.id in seen:
            raise UserError(
                f"The problems {seen[problem.id]} and {i} are the same (id {problem.id}): {problem.question[:60]!r}. "
                "Give each once; its answer serves both."
            )
        seen[problem.id] = i
    if not total >= 0:  # also refuses NaN
        raise UserError(f"total_tokens must be zero or more, got {total!r}.")
    if rule not in RULES:
        raise UserError(f"Unknown rule {rule!r}. Known: {', '.join(RULES)}.")
    for name, value in (("wave", wave), ("most", most), ("in_flight", in_flight)):
        if value < 1:
            raise UserError(f"{name} must be one or more, got {value}.")


def _check_model(gain: GainTable, cases: Sequence[_Case]) -> None:
    names = {c.compute.model.name for c in cases}
    if gain.model and names - {gain.model}:
        raise UserError(
            f"The table of gains was learned on {gain.model}, and the model is {sorted(names - {gain.model})[0]}. "
            "Learn it for this model with fit_gain."
        )
