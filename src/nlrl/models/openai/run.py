"""One request carried to its end: as few exchanges as the server allows, repeated until every draw has an outcome.

    run = Run(model=..., known=..., server=..., request=request, emit=deltas.append)
    await run.go()            # emits deltas; the last of each draw carries its Completion

n draws go out as one exchange if the server takes n, else as n exchanges at once. A draw that failed and cannot be
repeated any more becomes a Completion with `error`; only a request of which no draw can succeed raises.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from nlrl.core import Completion, Delta, Finish, ModelError, ModelRefused, ModelUnavailable, PromptTooLong, Request
from nlrl.models.openai.exchange import Draw, Emit, Exchange, Share
from nlrl.models.openai.server import Known, Patience, Server
from nlrl.models.openai.watch import Watch
from nlrl.models.openai.wire import Use, payload
from nlrl.models.streams import Assembler
from nlrl.models.token_bounds import prompt_bound
from nlrl.transport.failures import CallFailed, FailureKind

_CLOSING_S = 2.0  # how long the usage may lag behind the last piece of text
_FIRST_CONTACT_RETRIES = 2  # of a server that has never been reached: the address is likely wrong
_LONGEST_SHARED_PAUSE_S = 60.0
_MENTIONS = {  # how servers name the field they do not take
    "continuous_usage_stats": re.compile(r"continuous_usage_stats"),
    "stream_options": re.compile(r"stream_options|include_usage"),
    "max_tokens": re.compile(r"max_completion_tokens"),
    "n": re.compile(
        r"""["'`]n["'`]|\bn\b\s*(?:>|<|=|!=|must|should|is|parameter|value)|parameter n\b|multiple choices"""
    ),
    "stream": re.compile(r"""\bstream(?:ing)?\b(?!_)"""),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to ask: what all requests of one model share."""

    model: str
    headers: Mapping[str, str]
    secret: str
    patience: Patience
    max_bytes: int
    grammar_field: str | None
    extra_body: Mapping[str, Any]
    count_prompt: Callable[[Request], Awaitable[int | None]]


@dataclass(frozen=True, slots=True)
class _Try:
    """How far one call has got.

    without    optional fields left out, because the server named them (`named`) or on suspicion
    suspected  all that was left out so far
    refusal    the first one: it says what was wrong with the request as it was meant
    """

    tries: int = 0
    seconds: float = 0.0
    without: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    suspected: tuple[frozenset[str], ...] = ()
    refusal: CallFailed | None = None
    refused_n: int = 0
    most: int = 1  # draws per exchange once n was refused


@dataclass(slots=True)
class Run:
    """One request. `eager`: hand over every draw as soon as it is finished."""

    target: Target
    known: Known
    server: Server
    request: Request
    emit: Emit
    eager: bool = False
    _group: asyncio.TaskGroup = field(init=False)
    _late: list[Share] = field(default_factory=list)  # done, but the length of the prompt is not known yet
    _given_up: list[tuple[Share, CallFailed]] = field(default_factory=list)
    _answered: bool = False
    _open: set[Exchange] = field(default_factory=set)  # under way, so that a cut can be charged
    _draws: list[Draw] = field(default_factory=list)
    finished: dict[int, Completion] = field(default_factory=dict)

    async def go(self) -> None:
        """Run to the end. Raises ModelRefused, PromptTooLong or ModelUnavailable if no draw can succeed."""
        sampling, first = self.request.sampling, self.request.first_index
        seeds = [None if sampling.seed is None else sampling.seed + first + i for i in range(self.request.n)]
        async with asyncio.TaskGroup() as self._group:
            self._draws = [Draw(index, seed) for index, seed in enumerate(seeds)]
            self._send(self._draws, _Try())
        if self._given_up and not self._answered:
            self._raise_if_hopeless()
        for share, failure in self._given_up:
            self._finish(share, *await self._prompt_price(share), error=str(failure))
        for share in self._late:
            self._finish(share, *await self._prompt_price(share))

    def cut(self) -> dict[int, Completion]:
        """What the draws have cost that were begun and will not be finished. Call it once, when `go` was cancelled."""
        price = self.known.prompt_tokens(self.request)
        unsure = price is None
        if price is None:
            price = prompt_bound(self.request.messages, self.request.prefill)
        shares = [share for exchange in self._open for share in self._settle(exchange, cut=True)]
        shares += [*self._late, *(share for share, _ in self._given_up)]
        held = {share.draw.index for share in shares}
        shares += [
            Share(draw, Assembler(draw.index, self.request.sampling), False, calls=0)
            for draw in self._draws
            if draw.index not in held
        ]
        bills: dict[int, Completion] = {}
        for share in shares:
            if share.draw.index not in self.finished and share.calls + share.draw.calls:
                share.finish = Finish.CANCELLED
                if (bill := self._bill(share, price, unsure).completion) is not None:
                    bills[share.draw.index] = bill
        return bills

    def _send(self, draws: list[Draw], so_far: _Try) -> None:
        """Start as many calls as it takes."""
        most = self.request.n
        if self.known.n_refused is not None and len(draws) >= self.known.n_refused:
            most = self.known.n_given
        if "n" in so_far.without:
            most = so_far.most
        at = 0
        while at < len(draws):
            end = min(at + most, len(draws))
            if draws[at].seed is not None:  # choice k of an exchange gets its seed + k: only neighbours may share one
                end = next((i for i in range(at + 1, end) if draws[i].index != draws[i - 1].index + 1), end)
            self._group.create_task(self._call(draws[at:end], so_far))
            at = end

    async def _call(self, draws: list[Draw], so_far: _Try) -> None:
        """Ask for these draws until they are done, given up, or sent on in another shape."""
        patience = self.target.patience
        while True:  # ends: every round uses up a retry or a suspicion
            use = self._use(len(draws), so_far)
            async with self.server.limit.slot(urgent=so_far != _Try()) as ticket:
                silent = self.known.stream_usage is False and self.known.whole_usage is False
                exchange = Exchange(self.request, draws, self.emit, self._close if self.eager else None, silent)
                self._open.add(exchange)
                failure = await self._exchange(exchange, use)
                self._open.discard(exchange)
                seconds = so_far.seconds + time.monotonic() - exchange.started
                if failure is not None and failure.overload:
                    pause = failure.retry_after_s or 0.0
                    self.server.limit.overloaded(ticket, pause if pause <= _LONGEST_SHARED_PAUSE_S else 0.0)
                elif failure is None:
                    self.server.limit.succeeded(ticket)
            self._learn(exchange, failure)
            shares = self._settle(exchange, failure)
            open_shares = [share for share in shares if not share.done]
            for share in shares:
                if share.done and self.eager:
                    self._answered = True
                    self._finish(share, *await self._prompt_price(share))
                elif share.done:
                    self._close(share)
            if failure is None:
                self._learn_fields(use, exchange, so_far)
                if open_shares:  # the server took the request, and gave fewer choices
                    self._keep_losses(open_shares)
                    self._send([share.draw for share in open_shares], so_far)
                return
            if not open_shares:
                return
            if (suspicion := self._suspicion(failure, use, len(draws), so_far)) is not None:
                so_far = replace(suspicion, seconds=seconds)
                if len(draws) > 1 and "n" in so_far.without:
                    self._send(draws, so_far)
                    return
                continue
            if failure.kind is FailureKind.REFUSED:
                failure = so_far.refusal or failure
            wait = self._pause(failure, so_far.tries)
            hopeless = not failure.transient or so_far.tries >= self._retries(failure)
            if hopeless or seconds + wait > patience.total_s or not self._may_again(open_shares, failure):
                self._give_up(open_shares, failure, so_far.tries + 1, wait, seconds)
                return
            self.known.stats.retries[failure.kind] += 1
            self._keep_losses(open_shares)
            so_far = replace(so_far, tries=so_far.tries + 1, seconds=seconds + wait)
            await asyncio.sleep(wait)
            if len(open_shares) < len(draws):
                self._send([share.draw for share in open_shares], so_far)
                return

    def _settle(self, exchange: Exchange, failure: CallFailed | None = None, *, cut: bool = False) -> list[Share]:
        exchange.ended = failure is not None and failure.kind is not FailureKind.TIMEOUT
        for speed in exchange.speeds():
            self.known.learn_speed(speed)
        shares = exchange.settle(
            cut=cut or failure is not None,
            refused=failure is not None and failure.refusal,
            tokens_per_s=self.known.tokens_per_s,
        )
        self.known.stats.estimated += sum(share.estimated for share in shares)
        return shares

    def _may_again(self, shares: list[Share], failure: CallFailed) -> bool:
        """Whether the budget holds another try, where this one was paid for."""
        if self.request.again is None or not any(share.calls for share in shares):
            return True
        if self.request.again(len(shares)):
            return True
        failure.detail += " (the budget holds no other try)"
        return False

    def _use(self, n: int, so_far: _Try) -> Use:
        """The fields of the next payload. Streams are preferred, since they show and count partial work; but where
        only whole answers come with their usage, an exact bill goes before live text."""
        known = self.known
        use = Use(n=n > 1).without(so_far.without | {name for name, accepted in known.accepts.items() if not accepted})
        silent = known.stream_usage is False or (known.stream_usage is None and not use.stream_options)
        if silent and known.whole_usage is not False:
            return use.without(frozenset({"stream"}))
        return use

    async def _exchange(self, exchange: Exchange, use: Use) -> CallFailed | None:
        """One exchange. Returns what went wrong, None if every draw that the server began is complete."""
        target, patience = self.target, self.target.patience
        first = exchange.draws[0].index
        n = len(exchange.draws)
        body = payload(
            target.model,
            self.request,
            first=first,
            n=n,
            use=use,
            grammar_field=target.grammar_field,
            extra=target.extra_body,
        )
        exchange.streams = use.stream
        self.known.stats.requests += 1
        failure: CallFailed | None = None
        watch = Watch(read_s=patience.read_s, try_s=patience.try_s)
        try:
            async with watch:
                readings = self.server.readings(
                    body,
                    target.headers,
                    patience=patience,
                    max_bytes=target.max_bytes,
                    secret=target.secret,
                    alive=watch.alive,
                    begun=exchange.began_to_send,
                )
                async with aclosing(readings):
                    async for reading in readings:
                        closing = exchange.finished
                        exchange.take(reading)
                        if n > 1 and exchange.given > self.known.n_given:  # told at once: draws may be handed over soon
                            self.known.n_given = exchange.given
                        if exchange.enough:
                            break
                        if exchange.finished and not closing:
                            watch.end_within(_CLOSING_S)
        except TimeoutError:
            said = (
                f"nothing came for {patience.read_s:g} s"
                if watch.silent
                else f"not complete after {patience.try_s:g} s"
            )
            failure = CallFailed(FailureKind.TIMEOUT, said)
        except CallFailed as failed:
            failure = failed
        if exchange.finished:
            return None  # whatever happened after the last piece of text did no harm
        if failure is not None:
            return failure
        if exchange.said_done or exchange.whole:
            if exchange.given:
                return None
            return CallFailed(FailureKind.WRONG_SCHEMA, "the answer holds no choices", refusal=True)
        if not exchange.began:
            return CallFailed(FailureKind.CUT_STREAM, "the stream ended before the first piece")
        if exchange.usage_seen and all(part.done for part in exchange.parts if part.started):
            return None
        return CallFailed(FailureKind.CUT_STREAM, "the stream ended in the middle of a completion")

    def _learn(self, exchange: Exchange, failure: CallFailed | None) -> None:
        known = self.known
        known.reached |= failure is None or not failure.never_connected
        if exchange.prompt_tokens is not None:
            known.learn_prompt(self.request, exchange.prompt_tokens)
            late, self._late = self._late, []
            for share in late:
                self._finish(share, exchange.prompt_tokens, False)
        if failure is not None and failure.context_tokens is not None:
            known.context_tokens = failure.context_tokens

    def _learn_fields(self, use: Use, exchange: Exchange, so_far: _Try) -> None:
        """The server has answered: what was in the request is accepted, what was left out on suspicion is not."""
        known, asked = self.known, len(exchange.draws)
        for name in so_far.without - {"n"}:
            known.accepts[name] = False
        if "n" in so_far.without:
            known.n_refused = min(known.n_refused or so_far.refused_n, so_far.refused_n)
            known.n_given = min(known.n_given, known.n_refused - 1)
            if known.n_given == 1:
                known.n_refused = 2
        if exchange.whole:
            known.whole_usage = exchange.usage_seen
        else:
            if exchange.ended_by_server:
                known.stream_usage = exchange.usage_seen
            for name in ("stream", "stream_options", "continuous_usage_stats"):
                if getattr(use, name):
                    known.accepts.setdefault(name, True)
        if asked > 1:
            known.n_given = max(known.n_given, exchange.given)
            if exchange.given < asked:
                known.n_refused = min(known.n_refused or asked, max(2, exchange.given + 1))
        if self.request.sampling.logprobs is not None and exchange.has_logprobs is not None:
            known.logprobs = exchange.has_logprobs

    def _suspicion(self, failure: CallFailed, use: Use, n: int, so_far: _Try) -> _Try | None:
        """What to leave out next, when a server refuses a request that may be right but for its optional fields."""
        if failure.kind is not FailureKind.REFUSED or failure.status not in (400, 422):
            return None
        fields = [f for f in ("continuous_usage_stats", "stream_options") if use.stream and getattr(use, f)]
        fields += ["n"] if n > 1 else []
        fields += ["stream"] if use.stream else []
        renameable = ["max_tokens"] if use.max_tokens and self.request.sampling.max_tokens is not None else []
        named = [name for name in fields + renameable if _MENTIONS[name].search(failure.body.lower())]
        proven = {f for f, accepted in self.known.accepts.items() if accepted} | (
            {"n"} if n <= self.known.n_given else set()
        )
        # a vague refusal: leave out one unproven field at a time; not once n is out, which asks n times as often
        given = self.known.n_given if self.known.n_given < n else 1
        suspects = [] if named or "n" in so_far.without else [f for f in fields if f not in proven]
        for name in named + suspects:
            without = so_far.named | {name}
            again = without in so_far.suspected  # of n there may be still less
            if not again or (name == "n" and n > 1):
                return replace(
                    so_far,
                    without=without,
                    named=without if name in named else so_far.named,
                    suspected=(*so_far.suspected, without),
                    refusal=so_far.refusal or failure,
                    refused_n=max(so_far.refused_n, n),
                    most=max(_named_limit(failure.detail, n) if name in named and not again else 1, given),
                )
        return None

    def _retries(self, failure: CallFailed) -> int:
        most = self.target.patience.retries
        return min(most, _FIRST_CONTACT_RETRIES) if failure.never_connected and not self.known.reached else most

    def _pause(self, failure: CallFailed, tries: int) -> float:
        patience = self.target.patience
        pause = min(patience.max_backoff_s, patience.backoff_s * 2**tries) * random.uniform(0.5, 1.5)
        if failure.retry_after_s:  # never sooner than asked; the jitter keeps a crowd from coming at once
            return failure.retry_after_s + random.uniform(0.0, patience.backoff_s)
        return pause

    def _keep_losses(self, shares: list[Share]) -> None:
        """These draws will be tried again: what this try cost stays charged to them."""
        for share in shares:
            draw = share.draw
            draw.lost_completion_tokens += share.completion_tokens + share.thrown_away
            draw.estimated += share.estimated
            draw.calls += share.calls
            if share.prompt_tokens is None:
                draw.blind += 1
                draw.unheard += not share.heard
            else:
                draw.lost_prompt_tokens += share.prompt_tokens

    def _give_up(self, shares: list[Share], failure: CallFailed, tries: int, wait: float, seconds: float) -> None:
        self.known.stats.failures[failure.kind] += len(shares)
        if failure.transient:
            failure.detail += f" (gave up after {tries} tries in {seconds:.1f} s"
            if failure.retry_after_s is not None and seconds + wait > self.target.patience.total_s:
                failure.detail += f"; the server asks to wait {failure.retry_after_s:g} s more"
            failure.detail += ")"
        self._given_up += [(share, failure) for share in shares]

    def _close(self, share: Share) -> None:
        """Hand over a draw that is done: at once if its price is known, else as soon as it is."""
        self._answered = True
        known_price = self.known.prompt_tokens(self.request)
        if known_price is None and (share.prompt_tokens is None or share.draw.blind):
            self._late.append(share)
        else:
            self._finish(share, known_price or 0, False)

    async def _prompt_price(self, share: Share) -> tuple[int, bool]:
        """What a prompt of this request costs, for those whose usage never came, and whether that is a bound."""
        if share.prompt_tokens is not None and not share.draw.blind:
            return 0, False
        price = self.known.prompt_tokens(self.request)
        if price is None and (price := await self.target.count_prompt(self.request)) is None:
            bound = prompt_bound(self.request.messages, self.request.prefill)
            self.known.stats.estimated += bound * (share.draw.blind + (share.prompt_tokens is None))
            return bound, True
        return price, False

    def _finish(self, share: Share, price: int, unsure: bool, *, error: str | None = None) -> None:
        """Hand over a draw with all that it cost. price: of a prompt that nobody told; unsure: it is a bound."""
        last = self._bill(share, price, unsure, error)
        if last.completion is not None:
            self.finished[last.index] = last.completion
        self.emit(last)

    def _bill(self, share: Share, price: int, unsure: bool, error: str | None = None) -> Delta:
        draw = share.draw
        untold = share.prompt_tokens is None
        prompts = draw.blind + untold if unsure else draw.unheard + (untold and not share.heard)
        return share.assembler.finish(
            share.finish,
            completion_tokens=share.completion_tokens,
            prompt_tokens=price if share.prompt_tokens is None else share.prompt_tokens,
            cached_tokens=share.cached_tokens,
            error=error,
            lost_prompt_tokens=draw.lost_prompt_tokens + draw.blind * price,
            lost_completion_tokens=draw.lost_completion_tokens + share.thrown_away,
            estimated_tokens=share.estimated + draw.estimated + price * prompts,
            calls=share.calls + draw.calls,
        )

    def _raise_if_hopeless(self) -> None:
        """Nothing came of this request. If that says something about the request as a whole, say it as an exception;
        unless tokens were paid for, which only completions can tell."""
        failure = self._given_up[0][1]
        if any(share.calls + share.draw.calls for share, _ in self._given_up):
            return
        if all(not failed.transient for _, failed in self._given_up):
            raise _as_error(failure, self.target, str(self.server.base.host))
        if all(failed.never_connected for _, failed in self._given_up):
            raise ModelUnavailable(
                f"No server answers at {self.server.base.host}:{self.server.base.port or ''}: {failure.detail}. "
                "Start it, or set OPENAI_BASE_URL (or base_url=) to where it listens."
            )


def _named_limit(message: str, n: int) -> int:
    """The most draws a server allows, where its refusal tells ("expected a value <= 128, but got 256"), else 1."""
    numbers = [int(digits) for digits in re.findall(r"(?<![\w.])\d{1,6}(?![\w.]\w)", message.partition(":")[2])]
    return max((number for number in numbers if 1 <= number < n), default=1)


def _as_error(failure: CallFailed, target: Target, host: str) -> ModelError:
    if failure.kind is FailureKind.PROMPT_TOO_LONG:
        return PromptTooLong(f"{target.model} at {host}: {failure.detail}. Shorten the prompt or lower max_tokens.")
    step = {
        401: "Set OPENAI_API_KEY (or api_key=) to a key of this server.",
        402: "Add credit to the account.",
        403: "Use a key that may use this model.",
        404: "Check the model's name, and that the base URL ends where /chat/completions begins (often in /v1).",
        405: "Check that the base URL ends where /chat/completions begins (often in /v1).",
    }.get(failure.status or 0, "Change the request as the message says.")
    return ModelRefused(f"{target.model} at {host} refused: {failure.detail.rstrip('.')}. {step}")
