import asyncio

import pytest

from nlrl.environments import make
from nlrl.environments.exact import value_iteration
from nlrl.learning.language.acting.audit import Audit, audit, ranked
from nlrl.learning.language.acting.desk import Desk
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.testing import ScriptedModel

ENV = make("maze(layout=umaze)")
EXACT = value_iteration(ENV)


def audited(say, model=None) -> Audit:
    async def critic(state, action):
        return say(EXACT.q[state, action])

    return asyncio.run(audit(Operators(ENV, Desk(model or OracleModel())), critic, EXACT))


def test_substance_decides_and_style_does_not() -> None:
    prose = "A most considered and graceful judgement of an intricate position. "
    found = {
        "right": audited(lambda q: f"Worth: {q}"),
        "wrong": audited(lambda q: f"{prose * 3} Worth: {-q}"),
        "evasive": audited(lambda q: prose),
    }
    assert ranked(found)[0] == "right"
    assert (found["right"].in_order, found["right"].regret) == (1.0, 0.0)
    assert (found["wrong"].in_order, found["wrong"].regret) == (0.0, 1.0)
    assert found["evasive"].in_order == 0.0 == found["evasive"].numbers
    assert found["wrong"].words > 5 * found["right"].words


def test_saying_the_same_of_everything_is_worth_a_half() -> None:
    assert audited(lambda q: "Worth: 1").in_order == pytest.approx(0.5)


def test_a_reader_that_names_no_action_loses_everything() -> None:
    found = audited(lambda q: f"Worth: {q}", ScriptedModel("They are all lovely."))
    assert (found.regret, found.undecided, found.in_order) == (1.0, 1.0, 1.0)
