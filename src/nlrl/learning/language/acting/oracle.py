"""A model without weights that reads and writes the operators' texts exactly: the check that the pipeline is right.

    OracleModel()                                   # with it, language policy iteration is policy iteration
    OracleModel(aggregate="max")                    # an ablation: the most hopeful variation in place of the mean
    OracleModel(corrupt=0.1)                        # a tenth of its statements are false

It knows no environment, no state and no value: it parses the sentences that it is given, calculates, and writes a
sentence. What it gets right, the texts must have said.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, Request, UserError
from nlrl.learning.language.acting.texts import TERMINAL, worth

_REWARD = re.compile(r"Reward: ([-+.\deE]+)")
_DISCOUNT = re.compile(r"counts ([-+.\deE]+)\^t")
_LATER = re.compile(r"where it led counts ([-+.\deE]+) times")
_VARIATION = re.compile(r"^Variation \d+ \(chance ([-+.\deE]+)\): ", re.MULTILINE)
_CANDIDATE = re.compile(r"^- ([^:\n]+): (.*)$", re.MULTILINE)
_LEGAL = re.compile(r"^Legal actions: (.*)$", re.MULTILINE)
WORDS = {"terrible": 0.0, "bad": 0.25, "fair": 0.5, "good": 0.75, "excellent": 1.0}

Aggregate = Literal["mean", "max", "first"]
Join = Literal["full", "no reward", "no future"]
Improve = Literal["best", "random"]


class OracleModel:
    """Answers the prompts of `nlrl.learning.language.acting.texts`, and nothing else.

    aggregate  how G1 merges: the expectation, or the ablations that must hurt
    join       what G2 keeps
    improve    how I chooses; "random" by a hash of the prompt, the same every time
    words      say values in five words from "terrible" to "excellent" over [0, 1], in place of numbers
    corrupt    chance that a statement's number is replaced by a random one from `span`
    """

    def __init__(
        self,
        *,
        aggregate: Aggregate = "mean",
        join: Join = "full",
        improve: Improve = "best",
        words: bool = False,
        corrupt: float = 0.0,
        span: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
    ) -> None:
        if not 0 <= corrupt <= 1:
            raise UserError(f"corrupt is a chance from 0 to 1, got {corrupt}.")
        self._aggregate, self._join, self._improve = aggregate, join, improve
        self._words, self._corrupt, self._span, self._seed = words, corrupt, span, seed
        said = [aggregate, join, improve, "words" * words, f"corrupt{corrupt:g}-{seed}{span}" if corrupt else ""]
        plain = ["mean", "full", "best", "", ""]
        self.name = "-".join(["oracle", *(s.replace(" ", "_") for s, p in zip(said, plain, strict=True) if s != p)])
        self.can = Capabilities(n=True)

    async def complete(self, request: Request) -> list[Completion]:
        """As `stream`."""
        return [d.completion async for d in self.stream(request) if d.completion is not None]

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """One whole text for each draw. Raises UserError for a prompt that is none of the operators'."""
        prompt = request.messages[-1].content
        length = _words(prompt) + sum(_words(m.content) for m in request.messages[:-1])
        for i in range(request.n):
            text = self._reply(prompt, request.first_index + i)
            done = Completion(text, Finish.STOP, _words(text), prompt_tokens=length if i == 0 else 0)
            yield Delta(i, text, tokens=done.completion_tokens, completion=done)

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """Words."""
        return sum(_words(m.content) for m in messages) + _words(prefill)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _reply(self, prompt: str, index: int) -> str:
        if prompt.startswith("Join "):
            return self._joined(prompt)
        if prompt.startswith("Merge "):
            return self._merged(prompt)
        if prompt.startswith("Choose "):
            return self._chosen(prompt)
        if (legal := _LEGAL.search(prompt)) is not None:
            actions = legal.group(1).split(", ")
            return f"I have no opinion.\nAction: {actions[int(self._chance(prompt, index) * len(actions))]}"
        raise UserError(f"The oracle knows only the prompts of the language operators, not {prompt[:80]!r}.")

    def _joined(self, prompt: str) -> str:
        what, _, future = prompt.partition("Evaluation of where it led: ")
        discount, later = float(_found(_DISCOUNT, prompt)), float(_found(_LATER, prompt))
        now = _return(what, discount) if self._join != "no reward" else 0.0
        then = self._read(future.partition("\n\n")[0]) if self._join != "no future" else 0.0
        return f"It brings {now:g} on the way and {later:.6g} times {then:.9g} after it. " + self._state(
            now + later * then, prompt
        )

    def _merged(self, prompt: str) -> str:
        discount = float(_found(_DISCOUNT, prompt))
        body = prompt.partition("\n\n")[2].rpartition("\n\n")[0]
        parts = _VARIATION.split(body)[1:]
        chances = [float(p) for p in parts[::2]]
        values = [self._read_variation(text, discount) for text in parts[1::2]]
        if self._aggregate == "max":
            value = max(values)
        elif self._aggregate == "first":
            value = values[int(self._chance(prompt, 0) * len(values))]  # alphabet puts the worst first: take any one
        else:
            value = sum(p * v for p, v in zip(chances, values, strict=True)) / sum(chances)
        return f"{len(values)} ways it may go, between {min(values):.6g} and {max(values):.6g}. " + self._state(
            value, prompt
        )

    def _chosen(self, prompt: str) -> str:
        candidates = [(action, self._read(text)) for action, text in _CANDIDATE.findall(prompt)]
        if self._improve == "random":
            action, value = candidates[int(self._chance(prompt, 0) * len(candidates))]
        else:
            action, value = max(candidates, key=lambda pair: pair[1])
        return f"{action} is worth {value:.6g}, the best of {len(candidates)}.\nAction: {action}"

    def _read_variation(self, text: str, discount: float) -> float:
        if worth(text) is None and _REWARD.search(text):
            return _return(text, discount)
        return self._read(text)

    def _read(self, text: str) -> float:
        if TERMINAL in text:
            return 0.0
        if self._words:
            spoken = [value for word, value in WORDS.items() if f"Worth: {word}" in text]
            return spoken[0] if spoken else 0.0
        return worth(text) or 0.0  # of what nothing is known, nothing is expected

    def _state(self, value: float, prompt: str) -> str:
        if self._corrupt and self._chance(prompt, 1) < self._corrupt:
            low, high = self._span
            value = low + (high - low) * self._chance(prompt, 2)
        if self._words:
            return f"Worth: {min(WORDS, key=lambda word: abs(WORDS[word] - value))}"
        return f"Worth: {value:.9g}"

    def _chance(self, prompt: str, salt: int) -> float:
        """A number in [0, 1) that belongs to this prompt."""
        digest = hashlib.blake2b(f"{self._seed}:{salt}:{prompt}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def _return(text: str, discount: float) -> float:
    """The discounted sum of the rewards that a description tells, in their order."""
    return sum(float(r) * discount**t for t, r in enumerate(_REWARD.findall(text)))


def _found(pattern: re.Pattern[str], prompt: str) -> str:
    hit = pattern.search(prompt)
    if hit is None:
        raise UserError(f"The oracle cannot read this prompt; {pattern.pattern!r} is not in it: {prompt[:200]!r}")
    return hit.group(1)


def _words(text: str) -> int:
    return len(text.split())
