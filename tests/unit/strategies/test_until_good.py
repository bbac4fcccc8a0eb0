"""Attempts one after the other, until one is good."""

import asyncio
from dataclasses import dataclass

import pytest

from nlrl.bank import Bank, ReplayModel
from nlrl.compute import Compute
from nlrl.core import Budget, Problem, Score, Stopped, UserError, Verdict
from nlrl.strategies import solve
from nlrl.testing.scripted import ScriptedModel

PROBLEM = Problem("What is 2 + 2?", "4")
REPLIES = [f"Final Answer: {a}" for a in (7, 5, 4, 9)]


@dataclass
class Taste:
    """Likes the answer 4."""

    good: float = 0.9

    async def score(self, problem, candidates):
        return [Score(self.good if c.answer == "4" else 0.2, Verdict.ABSTAIN) for c in candidates]


def said(request, index):
    return REPLIES[index % 4]


def run(spec, **options):
    compute = Compute(ScriptedModel(said), verifier=options.pop("verifier", Taste()), **options)
    return asyncio.run(solve(spec, PROBLEM, compute))


def test_it_stops_at_the_first_good_attempt():
    answer = run("until_good(n=8)")
    assert (answer.value, answer.usage.total.calls, answer.stopped) == ("4", 3, Stopped.SETTLED)


def test_without_a_good_one_all_vote():
    answer = run("until_good(n=4)", verifier=Taste(good=0.5))
    assert (answer.value, answer.usage.total.calls, answer.stopped) == ("4", 4, Stopped.DONE)


def test_a_budget_gives_the_best_so_far():
    answer = run("until_good(n=8)", budget=Budget(calls=2))
    assert answer.value in ("7", "5") and answer.stopped is Stopped.CALLS


def test_a_threshold_outside_of_scores_is_refused():
    with pytest.raises(UserError, match="between 0 and 1"):
        run("until_good(threshold=1.5)")


def test_law_a_replay_is_identical():
    async def once(model, bank):
        return await solve("until_good(n=8)", PROBLEM, Compute(model, bank=bank, verifier=Taste()))

    with Bank() as bank:
        live = asyncio.run(once(ScriptedModel(said), bank))
        again = asyncio.run(once(ReplayModel("scripted"), bank))
    assert (live.value, live.usage.tokens, live.stopped) == (again.value, again.usage.tokens, again.stopped)
