"""Verdicts that other graders' authors, or people, wrote down: how many does this project's grader give too?

    python benchmarks/graders.py --data-root DIR                     all sources that DIR holds
    python benchmarks/graders.py --data-root DIR --quick             a sample of each, under 20 s
    python benchmarks/graders.py --data-root DIR --out FILE.jsonl    every disagreement, to be judged
    python benchmarks/graders.py --data-root DIR --open-nq           with EVOUNA's second set, which is held out

The sources, and where their files come from, are in equipment/public_sets.py. Completions are read by `extract_answer`
and compared as the verifiers do; in EVOUNA `TextVerifier` decides. Beside ours stand math-verify alone, as its
documentation shows it, on the same texts, and for EVOUNA the two baselines of its repository: exact match after
normalising, and lexical match (a gold stands somewhere in the answer).

A label is what somebody else wrote: some are wrong, and some follow an option of that grader. So disagreements are
judged one by one in data/graders_judged.jsonl, by a hash of the decision, and the table counts the judgements:
`label wrong`, `ours wrong`, `debatable`, and those that nobody has judged.
Mark: on every source at least as many agreements as the baseline (of EVOUNA's two, the better one).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from equipment import public_sets
from equipment.marks import Marks
from equipment.public_sets import Decision
from equivalence import Alone

NEEDS = ("data",)

JUDGED = Path(__file__).parent / "data" / "graders_judged.jsonl"
JUDGEMENTS = ("label wrong", "ours wrong", "debatable")
QUICK_OF_A_SOURCE = 40
LONG_GOLD = 120  # characters; a longer gold is a worked solution

Graded = tuple[str | None, bool]  # the answer that was read, and whether it counts as right


# --- the graders -----------------------------------------------------------------------------------------------------


def ours(decisions: Sequence[Decision]) -> list[Graded]:
    """What this project's extraction and comparison say."""
    return [_known(d) if d.kind == "text" else _mathematics(d) for d in decisions]


def _mathematics(decision: Decision) -> Graded:
    from nlrl.answers import default_equivalence, extract_answer
    from nlrl.core import Problem, TaskType

    if decision.kind == "choice":
        problem = Problem("Which one?", choices=decision.choices, task_type=TaskType.COMMONSENSE)
        gold = extract_answer(decision.gold, problem).answer
        answer = extract_answer(decision.text, problem).answer
        return answer, answer is not None and answer == gold
    problem = Problem(decision.question or "Find the answer.", task_type=TaskType.MATH)
    gold, answer = decision.gold, decision.text
    if decision.kind == "completion":
        answer = extract_answer(answer, problem).answer
        if "\\boxed" in gold or len(gold) > LONG_GOLD:
            gold = extract_answer(gold, problem).answer or gold
    if answer is None or not answer.strip():
        return None, False
    return answer, default_equivalence().equal_sync(gold, answer, task_type=TaskType.MATH)


def _known(decision: Decision) -> Graded:
    from nlrl.answers import extract_answer
    from nlrl.core import Candidate, Completion, Finish, Problem, TaskType, Verdict
    from nlrl.verifiers import TextVerifier

    problem = Problem(
        decision.question, reference=decision.gold, aliases=decision.aliases, task_type=TaskType.COMMONSENSE
    )
    answer = extract_answer(decision.text, problem).answer
    candidate = Candidate("s0", Completion(decision.text, Finish.STOP, 0), answer)
    score = asyncio.run(TextVerifier().score(problem, [candidate]))[0]
    return answer, score.verdict is Verdict.RIGHT


def math_verify_alone(decisions: Sequence[Decision]) -> list[bool]:
    """math-verify on the texts as they are; a bare answer is put in dollar signs, as it asks for."""
    alone = Alone()
    try:
        return [alone.equal(_shown(d.gold), _shown(d.text), dollars=False)[0] for d in decisions]
    finally:
        alone.close()


