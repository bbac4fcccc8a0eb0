"""What a request asks for: OpenAI's JSON read into this package's nouns, every field used, refused or passed on.

Three ways a request can go (`Ask.way`):

    forward   plain `direct` on an upstream: the body goes there as it came, whatever fields it has
    raw       a voting strategy on an upstream, with fields that a text-only message cannot hold (tools, images, ...):
              each attempt is the client's own body, see `raw_chat`
    text      everything else: messages of text, and the sampling fields below

A field that cannot be honoured on its way is refused by name; none is dropped. What is only a label for the provider
(`user`, `metadata`, ...) means nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from nlrl.core import Budget, Message, Model, Problem, Sampling, TaskType
from nlrl.models.openai import OpenAIModel
from nlrl.server.allowed import Allowed
from nlrl.server.api.body import ChatBody, ChatMessage, Extension, read_chat
from nlrl.server.api.catalog import Catalog
from nlrl.server.http.errors import ApiError
from nlrl.strategies import parse_strategy

Way = Literal["forward", "raw", "text"]

# reasoning_effort -> tokens of the budget, in units of max_tokens; "none" is one plain attempt
EFFORT = {"none": 1, "minimal": 2, "low": 4, "medium": 16, "high": 64, "xhigh": 128}
# they draw attempts on the prompt itself and vote, so any prompt that the upstream takes will do
VOTING = ("direct", "self_consistency", "adaptive_consistency")
# they grow texts step by step, with ends and lengths of their own for every step
STEPWISE = ("beam_search", "dvts", "lookahead_search", "mcts")
_OF_A_WHOLE_TEXT = ("stop", "max_tokens", "max_completion_tokens", "logprobs", "response_format")
_PLAIN = {
    "model", "messages", "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "n", "stop",
    "seed", "logprobs", "top_logprobs", "stream", "stream_options", "response_format", "reasoning_effort", "nlrl",
}  # fmt: skip
_UNLIMITED = Budget()
_NOTHING_ASKED = Problem("")  # what is merely passed on is not looked at
_LABELS = {"user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier"}
_NEUTRAL: dict[str, tuple[Any, ...]] = {  # values that ask for nothing
    "frequency_penalty": (0,), "presence_penalty": (0,), "logit_bias": ({},), "store": (False,), "tools": ([],),
    "modalities": (["text"],), "tool_choice": ("none",), "echo": (False,), "best_of": (1,), "suffix": ("",),
}  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """A request, understood.

    model_id   as the client wrote it, which is what the answer calls it
    watched    somebody wants the text as it is written: a stream does, and a deadline may
    extras     the fields that a text-only message cannot hold
    logprobs   alternatives per token the client wants to see, None for no log-probabilities
    body       the client's own, without what is meant for this server: for the ways that pass it on
    """

    model_id: str
    model: Model
    strategy: str
    budget: Budget
    way: Way
    messages: tuple[Message, ...]
    sampling: Sampling
    problem: Problem
    body: dict[str, Any]
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    watched: bool = False
    logprobs: int | None = None
    extras: tuple[str, ...] = ()
    legacy: bool = False  # /v1/completions

    @property
    def method(self) -> str:
        """The strategy's name alone."""
        return self.strategy.partition("(")[0]

    @property
    def direct(self) -> bool:
        """One attempt each, taken as it is."""
        return self.strategy == "direct"


