"""One HTTP exchange for n draws: the pieces sorted to their draws, and every token of it charged to one of them.

Whose count holds, best first: the server's usage for the whole exchange, split over the draws; its running usage on
each chunk (vLLM's `continuous_usage_stats`), which also counts a stream that is cut; the number of logprobs; the number
of chunks with content, since servers stream token by token. A prompt is charged once an exchange, on its first draw.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nlrl.core import Delta, Finish, Request
from nlrl.models._openai_wire import Piece, Reading, apportion
from nlrl.models.streams import Assembler

# Tokens read after our own stop rule held, in the hope that the server ends by itself and reports its exact usage.
# Closing at once would save them, but would leave the prompt and what is under way uncounted.
GRACE_TOKENS = 16

Emit = Callable[[Delta], None]


@dataclass(slots=True)
class Draw:
    """One draw of a request, over all its tries.

    index         relative to the request
    blind         prompts of broken tries that were evaluated, but whose length the server has not told (yet)
    """

    index: int
    seed: int | None = None
    lost_prompt_tokens: int = 0
    lost_completion_tokens: int = 0
    blind: int = 0


@dataclass(slots=True)
class Share:
    """What one draw got out of one exchange. `prompt_tokens` is None if it was charged, but is not known."""

    draw: Draw
    assembler: Assembler
    done: bool
    finish: Finish = Finish.STOP
    completion_tokens: int = 0
    prompt_tokens: int | None = 0
    cached_tokens: int = 0
    thrown_away: int = 0  # tokens of already closed siblings, generated after they were closed


@dataclass(slots=True)
class _Part:
    """One draw in this exchange. `chunks`: pieces with content, the least that it can have cost."""

    draw: Draw
    assembler: Assembler
    chunks: int = 0
    finish: Finish | None = None
    started: bool = False
    has_logprobs: bool = False
    closed_at: int | None = None  # tokens with which it was closed before the exchange ended
    billed: int | None = None  # its tokens by a usage of its own

    @property
    def done(self) -> bool:
        return self.finish is not None or self.assembler.stopped is not None

    @property
    def tokens(self) -> int:
        return self.assembler.tokens


@dataclass(slots=True)
class Exchange:
    """Takes readings, emits deltas, and in the end shares out the bill.

    close  called with a draw as soon as it is finished, with the count so far, instead of letting it wait for the usage
           of all. The draw that finishes last gets the difference, so that the sum stays exact. None: all wait
    """

    request: Request
    draws: list[Draw]
    emit: Emit
    close: Callable[[Share], None] | None = None
    started: float = field(default_factory=time.monotonic)
    parts: list[_Part] = field(init=False)
    said_done: bool = False
    whole: bool = False
    prompt_known: bool = False
    _prompt: int = 0
    _cached: int = 0
    _prompt_charged: bool = False
    _running: bool = False  # usage comes with every chunk, for its choice alone
    _totals: list[int] = field(default_factory=list)
    _after_stop: int = 0

    def __post_init__(self) -> None:
        sampling, prefix = self.request.sampling, self.request.prefill
        self.parts = [
            _Part(draw, Assembler(draw.index, sampling, prefix=prefix, seed=draw.seed, started=self.started))
            for draw in self.draws
        ]

    @property
    def began(self) -> bool:
        """Whether the server has begun to answer, so that the prompt was evaluated."""
        return any(part.started for part in self.parts) or bool(self._totals)

    @property
    def finished(self) -> bool:
        """Whether every draw has all its text."""
        return all(part.done for part in self.parts)

    @property
    def ended_by_server(self) -> bool:
        """Whether every draw came to the end that the server gave it."""
        return all(part.finish is not None for part in self.parts)

    @property
    def enough(self) -> bool:
        """Whether to hang up: our own rules have stopped every draw, and the server does not end by itself."""
        if not self.finished or self.ended_by_server:
            return False
        return self._running or self._after_stop >= GRACE_TOKENS

    @property
    def prompt_tokens(self) -> int | None:
        """The prompt's length as the server counted it here."""
        return self._prompt if self.prompt_known else None

    @property
    def usage_seen(self) -> bool:
        """Whether the server closed the exchange with its usage."""
        return bool(self._totals)

    @property
    def given(self) -> int:
        """How many draws the server has said anything about."""
        return sum(part.started for part in self.parts)

    @property
    def has_logprobs(self) -> bool | None:
        """Whether the text came with logprobs, None if there was no text."""
        if any(part.has_logprobs for part in self.parts):
            return True
        return False if any(part.chunks for part in self.parts) else None

    def take(self, reading: Reading) -> None:
        """Sort one reading to its draws."""
        self.said_done |= reading.done
        if self.finished and any(piece.text or piece.reasoning for piece in reading.pieces):
            self._after_stop += 1
        if reading.whole:
            self._take_whole(reading)
            return
        ending = {piece.index for piece in reading.pieces if piece.finish}
        ends_all = all(part.done or at in ending for at, part in enumerate(self.parts))
        usage = reading.usage
        own = usage if usage and len(reading.pieces) == 1 and (self._running or not ends_all) else None
        self._running |= own is not None
        for piece in reading.pieces:
            if piece.index < len(self.parts):  # a choice nobody asked for has no draw; the usage counts it all the same
                self._take_piece(self.parts[piece.index], piece, own.completion if own else None)
        if usage:
            self._learn_prompt(usage.prompt, usage.cached)
            if own is None and usage.completion:
                self._totals.append(usage.completion)
                ended = [part for part in self.parts if part.finish is not None and part.billed is None]
                if len(ended) == 1:  # llama-server closes every choice with a usage of its own
                    ended[0].billed = usage.completion
        if self.close is not None and not self.finished:  # at the very end, the usage is near
            for part in self.parts:
                if part.done and part.closed_at is None:
                    self._close_early(part, self.close)

    def settle(self) -> list[Share]:
        """The bill of every draw that is still open. Call once, when nothing more will come."""
        if self.said_done or self.whole:
            for part in self.parts:
                if part.started and part.finish is None:
                    part.finish = Finish.STOP  # the server forgot to say why
        opened = [part for part in self.parts if part.closed_at is None]
        shares = [Share(p.draw, p.assembler, p.done, p.finish or Finish.STOP) for p in opened]
        heard = [share for share, part in zip(shares, opened, strict=True) if part.started]
        payer = next((share for share in heard if share.done), heard[0] if heard else shares[0] if shares else None)
        if payer is None:
            return shares
        counts, thrown_away = self._split([part for part in opened if part.started])
        for share, count in zip(heard, counts, strict=True):
            share.completion_tokens = count
        payer.thrown_away = thrown_away
        if self.began and not self._prompt_charged:
            payer.prompt_tokens = self._prompt if self.prompt_known else None
            payer.cached_tokens = self._cached
        return shares

    def _take_piece(self, part: _Part, piece: Piece, running: int | None) -> None:
        part.started = True
        part.has_logprobs |= bool(piece.logprobs)
        content = bool(piece.text or piece.reasoning)
        part.chunks += content
        if running is not None:
            tokens = max(0, running - part.tokens)
        else:
            tokens = len(piece.logprobs) or int(content)
        delta = part.assembler.feed(piece.text, reasoning=piece.reasoning, tokens=tokens, logprobs=piece.logprobs)
        if delta is not None and part.closed_at is None:
            self.emit(delta)
        part.finish = part.finish or piece.finish

    def _take_whole(self, reading: Reading) -> None:
        self.whole = True
        pieces = [piece for piece in reading.pieces if piece.index < len(self.parts)]
        weights = [len(piece.logprobs) or len(piece.text) + len(piece.reasoning) for piece in pieces]
        if reading.usage and reading.usage.completion:
            self._learn_prompt(reading.usage.prompt, reading.usage.cached)
            self._totals.append(reading.usage.completion)
            counts = apportion(reading.usage.completion, weights)
        else:  # a server that counts nothing at all: logprobs, or four characters a token
            counts = [len(p.logprobs) or -(-weight // 4) for p, weight in zip(pieces, weights, strict=True)]
        for piece, count in zip(pieces, counts, strict=True):
            part = self.parts[piece.index]
            part.started = True
            part.has_logprobs = bool(piece.logprobs)
            part.chunks = int(bool(piece.text or piece.reasoning))
            part.finish = piece.finish or Finish.STOP
            delta = part.assembler.feed(piece.text, reasoning=piece.reasoning, tokens=count, logprobs=piece.logprobs)
            if delta is not None:
                self.emit(delta)

    def _learn_prompt(self, tokens: int, cached: int) -> None:
        if tokens:  # some servers say 0 for a prompt that was wholly cached
            self._prompt, self.prompt_known = tokens, True
            self._cached = max(self._cached, cached)

    def _close_early(self, part: _Part, close: Callable[[Share], None]) -> None:
        part.closed_at = part.tokens
        share = Share(part.draw, part.assembler, True, part.finish or Finish.STOP, part.tokens)
        if not self._prompt_charged:  # the first one pays; if the length is not known yet, it waits for that
            self._prompt_charged = True
            share.prompt_tokens = self._prompt if self.prompt_known else None
            share.cached_tokens = self._cached
        close(share)

    def _split(self, opened: list[_Part]) -> tuple[list[int], int]:
        """(tokens of each open draw, tokens that closed draws went on to cost)."""
        closed = [part for part in self.parts if part.closed_at is not None]
        thrown_away = sum(part.tokens - (part.closed_at or 0) for part in closed)
        seen = [part.tokens for part in opened]
        total = self._total()
        if total is None:
            return seen, thrown_away
        if not closed and all(part.billed is not None for part in self.parts):
            return [part.billed or 0 for part in self.parts], 0
        left = max(0, total - sum(part.closed_at or 0 for part in closed))
        if not opened:
            return [], left
        thrown_away = min(thrown_away, left)
        left -= thrown_away
        if sum(seen) == left:
            return seen, thrown_away
        weights = seen if sum(seen) < left else [part.chunks for part in opened]
        return apportion(left, weights), thrown_away

    def _total(self) -> int | None:
        """Completion tokens of the whole exchange as the server counted them, None if it did not."""
        if not self._totals:
            return None
        n = len(self.parts)
        if n > 1 and len(self._totals) == n:
            return sum(self._totals)
        total = self._totals[-1]
        seen = [part.chunks for part in self.parts]
        if n > 1 and not self.whole and total < sum(seen) and total <= max(seen) + 1:
            return None  # it counted one choice of n (seen with llama.cpp): fewer tokens than chunks cannot be
        return total