def _shown(text: str) -> str:
    bare = len(text) <= LONG_GOLD and not any(mark in text for mark in ("$", "\\(", "\\[", "\\boxed", "\n"))
    return f"${text}$" if bare and re.search(r"[\\^_{}]", text) else text


def exact_match(decisions: Sequence[Decision]) -> list[bool]:
    """A gold is the answer."""
    return [any(_plain(gold) == _plain(d.text) for gold in (d.gold, *d.aliases)) for d in decisions]


def lexical_match(decisions: Sequence[Decision]) -> list[bool]:
    """A gold stands somewhere in the answer."""
    return [any(_plain(gold) in _plain(d.text) for gold in (d.gold, *d.aliases)) for d in decisions]


def _plain(text: str) -> str:
    """Lower case, without punctuation and articles."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


# --- counting --------------------------------------------------------------------------------------------------------


def cells(decisions: Sequence[Decision], accepted: Sequence[bool]) -> dict[str, int]:
    """Right accepted, right refused, wrong accepted, wrong refused."""
    counted = Counter((d.right, verdict) for d, verdict in zip(decisions, accepted, strict=True))
    return {
        "right_accepted": counted[True, True], "right_refused": counted[True, False],
        "wrong_accepted": counted[False, True], "wrong_refused": counted[False, False],
    }  # fmt: skip


def agreements(found: dict[str, int]) -> int:
    """How many verdicts are the label's."""
    return found["right_accepted"] + found["wrong_refused"]


def line(name: str, found: dict[str, int], judged: dict[str, int] | None = None) -> str:
    """A row of the table."""
    n = sum(found.values())
    share = 100 * agreements(found) / n
    text = f"  {name:<30}{n:>6}" + "".join(f"{count:>9}" for count in found.values()) + f"{share:>9.2f}"
    return text + ("" if judged is None else "".join(f"{count:>8}" for count in judged.values()))


class Table:
    """The rows of all sources; disagreements with their judgements."""

    def __init__(self, judged: dict[str, dict[str, Any]]) -> None:
        self.judged = judged
        self.rows: list[dict[str, Any]] = []
        self.disagreements: list[dict[str, Any]] = []
        heads = ("right ok", "refused", "wrong ok", "refused", "agree %", "label", "ours", "debate", "open")
        print(f"  {'':<30}{'n':>6}" + "".join(f"{h:>9}" for h in heads[:5]) + "".join(f"{h:>8}" for h in heads[5:]))

    def source(
        self,
        name: str,
        decisions: Sequence[Decision],
        verdicts: Sequence[Graded],
        baselines: dict[str, list[bool]],
    ) -> None:
        """Print ours and the baselines, and keep what differs from the labels."""
        mine = cells(decisions, [accepted for _, accepted in verdicts])
        judged: dict[str, int] = dict.fromkeys((*JUDGEMENTS, "open"), 0)
        for decision, (answer, accepted) in zip(decisions, verdicts, strict=True):
            if accepted == decision.right:
                continue
            judgement = self.judged.get(decision.id, {}).get("judgement", "open")
            judged[judgement] += 1
            self.disagreements.append({
                "source": decision.source, "id": decision.id, "label": "right" if decision.right else "wrong",
                "verdict": "accepted" if accepted else "refused", "gold": decision.gold, "answer": answer,
                "text": decision.text, "question": decision.question, "aliases": list(decision.aliases),
                "judgement": judgement,
            })  # fmt: skip
        print(line(name, mine, judged), flush=True)
        others = {other: cells(decisions, accepted) for other, accepted in baselines.items()}
        for other, found in others.items():
            print(line(f"  {other}", found), flush=True)
        best = max((agreements(found) for found in others.values()), default=0)
        self.rows.append(
            {
                "source": name,
                "ours": mine,
                "judged": judged,
                "others": others,
                "agreements": agreements(mine),
                "best_other": best,
            }
        )


