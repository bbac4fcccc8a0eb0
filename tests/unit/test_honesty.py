"""The laws of honesty, each by a world in which breaking it changes what is seen."""

from __future__ import annotations

import asyncio
import types
from dataclasses import replace

import numpy as np
import pytest

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import (
    Answer,
    Budget,
    CodeTests,
    Phase,
    Problem,
    Sampling,
    SandboxUnavailable,
    Stopped,
    TaskType,
    Verdict,
    blind,
)
from nlrl.evaluation import PANEL, RunConfig, latest, read_records, run_benchmark
from nlrl.evaluation.records import Failure, ProblemRecord, Record, SpendRecord, UsageRecord
from nlrl.evaluation.summary import summarise
from nlrl.sandbox import default_sandbox
from nlrl.scaling.cells import Cells, replay_cells
from nlrl.scaling.choose import (
    Picks,
    Settings,
    Validation,
    better,
    cross_validate,
    folds,
    held_out_sureness,
)
from nlrl.scaling.difficulty import FEATURES
from nlrl.strategies import registry, solve
from nlrl.strategies.registry import strategies
from nlrl.testing.scripted import ScriptedModel
from nlrl.verifiers.judge import LLMJudge
from nlrl.verifiers.reference import ReferenceVerifier

QUESTION = "What is 17 + 25?"
SUM = Problem(QUESTION, "42", TaskType.MATH)
TWICE = Problem(
    "Write a Python function `twice(x)`.",
    task_type=TaskType.CODING,
    tests=CodeTests(("assert twice(2) == 4", "assert twice(3) == 6"), ("assert twice(2) == 4",), "twice"),
)


def speaks(request, index):
    """Wrong first, right second, and so on: alike in form, so that only who knows the answer can choose."""
    return f"Final Answer: {(41, 42, 43, 40)[index % 4]}"


def run_on(path, problems, model, **settings):
    async def go():
        with Bank() as bank:
            config = RunConfig(**({"sampling": Sampling(max_tokens=60)} | settings))
            await run_benchmark(config, model, problems, bank=bank, out_dir=path, handle_signals=False)

    asyncio.run(go())
    return {r.strategy: r for r in latest(read_records(path / "records.jsonl"))}


# --- who chooses does not know the answer


def test_what_a_strategy_is_given_holds_no_answer():
    whole = replace(SUM, aliases=("forty-two",))
    seen = blind(whole)
    assert (seen.reference, seen.aliases, seen.question) == (None, (), whole.question)
    assert seen.id == whole.id  # the bank knows it under the same name


@pytest.fixture
def spy(monkeypatch):
    seen = []

    async def spy(problem, compute):
        seen.append(problem)
        return compute.answer((await compute.sample(problem, 1))[0])

    module = types.ModuleType("spies")
    module.spy = spy
    monkeypatch.setitem(__import__("sys").modules, "spies", module)
    monkeypatch.setitem(registry._PLACES, "spy", "spies:spy")
    return seen


def test_no_strategy_of_a_run_or_a_calibration_sees_what_it_is_judged_by(tmp_path, spy):
    whole = replace(SUM, aliases=("forty-two",))
    model = ScriptedModel(speaks)
    record = run_on(tmp_path, [whole], model, strategies=("spy",))["spy"]
    assert (record.problem.reference, record.answer.verdict) == ("42", "wrong")  # the grader did see it
    with Bank() as bank:
        cells = asyncio.run(replay_cells([whole], model, bank, ["spy"]))
    assert cells.right.tolist() == [[0.0]]
    assert len(spy) == 2 and all(p.reference is None and not p.aliases and p.id == whole.id for p in spy)


@pytest.mark.parametrize("name", sorted(set(strategies())))
def test_no_strategy_does_better_for_knowing_the_reference(name):
    """The same draws, another right answer: nothing a strategy does or says may change."""
    answers = []
    for reference in ("42", "41"):
        problem = Problem(QUESTION, reference, TaskType.MATH, id="sum")
        compute = Compute(ScriptedModel(speaks), sampling=Sampling(max_tokens=60))
        answer = asyncio.run(solve(name, problem, compute))
        answers.append((answer.value, answer.text, answer.confidence, answer.notes, answer.usage.tokens))
        answers[-1] += ([(c.text, c.score) for c in answer.candidates],)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("select", ["best", "weighted"])
def test_best_of_four_is_not_pass_at_four(tmp_path, select):
    """No verifier can tell these attempts apart, so the first stands, though one of the four is right."""
    name = f"best_of_n(n=4, select={select})"
    records = run_on(tmp_path, [SUM], ScriptedModel(speaks), strategies=(name,), samples=4)
    assert [a.verdict for a in records[PANEL].attempts] == ["wrong", "right", "wrong", "wrong"]
    assert {a.score_verdict for a in records[PANEL].attempts} == {"abstain"}
    assert (records[name].answer.value, records[name].answer.verdict) == ("41", "wrong")
    with Bank() as bank:
        cells = asyncio.run(replay_cells([SUM], ScriptedModel(speaks), bank, [name], samples=4))
    assert cells.right.tolist() == [[0.0]]
    assert cells.pass_at_1.tolist() == [0.25]


