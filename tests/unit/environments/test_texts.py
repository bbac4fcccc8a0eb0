"""What the agent reads, and the rules behind it."""

import pytest

from nlrl.environments import make


def test_maze_texts_are_those_of_lmrl_gym():
    full = make("maze(layout=double_t)")
    assert full.describe((1, 11)) == (
        "The goal is at position 8, 6. Your current position is at position 1, 1 1. "
        "There are walls to your right, above you, below you.\n"
    )
    assert full.describe((8, 6)) == "Success\n"
    assert full.actions((1, 1)) == ("move left", "move right", "move up", "move down")
    partial = make("maze(layout=medium, observed=partially)")
    assert partial.describe((3, 2)) == "There are walls to your left, below you.\n"
    assert partial.describe((1, 4)) == "There are walls to your left, above you.\n"
    assert partial.describe((3, 4)) == "There is a wall below you.\n"
    assert partial.describe((3, 3)) == "There is a wall above you.\n"


def test_maze_steps():
    env = make("maze(layout=umaze)")
    env.reset(state=(2, 3))
    assert env.step("move right\n")[1:3] == (-1.0, False)
    assert env.state == (2, 3)
    text, reward, terminated, truncated, info = env.step("move down\n")
    assert (text, reward, terminated, truncated, info["success"]) == ("Success\n", 0.0, True, False, True)


def test_frozen_lake_says_what_can_be_seen():
    pytest.importorskip("gymnasium")
    env = make("frozen_lake")
    assert env.describe(6) == "You are in row 2, column 3. Left: hole; down: ice; right: hole; up: ice."
    assert env.describe(5) == "You are in row 2, column 2: in a hole."
    assert env.describe(15) == "You are in row 4, column 4: the goal."
    events = {o.event: (o.probability, o.state) for o in env.outcomes(14, "move right")}
    third = pytest.approx(1 / 3)
    assert events == {
        "You stay where you are.": (third, 14),
        "You slip up.": (third, 10),
        "You move right and reach the goal.": (third, 15),
    }
    (stays, slips) = env.outcomes(0, "move left")  # into the edge, and up into the edge: one outcome
    assert (stays.probability, slips.probability) == (pytest.approx(2 / 3), third)
    assert env.outcomes(1, "move down")[1].event == "You move down and fall into a hole."


def test_partial_rules_do_not_promise_a_position():
    assert "remember" in make("maze(observed=partially)").rules
    assert "position" in make("maze(observed=fully)").rules
