"""Compute across problems: the laws of spending, the offline plan against brute force, the learned table, bad input."""

import asyncio
import itertools
import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.bank import Bank, Draw, ReplayModel, panel_key
from nlrl.compute import Compute, Ledger
from nlrl.core import (
    BankError,
    Budget,
    Completion,
    DataError,
    Finish,
    ModelError,
    Problem,
    Sampling,
    Stopped,
    TaskType,
    UserError,
)
from nlrl.scaling.across import RULES, solve_all
from nlrl.scaling.gains import GainTable, State, bins, fit_gain, load_gain, save_gain
from nlrl.scaling.marginal import Curve, allocate, curves_of, upper_hull
from nlrl.testing.scripted import StochasticModel

PROBLEMS = [Problem(f"What is {a} + {a + 3}?", str(2 * a + 3), TaskType.MATH) for a in range(10, 18)]
RATES = {p.id: rate for p, rate in zip(PROBLEMS, (0.97, 0.6, 0.05, 0.5, 0.9, 0.4, 0.02, 0.7), strict=True)}


def run(coroutine):
    return asyncio.run(coroutine)


class Meter:
    """A model that counts what passes through it, and may take its time or break."""

    def __init__(self, *, breaks=(), shares=True, slow=False):
        self.inner = StochasticModel(PROBLEMS, RATES, tokens=30, seed=5)
        self.can = replace(self.inner.can, n=shares)
        self.name = self.inner.name
        self.breaks, self.slow = tuple(p.question for p in breaks), slow
        self.prompt = self.completion = 0

    async def count_prompt_tokens(self, messages, prefill=""):
        return await self.inner.count_prompt_tokens(messages, prefill)

    async def complete(self, request):
        return [d.completion async for d in self.stream(request) if d.completion]

    async def stream(self, request):
        if any(q in request.messages[-1].content for q in self.breaks):
            raise RuntimeError("this one is cursed")
        length = await self.count_prompt_tokens(request.messages, request.prefill)
        first = True
        async for delta in self.inner.stream(request):
            if self.slow:  # every problem at a pace of its own
                await asyncio.sleep(0.0001 * (len(request.messages[-1].content) % 3))
            self.completion += delta.tokens
            if (c := delta.completion) is not None:
                charged = length if first or not self.can.n else 0
                first = False
                self.prompt += charged
                delta = replace(delta, completion=replace(c, prompt_tokens=charged))
            yield delta

    async def aclose(self):
        pass


def spread(model, total, *, problems=PROBLEMS, bank=None, **options):
    """The answers, and the ledger that everything was charged to."""
    ledger = Ledger()

    async def job():
        with Bank() as own:
            shared = bank or own
            return await solve_all(
                problems,
                lambda p: Compute(model, bank=shared, sampling=Sampling(max_tokens=80)),
                total,
                ledger=ledger,
                **options,
            )

    return run(job()), ledger


def panel_of(bank, name, answers, tokens=100):
    """Panels with given answers: {problem: "aab-"}, where a is right, - is unreadable, and all else is wrong."""

    async def job():
        for problem, said in answers.items():
            draws = {}
            for i, letter in enumerate(said):
                answer = None if letter == "-" else problem.reference if letter == "a" else str(-ord(letter))
                draws[i] = Draw(Completion("", Finish.STOP, tokens, prompt_tokens=10), shared=True, answer=answer)
            await bank.put(panel_key(name, problem), draws, model=name, problem_id=problem.id)

    run(job())


def replayed(bank, name, problems, total, **options):
    model = ReplayModel(name, is_panel=True)
    return run(solve_all(problems, lambda p: Compute(model, bank=bank, prompt=lambda p: ()), total, **options))


# --- laws


def table() -> GainTable:
    letters = ("a" * 32, "ab" * 16, "abcd" * 8, "bcdefghi" * 4, "b" * 30 + "aa", "aabac-ad" * 4, "cb" * 16, "a-" * 16)
    with Bank() as bank:
        panel_of(bank, "panel:fit", dict(zip(PROBLEMS, letters, strict=True)))
        return msgspec.structs.replace(run(fit_gain(PROBLEMS, bank, "panel:fit", orders=8)), model="")


