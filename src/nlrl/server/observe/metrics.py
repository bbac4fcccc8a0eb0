"""What the server does, counted for Prometheus: the names, buckets and labels of vLLM, so that its boards need no more
than another prefix.

    metrics = Metrics({model: "qwen"})
    with metrics.watch(call, ask, caller.ledger) as work:     # waiting
        work.admitted()                                       # running
        ...                                                   # what it spends is charged to work.ledger
    metrics.text()                                            # the answer of GET /metrics

Labels are the ids of served models, names of strategies without their parameters, statuses and reasons: none of them is
a client's to invent, so the number of series is bounded. No key, user or prompt is among them.

The format is written here, by the page that defines it, rather than by a package: it is a line for each number.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from collections.abc import Awaitable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from nlrl.compute import Ledger
from nlrl.compute.machine import gpus, memory_bytes, peak_memory_bytes, processor_seconds
from nlrl.core import Model
from nlrl.core.version import __version__
from nlrl.server.api.ask import Ask
from nlrl.server.http.call import Call, ClientGone
from nlrl.server.http.errors import as_api_error

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]

_WORK = ("model_name", "strategy")
_GPU = ("gpu", "name")
_LATENCY_S = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0)
_FIRST_S = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
)
_REASONS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter", "abort"})
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"(\w{1,20})"')
_ROLE = b'"delta":{"role":"assistant","content":""}'  # announces a choice; there is no text in it


class Numbers:
    """A counter or a gauge: one number for each combination of labels."""

    def __init__(self, kind: str, name: str, about: str, labels: Labels = ()) -> None:
        self.kind, self.name, self.about, self.labels = kind, name, about, labels
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Count `amount` more."""
        self.values[labels] = self.values.get(labels, 0) + amount

    def lines(self) -> Iterator[str]:
        """In Prometheus' text format."""
        yield from _head(self.name, self.about, self.kind)
        for labels, value in self.values.items():
            yield f"{self.name}{_shown(self.labels, labels)} {value}"


