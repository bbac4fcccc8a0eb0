"""Constrained writing: each kind of checker, and constraints that make no sense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Candidate, DataError, Problem, Score, TaskType, Verdict
from nlrl.verifiers.constraints import KINDS, ConstraintVerifier, check, paragraphs, sentences, words

TEXT = 'The quick brown fox doesn\'t sleep at night. "Who said so?" asked Dr. Who.\n\nIt was bright and well-lit.'


def test_words_sentences_and_paragraphs() -> None:
    assert words("Don't stop, well-known café!") == ["Don't", "stop", "well-known", "café"]
    assert len(sentences(TEXT)) == 3
    assert sentences("Mr. Smith met J. R. Hall. They left...") == ["Mr. Smith met J. R. Hall.", "They left..."]
    assert len(paragraphs(TEXT)) == 2
    assert words("") == sentences(" \n ") == paragraphs("\n\n") == []


@pytest.mark.parametrize(
    ("constraint", "met"),
    [
        ({"kind": "word_count", "op": "==", "value": 19}, True),
        ({"kind": "word_count", "op": "<", "value": 19}, False),
        ({"kind": "word_count", "value": 19}, True),
        ({"kind": "word_count", "sentence": 1, "op": "==", "value": 8}, True),
        ({"kind": "word_count", "paragraph": -1, "op": "==", "value": 5}, True),
        ({"kind": "sentence_count", "op": ">=", "value": 3}, True),
        ({"kind": "paragraph_count", "op": "==", "value": 2}, True),
        ({"kind": "character_count", "op": "==", "value": len(TEXT)}, True),
        ({"kind": "character_count", "op": "==", "value": len("".join(TEXT.split())), "spaces": False}, True),
        ({"kind": "letter_count", "letter": "q", "op": "==", "value": 1}, True),
        ({"kind": "words_per_sentence", "op": "<=", "value": 8}, True),
        ({"kind": "words_per_sentence", "op": "<=", "value": 7}, False),
        ({"kind": "words_per_paragraph", "op": ">=", "value": 5}, True),
        ({"kind": "sentences_per_paragraph", "op": "<=", "value": 3}, True),
        ({"kind": "word_length", "op": "<=", "value": 8}, True),
        ({"kind": "word_length", "op": "<=", "value": 5}, False),
        ({"kind": "include_words", "words": ["FOX", "at night"]}, True),
        ({"kind": "include_words", "words": ["fo"]}, False),
        ({"kind": "include_words", "words": ["who"], "count": 2}, True),
        ({"kind": "exclude_words", "words": ["dog", "brig"]}, True),
        ({"kind": "exclude_words", "words": ["fox"]}, False),
        ({"kind": "exclude_letters", "letters": "z"}, True),
        ({"kind": "exclude_letters", "letters": "Xz"}, False),
        ({"kind": "word_at", "position": 3, "value": "Brown"}, True),
        ({"kind": "word_at", "position": -1, "value": "well-lit"}, True),
        ({"kind": "word_at", "position": 1, "sentence": 2, "value": "who"}, True),
        ({"kind": "word_at", "position": 99, "value": "fox"}, False),
        ({"kind": "sentence_last_words", "values": ["night", "who", "well-lit"]}, True),
        ({"kind": "sentence_last_words", "values": ["night", "so"]}, False),
        ({"kind": "sentence_first_words", "values": ["the", "who", "it"]}, True),
        ({"kind": "paragraph_first_words", "values": ["The", "It"]}, True),
        ({"kind": "paragraph_last_words", "values": ["Who", "well-lit"]}, True),
        ({"kind": "starts_with", "value": "the quick"}, True),
        ({"kind": "ends_with", "value": "well-lit"}, True),
        ({"kind": "ends_with", "value": "well-lit."}, True),
        ({"kind": "ends_with", "value": "night"}, False),
    ],
)
def test_each_kind(constraint: dict[str, Any], met: bool) -> None:
    assert check(TEXT, constraint)[0] is met


@pytest.mark.parametrize(
    ("text", "wanted", "there"),
    [
        ("I love C++ a lot.", "C++", True),
        ("I love C a lot.", "C++", False),
        ("I love C++ a lot.", "C", False),
        ("We use C# and F#.", "F#", True),
        ("It is 100% cotton.", "100%", True),
        ("It is 100 cotton.", "100%", False),
        ("It is 100% cotton.", "100", True),
        ("He paid $5.", "$5", True),
        ("He paid 5.", "$5", False),
        ("He paid $5.", "5", True),
        ("a, b", ",", True),
        ("a b", ",", False),
        ("He left — late.", "—", True),
        ("Stop it now!", "now!", True),
        ("Stop it now.", "now!", False),
        ("Hello, world.", "Hello, world", True),
        ("Hello world.", "Hello, world", False),
        ("He moved to New\nYork.", "new york", True),
        ('The "New York" Times', "New York Times", True),
        ("I am new. York is far.", "New York", False),
        ("It is new.\n\nYork is far.", "New York", False),
        ("New, York", "New York", False),
        ("He met Dr. Li.", "Dr Li", True),
        ("In the U.S. it rains.", "U.S.", True),
        ("In the U.S. it rains.", "US", False),
        ("Tom & Ann", "Tom & Ann", True),
        ("It’s late", "it's", True),
        ("cat", "cats", False),
        ("He said #hope.", "hope", True),
        ("He said hope.", "#hope", False),
        ("a AT&T b", "AT&T", True),
        (".NET is old", ".NET", True),
        ("NET is old", ".NET", False),
    ],
)
def test_signs_are_kept_in_required_and_forbidden_words(text: str, wanted: str, there: bool) -> None:
    assert check(text, {"kind": "include_words", "words": [wanted]})[0] is there
    assert check(text, {"kind": "exclude_words", "words": [wanted]})[0] is not there


FAMILIES = "The cat sat. The dog ran.\n\nThe cow slept. All was well."


@pytest.mark.parametrize(
    ("text", "constraint", "met"),
    [
        ("Serendipity.", {"kind": "letter_at", "position": 3, "value": "R"}, True),
        ("Serendipity.", {"kind": "letter_at", "position": -1, "value": "y"}, True),
        ("Serendipity.", {"kind": "letter_at", "position": 2, "value": "r"}, False),
        ("well-known", {"kind": "letter_at", "position": 5, "value": "k"}, True),
        ("cat", {"kind": "letter_at", "position": 9, "value": "t"}, False),
        (FAMILIES, {"kind": "letter_at", "word": 2, "sentence": 2, "position": 1, "value": "d"}, True),
        (FAMILIES, {"kind": "every_sentence_starts_with", "value": "the"}, False),
        (FAMILIES, {"kind": "every_sentence_starts_with", "paragraph": 1, "value": "the"}, True),
        ("I do. I do not.", {"kind": "every_sentence_starts_with", "value": "I do"}, True),
        ("Ido it.", {"kind": "every_sentence_starts_with", "value": "I do"}, False),
        ('"I do," he said.', {"kind": "every_sentence_starts_with", "value": "I do"}, True),
        ("", {"kind": "every_sentence_starts_with", "value": "the"}, False),
        (FAMILIES, {"kind": "paragraph_last_sentences", "values": ["The dog ran.", "all was well"]}, True),
        (FAMILIES, {"kind": "paragraph_last_sentences", "values": ["The dog ran."]}, False),
        (FAMILIES, {"kind": "paragraph_last_sentences", "values": ["dog ran.", "all was well"]}, False),
        ("a\r\n\r\nb", {"kind": "character_count", "value": 4}, True),
        (FAMILIES, {"kind": "starts_with", "sentence": 2, "value": "The dog"}, True),
        (FAMILIES, {"kind": "ends_with", "paragraph": 1, "value": "ran"}, True),
        (FAMILIES, {"kind": "word_count", "paragraph": 2, "sentence": 1, "value": 3}, True),
        (FAMILIES, {"kind": "word_count", "sentence": 9, "op": "<=", "value": 3}, False),
        (FAMILIES, {"kind": "exclude_words", "paragraph": 3, "words": ["cow"]}, False),
        ("I love C++.", {"kind": "sentence_last_words", "values": ["C++"]}, True),
        ("He is in the U.S.", {"kind": "sentence_last_words", "values": ["U.S."]}, True),
        ("He is in the U.S. now", {"kind": "word_at", "position": 5, "value": "u.s"}, True),
    ],
)
def test_families_of_collie_and_parts_of_a_text(text: str, constraint: dict[str, Any], met: bool) -> None:
    assert check(text, constraint)[0] is met


@pytest.mark.parametrize(
    ("constraint", "says"),
    [
        ({"kind": "word_count", "operator": "<=", "value": 3}, "'operator'.*kind, op, paragraph, sentence, value"),
        ({"kind": "include_words", "words": ["a"], "count": True}, "'count'"),
        ({"kind": "include_words", "words": [" "]}, "'words'"),
        ({"kind": "letter_at", "position": 1, "value": "ab"}, "one letter"),
        ({"kind": "every_sentence_starts_with", "value": "..."}, "'value'"),
        ({"kind": "rhymes"}, "Unknown constraint kind 'rhymes'"),
        ({}, "Unknown constraint kind None"),
        ({"kind": "word_count"}, "'value'"),
        ({"kind": "word_count", "value": "ten"}, "'value'"),
        ({"kind": "word_count", "value": True}, "'value'"),
        ({"kind": "word_count", "op": "~", "value": 3}, "unknown op '~'"),
        ({"kind": "include_words", "words": []}, "'words'"),
        ({"kind": "include_words", "words": "fox"}, "'words'"),
        ({"kind": "include_words", "words": [1]}, "'words'"),
        ({"kind": "word_at", "position": 0, "value": "x"}, "count from 1"),
        ({"kind": "word_at", "value": "x"}, "'position'"),
        ({"kind": "exclude_letters"}, "'letters'"),
    ],
)
def test_constraints_that_make_no_sense_are_errors(constraint: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        check("some text", constraint)
    with pytest.raises(DataError):  # also where there is nothing to check
        asyncio.run(ConstraintVerifier().score(Problem("?", constraints=(constraint,)), [_blank()]))


def _blank() -> Candidate:
    from nlrl.core import Completion, Finish

    return Candidate("s0", Completion("", Finish.STOP, 0), None)


def test_the_value_is_the_share_that_holds(attempt: Callable[..., Candidate], judge_one: Callable[..., Score]) -> None:
    constraints = ({"kind": "word_count", "value": 2}, {"kind": "include_words", "words": ["sea"]})
    problem = Problem("?", task_type=TaskType.WRITING, constraints=constraints)
    verifier = ConstraintVerifier()
    assert judge_one(verifier, problem, attempt("wide sea")).verdict is Verdict.RIGHT
    half = judge_one(verifier, problem, attempt("the wide sea"))
    assert (half.verdict, half.value) == (Verdict.WRONG, 0.5)
    assert "word_count (3, wanted == 2)" in half.reason
    assert judge_one(verifier, problem, attempt(None)).verdict is Verdict.UNPARSED
    assert judge_one(verifier, Problem("?"), attempt("x")).verdict is Verdict.ABSTAIN


@given(st.text(max_size=200))
def test_any_text_can_be_checked(text: str) -> None:
    samples: dict[str, Any] = {
        "value": 3, "words": ["a"], "values": ["a"], "letters": "a", "letter": "a", "position": 1, "count": 1,
        "op": "<=", "spaces": False,
    }  # fmt: skip
    for name, kind in KINDS.items():
        constraint = {"kind": name, **{p: samples[p] for p in kind.parameters}}
        if "value" in constraint and "op" not in constraint:
            constraint["value"] = "a"
        met, why = check(text, constraint)
        assert isinstance(met, bool) and isinstance(why, str)