TABLE = table()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(RULES),
    st.booleans(),
    st.integers(0, 6000),
    st.integers(1, 6),
    st.integers(1, 20),
    st.integers(1, 12),
    st.booleans(),
)
def test_law_the_total_holds_and_every_token_is_charged(rule, learned, total, wave, most, in_flight, shares):
    model = Meter(shares=shares)
    answers, ledger = spread(
        model, total, rule=rule, wave=wave, most=most, in_flight=in_flight, gain=TABLE if learned else None
    )
    assert sum(a.usage.tokens for a in answers) == ledger.total.tokens == model.prompt + model.completion <= total
    assert not ledger.in_flight
    assert len(answers) == len(PROBLEMS)
    assert all(len(a.candidates) <= most for a in answers)
    for answer in answers:
        if not answer.candidates:
            assert answer.value is None
            assert answer.stopped is Stopped.TOKENS
    if any(len(a.candidates) > 1 for a in answers):
        assert all(a.candidates for a in answers)  # nobody has two before everybody has one


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("total", [150, 900, 2500, 8000])
def test_law_a_replay_gives_the_identical_answers_and_account(rule, total):
    with Bank() as bank:
        live, account = spread(Meter(slow=True), total, bank=bank, rule=rule, gain=TABLE)
        again, replay = spread(Meter(), total, bank=bank, rule=rule, gain=TABLE)
        fresh, _ = spread(Meter(), total, rule=rule, gain=TABLE)  # nor does the pace of the model matter
    assert [untimed(a) for a in again] == [untimed(a) for a in live] == [untimed(a) for a in fresh]
    assert replay.total.tokens == account.total.tokens
    assert replay.paid.tokens == 0


def untimed(answer):
    usage = answer.usage
    phases = {p: replace(s, seconds=0.0) for p, s in usage.phases.items()}
    candidates = tuple(replace(c, completion=replace(c.completion, seconds=0.0, gists=())) for c in answer.candidates)
    usage = replace(usage, seconds=0.0, total=replace(usage.total, seconds=0.0), phases=phases)
    return replace(answer, usage=usage, candidates=candidates)


@pytest.mark.parametrize("rule", RULES)
def test_law_one_failing_problem_does_not_spoil_the_rest(rule):
    model = Meter(breaks=[PROBLEMS[1]])
    answers, ledger = spread(model, 5000, rule=rule, gain=TABLE)
    assert answers[1].stopped is Stopped.FAILED
    assert answers[1].value is None
    assert "cursed" in " ".join(answers[1].notes)
    assert all(a.candidates for i, a in enumerate(answers) if i != 1)
    assert ledger.total.tokens == sum(a.usage.tokens for a in answers) <= 5000


def test_a_handle_that_cannot_be_made_is_that_problems_failure():
    def compute_for(problem):
        if problem is PROBLEMS[0]:
            raise ModelError("no such model")
        return Compute(Meter(), sampling=Sampling(max_tokens=80))

    answers = run(solve_all(PROBLEMS[:3], compute_for, 2000))
    assert (answers[0].stopped, answers[0].notes) == (Stopped.FAILED, ("ModelError: no such model",))
    assert all(a.candidates for a in answers[1:])


def test_a_prompt_that_cannot_be_made_is_that_problems_failure():
    def prompt(problem):
        if problem is PROBLEMS[2]:
            raise UserError("no prompt for this")
        return ()

    with Bank() as bank:
        panel_of(bank, "panel:p", dict.fromkeys(PROBLEMS, "aaaa"))
        model = ReplayModel("panel:p", is_panel=True)
        answers = run(solve_all(PROBLEMS, lambda p: Compute(model, bank=bank, prompt=prompt), 5000))
    assert answers[2].stopped is Stopped.FAILED
    assert "no prompt" in answers[2].notes[0]
    assert all(a.value == p.reference for i, (a, p) in enumerate(zip(answers, PROBLEMS, strict=True)) if i != 2)


def test_a_failing_bank_ends_it_by_name():
    class Broken(Bank):
        async def get(self, key, indices):
            raise BankError("the disk is full")

    with Broken() as bank, pytest.raises(BankError, match="disk is full"):
        spread(Meter(), 2000, bank=bank)


def test_cancelling_leaves_nothing_in_flight():
    ledger = Ledger()

    async def job():
        task = asyncio.create_task(
            solve_all(PROBLEMS, lambda p: Compute(Meter(slow=True)), 100_000, ledger=ledger, most=500)
        )
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

    assert run(job()) == []
    assert not ledger.in_flight


# --- what the rules do


