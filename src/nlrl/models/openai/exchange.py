"""One HTTP exchange for n draws: the pieces sorted to their draws, and every token of it charged to one of them.

Whose count holds, best first: the server's usage for the whole exchange, split over the draws; its running usage on
each chunk (vLLM's `continuous_usage_stats`), which also counts a stream that is cut; where it tells neither, the upper
bound of `token_bounds`, labelled as an estimate. A prompt is charged once an exchange, on its first draw.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nlrl.core import Delta, Finish, Request
from nlrl.models.openai.wire import Piece, Reading, apportion
from nlrl.models.streams import Assembler
from nlrl.models.token_bounds import byte_size, text_bound, unheard

# Tokens read after our own stop rule held, in the hope that the server ends by itself and reports its exact usage.
# Closing at once would save them, but would leave the prompt and what is under way uncounted.
GRACE_TOKENS = 16

Emit = Callable[[Delta], None]


@dataclass(slots=True)
class Draw:
    """One draw of a request, over all its tries.

    index         relative to the request
    blind         prompts of broken tries that were evaluated, but whose length the server has not told (yet)
    unheard       of these, prompts of tries that were not heard to begin
    estimated     of the lost tokens, those that the server did not tell
    calls         broken tries that the server had begun
    """

    index: int
    seed: int | None = None
    lost_prompt_tokens: int = 0
    lost_completion_tokens: int = 0
    blind: int = 0
    unheard: int = 0
    estimated: int = 0
    calls: int = 0


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
    estimated: int = 0  # of the two, what the server did not tell
    calls: int = 1  # 0 where the server had not begun this draw
    heard: bool = True  # the server has begun to answer


@dataclass(slots=True)
class _Part:
    """One draw in this exchange. `chunks`: pieces with content, the least that it can have cost."""

    draw: Draw
    assembler: Assembler
    chunks: int = 0
    bytes: int = 0
    finish: Finish | None = None
    started: bool = False
    has_logprobs: bool = False
    closed_at: int | None = None  # tokens with which it was closed before the exchange ended
    first_at: float = 0.0  # when its first piece came, by `time.monotonic`
    last_at: float = 0.0
    billed: int | None = None  # its tokens by a usage of its own

    @property
    def done(self) -> bool:
        return self.finish is not None or self.assembler.stopped is not None

    @property
    def tokens(self) -> int:
        return self.assembler.tokens


@dataclass(slots=True, eq=False)
class Exchange:
    """Takes readings, emits deltas, and in the end shares out the bill.

    close   called with a draw as soon as it is finished, with the count so far, instead of letting it wait for the
            usage of all. The draw that finishes last gets the difference, so that the sum stays exact. None: all wait
    silent  the server is known to tell no usage, so that a draw that is closed early is closed with its bound
    streams whether the pieces come as they are made; what is not streamed, servers finish for nobody
    sent    when the whole request was on its way, so that the server may have begun it; None: not yet
    ended   it was the server that closed the connection: it goes on with nothing that nobody hears
    """

    request: Request
    draws: list[Draw]
    emit: Emit
    close: Callable[[Share], None] | None = None
    silent: bool = False
    streams: bool = True
    sent: float | None = None
    ended: bool = False
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

    def began_to_send(self) -> None:
        """The whole request is on its way."""
        self.sent = time.monotonic()

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
        return self._after_stop >= GRACE_TOKENS

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

    def settle(self, *, cut: bool = False, refused: bool = False, tokens_per_s: float | None = None) -> list[Share]:
        """The bill of every draw that is still open. Call once, when nothing more will come.

        cut           it broke off, or we hung up: draws of which nothing was heard may have been begun all the same
        refused       the server did not take it up; only where it has not begun to answer
        tokens_per_s  the fastest that one draw was seen to grow there
        """
        if self.said_done or self.whole:
            for part in self.parts:
                if part.started and part.finish is None:
                    part.finish = Finish.STOP  # the server forgot to say why
        opened = [part for part in self.parts if part.closed_at is None]
        began = self.began
        shares = [Share(p.draw, p.assembler, p.done, p.finish or Finish.STOP, calls=0, heard=began) for p in opened]
        if not began and (refused or self.sent is None):
            return shares
        paying = [(s, p) for s, p in zip(shares, opened, strict=True) if p.started or cut]
        for share, _ in paying:
            share.calls = 1
        payer = next((s for s, _ in paying if s.done), paying[0][0] if paying else shares[0] if shares else None)
        if payer is None:
            return shares
        thrown_away, unsure = self._split(paying, tokens_per_s)
        payer.thrown_away = thrown_away
        payer.estimated += unsure
        if not self._prompt_charged:
            payer.prompt_tokens = self._prompt if self.prompt_known else None
            payer.cached_tokens = self._cached
        return shares

    def _take_piece(self, part: _Part, piece: Piece, running: int | None) -> None:
        part.started = True
        part.last_at = time.monotonic()
        part.first_at = part.first_at or part.last_at
        part.has_logprobs |= bool(piece.logprobs)
        content = bool(piece.text or piece.reasoning)
        part.chunks += content
        part.bytes += byte_size(piece.text) + byte_size(piece.reasoning)
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
        if reading.usage:
            self._learn_prompt(reading.usage.prompt, reading.usage.cached)
        if reading.usage and reading.usage.completion:
            self._totals.append(reading.usage.completion)
            counts = apportion(reading.usage.completion, weights)
        else:
            counts = [len(p.logprobs) or text_bound(byte_size(p.text + p.reasoning), None) for p in pieces]
        for piece, count in zip(pieces, counts, strict=True):
            part = self.parts[piece.index]
            part.started = True
            part.has_logprobs = bool(piece.logprobs)
            part.chunks = int(bool(piece.text or piece.reasoning))
            part.bytes = byte_size(piece.text) + byte_size(piece.reasoning)
            part.last_at = time.monotonic()
            part.finish = piece.finish or Finish.STOP
            delta = part.assembler.feed(piece.text, reasoning=piece.reasoning, tokens=count, logprobs=piece.logprobs)
            if delta is not None:
                self.emit(delta)

    def _learn_prompt(self, tokens: int, cached: int) -> None:
        if tokens:  # some servers say 0 for a prompt that was wholly cached
            self._prompt, self.prompt_known = tokens, True
            self._cached = max(self._cached, cached)

    def _close_early(self, part: _Part, close: Callable[[Share], None]) -> None:
        tokens, unsure = self._bound(part, None) if self.silent and part.finish else (part.tokens, 0)
        part.closed_at = tokens
        share = Share(part.draw, part.assembler, True, part.finish or Finish.STOP, tokens, estimated=unsure)
        if not self._prompt_charged:  # the first one pays; if the length is not known yet, it waits for that
            self._prompt_charged = True
            share.prompt_tokens = self._prompt if self.prompt_known else None
            share.cached_tokens = self._cached
        close(share)

    def _split(self, paying: list[tuple[Share, _Part]], tokens_per_s: float | None) -> tuple[int, int]:
        """Charge the open draws. (tokens that closed draws went on to cost, of these what the server did not tell)."""
        closed = [part for part in self.parts if part.closed_at is not None]
        total = self._total()
        if total is None:
            for share, part in paying:
                share.completion_tokens, share.estimated = self._bound(part, tokens_per_s)
            bounds = [(self._bound(part, tokens_per_s), part.closed_at or 0) for part in closed]
            return sum(n - was for (n, _), was in bounds), sum(max(0, unsure - was) for (_, unsure), was in bounds)
        opened = [part for _, part in paying]
        thrown_away = sum(part.tokens - (part.closed_at or 0) for part in closed)
        if not closed and all(part.billed is not None for part in self.parts):
            counts, thrown_away = [part.billed or 0 for part in opened], 0
        else:
            left = max(0, total - sum(part.closed_at or 0 for part in closed))
            if not opened:
                return left, 0
            thrown_away = min(thrown_away, left)
            left -= thrown_away
            counts = [part.tokens for part in opened]
            if sum(counts) != left:
                counts = apportion(left, counts if sum(counts) < left else [part.chunks for part in opened])
        for (share, _), count in zip(paying, counts, strict=True):
            share.completion_tokens = count
        return thrown_away, 0

    def _bound(self, part: _Part, tokens_per_s: float | None) -> tuple[int, int]:
        """(tokens that the draw can have cost, of these what the server did not tell)."""
        heard, told = self._heard(part)
        if part.finish is None and not (self._running and self.ended):
            since = part.last_at if part.started else self.sent
            seconds = time.monotonic() - since if since is not None and self.streams else None
            speed = max(filter(None, (tokens_per_s, self._speed(part))), default=None)
            heard += unheard(seconds, speed, self.request.sampling.max_tokens, heard)
        return heard, heard - told

    def _heard(self, part: _Part) -> tuple[int, int]:
        """(tokens that what came of the draw can have cost, of these what the server told)."""
        if self._running or not part.started:
            return part.tokens, part.tokens
        if part.has_logprobs:
            return part.tokens + 1, part.tokens
        return text_bound(part.bytes, self.request.sampling.max_tokens), 0

    def speeds(self) -> list[float]:
        """Tokens a second at which the draws were seen to grow; of a whole answer, over all the time it took."""
        return [speed for part in self.parts if (speed := self._speed(part)) is not None]

    def _speed(self, part: _Part) -> float | None:
        seconds = part.last_at - (part.first_at if not self.whole else self.sent or self.started)
        return self._heard(part)[0] / seconds if part.started and seconds > 0 else None

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
