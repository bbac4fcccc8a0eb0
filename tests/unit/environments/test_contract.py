"""What every environment owes: a model that sums to one, episodes that follow it, no action replaced by another."""

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import DataError, UnknownName, UserError
from nlrl.environments import FiniteEnvironment, make, names

pytest.importorskip("gymnasium")

SPECS = [
    "frozen_lake(slippery=true)",
    "frozen_lake(slippery=false)",
    "maze(layout=double_t)",
    "maze(layout=umaze, observed=partially)",
    "maze(layout=medium)",
    "tic_tac_toe(opponent=random)",
    "tic_tac_toe(opponent=minimax, first=false, loss=-1)",
    "breakthrough(opponent=random)",
    "breakthrough(opponent=minimax, first=true, depth=1)",
    "breakthrough(opponent=mcts, first=false, simulations=5)",
    "wordle(words=40)",
]
ENVIRONMENTS = {spec: make(spec) for spec in SPECS}
any_environment = pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=SPECS)


def play(env: FiniteEnvironment, seed: int) -> list:
    """A whole episode of random legal actions, as its transcript."""
    rng = random.Random(seed)
    transcript: list = [env.reset(seed=seed)]
    done = False
    while not done:
        transcript.append(env.step(rng.choice(env.actions(env.state))))
        done = transcript[-1][2] or transcript[-1][3]
    return transcript


@any_environment
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_outcomes_sum_to_one_and_episodes_stay_within_them(env, seed):
    assert sum(p for p, _ in env.starts()) == pytest.approx(1)
    rng = random.Random(seed)
    text, info = env.reset(seed=seed)
    assert info["state"] in [s for _, s in env.starts()]
    assert text == env.describe(env.state)
    for step in range(1, env.max_steps + 1):
        before, action = env.state, rng.choice(env.actions(env.state))
        outcomes = env.outcomes(before, action)
        assert sum(o.probability for o in outcomes) == pytest.approx(1)
        assert all(o.probability > 0 for o in outcomes)
        assert len({(o.state, o.reward, o.terminal, o.event) for o in outcomes}) == len(outcomes), "not merged"
        assert all(env.describe(o.state) for o in outcomes)
        assert all(o.terminal == (not env.actions(o.state)) for o in outcomes), "an end is where nothing is legal"
        text, reward, terminated, truncated, info = env.step(action)
        assert (env.state, reward, terminated, info["event"]) in [
            (o.state, o.reward, o.terminal, o.event) for o in outcomes
        ]
        assert text == env.describe(env.state)
        assert not info["illegal"]
        assert truncated == (step == env.max_steps and not terminated)
        if terminated or truncated:
            break
    assert terminated or truncated
    with pytest.raises(UserError, match="reset"):
        env.step(action)


@any_environment
def test_seeds_reproduce(env):
    assert play(env, 3) == play(env, 3) == play(make(env.name), 3)
    env.reset(seed=7)
    later = [env.reset() for _ in range(5)]
    env.reset(seed=7)
    assert [env.reset() for _ in range(5)] == later, "one seed settles all episodes after it"


def test_reset_draws_from_the_start_distribution():
    env = make("tic_tac_toe(first=both)")
    env.reset(seed=0)
    seen = Counter(env.reset()[1]["state"] for _ in range(4000))
    for probability, state in env.starts():
        assert seen[state] / 4000 == pytest.approx(probability, abs=0.03)


@pytest.mark.parametrize(
    ("spec", "state", "action"),
    [
        ("frozen_lake(slippery=true)", 14, "move down"),
        ("tic_tac_toe(opponent=random)", ("X", "X...O...."), "take 9"),
        ("wordle(words=40)", (), "argue"),
    ],
)
def test_step_agrees_with_outcomes_in_distribution(spec, state, action):
    env, draws = make(spec), 3000
    env.reset(seed=1)
    seen = Counter()
    for _ in range(draws):
        env.reset(state=state)
        _, reward, terminated, _, info = env.step(action)
        seen[info["state"], reward, terminated, info["event"]] += 1
    outcomes = env.outcomes(state, action)
    assert set(seen) <= {(o.state, o.reward, o.terminal, o.event) for o in outcomes}
    for o in outcomes:
        error = (o.probability * (1 - o.probability) / draws) ** 0.5
        assert abs(seen[o.state, o.reward, o.terminal, o.event] / draws - o.probability) <= 4.5 * error


@any_environment
@pytest.mark.parametrize("reply", ["", "I would rather not.", "Action: fly", "Action: take 0", "\x00\ud800" * 50])
def test_what_cannot_be_read_is_never_replaced(env, reply):
    env.reset(seed=0)
    before = env.state
    assert env.parse(reply) is None or env.parse(reply) not in env.actions(before)
    _, reward, terminated, _, info = env.step(reply)
    price = env.illegal(before)
    assert info["illegal"]
    assert (env.state, reward, terminated) == (price.state, price.reward, price.terminal)