def read_ask(
    body: dict[str, Any],
    catalog: Catalog,
    *,
    limits: Budget,
    max_tokens: int,
    allowed: Allowed | None = None,
    legacy: dict[str, Any] | None = None,
) -> Ask:
    """The request behind a body. Raises ApiError.

    limits      no request may have more
    max_tokens  of an attempt, where the request does not say
    allowed     what the key may use; all of the catalog if not given
    legacy      the body of /v1/completions that `body` was made from
    """
    chat, allowed = read_chat(body), allowed or Allowed(catalog)
    _, model, named = allowed.find(chat.model)
    extension = chat.nlrl or Extension()
    if named and extension.strategy:
        raise _bad("nlrl.strategy", "The model id names a strategy already. Name it in one place.")
    if extension.strategy:
        named = catalog.asked(extension.strategy, "nlrl.strategy")
    given = {} if extension.budget is None else {f.name: getattr(extension.budget, f.name) for f in fields(Budget)}
    limits_named = {"max_tokens": chat.max_tokens, "max_completion_tokens": chat.max_completion_tokens}
    allowed.named(limits_named | {f"nlrl.budget.{name}": most for name, most in given.items()})
    sampling = _sampling(chat, max_tokens if allowed.max_tokens is None else min(max_tokens, allowed.max_tokens))
    strategy, budget = _spending(chat, extension, named, catalog.strategy, sampling.max_tokens or max_tokens)
    allowed.strategy(strategy)
    budget = _within(budget, allowed.budget)
    _check_steps(chat, strategy)
    extras = _extras(body, chat)
    upstream = isinstance(model, OpenAIModel)
    effort_passed_on = chat.reasoning_effort is not None and named == "direct"
    way: Way = "text"
    if upstream and strategy == "direct" and budget == _UNLIMITED:
        way = "forward"
    elif extras or effort_passed_on:
        extras = extras or ("reasoning_effort",)
        _check_extras(extras, upstream, strategy, legacy is not None)
        way = "raw"
    watched = bool(chat.stream) or budget.seconds is not None
    if way != "forward":
        budget = _within(budget, limits)
        _check_spendable(budget, model)
        _check_able(sampling, model)
    messages = tuple(_message(m) for m in chat.messages)
    bound: dict[str, Any] = {}
    if allowed.max_tokens is not None and chat.max_tokens is None and chat.max_completion_tokens is None:
        bound["max_tokens"] = sampling.max_tokens  # what is passed on as it came must be within it too
    ours = {"nlrl"} if named == "direct" else {"nlrl", "reasoning_effort"}
    return Ask(
        model_id=chat.model,
        model=model,
        strategy=strategy,
        budget=budget,
        way=way,
        messages=messages,
        sampling=sampling,
        problem=_NOTHING_ASKED if way == "forward" else _problem(chat, messages, extension, extras),
        body={name: value for name, value in (legacy or body).items() if name not in ours} | bound,
        n=chat.n or 1,
        stream=bool(chat.stream),
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        watched=watched,
        logprobs=sampling.logprobs,
        extras=extras,
        legacy=legacy is not None,
    )


def _spending(
    chat: ChatBody, extension: Extension, named: str | None, default: str, max_tokens: int
) -> tuple[str, Budget]:
    """The strategy and the budget the request asks for."""
    given = extension.budget
    budget = _UNLIMITED if given is None else Budget(**{f.name: getattr(given, f.name) for f in fields(Budget)})
    effort = chat.reasoning_effort
    if effort is None or named == "direct":  # the latter passes it on: a reasoning model may be upstream
        return named or default, budget
    if effort not in EFFORT:
        raise _bad("reasoning_effort", f"{effort[:40]!r} is none of: {', '.join(EFFORT)}.")
    if effort == "none":
        return named or "direct", budget
    if budget.tokens is None:
        budget = replace(budget, tokens=EFFORT[effort] * max_tokens)
    return named or ("auto" if default == "direct" else default), budget


def _sampling(chat: ChatBody, max_tokens: int) -> Sampling:
    schema = None
    if (form := chat.response_format) is not None and (kind := form.get("type")) != "text":
        if kind == "json_object":
            schema = '{"type": "object"}'
        elif kind == "json_schema" and isinstance(told := form.get("json_schema"), dict):
            if not isinstance(told.get("schema"), dict):
                raise _bad("response_format.json_schema.schema", "Give the JSON Schema as an object.")
            import json

            schema = json.dumps(told["schema"])
        else:
            raise _bad("response_format", "The type must be text, json_object, or json_schema with its json_schema.")
    if chat.top_logprobs is not None and not chat.logprobs:
        raise _bad("top_logprobs", "Set logprobs to true as well.")
    stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
    return Sampling(
        temperature=chat.temperature,
        top_p=chat.top_p,
        top_k=chat.top_k,
        min_p=chat.min_p,
        max_tokens=chat.max_completion_tokens or chat.max_tokens or max_tokens,
        stop=tuple(s for s in stop if s),
        seed=chat.seed,
        logprobs=(chat.top_logprobs or 0) if chat.logprobs else None,
        json_schema=schema,
    )


