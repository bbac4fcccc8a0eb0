"""An umpire over a race of traces: votes by finish and by shape, and a call when the race is decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np

from nlrl.compute import Compute
from nlrl.compute.traces import End, Watch
from nlrl.core import Answer, Candidate, Finish, Problem, Stopped, UserError
from nlrl.strategies.lead import leader_holds
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.trace_shape import LOOK_AT, Shape, TraceWeights, load_weights, trace_shape

MOST = 64
_WIDEST = 16  # traces in flight, however long the vote stagnates


@dataclass(frozen=True)
class Call:
    """How the umpire decides; one point on the way from thorough to thrifty.

    wave  traces started side by side; the next wave starts when all of them are over
    most  no further wave starts when this many traces have been started
    gate  it is decided when the leader's posterior exceeds this
    drop  traces of a wave of which half has ended are dropped at this multiple of the median length; 0: never
    least nothing is decided before this many have ended
    weigh whether votes are weighed by shape, where there are weights; else they count 1, and nobody is probed
    """

    wave: int
    most: int
    gate: float
    drop: float = 0.0
    least: int = 1
    weigh: bool = True


def call_at(thrift: float, calls: Sequence[Mapping[str, Any]] = ()) -> Call:
    """The call for a thrift from 0 (thorough) to 1 (thrifty): the nearest calibrated one, or a plain default.

    Raises UserError for a thrift outside [0, 1].
    """
    if not 0 <= thrift <= 1:
        raise UserError(f"thrift must lie between 0 (thorough) and 1 (thrifty), got {thrift}.")
    if calls:
        nearest = min(calls, key=lambda c: abs(c["thrift"] - thrift))
        return Call(
            nearest["wave"],
            nearest["most"],
            nearest["gate"],
            nearest.get("drop", 0.0),
            nearest.get("least", 1),
            nearest.get("weigh", True),
        )
    most = max(1, round(MOST ** (1 - thrift)))
    wave = max(1, min(8, round(most**0.5)))
    return Call(wave, most, 0.98 - 0.38 * thrift, least=2)


class Standing:
    """The votes so far: pure arithmetic, so that calibration replays exactly what the strategy does."""

    def __init__(self, weights: TraceWeights | None) -> None:
        self.weights = weights
        self.labels: list[int] = []
        self.votes: np.ndarray = np.empty(0)
        self._classes: dict[int, int] = {}  # labels by first appearance
        self._voters: list[int] = []  # class of each trace; those without an answer have one of their own, -1
        self._tokens: list[int] = []
        self._own: list[float] = []
        self._sure: list[float] = []

    def add(self, shape: Shape, label: int) -> None:
        """A trace has ended with this answer (-1: none)."""
        self.labels.append(label)
        self._voters.append(self._classes.setdefault(label, len(self._classes)) if label >= 0 else -1)
        self._tokens.append(shape.tokens)
        if self.weights is not None:
            self._own.append(self.weights.own_score(shape))
            self._sure.append(float("nan") if shape.logprob is None else shape.logprob)

    def judge(self, running: int, elapsed: int) -> tuple[int, float]:
        """The leading answer (-1: none) and how sure its lead is. Running siblings have `elapsed` tokens so far."""
        if self.weights is None:
            self.votes = np.ones(len(self.labels))
        else:
            self.votes = self.weights.votes(self._tokens, self._own, self._sure, running, elapsed)
        if not self._classes:
            return -1, 0.0
        sums = np.bincount(np.array(self._voters) + 1, self.votes, len(self._classes) + 1)[1:]
        leader = int(sums.argmax())
        first = float(sums[leader])
        sums[leader] = -1.0
        return list(self._classes)[leader], leader_holds(first, max(float(sums.max()), 0.0))

    def share(self, leader: int) -> float:
        """The leader's part of all votes, those of traces without an answer included."""
        total = float(self.votes.sum())
        return float(self.votes[np.array(self.labels) == leader].sum()) / total if total else 0.0

    def limit(self, call: Call, begun: int, size: int, running: int, clock: int) -> int | None:
        """The clock at which what still runs of a wave of `size` is dropped; None while it is not."""
        if not call.drop or not running or 2 * (size - running) < size:
            return None
        return max(clock, begun + int(call.drop * median_low(self._tokens)))


