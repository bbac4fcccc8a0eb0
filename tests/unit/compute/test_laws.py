"""The four laws of spending, as properties over stochastic models, strategies, budgets and concurrency."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.bank import Bank, Draw, ReplayModel, panel_key
from nlrl.compute import Compute
from nlrl.core import Budget, Capabilities, Completion, Finish, Phase, Problem, Sampling, Stopped, TaskType
from nlrl.strategies import solve, strategies
from nlrl.testing.scripted import StochasticModel

PROBLEMS = [Problem(f"What is {a} + {b}?", str(a + b), TaskType.MATH) for a, b in [(1, 2), (17, 25), (400, 31)]]
# every registered one, small enough that a limit strikes in the middle
SETTINGS = {
    "self_consistency": "n=6",
    "best_of_n": "n=5",
    "weighted_vote": "n=5, verifier=judge",
    "adaptive_consistency": "n=9, wave=3",
    "self_refine": "rounds=2",
    "divide_and_conquer": "parts=2",
    "beam_search": "n=4, width=2",
    "dvts": "n=4, width=2",
    "lookahead_search": "n=4, width=2",
    "mcts": "n=6",
    "ab_mcts": "n=6",
    "revisions": "n=4",
    "early_stopping": "n=4",
    "probe_gate": "n=4",
    "finish_order": "n=6",
    "umpire": "n=6",
    "until_good": "n=4",
}
STRATEGIES = [f"{name}({SETTINGS[name]})" if name in SETTINGS else name for name in strategies()]


class Meter:
    """A model that counts as a server does: a call and its prompt when a request begins, a token when it is made."""

    def __init__(self, inner: StochasticModel, shares_prompt: bool = True):
        self.inner = inner
        self.can = replace(inner.can, n=shares_prompt, parameters=1000)
        self.prompt = self.completion = self.draws = self.calls = 0
        self.in_flight = self.most_in_flight = 0

    name = property(lambda self: self.inner.name)

    async def count_prompt_tokens(self, messages, prefill=""):
        return await self.inner.count_prompt_tokens(messages, prefill)

    async def complete(self, request):
        return [d.completion async for d in self.stream(request) if d.completion]

    async def stream(self, request):
        self.in_flight += request.n
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.calls += request.n
        length = await self.count_prompt_tokens(request.messages, request.prefill)
        self.prompt += length if self.can.n else length * request.n
        first = True
        try:
            async for delta in self.inner.stream(request):
                self.completion += delta.tokens
                if (c := delta.completion) is not None:
                    self.draws += 1
                    charged = length if first or not self.can.n else 0
                    first = False
                    delta = replace(delta, completion=replace(c, prompt_tokens=charged))
                yield delta
        finally:
            self.in_flight -= request.n

    async def aclose(self):
        pass


def run(coroutine):
    return asyncio.run(coroutine)


def model(**options) -> StochasticModel:
    return StochasticModel(PROBLEMS, p_correct=0.6, **options)


def assert_counted(ledger, answer, meter):
    """Not a call and not a token more or less than the server counted; a fresh solve costs what it has cost."""
    paid = ledger.paid
    assert (paid.calls, paid.prompt_tokens, paid.completion_tokens) == (meter.calls, meter.prompt, meter.completion)
    total = answer.usage.total
    assert (total.calls, total.tokens) == (paid.calls, paid.tokens)
    assert total.estimated_tokens == 0  # this server's prompts are known beforehand, and its tokens as they come
    assert not ledger.in_flight


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(STRATEGIES),
    st.sampled_from(PROBLEMS),
    st.floats(0.001, 0.1),
    st.booleans(),
    st.integers(0, 5),
)
def test_law_a_deadline_hides_no_call_and_no_prompt(strategy, problem, seconds, shares, seed):
    """Attempts are cut off before their first token, in their middle, and between two waves."""
    meter = Meter(model(token_seconds=0.001), shares)

    async def job():
        compute = Compute(meter, budget=Budget(seconds=seconds), sampling=Sampling(max_tokens=120, seed=seed))
        return await solve(strategy, problem, compute), compute.ledger

    answer, ledger = run(job())
    assert_counted(ledger, answer, meter)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(STRATEGIES),
    st.sampled_from(PROBLEMS),
    st.integers(0, 3000),
    st.one_of(st.none(), st.integers(0, 8)),
    st.booleans(),
    st.integers(0, 5),
)
def test_law_budgets_hold_and_the_ledger_is_what_the_server_counted(strategy, problem, tokens, calls, shares, seed):
    meter = Meter(model(), shares)

    async def job():
        compute = Compute(
            meter, budget=Budget(tokens=tokens, calls=calls), sampling=Sampling(max_tokens=120, seed=seed)
        )
        answer = await solve(strategy, problem, compute)
        return answer, compute.ledger

    answer, ledger = run(job())
    assert answer.usage.tokens <= tokens
    assert calls is None or answer.usage.total.calls <= calls
    assert_counted(ledger, answer, meter)
    total = sum((answer.usage.phases[p].tokens for p in answer.usage.phases), 0)
    assert total == answer.usage.tokens
    assert answer.usage.critical_path_tokens <= answer.usage.total.completion_tokens
    assert answer.usage.total.flops == 2 * 1000 * (answer.usage.tokens - answer.usage.total.cached_tokens)
    if tokens == 0 or calls == 0:
        assert answer.value is None
        assert answer.stopped in (Stopped.TOKENS, Stopped.CALLS)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("shares", [True, False])
def test_law_a_live_run_replays_to_the_identical_answer_and_ledger(strategy, shares):
    with Bank() as bank:
        for problem in PROBLEMS:
            for seed in range(4):
                meter = Meter(model(), shares)
                options = {"bank": bank, "sampling": Sampling(max_tokens=120, seed=seed)}
                live = run(solve(strategy, problem, Compute(meter, **options)))
                again = Compute(Meter(model(), shares), **options)
                replayed = run(solve(strategy, problem, again))
                assert replace(replayed, usage=live.usage) == live
                assert untimed(replayed.usage) == untimed(live.usage)
                assert again.ledger.paid.tokens == 0


def untimed(usage):
    phases = {p: replace(s, seconds=0.0) for p, s in usage.phases.items()}
    return replace(usage, seconds=0.0, total=replace(usage.total, seconds=0.0), phases=phases)


def test_law_a_thousand_children_in_flight_keep_within_the_budget():
    meter = Meter(model())

    async def job():
        compute = Compute(meter, budget=Budget(tokens=20_000), sampling=Sampling(max_tokens=64))
        got = 0

        async def child(i):
            nonlocal got
            async with compute.spawn(Budget(tokens=500)) as mine:
                attempts = await mine.sample(PROBLEMS[i % 3], 3)
                got += len(attempts)

        async with asyncio.TaskGroup() as group:
            for i in range(1000):
                group.create_task(child(i))
        return compute.ledger, got

    ledger, got = run(job())
    assert ledger.total.tokens <= 20_000
    assert ledger.paid.completion_tokens == meter.completion
    assert got > 100  # what a reservation gives back is spent by others that waited for it
    assert meter.most_in_flight > 50


def test_leaving_early_cancels_and_charges_what_was_generated():
    meter = Meter(model(token_seconds=0.001))

    async def job():
        compute = Compute(meter)
        async with compute.sampling(PROBLEMS[0], 8, wave=8) as attempts:
            async for _ in attempts:
                break
        return compute.ledger.usage()

    usage = run(job())
    assert usage.total.completion_tokens == meter.completion
    assert usage.total.calls >= 1


def test_a_sample_is_drawn_once_however_many_ask_for_it():
    meter = Meter(model(token_seconds=0.001))

    async def job():
        with Bank() as bank:
            await asyncio.gather(
                *(solve("self_consistency(n=4)", PROBLEMS[1], Compute(meter, bank=bank)) for _ in range(5))
            )

    run(job())
    assert meter.draws == 4


def test_same_bytes_same_fight():
    """Strategies that draw plain attempts see the same ones."""
    with Bank() as bank:
        texts = []
        for strategy in ("self_consistency(n=4)", "best_of_n(n=4)", "adaptive_consistency(n=4, threshold=1.0)"):
            answer = run(solve(strategy, PROBLEMS[2], Compute(model(), bank=bank)))
            texts.append([c.text for c in answer.candidates])
        assert texts[0] == texts[1] == texts[2]


def test_a_time_limit_gives_the_best_so_far():
    slow = model(token_seconds=0.01)
    compute = Compute(slow, budget=Budget(seconds=0.25))
    answer = run(solve("adaptive_consistency(n=200, wave=1, threshold=1.0)", PROBLEMS[0], compute))
    assert answer.stopped is Stopped.SECONDS
    assert answer.usage.seconds < 2


def test_replay_of_what_was_never_drawn_fails_by_name():
    answer = run(solve("self_consistency(n=3)", PROBLEMS[0], Compute(ReplayModel("nobody"))))
    assert answer.value is None
    assert answer.stopped is Stopped.FAILED
    assert "NotInBank" in " ".join(answer.notes)


def test_probe_tokens_appear_in_their_phase():
    async def job():
        compute = Compute(model())
        await compute.sample(PROBLEMS[0], 2, phase=Phase.PROBE)
        return compute.ledger.usage()

    usage = run(job())
    assert usage.phases[Phase.PROBE].tokens == usage.tokens > 0


def test_unmeasurable_budgets_are_refused():
    unknown = model()
    assert unknown.can.parameters is None or isinstance(unknown.can, Capabilities)
    with pytest.raises(Exception, match="FLOPs budget"):
        Compute(unknown, budget=Budget(flops=1e12))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.integers(0, 600), st.booleans())
def test_law_budgets_hold_over_replayed_panels_drawn_under_other_limits(lengths, tokens, shared):
    async def job():
        with Bank() as bank:
            draws = {
                i: Draw(Completion("", Finish.STOP, n, prompt_tokens=20), shared=shared, answer=str(i % 2))
                for i, n in enumerate(lengths)
            }
            await bank.put(panel_key("panel:x", PROBLEMS[0]), draws, model="panel:x")
            model = ReplayModel("panel:x", is_panel=True)
            # the limit on a draw is not known to have held when the panel was made
            options = Sampling(max_tokens=50)
            compute = Compute(model, bank=bank, budget=Budget(tokens=tokens), sampling=options)
            answer = await solve("self_consistency(n=12)", PROBLEMS[0], compute)
            fits = tokens >= lengths[0] + 20
            return answer, fits

    answer, fits = run(job())
    assert answer.usage.tokens <= tokens
    assert bool(answer.candidates) == fits
