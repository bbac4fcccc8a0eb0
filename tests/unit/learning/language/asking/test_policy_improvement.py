"""Language GPI on single-turn problems: the loop, its ledger, its log, its accept rule, and ugly input."""

import ast
import asyncio
import hashlib
import inspect
import json
import random
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nlrl.bank import Bank
from nlrl.compute.ledger import Ledger
from nlrl.core import (
    BankError,
    Budget,
    DataError,
    MissingExtra,
    ModelUnavailable,
    Problem,
    PromptTooLong,
    Sampling,
    Score,
    TaskType,
    UserError,
    Verdict,
)
from nlrl.learning.language.asking.baselines import MEMORY, gepa_policy, random_examples, reflexion
from nlrl.learning.language.asking.critique import FAN_IN, Critic, Note, lesson_prompt
from nlrl.learning.language.asking.functions import language_gpi
from nlrl.learning.language.asking.improve_policy import improve_policy
from nlrl.learning.language.asking.log import read_iterations
from nlrl.learning.language.asking.policy import LanguagePolicy
from nlrl.learning.language.asking.rollouts import Judge, Roller
from nlrl.learning.language.asking.turn import AskingSettings, split
from nlrl.testing import ScriptedModel
from nlrl.testing.scripted import Reply

RULE = "Add the tens first."
PROBLEMS = [
    Problem(f"What is {a} + {b}?", reference=str(a + b), task_type=TaskType.MATH)
    for a in range(11, 18)
    for b in range(41, 49)
]
BY_QUESTION = {p.question: p for p in PROBLEMS}
SETTINGS = AskingSettings(iterations=5, sampling=Sampling(max_tokens=40, seed=3))


def luck(text, index=0):
    return int(hashlib.sha256(f"{text}{index}".encode()).hexdigest()[:8], 16) / 2**32


def adder(edit=f"ADD: {RULE}", helps=lambda problem: True, die_at=None):
    """A model that adds two numbers, rightly in 40 %, and in 85 % where its prompt holds the rule and that helps."""
    calls = []

    def reply(request, index):
        first, last = request.messages[0].content, request.messages[-1].content
        calls.append(last)
        if die_at is not None and len(calls) > die_at:
            raise KeyboardInterrupt
        if first.startswith("You review"):
            return f"It added wrongly, number {len(last)}."
        if first.startswith("You read"):
            return RULE
        if first.startswith("You improve"):
            return edit
        problem = BY_QUESTION[last]
        chance = 0.85 if RULE in first and helps(problem) else 0.4
        right, number = luck(last, index) < chance, int(problem.reference)
        return f"Final Answer: {number if right else number + 1 + round(1000 * luck(last))}"

    return ScriptedModel(reply)


class Counting(ScriptedModel):
    """Counts what it is asked and says, on its own."""

    tokens = 0

    def __init__(self, model):
        super().__init__(model._replies)

    async def stream(self, request):
        async for delta in super().stream(request):
            if delta.completion is not None:
                self.tokens += delta.completion.prompt_tokens + delta.completion.completion_tokens
            yield delta


def improve(model, problems=PROBLEMS, **options):
    return asyncio.run(improve_policy(model, problems, **{"settings": SETTINGS} | options))


def test_it_finds_the_rule_that_helps_and_says_what_it_rests_on():
    found = improve(adder())
    assert [p.text for p in found.policy.principles] == [RULE]
    assert {e.problem for e in found.policy.principles[0].evidence} <= {p.id for p in PROBLEMS}
    taken = next(i for i in found.iterations if i.decision == "accepted" and i.iteration)
    assert taken.kind == "critic" and taken.validation.p <= 0.1
    assert found.iterations[-1].accuracy > found.iterations[0].accuracy + 0.2
    assert taken.proposal.notes and taken.proposal.lesson == RULE and taken.proposal.raw == f"ADD: {RULE}"


def test_the_same_seed_gives_the_identical_transcript():
    assert improve(adder()).iterations == improve(adder(), concurrency=1).iterations