def widened(wave: int, lead: float, before: float) -> int:
    """The size of the next wave: twice, if a whole wave has brought the leader no further."""
    return min(2 * wave, max(wave, _WIDEST)) if lead <= before else wave


async def umpire(
    problem: Problem,
    compute: Compute,
    *,
    thrift: float = 0.5,
    weights: str | None = None,
    n: int = MOST,
    every: int | None = None,
) -> Answer:
    """Race traces in waves, let them vote in the order they finish, by what their shape is worth; stop when decided.

    After every finish the Beta posterior of the leader against the runner-up is asked whether the race is decided;
    what still runs is then cancelled. A wave that brings the leader no further makes the next one twice as wide;
    traces that run far beyond the median are dropped. `thrift` goes from 0 (thorough) to 1 (thrifty). `weights` is a
    file from calibration: what the length and five forced answers of a finished trace (16 tokens each, charged) say
    about its worth, and which waves, gates and limits pay; without it each trace has one vote. At most `n` traces.

    One unit of budget buys one more trace. Short traces vote first, which helps where wrong ones run longer. Fails
    where the most attractive answer is wrong, and where shape means nothing, which the weights' cross-validated AUC
    tells.
    The clock is exact on recorded traces. Live, `every=N` lets traces grow N tokens at a time, so that they can be
    cancelled and looked into, each chunk paying for its prefix; without it draws are whole, and waves are what saves.
    """
    learned = load_weights(weights) if weights else None
    call = call_at(thrift, learned.calls if learned else ())
    learned = learned if call.weigh else None
    wave, before = call.wave, -1.0
    standing, vote = Standing(learned), RunningVote(problem)
    ended: list[tuple[Candidate, str | None]] = []
    leader, lead, started, decided = -1, 0.0, 0, False
    async with compute.traces(problem, every=every) as watch:
        while started < min(call.most, n) and not decided:
            size = len(await watch.start(min(wave, n - started)))
            if not size:
                break
            started += size
            begun, limit = watch.clock, None
            while (event := await watch.next(limit)) is not None and isinstance(event, End):
                shape, label, answer = await _look(watch, event, vote, learned)
                standing.add(shape, label)
                ended.append((event.candidate, answer))
                leader, lead = standing.judge(len(watch.running), watch.clock - begun)
                decided = lead > call.gate and len(ended) >= call.least
                if decided:
                    break
                limit = standing.limit(call, begun, size, len(watch.running), watch.clock)
            for straggler in list(watch.running):
                watch.kill(straggler)
            wave, before = widened(wave, lead, before), lead
    best = max(
        (i for i, label in enumerate(standing.labels) if label == leader and label >= 0),
        key=lambda i: (ended[i][0].answer is not None, standing.votes[i]),
        default=None,
    )
    if best is None:
        return compute.answer(ended[0][0] if ended else None, confidence=0.0 if ended else None)
    stopped = Stopped.SETTLED if decided else Stopped.DONE
    sure = lead * standing.share(leader) if len(ended) > 1 else None  # one vote is no certainty
    return compute.answer(ended[best][0], confidence=sure, stopped=stopped, value=ended[best][1])


async def _look(
    watch: Watch, event: End, vote: RunningVote, weights: TraceWeights | None
) -> tuple[Shape, int, str | None]:
    """The shape, the answer's class and the answer of a trace that has ended. One that was cut off before it had an
    answer votes for what it last showed, if that was looked at."""
    done, trace = event.candidate, event.trace
    tokens, answer = done.completion.completion_tokens, done.answer
    looks: list[tuple[int, int]] = []
    if weights is not None:
        await watch.look(trace, [int(tokens * fraction) for fraction in LOOK_AT])
        looks = [(at, vote.glance(seen)) for at, seen in trace.probes]
        if answer is None and trace.probes:
            answer = trace.probes[-1][1]
    finished = done.completion.finish in (Finish.STOP, Finish.RULE)
    shape = trace_shape(tokens, vote.glance(answer), looks, finished=finished, logprob=_mean_logprob(done))
    return shape, await vote.label(answer), answer


def _mean_logprob(candidate: Candidate) -> float | None:
    known = [t.logprob for t in candidate.completion.logprobs or () if math.isfinite(t.logprob)]
    return sum(known) / len(known) if known else None
