"""Process reward models on a server: vLLM and SGLang.

    ServerPRM("http://localhost:8000", "Qwen/Qwen2.5-Math-PRM-7B")        vLLM, /pooling, all steps at once
    ServerPRM("http://localhost:30000", "my/prm", route="reward", activation="sigmoid")     SGLang, a text a step

route     asks            with                                     and reads
pooling   /pooling        {"model", "input": [text, ...]}          data[i].data: a row of numbers a step (vLLM)
classify  /classify       {"model", "input": [text, ...]}          data[i].probs (vLLM; SGLang: base_url ending in /v1)
score     /score          {"model", "text_1": question, "text_2"}  data[i].score (vLLM)
reward    /classify       {"model", "text": [text, ...]}           [i].embedding (SGLang's native route)

`pooling` sends a candidate as one text with a mark after each step, and wants as many rows back as there are steps,
as vLLM's STEP pooling gives them. The other routes give one answer a text, so a text is sent for each step: everything
up to there. `per="step"` asks `pooling` in that way too, for models whose server pools the last token only.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nlrl.core import Candidate, Problem, Score, Spend, UserError
from nlrl.verifiers.prm.formats import layout
from nlrl.verifiers.prm.steps import abstained, no_steps, step_score, steps_of

if TYPE_CHECKING:
    from nlrl.models.openai.model import Patience

Route = Literal["pooling", "classify", "score", "reward"]
Activation = Literal["none", "sigmoid", "softmax"]
ROUTES = ("pooling", "classify", "score", "reward")
_BATCH = 64  # texts in one request
_REMEMBERED = 65_536
_TOKENIZE_TRIES = 2  # unanswered in a row before a server is believed to have no /tokenize


class ServerPRM:
    """Step values by a reward model on a server.

    base_url     what comes before the route; "/v1" at its end is kept for `classify` and dropped for the others
    model        its name on the server
    layout       how a solution is shown (`process_formats`): "qwen" for Qwen2.5-Math-PRM, "lines", "shepherd" ...
    activation   what makes a number in [0, 1] of the server's: "none" where it is one (vLLM applies the model's own
                 softmax), "sigmoid" of one number, "softmax" of two, of which `positive` is the right one
    positive     which of several numbers speaks for the step; default the last
    per          "candidate" or "step"; see above
    parameters   of the model, for FLOPs; 0 if unknown
    api_key      default OPENAI_API_KEY; never shown or kept
    patience     time limits and retries

    `price` is what the server's /tokenize counts, where it has that route, and else an upper bound (no tokenizer emits
    more tokens than bytes). After scoring, `spent` is what the server itself reported. A failed exchange, a wrong
    number of values and NaN are abstentions whose reason begins with a name: http_failed, wrong_count, wrong_schema,
    not_a_number, out_of_range. Raises UserError for options that fit no server.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        route: Route = "pooling",
        layout: str | None = None,
        activation: Activation = "none",
        positive: int = -1,
        per: Literal["candidate", "step"] | None = None,
        parameters: int = 0,
        api_key: str | None = None,
        max_concurrency: int = 8,
        patience: Patience | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        from nlrl.models.openai import checked_url, host_of
        from nlrl.verifiers.prm.exchange import Exchange

        if route not in ROUTES or activation not in ("none", "sigmoid", "softmax"):
            raise UserError(
                f"route must be one of {', '.join(ROUTES)} and activation none, sigmoid or softmax; "
                f"got route={route!r}, activation={activation!r}."
            )
        if per not in (None, "candidate", "step") or (per == "candidate" and route != "pooling"):
            raise UserError(
                f"per={per!r} does not go with route={route!r}: only pooling answers for all steps at once."
            )
        if not model:
            raise UserError("ServerPRM needs the model's name on the server. `curl BASE_URL/v1/models` lists them.")
        self.model, self.route, self.activation, self.positive = model, route, activation, positive
        self.per = per or ("candidate" if route == "pooling" else "step")
        self.parameters, self._extra = parameters, dict(extra_body or {})
        self._layout = _layout(layout or ("qwen" if route == "pooling" else "lines"))
        url = checked_url(base_url)
        self._root = url if route == "classify" else url.removesuffix("/v1").rstrip("/")
        self._host = host_of(url)
        key = (os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key).strip()
        if not (key.isascii() and key.isprintable()):
            raise UserError("The API key holds characters that no key has (a line break?). Set OPENAI_API_KEY anew.")
        self._exchange = Exchange(url.removesuffix("/v1").rstrip("/"), key, patience, max_concurrency)
        self._lengths: OrderedDict[str, int] = OrderedDict()  # tokens of texts, as the server counted them
        self._spent: OrderedDict[tuple[str, ...], Spend] = OrderedDict()
        self._count_misses = 0  # so often did /tokenize not answer; it is not asked again after a few

    def __repr__(self) -> str:
        return f"ServerPRM({self.model!r}, route={self.route!r}, host={self._host!r})"

    async def price(self, problem: Problem, candidates: Sequence[Candidate]) -> Spend:
        """The tokens that scoring will read: exact where the server counts, else an upper bound."""
        texts = [text for c in candidates for text in self._texts(problem, steps_of(c.text))]
        lengths = await asyncio.gather(*(self._length(text) for text in texts))
        return self._spend(len(texts), sum(lengths))

    def spent(self, problem: Problem, candidates: Sequence[Candidate]) -> Spend | None:
        """What the server reported for the last scoring of exactly these; None where it reported nothing."""
        return self._spent.get(_key(problem, candidates))

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        steps = [steps_of(c.text) for c in candidates]
        asked = [self._texts(problem, each) for each in steps]
        texts = list(dict.fromkeys(text for each in asked for text in each))  # equal prefixes are asked once
        answers: dict[str, Any] = {}
        tokens: list[int | None] = []
        async with asyncio.TaskGroup() as group:
            for start in range(0, len(texts), _BATCH):
                group.create_task(self._ask(problem, texts[start : start + _BATCH], answers, tokens))
        if texts and None not in tokens:
            calls = sum(not isinstance(answers[text], Score) for text in texts)
            self._spent[_key(problem, candidates)] = self._spend(calls, sum(t for t in tokens if t is not None))
            while len(self._spent) > 256:
                self._spent.popitem(last=False)
        return [self._read([answers[text] for text in each], len(s)) for each, s in zip(asked, steps, strict=True)]

    async def aclose(self) -> None:
        """Close the connections of the running event loop, unless another model uses them too."""
        await self._exchange.aclose()

    def _texts(self, problem: Problem, steps: Sequence[str]) -> list[str]:
        if not steps:
            return []
        if self.route == "score":
            bare = self._layout.show(problem, steps)
            return ["".join(bare.pieces[1 : k + 2]) for k in range(len(steps))]
        shown = self._layout.show(problem, steps)
        return [shown.text] if self.per == "candidate" else [shown.prefix(k + 1) for k in range(len(steps))]

    async def _ask(
        self, problem: Problem, texts: Sequence[str], answers: dict[str, Any], tokens: list[int | None]
    ) -> None:
        """Puts numbers, or the score that says why there are none, into `answers`."""
        body: dict[str, Any] = {"model": self.model, **self._extra}
        if self.route == "score":
            body |= {"text_1": self._layout.show(problem, []).pieces[0].strip(), "text_2": list(texts)}
        else:
            body |= {"text" if self.route == "reward" else "input": list(texts)}
        path = "/classify" if self.route == "reward" else f"/{self.route}"
        said = await self._exchange.post(self._root + path, body)
        if isinstance(said, str):
            answers.update(dict.fromkeys(texts, abstained("http_failed", said)))
            tokens.append(0)  # what a failed exchange cost, no server says
            return
        rows = said if isinstance(said, list) else said.get("data") if isinstance(said, dict) else None
        if not isinstance(rows, list):
            answers.update(dict.fromkeys(texts, abstained("wrong_schema", "the answer holds no list of results")))
        elif len(rows) != len(texts):
            answers.update(
                dict.fromkeys(texts, abstained("wrong_count", f"{len(rows)} results for {len(texts)} texts"))
            )
        else:
            if all(isinstance(r, dict) and isinstance(r.get("index"), int) for r in rows):
                rows = sorted(rows, key=lambda r: r["index"])
            answers.update(zip(texts, rows, strict=True))
        tokens.append(_usage(said))

    def _read(self, answers: Sequence[Any], steps: int) -> Score:
        if not steps:
            return no_steps()
        values: list[float] = []
        for answer in answers:
            if isinstance(answer, Score):
                return answer
            rows = _rows(answer, self.route)
            if rows is None:
                return abstained("wrong_schema", f"the answer of route {self.route!r} holds no numbers")
            if self.per == "step":
                rows = rows[-1:]
            for row in rows:
                value = self._value(row)
                if isinstance(value, str):
                    return abstained("wrong_schema", value)
                values.append(value)
        return step_score(values, steps, f"{self.route} of {self.model}")

    def _value(self, row: Sequence[float]) -> float | str:
        """One number for a step, or what is wrong."""
        if not row or not -len(row) <= self.positive < len(row):
            return f"a step has {len(row)} numbers, and number {self.positive} is asked for"
        if any(not math.isfinite(x) for x in row):
            return math.nan
        if self.activation == "softmax":
            if len(row) < 2:
                return "softmax needs at least two numbers a step; use activation='sigmoid'"
            top = max(row)
            weights = [math.exp(x - top) for x in row]
            return weights[self.positive] / sum(weights)
        x = row[self.positive]
        if self.activation == "sigmoid":
            return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
        return x

    async def _length(self, text: str) -> int:
        if (known := self._lengths.get(text)) is not None:
            return known
        if self._count_misses < _TOKENIZE_TRIES:
            counted = await self._exchange.count(self.model, text)
            self._count_misses = 0 if counted is not None else self._count_misses + 1
            if counted is not None:
                self._lengths[text] = counted
                while len(self._lengths) > _REMEMBERED:
                    self._lengths.popitem(last=False)
                return counted
        return len(text.encode("utf-8", "replace")) + 8

    def _spend(self, calls: int, tokens: int) -> Spend:
        return Spend(calls=calls, prompt_tokens=tokens, flops=2.0 * self.parameters * tokens)