def test_too_small_a_budget_says_so():
    answers, ledger = spread(Meter(), 0)
    assert [a.stopped for a in answers] == [Stopped.TOKENS] * len(PROBLEMS)
    assert ledger.total.tokens == 0
    with Bank() as bank:
        panel_of(bank, "panel:p", dict.fromkeys(PROBLEMS, "aaaa"))
        answers = replayed(bank, "panel:p", PROBLEMS, 3 * 110 + 50)
    assert [len(a.candidates) for a in answers] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert [a.stopped for a in answers] == [Stopped.TOKENS] * len(PROBLEMS)


def test_uniform_gives_everyone_as_much_and_elimination_moves_it():
    said = {PROBLEMS[0]: "a" * 40, PROBLEMS[1]: "ab" * 20, PROBLEMS[2]: "bcdefghijklmnopqrstuvwxyz" * 2}
    with Bank() as bank:
        panel_of(bank, "panel:p", said)
        total = 3 * 12 * 110
        even = replayed(bank, "panel:p", list(said), total, rule="uniform")
        moved = replayed(bank, "panel:p", list(said), total, rule="elimination")
    counts = [len(a.candidates) for a in even]
    assert max(counts) - min(counts) <= 1
    assert [a.stopped for a in moved] == [Stopped.SETTLED, Stopped.TOKENS, Stopped.NO_GAIN]
    assert len(moved[0].candidates) == 5
    assert len(moved[2].candidates) == 9
    assert len(moved[1].candidates) > max(counts)


def test_a_learned_table_moves_tokens_to_where_votes_still_help():
    kinds = ("a" * 40, ("baabcaabaadbaaca" * 3)[:40], "b" * 40)
    many = [Problem(f"What is {i} + 1?", str(i + 1), TaskType.MATH) for i in range(60)]
    with Bank() as bank:
        panel_of(bank, "panel:t", {p: kinds[i % 3] for i, p in enumerate(many)})
        learned = run(fit_gain(many[3:], bank, "panel:t"))
        settled, torn, lost = replayed(bank, "panel:t", many[:3], 30 * 110, gain=learned)
    assert len(torn.candidates) > 2 * max(len(settled.candidates), len(lost.candidates))
    assert torn.value == many[1].reference


def test_what_is_left_over_goes_to_stricter_stages():
    said = {PROBLEMS[0]: "a" * 40, PROBLEMS[1]: "b" + "a" * 39}
    with Bank() as bank:
        panel_of(bank, "panel:p", said)
        few = replayed(bank, "panel:p", list(said), 14 * 110, rule="elimination", wave=1)
        rich = replayed(bank, "panel:p", list(said), 80 * 110, rule="elimination", wave=1)
    assert sum(len(a.candidates) for a in few) >= 13
    assert [a.stopped for a in rich] == [Stopped.SETTLED, Stopped.SETTLED]  # and not without end
    assert all(4 < len(a.candidates) < 40 for a in rich)


def test_a_table_that_knows_nothing_leaves_it_to_the_posterior():
    silent = GainTable(model="", problems=0, samples=0, cells=())
    answers, ledger = spread(Meter(), 4000, gain=silent)
    assert min(len(a.candidates) for a in answers) >= 1
    assert ledger.total.tokens > 3000


def test_the_panels_end_is_not_a_failure():
    with Bank() as bank:
        panel_of(bank, "panel:p", {PROBLEMS[0]: "aba", PROBLEMS[1]: "ab"})
        answers = replayed(bank, "panel:p", PROBLEMS[:2], 100_000, rule="uniform")
    assert [len(a.candidates) for a in answers] == [3, 2]
    assert [a.stopped for a in answers] == [Stopped.DONE, Stopped.DONE]


def test_limits_of_a_handle_hold_too():
    def compute_for(problem):
        calls = 2 if problem is PROBLEMS[1] else None
        return Compute(Meter(), budget=Budget(calls=calls), sampling=Sampling(max_tokens=80))

    answers = run(solve_all(PROBLEMS[:3], compute_for, 4000, rule="uniform", most=10))
    assert len(answers[1].candidates) == 2
    assert answers[1].stopped is Stopped.CALLS
    assert len(answers[0].candidates) == 10


def test_the_bound_is_what_sampling_reserves():
    async def job():
        compute = Compute(Meter(), sampling=Sampling(max_tokens=80))
        bound = await compute.bound(PROBLEMS[0], 3)
        await compute.sample(PROBLEMS[0], 3)
        return bound, compute.ledger

    bound, ledger = run(job())
    assert bound.tokens == ledger.peak_tokens >= ledger.total.tokens
    assert bound.calls == 3


# --- the learned table


