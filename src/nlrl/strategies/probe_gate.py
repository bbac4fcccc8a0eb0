"""Gates inside a trace: stop it when its answer has settled, kill it when it gets nowhere."""

from __future__ import annotations

from itertools import pairwise

from nlrl.compute import Compute
from nlrl.compute.traces import End, Probe, ProbePlan, Trace
from nlrl.core import Answer, Candidate, Problem, Stopped
from nlrl.strategies.running_vote import RunningVote
from nlrl.strategies.voting import count_votes


async def probe_gate(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 1,
    every: int = 500,
    growth: float = 1.25,
    hold: int = 3,
    share: float = 0.5,
    hopeless: int = 8,
) -> Answer:
    """Force an answer out of each running trace now and then; end it early once the same answer has come `hold` times.

    The first probe stands at `every` tokens and each later one where the trace has grown by `growth` (1.0: every
    `every` tokens). A trace is settled when its last `hold` probes agree and have done so over the last `share` of its
    length; it then votes as it stands. One whose last `hopeless` probes have shown nothing, or never the same answer
    twice in a row, is killed. The n traces run side by side, and the most common answer wins. (In the manner of
    Dynasor, Fu et al. 2024, 2412.20993, and DEER, Yang et al. 2025, 2504.15895.)

    One unit of budget buys a trace less the part that would only have confirmed it; a probe costs 16 tokens. Fails
    where a model holds a first wrong guess steadily and would have corrected it late. Needs recorded probes, or a model
    that can prefill.
    """
    vote = RunningVote(problem)
    seen: dict[Trace, list[tuple[int, int]]] = {}
    ended: list[Candidate] = []
    cut = 0
    async with compute.traces(problem, probes=ProbePlan(every, growth), every=every) as watch:
        await watch.start(n)
        async for event in watch:
            if isinstance(event, End):
                ended.append(event.candidate)
            elif isinstance(event, Probe):
                history = seen.setdefault(event.trace, [])
                history.append((event.tokens, await vote.label(event.answer)))
                if _settled(history, hold, share):
                    ended.append(watch.cut(event.trace))
                    cut += 1
                elif len(watch.running) > 1 and _hopeless(history, hopeless):
                    watch.kill(event.trace)
    counted = await count_votes(problem, ended)
    stopped = Stopped.SETTLED if cut else Stopped.DONE
    return compute.answer(counted.leader or next(iter(ended), None), confidence=counted.share, stopped=stopped)


def _settled(history: list[tuple[int, int]], hold: int, share: float) -> bool:
    """Whether the last probes agree, `hold` of them and over `share` of the trace."""
    now, label = history[-1]
    since, agree = now, 0
    for at, seen in reversed(history):
        if seen != label:
            break
        since, agree = at, agree + 1
    return label >= 0 and agree >= hold and now - since >= share * now


def _hopeless(history: list[tuple[int, int]], most: int) -> bool:
    """Whether the last `most` probes show no answer at all, or a new one each time."""
    last = [label for _, label in history[-most:]]
    return len(last) == most and all(a < 0 or a != b for a, b in pairwise(last))