def sample(decisions: list[Decision], quick: bool) -> list[Decision]:
    """All, or a few drawn from them."""
    if not quick or len(decisions) <= QUICK_OF_A_SOURCE:
        return decisions
    chosen = random.Random(0).sample(range(len(decisions)), QUICK_OF_A_SOURCE)
    return [decisions[i] for i in sorted(chosen)]


def read_judged(path: Path) -> dict[str, dict[str, Any]]:
    """The judgements by decision; a judgement that is none of the three stops the run."""
    found = {row["id"]: row for row in public_sets.json_lines(path)}
    if odd := [row for row in found.values() if row["judgement"] not in JUDGEMENTS]:
        raise SystemExit(f"{path}: not a judgement: {odd[0]}")
    return found


MATHEMATICS: dict[str, Callable[[Path], list[Decision]]] = {
    "math-verify's tests": public_sets.math_verify_tests,
    "lighteval's tests": public_sets.lighteval_tests,
    "NeMo-Skills' tests": public_sets.nemo_skills_tests,
    "MATH's own tests": public_sets.hendrycks_tests,
    "Qwen's completions": public_sets.qwen_completions,
    "HardVerify-Math": public_sets.hard_verify,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("NLRL_DATA"), help="default: $NLRL_DATA")
    parser.add_argument("--quick", action="store_true", help="a sample of each source (under 20 s)")
    parser.add_argument("--out", type=Path, help="write every disagreement to this file")
    parser.add_argument("--judged", type=Path, default=JUDGED, help="another file of judgements")
    parser.add_argument("--open-nq", action="store_true", help="with EVOUNA's NQ, which is held out until the end")
    arguments = parser.parse_args()
    if arguments.data_root is None:
        parser.error("give --data-root, or set NLRL_DATA; equipment/public_sets.py says what it must hold")
    root = Path(arguments.data_root)

    marks = Marks("graders", arguments.quick)
    table = Table(read_judged(arguments.judged))
    absent = []
    for name, load in MATHEMATICS.items():
        decisions = sample(load(root), arguments.quick)
        if not decisions:
            absent.append(name)
        for source in dict.fromkeys(d.source for d in decisions):
            some = [d for d in decisions if d.source == source]
            # options by letter are outside what math-verify reads by default
            alone = {} if some[0].kind == "choice" else {"math-verify alone": math_verify_alone(some)}
            table.source(source, some, ours(some), alone)
    for name in ("TQ", "NQ") if arguments.open_nq else ("TQ",):
        decisions = public_sets.evouna(root, name)  # type: ignore[arg-type]
        if not decisions:
            absent.append(f"EVOUNA {name}")
            continue
        by_system = [
            sample([d for d in decisions if d.source == source], arguments.quick)
            for source in dict.fromkeys(d.source for d in decisions)
        ]
        together = [d for some in by_system for d in some]
        verdicts = ours(together)
        at = 0
        for some in by_system:
            match = {"exact match": exact_match(some), "lexical match": lexical_match(some)}
            table.source(some[0].source, some, verdicts[at : at + len(some)], match)
            at += len(some)
        mine = cells(together, [accepted for _, accepted in verdicts])
        print(line(f"EVOUNA {name}, all", mine))
        for other, grade in (("exact match", exact_match), ("lexical match", lexical_match)):
            print(line(f"  {other}", cells(together, grade(together))))
    for name in absent:
        print(f"  {name}: left out, {root} does not hold it (see equipment/public_sets.py)")

    if arguments.out:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in table.disagreements]
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("".join(lines), encoding="utf-8")
        print(f"{len(lines)} disagreements: {arguments.out}")
    if not table.rows:
        return marks.skip(f"{root} holds none of the sources; see equipment/public_sets.py")
    for row in table.rows:
        marks.exact(f"agreements on {row['source']}", row["agreements"], at_least=row["best_other"])
    return marks.result(rows=table.rows, absent=absent)


if __name__ == "__main__":
    sys.exit(main())