def test_public_tests_choose_and_hidden_tests_grade(tmp_path):
    try:
        default_sandbox().isolation()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    programs = ["return x", "return x + 2", "return 2 * x"]  # fails both, passes what is shown, is right
    model = ScriptedModel(lambda request, i: f"```python\ndef twice(x):\n    {programs[i]}\n```")
    name = "best_of_n(n=3, select=best)"
    records = run_on(tmp_path, [TWICE], model, strategies=(name,), samples=3)
    assert [a.score_verdict for a in records[PANEL].attempts] == ["wrong", "right", "right"]
    assert [a.verdict for a in records[PANEL].attempts] == ["wrong", "wrong", "right"]
    assert "x + 2" in records[name].answer.text and records[name].answer.verdict == "wrong"
    with Bank() as bank:
        cells = asyncio.run(replay_cells([TWICE], model, bank, [name], samples=3))
    assert cells.right.tolist() == [[0.0]]


@pytest.mark.parametrize("task", [TaskType.CODING, None])
def test_the_grader_runs_hidden_tests(task, attempt_program):
    problem = replace(TWICE, task_type=task, id="")
    assert [attempt_program(problem, body) for body in ("x + 2", "2 * x")] == [Verdict.WRONG, Verdict.RIGHT]


@pytest.fixture
def attempt_program():
    from nlrl.core import Candidate, Completion, Finish

    try:
        default_sandbox().isolation()
    except SandboxUnavailable as error:
        pytest.skip(str(error))

    def verdict(problem, body):
        text = f"def twice(x):\n    return {body}"
        candidate = Candidate("s0", Completion(text, Finish.STOP, 1), text)
        return asyncio.run(ReferenceVerifier().score(problem, [candidate]))[0].verdict

    return verdict


def test_a_prompt_shows_no_answer_and_no_hidden_test(tmp_path):
    secret = Problem("Which river?", "Orinoco", TaskType.COMMONSENSE, aliases=("Rio Orinoco",))
    model = ScriptedModel(["Final Answer: Po"], cycle=True)
    run_on(
        tmp_path, [secret, TWICE], model, strategies=("self_refine", "divide_and_conquer", "best_of_n(verifier=judge)")
    )
    said = "\n".join(m.content for request in model.requests for m in request.messages)
    assert "Which river?" in said and "twice(2) == 4" in said
    assert "Orinoco" not in said and "twice(3)" not in said


# --- nothing that went wrong is left out


def _record(row, strategy="direct", answer=None, error=None):
    spend = SpendRecord(1, 10, 0, 5)
    problem = ProblemRecord(f"id{row}", "What?", "42", "math")
    usage = UsageRecord(spend, {"sample": spend}, 5, 1.0)
    return Record(row, problem, strategy, "m", answer=answer, usage=usage, error=error)


def test_a_strategy_that_failed_has_not_solved_the_problem(tmp_path, monkeypatch):
    async def broken(problem, compute):
        if problem.question.startswith("Odd"):
            raise RuntimeError("a bug")
        return compute.answer((await compute.sample(problem, 1))[0])

    module = types.ModuleType("spies")
    module.broken = broken
    monkeypatch.setitem(__import__("sys").modules, "spies", module)
    monkeypatch.setitem(registry._PLACES, "broken", "spies:broken")
    problems = [Problem(f"{('Even', 'Odd')[i % 2]} {i}: what is 40 + 2?", "42", TaskType.MATH) for i in range(4)]
    run_on(tmp_path, problems, ScriptedModel(["Final Answer: 42"], cycle=True), strategies=("broken",))
    (only,) = summarise(read_records(tmp_path / "records.jsonl")).domains[0].strategies
    assert (only.problems, only.failed, only.judged) == (4, 2, 4)
    assert only.accuracy.mean == 0.5


def test_the_problems_that_all_failed_are_an_accuracy_of_nothing():
    records = [_record(i, error=Failure("ModelUnavailable", "down")) for i in range(3)]
    (only,) = summarise(records).domains[0].strategies
    assert (only.accuracy.mean, only.failed) == (0.0, 3)


# --- what is said of a policy was measured on problems that it had not seen


def _cells(right, keys=(("a", None), ("b", None))):
    right = np.asarray(right, dtype=float)
    n = right.shape[1]
    return Cells(
        keys,
        right,
        np.full(right.shape, 100.0),
        np.full(right.shape, 0.5),
        np.full(right.shape, 100.0),
        np.zeros((n, len(FEATURES))),
        np.full(n, 0.5),
    )


def test_a_policy_is_checked_on_the_fold_that_it_was_not_made_from():
    """Way a is right exactly in one fold, way b in the other: who chose by one fold is wrong in the other."""
    fold = folds(40, seed=0)
    cells = _cells([fold == 0, fold == 1])
    checked = cross_validate(cells, Settings(probe=0), probed=False, at=[0.0])
    assert checked.by_price[0].accuracy.mean == 0.0


