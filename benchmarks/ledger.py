"""Does the ledger say what the model's server counted? Every strategy under every kind of limit, counted at the server.

    python benchmarks/ledger.py            # all strategies, several limits a cell
    python benchmarks/ledger.py --quick    # four strategies, one limit a cell

A cell is a strategy x {tokens, calls, seconds, quota} x {n honoured, refused} x {usage told, not}. The upstream is a
real HTTP server that counts a call and its prompt when a request begins, and a token when it is made, read or not. The
first three limits are `Budget`'s, held in this process; the quota is that of a key of `nlrl serve`, asked over HTTP.

Marks: not a call more or less in any cell; where everything was told, not a token; where something was cut off or not
told, never below the server's count, and what is charged beyond it is labelled `estimated`; and no limit is ever
exceeded by the server's own count. How much the estimates are above it is printed, and is no mark.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import httpx

from equipment.marks import Marks
from nlrl.compute import Compute
from nlrl.core import Budget, Problem, Sampling, TaskType
from nlrl.models.openai import OpenAIModel
from nlrl.models.openai.model import Patience
from nlrl.server import App, Catalog, KeyStore, serving
from nlrl.strategies import solve, strategies
from nlrl.testing.stub_server import Manners, StubServer

SETTINGS = {  # small enough that a limit strikes in the middle
    "direct": "", "best_of_n": "n=5", "weighted_vote": "n=5", "self_consistency": "n=6",
    "adaptive_consistency": "n=9, wave=3", "self_refine": "rounds=2", "divide_and_conquer": "parts=2",
    "beam_search": "n=4, width=2", "dvts": "n=4, width=2", "lookahead_search": "n=4, width=2", "mcts": "n=6",
    "ab_mcts": "n=6", "revisions": "n=4", "early_stopping": "n=4", "probe_gate": "n=4", "finish_order": "n=6",
    "umpire": "n=6", "until_good": "n=4",
}  # fmt: skip
QUICK = ("direct", "self_consistency", "adaptive_consistency", "self_refine")
LIMITS = {"tokens": (90, 600, 2500), "calls": (1, 3, 7), "seconds": (0.05, 0.15), "quota": (260, 900, 2500)}
PROBLEM = Problem("What is 17 + 25?", "42", TaskType.MATH)
MAX_TOKENS = 40
TOKEN_S = 0.004
_FIRST_S = 0.02  # until the first token


@dataclass(frozen=True)
class Case:
    """One solve: what was charged, and what the server counted. `estimated`: of the tokens charged."""

    cell: tuple[str, str, str]  # limit, n, usage
    strategy: str
    limit: float
    calls: int
    tokens: int
    estimated: int
    server_calls: int
    server_tokens: int

    @property
    def exceeded(self) -> bool:
        """Whether the server counts more than was allowed."""
        counted = {"calls": self.server_calls, "seconds": 0}.get(self.cell[0], self.server_tokens)
        return counted > self.limit

    def __str__(self) -> str:
        limit, n, usage = self.cell
        return (
            f"{self.strategy} {limit}={self.limit:g} n {n} usage {usage}: calls {self.calls} "
            f"(server {self.server_calls}), tokens {self.tokens}, {self.estimated} of them estimated "
            f"(server {self.server_tokens})"
        )


def main() -> int:
    """Run all cells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four strategies, one limit a cell")
    parser.add_argument("--strategy", action="append", help="only these (repeat)")
    options = parser.parse_args()
    names = options.strategy or (QUICK if options.quick else list(strategies()))
    marks = Marks("ledger", quick=options.quick)
    cases: list[Case] = []
    for n in ("yes", "refused"):
        for usage in (True, False):
            with StubServer(Manners(n=n, usage=usage, token_seconds=TOKEN_S, first_seconds=_FIRST_S)) as stub:
                for name in names:
                    for limit, sizes in LIMITS.items():
                        for size in sizes[1:2] if options.quick else sizes:
                            cases.append(one(stub, name, limit, size, n, usage))
    return report(cases, len(names), marks)


def one(stub: StubServer, name: str, limit: str, size: float, n: str, usage: bool) -> Case:
    """One solve under one limit."""
    spec = f"{name}({SETTINGS[name]})" if SETTINGS.get(name) else name
    before = stub.calls, stub.tokens
    model = OpenAIModel("stub", base_url=stub.base_url, prefill=True, patience=Patience(retries=1, backoff_s=0.01))
    if limit == "quota":
        calls, tokens, estimated = by_key(model, spec, int(size))
    else:
        budget = Budget(**{limit: size})
        calls, tokens, estimated = asyncio.run(in_process(model, spec, budget))
    settled(stub)
    counted = stub.calls - before[0], stub.tokens - before[1]
    calls = counted[0] if calls is None else calls
    estimated = tokens if estimated is None else estimated
    cell = (limit, "honoured" if n == "yes" else "refused", "told" if usage else "untold")
    return Case(cell, name, size, calls, tokens, estimated, *counted)