class Histogram:
    """How often a value was at most each of `bounds`, and their sum."""

    def __init__(self, name: str, about: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.name, self.about, self.labels, self.bounds = name, about, labels, bounds
        self.counts: dict[Labels, list[int]] = {}  # by bucket, the last one above all bounds
        self.sums: dict[Labels, float] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count one value."""
        counts = self.counts.setdefault(labels, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + value

    def lines(self) -> Iterator[str]:
        """In Prometheus' text format, whose buckets hold those below them too."""
        yield from _head(self.name, self.about, "histogram")
        for labels, counts in self.counts.items():
            total = 0
            for bound, count in zip((*map(str, self.bounds), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_shown((*self.labels, 'le'), (*labels, bound))} {total}"
            yield f"{self.name}_count{_shown(self.labels, labels)} {total}"
            yield f"{self.name}_sum{_shown(self.labels, labels)} {self.sums[labels]}"


class Metrics:
    """All that one `App` counts. models: their public ids."""

    def __init__(self, models: Mapping[Model, str]) -> None:
        self._models = models

        def counter(name: str, about: str, *labels: str) -> Numbers:
            return Numbers("counter", f"nlrl:{name}_total", about, labels)

        def seconds(name: str, about: str, bounds: tuple[float, ...]) -> Histogram:
            return Histogram(f"nlrl:{name}_seconds", about, _WORK, bounds)

        self.running = Numbers("gauge", "nlrl:num_requests_running", "Requests at work.", _WORK)
        self.waiting = Numbers("gauge", "nlrl:num_requests_waiting", "Requests in the queue.", _WORK)
        self.prompt = counter("prompt_tokens", "Prompt tokens read, of hidden calls too.", *_WORK)
        self.cached = counter("prompt_tokens_cached", "Of those, read from a prefix cache.", *_WORK)
        self.generated = counter("generation_tokens", "Tokens generated, of hidden calls too.", *_WORK)
        self.cancelled = counter("generation_tokens_cancelled", "Of those, generated and thrown away.", *_WORK)
        self.estimated = counter("tokens_estimated", "Of all tokens, those charged by an upper bound, untold.", *_WORK)
        self.calls = counter("model_calls", "Completions asked for: n draws are n calls.", *_WORK)
        self.cost = counter("cost", "Money, by the prices the models were given.", *_WORK)
        self.success = counter("request_success", "Answered requests, by why they ended.", *_WORK, "finished_reason")
        self.failure = counter("request_failure", "Requests that failed, by HTTP status.", *_WORK, "status")
        self.http = counter("http_requests", "All requests, by route and HTTP status.", "handler", "status")
        self.latency = seconds("e2e_request_latency", "From a request to the end of its answer.", _LATENCY_S)
        self.queued = seconds("request_queue_time", "Time in the queue.", _LATENCY_S)
        self.first = seconds("time_to_first_token", "From a request to the first text of its stream.", _FIRST_S)
        self._info = Numbers("gauge", "nlrl:build_info", "The version.", ("version",))
        self._info.add((__version__,))

        # of the process: the names that every Prometheus client gives them, so that boards know them
        self.processor = Numbers("counter", "process_cpu_seconds_total", "Processor seconds, of ended children too.")
        self.memory = Numbers("gauge", "process_resident_memory_bytes", "Memory that is resident now.")
        self.peak = Numbers("gauge", "nlrl:process_peak_memory_bytes", "The most memory that was ever resident.")
        about = "Memory in use on a GPU, by whatever runs there."
        self.gpu_memory = Numbers("gauge", "nlrl:gpu_memory_used_bytes", about, _GPU)
        self.gpu_busy = Numbers("gauge", "nlrl:gpu_utilization_ratio", "Share of the last moment it computed in.", _GPU)
        gpus()  # the driver is opened now, and not while the first scrape holds up the event loop

    def text(self) -> bytes:
        """The answer of GET /metrics."""
        self._look_at_machine()
        families = [family for family in vars(self).values() if isinstance(family, Numbers | Histogram)]
        return "".join(f"{line}\n" for family in families for line in family.lines()).encode()

    def _look_at_machine(self) -> None:
        self.processor.values[()] = round(processor_seconds(), 2)
        for family, value in ((self.memory, memory_bytes()), (self.peak, peak_memory_bytes())):
            if value is not None:
                family.values[()] = value
        for gpu in gpus():
            labels = (str(gpu.index), gpu.name)
            self.gpu_memory.values[labels] = gpu.used_bytes
            if gpu.busy is not None:
                self.gpu_busy.values[labels] = gpu.busy

    @contextmanager
    def watch(self, call: Call, ask: Ask, payer: Ledger) -> Iterator[Work]:
        """Around the work for a request, from the moment it is understood; what it spends, `payer` pays."""
        work = Work(self, call, (self._models.get(ask.model, "other"), ask.method), ask.stream, payer)
        try:
            yield work
        except (ClientGone, asyncio.CancelledError):
            self.success.add((*work.labels, "abort"))  # as vLLM counts them
            raise
        except Exception as error:
            answer = as_api_error(error)
            self.failure.add((*work.labels, str(answer.status if answer else 500)))
            raise
        else:
            self.success.add((*work.labels, work.finished_reason))
            self.latency.observe(work.labels, call.seconds)
        finally:
            work.ended()


class Work:
    """A request at work. It looks at the answer as it goes out: for the first text, and for why it ended.

    ledger  to be charged with all that the request spends
    """

    def __init__(self, metrics: Metrics, call: Call, labels: Labels, stream: bool, payer: Ledger) -> None:
        self.labels, self.finished_reason = labels, "stop"
        self.ledger = Ledger(payer.budget, payer)
        self._metrics, self._call, self._seeking = metrics, call, stream
        self._since, self._phase = call.seconds, metrics.waiting
        self._send, call._send = call._send, self._sending
        self._phase.add(labels)

    def admitted(self) -> None:
        """It has left the queue."""
        self._metrics.queued.observe(self.labels, self._call.seconds - self._since)
        self._enter(self._metrics.running)

    def ended(self) -> None:
        """It is over, whatever came of it."""
        self._phase.add(self.labels, -1)
        spent, metrics = self.ledger.paid, self._metrics
        for family, amount in (
            (metrics.prompt, spent.prompt_tokens),
            (metrics.cached, spent.cached_tokens),
            (metrics.generated, spent.completion_tokens),
            (metrics.cancelled, spent.cancelled_tokens),
            (metrics.estimated, spent.estimated_tokens),
            (metrics.calls, spent.calls),
            (metrics.cost, spent.cost),
        ):
            family.add(self.labels, amount)

    def _enter(self, phase: Numbers) -> None:
        self._phase.add(self.labels, -1)
        self._phase = phase
        phase.add(self.labels)

    def _sending(self, message: MutableMapping[str, Any]) -> Awaitable[None]:
        if body := message.get("body"):
            at = body.rfind(b'"finish_reason"')
            if at >= 0 and (found := _FINISH.match(body, at)):
                reason = found[1].decode()
                self.finished_reason = reason if reason in _REASONS else "other"
            if self._seeking and body.count(b"data:") > body.count(_ROLE):
                self._seeking = False
                self._metrics.first.observe(self.labels, self._call.seconds)
        return self._send(message)


def _head(name: str, about: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def _shown(names: Labels, values: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
