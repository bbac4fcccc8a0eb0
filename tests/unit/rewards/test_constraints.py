"""Constrained writing: each kind of checker, and constraints that make no sense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Candidate, DataError, Problem, Score, TaskType, Verdict
from nlrl.rewards.constraints import KINDS, ConstraintVerifier, check, paragraphs, sentences, words

TEXT = 'The quick brown fox doesn\'t sleep at night. "Who said so?" asked Dr. Who.\n\nIt was bright and well-lit.'


def test_words_sentences_and_paragraphs() -> None:
    assert words("Don't stop, well-known café!") == ["Don't", "stop", "well-known", "café"]
    assert len(sentences(TEXT)) == 4
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
        ({"kind": "sentence_count", "op": ">=", "value": 4}, True),
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
        ({"kind": "sentence_last_words", "values": ["night", "so", "who", "well-lit"]}, True),
        ({"kind": "sentence_last_words", "values": ["night", "so"]}, False),
        ({"kind": "sentence_first_words", "values": ["the", "who", "asked", "it"]}, True),
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
    ("constraint", "says"),
    [
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
    samples: dict[str, dict[str, Any]] = {
        "value": {"value": 3}, "words": {"words": ["a"]}, "values": {"values": ["a"]}, "letters": {"letters": "a"},
    }  # fmt: skip
    parameters: dict[str, Any] = {k: v for sample in samples.values() for k, v in sample.items()} | {"letter": "a"}
    for kind in KINDS:
        text_valued = kind in ("word_at", "starts_with", "ends_with")
        constraint = {"kind": kind, **parameters, "position": 1} | ({"value": "a"} if text_valued else {})
        met, why = check(text, constraint)
        assert isinstance(met, bool) and isinstance(why, str)
