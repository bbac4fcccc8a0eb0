"""From pieces to completions: every backend feeds what arrives into one `Assembler` per draw.

    draw = Assembler(index, request.sampling, prefix=request.prefill, seed=seed)
    async for chunk in server:
        if delta := draw.feed(chunk.text, tokens=1, logprobs=chunk.logprobs):
            yield delta
        if draw.stopped:                      # a stop string or the answer line: nothing more of it is wanted
            break
    yield draw.finish(Finish.STOP)            # the last delta, with the whole Completion

Stop strings are found wherever pieces split them, and never shown in part: text that may be the start of one is held
back until the next piece decides. Only generated text can stop a draw. `prefix` (the prefill) is looked at for one
thing: an answer line that it opened and left open ("Final Answer:").
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from nlrl.core import Completion, Delta, Finish, Gist, Sampling, TokenLogprob

GIST_TOKENS = 32  # a gist without a line break is closed after this many tokens

_MARKUP = " \t\r*_#>:"  # on an otherwise empty line these are not yet an answer: "**Final Answer:**"
_BLOCKS = (("```", "```"), ("$$", "$$"), ("\\[", "\\]"))  # an answer that opens one of these ends where it closes


def first_stop(text: str, stops: Iterable[str], start: int = 0) -> tuple[int, str] | None:
    """Where the first stop string at or after `start` begins, and which (the longest of several that begin there)."""
    found = [(at, -len(stop), stop) for stop in stops if stop and (at := text.find(stop, start)) >= 0]
    if not found:
        return None
    at, _, stop = min(found)
    return at, stop


def answer_line_end(text: str, phrase: str, start: int = 0) -> int | None:
    """Where the answer after `phrase` (any case) ends, or None while it is not complete.

    The answer is the rest of the phrase's line; if nothing stands there, the next line that has something. If it opens
    a code fence or display mathematics, it ends with the line that closes it.

    >>> answer_line_end("Final Answer: 42\\nBecause", "final answer:")
    16
    """
    hit = re.compile(re.escape(phrase), re.IGNORECASE).search(text, start)
    if not phrase or hit is None:
        return None
    at = hit.end()
    while (end := text.find("\n", at)) >= 0:
        line = text[at:end].strip(_MARKUP)
        for opening, closing in _BLOCKS:
            if line.startswith(opening):
                closed = text.find(closing, text.index(opening, at) + len(opening))
                closed_line = text.find("\n", closed) if closed >= 0 else -1
                return closed_line if closed_line >= 0 else None
        if line:
            return end
        at = end + 1
    return None


def open_answer(prefix: str, phrase: str | None) -> str:
    """The tail of `prefix` from an occurrence of `phrase` whose answer is still to come; "" if there is none."""
    if not phrase:
        return ""
    hits = list(re.finditer(re.escape(phrase), prefix, re.IGNORECASE))
    tail = prefix[hits[-1].start() :] if hits else ""
    return tail if tail and answer_line_end(tail, phrase) is None else ""


def _encodable(text: str) -> str:
    """The text with lone surrogates replaced: a server's JSON may hold them, and no file, bank or page can."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _encodable_token(scored: TokenLogprob) -> TokenLogprob:
    if scored.token.isascii() and all(token.isascii() for token, _ in scored.top):
        return scored
    top = tuple((_encodable(token), logprob) for token, logprob in scored.top)
    return TokenLogprob(_encodable(scored.token), scored.logprob, top)


