"""`language_gpi`: evaluation, aggregation in words, improvement, convergence; its rows, its file, and few problems."""

import asyncio
import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from nlrl.core import Budget, Problem, Sampling, Score, TaskType, UserError, Verdict
from nlrl.learning.language.asking.critique import Assessment, counted, judgement
from nlrl.learning.language.asking.functions import RESULTS, language_gpi
from nlrl.learning.language.asking.parts import parts_of
from nlrl.learning.language.asking.policy import LanguagePolicy
from nlrl.learning.language.asking.rollouts import Judge, Rollout
from nlrl.learning.language.asking.turn import AskingSettings
from nlrl.tasks import as_problem
from nlrl.testing import ScriptedModel

RULE = "Add the tens first."
SAMPLING = Sampling(max_tokens=40, seed=3)
FIELDS = [
    "task_name", "iteration", "index", "prompt", "dynamic_prompt", "model_output", "expected_answer", "gists",
    "evaluation_score", "is_correct",
]  # fmt: skip
ROWS = [{"problem": f"What is {a} + {b}?", "answer": str(a + b)} for a in range(11, 19) for b in range(41, 49)]
SUMS = {row["problem"]: row["answer"] for row in ROWS}


def adder(critic=RULE):
    """Adds rightly in a third of the sums, and in five sixths where the prompt holds the rule. Its calls are kept."""

    def reply(request, index):
        first, last = request.messages[0].content, request.messages[-1].content
        if first.startswith("You review"):
            return f"It added the units first, in {last.count('+')} place."
        if first.startswith("You read"):
            return critic
        if first.startswith("You improve"):
            return f"ADD: {critic}"
        luck = sum(map(ord, last)) * 7 % 6
        right = luck < (5 if RULE in first else 2)
        return f"17 and some.\nFinal Answer: {SUMS[last] if right else 1000 + luck}"

    return ScriptedModel(reply)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gpi(model, rows=ROWS, reward=None, iterations=3, **options):
    return language_gpi(
        model, None, rows, reward, iterations, **{"sampling": SAMPLING, "say": lambda text: None} | options
    )


def test_it_evaluates_aggregates_in_words_improves_and_converges():
    found = gpi(adder(), iterations=None)
    assert [p.text for p in found.policy.principles] == [RULE]
    assert found.ended == "converged" and "no change was accepted in 5 iterations" in found.converged
    taken = next(m for m in found.metrics if m.accepted)
    assert taken.kind == "critic" and taken.learned == (taken.tried[0],) and RULE in taken.learned[0]
    assert RULE in taken.assessment and f"of {64 - 16} right" in taken.assessment
    assert not any(m.learned for m in found.metrics if not m.accepted)
    before, after = found.metrics[0], found.metrics[-1]
    assert before.accuracy == before.evaluation == pytest.approx(1 / 3, abs=0.15)
    assert after.accuracy > 0.7 and after.held_out > 0.7 > 0.5 > before.held_out
    assert found.held_out.problems == 16 and found.held_out.by == "accuracy"
    assert (found.held_out.before.mean, found.held_out.after.mean) == (before.held_out, after.held_out)
    assert found.held_out.gain.mean == pytest.approx(after.held_out - before.held_out)
    assert found.words == list(taken.learned) and found.notes == ()


def test_what_is_spent_is_what_the_model_was_asked():
    model = adder()
    found = gpi(model, iterations=4)
    assert sum(m.calls for m in found.metrics) == found.calls
    assert found.calls == sum(request.n for request in model.requests)
    assert sum(m.tokens for m in found.metrics) == found.tokens > 0
    assert all(m.seconds is not None and m.seconds >= 0 for m in found.metrics)


def test_every_rollout_is_a_row_of_the_list_and_of_the_file():
    lines = []
    found = gpi(adder(), iterations=2, say=lines.append)
    assert len(found) == 2 * len(ROWS) == len(list(found)) and found[0] is found.rows[0] and found[1:3]
    assert [(r["iteration"], r["index"]) for r in found] == [(i, n) for i in (1, 2) for n in range(len(ROWS))]
    assert all(list(row) == FIELDS for row in found)
    row = found[5]
    assert (row["task_name"], row["prompt"], row["expected_answer"]) == ("Language GPI", *ROWS[5].values())
    assert row["prompt"] in row["dynamic_prompt"] and "Final Answer:" in row["dynamic_prompt"]
    assert row["gists"] == ["17 and some.\n", row["model_output"].splitlines()[1]]
    assert row["is_correct"] is (row["model_output"].endswith(f": {row['expected_answer']}"))
    assert row["evaluation_score"] == float(row["is_correct"])
    assert json.loads(Path(RESULTS).read_text()) == list(found)
    text = "\n".join(lines)
    assert "--- Language GPI Iteration 2/2 ---" in text and "Iteration 2 Language GPI Accuracy: " in text
    assert "Sample 1:" not in text


def test_debug_mode_prints_the_rollouts():
    lines = []
    gpi(adder(), iterations=1, debug_mode=True, say=lines.append)
    assert sum("Expected Answer: " in line for line in lines) == len(ROWS)


