"""Prompt-only iteration: nothing is fitted, and decisions are improved wherever they are needed."""

import asyncio

import pytest

from nlrl.environments import make
from nlrl.environments.exact import mean_return, value_iteration
from nlrl.learning.language.acting.desk import CRITIC_ROLES, Desk, Role
from nlrl.learning.language.acting.gpi import ActingSettings, language_policy_iteration
from nlrl.learning.language.acting.improvement import LookAhead, Refine
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import PromptedPolicy
from nlrl.learning.language.acting.values import PromptedValue, question
from nlrl.testing import ScriptedModel


def bench(say=None):
    """A model that knows what states are worth, and always goes up; the operators are calculated."""
    env = make("maze(layout=umaze)")
    worth = {question(env, s): f"Worth: {v}" for s, v in value_iteration(env).values.items()}
    model = ScriptedModel(say or (lambda request, i: worth.get(request.messages[-1].content, "Action: move up")))
    desk = Desk(model, roles=dict.fromkeys(CRITIC_ROLES, OracleModel()))
    return env, desk, PromptedValue(env, desk), PromptedPolicy(env, desk)


def learn(env, desk, value, policy, **settings):
    settings = ActingSettings(fit=False, **settings)
    return asyncio.run(language_policy_iteration(Operators(env, desk), value, policy, settings))


def test_what_the_model_knows_of_states_becomes_what_it_does() -> None:
    env, desk, value, policy = bench()
    result = learn(env, desk, value, policy, iterations=5, held_out=(1, 2, 3))
    assert result.stopped == "converged" and len(result.iterations) == 2  # the second changes nothing
    assert isinstance(result.policy, LookAhead)
    chosen = {s: asyncio.run(result.policy.draws(s, 1))[0].action for s in env.states()}
    assert mean_return(env, chosen) == pytest.approx(mean_return(env, value_iteration(env).policy))
    assert result.iterations[0].played.mean_return >= -4
    assert desk.calls[Role.POLICY] == 0  # every legal action is looked at: nobody needs to draw them


def test_states_that_were_met_are_enough_and_the_rest_is_improved_when_it_is_met() -> None:
    env, desk, value, policy = bench()
    result = learn(env, desk, value, policy, iterations=1, episodes=1, explore=1.0, held_out=range(12))
    assert result.iterations[0].played.mean_return >= -4


def test_where_nothing_legal_comes_of_it_the_policy_decides_alone() -> None:
    env, desk, value, policy = bench(lambda request, i: "I resign.")
    desk.employ(Role.IMPROVE, ScriptedModel("Action: fly away"))
    result = learn(env, desk, value, policy, iterations=1, held_out=(1,))
    assert result.policy is policy and result.iterations[0].changes == ()
    assert result.iterations[0].heard["unparsed decisions"] > 0


def test_thinking_again_needs_no_fit_either() -> None:
    def say(request, i: int) -> str:
        prompt = request.messages[-1].content
        return "Action: move down" if "You meant to do: move up" in prompt else "It ends badly. Action: move up"

    env, desk, value, policy = bench(say)
    refine = Refine(successors=value)
    result = learn(env, desk, value, policy, iterations=1, improvement=refine)
    assert {change.after for change in result.iterations[0].changes} == {"move down"}
    assert desk.calls[Role.JOIN] == 0


def test_with_fits_a_model_that_only_is_asked_is_refused() -> None:
    _, _, value, policy = bench()
    for some in (value, policy):
        with pytest.raises(TypeError, match="fit=False"):
            asyncio.run(some.fit([], seed=0))
