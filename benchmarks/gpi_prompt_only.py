"""Language GPI without weights, on real problems: what an improved prompt is worth beside its baselines.

    python benchmarks/gpi_prompt_only.py --data-root DIR --out DIR [--domains sums,mbpp] [--tokens 30000]

Per domain, problems for improvement and problems for testing are kept apart; test answers are never used for anything
but the figures. Every way of improving gets the same budget of tokens, prompts and critics included:

    none        the base policy, one attempt a problem: the prompt of `nlrl.tasks`
    gpi         `improve_policy`, then one attempt a problem under the policy it found
    random      the base policy with as many of its own right attempts as worked examples as gpi's policy shows (three,
                where it shows none), drawn at random and not validated: the same chat form, the same training problems,
                at most the same budget. Means over `--sets` draws of examples, among which the attempts are shared out
    reflexion   lessons of failed training attempts as a memory of three, never validated (Shinn et al. 2023)
    gepa        the instruction that the package `gepa` finds through our rollouts, if it is installed
    more        the base policy, nothing spent on improving, and more attempts instead. (test): as many a problem as
                cost what one attempt under the found policy costs. (total): what gpi spent on improving is shared out
                over the test problems as more attempts, so that both have spent as much in all; a larger test set would
                give it fewer. The same attempts are used three ways: the plain vote, the vote weighted by scores, and
                the one with the highest score. Scores are public tests for code, else the model's own certainty; at
                most 64 attempts, and for (total) on the first `--total-test` problems only, where that is less

Accuracies are means over `--test-samples` draws a problem at temperature 0.8, with 95 % intervals over
problems, paired for differences. Everything sampled is kept in OUT/bank.sqlite: run it again to go on. The marks: the
interval of gpi - none lies above zero in every domain, and that of gpi - random, where both were measured, in some
domain: choosing and validating examples is worth more than showing any. `--quick` does it all on a scripted model that
obeys a rule, in seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from equipment.marks import Marks
from nlrl.bank import Bank
from nlrl.compute.ledger import Ledger
from nlrl.core import ANSWER_PHRASE, Budget, MissingExtra, Model, Problem, Request, Sampling, TaskType
from nlrl.evaluation.intervals import Interval, gain_interval, mean_interval
from nlrl.learning.language.asking.baselines import gepa_policy, random_examples, reflexion
from nlrl.learning.language.asking.critique import Critic
from nlrl.learning.language.asking.improve_policy import improve_policy
from nlrl.learning.language.asking.policy import LanguagePolicy, diff
from nlrl.learning.language.asking.proposals import EXAMPLES
from nlrl.learning.language.asking.rollouts import Judge, Roller, Rollout, values_of
from nlrl.learning.language.asking.turn import AskingSettings, split
from nlrl.models import load_model
from nlrl.strategies.best_of_n import ALTERNATIVES
from nlrl.tasks.datasets import load_problems
from nlrl.testing import ScriptedModel

MOST_ATTEMPTS, WAYS = 64, "none,gpi,random,reflexion,gepa,more"


@dataclass(frozen=True)
class Domain:
    """Files under the data root, and how long an attempt may be."""

    train: str
    test: str
    max_tokens: int


DOMAINS = {
    "sums": Domain("", "", 128),  # made here: three to five terms of two digits, added and subtracted
    "commonsenseqa": Domain("commonsenseqa/dev_rand_split.jsonl", "commonsenseqa/dev_rand_split.jsonl", 64),
    "mbpp": Domain("mbpp/sanitized-mbpp.json", "mbpp/sanitized-mbpp.json", 200),
    "gsm8k": Domain("gsm8k/train.jsonl", "gsm8k/test.jsonl", 200),
    "strategyqa": Domain("strategyqa/dev.json", "strategyqa/dev.json", 96),
}


@dataclass(frozen=True)
class Row:
    """One way on the test problems. tokens: of one answer; improving: spent before the test; parts: accuracies of the
    draws that it is the mean of."""

    name: str
    values: dict[str, float]
    tokens: float
    improving: int
    parts: tuple[float, ...] = ()


def problems_of(name: str, args: argparse.Namespace) -> tuple[list[Problem], list[Problem]]:
    domain = DOMAINS[name]
    if name == "sums":
        made = sums(args.train + args.test, args.seed)
        return made[: args.train], made[args.train :]
    train = list(load_problems(str(args.data_root / domain.train), limit=args.train, seed=args.seed))
    offset = args.train if domain.train == domain.test else 0
    test = list(load_problems(str(args.data_root / domain.test), limit=args.test, offset=offset, seed=args.seed))
    seen = {p.question for p in train}
    return train, [p for p in test if p.question not in seen]


def sums(n: int, seed: int) -> list[Problem]:
    rng, made = random.Random(seed), dict[str, Problem]()
    while len(made) < n:
        question, total = str(first := rng.randint(10, 99)), first
        for _ in range(rng.choice((2, 3, 4))):
            term, sign = rng.randint(10, 99), rng.choice((1, -1))
            question, total = f"{question} {'+' if sign > 0 else '-'} {term}", total + sign * term
        made[question] = Problem(f"What is {question}?", reference=str(total), task_type=TaskType.MATH)
    return list(made.values())


async def measure(
    name: str, model: Model, train: Sequence[Problem], test: Sequence[Problem], bank: Bank, args: argparse.Namespace,
    sampling: Sampling,
) -> list[Row]:  # fmt: skip
    settings = AskingSettings(
        iterations=args.iterations, minibatch=args.minibatch, validation=args.validation, samples=args.samples,
        sampling=sampling,
    )  # fmt: skip
    budget = Budget(tokens=args.tokens)
    per_test = args.test_samples or args.samples

    def roller(limit: Budget | None = None, strategy: str = "direct", samples: int = 1) -> Roller:
        # all ways of using several attempts read the same ones, so they ask for what the hungriest of them reads
        scored = replace(sampling, logprobs=ALTERNATIVES) if strategy != "direct" and model.can.logprobs else sampling
        return Roller(model, bank, Ledger(limit or Budget()), Judge(), strategy, scored, samples)

    async def tested(
        label: str, policy: LanguagePolicy, improving: int, strategy: str = "direct", on: Sequence[Problem] = test,
        samples: int = 0,
    ) -> Row:  # fmt: skip
        begun, samples = time.monotonic(), samples or (per_test if strategy == "direct" else 1)
        rolled = await roller(strategy=strategy, samples=samples).roll(policy, on)
        every = [r for p in on for r in rolled[p.id]]
        row = Row(label, values_of(rolled), sum(r.tokens for r in every) / len(every), improving)
        say(f"{name} {label}: {100 * mean(row):.1f} % of {len(row.values)}, {time.monotonic() - begun:.0f} s")
        keep(args.out / f"{name}-{label}.jsonl", policy, every)
        return row

    rows = [await tested("none", LanguagePolicy(), 0)]

    found = None
    if "gpi" in args.ways:
        found = await improve_policy(
            model, train, settings=settings, budget=budget, bank=bank, out=args.out / name, on_iteration=tell
        )
        say("\n".join([f"{name} gpi, {found.tokens} tokens:", *diff(LanguagePolicy(), found.policy)]))
        rows.append(await tested("gpi", found.policy, found.tokens))

    if "random" in args.ways:
        number, sets = len(found.policy.examples or ()) if found else 0, list[Row]()
        for at in range(1, args.sets + 1):
            own = roller(budget)
            policy = await random_examples(own, train, random.Random(f"{args.seed}:{at}"), number=number or EXAMPLES)
            say("\n".join([f"{name} random {at}:", *diff(LanguagePolicy(), policy)]))
            # as many attempts in all as under the found policy: so many a problem, or each problem under one draw only
            share = {"samples": per_test // args.sets} if per_test >= args.sets else {"on": test[at - 1 :: args.sets]}
            sets.append(await tested(f"random {at}", policy, own.ledger.total.tokens, **share))
        rows.append(joined(f"random examples ({number or EXAMPLES})", sets))
        rows[-1] = replace(rows[-1], parts=tuple(mean(row) for row in sets))
    if found is None:
        return rows

    feedback, validation = split(train, settings)
    if "reflexion" in args.ways:
        own = roller(budget)
        policy = await reflexion(own, Critic(model, bank, own.ledger), [*feedback, *validation])
        say("\n".join([f"{name} reflexion:", *diff(LanguagePolicy(), policy)]))
        rows.append(await tested("reflexion", policy, own.ledger.total.tokens))
    if "gepa" in args.ways:
        own = roller(budget, samples=args.samples)
        try:
            policy = await gepa_policy(own, Critic(model, bank, own.ledger), feedback, validation)
            say("\n".join([f"{name} gepa:", *diff(LanguagePolicy(), policy)]))
            rows.append(await tested("gepa", policy, own.ledger.total.tokens))
        except MissingExtra as missing:
            say(f"no gepa: {missing}")

    if "more" not in args.ways:
        return rows
    base, ours = rows[0], rows[1]
    each = await price(model, bank, train, sampling)
    shared = found.tokens / max(len(test), 1)
    for label, allowed in (("test", ours.tokens), ("total", base.tokens + shared)):
        n = max(1, min(MOST_ATTEMPTS, int((allowed - each[0]) / each[1])))
        on = test[: args.total_test] if label == "total" else test
        for way in (f"self_consistency(n={n})", f"weighted_vote(n={n})", f"best_of_n(n={n}, select=best)"):
            rows.append(await tested(f"{way} ({label})", LanguagePolicy(), 0, way, on))
    return rows


def joined(name: str, sets: Sequence[Row]) -> Row:
    """Several draws of the same way as one: means over them, problem by problem."""
    every = {p: [row.values[p] for row in sets if p in row.values] for row in sets for p in row.values}
    values = {p: sum(some) / len(some) for p, some in every.items()}
    tokens, improving = (sum(getattr(row, part) for row in sets) / len(sets) for part in ("tokens", "improving"))
    return Row(name, values, tokens, round(improving))


async def price(model: Model, bank: Bank, train: Sequence[Problem], sampling: Sampling) -> tuple[float, float]:
    """Prompt tokens of a problem, and completion tokens of an attempt, by training problems."""
    prompts, generated = [], []
    for problem in train[:20]:
        roller = Roller(model, bank, Ledger(), Judge(), sampling=sampling)
        await roller.roll(LanguagePolicy(), [problem])
        prompts.append(roller.ledger.total.prompt_tokens)
        generated.append(roller.ledger.total.completion_tokens)
    return sum(prompts) / len(prompts), max(1.0, sum(generated) / len(generated))


def mean(row: Row) -> float:
    return sum(row.values.values()) / max(len(row.values), 1)


def keep(path: Path, policy: LanguagePolicy, rollouts: Sequence[Rollout]) -> None:
    path = path.with_name(re.sub(r"[^\w.-]+", "_", path.name))
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in rollouts))
    path.with_suffix(".policy.json").write_bytes(policy.to_json())


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def tell(done) -> None:  # type: ignore[no-untyped-def]
    line = (
        f"  {done.iteration} {done.kind}: {done.decision}, incumbent {100 * done.accuracy:.1f} %, {done.tokens} tokens"
    )
    for label, found in (("minibatch", done.minibatch), ("validation", done.validation)):
        if found:
            line += f"; {label} {100 * found.difference:+.1f} ({found.wins}:{found.losses}, p {found.p:.2f})"
    say(line)


def table(name: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    print(f"\n{name}: {len(rows[0].values)} test problems")
    print(
        f"  {'way':36} {'problems':>8} {'accuracy in %':>20} {'minus none':>22} {'gpi minus it':>22} "
        f"{'tokens/answer':>14} {'improving':>10}"
    )
    out: list[dict[str, Any]] = []
    gpi = next((row for row in rows if row.name == "gpi"), None)
    for row in rows:
        own = mean_interval(list(row.values.values()))
        gain, lead = gap(row, rows[0]), gap(gpi, row) if gpi else None
        print(
            f"  {row.name:36} {len(row.values):8d} {interval(own):>20} {'' if row is rows[0] else signed(gain):>22} "
            f"{signed(lead) if lead and row is not gpi else '':>22} {row.tokens:14.0f} {row.improving:10d}",
            flush=True,
        )
        if row.parts:
            print(f"    by draw: {', '.join(f'{100 * part:.1f}' for part in row.parts)}")
        out.append(
            {"way": row.name, "problems": len(row.values), "accuracy": round(own.mean, 4), "low": round(own.low, 4),
             "high": round(own.high, 4), "gain": [round(x, 4) for x in gain],
             "gpi_minus_it": [round(x, 4) for x in lead] if lead else None, "tokens": round(row.tokens, 1),
             "improving": row.improving, "parts": [round(part, 4) for part in row.parts]}
        )  # fmt: skip
    return out


def gap(a: Row, b: Row) -> Interval:
    """a - b, on the problems that both have."""
    both = [p for p in a.values if p in b.values]
    return gain_interval([a.values[p] for p in both], [b.values[p] for p in both])


def interval(value: Interval) -> str:
    return f"{100 * value.mean:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def signed(value: Interval) -> str:
    """An interval that holds 0 is called what it is: a tie."""
    text = f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"
    return text if value.excludes_zero else f"{text} tie"


def scripted(problems: Sequence[Problem]) -> ScriptedModel:
    """Adds two numbers, more often rightly under the rule that its own critic proposes."""
    known = {p.question: p for p in problems}

    def reply(request: Request, index: int) -> str:
        first, last = request.messages[0].content, request.messages[-1].content
        if first.startswith("You review"):
            return "It added the tens last; next time add the tens first."
        if first.startswith("You read"):
            return "Add the tens first."
        if first.startswith("You improve"):
            return "ADD: Add the tens first."
        if last not in known:
            return "```\nAdd with care.\n```"
        luck = int(hashlib.sha256(f"{last}{index}".encode()).hexdigest()[:8], 16) / 2**32
        number = int(known[last].reference or 0)
        right = luck < (0.75 if "Add the tens first." in first else 0.4)
        return f"Final Answer: {number if right else number + 1 + int(luck * 1e6) % 7}"

    return ScriptedModel(reply)


async def run(args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    figures: dict[str, list[dict[str, Any]]] = {}
    args.out.mkdir(parents=True, exist_ok=True)
    with Bank(args.bank or args.out / "bank.sqlite") as bank:
        if args.quick:
            pairs = [(n % 20 + 11, n // 20 + 41) for n in range(240)]
            made = [Problem(f"What is {a} + {b}?", reference=str(a + b), task_type=TaskType.MATH) for a, b in pairs]
            train, test = made[::2][: args.train], made[1::2][: args.test]
            figures["sums"] = table("sums", await measure("sums", scripted(made), train, test, bank, args, Sampling()))
            return figures
        model = load_model(args.model, **({"threads": args.threads} if args.threads else {}))
        try:
            for name in args.domains.split(","):
                train, test = problems_of(name, args)
                sampling = Sampling(max_tokens=DOMAINS[name].max_tokens, stop_after=ANSWER_PHRASE)
                figures[name] = table(name, await measure(name, model, train, test, bank, args, sampling))
        finally:
            await model.aclose()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("NLRL_DATA"))
    parser.add_argument("--domains", default="sums,strategyqa,mbpp", help=f"of {', '.join(DOMAINS)}")
    parser.add_argument("--ways", default=WAYS, help="which to measure; those left out can be added later")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--threads", type=int, help="of the embedded engine")
    parser.add_argument("--out", type=Path, help="directory of transcripts, policies and the bank")
    parser.add_argument("--bank", type=Path, help="default: OUT/bank.sqlite")
    parser.add_argument("--tokens", type=int, default=30_000, help="of improving, a domain and way")
    for name, default in (("iterations", 6), ("minibatch", 8), ("samples", 1), ("train", 80), ("test", 80)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--test-samples", type=int, default=0, help="draws a test problem; default: --samples")
    parser.add_argument("--sets", type=int, default=2, help="draws of random examples")
    parser.add_argument("--total-test", type=int, default=10_000, help="test problems of the ways at equal total")
    parser.add_argument("--validation", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=7, help="of the choice of problems")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if not args.quick and not args.data_root:
        parser.error("say where the data is: --data-root, or NLRL_DATA")
    if args.data_root:
        args.data_root = Path(args.data_root)
    marks = Marks("gpi_prompt_only", args.quick)
    with TemporaryDirectory() as beside:
        args.out = args.out or Path(beside)
        figures = asyncio.run(run(args))
    for domain, rows in figures.items():
        low = next((row["gain"][1] for row in rows if row["way"] == "gpi"), None)
        if "gpi" in args.ways:
            marks.exact(f"gpi - none on {domain}, low end", low, above=0)
    leads = [row["gpi_minus_it"] for rows in figures.values() for row in rows if row["way"].startswith("random")]
    if leads and "gpi" in args.ways:
        best = max(low for _, low, _ in leads)
        marks.exact("gpi - random examples, best low end over the domains", best, above=0)
    return marks.result(domains=figures, model="scripted" if args.quick else args.model)


if __name__ == "__main__":
    sys.exit(main())
