import math
from dataclasses import replace

import pytest

from nlrl.core import Budget, Finish, ModelError, Score, Stopped, UnknownName, UserError, VerifierError
from nlrl.testing.scripted import Reply, ScriptedModel


def test_search_follows_the_verifier_where_a_vote_would_not(world):
    answer = world.solve("beam_search(n=8, width=4)")
    assert answer.value == "10"
    # rounds of 8: three sums and the answer line, and 2 of 8 add correctly in every round
    assert answer.usage.total.calls == 8 * 4
    assert answer.stopped is Stopped.DONE
    assert world.solve("self_consistency(n=8)", world.model(whole_answers)).value != "10"


def whole_answers(request, index):
    return f"Final Answer: {10 if index % 4 == 0 else 7}"


def test_the_beam_keeps_n_by_width_texts_and_continues_each(world):
    checker = world.Checker()
    answer = world.solve("beam_search(n=8, width=4)", verifier=checker)
    first, second = answer.candidates[:8], answer.candidates[8:16]
    assert {c.text for c in first} == {f"1 + 2 = {3 + slip}\n" for slip in range(4)}
    # equal texts are one beam: only one of the right beginnings is kept, the second place goes to the next best
    assert {c.parents for c in second} == {("s0",), ("s1",)}
    assert len(checker.texts) == len(set(checker.texts))  # no text is scored twice in a round
    assert [len([c for c in answer.candidates if c.text.count("\n") == d]) for d in (1, 2)] == [8, 8]


def test_joins_are_clean(world):
    chosen = next(c for c in world.solve("beam_search(n=4, width=2)").candidates if c.answer == "10")
    assert chosen.text == "1 + 2 = 3\n3 + 3 = 6\n6 + 4 = 10\nFinal Answer: 10"


def test_a_finished_text_frees_its_place_and_narrows_the_rounds(world):
    def reply(request, index):
        if not request.prefill and index in (1, 2, 3):
            return "1 + 2 = 7 Final Answer: 7"  # three of eight jump to a wrong end
        return world.reply(request, index)

    answer = world.solve("beam_search(n=8, width=2)", world.model(reply))
    assert answer.value == "10"
    finished = [c for c in answer.candidates if c.completion.finish is not Finish.LENGTH]
    assert len(finished) <= 8 and sum(c.answer == "7" for c in finished) == 3
    # 8, then 5 are missing: 2 stems x 2 ways, each round
    assert answer.usage.total.calls == 8 + 4 + 4 + 4


def test_all_beams_may_end_at_once(world):
    answer = world.solve("beam_search(n=6, width=2)", world.model(lambda request, index: "Final Answer: 10"))
    assert (answer.value, answer.usage.total.calls) == ("10", 6)


def test_texts_that_are_over_without_an_answer_are_asked_for_one(world):
    def reply(request, index):
        if request.prefill.endswith("Final Answer:"):
            return " 10"
        return "" if request.prefill else "I do not know."

    answer = world.solve("beam_search(n=4, width=2)", world.model(reply))
    assert answer.value == "10"
    assert any("brought to one" in note for note in answer.notes)


def test_blank_lines_between_steps_are_no_end(world):
    def spaced(request, index):
        if request.prefill and not request.prefill.endswith("\n\n"):
            return "\n" + world.reply(request, index)  # the stop string comes first: an empty step
        return world.reply(request, index)

    answer = world.solve("beam_search(n=4, width=4)", world.model(spaced))
    assert answer.value == "10"
    assert answer.text == "1 + 2 = 3\n\n3 + 3 = 6\n\n6 + 4 = 10\n\nFinal Answer: 10"
    assert all(c.answer is None or "Final Answer" in c.text for c in answer.candidates)
    assert world.solve("lookahead_search(n=4, width=4)", world.model(spaced)).text == answer.text


def test_the_step_limit_ends_the_search_with_an_answer(world):
    def rambles(request, index):
        return " 10" if request.prefill.endswith("Final Answer:") else f"word {index}"

    answer = world.solve("beam_search(n=4, width=2, steps=3)", world.model(rambles))
    assert answer.value == "10"
    assert answer.usage.total.calls == 3 * 4 + 3 + 1  # rounds, then the best goes on alone, and is asked


