"""What is sent to a model and what comes back.

    Request(messages=(user("What is 17 + 25?"),), sampling=Sampling(temperature=0.8, max_tokens=64), n=8)
    -> 8 Completions, each with its own text, finish reason and tokens

Two sampled texts under one `Sampling` differ by their *index*: `Request.first_index=4, n=2` asks for draws 4 and 5.
Together (model, messages, prefill, sampling, index) name one sample for ever: that is the key of the bank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn. `role` is "system", "user" or "assistant"."""

    role: str
    content: str


def system(content: str) -> Message:
    """A system message."""
    return Message("system", content)


def user(content: str) -> Message:
    """A user message."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """An assistant message."""
    return Message("assistant", content)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. None means "not set": it is not forwarded, and the model's own default holds.

    stop        strings that end a completion; not part of its text
    stop_after  a phrase (any case); the completion ends with the line on which the phrase stands,
                once that line has something after the phrase: the answer line after "Final Answer:"
                If nothing follows it there, the next line that has something counts; an answer that opens a block
                (a code fence, $$, \\[) runs to the line that closes it
    seed        draw i uses seed + i where the backend takes seeds
    logprobs    number of alternatives to report per token; 0 reports the sampled token only
    grammar     GBNF, where `Capabilities.grammar`
    json_schema a JSON Schema as text, where the backend takes one
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_after: str | None = None
    seed: int | None = None
    logprobs: int | None = None
    grammar: str | None = None
    json_schema: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """n draws on one prompt. `prefill` is the start of the assistant's answer, to be continued.

    again  asked before a draw is begun once more after a try that cost something, with the number of such draws:
           whether that may be spent too. None: it may
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    n: int = 1
    first_index: int = 0
    prefill: str = ""
    again: Callable[[int], bool] | None = field(default=None, compare=False, repr=False)


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"  # the end token or a stop string
    RULE = "rule"  # one of our own stop rules (`Sampling.stop_after`, a gist rule)
    LENGTH = "length"  # max_tokens or the end of the context
    CANCELLED = "cancelled"  # we no longer wanted it
    TIMEOUT = "timeout"  # a time limit of ours
    FILTER = "content_filter"  # the server withheld it
    ERROR = "error"  # it failed; `Completion.error` says how, and `text` is what had arrived


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One sampled token: its text, its natural-log probability, and the best alternatives (text, logprob)."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Gist:
    """A piece of a completion as it streamed: about a line of text.

    tokens   number of tokens in the piece
    logprob  mean natural-log probability of its tokens, None where the backend gave none
    seconds  since the request was sent, when the piece was complete
    """

    text: str
    tokens: int
    logprob: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Completion:
    """One draw. Token counts are what the server counted, or exact counts of the embedded engine.

    prompt_tokens    charged to this draw. n draws that share one prompt evaluation charge it once, on the first
    cached_tokens    of those, how many came from a prefix cache
    lost_*_tokens    paid for in tries that broke before this draw was complete (retries)
    estimated_tokens of all these, how many the server did not tell: an upper bound (`nlrl.models.token_bounds`)
    calls            how often it was begun at the server: once, more with retries, never where it was refused
    error            what failed, if `finish` is ERROR; an error text is never the `text`
    """

    text: str
    finish: Finish
    completion_tokens: int
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    gists: tuple[Gist, ...] = ()
    seconds: float = 0.0
    seed: int | None = None
    error: str | None = None
    lost_prompt_tokens: int = 0
    lost_completion_tokens: int = 0
    estimated_tokens: int = 0
    calls: int = 1

    @property
    def ok(self) -> bool:
        """Whether this draw may become a candidate."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of stream `index` (0 .. n-1, relative to the request). The last one carries the whole completion."""

    index: int
    text: str = ""
    reasoning: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in any one currency."""

    prompt_per_million: float = 0.0
    completion_per_million: float = 0.0
    cached_per_million: float | None = None  # None: cached tokens cost as much as fresh ones


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do: probed, never assumed.

    n                 n draws share one prompt evaluation, charged once
    n_most            the most draws that are known to share one; None: any number
    logprobs, prefill, grammar, json_schema, seed, prompt_logprobs
                      what may be asked of it. Requests are made by these, and requests are the bank's keys, so each
                      says the same from the first draw to the last, whatever is found out on the way
    ignores           of those, what it was asked for and did not give, as far as is known by now: for people to see
    context_tokens    longest prompt plus completion, None if unknown
    parameters        number of weights, for FLOPs; None if unknown
    """

    n: bool = False
    logprobs: bool = False
    prefill: bool = False
    grammar: bool = False
    json_schema: bool = False
    seed: bool = False
    prompt_logprobs: bool = False
    context_tokens: int | None = None
    parameters: int | None = None
    prices: Prices | None = field(default=None)
    ignores: frozenset[str] = frozenset()
    n_most: int | None = None
