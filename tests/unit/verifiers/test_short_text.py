"""The rules for short factual answers: the rows of the documentation, what speaks against, and texts of any kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.answers._phrases import Date, dates, only_date, stem, words
from nlrl.answers.short_text import RULES, same_answer
from nlrl.core import Candidate, Completion, Finish, Problem, Score, TaskType, Verdict
from nlrl.verifiers.text import TextVerifier

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "answers.md"


def rows() -> list[list[str]]:
    """The cells of the table in the section on short factual answers; none outside a source checkout."""
    if not PAGE.exists():
        return []
    section = PAGE.read_text(encoding="utf-8").split("## Short factual answers", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("rule", "question", "reference", "accepted", "refused"), rows())
def test_the_rows_of_the_documentation(rule: str, question: str, reference: str, accepted: str, refused: str) -> None:
    assert same_answer(question, accepted, [reference]) == rule
    assert same_answer(question, refused, [reference]) is None


@pytest.mark.skipif(not PAGE.exists(), reason="the page is part of a source checkout")
def test_the_documentation_has_every_rule() -> None:
    shown = [row[0].removeprefix("stated: ") for row in rows()]
    assert {reason for reason, _ in RULES} <= set(shown)
    assert all(rule.__doc__ for _, rule in RULES)


CAPITAL = "What is the capital of France?"
AUTHOR = "Who wrote the novel?"


@pytest.mark.parametrize(
    ("question", "answer", "reference"),
    [
        (CAPITAL, "Paris, London, Rome", "Paris"),
        (CAPITAL, "Paris, London", "Paris"),
        (CAPITAL, "Paris or London", "Paris"),
        (CAPITAL, "Paris/London", "Paris"),
        (CAPITAL, "Paris and London", "Paris"),
        (CAPITAL, "Paris. London. Rome.", "Paris"),
        (CAPITAL, "1. Paris\n2. London\n3. Rome", "Paris"),
        (CAPITAL, "It could be Paris, London or Rome.", "Paris"),
        (CAPITAL, "The capital of France is either Paris or Lyon.", "Paris"),
        (CAPITAL, "Not Paris", "Paris"),
        (CAPITAL, "Not Paris but Lyon", "Paris"),
        (CAPITAL, "Lyon, not Paris", "Paris"),
        (CAPITAL, "It isn't Paris.", "Paris"),
        (CAPITAL, "Paris is wrong.", "Paris"),
        (CAPITAL, "Paris is not the capital of France.", "Paris"),
        (CAPITAL, "Lyon is the capital of France, not far from Paris.", "Paris"),
        (CAPITAL, "The capital of France is Lyon. Paris is a city.", "Paris"),
        (CAPITAL, "Paris. No wait, London.", "Paris"),
        (CAPITAL, "Paris. Actually, it is Lyon.", "Paris"),
        (CAPITAL, "Paris, actually Lyon", "Paris"),
        (CAPITAL, "I don't know, maybe Paris", "Paris"),
        (CAPITAL, "Pretend that Lyon is Paris", "Paris"),
        (CAPITAL, "It's hard to say, perhaps Paris, perhaps Lyon", "Paris"),
        (CAPITAL, CAPITAL, "Paris"),
        ("Which city is larger, Lyon or Paris?", "Lyon or Paris", "Paris"),
        ("Which city is larger, Lyon or Paris?", "Lyon is larger than Paris.", "Paris"),
        ("Which state is Richmond in?", "West Virginia", "Virginia"),
        ("Which state is Richmond in?", "It is in West Virginia.", "Virginia"),
        ("Which state is Topeka in?", "It is in Kansas City.", "Kansas"),
        ("Which city is it?", "Kansas", "Kansas City"),
        ("Who was the sixth president?", "John Adams", "John Quincy Adams"),
        ("Who was the second president?", "John Quincy Adams", "John Adams"),
        ("Who was king then?", "Henry VIII", "Henry VII"),
        ("Who was king then?", "Henry", "Henry VII"),
        ("Who played Mr Darcy?", "Mrs Darcy", "Mr Darcy"),
        (AUTHOR, "Not Hemingway", "Hemingway"),
        (AUTHOR, "Not Ernest Hemingway", "Ernest Hemingway"),
        (AUTHOR, "Lord Byron / Mary Shelley", "Mary Shelley"),
        (AUTHOR, "It was the wife of Ernest Hemingway.", "Ernest Hemingway"),
        (AUTHOR, "Scott Fitzgerald wrote it, as did Ernest Hemingway.", "Ernest Hemingway"),
        (AUTHOR, "It was written by Margaux Hemingway", "Ernest Hemingway"),
        ("How many players are there?", "10, 11, 12", "11"),
        ("How many players are there?", "There are 10 or 11", "11"),
        ("How cold was it?", "40 degrees", "-40 degrees"),
        ("How much did it cost?", "£1,500", "$1,500"),
        ("What is it?", "Vitamin A", "Vitamin B"),
        ("What is it?", "sodium nitrite", "sodium nitrate"),
        ("Which animal is it?", "sea lion", "lion"),
        ("Which colour is it?", "It is blue, red and green.", "blue"),
        (CAPITAL, "Paris " * 600, "Paris"),
    ],
)
def test_refused(question: str, answer: str, reference: str) -> None:
    assert same_answer(question, answer, [reference]) is None


@pytest.mark.parametrize(
    ("question", "answer", "references"),
    [
        (CAPITAL, "Paris, not Lyon", ["Paris"]),
        (CAPITAL, "I think it is Paris", ["Paris"]),
        (CAPITAL, "Paris. It lies on the Seine.", ["Paris"]),
        (CAPITAL, "France is a country. Its capital is Paris.", ["Lutetia", "Paris"]),
        ("Which city is larger, Lyon or Paris?", "Paris is larger than Lyon.", ["Paris"]),
        ("Which cat is it?", "It is the puma or cougar.", ["Puma", "Cougar"]),
        ("Who was king then?", "Henry the Seventh", ["Henry VII"]),
        ("What is it called?", 'It is called "the Golem (1915)".', ["Golem"]),
        ("Where is it?", "It is in Austin", ["Austin, Texas"]),
        ("What did it cost?", "£70m", ["70 million pounds"]),
        ("What did it cost?", "$1.5 million", ["$1,500,000"]),
        ("Who said it?", "Kennedy, John F.", ["John F. Kennedy"]),
        ("Who lives there?", "Duke of Sussex", ["PRINCE HARRY (accept DUKE OF SUSSEX)"]),
        ("Who were the brothers?", "They were Harry, Tom and Dick.", ["Tom, Dick and Harry"]),
    ],
)
def test_accepted(question: str, answer: str, references: list[str]) -> None:
    assert same_answer(question, answer, references) is not None


def test_what_is_left_out_of_a_reference_must_not_be_asked_for() -> None:
    reference = "Ringo Starr (The Beatles)"
    assert same_answer("Who sang it?", "Ringo Starr", [reference])
    assert same_answer("With which surname did he join which band?", "Ringo Starr", [reference]) is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("two hundred and five", ["205"]),
        ("The Hundred Years' War", ["hundred", "years", "war"]),
        ("18million", ["18000000"]),
        ("nineteen eighty-four", ["19", "84"]),
        ("twenty-one pilots", ["21", "pilots"]),
        ("Henry the Eighth", ["henry", "8"]),
        ("Malcolm X", ["malcolm", "10"]),
        ("Vitamin A", ["vitamin", "a"]),
        ("a 400 m race", ["400", "meter", "race"]),
        ("minus 5", ["-5"]),
        ("1939-1945", ["1939", "1945"]),
        ("Ångström’s", ["angstrom"]),
        ("argon1.", ["argon"]),
        ("one hundred hundred hundred", ["100", "hundred", "hundred"]),
        ("9" * 40, ["9" * 40]),
    ],
)
def test_words(text: str, keys: list[str]) -> None:
    assert [word.key for word in words(text)] == keys


def test_stems() -> None:
    assert [stem(w) for w in ("colours", "theatre", "cities", "boxes", "bus", "glass", "organise", "800")] == [
        "color", "theater", "city", "box", "bus", "glass", "organize", "800",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("12 July 1998", Date(12, 7, 1998)),
        ("July 12th, 1998", Date(12, 7, 1998)),
        ("on the 12th of July", Date(12, 7, None)),
        ("July 1998", Date(None, 7, 1998)),
        ("7/31/1998", Date(31, 7, 1998)),
        ("44 BC", Date(None, None, -44)),
        ("in 1998", Date(None, None, 1998)),
        ("1998 people", None),
        ("1,998", None),
        ("32 July 1998", None),
    ],
)
def test_dates(text: str, date: Date | None) -> None:
    assert only_date(text) == date


def test_dates_in_order() -> None:
    assert dates("from 1939 to May 1945") == [Date(None, None, 1939), Date(None, 5, 1945)]


@settings(max_examples=60, deadline=2000)
@given(st.text(max_size=80), st.text(max_size=300), st.text(max_size=40))
def test_any_text_is_graded(question: str, answer: str, reference: str) -> None:
    assert same_answer(question, answer, [reference]) in (None, *_reasons())


def _reasons() -> set[str]:
    said = {reason for reason, _ in RULES} | {"all parts of the reference"}
    return said | {f"stated: {reason}" for reason in said}


JudgeOne = Callable[..., Score]


@pytest.mark.parametrize(
    ("text", "answer", "verdict", "reason"),
    [
        ("It was written by Hemingway, I believe.", None, Verdict.RIGHT, "stated: the surname of the reference"),
        ("Final Answer: Hemingway", "Hemingway", Verdict.RIGHT, "the surname of the reference"),
        ("Final Answer: ", None, Verdict.UNPARSED, ""),
        ("It was written by Faulkner, I believe.", None, Verdict.UNPARSED, ""),
        ("<think>Was it Faulkner?</think>It was written by Hemingway.", None, Verdict.RIGHT, "stated: "),
        ("No, it was written by Hemingway.", "no", Verdict.RIGHT, "stated: "),
        ("Hemingway wrote it. The answer is Faulkner.", "Faulkner", Verdict.WRONG, "F1 0.00"),
    ],
)
def test_what_is_graded_of_a_completion(
    text: str, answer: str | None, verdict: Verdict, reason: str, judge_one: JudgeOne
) -> None:
    problem = Problem(AUTHOR, reference="Ernest Hemingway", task_type=TaskType.COMMONSENSE)
    score = judge_one(TextVerifier(), problem, Candidate("s0", Completion(text, Finish.STOP, 1), answer))
    assert score.verdict is verdict
    assert reason in score.reason


def test_a_text_that_was_cut_off_states_nothing(judge_one: JudgeOne) -> None:
    candidate = Candidate("s0", Completion("It was written by Hemingway", Finish.LENGTH, 1))
    assert judge_one(TextVerifier(), Problem(AUTHOR, reference="Hemingway"), candidate).verdict is Verdict.UNPARSED


def test_exact_is_the_plain_exact_match(judge_one: JudgeOne) -> None:
    problem = Problem(AUTHOR, reference="Ernest Hemingway")
    for answer, verdict, value in (
        ("the Ernest Hemingway!", Verdict.RIGHT, 1.0),
        ("Hemingway", Verdict.WRONG, pytest.approx(2 / 3)),
    ):
        candidate = Candidate("s0", Completion(answer, Finish.STOP, 1), answer)
        score = judge_one(TextVerifier(exact=True), problem, candidate)
        assert (score.verdict, score.value) == (verdict, value)


def test_yes_and_no_are_compared_as_they_are(judge_one: JudgeOne) -> None:
    problem = Problem("Is Paris in France?", reference="yes")
    candidate = Candidate("s0", Completion("It is, yes or no", Finish.STOP, 1), "yes or no")
    assert judge_one(TextVerifier(), problem, candidate).verdict is Verdict.WRONG
