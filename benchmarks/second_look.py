"""A second look at the grader's no: what a model's yes is worth, and whether the known tricks against graders pass.

    python benchmarks/second_look.py --data-root DIR                      with the embedded model
    python benchmarks/second_look.py --data-root DIR --model MODEL        with others; may be repeated
    python benchmarks/second_look.py --quick                              no model and no data set, under 20 s

Tricks: data/grader_tricks.json, each kind against ten problems of different sorts. Two stand-ins look at them: one that
says yes to everything, and one that says yes to everything but the decoy, so that only the rules are left to stop it;
then the model. Beside them: what the model says to a sample of the tricks when it is asked without any guard. The last
row holds phrases thought up when the rules were done (half of them got past the rules, which have been widened since):
rules against phrases never end, so it is no part of the mark.

Sets: HardVerify-Math and EVOUNA's TQ (equipment/public_sets.py says where they come from; its NQ is held out and is not
opened here). Everything the rules refuse passes the guards first; of what is left, a sample is asked about. "perfect
model" counts what one that knows the labels would reach: the most that any model could win behind these guards.
Mark: no trick passes by a second look, whoever is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipment.marks import Marks
from equipment.public_sets import Decision, evouna, hard_verify
from nlrl.answers import extract_answer
from nlrl.compute import Compute
from nlrl.core import Candidate, Completion, Finish, Model, NlrlError, Problem, Score, TaskType, Verdict
from nlrl.models import load_model
from nlrl.testing.scripted import ScriptedModel
from nlrl.verifiers import ReferenceVerifier, SecondLook
from nlrl.verifiers._asking import read_verdict
from nlrl.verifiers.second_look import SECOND_LOOK, _case, _prompt, said_by

TRICKS = Path(__file__).parent / "data" / "grader_tricks.json"
LATER = "thought up afterwards"
ASKED = 40  # of the right and of the wrong answers of each set
LATER_ASKED = 60  # of those that were thought up afterwards, that a model sees
UNGUARDED = 4  # tricks of each kind that the model sees without guards


# --- tricks ----------------------------------------------------------------------------------------------------------


def tricks() -> list[tuple[str, Problem, str]]:
    """(kind, problem, answer): every trick against every problem."""
    data = json.loads(TRICKS.read_text(encoding="utf-8"))
    found = []
    for given in data["problems"]:
        kind = TaskType(given.get("task_type", "commonsense"))
        problem = Problem(
            given["question"], given["reference"], task_type=kind, choices=tuple(given.get("choices", ()))
        )
        other, second, third = given["others"]
        bare = given["question"].rstrip("?. ")
        parts = {
            "{question}": given["question"], "{bare}": bare, "{lower}": bare.lower(), "{reference}": given["reference"],
            "{other}": other, "{second}": second, "{third}": third,
            "{flood}": "It is well known that this has been discussed by many people at length. " * 20,
        }  # fmt: skip
        for name, patterns in (data["tricks"] | {LATER: data["afterwards"]}).items():
            for answer in patterns:
                for mark, text in parts.items():
                    answer = answer.replace(mark, text)
                found.append((name, problem, answer))
    return found


class Refusing:
    """A grader that accepts nothing, so that every trick depends on the second look."""

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        return [Score(0.0, Verdict.WRONG, reason="refused")] * len(candidates)


def _candidate(answer: str | None, text: str = "") -> Candidate:
    return Candidate("s0", Completion(text or answer or "", Finish.STOP, 0), answer)


def yes_man() -> Model:
    return ScriptedModel(["Verdict: yes"], cycle=True, name="yes to all")


def yes_but_to_decoys(reference: str) -> Model:
    """Says yes wherever the true reference stands whole between its marks."""
    line = f"\n{reference}\n"
    return ScriptedModel(
        lambda request, _: f"Verdict: {'yes' if line in request.messages[-1].content else 'no'}", name="all but decoys"
    )


async def passed(problem: Problem, answer: str, model: Model) -> bool:
    (score,) = await SecondLook(model, grader=Refusing()).score(problem, [_candidate(answer)])
    return score.by == SECOND_LOOK


async def trick_table(models: Sequence[Model], quick: bool) -> list[dict[str, Any]]:
    """A row for each kind: how many the rules accept, and how many pass by each second look."""
    every = tricks()
    later = random.Random(3).sample([case for case in every if case[0] == LATER], LATER_ASKED)
    rows: dict[str, dict[str, Any]] = {}
    unguarded: dict[str, list[tuple[Problem, str]]] = {}
    grader = ReferenceVerifier()
    for kind, problem, answer in every:
        row = rows.setdefault(kind, {"kind": kind, "tried": 0, "by rules": 0, "yes to all": 0, "all but decoys": 0})
        row["tried"] += 1
        (score,) = await grader.score(problem, [_candidate(answer)])
        row["by rules"] += score.verdict is Verdict.RIGHT
        row["yes to all"] += await passed(problem, answer, yes_man())
        row["all but decoys"] += await passed(problem, answer, yes_but_to_decoys(problem.reference or ""))
        for model in models:
            row.setdefault(model.name, 0)
            if kind != LATER or (kind, problem, answer) in later:
                row[model.name] += await passed(problem, answer, model)
        if answer.strip() and kind != "nothing":
            unguarded.setdefault(kind, []).append((problem, answer))
    for model in models if not quick else ():
        for kind, cases in unguarded.items():
            sample = random.Random(kind).sample(cases, min(UNGUARDED, len(cases)))
            look = SecondLook(model)
            replies = await look.replies([_prompt(p, p.reference or "", a) for p, a in sample])
            said = sum(not isinstance(r, str) and read_verdict(r[0], {"yes": 1, "no": -1}) > 0 for r in replies)
            rows[kind][f"{model.name}, unguarded"] = f"{said} of {len(sample)}"
    return list(rows.values())


# --- sets ------------------------------------------------------------------------------------------------------------


def problem_of(decision: Decision) -> Problem:
    kind = TaskType.COMMONSENSE if decision.kind == "text" else TaskType.MATH
    return Problem(decision.question, decision.gold, kind, aliases=decision.aliases)


async def set_row(name: str, decisions: Sequence[Decision], models: Sequence[Model], asked: int) -> dict[str, Any]:
    """What the rules accept of one set, what the guards stop of the rest, and what each model's look makes of it."""
    grader, started = ReferenceVerifier(), time.perf_counter()
    total, by_rules, stopped = Counter[bool](), Counter[bool](), Counter[tuple[str, bool]]()
    open_cases: dict[bool, list[tuple[Problem, Candidate]]] = {True: [], False: []}
    for decision in decisions:
        problem = problem_of(decision)
        answer = extract_answer(decision.text, problem).answer if decision.kind == "text" else decision.text
        candidate = _candidate(answer, decision.text)
        (score,) = await grader.score(problem, [candidate])
        total[decision.right] += 1
        if score.verdict is Verdict.RIGHT:
            by_rules[decision.right] += 1
            continue
        said = said_by(candidate)
        why = _case(problem, said, score)[1] if said else "it is empty"
        if why is None:
            open_cases[decision.right].append((problem, candidate))
        else:
            stopped[why, decision.right] += 1
    left = {right: len(cases) for right, cases in open_cases.items()}
    print(f"\n{name}: {total[True]} right and {total[False]} wrong answers ({time.perf_counter() - started:.0f} s)")
    print(f"  accepted by the rules alone     {by_rules[True]:>5} right {by_rules[False]:>5} wrong")
    print(f"  stopped by the guards           {_of(stopped, True):>5} right {_of(stopped, False):>5} wrong")
    for why in sorted({why for why, _ in stopped}):
        print(f"    {why:<44}{stopped[why, True]:>5} right {stopped[why, False]:>5} wrong")
    print(f"  perfect model: accepted in all  {by_rules[True] + left[True]:>5} right {by_rules[False]:>5} wrong")
    looks = []
    for model in models:
        found: dict[str, Any] = {"model": model.name}
        tokens = calls = 0
        seconds = time.perf_counter()
        for right, cases in open_cases.items():
            sample = random.Random(7).sample(cases, min(asked, len(cases)))
            said: Counter[str] = Counter()
            for problem, candidate in sample:
                compute = Compute(model)
                (scored,) = await compute.score(problem, [candidate], SecondLook(model))
                assert scored.score is not None
                tokens, calls = tokens + compute.ledger.total.tokens, calls + compute.ledger.total.calls
                said[_outcome(scored.score)] += 1
            found["right" if right else "wrong"] = {"asked": len(sample), **said}
        seconds = time.perf_counter() - seconds
        found |= {"tokens": tokens, "calls": calls, "seconds": round(seconds)}
        looks.append(found)
        for label in ("right", "wrong"):
            told = ", ".join(f"{n} {what}" for what, n in found[label].items() if what != "asked")
            print(f"  {model.name}: of {found[label]['asked']} {label} ones asked about: {told}")
        n = max(1, sum(found[label]["asked"] for label in ("right", "wrong")))
        print(f"    {tokens:,} tokens in {calls} calls, {tokens / n:,.0f} tokens a decision; {seconds / n:.1f} s each")
    return {
        "set": name, "right": total[True], "wrong": total[False], "rules_right": by_rules[True],
        "rules_wrong": by_rules[False], "guards_right": _of(stopped, True), "guards_wrong": _of(stopped, False),
        "open_right": left[True], "open_wrong": left[False], "looks": looks,
    }  # fmt: skip


