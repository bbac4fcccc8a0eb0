import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.bank import Bank
from nlrl.core import Budget, Score, Stopped, UnknownName, UserError, Verdict
from nlrl.strategies._tree_thompson import ThompsonTree
from nlrl.testing.scripted import Reply


def attempts(request, index):
    """A fresh attempt is worth little; each revision adds one."""
    revised = sum(m.role == "assistant" and "Attempt" in m.content for m in request.messages)
    return f"Attempt {revised}\nFinal Answer: {revised}"


class Climbs:
    """Worth a tenth for every revision."""

    async def score(self, problem, candidates):
        return [Score(min(1.0, 0.1 + 0.2 * int(c.answer or 0))) for c in candidates]


def test_it_deepens_where_revising_pays_and_tells_the_score(world):
    model = world.model(attempts)
    answer = world.solve("ab_mcts(n=24)", model, Climbs())
    assert answer.usage.total.calls == 24
    assert int(answer.value) >= 3
    told = next(r for r in model.requests if "rates that answer" in r.messages[-1].content)
    assert "0.10 on a scale" in told.messages[-1].content
    assert told.messages[-1].content.endswith(world.problem.question)
    depths = {c.id: len(c.parents) for c in answer.candidates}
    assert set(depths.values()) == {0, 1}


def test_it_widens_where_revising_does_not_pay(world):
    class LikesFresh:
        async def score(self, problem, candidates):
            return [Score(0.05 if c.parents else 0.8) for c in candidates]

    answer = world.solve("ab_mcts(n=24)", world.model(attempts), LikesFresh())
    fresh = sum(not c.parents for c in answer.candidates)
    assert fresh > 12


def test_it_stops_at_an_answer_that_is_right(world):
    class Knows:
        async def score(self, problem, candidates):
            right = [c.answer == "1" for c in candidates]
            return [Score(1.0, Verdict.RIGHT) if r else Score(0.3, Verdict.WRONG, reason="off by one") for r in right]

    model = world.model(attempts)
    answer = world.solve("ab_mcts(n=60, wave=3)", model, Knows())
    assert (answer.value, answer.stopped) == ("1", Stopped.SETTLED)
    assert answer.usage.total.calls < 60
    assert any("off by one." in m.content for r in model.requests for m in r.messages)


def test_waves_budgets_and_failures(world):
    for calls in (0, 1, 3, 7):
        answer = world.solve("ab_mcts(n=9, wave=3)", world.model(attempts), Climbs(), budget=Budget(calls=calls))
        assert answer.usage.total.calls == calls and answer.stopped is Stopped.CALLS
        assert (answer.value is not None) == (calls > 0)
    flaky = world.model(lambda r, i: Reply(error="ModelUnavailable: gone") if i % 2 else attempts(r, i))
    answer = world.solve("ab_mcts(n=10, wave=2)", flaky, Climbs())
    assert answer.value is not None and answer.usage.total.calls == 10
    with pytest.raises(UnknownName, match="posterior"):
        world.solve("ab_mcts(posterior=gamma)")


def test_the_same_problem_walks_the_same_way(world):
    with Bank() as bank:
        runs = [world.solve("ab_mcts(n=12, wave=2)", world.model(attempts), Climbs(), bank=bank) for _ in range(2)]
    assert world.untimed(runs[0]) == world.untimed(runs[1])


# --- the tree alone


def grow(tree, count, score):
    for _ in range(count):
        node = tree.ask()
        tree.tell(node, score(tree, node))
    return tree


@pytest.mark.parametrize("posterior", ["beta", "normal"])
def test_the_posterior_decides_between_wide_and_deep(posterior):
    deep = grow(ThompsonTree(posterior, 3), 120, lambda t, n: min(1.0, 0.1 + 0.1 * len(t.line(n))))
    wide = grow(ThompsonTree(posterior, 3), 120, lambda t, n: 0.02 if n else 0.9)
    assert max(len(deep.line(i)) for i in range(120)) >= 4
    assert len(wide.children[0]) > 80 > len(deep.children[0])


@pytest.mark.parametrize("posterior", ["beta", "normal"])
def test_draws_have_the_mean_and_spread_of_their_posterior(posterior):
    tree = ThompsonTree(posterior, 1)
    scores = [0.2, 0.9, 0.4, 0.7, 0.6]
    sums = (len(scores), sum(scores), sum(s * s for s in scores))
    drawn = [tree._draw(*sums) for _ in range(20_000)]
    mean = math.fsum(drawn) / len(drawn)
    variance = math.fsum((x - mean) ** 2 for x in drawn) / len(drawn)
    if posterior == "beta":
        a, b = 0.5 + sums[1], 0.5 + sums[0] - sums[1]
        assert mean == pytest.approx(a / (a + b), abs=0.01)
        assert variance == pytest.approx(a * b / ((a + b) ** 2 * (a + b + 1)), rel=0.05)
    else:
        # normal-inverse-gamma, prior mean 0, kappa = nu = 1, tau^2 = 0.1, written out with the sample's own mean
        n, average = sums[0], sums[1] / sums[0]
        squares = sum((s - average) ** 2 for s in scores)
        tau2 = (0.1 + squares + n * average**2 / (n + 1)) / (n + 1)
        assert mean == pytest.approx(n * average / (n + 1), abs=0.01)
        assert variance == pytest.approx(tau2 / (n + 1) * (n + 1) / (n - 1), rel=0.1)  # Student's t, n + 1 degrees


@pytest.mark.parametrize("posterior", ["beta", "normal"])
def test_all_children_at_once_are_drawn_from_the_same_posteriors_as_one(posterior):
    tree = ThompsonTree(posterior, 5)
    for score in (0.2, 0.5, 0.8):
        tree.tell(0, score)
    tree.tell(2, 0.9)
    wins = [0, 0, 0]
    for _ in range(6000):
        wins[tree._best_arm(0)] += 1
    alone = [0, 0, 0]
    for _ in range(6000):
        drawn = [tree._draw(*(column[rank] for column in tree.arms[0])) for rank in range(3)]
        alone[drawn.index(max(drawn))] += 1
    assert all(abs(a - b) < 250 for a, b in zip(wins, alone, strict=True))  # about 4 standard deviations


@given(st.integers(0, 10_000), st.sampled_from(["beta", "normal"]), st.lists(st.floats(0, 1), max_size=40))
def test_incremental_sums_are_the_sums_and_a_dump_goes_on_alike(seed, posterior, scores):
    tree = ThompsonTree(posterior, seed)
    for score in scores:
        tree.tell(tree.ask(), score)
    for node, children in enumerate(tree.children):
        below = [i for i in range(1, len(tree.parents)) if node in ([0, *tree.line(i)][:-1])]
        assert tree.below[node][:2] == pytest.approx([len(below), sum(tree.scores[i] for i in below)])
        assert tree.made[node][:2] == pytest.approx([len(children), sum(tree.scores[i] for i in children)])
        for rank, child in enumerate(children):
            assert tree.arms[node][1][rank] == pytest.approx(tree.scores[child] + tree.below[child][1])
    again = ThompsonTree.load(json.loads(json.dumps(tree.dump())))
    assert [again.ask() for _ in range(5)] == [tree.ask() for _ in range(5)]


def test_what_cannot_be_told_is_refused():
    tree = ThompsonTree()
    for score in (math.nan, -0.1, 1.1):
        with pytest.raises(UserError, match="score must lie"):
            tree.tell(0, score)
    with pytest.raises(UserError, match="no node 3"):
        tree.tell(3, 0.5)