def test_the_call_of_the_guide_with_its_mocks():
    """A pair of mocks, rows of two kinds: one iteration asks the reward models of the kinds in the data."""
    rows = [
        {"question": "Solve for x: 2x + 3 = 7", "answer": "2"},
        {"question": "What is the capital of Italy?", "answer": "Rome"},
    ]
    model, tokenizer = Mock(), Mock()
    model.generate.return_value = [[1, 2, 3]]
    tokenizer.decode.return_value = "Final Answer: 2"
    rewards = {kind: Mock(return_value=1.0) for kind in ("math", "commonsense", "coding")}
    found = language_gpi(model, tokenizer, rows, rewards, iterations=1, debug_mode=False)
    assert model.generate.called and not rewards["coding"].called
    rewards["math"].assert_called()
    rewards["commonsense"].assert_called()
    assert [(r["evaluation_score"], r["is_correct"]) for r in found] == [(1.0, True), (1.0, False)]
    assert any("by this reward nothing is left" in note for note in found.notes)
    assert json.loads(Path(RESULTS).read_text()) == list(found)


def test_a_reward_evaluates_and_the_reference_says_what_is_correct():
    heard = []

    def even(text):
        heard.append(text)
        return 0.5 if int(text.split()[-1]) % 2 == 0 else 0.25

    found = gpi(adder(), reward={"math": even}, iterations=1)
    assert heard and {row["evaluation_score"] for row in found} == {0.5, 0.25}
    assert {row["is_correct"] for row in found} == {True, False}
    training = [r for r in found if r["prompt"] not in {p.question for p in held_out_of(ROWS)}]
    assert found.metrics[0].evaluation == pytest.approx(sum(r["evaluation_score"] for r in training) / len(training))
    assert "evaluated at 0." in found.metrics[0].assessment


def held_out_of(rows):
    return parts_of([as_problem(row) for row in rows], AskingSettings(), held_out=0.25).held_out


def test_a_reward_takes_the_test_cases_of_its_row_and_abstains_on_other_kinds():
    cases = [{"input": [1, 3], "expected": 4}]
    asked, answer = "Write a Python function that adds two numbers.", "def f(a, b): return a + b"
    rows = [{"question": asked, "answer": answer, "test_cases": cases}]
    rows += ROWS[:1]
    seen = []

    def judge(text, test_cases):
        seen.append(test_cases)
        return 1.0

    found = gpi(
        ScriptedModel("```python\ndef f(a, b):\n    return a + b\n```\nFinal Answer: 52"), rows, {"coding": judge}, 1
    )
    assert seen and all(given == cases for given in seen)
    assert [row["evaluation_score"] for row in found] == [1.0, 1.0]  # the sum by its reference


def test_the_held_out_problems_teach_and_decide_nothing():
    model = adder()
    found = gpi(model, iterations=4)
    apart = {p.question for p in held_out_of(ROWS)}
    assert len(apart) == 16
    read = [m.content for r in model.requests for m in r.messages if r.messages[0].content.startswith("You ")]
    assert read and not any(question in text for question in apart for text in read)
    rollouts = [r.problem for e in found.iterations for r in e.rollouts if r.policy != found.policy.id]
    ids = {p.id for p in held_out_of(ROWS)}
    assert sum(p in ids for p in rollouts) == 16  # only policies that came into force are measured on them


@pytest.mark.parametrize("tokens", [0, 600, 3000, 12_000])
def test_a_budget_ends_it_and_is_not_exceeded(tokens):
    found = gpi(adder(), iterations=9, budget=tokens)
    assert found.tokens <= tokens and found.ended == "budget" and found.metrics
    assert found.metrics[-1].decision == "stopped" and len(found.metrics) <= 9
    assert any("held-out problems" in note for note in found.notes) is (found.held_out is None)


def test_all_iterations_made_is_no_convergence_and_patience_is():
    assert gpi(adder(), iterations=2).ended == "iterations"
    found = gpi(adder(), iterations=9, patience=1)
    assert found.ended == "converged" and len(found.metrics) == 1
    with pytest.raises(UserError, match="patience"):
        gpi(adder(), patience=0)


def test_where_everything_is_right_nothing_is_tried():
    model = ScriptedModel(lambda request, index: f"Final Answer: {SUMS[request.messages[-1].content]}")
    found = gpi(model, iterations=3)
    assert (found.ended, found.converged, len(found.metrics)) == ("converged", "everything is right", 1)
    assert found.metrics[0].assessment == "48 of 48 right." and found.words == []
    assert found.calls == len(ROWS)


@pytest.mark.parametrize("many", [1, 2, 3, 7, 8, 13, 14])
def test_few_problems_are_used_as_they_are_and_that_is_said(many):
    found = gpi(adder(), ROWS[:many], iterations=3)
    assert found.metrics and found.metrics[0].accuracy is not None
    assert any("none is held out" in note for note in found.notes) is (many < 14)
    assert any("none is kept for deciding" in note for note in found.notes) is (many < 8)
    assert (found.held_out is None) is (many < 14)
    assert len(found) == len(found.metrics) * many


