"""The token clock: order, charges, budgets, and the same again from the bank."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.bank import Bank, Draw, ReplayModel, panel_key
from nlrl.compute import Compute
from nlrl.compute.traces import PROBE_TOKENS, Probe, ProbePlan
from nlrl.core import Budget, Completion, Finish, Phase, Problem, Sampling, Stopped, TaskType
from nlrl.testing.scripted import ScriptedModel

PROBLEM = Problem("Which number?", "7", TaskType.MATH)
PROMPT = 20


def draw(tokens, answer="7", probes=(), shared=True):
    return Draw(Completion("", Finish.STOP, tokens, prompt_tokens=PROMPT), shared=shared, answer=answer, probes=probes)


def on_panel(draws, job, **options):
    """Run `job(compute)` over a panel of these draws."""

    async def main():
        with Bank() as bank:
            await bank.put(panel_key("panel:x", PROBLEM), dict(enumerate(draws)), model="panel:x")
            compute = Compute(ReplayModel("panel:x", is_panel=True), bank=bank, **options)
            return await job(compute), compute

    return asyncio.run(main())


def told(event):
    if isinstance(event, Probe):
        return ("probe", event.trace.id, event.tokens, event.answer)
    return ("end", event.trace.id, event.candidate.answer)


def test_events_come_in_the_order_of_the_clock_and_each_trace_is_charged_once():
    draws = [draw(300, "a"), draw(100, "b"), draw(200, "c")]

    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            await watch.start(3)
            return [(told(e), watch.clock) async for e in watch]

    events, compute = on_panel(draws, job)
    assert events == [(("end", "s1", "b"), 100), (("end", "s2", "c"), 200), (("end", "s0", "a"), 300)]
    usage = compute.ledger.usage(critical_path_tokens=compute.path_tokens)
    assert usage.tokens == 600 + PROMPT and usage.total.calls == 3 and usage.critical_path_tokens == 300
    assert [c.id for c in compute.candidates] == ["s1", "s2", "s0"]


def test_leaving_charges_what_runs_up_to_the_clock():
    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            await watch.start(3)
            async for _ in watch:
                break

    _, compute = on_panel([draw(300), draw(100), draw(200)], job)
    assert compute.ledger.total.completion_tokens == 300
    assert compute.ledger.total.cancelled_tokens == 200
    assert compute.path_tokens == 100


def test_a_killed_trace_costs_what_it_had_and_a_later_one_starts_at_the_clock():
    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            slow, _ = await watch.start(2)
            await watch.next()
            watch.kill(slow)
            with pytest.raises(ValueError, match="is over"):
                watch.kill(slow)
            (late,) = await watch.start(1)
            assert (late.begun, watch.running) == (100, [late])
            assert await watch.next(until=130) is None
            assert (watch.clock, watch.tokens(late)) == (130, 30)
            return [told(e) async for e in watch]

    events, compute = on_panel([draw(5000), draw(100), draw(50, "9")], job)
    assert events == [("end", "s2", "9")]
    assert compute.ledger.total.completion_tokens == 100 + 100 + 50
    assert compute.ledger.total.prompt_tokens == 2 * PROMPT  # two starts, two evaluations of the prompt
    assert compute.candidates[-1].path_tokens == compute.path_tokens == 150


def test_only_probes_that_were_delivered_or_looked_at_are_charged():
    probes = tuple((at, str(at)) for at in range(100, 1000, 100))

    async def job(compute):
        async with compute.traces(PROBLEM, probes=ProbePlan(200, 2.0)) as watch:
            (trace,) = await watch.start(1)
            events = [told(e) async for e in watch]
            await watch.look(trace, [100, 450, 450, 10])  # 450 is the planned one at 400: known
            return events, trace.probes

    (events, seen), compute = on_panel([draw(1000, "7", probes)], job)
    assert events == [("probe", "s0", at, str(at)) for at in (200, 400, 800)] + [("end", "s0", "7")]
    assert [at for at, _ in seen] == [100, 200, 400, 800]
    spent = compute.ledger.usage().phases[Phase.PROBE]
    assert (spent.calls, spent.completion_tokens, spent.prompt_tokens) == (4, 4 * PROBE_TOKENS, 0)
    assert compute.candidates[0].probes == tuple((at, str(at)) for at in (200, 400, 800))


def test_nobody_looks_into_the_future():
    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            trace, _ = await watch.start(2)
            await watch.next()
            await watch.look(trace, [100, 900])
            return trace.probes

    seen, _ = on_panel([draw(1000, "7", ((100, "1"), (400, "2"), (900, "3"))), draw(450)], job)
    assert seen == [(100, "1"), (400, "2")]


def test_a_trace_that_is_cut_keeps_its_last_probe_as_its_answer():
    async def job(compute):
        async with compute.traces(PROBLEM, probes=ProbePlan(100)) as watch:
            await watch.start(1)
            event = await watch.next()
            return watch.cut(event.trace)

    candidate, compute = on_panel([draw(1000, "7", ((100, "5"), (200, "7")))], job)
    assert (candidate.answer, candidate.completion.completion_tokens) == ("5", 100)
    assert candidate.completion.finish is Finish.RULE
    assert compute.ledger.total.cancelled_tokens == 0
    assert compute.ledger.total.completion_tokens == 100 + PROBE_TOKENS


def test_a_panel_that_ends_says_what_it_lacks():
    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            first, second = await watch.start(3), await watch.start(2)
            return len(first), len(second)

    (first, second), compute = on_panel([draw(10), draw(10)], job)
    assert (first, second) == (2, 0)
    assert len(compute.failed) == 3 and "NotInBank" in (compute.failed[0].error or "")


def test_an_answer_recorded_as_text_is_read():
    shown = Draw(Completion("so Final Answer: 12", Finish.STOP, 9), shared=True)

    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            await watch.start(1)
            return [told(e) async for e in watch]

    assert on_panel([shown], job)[0] == [("end", "s0", "12")]


@pytest.mark.parametrize(("first", "growth"), [(0, 1.0), (10, 0.5), (10, float("nan"))])
def test_a_plan_that_makes_no_sense_is_refused(first, growth):
    with pytest.raises(ValueError, match="probe plan"):
        ProbePlan(first, growth)


@given(st.integers(1, 50), st.floats(1.0, 3.0), st.integers(-1, 10_000))
def test_a_plan_always_goes_on(first, growth, tokens):
    assert ProbePlan(first, growth).after(tokens) > tokens


_draws = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["1", "2", None]), st.integers(1, 90)), min_size=1, max_size=10
)


@settings(max_examples=120)
@given(_draws, st.integers(0, 2500), st.one_of(st.none(), st.integers(0, 12)), st.booleans(), st.randoms())
def test_law_budgets_hold_the_ledger_adds_up_and_the_same_again(made, tokens, calls, shared, rng):
    """Whatever the caller does: starting, killing, cutting, looking, leaving."""
    draws = [draw(n, answer, tuple((at, "1") for at in range(every, n, every)), shared) for n, answer, every in made]
    moves = [(rng.choice("skclnn"), rng.randint(1, 4), rng.random()) for _ in range(30)]

    async def job(compute):
        log, charged, starts = [], 0, []
        async with compute.traces(PROBLEM, probes=ProbePlan(40, 1.3)) as watch:
            for move, n, part in moves:
                before = compute.ledger.total.tokens
                if move == "s":
                    fresh = await watch.start(n)
                    starts.append(len(fresh))
                elif move in "kcl" and watch.running:
                    trace = watch.running[int(part * len(watch.running))]
                    if move == "l":
                        await watch.look(trace, [int(part * 400)])
                    else:
                        watch.kill(trace) if move == "k" else watch.cut(trace)
                elif move == "n" and (event := await watch.next(None if n > 1 else watch.clock + 30)):
                    log.append((told(event), watch.clock))
                charged += compute.ledger.total.tokens - before
                assert compute.ledger.total.tokens + compute.ledger._held.tokens <= tokens
            clock, running = watch.clock, [(t.begun, t._prompt) for t in watch.running]
        charged += sum(clock - begun + prompt for begun, prompt in running)
        return log, charged, starts

    options = {"budget": Budget(tokens=tokens, calls=calls)}
    (log, charged, _), compute = on_panel(draws, job, **options)
    total = compute.ledger.total
    assert charged == total.tokens <= tokens
    assert calls is None or total.calls <= calls
    assert sum(p.tokens for p in compute.ledger.phases.values()) == total.tokens
    assert compute.path_tokens <= total.completion_tokens
    assert not compute.ledger.in_flight and compute.ledger.paid.tokens == 0
    assert [at for _, at in log] == sorted(at for _, at in log)
    (again, *_), other = on_panel(draws, job, **options)
    assert again == log and other.ledger.total == total and other.candidates == compute.candidates


def test_a_spent_budget_is_said_unless_it_was_enough_after_all():
    async def job(compute):
        async with compute.traces(PROBLEM) as watch:
            await watch.start(3)  # only one fits
            await watch.next()
        return compute.stopped

    assert on_panel([draw(100)] * 3, job, budget=Budget(tokens=150))[0] is Stopped.TOKENS
    assert on_panel([draw(100)] * 3, job, budget=Budget(tokens=320))[0] is None


# --- live

WORDS = "one two three four five six seven eight nine ten"


def counting(request, index):
    """Counts to ten and answers; asked early, it answers with the number of words so far. Draw 1 is silent from the
    start."""
    if "Final Answer:" in request.prefill:
        return f" {request.prefill.split('Final')[0].count(' ') + 1}"
    if not request.prefill and index == 1:
        return "Final Answer: 3"
    said = len(request.prefill.split())
    return " ".join([*WORDS.split(), "Final Answer: 55"][said:]) if said == 0 else rest(request.prefill)


def rest(prefill):
    return (WORDS + "\nFinal Answer: 55")[len(prefill) :]


async def live(bank, budget=None, every=4, stop_after=99):
    compute = Compute(
        ScriptedModel(counting), bank=bank, budget=budget, sampling=Sampling(max_tokens=40), prompt=lambda p: ()
    )
    log = []
    async with compute.traces(PROBLEM, probes=ProbePlan(4), every=every) as watch:
        await watch.start(2)
        async for event in watch:
            log.append((told(event), watch.clock))
            if len(log) >= stop_after:
                break
    return log, compute


def test_live_traces_grow_by_chunks_are_probed_and_end_in_order():
    with Bank() as bank:
        log, compute = asyncio.run(live(bank))
        kinds = [event[0] for event, _ in log]
        assert kinds.count("end") == 2 and kinds.count("probe") >= 2
        assert [at for _, at in log] == sorted(at for _, at in log)
        assert {event[2] for event, _ in log if event[0] == "end"} == {"3", "55"}
        assert {c.text.split()[-1] for c in compute.candidates} == {"3", "55"}
        assert compute.ledger.usage().phases[Phase.PROBE].tokens > 0
        assert compute.ledger.paid.tokens == compute.ledger.total.tokens


@pytest.mark.parametrize("budget", [None, 0, 30, 60, 100, 160, 240])
@pytest.mark.parametrize("stop_after", [1, 3, 99])
def test_law_a_live_watch_keeps_its_budget_and_replays_alike(budget, stop_after):
    limit = None if budget is None else Budget(tokens=budget)
    with Bank() as bank:
        log, compute = asyncio.run(live(bank, limit, stop_after=stop_after))
        again, other = asyncio.run(live(bank, limit, stop_after=stop_after))
    assert again == log
    assert replace(other.ledger.total, seconds=0.0) == replace(compute.ledger.total, seconds=0.0)
    assert other.ledger.paid.tokens == 0
    assert other.candidates == compute.candidates and other.stopped == compute.stopped
    if budget is not None:
        assert compute.ledger.total.tokens <= budget
    assert sum(p.tokens for p in compute.ledger.phases.values()) == compute.ledger.total.tokens
    assert compute.path_tokens <= max(compute.ledger.total.completion_tokens, 0)


def test_live_without_chunks_draws_whole_and_delivers_by_length():
    with Bank() as bank:
        log, compute = asyncio.run(live(bank, every=None))
    assert [event[2] for event, _ in log] == ["3", "55"]
    assert [c.id for c in compute.candidates] == ["s1", "s0"]
    assert compute.path_tokens == max(c.completion.completion_tokens for c in compute.candidates)


def test_open_thinking_is_closed_before_an_answer_is_demanded():
    asked = []

    def thinker(request, index):
        if "Final Answer:" in request.prefill:
            asked.append(request.prefill)
            return " 4"
        return ("<think> " + WORDS)[len(request.prefill) :]

    async def job():
        compute = Compute(ScriptedModel(thinker), sampling=Sampling(max_tokens=20), prompt=lambda p: ())
        async with compute.traces(PROBLEM, every=5) as watch:
            (trace,) = await watch.start(1)
            async for _ in watch:
                pass
            await watch.look(trace, [5])
            return trace.probes

    seen = asyncio.run(job())
    assert [answer for _, answer in seen] == ["4"]
    assert asked[0].endswith("\n</think>\n\nFinal Answer:")
