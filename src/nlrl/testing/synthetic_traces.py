"""SYNTHETIC traces: made up by a random generator, not recorded from any model.

    write_traces("panel.jsonl", TraceWorld(problems=200, traces=64, seed=3))

A panel file as `nlrl bank import` reads it, with probes. It is built to have the shape that recorded traces of
reasoning models are reported to have: thousands of tokens with a heavy tail, wrong traces longer than right ones, an
answer that first shows at some random point and is held more or less steadily, problems that a model nearly always
or nearly never solves, and wrong answers that attract many traces of one problem. It serves tests, and comparisons of
stopping rules under stated assumptions where nothing recorded is at hand. A figure measured on it says how a rule
behaves *if* traces are like this, and nothing about any model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE = -1  # no answer


@dataclass(frozen=True)
class TraceWorld:
    """What is assumed. Tokens are counts, shares and rates lie in [0, 1].

    ability, spread    mean and standard deviation over problems of the logit of a trace's chance to be right
    attraction         parameter of the stick that breaks the wrong answers of a problem: the mean share of its most
                       attractive one is about this; it differs from problem to problem
    median_tokens      of a right trace; `problem_sigma` and `trace_sigma` are log-normal spreads between and within
                       problems
    hard_longer        factor on the length of a problem that is never solved, against one that always is
    wrong_longer       factor on the length of a wrong trace, against a right one of the same problem
    limit              traces are cut there, mostly without an answer
    settle_right, settle_wrong   Beta parameters of the fraction of the trace at which its final answer first shows
    waver_right, waver_wrong     chance that a probe after that shows another answer
    sticky             chance that a probe before that shows the same guess as the one before it
    probe_every        tokens between probes
    shape_noise        standard deviation of a nuisance of each trace that blurs all of the above together
    """

    problems: int = 200
    traces: int = 64
    seed: int = 0
    ability: float = -1.0
    spread: float = 3.8
    attraction: float = 0.45
    median_tokens: float = 6000.0
    problem_sigma: float = 0.45
    trace_sigma: float = 0.38
    hard_longer: float = 2.0
    wrong_longer: float = 1.2
    limit: int = 32_768
    settle_right: tuple[float, float] = (2.2, 2.2)
    settle_wrong: tuple[float, float] = (2.6, 1.9)
    waver_right: float = 0.10
    waver_wrong: float = 0.17
    sticky: float = 0.7
    probe_every: int = 500
    shape_noise: float = 0.5
    prompt_tokens: int = 120


# worlds that differ in what a stopping rule could lean on; a rule that wins in one of them only has learned the world
WORLDS: dict[str, TraceWorld] = {
    "plain": TraceWorld(),
    "weak_shape": TraceWorld(
        wrong_longer=1.08, settle_wrong=(2.4, 2.1), waver_right=0.12, waver_wrong=0.16, shape_noise=0.8
    ),
    "no_shape": TraceWorld(
        wrong_longer=1.0, hard_longer=1.0, settle_wrong=(2.2, 2.2), waver_right=0.12, waver_wrong=0.12
    ),
    "strong_shape": TraceWorld(wrong_longer=1.4, settle_wrong=(3.2, 1.7), waver_right=0.07, waver_wrong=0.25),
    "attractive": TraceWorld(attraction=0.7, spread=2.6),
    "scattered": TraceWorld(attraction=0.12, spread=3.2, ability=-1.4),
    "stubborn": TraceWorld(sticky=0.9, settle_right=(3.0, 1.6), settle_wrong=(3.0, 1.6)),
    "long_tail": TraceWorld(trace_sigma=0.65, problem_sigma=0.7, median_tokens=8000.0),
}  # fmt: skip


def world(name: str, **changes: Any) -> TraceWorld:
    """One of `WORLDS`, with changes."""
    return replace(WORLDS[name], **changes)


def trace_rows(made: TraceWorld) -> Iterator[dict[str, Any]]:
    """Rows of a panel file, one a problem."""
    rng = np.random.default_rng([made.seed, 77])
    for number in range(made.problems):
        yield _row(made, number, rng)


def write_traces(path: str | Path, made: TraceWorld) -> int:
    """Write a panel file; returns the number of problems."""
    rows = 0
    with Path(path).open("w", encoding="utf-8") as file:
        for row in trace_rows(made):
            file.write(json.dumps(row) + "\n")
            rows += 1
    return rows


def _row(made: TraceWorld, number: int, rng: np.random.Generator) -> dict[str, Any]:
    p = 1 / (1 + np.exp(-rng.normal(made.ability, made.spread)))
    wrong = _stick(made.attraction, rng)
    pace = made.median_tokens * np.exp(rng.normal(0, made.problem_sigma)) * made.hard_longer ** (1 - p)
    names = [str(x) for x in rng.choice(1000, size=len(wrong) + 1, replace=False)]  # names[0] is the reference
    samples = [_sample(made, rng, p, wrong, pace, names) for _ in range(made.traces)]
    return {
        "problem_id": f"synthetic-{made.seed}-{number}",
        "question": f"Synthetic problem {number} of world {made.seed}: which number is meant?",
        "reference": names[0],
        "task_type": "math",
        "source": "synthetic",
        "prompt_tokens": made.prompt_tokens,
        "samples": samples,
    }


def _stick(attraction: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Running sum of the shares of the wrong answers: a broken stick with a remainder of rare ones."""
    own = np.clip(rng.beta(2 * attraction + 0.2, 2 * (1 - attraction) + 0.2), 0.02, 0.98)
    pieces = rng.beta(1.0 + own, 1.0 / own, size=40)
    shares = pieces * np.cumprod(np.concatenate([[1.0], 1 - pieces[:-1]]))
    shares += max(1 - shares.sum(), 0.0) / 40
    return np.cumsum(shares / shares.sum())


