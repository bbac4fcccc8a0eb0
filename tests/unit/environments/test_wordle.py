"""Wordle: marks of double letters against a brute-force reference, and outcomes against hidden words."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import DataError
from nlrl.environments import make
from nlrl.environments.wordle import Wordle, marks

LETTERS = st.text("abc", min_size=5, max_size=5)  # few letters: doubles everywhere


def by_hand(guess: str, hidden: str) -> str:
    """Pair letters of the guess with equal letters of the hidden word, each used once: of all such pairings those with
    the most greens, then the most pairs, then the earliest letters of the guess."""
    best: tuple = ()
    for taken in itertools.product((-1, 0, 1, 2, 3, 4), repeat=5):
        used = [j for j in taken if j >= 0]
        if len(used) == len(set(used)) and all(j < 0 or guess[i] == hidden[j] for i, j in enumerate(taken)):
            seen = "".join("b" if j < 0 else "g" if i == j else "y" for i, j in enumerate(taken))
            best = max(best, (seen.count("g"), len(used), [c != "b" for c in seen], seen))
    return best[-1]


@settings(max_examples=60, deadline=None)
@given(LETTERS, LETTERS)
def test_marks_of_double_letters(guess, hidden):
    assert marks(guess, hidden) == by_hand(guess, hidden)


@pytest.mark.parametrize(
    ("guess", "hidden", "seen"),
    [
        ("geese", "elegy", "yygbb"),
        ("eerie", "elegy", "gybbb"),
        ("llama", "label", "gyybb"),
        ("kayak", "knock", "gbbbg"),
        ("crane", "crane", "ggggg"),
        ("speed", "abide", "bbyby"),
    ],
)
def test_marks_by_example(guess, hidden, seen):
    assert marks(guess, hidden) == seen == by_hand(guess, hidden)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_outcomes_are_those_of_a_hidden_word(data):
    env = make("wordle(words=30)")
    assert isinstance(env, Wordle)
    hidden = data.draw(st.sampled_from(env.words))
    state: tuple = ()
    for _ in range(data.draw(st.integers(0, 4))):
        guess = data.draw(st.sampled_from([w for w in env.words if w != hidden]))
        state = (*state, (guess, marks(guess, hidden)))
    possible = [w for w in env.words if all(marks(guess, w) == seen for guess, seen in state)]
    assert hidden in possible
    assert list(env.possible(state)) == possible
    guess = data.draw(st.sampled_from(env.words))
    expected = Counter(marks(guess, w) for w in possible)
    outcomes = env.outcomes(state, guess)
    assert {o.state[-1][1]: o.probability for o in outcomes} == pytest.approx(
        {seen: count / len(possible) for seen, count in expected.items()}
    )
    for o in outcomes:
        right = o.state[-1][1] == "ggggg"
        assert o.reward == (0.0 if right else -1.0)
        assert o.terminal == (right or len(o.state) == 6)
        assert env.success(o) == right


def test_the_words_that_come_along():
    words = make("wordle").words
    assert 200 <= len(words) == len(set(words))
    assert all(len(w) == 5 and w.isascii() and w.isalpha() and w.islower() for w in words)
    assert len(make("wordle(words=50)").words) == 50
    assert any(len(set(w)) < 5 for w in words), "double letters are in the game"


def test_texts_and_lost_tries():
    env = make("wordle")
    assert env.describe(()) == "Wordle:\n"
    assert env.describe((("crane", "bygbb"), ("", ""))) == "Wordle:\nc r a n e\nb y g b b\n(not in the list)\n"
    for reply in ("c r a n e\n", "CRANE", "Action: crane", "I guess crane.", "Action: guess crane"):
        assert env.parse(reply) == "crane"
    assert env.parse("c r a n e s") is None
    assert env.parse("crane or slate") is None
    lost = env.illegal((("crane", "bbbbb"),))
    assert (lost.state, lost.reward, lost.terminal) == ((("crane", "bbbbb"), ("", "")), -1.0, False)
    assert set(env.possible(lost.state)) == set(env.possible(lost.state[:1])), "a lost try tells nothing"


def test_a_list_of_ones_own(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("robot\n\nvalid \nrobot\n")
    env = make(f"wordle(words={str(path)!r})")
    assert env.words == ("robot", "valid")
    assert make(env.name).words == env.words
    for text, match in (("robot\nrobots\n", ":2: 'robots'"), ("robot\n", "two"), ("", "two"), ("ROBOT\nvalid", ":1")):
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            make(f"wordle(words={str(path)!r})")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        make(f"wordle(words={str(path)!r})")