@pytest.mark.parametrize("calls", range(0, 40, 3))
def test_a_budget_that_ends_in_the_middle_gives_the_best_so_far(world, calls):
    answer = world.solve("beam_search(n=8, width=4)", budget=Budget(calls=calls))
    assert answer.usage.total.calls <= calls
    assert answer.stopped is (Stopped.CALLS if calls < 32 else Stopped.DONE)
    if calls >= 12:
        assert answer.value is not None


@pytest.mark.parametrize("tokens", [420, 500, 600, 700, 800, 900, 1000])
def test_a_small_token_budget_still_brings_one_text_to_its_answer(world, tokens):
    answer = world.solve("beam_search(n=8, width=4)", budget=Budget(tokens=tokens))
    assert answer.stopped is Stopped.TOKENS and answer.usage.tokens <= tokens
    assert answer.value is not None


def test_a_budget_smaller_than_one_sample_buys_nothing_and_costs_nothing(world):
    none = world.solve("beam_search(n=8, width=4)", budget=Budget(tokens=5))
    assert none.value is None and none.stopped is Stopped.TOKENS and none.usage.tokens == 0


def test_aggregates_change_what_is_kept(world):
    class Forgives:
        """The first step looks bad, the rest good: `last` forgets it, `min` does not."""

        async def score(self, problem, candidates):
            lines = [[x for x in c.text.splitlines() if x] for c in candidates]
            return [Score(0.5, steps=(0.1 if "3" not in x[0] else 0.8, *[0.9] * (len(x) - 1))) for x in lines]

    last = world.solve("beam_search(n=8, width=2, aggregate=last)", verifier=Forgives())
    least = world.solve("beam_search(n=8, width=2, aggregate=min, select=best)", verifier=Forgives())
    assert least.text.startswith("1 + 2 = 3") and last.value is not None
    with pytest.raises(UnknownName, match="aggregate"):
        world.solve("beam_search(aggregate=latest)")
    with pytest.raises(UnknownName, match="selection"):
        world.solve("beam_search(select=wieghted)")
    with pytest.raises(UserError, match="width=9"):
        world.solve("beam_search(n=8, width=9)")


def test_one_broken_score_is_data_and_a_broken_verifier_an_error(world):
    def one_nan(scores):
        return [replace(scores[0], steps=(math.nan,) * len(scores[0].steps)), *scores[1:]]

    answer = world.solve("beam_search(n=8, width=4)", verifier=world.Checker(spoil=one_nan))
    assert answer.value is not None and any("nan" in note for note in answer.notes)
    for spoil in (
        lambda scores: [replace(s, steps=(*s.steps, 0.5)) for s in scores],
        lambda scores: [replace(s, steps=(7.5,) * len(s.steps)) for s in scores],
        lambda scores: scores[1:],
        lambda scores: [Score(math.nan)],
    ):
        with pytest.raises(VerifierError, match="SumChecker"):
            world.solve("beam_search(n=8, width=4)", verifier=world.Checker(spoil=spoil))


def test_a_verifier_that_is_blind_to_unfinished_texts_is_named(world):
    answer = world.solve("beam_search(n=4, width=2, verifier=self_certainty)")
    assert answer.value is not None
    assert any("SelfCertainty does not judge unfinished texts" in note for note in answer.notes)


def test_a_failing_draw_is_data(world):
    def reply(request, index):
        return Reply(error="ModelUnavailable: gone") if index % 4 == 1 else world.reply(request, index)

    answer = world.solve("beam_search(n=8, width=4)", world.model(reply))
    assert answer.value == "10" and "draws failed" in answer.notes[-1]
    nothing = world.solve("beam_search(n=4)", world.model(lambda r, i: Reply(error="ModelUnavailable: gone")))
    assert nothing.value is None and nothing.stopped is Stopped.FAILED


def test_a_model_that_cannot_continue_a_text_is_refused_by_name(world):
    class NoPrefill(ScriptedModel):
        @property
        def can(self):
            return replace(self._can, prefill=False)

    with pytest.raises(ModelError, match="cannot continue a given text"):
        world.solve("beam_search", NoPrefill(world.reply))


def test_the_critical_path_waits_for_the_slowest_of_every_round(world):
    answer = world.solve("beam_search(n=4, width=2)")
    by_round = {}
    for c in answer.candidates:
        depth = c.text.rstrip("\n").count("\n")
        by_round[depth] = max(by_round.get(depth, 0), c.completion.completion_tokens)
    assert answer.usage.critical_path_tokens == sum(by_round.values())
