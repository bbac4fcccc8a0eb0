"""Words, sentences and paragraphs, counted as a reader counts them."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.verifiers.prose import paragraphs, sentences, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It cost $1,250.75 in 2019.", ["It", "cost", "$1,250.75", "in", "2019"]),
        ("Sum 1,000,000 or 12,34,567?", ["Sum", "1,000,000", "or", "12,34,567"]),
        ("Pick 1,2,3 now", ["Pick", "1", "2", "3", "now"]),
        ("pi is 3,14 here", ["pi", "is", "3,14", "here"]),
        ("At 10:30, run 1/2 mile, 24/7.", ["At", "10:30", "run", "1/2", "mile", "24/7"]),
        ("Version 1.2.3 of Node.js", ["Version", "1.2.3", "of", "Node.js"]),
        ("The U.K. and U.S.A. agree", ["The", "U.K.", "and", "U.S.A.", "agree"]),
        ("She has a Ph.D. in art, i.e. paint.", ["She", "has", "a", "Ph.D.", "in", "art", "i.e.", "paint"]),
        ("AT&T and R&D, Tom & Ann", ["AT&T", "and", "R&D", "Tom", "&", "Ann"]),
        ("C++, C# and 100% of #ai by @bob", ["C++", "C#", "and", "100%", "of", "#ai", "by", "@bob"]),
        ("Write to a.b@site.org or https://x.org/a?b=1.", ["Write", "to", "a.b@site.org", "or", "https://x.org/a?b=1"]),
        ("He came—alone—and left -- late.", ["He", "came", "alone", "and", "left", "late"]),
        ("A Paris–Rome train, 1990–95", ["A", "Paris–Rome", "train", "1990–95"]),
        ("and/or km/h n/a", ["and", "or", "km/h", "n/a"]),
        ("It ended.Then he left", ["It", "ended", "Then", "he", "left"]),
        ("dogs' rock'n'roll O’Brien mother-in-law's", ["dogs", "rock'n'roll", "O’Brien", "mother-in-law's"]),
        ("At 20°C or -5 it is snake_case", ["At", "20°C", "or", "-5", "it", "is", "snake_case"]),
        ("*bold* and _thin_ [link] (aside) … !", ["bold", "and", "thin", "link", "aside"]),
        (unicodedata.normalize("NFD", "café naïve"), [unicodedata.normalize("NFD", w) for w in ("café", "naïve")]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        ("it´s soft\u00adhyphened", ["it´s", "soft\u00adhyphened"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


ONE = [
    '"Are you sure?" Mary asked.',
    "“Run!” the old man shouted, and they ran.",
    '"Why?" asked Tom.',
    "They met Prof. Li and Sgt. Pepper at St. Mark's.",
    "The U.S. Army has a base there.",
    "Acme Corp. bought Bolt Ltd. last year.",
    "See Fig. 3 and No. 7 in vol. 2 of it.",
    "It was on Jan. 5 that he came.",
    "The meeting is at 5 p.m. Monday in room 4.",
    "Use fruit, e.g. Apples, or nuts.",
    "He paused... and then went on.",
    "Oh! what a day it was.",
    "He left (why?) Monday morning.",
    "Yao et al. (2023) wrote it.",
    "George W. Bush spoke.",
    "It measures approx. 5 m by 3.2 m.",
    "Yahoo! is a company",
    "1. Buy milk",
    "At 5 a.m. Tom woke.",
]
TWO = [
    "Did he go? No, he stayed.",
    "He lives in the U.S. She lives in Rome.",
    "He works for Acme Inc. It makes tools.",
    "It opens at 9 a.m. Bring a friend.",
    "We sell nuts, bolts, etc. They are cheap.",
    "Oranges have vitamin C. Apples have less.",
    "So did I. Rome fell.",
    "He yelled \"Stop!\" Then he ran.",
    "(He left.) She stayed.",
    "Wait... What was that?",
    "i like it. it is good.",
    "What!? Never.",
    "It rained.\nWe stayed in.",
    "Is it 5? 7 people say so.",
    "他走了。她留下。",
    "¿Vienes? ¡Sí!",
    "1. Buy milk.\n2. Buy bread.",
    "a) Wash it. b) Dry it.",
    "He left...  She stayed",
    "He is 30. She is 40.",
    "Visit example.com. Bob runs it.",
    "It is 3.5. Bob knows.",
    "No. He stayed.",
    "I like A. Do you?",
]  # fmt: skip


@pytest.mark.parametrize(("text", "count"), [(t, 1) for t in ONE] + [(t, 2) for t in TWO])
def test_sentences(text: str, count: int) -> None:
    assert len(sentences(text)) == count, sentences(text)


def test_sentences_keep_all_of_the_text() -> None:
    assert sentences('One. "Two!" he said. Three?') == ["One.", '"Two!" he said.', "Three?"]
    assert sentences("First par\r\n\r\nsecond par") == ["First par", "second par"]


@pytest.mark.parametrize(
    "text", ["a\r\n\r\nb", "a\n\nb", "a\n \t\nb", "a\r\rb", "a\n\u00a0\nb", "a\u2029b", "\n\na\n\n\n\nb\n\n"]
)
def test_paragraphs(text: str) -> None:
    assert paragraphs(text) == ["a", "b"]


@given(st.text(alphabet=st.sampled_from("aB1 .!?…\"')(,-\n&/°+#"), max_size=60))
def test_law_no_word_is_lost_and_none_is_counted_twice(text: str) -> None:
    assert [w for s in sentences(text) for w in words(s)] == [w for p in paragraphs(text) for w in words(p)]
    letters = [c for c in text if c.isalnum()]
    assert [c for w in words(text) for c in w if c.isalnum()] == letters


@pytest.mark.parametrize("unit", ["a", "a.", ".", '."', "a b. ", "1,", "x?) A ", "A. ", "\n", "a@", "-a", "+", "1. "])
def test_long_texts_take_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    begun = time.process_time()
    sentences(text)
    words(text)
    assert time.process_time() - begun < 4