def _of(stopped: Counter[tuple[str, bool]], right: bool) -> int:
    return sum(n for (_, label), n in stopped.items() if label is right)


def _outcome(score: Score) -> str:
    if score.by == SECOND_LOOK:
        return "accepted"
    if "not believed" in score.reason:
        return "yes not believed"
    return "no" if score.reason.endswith("second look: no") else "unreadable or failed"


# --- all of it -------------------------------------------------------------------------------------------------------


async def measured(arguments: argparse.Namespace) -> int:
    marks = Marks("second_look", arguments.quick)
    models: list[Model] = []
    for spec in arguments.model or ([] if arguments.quick else ["qwen2.5-coder-0.5b"]):
        try:
            models.append(load_model(spec))
        except NlrlError as missing:
            print(f"LEFT OUT: {spec}: {missing}")
    print(
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}; asked: {[m.name for m in models] or 'stand-ins'}"
    )
    rows = await trick_table(models, arguments.quick)
    counted = [key for key in rows[0] if key not in ("kind", "tried") and "unguarded" not in key]
    shown = [key for key in dict.fromkeys(k for row in rows for k in row) if key != "kind"]
    print(f"\n  {'tricks that pass':<22}" + "".join(f"{key[:26]:>28}" for key in shown))
    for row in rows:
        print(f"  {row['kind']:<22}" + "".join(f"{row.get(key, ''):>28}" for key in shown))
    fooled = {key: sum(row[key] for row in rows if row["kind"] != LATER) for key in counted}
    print(f"  passed of the known ones: {fooled} (a model saw {LATER_ASKED} of the last row)")
    for key, passed in fooled.items():
        if key != "by rules":
            marks.exact(f"known tricks that pass, {key}", passed, equal_to=0)

    sets = []
    if arguments.data_root and not arguments.quick:
        named = {"HardVerify-Math": hard_verify(arguments.data_root), "EVOUNA TQ": evouna(arguments.data_root, "TQ")}
        for name, decisions in named.items():
            if not decisions:
                print(f"LEFT OUT: {name} is not under {arguments.data_root}")
                continue
            sets.append(await set_row(name, decisions, models, arguments.asked))
    else:
        print("LEFT OUT: the data sets" + (" (--quick)" if arguments.quick else "; name their folder with --data-root"))
    for model in models:
        await model.aclose()
    return marks.result(tricks=rows, passed=fooled, sets=sets)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the tricks, with stand-ins for models (under 20 s)")
    parser.add_argument("--data-root", type=Path, help="the folder of the public sets")
    parser.add_argument("--model", action="append", help="as for nlrl; default: the embedded model")
    parser.add_argument("--asked", type=int, default=ASKED, help="answers of each label and set that a model is asked")
    return asyncio.run(measured(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
