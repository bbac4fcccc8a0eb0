"""Strategies that stop: what they answer, what it costs, and that their fast replay is the same thing."""

import asyncio
import functools
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.answers.equivalence import default_equivalence
from nlrl.bank import Bank, Draw, ReplayModel, panel_key
from nlrl.compute import Compute
from nlrl.compute.traces import PROBE_TOKENS
from nlrl.core import Budget, Completion, Finish, Phase, Problem, Stopped, TaskType, UserError
from nlrl.strategies import solve
from nlrl.strategies.adaptive_consistency import adaptive_consistency
from nlrl.strategies.early_stopping import early_stopping
from nlrl.strategies.finish_order import finish_order
from nlrl.strategies.lead import leader_holds
from nlrl.strategies.probe_gate import probe_gate
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.umpire import Call, Standing, call_at, umpire, widened
from nlrl.testing.scripted import ScriptedModel

PROBLEM = Problem("Which number?", "7", TaskType.MATH)


def draw(tokens, answer="7", probes=(), finish=Finish.STOP):
    return Draw(Completion("", finish, tokens, prompt_tokens=10), shared=True, answer=answer, probes=probes)


def play(strategy, draws, **options):
    async def main():
        with Bank() as bank:
            await bank.put(panel_key("panel:x", PROBLEM), dict(enumerate(draws)), model="panel:x")
            compute = Compute(ReplayModel("panel:x", is_panel=True), bank=bank, **options)
            return await solve(strategy, PROBLEM, compute)

    return asyncio.run(main())


@given(st.lists(st.sampled_from(["1/2", "0.5", "50%", "1", "2", "x", "x+0", "", None, "seven", "7"]), max_size=14))
def test_a_running_vote_has_the_classes_of_one_count(answers):
    async def main():
        vote = RunningVote(PROBLEM)
        return [await vote.add(a) for a in answers], vote

    one_by_one, vote = asyncio.run(main())
    at_once = asyncio.run(default_equivalence().classes(answers, problem=PROBLEM))
    assert one_by_one == at_once
    counts = [at_once.count(k) for k in range(max(at_once, default=-1) + 1)]
    assert vote.weights == counts
    assert vote.top_two() == tuple([*sorted(counts, reverse=True), 0, 0][:2])
    assert vote.leader == (counts.index(max(counts)) if counts else -1)


def test_a_glance_tells_written_forms_apart_without_comparing_formulas():
    vote = RunningVote(PROBLEM)
    seen = [vote.glance(a) for a in ["0.5", "1/2", None, "x^2 + 1", " ", "0.5", "7"]]
    assert seen[0] == seen[5] >= 0 and seen[2] == seen[4] == -1
    assert len({seen[0], seen[3], seen[6]}) == 3
    assert vote.weights == [] and asyncio.run(vote.add("7")) == 0


