"""Exact solutions against figures known in closed form, against each other, and against sampled episodes."""

import random
import subprocess
import sys

import pytest

from nlrl.core import UserError
from nlrl.environments import (
    evaluate_policy,
    make,
    mean_return,
    start_value,
    success_within,
    uniform_policy,
    value_iteration,
)


def lake(slippery: bool):
    pytest.importorskip("gymnasium")
    return make(f"frozen_lake(slippery={str(slippery).lower()})")


def test_frozen_lake():
    env = lake(True)
    solution = value_iteration(env)
    assert len(env.states()) == 11
    assert start_value(env, solution.values) == pytest.approx(0.542, abs=5e-4)
    assert success_within(env, solution.policy, 100) == pytest.approx(0.740, abs=5e-4)
    assert mean_return(env, solution.policy) == pytest.approx(success_within(env, solution.policy))
    assert success_within(env, uniform_policy(env)) == pytest.approx(0.014, abs=5e-4)
    firm = lake(False)
    solution = value_iteration(firm)
    assert start_value(firm, solution.values) == pytest.approx(0.99**5)
    assert success_within(firm, solution.policy, 100) == 1.0
    assert success_within(firm, solution.policy, 6) == 1.0
    assert success_within(firm, solution.policy, 5) == 0.0


@pytest.mark.parametrize(
    ("layout", "starts", "best", "uniform"),
    [("double_t", 25, -6.84, -85.9), ("umaze", 6, -2.5, -46.2), ("medium", 25, -4.72, -73.0)],
)
def test_mazes(layout, starts, best, uniform):
    env = make(f"maze(layout={layout})")
    solution = value_iteration(env)
    assert len(env.starts()) == len(env.states()) == starts
    assert start_value(env, solution.values) == pytest.approx(best, abs=5e-3)
    assert mean_return(env, solution.policy) == pytest.approx(best, abs=5e-3)
    assert mean_return(env, uniform_policy(env)) == pytest.approx(uniform, abs=0.05)


def test_tic_tac_toe_against_random():
    env = make("tic_tac_toe(opponent=random, first=both)")
    solution = value_iteration(env)
    assert start_value(env, solution.values) == pytest.approx(0.967, abs=5e-4)
    assert success_within(env, solution.policy) == pytest.approx(0.967, abs=5e-4)
    (_, begins), *follows = env.starts()
    assert solution.values[begins] == pytest.approx(0.995, abs=5e-4)
    assert sum(solution.values[state] for _, state in follows) / 9 == pytest.approx(0.939, abs=5e-4)


def test_perfect_play_draws_against_minimax():
    env = make("tic_tac_toe(opponent=minimax, first=false, loss=-1)")
    solution = value_iteration(env)
    assert start_value(env, solution.values) == pytest.approx(0)
    assert max(solution.values.values()) == 0, "it never lets a win happen"


def test_policy_evaluation_agrees_with_value_iteration_and_with_a_linear_solve():
    import numpy as np

    env = lake(True)
    solution = value_iteration(env)
    values = evaluate_policy(env, solution.policy)
    assert values == pytest.approx(solution.values, abs=1e-7)
    assert values == pytest.approx({s: solution.q[s, a] for s, a in solution.policy.items()}, abs=1e-7)
    states, policy = list(env.states()), uniform_policy(env)
    a, b = np.eye(len(states)), np.zeros(len(states))
    for i, s in enumerate(states):
        for action, share in policy[s].items():
            for o in env.outcomes(s, action):
                b[i] += share * o.probability * o.reward
                if not o.terminal:
                    a[i, states.index(o.state)] -= env.discount * share * o.probability
    assert list(evaluate_policy(env, policy).values()) == pytest.approx(np.linalg.solve(a, b).tolist(), abs=1e-10)


def test_mean_return_agrees_with_episodes():
    env, rng = make("maze(layout=umaze)"), random.Random(0)
    returns = []
    env.reset(seed=0)
    for _ in range(800):
        env.reset()
        total, done = 0.0, False
        while not done:
            _, reward, terminated, truncated, _ = env.step(rng.choice(env.actions(env.state)))
            total, done = total + reward, terminated or truncated
        returns.append(total)
    spread = (sum((r + 46.2) ** 2 for r in returns) / len(returns) ** 2) ** 0.5
    assert abs(sum(returns) / len(returns) - mean_return(env, uniform_policy(env))) < 4 * spread


def test_wordle_of_four_words():
    env = make("wordle(words=4)")  # each guess tells the other words apart: 1 of 4 is right at once, the rest next
    solution = value_iteration(env)
    assert start_value(env, solution.values) == pytest.approx(-3 / 4)
    assert success_within(env, solution.policy, 2) == pytest.approx(1)


def test_what_cannot_be_evaluated_says_why():
    env = make("maze(layout=umaze)")
    stuck = dict.fromkeys(env.states(), "move up")
    with pytest.raises(UserError, match="discount below 1"):
        evaluate_policy(env, stuck)
    assert evaluate_policy(env, stuck, discount=0.9)[1, 1] == pytest.approx(-10)
    with pytest.raises(UserError, match="discount"):
        value_iteration(env, discount=1.5)
    with pytest.raises(UserError, match="says nothing"):
        mean_return(env, {})
    with pytest.raises(UserError, match="illegal"):
        mean_return(env, dict.fromkeys(env.states(), "fly"))
    with pytest.raises(UserError, match="sum to 1"):
        mean_return(env, {state: {"move up": 0.5} for state in env.states()})
    for spec in ("breakthrough", "wordle(words=100)"):
        with pytest.raises(UserError, match="too many states"):
            value_iteration(make(spec))


def test_without_gymnasium_the_extra_is_named():
    code = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "from nlrl.environments import make\n"
        "from nlrl.core import MissingExtra\n"
        "make('maze')\n"
        "try: make('frozen_lake')\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nlrl[play]" in done.stdout
