"""Word by word: what opens an answer, a reason or the next question in thirty languages, units, headings, denials.

The words stand in tests/data, apart from the code: one that is lost or mistyped is one that is no longer read.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from nlrl.answers import extract_answer
from nlrl.answers.choices import denied, match_choice
from nlrl.answers.forms.unit_table import TABLE
from nlrl.core import Problem, TaskType
from nlrl.verifiers._tricks import trick
from nlrl.verifiers.second_look import decoys_of

DATA = Path(__file__).parents[2] / "data"
WORDS = json.loads((DATA / "vocabulary.json").read_text("utf-8"))
MATH = Problem("How many?", task_type=TaskType.MATH)
TEXTS = {
    "answer": "We add 17 and 25.\n{word}: 42\nThe 3 rest.",
    "verb": "We add 17 and 25.\n{answer} {word} 42\nThe 3 rest.",
    "reason": "Final Answer: 42, {word} 3 + 39",
    "question": "So she has 42 clips.\n\n{word}: And 4 rows of 5?\nA: 20",
}


def read(part: str, word: str, answer: str = "") -> str | None:
    shown = word if part in ("reason", "verb") else word.capitalize()
    return extract_answer(TEXTS[part].format(word=shown, answer=answer.capitalize()), MATH).answer


@pytest.mark.parametrize("language", WORDS["languages"])
def test_every_word_by_which_an_answer_is_recognised(language: str) -> None:
    table = WORDS["languages"][language]
    lost = [(part, word) for part in TEXTS for word in table[part] if read(part, word, table["answer"][0]) != "42"]
    assert lost == []


@pytest.mark.parametrize("part", ["answer", "question"])
def test_another_word_says_nothing(part: str) -> None:
    assert read(part, "zorpel") != "42"


def test_every_unit_is_what_it_was() -> None:
    kept = json.loads((DATA / "units.json").read_text("utf-8"))
    assert {name: [dimensions, str(factor)] for name, (dimensions, factor) in TABLE.items()} == kept
    assert Fraction(kept["mile"][1]) == Fraction("1609.344") and kept["week"] == [{"s": 1}, "604800"]


@pytest.mark.parametrize(
    ("reference", "answer", "n", "decoys"),
    [
        ("1984", "1985", 2, ["1986", "1994"]),  # one digit, the last first
        ("-7", "7", 2, ["-4"]),
        ("9", "8", 1, ["1"]),  # no leading nought
        ("Mary Shelley", "Byron", 3, ["Mary Walrus", "Copper Shelley", "Mary Copper"]),
        ("yes it is", "no", 1, ["oxygen it is"]),
        ("x", "y", 2, ["x + 1", "x - 1"]),
        (r"\pi/2", "1", 2, [r"\pi/6"]),
    ],
)
def test_decoys_are_the_reference_with_one_thing_changed(
    reference: str, answer: str, n: int, decoys: list[str]
) -> None:
    question = {"1984": "When?", "Mary Shelley": "Who?"}.get(reference, "?")
    assert decoys_of(reference, answer, question, n) == decoys


def test_no_heading_is_an_answer() -> None:
    let_through = [w for w in WORDS["headings"] if trick("What is the capital of France?", "Paris", f"{w} {w}") is None]
    assert let_through == []
    assert trick("What is the capital of France?", "Paris", "Zorpel Paris") is None


@pytest.mark.parametrize(
    "word",
    [
        "not", "wrong", "incorrect", "eliminated", "eliminate", "eliminating", "excluded", "exclude", "ruled", "rule",
        "cannot", "cant", "isnt", "arent", "doesnt", "dont", "wasnt", "wont", "neither", "nor", "never", "unlikely",
        "invalid", "impossible", "except", "falsch", "unlike", "anything", "everything",
    ],
)  # fmt: skip
def test_an_option_that_is_turned_down_is_not_named(word: str) -> None:
    cities = ("Paris", "London", "Rome")
    assert denied(f"{word} Paris", cities) and match_choice(f"{word} Paris", cities) is None
    assert match_choice("surely Paris", cities) == 0
    assert match_choice(f"{word} Paris", (f"{word} Paris", "London")) == 0  # where the option itself says so