def test_gains_by_hand():
    """Two attempts, one right and one wrong: after one attempt, a second never changes the vote (the first stays)."""
    with Bank() as bank:
        panel_of(bank, "panel:t", {PROBLEMS[0]: "ab", PROBLEMS[1]: "aa"})
        cells = {c.state: c for c in run(fit_gain(PROBLEMS[:2], bank, "panel:t")).cells}
    assert cells[1,].gains == (0.0,)
    assert cells[1,].problems == 2.0
    assert all(len(c.gains) == 1 for c in cells.values())


def test_gains_are_shrunk_towards_the_coarser_cell():
    with Bank() as bank:
        # unreadable first, then right: from state (n, no votes) one more attempt may bring the whole point
        panel_of(bank, "panel:t", dict.fromkeys(PROBLEMS, "-a"))
        table = run(fit_gain(PROBLEMS, bank, "panel:t", orders=64))
    silent, spoken = table.gains(State(1, 0, 0, 0)), table.gains(State(1, 1, 0, 1))
    coarse = {c.state: c for c in table.cells}[1,]
    assert 0.2 < coarse.gains[0] < 0.35  # half of the orders gain 1; 8 problems against a pull of 6 towards 0
    assert silent[0] > 0.8
    assert 0 <= spoken[0] < 0.1
    unseen = State(1, 1, 1, 2)  # such a cell was never seen: what its parents say
    assert table.gains(unseen) == {c.state: c for c in table.cells}[bins(unseen, table)[:2]].gains
    assert table.gains(State(500, 3, 2, 9)) == ()
    assert table.best(State(500, 3, 2, 9), lambda h: h).rate == 0


def test_the_best_rate_looks_beyond_what_changes_nothing():
    best = TABLE.best(State(1, 1, 0, 1), lambda h: 10.0 * h)
    assert best.attempts > 1
    assert best.rate > 0
    assert TABLE.best(State(1, 1, 0, 1), lambda h: 10.0 * h, most=1).rate == 0


def test_a_table_survives_its_file(tmp_path):
    file = tmp_path / "deep" / "gain.json"
    save_gain(TABLE, file)
    assert load_gain(file) == TABLE
    assert len(file.read_text().splitlines()) == len(TABLE.cells) + 2  # a cell a line
    file.write_text('{"model": "x"}')
    with pytest.raises(DataError, match="not a table of gains"):
        load_gain(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError):
        load_gain(file)
    with pytest.raises(UserError, match="cannot be read"):
        load_gain(tmp_path / "none.json")


def test_a_table_of_another_model_is_refused_before_anything_is_spent():
    model = Meter()
    with pytest.raises(UserError, match="learned on somebody"):
        spread(model, 1000, gain=msgspec.structs.replace(TABLE, model="somebody"))
    assert model.completion == 0


def test_a_panel_without_references_teaches_nothing():
    bare = [Problem("Which one?", None, TaskType.MATH)]
    with Bank() as bank:
        with pytest.raises(UserError, match="No gains can be learned"):
            run(fit_gain(bare, bank, "panel:none"))
        with pytest.raises(UserError, match="No gains can be learned"):
            run(fit_gain([], bank, "panel:none"))


# --- offline


def brute_force(curves, total):
    """The best plan of all, by trying every setting for every problem."""
    sizes = [[(0.0, 0.0), *c.points] for c in curves for _ in range(c.size)]
    best = 0.0
    for choice in itertools.product(*sizes):
        if sum(t for t, _ in choice) <= total:
            best = max(best, sum(a for _, a in choice))
    return best


points = st.lists(
    st.tuples(st.integers(0, 60).map(float), st.integers(0, 20).map(lambda k: k / 20)), min_size=1, max_size=4
).map(tuple)
tables = st.lists(st.tuples(st.integers(1, 2), points), min_size=1, max_size=3).map(
    lambda rows: [Curve(str(i), size, p) for i, (size, p) in enumerate(rows)]
)


@settings(max_examples=150, deadline=None)
@given(tables, st.integers(0, 250))
def test_allocation_against_brute_force(curves, total):
    plan = allocate(curves, total)
    best = brute_force(curves, total)
    assert plan.tokens <= total
    assert plan.right <= best + 1e-9 <= plan.bound + 2e-9
    steps = [b[1] - a[1] for c in curves for a, b in itertools.pairwise(upper_hull(c.points))]
    assert plan.right >= best - max(steps, default=0) - 1e-9
    assert sum(n for g in plan.given for _, n in g.counts) == sum(c.size for c in curves)
    assert plan.right == pytest.approx(sum(g.right for g in plan.given))
    if plan.multiplier == 0:  # all fitted
        assert plan.right == pytest.approx(best) == pytest.approx(plan.bound)