_layout = layout  # the constructor's parameter hides it


def _key(problem: Problem, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    return problem.id, *(c.text for c in candidates)


def _rows(answer: Any, route: str) -> list[list[float]] | None:
    """The numbers of one text: a row a step or token, or one row."""
    if not isinstance(answer, dict):
        return None
    name = {"pooling": "data", "classify": "probs", "score": "score", "reward": "embedding"}[route]
    found = answer.get(name)
    if _is_number(found):
        return [[_number(found)]]
    if not isinstance(found, list) or not found:
        return None
    if all(isinstance(row, list) and row and all(_is_number(x) for x in row) for row in found):
        return [[_number(x) for x in row] for row in found]
    if not all(_is_number(x) for x in found):
        return None
    flat = [_number(x) for x in found]
    return [[x] for x in flat] if route == "pooling" else [flat]


def _is_number(x: Any) -> bool:
    return x is None or (isinstance(x, int | float) and not isinstance(x, bool))


def _number(x: Any) -> float:
    return math.nan if x is None else float(x)  # servers write NaN as null


def _usage(said: Any) -> int | None:
    """Tokens read, as the server reports them: for the request (vLLM), or with each result (SGLang)."""
    if isinstance(said, dict):
        usage = said.get("usage")
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return count if isinstance(count, int) else None
    counts = [r.get("meta_info", {}).get("prompt_tokens") for r in said if isinstance(r, dict)] if said else []
    return sum(counts) if counts and all(isinstance(c, int) for c in counts) else None
