import zlib

import pytest

from nlrl.core import Budget, Stopped


def distinct_reply(world):
    """Every draw a text of its own, so that nothing is shared: a word for each index, then the answer."""

    def reply(request, index):
        if request.prefill.count("\n") >= 3:
            return "Final Answer: 10"
        greedy = request.sampling.temperature == 0.0
        return (
            f"greedy step of {len(request.prefill)}"
            if greedy
            else f"step {index} of {zlib.crc32(request.prefill.encode()) % 97}"
        )

    return reply


@pytest.mark.parametrize("k", [1, 2])
def test_a_round_costs_n_times_k_plus_one(world, k):
    """Three rounds of open texts: n steps and n k greedy ones each, as long as no rollout comes to an end."""
    answer = world.solve(f"lookahead_search(n=4, width=2, k={k}, steps=1)", world.model(distinct_reply(world)))
    spent_on_the_round = 4 * (k + 1)
    closing = answer.usage.total.calls - spent_on_the_round
    assert 0 < closing <= 2  # one step limit: the best text is brought to its answer
    whole = world.solve(f"lookahead_search(n=4, width=2, k={k}, steps=8)", world.model(distinct_reply(world)))
    # depths 1, 2, 3 are open and their rollouts take k steps, fewer where the end is nearer; depth 4 is over
    rollouts = sum(4 * min(k, 4 - depth) for depth in (1, 2, 3))
    assert whole.usage.total.calls == 4 * 4 + rollouts


def test_texts_are_scored_after_the_rollout_and_go_on_without_it(world):
    def reply(request, index):
        greedy = request.sampling.temperature == 0.0
        text = request.prefill
        if not text:
            return ("looks good", "looks bad")[index % 2]
        if greedy:
            return "it goes wrong" if "good" in text else "it goes right"
        return f"Final Answer: {7 if 'good' in text else 10}"

    class Reads(world.Checker):
        @staticmethod
        def _of(text):
            from nlrl.core import Score

            words = {"looks good": 0.8, "looks bad": 0.3, "it goes wrong": 0.1, "it goes right": 0.9}
            steps = tuple(words.get(line, 0.5) for line in text.splitlines() if line)
            return Score(steps[-1], steps=steps)

    ahead = world.solve("lookahead_search(n=4, width=4, k=1)", world.model(reply), Reads())
    assert ahead.value == "10"
    assert ahead.text == "looks bad\nFinal Answer: 10"
    assert world.solve("beam_search(n=4, width=4)", world.model(reply), Reads()).value == "7"


def test_greedy_steps_of_one_text_are_drawn_once(world):
    model = world.model()
    answer = world.solve("lookahead_search(n=8, width=4, k=2)", model)
    assert answer.value == "10"
    greedy = [r.prefill for r in model.requests if r.sampling.temperature == 0.0]
    assert len(greedy) == len(set(greedy))


def test_a_budget_that_ends_in_a_rollout_gives_the_best_so_far(world):
    for calls in range(1, 60, 4):
        answer = world.solve("lookahead_search(n=4, width=2, k=2)", budget=Budget(calls=calls))
        assert answer.usage.total.calls <= calls
        if answer.stopped is Stopped.DONE:
            assert answer.value == "10"
