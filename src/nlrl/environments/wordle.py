"""Wordle: six tries to find a word of five letters. Rewards and texts as in LMRL-Gym (2311.18232); the marks are right.

A try costs -1, the one that finds the word 0; a guess that is not in the list costs -1 and the try. Marks are g (right
letter, right place), y (in the word, elsewhere) and b (not in the word, or not that often: LMRL-Gym and others mark a
letter guessed twice as if each stood alone).

The hidden word is never stored. The state is what has been guessed and marked, and the outcomes of a guess are the
marks that the words still possible would give, each as likely as its share of them: the same game as with a word drawn
at the start, and an exact model of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from nlrl.core import DataError, UserError
from nlrl.core.specs import StrategySpec
from nlrl.environments.finite import Outcome, State, TextGame, find_action

_TRIES = 6
_LOST = ("", "")  # a try that was no word of the list
_WORD = re.compile(r"\b(?!guess\b)([a-z]{5}|(?<![a-z] )[a-z](?: [a-z]){4}(?! [a-z]\b))\b", re.IGNORECASE)
_BARE = re.compile(r"(?:guess:?\s+)?([a-z]{5}|[a-z](?: [a-z]){4})", re.IGNORECASE)


class Wordle(TextGame):
    """States are tuples of (guess, marks), ("", "") for a lost try.

    words  how many of the words that come with the package (spread evenly over them), or a text file with one word of
           five letters a line. None: all of them. With more than a handful, there are too many states to enumerate
    """

    discount = 1.0
    max_steps = _TRIES

    def __init__(self, *, words: int | str | None = None):
        """Raises UserError for a wrong number, DataError for a file that cannot be used."""
        super().__init__()
        self.words = _words(words)
        self._known = frozenset(self.words)
        self.name = str(StrategySpec("wordle", {} if words is None else {"words": words}))
        self._possible = lru_cache(10_000)(self._consistent)
        self.rules = (
            f"You look for a hidden word of five letters, one of {len(self.words)} English words, in six tries. After "
            "each guess every letter is marked: g means right letter in the right place, y means the letter is in the "
            "word at another place, b means it is not in the word (or not as often as you guessed it). Every try costs "
            "1, the one that finds the word costs nothing; a guess that is not in the list is a lost try. "
            'Say your guess as "Action: crane".'
        )

    def starts(self) -> Sequence[tuple[float, State]]:
        return [(1.0, ())]

    def actions(self, state: State) -> tuple[str, ...]:
        return () if len(state) == _TRIES or (state and state[-1][1] == "ggggg") else self.words

    def possible(self, state: State) -> tuple[str, ...]:
        """The words that agree with all marks so far."""
        return self._possible(state)

    def transitions(self, state: State, action: str) -> Sequence[Outcome]:
        possible = self.possible(state)
        found = []
        for seen, count in sorted(Counter(marks(action, hidden) for hidden in possible).items()):
            after = (*state, (action, seen))
            won = seen == "ggggg"
            event = "That is the word." if won else f"{action} is marked {seen}."
            found.append(Outcome(count / len(possible), after, float(won) - 1, won or len(after) == _TRIES, event))
        return found

    def illegal(self, state: State) -> Outcome:
        after = (*state, _LOST)
        return Outcome(1.0, after, -1.0, len(after) == _TRIES, "That is not a word of the list; the try is lost.")

    def success(self, outcome: Outcome) -> bool:
        return outcome.terminal and outcome.reward == 0

    def describe(self, state: State) -> str:
        lines = ["Wordle:"]
        for guess, seen in state:
            lines += [" ".join(guess), " ".join(seen)] if guess else ["(not in the list)"]
        return "\n".join(lines) + "\n"

    def parse(self, text: str) -> str | None:
        found = find_action(text, _WORD, _BARE)
        return found[1].replace(" ", "").lower() if found else None

    def _consistent(self, state: State) -> tuple[str, ...]:
        if not state:
            return self.words
        *before, (guess, seen) = state
        return tuple(w for w in self._possible(tuple(before)) if not guess or marks(guess, w) == seen)


@lru_cache(500_000)
def marks(guess: str, hidden: str) -> str:
    """One of g, y, b a letter. Places that match are marked first; of the letters left in the hidden word, each makes
    one letter of the guess yellow, from the left.

    >>> marks("geese", "elegy")
    'yygbb'
    """
    left = Counter(h for g, h in zip(guess, hidden, strict=True) if g != h)
    seen = []
    for g, h in zip(guess, hidden, strict=True):
        if g == h:
            seen.append("g")
        elif left[g]:
            left[g] -= 1
            seen.append("y")
        else:
            seen.append("b")
    return "".join(seen)


@cache
def _packaged() -> tuple[str, ...]:
    return tuple(files("nlrl.environments").joinpath("wordle_words.txt").read_text(encoding="ascii").split())


def _words(words: int | str | None) -> tuple[str, ...]:
    every = _packaged()
    if words is None:
        return every
    if isinstance(words, int):
        if isinstance(words, bool) or not 2 <= words <= len(every):
            raise UserError(f"wordle: words must be from 2 to {len(every)}, or a file of words, got {words!r}.")
        return tuple(every[i * len(every) // words] for i in range(words))
    try:
        lines = Path(words).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as a list of words: {error}", path=str(words)) from None
    found: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        word = line.strip()
        if word and not re.fullmatch("[a-z]{5}", word):
            raise DataError(f"{word[:20]!r} is not a word of five letters a to z.", path=words, line=number)
        if word:
            found[word] = None
    if len(found) < 2:
        raise DataError("a list of words needs at least two different ones.", path=words)
    return tuple(found)