def _sample(
    made: TraceWorld,
    rng: np.random.Generator,
    p: float,
    wrong: NDArray[np.float64],
    pace: float,
    names: list[str],
) -> dict[str, Any]:
    answer = 0 if rng.random() < p else _wrong(rng, wrong)
    blur = rng.normal(0, made.shape_noise)  # a trace that rambles does so whether right or wrong
    factor = made.wrong_longer if answer else 1.0
    tokens = int(pace * factor * np.exp(rng.normal(0, made.trace_sigma) + 0.3 * blur)) + 50
    settle = rng.beta(*(made.settle_wrong if answer else made.settle_right))
    waver = min(0.9, (made.waver_wrong if answer else made.waver_right) * np.exp(blur))
    cut = tokens > made.limit
    probes, guess = [], NONE
    for at in range(made.probe_every, min(tokens, made.limit), made.probe_every):
        if at >= settle * tokens and rng.random() >= waver:
            seen = answer
        else:
            if rng.random() >= made.sticky:
                guess = _guess(rng, p, wrong)
            seen = guess
        probes.append({"tokens": at, "answer": None if seen == NONE else names[seen]})
    final = None if cut and rng.random() < 0.85 else names[answer]
    return {
        "answer": final,
        "tokens": min(tokens, made.limit),
        "finish": "length" if cut else "stop",
        "logprob": round(float(-0.35 - 0.04 * bool(answer) + rng.normal(0, 0.06) - 0.02 * blur), 4),
        "probes": probes,
    }


def _guess(rng: np.random.Generator, p: float, wrong: NDArray[np.float64]) -> int:
    """What a forced answer shows before the trace knows: nothing, a popular answer, or anything."""
    roll = rng.random()
    if roll < 0.25:
        return NONE
    if roll < 0.25 + 0.35 * p:
        return 0
    if roll < 0.8:
        return _wrong(rng, wrong)
    return 1 + int(rng.integers(len(wrong)))


def _wrong(rng: np.random.Generator, wrong: NDArray[np.float64]) -> int:
    return 1 + min(int(np.searchsorted(wrong, rng.random())), len(wrong) - 1)
