"""However long episodes are, and however many: no prompt holds more than there is room for."""

import asyncio

import pytest

from nlrl.environments import make
from nlrl.learning.language.acting.desk import Desk, Heard
from nlrl.learning.language.acting.evaluation import Evaluation
from nlrl.learning.language.acting.operators import Operators, Variation
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import Uniform
from nlrl.learning.language.acting.texts import UNKNOWN, worth
from nlrl.testing import ScriptedModel

FRAME = 700  # characters of a prompt around what it joins or merges, numbering and chances included


async def unknown(state) -> str:
    return UNKNOWN


def told(room: int, steps: int | None) -> tuple[float, int]:
    """V of a state by four stretches of uniform play, and the longest prompt."""
    env, heard = make("maze(layout=umaze)"), list[Heard]()
    operators = Operators(env, Desk(OracleModel(), on_heard=heard.append), room=room)
    evaluation = Evaluation(steps=steps, samples=4)
    text = asyncio.run(evaluation.target(operators, Uniform(env), unknown, env.states()[0]))
    return worth(text), max(len(h.prompt) for h in heard)


@pytest.mark.parametrize("steps", [None, 40])
def test_long_stretches_are_told_in_parts_and_come_to_the_same(steps: int | None) -> None:
    whole, longest = told(10**9, steps)
    parts, bounded = told(1_000, steps)
    assert parts == pytest.approx(whole, rel=1e-6)
    assert longest > 3_000 and bounded < 1_000 + FRAME


def test_merging_ends_even_where_replies_are_longer_than_the_room() -> None:
    operators = Operators(make("maze(layout=umaze)"), Desk(ScriptedModel("x" * 500)), room=100)
    variations = [Variation(1.0, f"{i} Worth: {i} " + "y" * 300) for i in range(9)]
    assert asyncio.run(operators.aggregate(variations)) == "x" * 500
    assert sum(operators.desk.calls.values()) == 9 + 5 + 3 + 2 + 1  # each alone, and then at least two at a time
