"""Answers with one place changed: does the comparison ever call them equal?

    python benchmarks/false_equal.py --data-root DIR                    the answers of all public sets in DIR
    python benchmarks/false_equal.py --quick                            answers out of data/equivalence_pairs.jsonl
    python benchmarks/false_equal.py --data-root DIR --out FILE.jsonl   writes what was called equal

Each answer is taken once, and of plain numbers at most 1,000, for structure is where comparisons go wrong. In one to
three copies of it one place is changed: a digit, a sign, the kind of a bracket at the end of an interval, a function, a
power, a relation, a name, the order of two entries of a tuple. What is changed depends on the answer alone, so that the
pairs stay the same from run to run; --seed gives others. Where the files come from is in equipment/public_sets.py.

Few such pairs are equal after all ("cos" of a changed sign, "x = 0" of either sign). They are in
data/false_equal_allowed.jsonl, by a hash of the pair and with the reason, and are counted apart.
Beside ours stands math-verify alone on the same pairs, both sides in dollar signs.
Mark: no pair called equal that is not on the list; the median under 1 ms, no pair over 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipment.marks import Marks
from equipment.public_sets import digest, golds, json_lines
from equivalence import PAIRS, Alone

ALLOWED = Path(__file__).parent / "data" / "false_equal_allowed.jsonl"
MAX_PLAIN = 1_000
MAX_LENGTH = 300
VARIANTS = (1, 2, 2, 3)  # how many copies an answer gets, drawn from these
QUICK_PAIRS_ALONE = 60


@dataclass(frozen=True)
class Pair:
    """An answer and a copy of it with one place changed."""

    source: str
    kind: str
    gold: str
    changed: str

    @property
    def id(self) -> str:
        """A hash of both, which the list of allowed pairs uses."""
        return digest(self.gold, self.changed)


# --- changes: each gives a copy with one place changed, or None where there is no such place --------------------------

Change = Callable[[str, random.Random], str | None]
_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z]{2,}")
_VARIABLE = re.compile(r"[A-Za-z]")
_FUNCTION = re.compile(r"\\(sin|cos|tan|cot|sec|csc|ln|log|arcsin|arccos|arctan|sinh|cosh|sqrt|max|min)(?![A-Za-z])")
_FUNCTIONS = {
    "sin": "cos", "cos": "sin", "tan": "cot", "cot": "tan", "sec": "csc", "csc": "sec", "ln": "sin", "log": "cos",
    "arcsin": "arccos", "arccos": "arcsin", "arctan": "arcsin", "sinh": "cosh", "cosh": "sinh", "sqrt": "sqrt[3]",
    "max": "min", "min": "max",
}  # fmt: skip
_POWER = re.compile(r"\^\s*(?:\{\s*)?(\d+)")
_RELATION = re.compile(r"\\(?:leqslant|geqslant|leq|geq|le|ge|lt|gt|neq|ne|in)(?![A-Za-z])|[<>=≤≥]")
_RELATIONS = {
    "\\leq": "<", "\\le": "<", "\\leqslant": "<", "≤": "<", "\\geq": ">", "\\ge": ">", "\\geqslant": ">", "≥": ">",
    "<": "\\geq ", "\\lt": "\\geq ", ">": "\\leq ", "\\gt": "\\leq ", "=": "\\neq ", "\\ne": "=", "\\neq": "=",
    "\\in": "\\notin ",
}  # fmt: skip
_WORD_ANSWER = re.compile(r"(?:\\(?:text|textbf|mathrm|mbox)\s*\{)?\s*\(?([A-Za-z]+)\)?\s*\}?")
_OPPOSITES = {"odd": "even", "even": "odd", "yes": "no", "no": "yes", "true": "false", "false": "true"}


def digit(gold: str, rng: random.Random) -> str | None:
    """Another digit."""
    places = [m.start() for m in re.finditer(r"[0-9]", gold)]
    if not places:
        return None
    at = rng.choice(places)
    leads = (at == 0 or gold[at - 1] not in "0123456789.") and gold[at + 1 : at + 2].isdigit()
    return gold[:at] + rng.choice([d for d in "0123456789"[leads:] if d != gold[at]]) + gold[at + 1 :]


def sign(gold: str, rng: random.Random) -> str | None:
    """Plus for minus, minus for plus, or a minus where there was no sign."""
    if "\\pm" in gold or "±" in gold:
        return None  # a sign behind one of these changes nothing
    hidden = {at for m in _WORDS.finditer(gold) for at in range(*m.span())}
    places = [
        at
        for at, letter in enumerate(gold)
        if letter in "+-" and at not in hidden and not re.match(r"\s*(?:\\?infty|∞|[Cc]\b)", gold[at + 1 :])
    ]
    if places:
        at = rng.choice(places)
        return gold[:at] + ("-" if gold[at] == "+" else "+") + gold[at + 1 :]
    starts = [m.end() for m in re.finditer(r"(?:^|(?<![.0-9])[\[(]|[{=,;&])\s*(?=[1-9]|\\d?frac|\\sqrt)", gold)]
    starts = [at for at in starts if at not in hidden and not gold[:at].endswith("\\overline{")]
    if not starts:
        return None
    at = rng.choice(starts)
    return gold[:at] + "-" + gold[at:]


def bracket(gold: str, rng: random.Random) -> str | None:
    """An open end for a closed one; an ordered pair for a set."""
    whole = re.fullmatch(r"\s*(?:\\left\s*)?\\\{([^{}|:]*,[^{}|:]*)(?:\\right\s*)?\\\}\s*", gold)
    if whole:
        inside = whole[1].removesuffix("\\right")
        return f"({inside})"
    found = re.fullmatch(r"\s*(?:\\left\s*)?([(\[])([^()\[\]]*),([^()\[\]]*?)(\\right\s*)?([)\]])\s*", gold)
    if not found:
        return None
    left, low, high, right = found[1], found[2], found[3], found[5]
    ends = [end for end, text in (("low", low), ("high", high)) if not re.search(r"inf|∞|oo", text)]
    if not ends or "," in low + high:
        return None
    if rng.choice(ends) == "low":
        left = "[" if left == "(" else "("
    else:
        right = "]" if right == ")" else ")"
    return f"{left}{low},{high}{right}"


def function(gold: str, rng: random.Random) -> str | None:
    """Another function."""
    found = [m for m in _FUNCTION.finditer(gold) if not (m[1] == "sqrt" and gold[m.end() :].lstrip()[:1] == "[")]
    if not found:
        return None
    one = rng.choice(found)
    return gold[: one.start()] + "\\" + _FUNCTIONS[one[1]] + gold[one.end() :]


def power(gold: str, rng: random.Random) -> str | None:
    """The next exponent."""
    found = list(_POWER.finditer(gold))
    if not found:
        return None
    one = rng.choice(found)
    more = str(int(one[1]) + 1)
    braced = "{" in one[0] or len(more) == 1
    return gold[: one.start(1)] + (more if braced else "{" + more + "}") + gold[one.end(1) :]


def relation(gold: str, rng: random.Random) -> str | None:
    """Another relation."""
    found = list(_RELATION.finditer(gold))
    if not found or gold.lstrip()[:1] == "<":  # that one is a vector's bracket
        return None
    one = rng.choice(found)
    return gold[: one.start()] + _RELATIONS[one[0]] + gold[one.end() :]


def name(gold: str, rng: random.Random) -> str | None:
    """Another variable in one place, or another word where the answer is one."""
    word = _WORD_ANSWER.fullmatch(gold)
    if word:
        old = word[1]
        if len(old) == 1:
            new = chr(ord(old) + 1) if old not in "Zz" else "B"
        else:
            new = _OPPOSITES.get(old.lower(), "Orwell" if old[0].isupper() else "crimson")
        return gold[: word.start(1)] + new + gold[word.end(1) :]
    hidden = {at for m in _WORDS.finditer(gold) for at in range(*m.span())}
    places = [m.start() for m in _VARIABLE.finditer(gold) if m.start() not in hidden and gold[m.start()] not in "eiCc"]
    if not places:
        return None
    at = rng.choice(places)
    # neither another case of the same letter, which names the same option, nor "a", which may be an article
    new = rng.choice([letter for letter in "xyzbmn" if letter not in gold.lower()] or ["w"])
    return gold[:at] + new + gold[at + 1 :]


def order(gold: str, rng: random.Random) -> str | None:
    """Two entries of a tuple, or of a row or column of a matrix, in the other order."""
    matrix = re.fullmatch(r"\s*(\\begin\{[a-z]*matrix\})(.*)(\\end\{[a-z]*matrix\})\s*", gold, re.S)
    if matrix:
        parts = re.split(r"(&|\\\\(?:\[[^\]]*\])?)", matrix[2])
        head, tail = matrix[1], matrix[3]
    else:
        tuple_ = re.fullmatch(r"\s*((?:\\left\s*)?\()([^()]*,[^()]*?)((?:\\right\s*)?\))\s*", gold)
        if not tuple_:
            return None
        parts = re.split(r"(,)", tuple_[2])
        head, tail = tuple_[1], tuple_[3]
    entries = [i for i in range(0, len(parts), 2) if parts[i].strip()]
    if any(parts[i].count("{") != parts[i].count("}") for i in entries):
        return None
    pairs = [
        (i, j) for i in entries for j in entries if i < j and "".join(parts[i].split()) != "".join(parts[j].split())
    ]
    if not pairs:
        return None
    i, j = rng.choice(pairs)
    parts[i], parts[j] = parts[j], parts[i]
    return head + "".join(parts) + tail


CHANGES: tuple[Change, ...] = (digit, sign, bracket, function, power, relation, name, order)


def variants(source: str, gold: str, seed: int = 0) -> list[Pair]:
    """One to three pairs of different kinds; the same for the same answer and seed in every run."""
    rng = random.Random(digest(gold, str(seed)))
    wanted = rng.choice(VARIANTS)
    found: dict[str, Pair] = {}
    for change in rng.sample(CHANGES, len(CHANGES)):
        changed = change(gold, rng)
        if changed is not None and changed != gold and changed not in found:
            found[changed] = Pair(source, change.__name__, gold, changed)
        if len(found) == wanted:
            break
    return list(found.values())


# --- pairs -----------------------------------------------------------------------------------------------------------

_REASONED = re.compile(r"(?:yes|no|true|false)\b[.,;]?\s", re.I)  # the reason behind it is not compared, by the rules
_PLAIN = re.compile(r"[-+]?\\?\$?[\d.,\\!{} ]+%?")


def chosen(sets: dict[str, Iterable[str]]) -> list[tuple[str, str]]:
    """(set, answer): each answer once, and not more than so many plain numbers."""
    seen: set[str] = set()
    plain, others = [], []
    for source, answers in sets.items():
        for answer in answers:
            key = "".join(answer.split())
            if not key or key in seen or len(answer) > MAX_LENGTH or "\n" in answer.strip():
                continue
            if _REASONED.match(answer):
                continue
            seen.add(key)
            (plain if _PLAIN.fullmatch(answer) else others).append((source, answer))
    return others + sorted(plain, key=lambda one: digest(one[1]))[:MAX_PLAIN]


def own_answers() -> dict[str, Iterable[str]]:
    """The answers that this repository holds itself."""
    return {"equivalence_pairs": [row[side] for row in json_lines(PAIRS) for side in ("a", "b")]}


# --- both methods ----------------------------------------------------------------------------------------------------


def ours(pairs: list[Pair]) -> list[tuple[bool, float]]:
    """Verdict and seconds of each pair; both sides of every pair are read afresh."""
    from nlrl.answers import default_equivalence
    from nlrl.answers.forms.read import forget
    from nlrl.core import TaskType

    equivalence = default_equivalence()
    out = []
    for pair in pairs:
        forget()
        start = time.perf_counter()
        verdict = equivalence.equal_sync(pair.gold, pair.changed, task_type=TaskType.MATH)
        out.append((verdict, time.perf_counter() - start))
    return out


def math_verify_alone(pairs: list[Pair]) -> tuple[list[tuple[bool, float]], int]:
    """The same of math-verify, and how often it was killed."""
    alone = Alone()
    try:
        return [alone.equal(pair.gold, pair.changed, dollars=True) for pair in pairs], alone.late
    finally:
        alone.close()


def row(method: str, pairs: list[Pair], found: list[tuple[bool, float]], allowed: set[str]) -> dict[str, Any]:
    """Pairs called equal, on the list and not, and times."""
    equal = [pair for pair, (verdict, _) in zip(pairs, found, strict=True) if verdict]
    listed = sum(pair.id in allowed for pair in equal)
    times = sorted(seconds * 1e6 for _, seconds in found)
    result = {
        "method": method, "pairs": len(pairs), "called_equal": len(equal) - listed, "allowed": listed,
        "median_us": round(statistics.median(times), 1), "p99_us": round(times[int(0.99 * (len(times) - 1))]),
        "max_us": round(times[-1]),
    }  # fmt: skip
    print(f"  {method:<24}" + "".join(f"{cell:>13}" for cell in list(result.values())[1:]), flush=True)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("NLRL_DATA"), help="default: $NLRL_DATA")
    parser.add_argument("--quick", action="store_true", help="needs no data; a sample for math-verify alone")
    parser.add_argument("--seed", type=int, default=0, help="other changes; the list knows those of seed 0")
    parser.add_argument("--out", type=Path, help="write what ours called equal to this file")
    parser.add_argument("--ours-only", action="store_true", help="without math-verify alone, which takes minutes")
    parser.add_argument("--allowed", type=Path, default=ALLOWED, help="another list of pairs that are equal")
    arguments = parser.parse_args()
    if arguments.data_root is None and not arguments.quick:
        parser.error("give --data-root, set NLRL_DATA, or choose --quick")

    marks = Marks("false_equal", arguments.quick)
    answers = chosen(own_answers() if arguments.quick else dict(golds(Path(arguments.data_root))))
    if not answers:
        parser.error(f"{arguments.data_root} holds none of the sets; equipment/public_sets.py says what it must hold")
    pairs = [pair for source, gold in answers for pair in variants(source, gold, arguments.seed)]
    allowed = {entry["pair"]: entry["reason"] for entry in json_lines(arguments.allowed)}
    kinds = Counter(pair.kind for pair in pairs)
    print(f"{len(answers)} answers: {dict(Counter(source for source, _ in answers))}")
    print(f"{len(pairs)} pairs: {dict(kinds)}; {os.cpu_count()} CPUs, Python {platform.python_version()}")
    heads = ("pairs", "called equal", "allowed", "median us", "99 % us", "max us")
    print(f"  {'':<24}" + "".join(f"{head:>13}" for head in heads))
    found = ours(pairs)
    mine = row("nlrl", pairs, found, set(allowed))
    equal = [pair for pair, (verdict, _) in zip(pairs, found, strict=True) if verdict]
    wrong = [pair for pair in equal if pair.id not in allowed]
    if arguments.out:
        lines = [
            json.dumps({"pair": p.id, "kind": p.kind, "source": p.source, "gold": p.gold, "changed": p.changed,
                        "allowed": allowed.get(p.id)}, ensure_ascii=False) + "\n"
            for p in equal
        ]  # fmt: skip
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("".join(lines), encoding="utf-8")
    rows = [mine]
    step = max(1, len(pairs) // QUICK_PAIRS_ALONE) if arguments.quick else 1
    if not arguments.ours_only:
        other, late = math_verify_alone(pairs[::step])
        rows.append(row("math-verify alone", pairs[::step], other, set(allowed)))
        print(f"    ({late} killed as late)")

    print("Called equal, and not on the list:" if wrong else "No pair called equal that is not on the list.")
    for pair in wrong:
        print(f"  {pair.id} {pair.kind:<9} {pair.source:<18} {pair.gold!r}   {pair.changed!r}")
    marks.exact("called equal, and not on the list", len(wrong), equal_to=0)
    marks.timing("median us", mine["median_us"], below=1_000)
    marks.timing("most us", mine["max_us"], below=1_000_000)
    return marks.result(rows=rows, answers=len(answers), kinds=kinds)


if __name__ == "__main__":
    sys.exit(main())
