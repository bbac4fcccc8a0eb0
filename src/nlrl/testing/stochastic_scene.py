"""What a prompt is about, for a model without weights: the problem in it, its answers, and filler text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nlrl.core import Message, Problem
from nlrl.testing.scripted_words import pieces

LONGEST = 32_768  # tokens of a draw
_FILLER = (
    "so we look at what is given and write it down then each part is taken in turn and the result of one step goes "
    "into the next until nothing is left to do and we check it once more against the question"
)
_FILLER_TOKENS = 4096
_ANCHOR = 12  # characters by which a question is found in a prompt


@dataclass(slots=True)
class Closing:
    """How a draw ends. `tokens` of its text."""

    answer: str
    text: str
    tokens: int = 0

    def __post_init__(self) -> None:
        self.tokens = len(pieces(self.text))


@dataclass(slots=True)
class Scene:
    """All that draws of one prompt share. `closings`: the right one, then the wrong ones, with cumulative `weights`."""

    p: float
    right: str
    closings: list[Closing]
    weights: list[float]
    prompt_tokens: int
    forced: bool  # the prefill ends in "Final Answer:", so that only the answer is left to say


class Finder:
    """The problem a prompt is about, by its question. Prompts hold worked examples too: the last question counts."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._short: list[Problem] = []
        self._anchored: dict[str, list[Problem]] = {}
        for problem in problems:
            if len(problem.question) < _ANCHOR:
                self._short.append(problem)
            else:
                self._anchored.setdefault(problem.question[:_ANCHOR], []).append(problem)

    def __call__(self, messages: Sequence[Message]) -> Problem | None:
        for message in reversed(messages):
            if message.role != "assistant" and (found := self._last_in(message.content)) is not None:
                return found
        return None

    def _last_in(self, text: str) -> Problem | None:
        hits = [(text.rfind(p.question), len(p.question), p) for p in self._short if p.question and p.question in text]
        for at in range(len(text) - _ANCHOR, -1, -1):
            for problem in self._anchored.get(text[at : at + _ANCHOR], ()):
                if text.startswith(problem.question, at):
                    hits.append((at, len(problem.question), problem))
            if hits and hits[-1][0] == at:
                break
        return max(hits, key=lambda hit: hit[:2])[2] if hits else None


def distractors(problem: Problem) -> Iterator[str]:
    """Wrong answers of the same kind as the right one, without end."""
    yield from (choice for choice in problem.choices if choice != problem.reference)
    reference = (problem.reference or "").strip()
    opposite = {"yes": "no", "no": "yes", "true": "false", "false": "true"}.get(reference.casefold())
    if opposite is not None:
        yield opposite
        return
    if problem.choices:
        return
    try:
        value = float(reference.replace(",", ""))
    except ValueError:
        value = math.nan
    if math.isfinite(value) and abs(value) < 1e15:
        for step in itertools.count(1):
            for near in (value + step, value - step):
                yield str(int(near)) if near == int(near) else repr(near)
    yield from (f"other {rank}" for rank in itertools.count(1))


_WORDS = [" " + word for word, _ in zip(itertools.cycle(_FILLER.split()), range(_FILLER_TOKENS), strict=False)]
_TEXT = "".join(_WORDS)
_OFFSETS = [0, *itertools.accumulate(map(len, _WORDS))]


def filler(noise: int, tokens: int) -> str:
    """`tokens` words of reasoning that start at a place fixed by `noise`."""
    if tokens >= _FILLER_TOKENS:
        return (_TEXT * (tokens // _FILLER_TOKENS) + _TEXT[: _OFFSETS[tokens % _FILLER_TOKENS]])[1:]
    start = noise % (_FILLER_TOKENS - tokens)
    return _TEXT[_OFFSETS[start] + 1 : _OFFSETS[start + tokens]]