class Assembler:
    """One draw in the making.

    index     of the draw, relative to the request (0 .. n-1)
    sampling  its `stop` and `stop_after` are applied here, whether or not the backend applies them too
    prefix    the request's prefill
    through   more stop strings, after which the draw ends: they are part of its text
    seed      the seed this draw used, for the record
    started   `clock()` when the request was sent; gists and `seconds` count from it
    """

    def __init__(
        self,
        index: int,
        sampling: Sampling,
        *,
        prefix: str = "",
        through: Sequence[str] = (),
        seed: int | None = None,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.index = index
        self.sampling = sampling
        self.seed = seed
        self.text = ""
        self.reasoning = ""
        self.tokens = 0
        self.stopped: Finish | None = None
        self._stops = tuple(stop for stop in sampling.stop if stop)
        self._through = tuple(stop for stop in through if stop)
        self._phrase = sampling.stop_after or ""
        # the phrase itself may be split between prefill and completion: keep enough of the prefill to see it
        self._before = open_answer(prefix, self._phrase) or prefix[len(prefix) - max(0, len(self._phrase) - 1) :]
        self._shown = 0
        self._searched = 0
        self._phrase_at = 0 if open_answer(prefix, self._phrase) else None
        self._logprobs: list[TokenLogprob] = []
        self._gists: list[Gist] = []
        self._gist = _OpenGist()
        self._clock = clock
        self._started = clock() if started is None else started

    def feed(
        self, text: str = "", *, reasoning: str = "", tokens: int = 0, logprobs: Sequence[TokenLogprob] = ()
    ) -> Delta | None:
        """Take a piece as it arrived; returns what may be shown of it, None if that is nothing.

        `tokens` is what the piece cost, 0 where that is not known per piece. After `stopped`, pieces are only counted.
        """
        self.tokens += tokens
        text, reasoning = _encodable(text), _encodable(reasoning)
        logprobs = [_encodable_token(scored) for scored in logprobs]
        if self.stopped:
            return Delta(self.index, tokens=tokens) if tokens else None
        self.text += text
        self.reasoning += reasoning
        self._logprobs += logprobs
        self._gist.add(tokens, logprobs)  # also of a piece without text: half a character, held back
        if text:
            self._apply_rules()
        shown = self._show(len(self.text) if self.stopped else len(self.text) - self._held_back())
        if not (shown or reasoning or tokens or logprobs):
            return None
        return Delta(self.index, shown, reasoning, tokens, tuple(logprobs))

    def finish(
        self,
        finish: Finish,
        *,
        completion_tokens: int | None = None,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        error: str | None = None,
        lost_prompt_tokens: int = 0,
        lost_completion_tokens: int = 0,
        estimated_tokens: int = 0,
        calls: int = 1,
    ) -> Delta:
        """The last delta. `completion_tokens` is the server's own count, None to use the sum of what was fed.

        A rule that held before decides over `finish`, except that an error stays an error.
        """
        shown = self._show(len(self.text))
        self._close_gist()
        completion = Completion(
            text=self.text,
            finish=Finish.ERROR if error is not None else (self.stopped or finish),
            completion_tokens=self.tokens if completion_tokens is None else completion_tokens,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            reasoning=self.reasoning,
            logprobs=tuple(self._logprobs) if self.sampling.logprobs is not None else None,
            gists=tuple(self._gists),
            seconds=self._clock() - self._started,
            seed=self.seed,
            error=error,
            lost_prompt_tokens=lost_prompt_tokens,
            lost_completion_tokens=lost_completion_tokens,
            estimated_tokens=estimated_tokens,
            calls=calls,
        )
        return Delta(self.index, shown, completion=completion)

    def _apply_rules(self) -> None:
        longest = max(map(len, self._stops), default=0)
        hit = first_stop(self.text, self._stops, max(0, self._searched - longest + 1))
        cut = hit[0] if hit else None
        if (end := self._answer_end()) is not None and (cut is None or end < cut):
            cut, self.stopped = end, Finish.RULE
        elif cut is not None:
            self.stopped = Finish.STOP
        longest = max(map(len, self._through), default=0)
        hit = first_stop(self.text, self._through, max(0, self._searched - longest + 1))
        if hit and (cut is None or sum((hit[0], len(hit[1]))) <= cut):
            cut, self.stopped = hit[0] + len(hit[1]), Finish.RULE
        if cut is not None:
            self.text = self.text[:cut]
        self._searched = len(self.text)

    def _answer_end(self) -> int | None:
        """End of the answer line within `self.text`, if it is complete."""
        if not self._phrase:
            return None
        seen, offset = self._before + self.text, len(self._before)
        if self._phrase_at is None:
            start = max(0, offset + self._searched - len(self._phrase) + 1)
            hit = re.compile(re.escape(self._phrase), re.IGNORECASE).search(seen, start)
            if hit is None:
                return None
            self._phrase_at = hit.start()
        end = answer_line_end(seen, self._phrase, self._phrase_at)
        return None if end is None else max(0, end - offset)

    def _held_back(self) -> int:
        """Length of the longest end of the text that may be the start of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(self.text) - self._shown), 0, -1):
            if any(stop.startswith(self.text[-size:]) for stop in self._stops):
                return size
        return 0

    def _show(self, upto: int) -> str:
        shown = self.text[self._shown : max(upto, self._shown)]
        self._shown += len(shown)
        self._gist.text += shown
        if self._gist.tokens >= GIST_TOKENS or ("\n" in shown and not self._gist.text.isspace()):
            self._close_gist()  # an empty line belongs to the text that follows it
        return shown

    def _close_gist(self) -> None:
        if self._gist.text:
            self._gists.append(self._gist.close(self._clock() - self._started))
            self._gist = _OpenGist()

    @property
    def gists(self) -> tuple[Gist, ...]:
        """The gists that are complete."""
        return tuple(self._gists)


class _OpenGist:
    """A gist that still grows. Its tokens are those of whole pieces: a piece is never divided by guess."""

    def __init__(self) -> None:
        self.text = ""
        self.tokens = 0
        self.logprobs: list[float] = []

    def add(self, tokens: int, logprobs: Sequence[TokenLogprob]) -> None:
        self.tokens += tokens
        self.logprobs += [one.logprob for one in logprobs]

    def close(self, seconds: float) -> Gist:
        mean = sum(self.logprobs) / len(self.logprobs) if self.logprobs else None
        return Gist(self.text, self.tokens, mean, seconds)


async def gather(stream: AsyncIterator[Delta]) -> list[Completion]:
    """Read a stream to its end: its completions in index order. The stream is closed, also if this is cancelled."""
    done: dict[int, Completion] = {}
    try:
        async for delta in stream:
            if delta.completion is not None:
                done[delta.index] = delta.completion
    finally:
        if (aclose := getattr(stream, "aclose", None)) is not None:  # a plain iterator has nothing to close
            await aclose()
    return [done[index] for index in sorted(done)]


def cut_draws(
    tokens: Mapping[int, int], prompt_tokens: int, finished: Mapping[int, Completion]
) -> dict[int, Completion]:
    """What an engine's draws cost that were begun and not finished: `Model.stream`'s `cut`.

    tokens         generated so far, by draw; only those that were begun
    prompt_tokens  evaluated for the prompt, over all its evaluations; what no finished draw has paid the first pays
    """
    unpaid = max(0, prompt_tokens - sum(c.prompt_tokens for c in finished.values()))
    bills: dict[int, Completion] = {}
    for index, count in tokens.items():
        if index not in finished:
            bills[index] = Completion("", Finish.CANCELLED, count, prompt_tokens=0 if bills else unpaid)
    return bills