async def in_process(model: OpenAIModel, spec: str, budget: Budget) -> tuple[int, int, int]:
    """(calls, tokens, estimated tokens) as the answer tells them."""
    compute = Compute(model, budget=budget, sampling=Sampling(max_tokens=MAX_TOKENS, temperature=0.8))
    answer = await solve(spec, PROBLEM, compute)
    total = answer.usage.total
    assert total.tokens == compute.ledger.paid.tokens, "a fresh solve is paid for once"
    return total.calls, total.tokens, total.estimated_tokens


def by_key(model: OpenAIModel, spec: str, quota: int) -> tuple[int | None, int, int | None]:
    """The same for a request to `nlrl serve` by a key of so many tokens, by what the key has used in the end. What no
    answer tells is None."""
    asked = {
        "model": f"{spec}@up",
        "messages": [{"role": "user", "content": PROBLEM.question}],
        "max_tokens": MAX_TOKENS,
    }
    with tempfile.TemporaryDirectory() as folder, KeyStore(Path(folder) / "keys") as keys:
        secret = keys.create("somebody", tokens=quota)[1]
        with serving(App(Catalog({"up": model}), None, keys)) as url:
            headers = {"Authorization": f"Bearer {secret}"}
            reply = httpx.post(f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=60, verify=False)
        used = keys.list()[0].used
    told = reply.json().get("nlrl") or {}
    estimated = told.get("estimated_tokens")
    if estimated is None and reply.status_code == 200:  # passed through as it came
        estimated = int(reply.headers.get("x-nlrl-estimated-tokens", 0))
    return told.get("calls"), used, estimated


def settled(stub: StubServer) -> None:
    """Return when the server has read all that was sent to it and is at work on nothing: a request that was cut off may
    still lie unread in its socket when the solve is over, and must not be counted to the next one."""
    end, quiet = time.monotonic() + 20, 0
    while quiet < 3:
        before = stub.calls
        httpx.get(f"{stub.base_url}/models", timeout=20)  # served after what had come before it
        quiet = quiet + 1 if stub.in_flight == 0 and stub.calls == before else 0
        if time.monotonic() > end:
            raise TimeoutError("the stub is still at work")
        time.sleep(0.01)


def report(cases: list[Case], strategies: int, marks: Marks) -> int:
    """Print the table, and every case that breaks a law; the exit code."""
    cells: dict[tuple[str, str, str], list[Case]] = defaultdict(list)
    for case in cases:
        cells[case.cell].append(case)
    print(f"\n{strategies} strategies, {len(cases)} solves. Tokens: charged less counted at the server.\n")
    print(f"{'limit':8} {'n':9} {'usage':7} {'solves':>6} {'calls off':>9} {'all told':>9} {'tokens off':>10} "
          f"{'estimated':>9} {'below':>6} {'over by, middle':>16} {'most':>7} {'exceeded':>9}")  # fmt: skip
    broken: list[Case] = []
    for cell, found in sorted(cells.items()):
        told = [c for c in found if not c.estimated]
        unsure = [c for c in found if c.estimated]
        calls_off = max(abs(c.calls - c.server_calls) for c in found)
        tokens_off = max((abs(c.tokens - c.server_tokens) for c in told), default=0)
        below = sum(c.tokens < c.server_tokens or c.tokens - c.estimated > c.server_tokens for c in unsure)
        over = [c.tokens / c.server_tokens for c in unsure if c.server_tokens] or [1.0]
        print(f"{cell[0]:8} {cell[1]:9} {cell[2]:7} {len(found):6} {calls_off:9} {len(told):9} {tokens_off:10} "
              f"{len(unsure):9} {below:6} {statistics.median(over):15.2f}x {max(over):6.2f}x "
              f"{sum(c.exceeded for c in found):9}")  # fmt: skip
        broken += [
            c for c in found
            if c.calls != c.server_calls or c.exceeded or not c.tokens - c.estimated <= c.server_tokens <= c.tokens
        ]  # fmt: skip
    for case in broken[:40]:
        print(f"  BROKEN {case}")
    marks.exact("calls off", max(abs(c.calls - c.server_calls) for c in cases), equal_to=0)
    exact = [abs(c.tokens - c.server_tokens) for c in cases if not c.estimated]
    marks.exact("tokens off where all was told", max(exact, default=0), equal_to=0)
    marks.exact("solves charged below the server's count", sum(c.tokens < c.server_tokens for c in cases), equal_to=0)
    unlabelled = sum(c.tokens - c.estimated > c.server_tokens for c in cases)
    marks.exact("solves with unlabelled estimates", unlabelled, equal_to=0)
    marks.exact("limits exceeded at the server", sum(c.exceeded for c in cases), equal_to=0)
    marks.exact("solves where all was told", len(exact), above=0)
    return marks.result(solves=len(cases))


if __name__ == "__main__":
    sys.exit(main())