def test_another_seed_splits_otherwise():
    a, b = (split(PROBLEMS, AskingSettings(seed=s))[0] for s in (0, 1))
    assert {p.id for p in a} != {p.id for p in b}
    feedback, validation = split([*PROBLEMS, *PROBLEMS], AskingSettings(validation=0.25))
    assert len(feedback) == 42 and len(validation) == 14
    assert not {p.id for p in feedback} & {p.id for p in validation}


def test_the_ledger_is_the_model_s_own_count():
    model = Counting(adder())
    found = improve(model)
    assert found.tokens == model.tokens
    assert sum(sum(i.phases.values()) for i in found.iterations) == found.tokens


def test_calls_match_the_formula():
    m, v = SETTINGS.minibatch, len(split(PROBLEMS, SETTINGS)[1])
    found = improve(adder(), settings=AskingSettings(iterations=2, kinds=("critic",), sampling=SETTINGS.sampling))
    start, first = found.iterations[:2]
    assert start.calls == v
    failures = sum(n.verdict != "right" for n in first.proposal.notes)
    lessons = {1: 0}.get(failures, 1 if failures <= FAN_IN else 3 if failures > FAN_IN + 1 else 2)
    # the parent's attempts, a note on each, the lesson, the edit, the candidate's attempts there and on validation
    assert first.calls == m + m + lessons + 1 + m + v
    assert first.phases["verify"] < first.tokens


@pytest.mark.parametrize("tokens", [0, 100, 700, 2500, 4000, 5500, 9000])
@pytest.mark.parametrize("strategy", ["direct", "self_consistency(n=3)"])
def test_a_budget_is_never_exceeded(tokens, strategy):
    model = Counting(adder())
    settings = AskingSettings(iterations=5, strategy=strategy, sampling=SETTINGS.sampling)
    found = improve(model, budget=Budget(tokens=tokens), settings=settings)
    assert model.tokens == found.tokens <= tokens
    assert found.stopped == "tokens" or tokens >= 9000
    assert found.policy == LanguagePolicy() or tokens > 4000


def test_calls_are_limited_too():
    assert sum(i.calls for i in improve(adder(), budget=Budget(calls=50)).iterations) <= 50


