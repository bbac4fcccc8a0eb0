"""Does language policy iteration keep its books, repeat itself, and survive being killed?

    python benchmarks/gpi_laws.py [--quick]

1. Calls of one decision, by role, against the formula (draws, one value for every place an action may lead to, one G2
   for every way there, one G1 an action, one I), over states of four environments; tokens in the ledger against the
   words of the transcript.
2. Two runs with the same seed: the same transcript, word for word; with another seed: another one.
3. A run in a process of its own, killed (SIGKILL) again and again and started again on the same sample bank: what it
   learned and its ledger equal those of a run that nobody killed, and nothing that was banked is paid for twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from equipment.marks import Marks
from nlrl.bank import Bank
from nlrl.core import Sampling
from nlrl.environments import make
from nlrl.learning.language.acting.desk import Desk, Heard, Role
from nlrl.learning.language.acting.evaluation import Evaluation, Evaluator, once
from nlrl.learning.language.acting.gpi import ActingSettings, language_policy_iteration
from nlrl.learning.language.acting.improvement import Enumerate
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import PromptedPolicy, Table
from nlrl.learning.language.acting.texts import UNKNOWN
from nlrl.learning.language.acting.values import Store

ENVIRONMENTS = (
    "frozen_lake(slippery=true)",
    "maze(layout=double_t)",
    "tic_tac_toe(first=true)",
    "tic_tac_toe(first=false)",
)


async def formula(spec: str, states: int) -> tuple[int, int, int]:
    """(decisions, those whose calls differ from the formula, tokens by which ledger and transcript differ)"""
    env, heard = make(spec), []
    desk = Desk(OracleModel(), sampling=Sampling(temperature=0.8, seed=1), on_heard=heard.append)
    operators = Operators(env, desk)
    policy, improvement = PromptedPolicy(env, desk), Enumerate(draws=8, top=3)
    wrong = 0
    chosen = random.Random(0).sample(list(env.states()), min(states, len(env.states())))
    for state in chosen:
        asked: list[object] = []

        async def read(at: object, asked: list[object] = asked) -> str:
            asked.append(at)
            return UNKNOWN

        before = desk.calls.copy()
        improved = await improvement.better(Evaluator(Evaluation(), operators, policy, once(read)), state)
        actions = tuple(action for action, _ in improved.evaluations) if improved else ()
        spent = (desk.calls - before) + Counter({Role.VALUE: len(asked)})
        wrong += dict(spent) != improvement.expected_calls(env, state, actions, operators.fan_in)
    total = desk.ledger.usage().total
    prompts = [h.prompt for h in heard if h.role is not Role.POLICY]
    prompts += {h.prompt for h in heard if h.role is Role.POLICY}  # its draws share one prompt
    words = sum(len(f"{env.rules} {prompt}".split()) for prompt in prompts) + sum(len(h.reply.split()) for h in heard)
    return len(chosen), wrong, total.tokens - words


async def learn(bank: Path | None, seed: int, heard: list[Heard] | None = None) -> dict[str, Any]:
    """One run on tic-tac-toe with sampled ways and policy draws; everything that it comes to."""
    with Bank(bank) as kept:
        env = make("tic_tac_toe(first=true)")
        sampling = Sampling(temperature=0.8, seed=seed)
        desk = Desk(OracleModel(), bank=kept, sampling=sampling, on_heard=None if heard is None else heard.append)
        operators = Operators(env, desk)
        value, policy = Store(operators), Table(env, PromptedPolicy(env, desk))
        settings = ActingSettings(
            iterations=3, evaluation=Evaluation(samples=3), improvement=Enumerate(draws=6, top=4), episodes=40,
            seed=seed,
        )  # fmt: skip
        await language_policy_iteration(operators, value, policy, settings)
        total = desk.ledger.usage().total
        return {
            "values": value.table,
            "decisions": {state: d.text for state, d in policy.table.items()},
            "calls": {str(role): n for role, n in sorted(desk.calls.items())},
            "tokens": [total.calls, total.prompt_tokens, total.completion_tokens],
            "paid": desk.ledger.paid.calls,
        }


def killed(bank: Path, seed: int) -> tuple[int, dict[str, Any]]:
    """Kill the run's process, each time a little later, until it gets through; (kills, what it then came to)"""
    kills = 0
    while True:
        script = [sys.executable, __file__, "--child", str(bank), "--seed", str(seed)]
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as child:
            try:
                return kills, json.loads(child.communicate(timeout=2.0 * 1.4**kills)[0])
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                kills += 1


async def run(args: argparse.Namespace) -> int:
    marks = Marks("gpi_laws", args.quick)
    print("calls of a decision against the formula")
    for spec in ENVIRONMENTS:
        decisions, wrong, tokens = await formula(spec, 3 if args.quick else 60)
        print(f"  {spec:<32}{decisions:>5} decisions, {wrong} differ; tokens, ledger - transcript: {tokens}")
        marks.exact(f"decisions off the formula, {spec}", wrong, equal_to=0)
        marks.exact(f"tokens, ledger - transcript, {spec}", tokens, equal_to=0)
    first: list[Heard] = []
    again: list[Heard] = []
    other: list[Heard] = []
    straight = await learn(None, 1, first)
    await learn(None, 1, again)
    await learn(None, 2, other)
    same, differs = sorted(first, key=str) == sorted(again, key=str), sorted(first, key=str) != sorted(other, key=str)
    print(f"\nsame seed, same transcript of {len(first):,} texts: {same}; another seed, another transcript: {differs}")
    marks.exact("same seed, same transcript", same)
    marks.exact("another seed, another transcript", differs)
    runs, kills, different, last, calls = 1 if args.quick else 6, 0, 0, 0, 0
    for seed in range(1, runs + 1):
        expected = straight if seed == 1 else await learn(None, seed)
        with tempfile.TemporaryDirectory() as folder:
            times, result = killed(Path(folder) / "bank.sqlite", seed)
        kills += times
        different += sum(result[key] != expected[key] for key in ("values", "decisions", "calls", "tokens"))
        calls += expected["paid"]
        last += result["paid"]
    print(f"{runs} runs, killed {kills} times: {different} fields differ from the straight runs")
    print(f"calls that the last process of each still had to pay for: {last:,} of {calls:,}")
    marks.exact("fields that differ after kills", different, equal_to=0)
    marks.timing("kills that landed", kills, above=0)
    marks.timing("calls that the last process paid for", last, below=calls)
    return marks.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer states and kills")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(asyncio.run(learn(args.child, args.seed))))
        return 0
    return asyncio.run(run(args))


if __name__ == "__main__":
    raise SystemExit(main())
