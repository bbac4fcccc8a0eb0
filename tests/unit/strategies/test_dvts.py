import pytest

from nlrl.core import Budget, Finish, Stopped, UserError


def test_every_subtree_keeps_its_own_best(world):
    answer = world.solve("dvts(n=8, width=4, select=best)")
    assert answer.value == "10"
    first = [c for c in answer.candidates if c.text.count("\n") == 1]
    second = [c for c in answer.candidates if c.text.count("\n") == 2]
    assert len(first) == len(second) == 8
    parents = {c.parents for c in second}
    assert len(parents) == 2  # two subtrees, each goes on with one text: width ways
    assert answer.usage.total.calls == 4 * 8


def test_subtrees_do_not_crowd_each_other_out(world):
    """One beginning is liked more than all others: a beam keeps only its like, subtrees keep two beginnings."""

    def reply(request, index):
        depth = request.prefill.count("\n")
        if depth == 0:
            return f"start {index}"
        return f"more {index}" if depth == 1 else f"Final Answer: {request.prefill.split()[1]}"

    class Likes(world.Checker):
        @staticmethod
        def _of(text):
            from nlrl.core import Score

            lines = [x for x in text.splitlines() if x]
            value = 0.9 if "start 0" in text else 0.5
            return Score(value, steps=(value,) * len(lines))

    def answers(strategy):
        done = world.solve(strategy, world.model(reply), Likes()).candidates
        return {c.answer for c in done if c.completion.finish is not Finish.LENGTH}

    assert len(answers("dvts(n=8, width=4)")) == 2
    assert len(answers("beam_search(n=8, width=8)")) == 1


def test_a_rest_that_fills_no_subtree_is_not_drawn(world):
    assert world.solve("dvts(n=7, width=3)").usage.total.calls % 6 == 0
    with pytest.raises(UserError, match="width"):
        world.solve("dvts(n=2, width=4)")


def test_a_budget_that_ends_in_the_middle_gives_the_best_so_far(world):
    for calls in (0, 1, 5, 9, 13, 18, 27):
        answer = world.solve("dvts(n=8, width=4)", budget=Budget(calls=calls))
        assert answer.usage.total.calls <= calls and answer.stopped is Stopped.CALLS
        assert (answer.value is not None) == (calls >= 2)