@settings(max_examples=80, deadline=None)
@given(tables)
def test_allocation_is_optimal_wherever_the_money_ends_on_a_step(curves):
    steps = sorted(
        (
            ((b[1] - a[1]) / max(b[0] - a[0], 1e-12), (b[0] - a[0]) * c.size)
            for c in curves
            for a, b in itertools.pairwise(upper_hull(c.points))
        ),
        reverse=True,
    )
    for k in range(len(steps) + 1):
        if 0 < k < len(steps) and steps[k - 1][0] == pytest.approx(steps[k][0]):
            continue  # in which of two equal steps the money ends is open
        total = sum(cost for _, cost in steps[:k])
        assert allocate(curves, total).right == pytest.approx(brute_force(curves, total))


def test_a_plan_by_hand():
    curves = [
        Curve("easy", 2, ((100, 0.9), (400, 0.92))),
        Curve("medium", 2, ((100, 0.4), (200, 0.45), (400, 0.8))),  # 200 lies under the hull
        Curve("hopeless", 2, ((100, 0.0), (400, 0.02))),
    ]
    plan = allocate(curves, 200 + 200 + 2 * 300)
    assert [g.counts for g in plan.given] == [((100, 2),), ((400, 2),), ((0.0, 2),)]
    assert plan.tokens == 1000
    assert plan.right == pytest.approx(1.8 + 1.6)
    assert plan.multiplier == pytest.approx(0.02 / 300)
    assert upper_hull(curves[1].points) == [(0, 0), (100, 0.4), (400, 0.8)]
    rich = allocate(curves, 1e9)
    assert (rich.multiplier, rich.right) == (0.0, pytest.approx(2 * (0.92 + 0.8 + 0.02)))
    assert allocate(curves, 0).right == 0


def test_curves_from_tables():
    nan = math.nan
    right = [[1, 0, 1, nan], [1, 1, 1, 1]]
    tokens = [[10, 30, 20, 10], [40, 80, 50, 40]]
    easy, hard = curves_of(right, tokens, ["easy", "hard", "easy", "hard"])
    assert easy == Curve("easy", 2, ((15.0, 1.0), (45.0, 1.0)))
    assert hard == Curve("hard", 2, ((30.0, 0.0), (80.0, 1.0)))  # of the one that could be judged
    with pytest.raises(UserError, match="could be judged"):
        curves_of([[nan]], [[1]], ["x"])
    with pytest.raises(UserError, match="settings x problems"):
        curves_of([[1, 0]], [[1]], ["x"])


# --- bad input


@pytest.mark.parametrize(
    "curves",
    [
        [],
        [Curve("x", 1, ())],
        [Curve("x", 0, ((1, 0.5),))],
        [Curve("x", 1, ((1, math.nan),))],
        [Curve("x", 1, ((math.nan, 0.5),))],
        [Curve("x", 1, ((-1, 0.5),))],
        [Curve("x", 1, ((1, 1.5),))],
        [Curve("x", 1, ((math.inf, 0.5),))],
    ],
)
def test_impossible_curves_are_refused(curves):
    with pytest.raises(UserError):
        allocate(curves, 100)


@pytest.mark.parametrize("total", [-1, math.nan, math.inf])
def test_impossible_totals_are_refused(total):
    with pytest.raises(UserError):
        allocate([Curve("x", 1, ((1, 0.5),))], total)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problems": []}, "no problems"),
        ({"problems": [PROBLEMS[0], PROBLEMS[1], PROBLEMS[0]]}, "0 and 2 are the same"),
        ({"total": -1}, "zero or more"),
        ({"total": math.nan}, "zero or more"),
        ({"rule": "greedy"}, "Known: gain, elimination, uniform"),
        ({"wave": 0}, "wave must be"),
        ({"most": 0}, "most must be"),
        ({"in_flight": 0}, "in_flight must be"),
    ],
)
def test_unusable_calls_are_refused(change, words):
    with pytest.raises(UserError, match=words):
        spread(Meter(), **({"total": 100} | change))


def test_a_used_handle_is_refused():
    one = Compute(Meter())
    with pytest.raises(UserError, match="fresh handle"):
        run(solve_all(PROBLEMS[:2], lambda p: one, 1000))