def _extras(body: dict[str, Any], chat: ChatBody) -> tuple[str, ...]:
    """The fields that this package has no noun for, by the name under which the client knows them."""
    found = [
        name
        for name, value in body.items()
        if name not in _PLAIN
        and name not in _LABELS
        and value is not None
        and value not in _NEUTRAL.get(name, ())
        and not (name in ("tool_choice", "parallel_tool_calls") and not body.get("tools"))
    ]
    for at, (raw, message) in enumerate(zip(body["messages"], chat.messages, strict=True)):
        held = {key for key, value in raw.items() if value not in (None, [], "")} - {"role", "content", "refusal"}
        if message.role in ("tool", "function") or held:
            found.append(f"messages[{at}].{min(held) if held else 'role'}")
        elif isinstance(message.content, list) and any(part.get("type") != "text" for part in message.content):
            found.append(f"messages[{at}].content")
    return tuple(found)


def _check_extras(extras: tuple[str, ...], upstream: bool, strategy: str, legacy: bool) -> None:
    first = extras[0]
    if not upstream or legacy:
        who = "The embedded engine" if not upstream else "A strategy on /v1/completions"
        raise _bad(first, f"{who} reads text alone; it cannot honour this field.", "not_supported")
    name = parse_strategy(strategy).name
    if name not in VOTING:
        able = ", ".join(VOTING)
        raise _bad(first, f"{name} rewrites the prompt as text and cannot honour this field. Use one of: {able}.")


def _check_steps(chat: ChatBody, strategy: str) -> None:
    if (name := strategy.partition("(")[0]) not in STEPWISE:
        return
    for field in _OF_A_WHOLE_TEXT:
        if getattr(chat, field) not in (None, False, [], "", {"type": "text"}):
            raise _bad(field, f"{name} grows texts step by step and cannot honour this field. Set a budget instead.")


def _message(message: ChatMessage) -> Message:
    content = message.content
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    role = "system" if message.role == "developer" else message.role
    return Message(role, content or "")


def _problem(chat: ChatBody, messages: tuple[Message, ...], extension: Extension, extras: tuple[str, ...]) -> Problem:
    """What verifiers and votes know: the last question, its kind, and what was said before."""
    asked = max((at for at, m in enumerate(messages) if m.role == "user"), default=len(messages) - 1)
    question = messages[asked].content
    before = "\n\n".join(f"{m.role}: {m.content}" for m in messages[:asked])
    kind = TaskType(extension.task) if extension.task else None
    if "tools" in extras or (chat.response_format or {}).get("type", "text") != "text":
        kind = kind or TaskType.WRITING  # all of the text is the answer: equal calls agree, and equal documents
    if kind is None:
        from nlrl.tasks.classify import classify_task

        kind = classify_task(question).label
    return Problem(question, task_type=kind, context=before)


def _within(budget: Budget, limits: Budget) -> Budget:
    """`budget`, with no limit above those of the server."""
    lower = {}
    for f in fields(Budget):
        own, most = getattr(budget, f.name), getattr(limits, f.name)
        lower[f.name] = own if most is None else most if own is None else min(own, most)
    return Budget(**lower)


def _check_spendable(budget: Budget, model: Model) -> None:
    for f in fields(Budget):
        if getattr(budget, f.name) == 0:
            raise _bad(f"nlrl.budget.{f.name}", "A budget of zero buys nothing; not even one attempt.")
    if budget.flops is not None and model.can.parameters is None:
        raise _bad("nlrl.budget.flops", "The size of this model is not known. Give a budget in tokens.")
    if budget.cost is not None and model.can.prices is None:
        raise _bad("nlrl.budget.cost", "The prices of this model are not known. Give a budget in tokens.")


def _check_able(sampling: Sampling, model: Model) -> None:
    can = model.can
    asked = {
        "response_format": (sampling.json_schema is not None, can.json_schema),
        "logprobs": (sampling.logprobs is not None, can.logprobs),
        "seed": (sampling.seed is not None, can.seed),
    }
    for field, (wanted, able) in asked.items():
        if wanted and (not able or field in can.ignores):
            raise _bad(field, f"{model.name} cannot do this.", "not_supported")


def _bad(param: str, message: str, code: str | None = None) -> ApiError:
    return ApiError(400, f"{param}: {message}", param=param, code=code)
