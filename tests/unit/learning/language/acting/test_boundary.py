"""An environment that raises, wherever it does: a clear error, counted, and the rest goes on."""

import asyncio

import pytest

from nlrl.core import EnvironmentFailed
from nlrl.environments.maze import Maze
from nlrl.learning.language.acting.desk import Desk
from nlrl.learning.language.acting.episodes import play
from nlrl.learning.language.acting.evaluation import Evaluation
from nlrl.learning.language.acting.gpi import ActingSettings, language_policy_iteration
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import PromptedPolicy, Table, Uniform
from nlrl.learning.language.acting.values import Store
from nlrl.testing import ScriptedModel


class Broken(Maze):
    """Raises in one method, in one state (in `parse`, for one action)."""

    broken = ""
    where: object = None

    def actions(self, state):
        self._fail("actions", state)
        return super().actions(state)

    def describe(self, state):
        self._fail("describe", state)
        return super().describe(state)

    def parse(self, text):
        self._fail("parse", super().parse(text))
        return super().parse(text)

    def _fail(self, what, at):
        if self.broken == what and at == self.where:
            raise KeyError("door")


def broken(what: str) -> Broken:
    env = Broken(layout="umaze")
    known = list(env.states())
    env.states = lambda: known
    env.broken, env.where = what, "move up" if what == "parse" else known[0]
    return env


@pytest.mark.parametrize("what", ["actions", "describe", "parse"])
def test_learning_leaves_out_what_fails_and_counts_it(what: str) -> None:
    env = broken(what)
    operators = Operators(env, Desk(OracleModel()))
    policy = Table(env, Uniform(env))
    settings = ActingSettings(iterations=6)
    asyncio.run(language_policy_iteration(operators, Store(operators), policy, settings))
    assert operators.heard["environment failures"] > 0
    assert policy.table  # where nothing failed; a reply that cannot be parsed may be another one the next time
    assert what == "parse" or len(policy.table) < len(env.states())


@pytest.mark.parametrize("what", ["actions", "describe", "parse"])
def test_an_episode_ends_with_the_reason(what: str) -> None:
    env = broken(what)
    policy = PromptedPolicy(env, Desk(ScriptedModel("Action: move up")))
    played = asyncio.run(play(env, policy, range(12)))
    failed = [e.failed for e in played.episodes if e.failed]
    assert failed and all("maze(layout=umaze" in why and "door" in why for why in failed)
    assert played.heard["environment failures"] == len(failed)


def test_the_error_says_what_and_where() -> None:
    env = broken("describe")
    operators = Operators(env, Desk(OracleModel()))
    target = Evaluation().target(operators, Uniform(env), Store(operators).read, env.where)
    with pytest.raises(EnvironmentFailed, match=r"umaze.*describe of .*door"):
        asyncio.run(target)


def test_states_that_cannot_be_listed_are_one_clear_error() -> None:
    env = broken("")
    env.states = lambda: [1 / 0]
    operators = Operators(env, Desk(OracleModel()))
    run = language_policy_iteration(operators, Store(operators), Table(env, Uniform(env)), ActingSettings())
    with pytest.raises(EnvironmentFailed, match=r"failed in states: ZeroDivisionError"):
        asyncio.run(run)
