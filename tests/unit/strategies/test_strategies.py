import asyncio
from math import comb

import pytest

from nlrl.compute import Compute
from nlrl.core import (
    Budget,
    Candidate,
    CodeTests,
    Completion,
    Finish,
    Problem,
    Score,
    Stopped,
    TaskType,
    UnknownName,
    Verdict,
    VerifierError,
)
from nlrl.strategies import solve
from nlrl.strategies.adaptive_consistency import leader_holds
from nlrl.strategies.divide_and_conquer import sub_questions
from nlrl.strategies.voting import count_votes
from nlrl.testing.scripted import ScriptedModel

SUM = Problem("What is 1/4 + 1/4?", "1/2", TaskType.MATH)


def says(*answers: str) -> ScriptedModel:
    return ScriptedModel([f"Final Answer: {a}" if a else "I do not know." for a in answers])


def run(strategy, problem, model, **options):
    return asyncio.run(solve(strategy, problem, Compute(model, **options)))


def test_direct_takes_the_first_attempt():
    answer = run("direct", SUM, says("0.5", "7"))
    assert (answer.value, answer.usage.total.calls, answer.chosen) == ("0.5", 1, "s0")


def test_votes_are_counted_over_equivalent_answers():
    answer = run("self_consistency(n=5)", SUM, says("7", "1/2", "7", "0.5", "50 %"))
    assert answer.value == "1/2"
    assert answer.confidence == 0.6


def test_unparsed_attempts_vote_for_nobody_but_count():
    answer = run("self_consistency(n=4)", SUM, says("", "3", "", ""))
    assert (answer.value, answer.confidence) == ("3", 0.25)


def test_ties_are_reported_and_go_to_the_earlier_answer():
    answer = run("self_consistency(n=4)", SUM, says("3", "4", "4", "3"))
    assert answer.value == "3"
    assert any("Tie" in note for note in answer.notes)


def test_best_of_n_follows_its_verifier_and_weighted_sums_over_classes():
    class LikesLong:
        async def score(self, problem, candidates):
            return [Score(0.9 if c.answer == "9" else 0.5) for c in candidates]

    model = says("9", "0.5", "1/2", "3")
    assert run("best_of_n(n=4, select=best)", SUM, model, verifier=LikesLong()).value == "9"
    for vote in ("weighted_vote(n=4)", "best_of_n(n=4, select=weighted)", "best_of_n(n=4)"):  # one thing, old and new
        model = says("9", "0.5", "1/2", "3")
        assert run(vote, SUM, model, verifier=LikesLong()).value == "0.5"
    with pytest.raises(UnknownName, match="weighted"):
        run("best_of_n(select=wieghted)", SUM, says("1"))


def test_best_of_n_runs_public_tests_and_not_the_hidden_ones():
    problem = Problem(
        "Write a Python function `twice(x)`.",
        task_type=TaskType.CODING,
        tests=CodeTests(("assert twice(2) == 4", "assert twice(3) == 6"), ("assert twice(2) == 4",), "twice"),
    )
    programs = ["return x", "return x + 2", "return 2 * x"]
    model = ScriptedModel([f"```python\ndef twice(x):\n    {body}\n```" for body in programs])
    answer = run("best_of_n(n=3)", problem, model)
    assert "x + 2" in answer.text  # passes what it was shown; that it is wrong only the grader may know
    assert [c.score.verdict for c in answer.candidates] == [Verdict.WRONG, Verdict.RIGHT, Verdict.RIGHT]


@pytest.mark.parametrize("scores", [[], [Score(0.5)], [Score(0.5)] * 3])
def test_a_verifier_with_the_wrong_number_of_scores_is_refused(scores):
    class Broken:
        async def score(self, problem, candidates):
            return scores

    with pytest.raises(VerifierError, match="for 2 candidates"):
        run("best_of_n(n=2)", SUM, says("1", "2"), verifier=Broken())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_score_outside_its_range_cannot_be_made(value):
    with pytest.raises(ValueError, match="Score"):
        Score(value)


