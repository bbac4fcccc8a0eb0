import pytest

from nlrl.core import Budget, Score, Stopped, UserError
from nlrl.strategies._revising import revision_prompt
from nlrl.strategies.revisions import Shape
from nlrl.testing.scripted import Reply


def history(request):
    return [m.content for m in request.messages if m.role == "assistant" and "line" in m.content]


def reply(request, index):
    seen = history(request)
    chain = seen[0].split()[1] if seen else str(index)
    return f"line {chain} try {len(seen)}\nFinal Answer: {chain}{len(seen)}"


@pytest.mark.parametrize(
    ("n", "ratio", "shape"),
    [(16, 1.0, (4, 4)), (16, 0.25, (8, 2)), (16, 16.0, (1, 16)), (16, 0.0001, (16, 1)), (12, 1.0, (3, 4)),
     (7, 1.0, (7, 1)), (1, 5.0, (1, 1)), (8, 2.0, (2, 4))],
)  # fmt: skip
def test_the_ratio_shapes_the_chains(n, ratio, shape):
    made = Shape.of(n, ratio)
    assert made.chains * made.length == n
    assert (made.chains, made.length) == shape or abs(shape[0] - made.chains) <= 1


@pytest.mark.parametrize("call", ["chains=3", "chains=0", "chains=2.5", "chains=many", "ratio=0", "ratio=-1.5"])
def test_shapes_that_make_no_sense_are_refused(world, call):
    with pytest.raises(UserError, match="revisions: "):
        world.solve(f"revisions(n=16, {call})")


def test_n_attempts_in_chains_each_of_which_sees_its_own_last_four(world):
    model = world.model(reply)
    answer = world.solve("revisions(n=12, chains=2, select=majority)", model)
    assert answer.usage.total.calls == 12
    assert model.requests[0].n == 2  # first attempts are one call, with one prompt
    longest = max((r for r in model.requests), key=lambda r: len(r.messages))
    assert len(history(longest)) == 4
    assert longest.messages[-1].content.endswith(world.problem.question)
    for request in model.requests:
        assert len({text.split()[1] for text in history(request)}) <= 1  # chains do not mix
    by_id = {c.id: c for c in answer.candidates}
    chain = [c for c in answer.candidates if c.text.startswith("line 0")]
    assert [by_id[c.parents[0]].text.split()[1] for c in chain if c.parents] == ["0"] * 5
    assert answer.usage.critical_path_tokens == sum(c.completion.completion_tokens for c in chain)


def test_the_best_is_chosen_within_chains_and_then_across(world):
    """Chain 0 finds 10 once and then loses it; chains 1 to 3 never do, each with another answer."""

    def loses(request, index):
        seen = history(request)
        chain = int(seen[0].split()[1]) if seen else index
        said = "10" if chain == 0 and len(seen) == 1 else str(70 + chain)
        return f"line {chain} try {len(seen)}\nFinal Answer: {said}"

    class Knows:
        async def score(self, problem, candidates):
            return [Score(0.95 if c.answer == "10" else 0.2) for c in candidates]

    for select in ("weighted", "best"):
        answer = world.solve(f"revisions(n=8, chains=4, select={select})", world.model(loses), Knows())
        assert answer.value == "10" and answer.chosen == answer.candidates[4].id
    assert world.solve("revisions(n=8, chains=4, select=majority)", world.model(loses), Knows()).value == "71"


def test_majority_asks_no_verifier(world):
    class Never:
        async def score(self, problem, candidates):
            raise AssertionError("asked")

    assert world.solve("revisions(n=4, select=majority)", world.model(reply), Never()).value is not None


def test_failed_draws_leave_their_chain_going(world):
    def flaky(request, index):
        if not history(request) and index == 0:
            return Reply(error="ModelUnavailable: gone")
        return reply(request, index)

    answer = world.solve("revisions(n=6, chains=2, select=majority)", world.model(flaky))
    assert answer.value is not None and len(answer.candidates) == 5
    dead = world.solve("revisions(n=4)", world.model(lambda r, i: Reply(error="ModelUnavailable: x")))
    assert dead.value is None and dead.stopped is Stopped.FAILED


def test_budgets(world):
    for calls in (0, 1, 3, 5, 7):
        answer = world.solve("revisions(n=8, chains=2)", world.model(reply), budget=Budget(calls=calls))
        assert answer.usage.total.calls == calls and answer.stopped is Stopped.CALLS
        assert (answer.value is not None) == (calls > 0)


def test_long_attempts_are_shown_with_beginning_and_end(world):
    long = "begin " + "x" * 5000 + "\nFinal Answer: 10"
    model = world.model(lambda r, i: long)
    world.solve("revisions(n=2, chains=1, select=majority)", model)
    shown = model.requests[-1].messages[-2].content
    assert len(shown) < 1300 and shown.startswith("begin") and shown.endswith("Final Answer: 10")
    assert revision_prompt(model.requests[0].messages, []) == model.requests[0].messages