@pytest.mark.parametrize("die_at", [10, 60, 75, 100, 120])
def test_interrupted_and_resumed_equals_straight(tmp_path, die_at):
    with Bank(tmp_path / "straight.sqlite") as bank:
        straight = improve(adder(), bank=bank, out=tmp_path / "straight", budget=Budget(tokens=20_000))
    with Bank(tmp_path / "broken.sqlite") as bank, pytest.raises(KeyboardInterrupt):
        improve(adder(die_at=die_at), bank=bank, out=tmp_path / "broken", budget=Budget(tokens=20_000))
    with (tmp_path / "broken" / "iterations.jsonl").open("ab") as file:
        file.write(b'{"iteration": 3, "kin')  # a line that the death tore
    with Bank(tmp_path / "broken.sqlite") as bank:
        resumed = improve(adder(), bank=bank, out=tmp_path / "broken", budget=Budget(tokens=20_000))
    assert resumed.iterations == straight.iterations
    for name in ("iterations.jsonl", "policy.json"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_a_finished_run_asks_nothing_more_and_can_be_continued(tmp_path):
    first = improve(adder(), out=tmp_path)
    again = improve(adder(die_at=0), out=tmp_path)
    assert again.iterations == first.iterations
    more = AskingSettings(iterations=7, sampling=SETTINGS.sampling)
    assert improve(adder(), out=tmp_path, settings=more).iterations == improve(adder(), settings=more).iterations
    assert read_iterations(tmp_path / "iterations.jsonl")[0]["seed"] == 0


def test_a_run_with_other_settings_is_refused_and_a_damaged_one_named(tmp_path):
    improve(adder(), out=tmp_path)
    with pytest.raises(UserError, match="minibatch was 8 and is now 4"):
        improve(adder(), out=tmp_path, settings=AskingSettings(iterations=5, minibatch=4, sampling=SETTINGS.sampling))
    log = tmp_path / "iterations.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"decision"', b'"decision', 1))
    with pytest.raises(DataError, match="damaged line"):
        improve(adder(), out=tmp_path)


@pytest.mark.parametrize("first", [100, 2500, 5500])
def test_a_larger_budget_goes_on_and_comes_to_what_it_would_have_at_once(tmp_path, first):
    with Bank(tmp_path / "straight.sqlite") as bank:
        straight = improve(adder(), bank=bank, out=tmp_path / "straight", budget=Budget(tokens=20_000))
    with Bank(tmp_path / "grown.sqlite") as bank:
        small = improve(adder(), bank=bank, out=tmp_path / "grown", budget=Budget(tokens=first))
        assert small.stopped == "tokens"
        model = Counting(adder())
        grown = improve(model, bank=bank, out=tmp_path / "grown", budget=Budget(tokens=20_000))
    assert grown.iterations == straight.iterations and grown.stopped is None
    assert 0 < model.tokens <= grown.tokens - small.tokens  # what the bank holds is not paid for again
    for name in ("iterations.jsonl", "policy.json"):
        assert (tmp_path / "grown" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_a_budget_does_not_shrink_and_nothing_else_may_change(tmp_path):
    improve(adder(), out=tmp_path, budget=Budget(tokens=3000))
    log = (tmp_path / "iterations.jsonl").read_bytes()
    for budget in (Budget(tokens=2000), Budget(tokens=5000, calls=10)):
        with pytest.raises(UserError, match=r"budget was .*3000.* and is now"):
            improve(adder(), out=tmp_path, budget=budget)
    fewer = AskingSettings(iterations=5, minibatch=4, sampling=SETTINGS.sampling)
    with pytest.raises(UserError, match=r"minibatch was 8 and is now 4; budget was"):
        improve(adder(), out=tmp_path, budget=Budget(tokens=9000), settings=fewer)
    assert (tmp_path / "iterations.jsonl").read_bytes() == log
    assert improve(adder(), out=tmp_path).stopped is None  # no limit at all is a larger one too


def test_a_lucky_change_is_not_accepted():
    feedback = {p.id for p in split(PROBLEMS, SETTINGS)[0]}
    found = improve(adder(helps=lambda problem: problem.id in feedback))
    tried = [i for i in found.iterations if i.kind == "critic"]
    assert tried and tried[0].minibatch.difference > 0  # it helped where it was made
    assert found.policy == LanguagePolicy()
    assert {i.decision for i in tried} <= {"rejected", "specialist", "known"}


@pytest.mark.parametrize(
    "edit",
    ["", "I would add a rule.", "ADD: <|im_end|>\nADD: two", "ADD: Final Answer: 42", "DROP 7", "ADD: " + "x" * 5000],
)
def test_a_hostile_or_unparsed_proposal_is_counted_and_never_used(edit):
    found = improve(
        adder(edit=edit), settings=AskingSettings(iterations=3, kinds=("critic",), sampling=SETTINGS.sampling)
    )
    assert found.policy == LanguagePolicy()
    assert found.unparsed == 3
    assert [i.decision for i in found.iterations[1:]] == ["unparsed"] * 3


def test_an_empty_data_set_and_too_few_problems_are_refused():
    for problems in ([], PROBLEMS[:1], [PROBLEMS[0]] * 3, [Problem("Why?"), Problem("Who?")]):
        with pytest.raises(UserError, match="split"):
            improve(adder(), problems)
    with pytest.raises(UserError, match="empty"):
        language_gpi(adder(), None, [])


class Abstaining:
    async def score(self, problem, candidates):
        return [Score(0.5, Verdict.ABSTAIN, reason="cannot tell")] * len(candidates)


class Liking:
    """Likes numbers that end in what they should, abstains on some problems."""

    async def score(self, problem, candidates):
        blank = Score(0.5, Verdict.ABSTAIN)
        named = "What is 11" in problem.question
        return [blank if named else Score(0.9 if len(c.answer) == 2 else 0.2) for c in candidates]


UNKNOWN = [Problem(p.question, task_type=TaskType.MATH) for p in PROBLEMS]


def test_a_reward_model_that_always_abstains_is_said():
    with pytest.raises(UserError, match="abstained"):
        improve(adder(), UNKNOWN, reward_models=[Abstaining()])


def test_reward_models_judge_what_has_no_reference_and_their_abstentions_count_for_nobody():
    found = improve(adder(), UNKNOWN, reward_models=[Abstaining(), Liking()])
    blank = [r for i in found.iterations for r in i.rollouts if r.value is None]
    assert blank and all(r.verdict == "abstain" for r in blank)
    validation = split(UNKNOWN, SETTINGS)[1]
    judged = [p for p in validation if "What is 11" not in p.question]
    tested = [i.validation for i in found.iterations if i.validation]
    assert tested and all(c.problems <= len(judged) < len(validation) for c in tested)
    assert [p.text for p in found.policy.principles] == [RULE]


def test_the_public_function_takes_names_files_and_plain_questions(tmp_path):
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(f'{{"question": "{p.question}", "answer": "{p.reference}"}}\n' for p in PROBLEMS))
    found = language_gpi(adder(), None, file, None, 4, budget=50_000, out=tmp_path / "run", results=None)
    assert len(found.iterations) == 5 and (tmp_path / "run" / "policy.json").exists()
    plain = language_gpi(adder(), None, [p.question for p in PROBLEMS], Liking(), 1, results=None)
    assert len(plain.iterations) == 2


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": -1}, {"minibatch": 0}, {"validation": 1.0}, {"confidence": 0.4}, {"kinds": ("x",)}, {"kinds": ()}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError):
        AskingSettings(**wrong)


def test_a_budget_that_the_log_cannot_add_up_is_refused():
    with pytest.raises(UserError, match="tokens or calls"):
        improve(adder(), budget=Budget(seconds=5))


def flaky(*, every):
    model = adder()
    before = model._replies

    def reply(request, index):
        said = before(request, index)
        asked = request.messages[-1].content
        return Reply("", error="HTTP 500: gone") if asked in BY_QUESTION and luck(asked) < every else said

    return ScriptedModel(reply)


def test_a_few_failures_count_for_nobody_and_an_outage_ends_the_run_which_can_be_resumed(tmp_path):
    found = improve(flaky(every=0.2))
    failed = [r for i in found.iterations for r in i.rollouts if "HTTP 500" in r.reason]
    assert failed and all(r.value is None for r in failed)
    assert [p.text for p in found.policy.principles] == [RULE]
    with pytest.raises(ModelUnavailable, match="HTTP 500"):
        improve(flaky(every=1.1), out=tmp_path)
    assert improve(adder(), out=tmp_path).iterations == improve(adder()).iterations


def failing_critic(fails):
    """An adder whose critic is unavailable where `fails(messages)`."""
    model = adder()
    before = model._replies

    def reply(request, index):
        return ModelUnavailable("HTTP 503: busy") if fails(request.messages) else before(request, index)

    return ScriptedModel(reply)


BY_CRITIC = replace(SETTINGS, iterations=2, kinds=("critic",))


def reviews(messages):
    return messages[0].content.startswith("You review")


def test_a_critic_call_that_fails_is_an_empty_note_and_counted():
    some = failing_critic(lambda messages: reviews(messages) and luck(messages[-1].content) < 0.4)
    for limits in (None, Budget(tokens=6000)):  # side by side, and one after the other
        found = improve(some, settings=BY_CRITIC, budget=limits)
        notes = found.iterations[1].proposal.notes
        failed = [n for n in notes if n.error]
        assert 0 < len(failed) < len(notes) and all(not n.text and "HTTP 503" in n.error for n in failed)
        assert found.failed_notes >= len(failed)
        assert found.iterations[1].policy is not None


@pytest.mark.parametrize("role", ["You read", "You improve"])
def test_a_lesson_or_an_edit_that_fails_is_a_proposal_that_is_not_there(role):
    found = improve(failing_critic(lambda messages: messages[0].content.startswith(role)), settings=BY_CRITIC)
    assert [i.decision for i in found.iterations[1:]] == ["unparsed"] * 2 and found.unparsed == 2
    assert "HTTP 503" in found.iterations[1].proposal.why


def test_an_outage_of_the_critic_is_one_error_and_so_is_a_full_disk(monkeypatch):
    with pytest.raises(ModelUnavailable, match="HTTP 503"):
        improve(failing_critic(reviews), settings=BY_CRITIC)

    async def refused(self, messages):
        raise BankError("the disk is full")

    monkeypatch.setattr(Critic, "_try", refused)
    with pytest.raises(BankError, match="full"):
        improve(adder(), settings=BY_CRITIC)


def test_half_a_surrogate_pair_is_kept_as_a_question_mark(tmp_path):
    class Odd(Liking):
        async def score(self, problem, candidates):
            return [Score(s.value, reason="\udc80 said") for s in await super().score(problem, candidates)]

    found = improve(adder(), UNKNOWN, settings=BY_CRITIC, reward_models=[Odd()], out=tmp_path)
    assert {r.reason for i in found.iterations for r in i.rollouts} == {"? said"}
    assert read_iterations(tmp_path / "iterations.jsonl")[1] == list(found.iterations)


def test_a_seed_is_that_of_the_draws_and_of_the_critic_too():
    def heard(seed, takes_seeds=True):
        model = adder(edit="INSTRUCTION: Add.")
        model._can = replace(model.can, seed=takes_seeds)
        improve(model, settings=AskingSettings(iterations=1, kinds=("critic",), seed=seed))
        return {r.messages: r.sampling.seed for r in model.requests}

    zero, again, one = heard(0), heard(0), heard(1)
    assert zero == again and None not in zero.values()
    assert any(messages[0].content.startswith("You review") for messages in zero)
    assert any(messages[0].content.startswith("You improve") for messages in zero)
    both = zero.keys() & one.keys()
    assert both and all(zero[m] != one[m] for m in both)
    assert len(set(zero.values())) > len(zero) * 0.8  # one luck for all would be none
    assert set(heard(0, takes_seeds=False).values()) == {None}
    model = adder()
    language_gpi(model, None, PROBLEMS, None, 0, results=None)
    assert model.requests and all(r.sampling.seed is not None for r in model.requests)


def test_a_policy_whose_prompt_does_not_fit_is_worth_nothing():
    long = LanguagePolicy("word " * 300)
    small = ScriptedModel(
        lambda request, index: PromptTooLong("too long") if len(request.messages[0].content) > 500 else "1"
    )
    rolled = asyncio.run(Roller(small, Bank(), Ledger()).roll(long, PROBLEMS[:3]))
    assert [r.value for rollouts in rolled.values() for r in rollouts] == [0.0] * 3


# --- aggregation, baselines


def critic(model, ledger=None):
    return Critic(model, Bank(), ledger or Ledger())


def test_aggregation_reads_a_bounded_context_however_many_notes_there_are():
    seen = []
    model = ScriptedModel(lambda request, index: (seen.append(request.messages[-1].content), "Be careful." * 200)[1])
    notes = [Note(str(i), "p", "wrong", "x" * 300) for i in range(100)]
    lesson = asyncio.run(critic(model).aggregate(notes))
    assert 0 < len(lesson) <= 300
    assert max(map(len, seen)) <= FAN_IN * 310
    assert len(seen) == 17 + 3 + 1
    assert asyncio.run(critic(ScriptedModel([])).aggregate([Note("a", "p", "wrong", "")])) == ""
    assert len(lesson_prompt(["x"])) == 4


def test_reflexion_keeps_a_memory_of_three_within_the_budget():
    model = Counting(adder())
    own = Roller(model, Bank(), Ledger(Budget(tokens=6000)), sampling=SETTINGS.sampling)
    policy = asyncio.run(reflexion(own, critic(model, own.ledger), PROBLEMS))
    assert 1 <= len(policy.principles) <= MEMORY
    assert policy.principles[0].evidence[0].verdict == "wrong"
    assert own.ledger.total.tokens == model.tokens <= 6000


def test_random_examples_are_right_attempts_of_its_own_and_no_more_than_the_budget_allows():
    model = Counting(adder())
    own = Roller(model, Bank(), Ledger(Budget(tokens=6000)), sampling=SETTINGS.sampling)
    shown = [asyncio.run(random_examples(own, PROBLEMS, random.Random(seed), number=3)) for seed in (1, 2)]
    for policy in shown:
        assert len(policy.examples) == 3
        for e in policy.examples:
            assert e.answer.endswith(f"Final Answer: {BY_QUESTION[e.question].reference}")
    assert shown[0].examples != shown[1].examples  # drawn, not chosen
    assert own.ledger.total.tokens == model.tokens <= 6000
    poor = Roller(Counting(adder()), Bank(), Ledger(Budget(tokens=1)), sampling=SETTINGS.sampling)
    assert asyncio.run(random_examples(poor, PROBLEMS, random.Random(1))) == LanguagePolicy()


def test_gepa_spends_through_the_same_ledger():
    pytest.importorskip("gepa")
    model = adder()
    before = model._replies

    def reply(request, index):
        last = request.messages[-1].content
        return before(request, index) if last in BY_QUESTION else f"```\nYou are exact. {RULE}\n```"

    counted = Counting(ScriptedModel(reply))
    own = Roller(counted, Bank(), Ledger(Budget(tokens=20_000)), sampling=SETTINGS.sampling)
    feedback, validation = split(PROBLEMS, SETTINGS)
    policy = asyncio.run(gepa_policy(own, critic(counted, own.ledger), feedback, validation))
    assert RULE in (policy.instruction or "")
    assert own.ledger.total.tokens == counted.tokens <= 20_000


def test_gepa_stops_spending_when_it_is_cancelled():
    pytest.importorskip("gepa")
    model = ScriptedModel("Final Answer: 1", token_seconds=0.1)
    own = Roller(model, Bank(), Ledger(Budget(tokens=10**7)), sampling=SETTINGS.sampling)

    async def job():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await gepa_policy(own, critic(model, own.ledger), PROBLEMS[:28], PROBLEMS[28:])
        asked = len(model.requests)
        await asyncio.sleep(1)
        return asked

    asked = asyncio.run(job())
    assert asked > 0
    assert len(model.requests) == asked


def test_without_the_package_gepa_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gepa", None)
    own = Roller(adder(), Bank(), Ledger())
    with pytest.raises(MissingExtra, match="gepa"):
        asyncio.run(gepa_policy(own, critic(own.model), PROBLEMS[:5], PROBLEMS[5:]))


def test_a_roller_rolls_nothing_twice_and_judges_no_cut_attempt():
    model = Counting(adder())
    own = Roller(model, Bank(), Ledger(Budget(tokens=100_000)), Judge(), samples=2)
    first = asyncio.run(own.roll(LanguagePolicy(), PROBLEMS[:4]))
    spent = model.tokens
    assert asyncio.run(own.roll(LanguagePolicy(), PROBLEMS[:4])) == first
    assert model.tokens == spent and len(own.fresh) == 8
    assert [r.index for r in first[PROBLEMS[0].id]] == [0, 1]


def test_the_call_that_the_module_shows_can_be_made():
    shown = inspect.getdoc(sys.modules["nlrl.learning.language.asking.improve_policy"]) or ""
    line = re.search(r"improve_policy\(.*\)", shown)
    assert line is not None
    call = ast.parse(line.group(), mode="eval").body
    assert isinstance(call, ast.Call)
    known = inspect.signature(improve_policy).parameters
    assert {keyword.arg for keyword in call.keywords} <= known.keys()


def test_the_benchmark_measures_the_base_policy_alone(monkeypatch, tmp_path, capsys):
    script = Path(__file__).parents[5] / "benchmarks" / "gpi_prompt_only.py"
    arguments = ["--quick", "--ways", "none", "--test", "5", "--out", str(tmp_path)]
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    result = json.loads(capsys.readouterr().out.rpartition("RESULT ")[2])
    assert [row["way"] for row in result["domains"]["sums"]] == ["none"]
    assert end.value.code == 0 and not result["marks"]  # the marks are gpi's, which was not measured