def test_adaptive_consistency_stops_when_the_vote_has_settled():
    answer = run("adaptive_consistency(n=16, wave=2)", SUM, says(*["0.5"] * 16))
    assert answer.stopped is Stopped.SETTLED
    assert answer.usage.total.calls <= 6  # P(p > 1/2) under Beta(5, 1) is 0.97
    split = run("adaptive_consistency(n=8, wave=2)", SUM, says(*["1", "2"] * 4))
    assert (split.stopped, split.usage.total.calls) == (Stopped.DONE, 8)


@pytest.mark.parametrize(("first", "second"), [(1, 0), (3, 1), (10, 7), (200, 3)])
def test_the_stopping_rule_is_the_beta_posterior(first, second):
    # numeric integral of Beta(first + 1, second + 1) above one half
    steps = 20_000
    density = [((i + 0.5) / steps) ** first * (1 - (i + 0.5) / steps) ** second for i in range(steps)]
    expected = sum(density[steps // 2 :]) / sum(density)
    assert leader_holds(first, second) == pytest.approx(expected, abs=1e-6)
    assert comb(4, 2) == 6


def test_self_refine_keeps_the_better():
    class Likes:
        async def score(self, problem, candidates):
            return [Score({"1": 0.2, "2": 0.6, "3": 0.4}[c.answer or ""]) for c in candidates]

    def dialogue(*lines):
        return ScriptedModel(list(lines))

    better = dialogue("Final Answer: 1", "The sum is wrong.", "Final Answer: 2", "Still wrong.", "Final Answer: 3")
    answer = run("self_refine(rounds=2)", SUM, better, verifier=Likes())
    assert (answer.value, answer.stopped) == ("2", Stopped.NO_GAIN)
    assert answer.candidates[1].parents == ("s0",)
    assert answer.usage.total.calls == 5
    fine = dialogue("Final Answer: 1", "No mistake.")
    answer = run("self_refine", SUM, fine, verifier=Likes())
    assert (answer.value, answer.stopped) == ("1", Stopped.SETTLED)


def test_divide_and_conquer_lets_the_parts_flow_into_the_whole():
    model = ScriptedModel(["1. What is a quarter?\n2. What is twice that?", "0.25", "0.5", "Final Answer: 1/2"])
    answer = run("divide_and_conquer(parts=3)", SUM, model)
    assert answer.value == "1/2"
    final = model.requests[-1].messages[-1].content
    assert "What is a quarter? 0.25" in final
    assert "What is twice that? 0.5" in final
    assert "0.25" in model.requests[2].messages[-1].content
    whole = run("divide_and_conquer", SUM, ScriptedModel(["I would not split it.", "Final Answer: 1/2"]))
    assert whole.value == "1/2"
    assert any("solved directly" in note for note in whole.notes)
    assert sub_questions("Plan:\n1) a?\n - b?\n\n2. c?\n3. d?", 3) == ["a?", "b?", "c?"]


def test_a_budget_that_ends_in_the_middle_gives_the_best_so_far():
    model = ScriptedModel(["Final Answer: 1", "The sum is wrong.", "Final Answer: 2"])
    answer = run("self_refine", SUM, model, budget=Budget(calls=2))
    assert (answer.value, answer.stopped) == ("1", Stopped.CALLS)


def test_braces_in_questions_and_critiques_do_no_harm():
    odd = Problem("What is {question} %s {0}?", "1", TaskType.MATH)
    model = ScriptedModel(["Final Answer: 1", "Wrong {critique} {x}", "Final Answer: 2"])
    run("self_refine(rounds=1)", odd, model)
    assert "Wrong {critique} {x}" in model.requests[-1].messages[-1].content
    model = ScriptedModel(["1. {part}?", "{known}", "Final Answer: 2"])
    assert run("divide_and_conquer", odd, model).value == "2"


def attempt(name, answer):
    return Candidate(name, Completion("", Finish.STOP, 1), answer)


def test_an_empty_vote_has_no_leader():
    vote = asyncio.run(count_votes(SUM, []))
    assert (vote.leader, vote.share, vote.tied) == (None, None, False)
    vote = asyncio.run(count_votes(SUM, [attempt("s0", None)]))
    assert vote.leader is None
