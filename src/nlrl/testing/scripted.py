"""Two models without weights: one says what it is told, one is right as often as it is told.

    ScriptedModel(["Final Answer: 41", "Final Answer: 42"])            # replies in the order of the draws
    ScriptedModel({"capital of France": "Paris", "": "no idea"})       # by what the last message contains
    ScriptedModel(lambda request, index: f"draw {index}")              # by function
    StochasticModel(problems, p_correct=0.6, seed=1)                   # below

They keep the contract of `Model` to the letter (indices, stop rules, limits, counts, cancellation), so that tests of
what stands on models need no patching.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nlrl.core import Capabilities, Completion, Delta, Finish, Message, Prices, Request, UserError
from nlrl.models.streams import Assembler, gather
from nlrl.testing.scripted_words import logprobs, pieces, prompt_tokens
from nlrl.testing.stochastic import StochasticModel


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted draw.

    error      the draw fails with this message after its text, which then counts as what had arrived
    logprob    of every token, where the request asks for logprobs
    seconds    before it begins
    """

    text: str = ""
    reasoning: str = ""
    error: str | None = None
    logprob: float = -0.1
    seconds: float = 0.0


Said = str | Reply | Exception
Replies = Sequence[Said] | Mapping[str, Said | Sequence[Said]] | Callable[[Request, int], Said]


class ScriptedModel:
    """Says what it is told.

    replies        a sequence: one for each draw, in the order of the requests; running out is an error unless `cycle`.
                   A mapping: the first key that the last message contains decides; of several replies, draw i gets
                   number i (cyclic). A function of the request and the draw's index (first_index included).
                   An Exception among the replies is raised: the request as a whole fails
    token_seconds  time a token takes
    requests       what it was asked so far, in order
    """

    def __init__(
        self,
        replies: Replies,
        *,
        cycle: bool = False,
        name: str = "scripted",
        token_seconds: float = 0.0,
        context_tokens: int | None = None,
        parameters: int | None = None,
        prices: Prices | None = None,
    ) -> None:
        if isinstance(replies, str):
            replies = [replies]
            cycle = True
        self._replies = replies
        self._cycle = cycle
        self._name = name
        self._token_seconds = token_seconds
        self._said = 0
        self.requests: list[Request] = []
        self._can = Capabilities(
            n=True,
            logprobs=True,
            prefill=True,
            seed=True,
            context_tokens=context_tokens,
            parameters=parameters,
            prices=prices,
        )

    @property
    def name(self) -> str:
        """Identity, as given."""
        return self._name

    @property
    def can(self) -> Capabilities:
        """All but grammars and schemas."""
        return self._can

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model."""
        return await gather(self.stream(request))

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Deltas, one token each, the draws in turn; see Model."""
        self.requests.append(request)
        replies = [self._reply(request, index) for index in range(request.n)]
        draws = [_play(request, index, reply) for index, reply in enumerate(replies)]
        await asyncio.sleep(max((reply.seconds for reply in replies), default=0.0))
        while draws:
            for draw in list(draws):
                if self._token_seconds:
                    await asyncio.sleep(self._token_seconds)
                delta = next(draw)
                if delta.completion is not None:
                    draws.remove(draw)
                yield delta

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """Words and marks, and three for the frame of each message."""
        return prompt_tokens(tuple(messages), prefill)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _reply(self, request: Request, index: int) -> Reply:
        replies = self._replies
        if callable(replies):
            said = replies(request, request.first_index + index)
        elif isinstance(replies, Mapping):
            last = request.messages[-1].content if request.messages else ""
            found = next((value for key, value in replies.items() if key in last), None)
            if found is None:
                raise UserError(f"The script has no reply to {last[:80]!r}. Add one under the key '' for all the rest.")
            if isinstance(found, str | Reply | Exception):
                said = found
            elif found:
                said = found[(request.first_index + index) % len(found)]
            else:
                raise UserError("The script holds an empty list of replies. Give at least one.")
        else:
            if self._said >= len(replies) and not (self._cycle and replies):
                raise UserError(f"The script of {len(replies)} replies is at its end. Add replies, or say cycle=True.")
            said = replies[self._said % len(replies)]
            self._said += 1
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply(str(said))


def _play(request: Request, index: int, reply: Reply) -> Iterator[Delta]:
    """The deltas of one draw."""
    sampling = request.sampling
    seed = None if sampling.seed is None else sampling.seed + request.first_index + index
    draw = Assembler(index, sampling, prefix=request.prefill, seed=seed)
    charge = prompt_tokens(request.messages, request.prefill) if index == 0 else 0
    finish = Finish.STOP
    thoughts = pieces(reply.reasoning)
    for at, piece in enumerate([*thoughts, *pieces(reply.text)]):
        if draw.stopped:
            break
        if sampling.max_tokens is not None and at >= sampling.max_tokens:
            finish = Finish.LENGTH
            break
        thinks = at < len(thoughts)
        scored = () if thinks or sampling.logprobs is None else logprobs(piece, reply.logprob, sampling.logprobs)
        delta = draw.feed("" if thinks else piece, reasoning=piece if thinks else "", tokens=1, logprobs=scored)
        yield delta or Delta(index)
    yield draw.finish(finish, prompt_tokens=charge, error=reply.error)


__all__ = ["Reply", "ScriptedModel", "StochasticModel"]
