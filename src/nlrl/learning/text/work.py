# pyright: reportMissingImports=false
"""One draw on its way: from tokens, in the decoder's thread, to a completion for those who wait in the event loop."""

from __future__ import annotations

import codecs
import hashlib
import time
from typing import Protocol

import numpy as np

from nlrl.core import Completion, Finish, Request, TokenLogprob
from nlrl.learning.text.decode import Alternatives
from nlrl.learning.text.words import END, Words
from nlrl.models.streams import GIST_TOKENS, Assembler
from nlrl.models.transformers.sampling import Policy


class Listener(Protocol):
    """Who waits for draws, each under an index of its own."""

    closed: bool

    def done(self, index: int, work: Work) -> None: ...
    def broken(self, error: Exception) -> None: ...


class Work:
    """One draw on its way, for one or several listeners. `take` runs in the decoding thread, all else in the loop."""

    def __init__(
        self, words: Words, request: Request, prompt: tuple[int, ...], seed: int, policy: Policy, limit: int
    ) -> None:
        self.prompt, self.policy = prompt, policy
        self.top = request.sampling.logprobs
        self.seed = seed
        self.key = _key(seed, prompt) if policy.temperature else 0
        self.completion: Completion | None = None
        self.error: Exception | None = None
        self._listeners: list[tuple[Listener, int]] = []
        self._delivered = False
        self._words, self.limit = words, limit
        self.tokens = 0  # generated so far
        self._out = Assembler(0, request.sampling, prefix=request.prefill, started=time.monotonic())
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[int] = []  # tokens that the assembler has not seen
        sampling = request.sampling
        self._each = bool(sampling.stop or sampling.stop_after or sampling.logprobs is not None)

    @property
    def started(self) -> bool:
        """Whether its prompt has been read."""
        return self.tokens > 0

    @property
    def wanted(self) -> bool:
        """Whether it is done, or somebody waits for it."""
        return self._delivered or any(not stream.closed for stream, _ in self._listeners)

    def listen(self, stream: Listener, index: int) -> None:
        """Tell this stream when the draw is done: at once if it is."""
        if self._delivered:
            stream.done(index, self)
        else:
            self._listeners.append((stream, index))

    def take(self, token: int, logprob: float | None, top: Alternatives) -> bool:
        """One token from the decoder; true when the draw is over."""
        self.tokens += 1
        self._line.append(token)
        ended = token == END
        over = ended or self.tokens >= self.limit
        # where nothing can stop a draw within a line, a line at a time is told: it is most of the work here
        if over or self._each or len(self._line) >= GIST_TOKENS or b"\n" in self._words.raw(token):
            said = b"".join(map(self._words.raw, self._line))
            sure = () if logprob is None else (self._named(token, logprob, top),)
            self._out.feed(self._bytes.decode(said, final=over), tokens=len(self._line), logprobs=sure)
            self._line.clear()
            over = over or self._out.stopped is not None
        if over:
            self.completion = self._out.finish(Finish.STOP if ended else Finish.LENGTH).completion
        return over

    def deliver(self) -> None:
        """Tell all who wait, if there is something to tell."""
        if self.completion is not None and not self._delivered:
            self._delivered = True
            for stream, index in self._listeners:
                stream.done(index, self)
            self._listeners.clear()

    def end_unread(self) -> None:
        """Done without a token: none was allowed."""
        self.completion = self._out.finish(Finish.LENGTH).completion
        self._delivered = True

    def fail(self, error: Exception) -> None:
        """It will never be done."""
        if not self._delivered:
            self.error = error
            for stream, _ in self._listeners:
                stream.broken(error)

    def _named(self, token: int, logprob: float, top: Alternatives) -> TokenLogprob:
        text = self._words.text
        return TokenLogprob(text(token), logprob, tuple((text(other), its) for other, its in top))


def _key(seed: int, prompt: tuple[int, ...]) -> int:
    """64 bits that name one draw on one prompt."""
    content = f"{seed}:".encode() + np.array(prompt, np.uint32).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