def test_calibrated_confidence_is_checked_on_the_fold_it_was_not_fitted_on():
    fold = folds(40, seed=0)
    right = (fold == 0).astype(float)
    chances = np.full(40, 0.5)
    picks = Picks(None, 0.0, np.zeros(40, dtype=int), chances, right, np.full(40, 9.0), np.full(40, 0.5))
    sure = held_out_sureness(Validation(False, [], [picks]), fold)
    before, after = sure.squared
    assert before == 0.25
    assert after > 0.9  # each fold is told what the other was: the opposite


def _worth(gains):
    """Two checks of a policy whose worth differs by `gains`, problem by problem."""
    n = len(gains)
    base = Picks(None, 0.0, np.zeros(n, dtype=int), np.full(n, 0.5), np.zeros(n), np.full(n, 9.0), np.full(n, 0.5))
    return Validation(True, [], [replace(base, right=np.asarray(gains, dtype=float))]), Validation(False, [], [base])


@pytest.mark.parametrize(
    ("gains", "pays"),
    [
        ([1.0] * 3 + [-1.0] * 2 + [0.0] * 15, False),  # more on average, and within its interval
        ([1.0] * 10 + [0.0] * 10, True),
        ([-1.0] * 10 + [0.0] * 10, False),
        ([0.0] * 20, False),
    ],
)
def test_choosing_by_difficulty_must_pay_by_more_than_its_interval(gains, pays):
    assert better(*_worth(gains)) is pays


def test_difficulty_is_learned_from_other_attempts_than_the_probe_saw():
    """Four wrong attempts in the probe, four right ones behind it."""
    model = ScriptedModel(lambda request, i: f"Final Answer: {42 if i >= 4 else 41}")
    with Bank() as bank:
        cells = asyncio.run(replay_cells([SUM], model, bank, ["direct"], probe=4, samples=8))
    assert cells.pass_at_1.tolist() == [1.0]


def test_a_probe_is_part_of_what_a_choice_costs():
    model = ScriptedModel(speaks)
    with Bank() as bank:
        plain, probed = (
            asyncio.run(replay_cells([SUM], model, bank, ["direct", "self_consistency(n=4)"], probe=n)) for n in (0, 4)
        )
    unneeded = 3 * 3  # `direct` takes one of the four attempts; the others have three tokens and more
    assert probed.tokens[0, 0] >= plain.tokens[0, 0] + unneeded
    assert probed.tokens[1, 0] >= plain.tokens[1, 0]


def test_an_answer_that_nobody_could_judge_is_neither_right_nor_wrong_for_a_policy():
    bare = Problem("Tell me about 42.", task_type=TaskType.MATH)
    with Bank() as bank:
        cells = asyncio.run(replay_cells([bare], ScriptedModel(speaks), bank, ["direct"], samples=2))
    assert np.isnan(cells.right).all() and np.isnan(cells.pass_at_1).all()


class Counted(ScriptedModel):
    """Says yes to whoever asks for a verdict, and counts what it is asked, as a server would."""

    def __init__(self):
        super().__init__(lambda r, i: "Verdict: yes" if "Verdict" in r.messages[-1].content else speaks(r, i))

    @property
    def calls(self):
        return sum(r.n for r in self.requests)


@pytest.mark.parametrize("own", [False, True], ids=["the solver's model", "a model of its own"])
def test_what_a_judge_asks_is_charged(own):
    model, other = Counted(), Counted()
    judge = LLMJudge(other if own else None)
    compute = Compute(model, verifier=judge)
    answer = asyncio.run(solve("best_of_n(n=3)", SUM, compute))
    assert {c.score.verdict for c in answer.candidates} == {Verdict.RIGHT}
    assert answer.usage.phases[Phase.VERIFY].calls == (other.calls if own else model.calls - 3) == 3
    assert answer.usage.phases[Phase.VERIFY].tokens > 0
    assert answer.usage.total.calls == compute.ledger.paid.calls == model.calls + other.calls


VOTES = ("self_consistency", "weighted_vote", "best_of_n", "adaptive_consistency", "early_stopping")


@pytest.mark.parametrize("name", VOTES)
def test_one_vote_of_four_is_no_certainty(name):
    def of(calls):
        same = ScriptedModel(["Final Answer: 42"], cycle=True)
        return asyncio.run(solve(f"{name}(n=4)", SUM, Compute(same, budget=Budget(calls=calls))))

    assert (of(1).value, of(1).confidence, of(1).stopped) == ("42", None, Stopped.CALLS)
    assert "1 of 4 attempts fitted the budget." in of(1).notes
    assert of(8).confidence is not None and not any("fitted" in note for note in of(8).notes)


def test_an_answer_says_what_it_cost():
    answer = asyncio.run(solve("self_consistency(n=4)", SUM, Compute(ScriptedModel(speaks))))
    assert isinstance(answer, Answer)
    assert answer.usage.total.completion_tokens == sum(c.completion.completion_tokens for c in answer.candidates)