def test_on_two_problems_any_gain_can_be_taken_by_saying_so():
    wrong = [row for row in ROWS if sum(map(ord, row["problem"])) * 7 % 6 in (2, 3, 4)][:2]
    assert gpi(adder(), wrong, iterations=3).words == []
    assert any(RULE in line for line in gpi(adder(), wrong, iterations=3, confidence=0.5).words)


def test_a_broken_run_is_gone_on_with_and_tells_the_whole(elsewhere):
    straight = gpi(adder(), iterations=4)
    gpi(adder(), iterations=2, out=elsewhere / "run")
    model = adder()
    resumed = gpi(model, iterations=4, out=elsewhere / "run")
    assert resumed.iterations == straight.iterations and resumed.rows == straight.rows
    assert resumed.held_out == straight.held_out and 0 < len(model.requests) < straight.calls
    assert [m.seconds is None for m in resumed.metrics] == [True, True, False, False]


def test_a_place_that_cannot_be_written_is_said_before_anything_is_spent(elsewhere):
    (elsewhere / "file").write_text("")
    model = adder()
    with pytest.raises(UserError, match="results="):
        gpi(model, results=elsewhere / "file" / "r.json")
    assert not model.requests
    assert gpi(model, iterations=1, results=None) and not (elsewhere / "cache").exists()


def test_it_runs_inside_an_event_loop():
    async def notebook():
        return gpi(adder(), iterations=1)

    assert len(asyncio.run(notebook()).metrics) == 1


@pytest.mark.parametrize("rows", [[], ["Why is the sky blue?"], [{"question": "Why?"}]])
def test_nothing_to_learn_from_is_an_error(rows):
    with pytest.raises(UserError, match=r"empty|split"):
        gpi(adder(), rows)


def test_a_share_that_is_none_is_refused():
    for share in (-0.1, 1.0):
        with pytest.raises(UserError, match="held_out"):
            gpi(adder(), held_out=share)
    assert gpi(adder(), held_out=0, iterations=1).held_out is None


# --- the words


def attempt(value, correct=None, verdict="wrong", **more):
    return Rollout("p", "base", 0, value, verdict, correct=correct, **more)


def test_what_came_of_attempts_in_words():
    assert counted([attempt(1.0, True), attempt(0.0, False)]) == "1 of 2 right."
    assert counted([attempt(0.0, False, cut=True), attempt(0.0, False, "unparsed"), attempt(None)]) == (
        "0 of 2 right, 1 cut off, 1 without a readable answer, 1 that nobody could judge."
    )
    assert counted([attempt(0.5, True), attempt(0.0, False)]) == "1 of 2 right, evaluated at 0.25 of 1."
    assert counted([attempt(1.0), attempt(0.4)]) == "1 of 2 right, evaluated at 0.70 of 1."
    assert str(Assessment("1 of 2 right.", "Carry the ten.")) == "1 of 2 right. Carry the ten."
    assert str(Assessment("1 of 2 right.")) == "1 of 2 right."


def test_a_reward_is_read_as_words_and_a_correct_answer_is_not_told_to_be_another():
    problem = Problem("What is 1 + 1?", reference="2", task_type=TaskType.MATH)
    said = judgement(problem, attempt(0.3, True, reason="the reward is 0.30 of 1"))
    assert said == "wrong, the reward is 0.30 of 1"
    assert judgement(problem, attempt(0.3, False)) == "wrong, the right answer is 2"


class Half:
    """Gives 0.5 to all, with or without a reason."""

    def __init__(self, reason=""):
        self.reason = reason

    async def score(self, problem, candidates):
        return [Score(0.5, Verdict.ABSTAIN, reason=self.reason)] * len(candidates)


def test_a_reward_of_a_half_is_one_and_an_abstention_leaves_it_to_the_reference():
    from nlrl.compute import Compute
    from nlrl.core import Candidate, Completion, Finish

    problem = Problem("What is 1 + 1?", reference="2", task_type=TaskType.MATH)
    answer = Candidate("s0", Completion("Final Answer: 2", Finish.STOP, 1), "2")

    def judged(reward, first=True):
        judge = Judge([reward], rewards_first=first)
        return asyncio.run(judge.score(problem, answer, Compute(ScriptedModel("x"))))

    value, score, correct = judged(Half())
    assert (value, score.verdict, score.reason, correct) == (0.5, Verdict.WRONG, "the reward is 0.50 of 1", True)
    assert judged(Half("cannot tell"))[0] == 1.0
    assert judged(Half(), first=False)[0] == 1.0  # what has a reference is graded by it


def test_start_and_budget_object_are_taken():
    start = LanguagePolicy("Add. Be quick.")
    found = gpi(adder(), iterations=1, start=start, budget=Budget(calls=20))
    assert found.ended == "budget" and found.calls <= 20
    assert found.policy == start and found.words == []
