"""The laws of spending over all searches and revisions: budget, ledger, replay, best so far."""

import asyncio
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Budget, Phase, Stopped
from nlrl.strategies import solve
from nlrl.testing.scripted import Reply, ScriptedModel

METHODS = [
    "beam_search(n=6, width=2)",
    "beam_search(n=4, width=4, aggregate=prod, select=best)",
    "lookahead_search(n=4, width=2, k=2)",
    "dvts(n=6, width=3, select=majority)",
    "mcts(n=9, width=2, wave=3)",
    "ab_mcts(n=7, wave=3)",
    "ab_mcts(n=7, posterior=beta, verifier=judge)",
    "revisions(n=6, chains=3)",
    "revisions(n=6, chains=2, select=majority)",
    "best_of_n(n=5, aggregate=min)",
]


class Meter(ScriptedModel):
    """Counts what passes through it, as a server would."""

    def __init__(self, reply, shares):
        super().__init__(reply, parameters=1000)
        self.shares = shares
        self.prompt = self.completion = 0

    @property
    def can(self):
        return replace(self._can, n=self.shares)

    async def stream(self, request):
        length = await self.count_prompt_tokens(request.messages, request.prefill) or 0
        first = True
        async for delta in super().stream(request):
            await asyncio.sleep(0)
            self.completion += delta.tokens
            if (c := delta.completion) is not None:
                charged = length if first or not self.shares else 0
                first = False
                self.prompt += charged
                delta = replace(delta, completion=replace(c, prompt_tokens=charged))
            yield delta


def varied(world, seed=0, slow=False, failing=False):
    """Adds right or wrong by chance of the seed, says whole answers where nothing is prefilled and some are shown,
    jumps to the end at times, fails at times, and is late at times."""

    def reply(request, index):
        chance = zlib.crc32(repr((seed, request.prefill, index, len(request.messages))).encode()) % 1000
        if failing and chance % 11 == 0:
            return Reply(error="ModelUnavailable: gone", text="1 +")
        text = world.reply(request, chance)
        if not request.sampling.stop:  # a whole attempt was asked for
            text = f"1 + 2 = 3\n3 + 3 = 6\n6 + 4 = {10 + chance % 3}\nFinal Answer: {10 + chance % 3}"
        elif chance % 7 == 0:
            text = f"Final Answer: {chance % 4 + 8}"
        return Reply(text, seconds=(chance % 5) / 500 if slow else 0.0)

    return reply


@settings(max_examples=120)
@given(
    st.sampled_from(METHODS),
    st.one_of(st.none(), st.integers(0, 2500)),
    st.one_of(st.none(), st.integers(0, 25)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 50),
)
def test_law_budgets_hold_and_the_ledger_is_what_was_counted(world, method, tokens, calls, shares, failing, seed):
    meter = Meter(varied(world, seed, failing=failing), shares)
    reads = world.Checker(tokens_each=7)

    async def job():
        compute = Compute(meter, verifier=reads, budget=Budget(tokens=tokens, calls=calls))
        return await solve(method, world.problem, compute), compute.ledger

    answer, ledger = asyncio.run(job())
    usage = answer.usage
    assert tokens is None or usage.tokens <= tokens
    assert calls is None or usage.total.calls <= calls
    verified = usage.phases[Phase.VERIFY].tokens if Phase.VERIFY in usage.phases else 0
    judged = "judge" in method
    if not judged:
        assert ledger.paid.tokens == meter.prompt + meter.completion + verified
        assert verified == 7 * len(reads.texts)
    assert not ledger.in_flight
    assert sum(s.tokens for s in usage.phases.values()) == usage.tokens
    assert usage.critical_path_tokens <= usage.total.completion_tokens
    if tokens == 0 or calls == 0:
        assert answer.value is None and answer.stopped in (Stopped.TOKENS, Stopped.CALLS)
    chosen = [c for c in answer.candidates if c.id == answer.chosen]
    assert answer.chosen is None or chosen[0].text == answer.text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("budget", [None, Budget(tokens=700), Budget(tokens=1500), Budget(calls=11)])
def test_law_a_live_run_replays_to_the_identical_answer_and_ledger(world, method, shares, budget):
    """The live run is uneven in time, the replay is not."""
    with Bank() as bank:
        for seed in range(2):

            def run(slow, seed=seed):
                model = Meter(varied(world, seed, slow=slow), shares)
                compute = Compute(model, bank=bank, verifier=world.Checker(tokens_each=3), budget=budget)
                answer = asyncio.run(solve(method, world.problem, compute))
                return answer, model

            live, _ = run(slow=True)
            replayed, idle = run(slow=False)
            assert world.untimed(replayed) == world.untimed(live)
            assert not idle.requests


@pytest.mark.parametrize("method", METHODS)
def test_a_time_limit_gives_the_best_so_far(world, method):
    model = ScriptedModel(varied(world), token_seconds=0.004)
    answer = world.solve(method, model, budget=Budget(seconds=0.15))
    assert answer.stopped is Stopped.SECONDS and answer.usage.seconds < 2
    assert answer.text or not answer.candidates


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_always_fails_gives_no_answer_and_no_crash(world, method):
    answer = world.solve(method, ScriptedModel(lambda request, index: Reply(error="ModelUnavailable: gone")))
    assert answer.value is None and answer.stopped is Stopped.FAILED


def test_many_searches_under_one_purse_stay_within_it(world):
    model = ScriptedModel(varied(world))

    async def job():
        compute = Compute(model, verifier=world.Checker(), budget=Budget(tokens=6000))

        async def one():
            async with compute.spawn(Budget(tokens=1500)) as child:
                return await solve("beam_search(n=6, width=2)", world.problem, child)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(25)]
        return compute.ledger, [t.result() for t in tasks]

    ledger, answers = asyncio.run(job())
    assert ledger.total.tokens <= 6000 and not ledger.in_flight
    assert any(a.value is not None for a in answers)
