"""The second look: asked only at a no, never fooled by the known tricks, honest only where it can say no, charged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nlrl.compute import Compute
from nlrl.core import (
    Budget,
    BudgetExhausted,
    Candidate,
    ModelRefused,
    Phase,
    Problem,
    Request,
    Sampling,
    Score,
    SpendingVerifier,
    TaskType,
    UnknownName,
    UserError,
    Verdict,
)
from nlrl.testing.scripted import Reply, ScriptedModel
from nlrl.verifiers import Composite, SecondLook, get_verifier
from nlrl.verifiers.second_look import SECOND_LOOK, decoys_of

Attempt = Callable[..., Candidate]

CHIPMUNKS = Problem("Who was the man behind The Chipmunks?", reference="David Seville", task_type=TaskType.COMMONSENSE)
FUNCTIONS = Problem("Find all additive f with f(1) = 1.", reference="f(z)=z", task_type=TaskType.MATH)
TRICKS = json.loads((Path(__file__).parents[3] / "benchmarks/data/grader_tricks.json").read_text(encoding="utf-8"))


class Says:
    """A grader that gives every answer one verdict."""

    def __init__(self, verdict: Verdict = Verdict.WRONG) -> None:
        self.verdict = verdict

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        return [Score(0.0, self.verdict, reason="by rule") for _ in candidates]


def texts(request: Request) -> tuple[str, str]:
    """Reference and answer of a request."""
    prompt = request.messages[-1].content

    def between(name: str) -> str:
        head = prompt.index(f"<<<{name} ")
        mark = prompt[head:].split("\n", 1)[0].removeprefix(f"<<<{name} ")
        return prompt[prompt.index("\n", head) + 1 : prompt.index(f"\n{mark} {name}>>>")]

    return between("REFERENCE"), between("ANSWER")


def honest(*pairs: tuple[str, str]) -> ScriptedModel:
    """Says yes to these pairs, in both orders, and no to all else."""
    same = {frozenset(pair) for pair in pairs}
    return ScriptedModel(lambda request, _: f"Verdict: {'yes' if frozenset(texts(request)) in same else 'no'}")


def yes_man() -> ScriptedModel:
    return ScriptedModel(["Verdict: yes"], cycle=True)


def yes_but_to_decoys(*references: str) -> ScriptedModel:
    """Says yes wherever one of the true references stands: what no check by questions can catch."""
    return ScriptedModel(lambda r, _: f"Verdict: {'yes' if set(texts(r)) & set(references) else 'no'}")


def look(verifier: SecondLook, problem: Problem, candidate: Candidate) -> Score:
    (score,) = asyncio.run(verifier.score(problem, [candidate]))
    return score


# --- when it is asked ------------------------------------------------------------------------------------------------


def test_a_right_answer_that_the_rules_refuse_is_found_and_marked(attempt: Attempt) -> None:
    model = honest(("David Seville", "Ross Bagdasarian"))
    score = look(SecondLook(model), CHIPMUNKS, attempt("Ross Bagdasarian"))
    assert (score.verdict, score.value, score.by) == (Verdict.RIGHT, 1.0, SECOND_LOOK)
    assert score.reason.startswith("second look: scripted says")
    assert len(model.requests) == 3  # the question, the other way round, and the decoy
    assert all(r.sampling.temperature == 0 for r in model.requests)


def test_nobody_is_asked_where_the_rules_say_yes(attempt: Attempt) -> None:
    model = yes_man()
    score = look(SecondLook(model), CHIPMUNKS, attempt("david seville."))
    assert (score.verdict, score.by, model.requests) == (Verdict.RIGHT, "", [])


@pytest.mark.parametrize("verdict", [Verdict.WRONG, Verdict.TIMEOUT, Verdict.UNPARSED])
def test_asked_where_the_rules_say_no_or_cannot_tell(verdict: Verdict, attempt: Attempt) -> None:
    model = honest(("David Seville", "Ross Bagdasarian"))
    score = look(SecondLook(model, grader=Says(verdict)), CHIPMUNKS, attempt("Ross Bagdasarian"))
    assert score.by == SECOND_LOOK


@pytest.mark.parametrize("verdict", [Verdict.RIGHT, Verdict.ABSTAIN])
def test_never_asked_at_a_yes_or_an_abstention(verdict: Verdict, attempt: Attempt) -> None:
    model = yes_man()
    assert look(SecondLook(model, grader=Says(verdict)), CHIPMUNKS, attempt("Ross")).verdict is verdict
    assert not model.requests


@pytest.mark.parametrize("answer", [None, "", " "])
def test_without_an_answer_a_short_text_is_compared_and_a_long_one_is_not(answer: str | None, attempt: Attempt) -> None:
    model = honest(("David Seville", "It was Ross B."))
    verifier = SecondLook(model, grader=Says(Verdict.UNPARSED))
    assert look(verifier, CHIPMUNKS, attempt(answer, text="It was Ross B.")).by == SECOND_LOOK
    model.requests.clear()
    score = look(verifier, CHIPMUNKS, attempt(answer, text="Let us see. " * 20 + "It was Ross B."))
    assert (score.verdict, model.requests) == (Verdict.UNPARSED, [])
    assert look(verifier, CHIPMUNKS, attempt(answer, text=" ")).verdict is Verdict.UNPARSED and not model.requests


def test_a_no_costs_one_question_and_equal_answers_are_asked_about_once(attempt: Attempt) -> None:
    model = honest()
    scores = asyncio.run(SecondLook(model).score(CHIPMUNKS, [attempt("Jack Bell", text=f"{i}") for i in range(4)]))
    assert [s.verdict for s in scores] == [Verdict.WRONG] * 4
    assert len(model.requests) == 1
    assert scores[0].reason.endswith("second look: no")


@pytest.mark.parametrize(
    ("reference", "answer"), [("144", "145"), ("0.333", "1/3"), ("5 m", "6 m"), ("2\\sqrt{2}", "3.5"), ("1/2", "-0.5")]
)
def test_numbers_that_differ_are_never_asked_about(reference: str, answer: str, attempt: Attempt) -> None:
    model = yes_man()
    problem = Problem("How much is it?", reference=reference, task_type=TaskType.MATH)
    score = look(SecondLook(model, grader=Says()), problem, attempt(answer))
    assert (score.verdict, model.requests) == (Verdict.WRONG, [])
    assert "another number" in score.reason


@pytest.mark.parametrize(
    "problem",
    [
        Problem("Does it float?", reference="yes", task_type=TaskType.COMMONSENSE),
        Problem("Which?", reference="B", choices=("red", "green"), task_type=TaskType.COMMONSENSE),
        Problem("Write f.", reference="def f(): ...", task_type=TaskType.CODING),
        Problem("Write.", reference="x", constraints=({"kind": "word_count", "value": 1},)),
        Problem("No reference."),
    ],
    ids=["yes or no", "options", "code", "constraints", "no reference"],
)
def test_what_is_decided_otherwise_is_never_asked_about(problem: Problem, attempt: Attempt) -> None:
    model = yes_man()
    assert look(SecondLook(model, grader=Says()), problem, attempt("red")).verdict is Verdict.WRONG
    assert not model.requests


def test_an_option_in_other_words_is_compared_with_the_options_text(attempt: Attempt) -> None:
    problem = Problem("What conducts best?", reference="B", choices=("glass rod", "copper wire"))
    model = honest(("copper wire", "a strand of Cu metal"))
    assert look(SecondLook(model), problem, attempt("a strand of Cu metal")).by == SECOND_LOOK


def test_the_nearest_alias_is_asked_about(attempt: Attempt) -> None:
    problem = Problem("Who?", reference="Seville", aliases=("Ross Smith Bagdasarian",), task_type=TaskType.COMMONSENSE)
    model = honest(("Ross Smith Bagdasarian", "Rostom Bagdasarian"))
    assert look(SecondLook(model, grader=Says()), problem, attempt("Rostom Bagdasarian")).by == SECOND_LOOK


# --- whose yes is believed -------------------------------------------------------------------------------------------


def test_who_says_yes_to_the_decoy_too_is_not_believed(attempt: Attempt) -> None:
    score = look(SecondLook(yes_man()), CHIPMUNKS, attempt("Jack Bell"))
    assert (score.verdict, score.by) == (Verdict.WRONG, "")
    assert "not believed" in score.reason


def test_who_says_yes_in_one_order_only_is_not_believed(attempt: Attempt) -> None:
    def one_way(request: Request, _: int) -> str:
        return f"Verdict: {'yes' if texts(request) == ('David Seville', 'Jack Bell') else 'no'}"

    score = look(SecondLook(ScriptedModel(one_way)), CHIPMUNKS, attempt("Jack Bell"))
    assert score.verdict is Verdict.WRONG and "other way round" in score.reason
    assert look(SecondLook(ScriptedModel(one_way), swap=False), CHIPMUNKS, attempt("Jack Bell")).by == SECOND_LOOK


@pytest.mark.parametrize("reply", ["yes", "Verdict: maybe", "Verdict: yes. Verdict: no", "", "10/10"])
def test_an_unreadable_reply_is_a_no(reply: str, attempt: Attempt) -> None:
    score = look(SecondLook(ScriptedModel([reply], cycle=True)), CHIPMUNKS, attempt("Jack Bell"))
    assert score.verdict is Verdict.WRONG and "no clear verdict" in score.reason


@pytest.mark.parametrize(
    "failure", [Reply("Verdict: yes", error="cut"), ModelRefused("401"), BudgetExhausted("tokens")]
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_failed_call_leaves_the_rules_verdict(failure: Any, at: int, attempt: Attempt) -> None:
    replies: list[Any] = ["Verdict: yes", "Verdict: yes", "Verdict: no"]
    replies[at] = failure
    score = look(SecondLook(ScriptedModel(replies), concurrency=1), CHIPMUNKS, attempt("Jack Bell"))
    assert (score.verdict, score.by) == (Verdict.WRONG, "")
    assert "second look failed" in score.reason


def test_decoys_differ_from_the_reference_and_repeat() -> None:
    for reference in (
        "1989",
        "f(x) = 2x + 1",
        "f(z)=z",
        "David Seville",
        "Au",
        "∅",
        "\\frac{2}{3}",
        "26 June 1945",
        "9",
    ):
        for n in (1, 2, 3):
            decoys = decoys_of(reference, "an answer", "a question", n)
            assert 1 <= len(decoys) <= n and reference not in decoys
            assert decoys == decoys_of(reference, "an answer", "a question", n)


def test_texts_stand_between_marks_that_they_cannot_know(attempt: Attempt) -> None:
    model = honest()
    look(SecondLook(model), CHIPMUNKS, attempt("Jack Bell"))
    prompt = model.requests[0].messages[-1].content
    assert texts(model.requests[0]) == ("David Seville", "Jack Bell")
    assert prompt.startswith("<<<QUESTION ") and CHIPMUNKS.question in prompt


# --- tricks ----------------------------------------------------------------------------------------------------------


def filled(pattern: str, given: dict[str, Any]) -> str:
    """A trick against one problem."""
    other, second, third = given["others"]
    bare = given["question"].rstrip("?. ")
    parts = {
        "{question}": given["question"], "{bare}": bare, "{lower}": bare.lower(), "{reference}": given["reference"],
        "{other}": other, "{second}": second, "{third}": third,
        "{flood}": "It is well known that this has been discussed by many people at length. " * 20,
    }  # fmt: skip
    for name, text in parts.items():
        pattern = pattern.replace(name, text)
    return pattern


@pytest.mark.parametrize("kind", TRICKS["tricks"])
def test_no_trick_reaches_a_model(kind: str, attempt: Attempt) -> None:
    """Not even one that would say yes to everything but the decoy."""

    async def run() -> list[tuple[str, str]]:
        through = []
        for given in TRICKS["problems"]:
            problem = Problem(
                given["question"], reference=given["reference"], choices=tuple(given.get("choices", ())),
                task_type=TaskType(given["task_type"]) if "task_type" in given else TaskType.COMMONSENSE,
            )  # fmt: skip
            answers = [filled(pattern, given) for pattern in TRICKS["tricks"][kind]]
            for verdict in (Verdict.WRONG, Verdict.UNPARSED):
                model = yes_but_to_decoys(given["reference"])
                verifier = SecondLook(model, grader=Says(verdict))
                scores = await verifier.score(problem, [attempt(a, text=a or "?") for a in answers])
                asked = {a for request in model.requests for a in texts(request)}
                through += [(given["reference"], a) for a in answers if a.strip() in asked]
                assert model.requests or {s.verdict for s in scores} == {verdict}
        return through

    assert asyncio.run(run()) == []


@pytest.mark.parametrize(
    ("question", "reference", "answer"),
    [
        ("Who was the man behind The Chipmunks?", "David Seville", "Ross Bagdasarian"),
        ("Who was the man behind The Chipmunks?", "David Seville", "It was created by Ross Bagdasarian Sr. in 1958."),
        ("What is the capital of France?", "Paris", "The capital of France is the city of Paris"),
        ("Where was he born?", "Houston", "Houston, Texas"),
        ("Find f.", "$f(z)=z$", "f(x) = x"),
        ("Which curve?", "ellipszis", "ellipse"),
        ("Find all.", "$x = k\\pi$", "n\\pi"),
        ("Who wins?", "Petya will receive the last token.", "Petya"),
        ("Order them.", "b < a < d < c", "b, a, d, c"),
        ("Which two?", "nitrogen and oxygen", "N2 and O2"),
    ],
)
def test_ordinary_answers_are_asked_about(question: str, reference: str, answer: str, attempt: Attempt) -> None:
    model = honest((reference, answer))
    assert look(SecondLook(model, grader=Says()), Problem(question, reference=reference), attempt(answer)).by


# --- what it costs, and how it is found ------------------------------------------------------------------------------


def test_its_tokens_are_charged_as_verification(attempt: Attempt) -> None:
    async def run() -> None:
        looker = honest(("David Seville", "Ross Bagdasarian"))
        compute = Compute(ScriptedModel(["Final Answer: Ross Bagdasarian"]))
        attempts = await compute.sample(CHIPMUNKS)
        (scored,) = await compute.score(CHIPMUNKS, attempts, SecondLook(looker))
        assert scored.score is not None and scored.score.by == SECOND_LOOK
        usage = compute.ledger.usage()
        assert usage.phases[Phase.VERIFY].calls == 3
        assert usage.verifier_tokens > 300

    asyncio.run(run())


@pytest.mark.parametrize(("tokens", "verdict"), [(200, "wrong"), (600, "wrong"), (700, "wrong"), (3000, "right")])
def test_a_spent_budget_leaves_the_no(tokens: int, verdict: str) -> None:
    async def run() -> None:
        looker = honest(("David Seville", "Ross Bagdasarian"))
        solver = ScriptedModel(["Final Answer: Ross Bagdasarian"])
        compute = Compute(solver, budget=Budget(tokens=tokens), sampling=Sampling(max_tokens=32))
        attempts = await compute.sample(CHIPMUNKS)
        (scored,) = await compute.score(CHIPMUNKS, attempts, SecondLook(looker))
        assert scored.score is not None and scored.score.verdict == verdict
        assert bool(scored.score.by) == (verdict == "right")
        assert compute.ledger.total.tokens <= tokens

    asyncio.run(run())


def test_without_a_model_it_says_so(attempt: Attempt) -> None:
    assert isinstance(SecondLook(), SpendingVerifier)
    with pytest.raises(UserError, match="no model"):
        look(SecondLook(), CHIPMUNKS, attempt("x"))
    model = honest(("David Seville", "Ross Bagdasarian"))
    lent = SecondLook().metered(lambda own: own or model)
    assert look(lent, CHIPMUNKS, attempt("Ross Bagdasarian")).by == SECOND_LOOK


def test_the_mark_goes_through_a_composite(attempt: Attempt) -> None:
    model = honest(("David Seville", "Ross Bagdasarian"))
    (score,) = asyncio.run(Composite([(SecondLook(model), 1.0)]).score(CHIPMUNKS, [attempt("Ross Bagdasarian")]))
    assert score.by == SECOND_LOOK


def test_by_name() -> None:
    assert isinstance(get_verifier("second_look"), SecondLook)
    opened = get_verifier("second_look:http://127.0.0.1:9/v1#tiny?decoys=2&swap=0")
    assert isinstance(opened, SecondLook) and (opened.decoys, opened.swap) == (2, 0)
    with pytest.raises(UnknownName):
        get_verifier("second_look:http://127.0.0.1:9/v1#tiny?decoy=2")
    with pytest.raises(UserError, match="whole numbers"):
        get_verifier("second_look:http://127.0.0.1:9/v1#tiny?decoys=two")
    with pytest.raises(UserError, match="decoys"):
        SecondLook(decoys=0)
