import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.compute import Compute
from nlrl.core import Candidate, Completion, Finish, Problem, Score, UnknownName, Verdict, VerifierError
from nlrl.strategies.step_scores import AGGREGATES, score_steps, step_value
from nlrl.testing.scripted import ScriptedModel

STEPS = (0.8, 0.5, 0.9)


@pytest.mark.parametrize(("aggregate", "value"), [("last", 0.9), ("min", 0.5), ("prod", 0.36), ("mean", 2.2 / 3)])
def test_steps_as_one_number(aggregate, value):
    assert step_value(Score(0.1, steps=STEPS), aggregate) == pytest.approx(value)
    assert step_value(Score(0.1), aggregate) == 0.1  # no steps: the value as it is
    with pytest.raises(UnknownName, match="mean"):
        step_value(Score(0.1), "meen")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(sorted(AGGREGATES)))
def test_a_step_value_is_a_score_and_orders_as_it_must(steps, aggregate):
    score = Score(0.5, steps=tuple(steps))
    value = step_value(score, aggregate)
    assert 0.0 <= value <= 1.0
    assert step_value(score, "prod") <= step_value(score, "min") + 1e-12
    assert step_value(score, "min") <= step_value(score, "mean") + 1e-12


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.5, "0.5", None])
def test_values_that_are_no_scores_are_refused_by_position(bad):
    with pytest.raises(VerifierError, match="Step 2 of 3"):
        step_value(Score(0.5, steps=(0.5, bad, 0.5)))


def test_there_must_be_one_value_for_each_step():
    text = "one\n\n  \ntwo\nthree"
    assert step_value(Score(0.5, steps=STEPS), text=text) == 0.9
    with pytest.raises(VerifierError, match="3 steps got 2"):
        step_value(Score(0.5, steps=(0.1, 0.2)), text=text)


def attempts(*texts):
    return [Candidate(f"s{i}", Completion(t, Finish.STOP, 3), "1") for i, t in enumerate(texts)]


class Says:
    def __init__(self, *scores):
        self.scores = scores

    async def score(self, problem, candidates):
        return [s() if callable(s) else s for s in self.scores]


def scored(verifier, *texts):
    async def main():
        compute = Compute(ScriptedModel(["x"]))
        return await score_steps(Problem("?"), compute, attempts(*texts), verifier, "min"), compute.notes

    return asyncio.run(main())


def test_one_broken_score_among_good_ones_abstains_with_a_note():
    good, broken = Score(0.5, steps=(0.7, 0.6)), Score(0.5, steps=(0.7, math.nan))
    candidates, notes = scored(Says(good, broken), "a\nb", "a\nc")
    assert [c.score.value for c in candidates] == [0.6, 0.5]
    assert candidates[1].score.verdict is Verdict.ABSTAIN
    assert "Says broke its contract: Step 2 of 2 was scored nan" in notes[0]


def test_a_verifier_that_is_always_broken_is_an_error():
    with pytest.raises(VerifierError, match="Says broke its contract"):
        scored(Says(Score(0.5, steps=(0.7,)), Score(0.5, steps=(0.7,))), "a\nb", "a\nc")
    with pytest.raises(VerifierError, match=r"Says broke .*\[0, 1\]"):
        scored(Says(lambda: Score(math.nan), Score(0.1)), "a", "b")
    with pytest.raises(VerifierError, match="1 scores for 2"):
        scored(Says(Score(0.1)), "a", "b")
    assert scored(Says())[0] == []