@given(st.floats(0.01, 200), st.floats(0, 200))
def test_the_lead_of_weights_is_the_beta_posterior(first, second):
    steps = 4000
    logs = [first * math.log(x) + second * math.log(1 - x) for x in ((i + 0.5) / steps for i in range(steps))]
    top = max(logs)
    mass = [math.exp(v - top) for v in logs]
    assert leader_holds(first, second) == pytest.approx(sum(mass[steps // 2 :]) / sum(mass), abs=2e-3)


@given(st.integers(1, 60), st.integers(0, 60))
def test_weights_and_whole_votes_agree(first, second):
    assert leader_holds(first + 1e-9, second) == pytest.approx(leader_holds(first, second), abs=1e-6)


def test_a_window_that_agrees_ends_early_stopping():
    agreeing = [draw(100, a) for a in ["1", "2", "1", "3", "3", "3", "9"]]
    answer = play(functools.partial(early_stopping, n=9, window=3), agreeing)
    assert (answer.value, answer.stopped, answer.usage.total.calls) == ("3", Stopped.SETTLED, 6)
    split = [draw(100, a) for a in ["1", "2", "1", "2", "1", None]]
    answer = play(functools.partial(early_stopping, n=5, window=2), split)
    assert (answer.value, answer.stopped, answer.usage.total.calls) == ("1", Stopped.DONE, 5)
    silent = play(functools.partial(early_stopping, n=4, window=2), [draw(100, None)] * 4)
    assert (silent.value, silent.usage.total.calls) == (None, 4)


def test_the_first_to_finish_vote_first_and_the_rest_is_cancelled():
    draws = [draw(9000, "8"), draw(100, "7"), draw(200, "7"), draw(300, "7"), draw(8000, "8")]
    answer = play(functools.partial(finish_order, n=5, wave=5, threshold=0.9), draws)
    assert (answer.value, answer.stopped) == ("7", Stopped.SETTLED)
    assert answer.usage.total.completion_tokens == 100 + 200 + 3 * 300
    assert answer.usage.critical_path_tokens == 300


def test_a_settled_trace_is_ended_by_its_probes_and_a_hopeless_one_killed():
    steady = tuple((at, "7") for at in range(100, 5000, 100))
    answer = play(functools.partial(probe_gate, every=100, growth=1.0), [draw(5000, "7", steady)])
    assert (answer.value, answer.stopped) == ("7", Stopped.SETTLED)
    assert answer.usage.phases[Phase.SAMPLE].completion_tokens == 300
    assert answer.usage.phases[Phase.PROBE].completion_tokens == 3 * PROBE_TOKENS
    restless = tuple((at, str(at)) for at in range(100, 5000, 100))
    pair = [draw(5000, "9", restless), draw(1200, "7")]
    answer = play(functools.partial(probe_gate, n=2, every=100, growth=1.0), pair)
    assert answer.value == "7"
    assert answer.usage.phases[Phase.SAMPLE].completion_tokens == 800 + 1200
    alone = play(functools.partial(probe_gate, every=100, growth=1.0), pair[:1])
    assert alone.value == "9"  # the only one is not killed


def test_thrift_goes_from_many_traces_to_one():
    calls = [call_at(i / 10) for i in range(11)]
    assert [c.most for c in calls] == sorted((c.most for c in calls), reverse=True)
    assert (calls[0].most, calls[-1].most) == (64, 1)
    kept = [{"thrift": t, "wave": 3, "most": m, "gate": 0.9} for t, m in [(0.0, 9), (1.0, 2)]]
    assert call_at(0.2, kept) == Call(3, 9, 0.9)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="thrift"):
            call_at(wrong)


def test_stagnation_widens_up_to_a_limit():
    assert [widened(4, 0.8, 0.7), widened(4, 0.7, 0.7), widened(16, 0.5, 0.6), widened(32, 0.5, 0.6)] == [4, 8, 16, 32]


def test_the_umpire_calls_the_race_and_charges_what_ran():
    draws = [draw(100 * (i + 1), "7") for i in range(8)]
    answer = play(functools.partial(umpire, thrift=0.0), draws)
    assert (answer.value, answer.stopped) == ("7", Stopped.SETTLED)
    ended = next(k for k in range(1, 9) if leader_holds(k, 0) > 0.98)
    assert answer.usage.total.completion_tokens == sum(100 * (i + 1) for i in range(ended)) + (8 - ended) * 100 * ended
    lost = play(functools.partial(umpire, thrift=0.3), [draw(10, None)] * 64)
    assert lost.value is None and lost.stopped is Stopped.DONE
    assert play(umpire, []).stopped is Stopped.FAILED
    assert play(functools.partial(umpire, thrift=0.0, n=3), draws).usage.total.calls == 3


def test_the_umpire_runs_live():
    model = ScriptedModel([f"so Final Answer: {a}" for a in "7797777777"], cycle=True)
    answer = asyncio.run(
        solve(functools.partial(umpire, thrift=0.4, n=9), PROBLEM, Compute(model, prompt=lambda p: ()))
    )
    assert answer.value == "7" and answer.confidence and answer.confidence > 0.5


def test_standing_drops_stragglers_once_half_has_ended():
    standing, call = Standing(None), Call(4, 8, 0.9, drop=1.5)
    from nlrl.strategies.trace_shape import trace_shape

    standing.add(trace_shape(100, 0, []), 0)
    assert standing.limit(call, 0, 4, 3, 100) is None
    standing.add(trace_shape(200, 0, []), 0)
    assert standing.limit(call, 0, 4, 2, 200) == 200  # never in the past
    assert standing.limit(call, 1000, 4, 2, 1200) == 1200
    assert standing.limit(Call(4, 8, 0.9), 0, 4, 2, 200) is None


_panel = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from(["1", "2", "7", None]), st.integers(20, 90)), min_size=9, max_size=12
)
_STRATEGIES = [
    functools.partial(early_stopping, n=9, window=2),
    functools.partial(finish_order, n=9, wave=3, threshold=0.8),
    functools.partial(probe_gate, n=3, every=30),
    functools.partial(umpire, thrift=0.4, n=9),
    functools.partial(umpire, thrift=0.8, n=9),
    functools.partial(adaptive_consistency, n=9, wave=2),
]


@settings(max_examples=120)
@given(st.sampled_from(_STRATEGIES), _panel, st.integers(0, 2000), st.one_of(st.none(), st.integers(0, 9)))
def test_law_budgets_hold_and_replays_are_identical(strategy, made, tokens, calls):
    draws = [draw(n, a, tuple((at, a or "3") for at in range(every, n, every))) for n, a, every in made]
    budget = Budget(tokens=tokens, calls=calls)
    answer = play(strategy, draws, budget=budget)
    assert answer.usage.tokens <= tokens
    assert calls is None or answer.usage.total.calls <= calls
    assert sum(p.tokens for p in answer.usage.phases.values()) == answer.usage.tokens
    assert answer.usage.critical_path_tokens <= answer.usage.total.completion_tokens
    again = play(strategy, draws, budget=budget)
    assert again.usage.total == answer.usage.total
    assert (again.value, again.chosen, again.stopped, again.confidence) == (
        answer.value,
        answer.chosen,
        answer.stopped,
        answer.confidence,
    )


def test_weights_speak_through_a_file_and_their_looks_are_charged(tmp_path):
    file = tmp_path / "w.json"
    steady = {"version": 1, "intercept": -3.0, "coefficients": {"steady": 6.0}, "power": 2.0}
    file.write_text(json.dumps(steady))
    right = tuple((at, "7") for at in range(100, 1000, 100))
    wrong = tuple((at, str(at)) for at in range(100, 1000, 100))
    draws = [draw(1000, "8", wrong), draw(1000, "8", wrong), draw(1000, "7", right), draw(1000, "9", wrong)]
    run = functools.partial(umpire, thrift=0.0, n=4)
    assert play(run, draws).value == "8"
    answer = play(functools.partial(run, weights=str(file)), draws)
    assert answer.value == "7"
    looks = answer.usage.phases[Phase.PROBE]
    assert looks.completion_tokens == PROBE_TOKENS * looks.calls > 0
    for broken in ["{", "[]", '{"version": 2}', json.dumps({**steady, "coefficients": {"luck": 1.0}}), ""]:
        file.write_text(broken + " " * random.randint(1, 9))
        with pytest.raises(UserError, match=r"w\.json"):
            play(functools.partial(run, weights=str(file)), draws)
    with pytest.raises(UserError, match="cannot be read"):
        play(functools.partial(run, weights=str(tmp_path / "none.json")), draws)