def test_what_illegal_actions_cost():
    lake, maze, cells, pawns, words = (
        make(spec) for spec in ("frozen_lake", "maze", "tic_tac_toe(first=true)", "breakthrough(first=true)", "wordle")
    )
    for env, reply, reward in (
        (lake, "take 5", 0.0),
        (maze, "move diagonally", -4.0),
        (cells, "take 0", 0.0),
        (pawns, "Action: b2-b4", 0.0),
    ):
        env.reset(seed=0)
        before = env.state
        assert env.step(reply)[1:4] == (reward, False, False)
        assert env.state == before
    cells.reset(state=("X", "X...O...."))
    assert cells.parse("take 5") == "take 5", "parsing does not judge legality"
    assert cells.step("take 5")[4]["illegal"]
    words.reset(seed=0)
    assert [words.step("Action: zzzzz")[1:3] for _ in range(6)] == [(-1.0, False)] * 5 + [(-1.0, True)]


@any_environment
def test_illegal_actions_use_up_the_episode(env):
    env.reset(seed=0)
    flags = [env.step("?")[2:4] for _ in range(env.max_steps)]
    assert all(flag == (False, False) for flag in flags[:-1])
    assert any(flags[-1])


@any_environment
def test_illegal_actions_have_no_outcomes(env):
    state = env.starts()[0][1]
    for action in ("", "move", "take 0", "a1-a9", "zzzzz"):
        with pytest.raises(UserError, match="not legal"):
            env.outcomes(state, action)


@any_environment
def test_every_action_reads_back(env):
    env.reset(seed=5)
    for action in env.actions(env.state):
        for reply in (
            action,
            f"{action}\n",
            f"  {action.upper()} ",
            f"I thought hard about it.\nAction: {action}",
            f"**Action:** `{action}`.",
            f"Action: nothing at first.\nACTION :\n{action}\nThat is all.",
        ):
            assert env.parse(reply) == action


@any_environment
@settings(max_examples=15, deadline=None)
@given(text=st.text())
def test_any_text_parses(env, text):
    action = env.parse(text)
    assert action is None or env.parse(action) == action


@any_environment
def test_a_huge_reply_is_read_in_passing(env):
    began = time.process_time()
    for piece in (" ", "action ", "Action: ", "move ", "take cell ", "b2 ", "b2", "a ", "music ", "*", "\n"):
        env.parse("b2 take move action" + piece * 40_000)
    assert time.process_time() - began < 3


def test_a_reply_that_names_two_actions_names_none():
    maze = make("maze")
    assert maze.parse("I could move up, but I will move left.") is None
    assert maze.parse("Action: move up or move left") is None
    assert maze.parse("I could move up or move left. Action: left") == "move left"
    assert maze.parse("Move up! Yes, move up.") == "move up"
    assert maze.parse("The wall on the left is high.") is None
    cells = make("tic_tac_toe")
    assert cells.parse("take 55") is None
    assert cells.parse("Action: cell 5") == cells.parse("5") == "take 5"


def test_reset_at_a_state_and_not_at_an_end():
    env = make("maze")
    assert env.reset(state=(5, 6))[1]["state"] == (5, 6)
    for end in ((8, 6), (0, 0)):
        with pytest.raises(UserError, match="cannot begin"):
            env.reset(state=end)
    with pytest.raises(UserError, match="reset"):
        make("maze").step("move up")


@any_environment
def test_names_are_lossless(env):
    assert make(env.name).name == env.name
    assert make(env.name).rules == env.rules


def test_specs():
    assert set(names()) == {"breakthrough", "frozen_lake", "maze", "tic_tac_toe", "wordle"}
    assert make("tic_tac_toe( first=true, opponent=random )").name == make("tic_tac_toe(first=true)").name
    for spec, error, match in (
        ("mase", UnknownName, "maze"),
        ("maze(layout=", UserError, "Example"),
        ("maze(size=3)", UnknownName, "parameter"),
        ("maze(layout=huge)", UnknownName, "layout"),
        ("maze(observed=hardly)", UnknownName, "observation"),
        ("frozen_lake(slippery=2)", UserError, "true or false"),
        ("tic_tac_toe(opponent=gpt)", UnknownName, "opponent"),
        ("tic_tac_toe(first=maybe)", UserError, "first"),
        ("tic_tac_toe(loss=1)", UserError, "loss"),
        ("breakthrough(depth=0)", UserError, "depth"),
        ("wordle(words=1)", UserError, "words"),
        ("wordle(words='nowhere/words.txt')", DataError, "nowhere"),
    ):
        with pytest.raises(error, match=match):
            make(spec)
