import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Budget, Finish, UserError
from nlrl.strategies._tree_puct import PuctTree


def test_the_search_reaches_the_right_answer(world):
    answer = world.solve("mcts(n=12, width=4, wave=2)")
    assert answer.value == "10"
    assert answer.usage.total.calls <= 12 * 4


def test_one_unit_buys_one_expansion(world):
    endless = world.model(lambda r, i: " 10" if r.prefill.endswith("Final Answer:") else f"step {i} {len(r.prefill)}")
    answer = world.solve("mcts(n=6, width=3, wave=2, steps=50)", endless)
    expanded = {c.parents for c in answer.candidates[: 6 * 3]}
    assert len(expanded) == 6


def test_the_search_ends_when_everything_is_over(world):
    answer = world.solve("mcts(n=500, width=2, steps=3)", world.model(lambda r, i: f"Final Answer: {10 + i}"))
    assert answer.usage.total.calls == 2
    deep = world.solve("mcts(n=500, width=2, steps=2)", world.model(lambda r, i: f"step {i} {len(r.prefill)}"))
    open_texts = [c for c in deep.candidates if c.completion.finish is Finish.LENGTH]
    assert len([c for c in open_texts if c.text.count("\n") == 2]) >= 4


def test_a_branch_left_behind_is_taken_up_again(world):
    """The first step of the wrong way looks better; its continuations do not: the tree goes back, a beam cannot."""

    def reply(request, index):
        if not request.prefill:
            return ("tempting", "plain")[index % 2]
        return "Final Answer: 10" if "plain" in request.prefill else f"dead end {index} {len(request.prefill)}"

    class Reads(world.Checker):
        @staticmethod
        def _of(text):
            from nlrl.core import Score

            last = [x for x in text.splitlines() if x][-1]
            value = 0.7 if last == "tempting" else 0.5 if last == "plain" else 0.05 if "dead" in last else 0.9
            return Score(value, steps=(value,) * len(text.split("\n")[: text.strip().count("\n") + 1]))

    assert world.solve("mcts(n=8, width=2, wave=1)", world.model(reply), Reads()).value == "10"


def test_budget(world):
    for calls in (0, 1, 2, 5, 9, 14, 20):
        answer = world.solve("mcts(n=32, width=4)", budget=Budget(calls=calls))
        assert answer.usage.total.calls <= calls
        assert (answer.value is not None) == (calls >= 2)


# --- the tree alone


def test_puct_by_hand():
    tree = PuctTree(explore=1.0)
    assert tree.ask() == [0]
    assert tree.ask() == []  # the root is asked for, and there is nothing else
    assert tree.tell(0, [0.6, 0.5], [False, False]) == [1, 2]
    assert tree.value(0) == pytest.approx(0.55) and tree.visits[0] == 2
    # 0.6 + 0.5 sqrt(2) / 2 against 0.5 + the same: the first; with it pending, the second
    assert tree.ask(2) == [1, 2]
    tree.tell(1, [0.0, 0.0], [False, True])
    tree.tell(2, [0.9], [False])
    assert tree.value(1) == pytest.approx(0.2) and tree.value(2) == pytest.approx(0.7)
    assert tree.value(0) == pytest.approx((0.6 + 0.5 + 0.0 + 0.0 + 0.9) / 5)
    assert tree.ask() == [5] and tree.depth(5) == 2


def test_closed_branches_are_never_gone_to():
    tree = PuctTree()
    (root,) = tree.ask()
    a, b = tree.tell(root, [1.0, 0.1], [True, False])
    assert tree.ask(5) == [b]
    assert tree.tell(b, [], []) == []  # could not be expanded
    assert tree.ask() == [] and tree.open_[0] == 0 and not tree.pending
    assert tree.value(a) == 1.0


def test_only_what_was_asked_for_can_be_told():
    tree = PuctTree()
    with pytest.raises(UserError, match="not asked"):
        tree.tell(0, [0.5], [False])
    tree.ask()
    with pytest.raises(UserError, match="one for each"):
        tree.tell(0, [0.5], [])


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0, 3))
def test_incremental_sums_are_the_sums(seed, wave, explore):
    rng = random.Random(seed)
    tree = PuctTree(explore)
    for _ in range(20):
        leaves = tree.ask(wave)
        assert len(set(leaves)) == len(leaves)
        for leaf in leaves:
            k = rng.randint(0, 3)
            tree.tell(leaf, [rng.random() for _ in range(k)], [rng.random() < 0.3 for _ in range(k)])
        if not leaves:
            break
    own = {i: tree.totals[i] - sum(tree.totals[c] for c in tree.children[i]) for i in range(1, len(tree.parents))}
    assert all(-1e-9 <= v <= 1 + 1e-9 for v in own.values())  # what is left of a node's total is its own value
    for i, children in enumerate(tree.children):
        assert tree.visits[i] == (i > 0) + sum(tree.visits[c] for c in children)
        if children:
            assert tree.open_[i] == sum(tree.open_[c] for c in children)
    again = PuctTree.load(json.loads(json.dumps(tree.dump())))
    assert again == tree and again.ask(3) == tree.ask(3)
