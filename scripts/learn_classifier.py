"""Learn the weights of the task classifier and write them to src/nlrl/tasks/classifier.json.

    python scripts/learn_classifier.py --data-root DIR              # DIR/gsm8k/test.jsonl, DIR/mbpp/mbpp.jsonl, ...
    python scripts/learn_classifier.py --data-root DIR --leave-out  # print how each set fares unseen; write nothing

Learned from: `scripts/data/classifier_seed.jsonl` (prompts and terms written for this purpose, with slots that are
filled in) and at most 500 rows of half of each of seven public sets. The other half, chosen by a hash of the prompt, is
never seen (`held_out`), and `benchmarks/classify.py` measures on it. Nothing of the sets is kept but weights of single
words and pairs of words.

The model is multinomial logistic regression with an L2 penalty, fitted by full-batch accelerated gradient descent.
Every source (a public set, a style of written prompts) weighs the same inside its class however many rows it has, and a
feature must occur in at least two of them, so that the names and topics of one set do not become evidence.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nlrl.tasks.classify import LABELS, Weights, classify_task, compile_weights, features

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "nlrl" / "tasks" / "classifier.json"
SEED_FILE = HERE / "data" / "classifier_seed.jsonl"
CLASS_OF = {label.value: i for i, label in enumerate(LABELS)}
COMMON = frozenset(
    ("a", "an", "and", "are", "at", "by", "do", "does", "for", "from", "how", "in", "is", "it", "of", "on", "or",
     "that", "the", "this", "to", "what", "which", "with", "you")
)  # fmt: skip

NAMES = ("Maya", "Tom", "Olga", "Raj", "Lena", "Hugo", "Amir", "Nina", "Paul", "Yuki", "Carla", "Ben", "Mr.", "Grandma")
GOODS = ("apples", "marbles", "stickers", "books", "pencils", "cookies", "shells", "stamps", "eggs", "roses", "coins")
PEOPLE = ("baker", "teacher", "nurse", "farmer", "driver", "gardener", "painter", "tailor", "waiter", "plumber")
NUMERALS = (
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "twelve",
    "fifteen",
    "twenty",
    "forty",
)

Triple = tuple[float, float, float]  # one number per class of LABELS


class Row(NamedTuple):
    """One prompt with its class (index into LABELS) and where it is from."""

    text: str
    label: int
    source: str


def held_out(prompt: str) -> bool:
    """Whether a row of a public set is kept apart: the lowest bit of its hash."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[0] % 2 == 0


def public_sets(root: Path) -> dict[str, tuple[str, list[str]]]:
    """name -> (label, prompts), for each of the seven sets that stands under `root`."""

    def jsonl(path: Path) -> list[dict]:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def table(path: Path) -> list[dict]:
        with path.open(encoding="utf-8", newline="") as f:
            return list(csv.DictReader(f))

    readers = {
        "gsm8k": ("math", "gsm8k/test.jsonl", lambda p: [r["question"] for r in jsonl(p)]),
        "imo-answerbench": ("math", "imo_answerbench/answerbench_v2.csv", lambda p: [r["Problem"] for r in table(p)]),
        "mbpp": ("coding", "mbpp/mbpp.jsonl", lambda p: [r["text"] for r in jsonl(p)]),
        "humaneval": ("coding", "humaneval/HumanEval.jsonl.gz", lambda p: [r["prompt"] for r in jsonl(p)]),
        "commonsenseqa": (
            "commonsense",
            "commonsenseqa/dev_rand_split.jsonl",
            lambda p: [r["question"]["stem"] for r in jsonl(p)],
        ),
        "strategyqa": (
            "commonsense",
            "strategyqa/dev.json",
            lambda p: [r["question"] for r in json.loads(p.read_text("utf-8"))],
        ),
        "hotpotqa": (
            "commonsense",
            "hotpotqa_closed_book/hotpot_dev_v1_simplified.json",
            lambda p: [r["question"] for r in json.loads(p.read_text("utf-8"))],
        ),
    }
    found = {}
    for name, (label, path, read) in readers.items():
        if (root / path).is_file():
            found[name] = (label, read(root / path))
    return found


def seed_rows(path: Path = SEED_FILE, fillings: int = 4) -> list[Row]:
    """The written prompts. Those with slots ({n}, {w}, {y}, {name}, {things}, {person}) appear several times."""
    draw = random.Random(0)
    slots = {
        "n": lambda: str(
            draw.choice([draw.randint(2, 20), draw.randint(2, 99), draw.randint(2, 99), draw.randint(100, 3000)])
        ),
        "name": lambda: draw.choice(NAMES),
        "person": lambda: draw.choice(PEOPLE),
        "w": lambda: draw.choice(NUMERALS),
        "y": lambda: str(draw.randint(1500, 2024)),
    }
    rows = []
    for line in path.read_text("utf-8").splitlines():
        seed = json.loads(line)
        text, label, source = seed["text"], CLASS_OF[seed["label"]], f"seed:{seed['label']}:{seed['style']}"
        for _ in range(fillings if re.search(r"\{(n|w|y|name|things|person)\}", text) else 1):
            thing = draw.choice(GOODS)
            filled = text.replace("{things}", thing)
            filled = re.sub(r"\{(n|w|y|name|person)\}", lambda m: slots[m[1]](), filled)
            rows.append(Row(filled, label, source))
    return rows


def learn(
    rows: list[Row],
    *,
    penalty: float = 4e-4,
    min_sources: int = 2,
    min_rows: int = 3,
    keep: int = 1050,
    steps: int = 400,
) -> tuple[Triple, dict[str, Triple]]:
    """Bias and weights, rounded to two decimals, of the `keep` strongest features."""
    found = [features(row.text) if not row.source.endswith(":terms") else keywords(row.text) for row in rows]
    sources_of: dict[str, set[str]] = defaultdict(set)
    rows_of: Counter[str] = Counter()
    for row, fs in zip(rows, found, strict=True):
        for f in fs:
            sources_of[f].add(row.source)
            rows_of[f] += 1
            if row.source.endswith(":terms"):  # written down as a keyword: evidence though no second source has it
                sources_of[f].add("terms")
                rows_of[f] += min_rows
    vocabulary = sorted(f for f in rows_of if len(sources_of[f]) >= min_sources and rows_of[f] >= min_rows)
    weight_N = source_weights(rows)

    while True:  # fit, then keep only the strongest features and fit again: the file stays small
        column = {f: j for j, f in enumerate(vocabulary)}
        x_NF = np.zeros((len(rows), len(vocabulary) + 1), np.float32)
        x_NF[:, -1] = 1.0
        for i, fs in enumerate(found):
            x_NF[i, [column[f] for f in fs if f in column]] = 1.0
        w_FC = fit(x_NF, np.array([row.label for row in rows]), weight_N, penalty, steps)
        if len(vocabulary) <= keep:
            break
        strength_F = np.abs(w_FC[:-1]).max(axis=1)
        best = set(np.argsort(-strength_F)[:keep].tolist())
        vocabulary = [f for j, f in enumerate(vocabulary) if j in best]
    rounded = [tuple(round(float(v), 2) + 0.0 for v in row) for row in w_FC]  # + 0.0 turns -0.0 into 0.0
    return rounded[-1], {f: rounded[j] for f, j in column.items() if any(rounded[j])}  # pyright: ignore[reportReturnType]


def keywords(text: str) -> set[str]:
    """Features of a listed term: its words and pairs only, since it is no prompt that starts, ends or lacks numbers."""
    return {f for f in features(text) if not f.startswith(("<", "^")) and f not in COMMON}


def source_weights(rows: list[Row]) -> np.ndarray:
    """Weight per row: each class one third; inside, each source the same, and the listed terms three times."""
    size = Counter(row.source for row in rows)
    label_of = {row.source: row.label for row in rows}
    parts = {source: 3.0 if source.endswith(":terms") else 1.0 for source in size}
    share = {s: parts[s] / sum(parts[t] for t in size if label_of[t] == label_of[s]) for s in size}
    return np.array([share[row.source] / size[row.source] / len(LABELS) for row in rows], np.float32)


def fit(x_NF: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray, penalty: float, steps: int) -> np.ndarray:
    """Minimise weighted cross-entropy + penalty/2 * |W|^2 with Nesterov momentum. The bias is not penalised."""
    target_NC = np.eye(len(LABELS), dtype=np.float32)[y_N]
    w_FC = np.zeros((x_NF.shape[1], len(LABELS)), np.float32)
    velocity = np.zeros_like(w_FC)
    decay_F1 = np.full((x_NF.shape[1], 1), penalty, np.float32)
    decay_F1[-1] = 0.0
    # Lipschitz bound of the gradient: half the largest eigenvalue of the weighted Gram matrix, by power iteration
    v = np.ones(x_NF.shape[1], np.float32)
    for _ in range(20):
        v = x_NF.T @ (weight_N * (x_NF @ v))
        size = float(np.linalg.norm(v))
        v /= size
    rate = 1.0 / (0.5 * size + penalty)
    for step in range(steps):
        momentum = step / (step + 3)
        ahead = w_FC + momentum * velocity
        z = x_NF @ ahead
        p_NC = np.exp(z - z.max(axis=1, keepdims=True))
        p_NC /= p_NC.sum(axis=1, keepdims=True)
        gradient = x_NF.T @ (weight_N[:, None] * (p_NC - target_NC)) + decay_F1 * ahead
        velocity = momentum * velocity - rate * gradient
        w_FC = w_FC + velocity
    return w_FC - w_FC.mean(axis=1, keepdims=True)


def training_rows(sets: dict[str, tuple[str, list[str]]], cap: int = 500) -> list[Row]:
    """The written prompts, and up to `cap` rows of each public set from the half that is not held out."""
    rows = seed_rows()
    for name, (label, prompts) in sets.items():
        rows += [Row(p, CLASS_OF[label], name) for p in prompts if not held_out(p)][:cap]
    return rows


def write(path: Path, bias: Triple, weights: dict[str, Triple]) -> None:
    """One feature a line, sorted, so that a change of weights reads as a diff."""
    lines = [f"  {json.dumps(f, ensure_ascii=False)}: {json.dumps(w)}" for f, w in sorted(weights.items())]
    head = f'{{"classes": {json.dumps(list(CLASS_OF))},\n"bias": {json.dumps(bias)},\n"weights": {{\n'
    path.write_text(head + ",\n".join(lines) + "\n}}\n", "utf-8")


def accuracy(known: Weights, prompts: list[str], label: str) -> float:
    """Share of prompts that get the label."""
    return sum(classify_task(p, known) == label for p in prompts) / len(prompts)


def left_out(sets: dict[str, tuple[str, list[str]]]) -> dict[str, float]:
    """Accuracy on the held-out half of each set by weights that were learned without that set."""
    rows, result = training_rows(sets), {}
    for name, (label, prompts) in sets.items():
        known = compile_weights(*learn([row for row in rows if row.source != name]))
        result[name] = accuracy(known, [p for p in prompts if held_out(p)], label)
    return result


def seeds_alone(sets: dict[str, tuple[str, list[str]]]) -> dict[str, float]:
    """Accuracy on the held-out half of each set by weights learned from the written prompts alone."""
    known = compile_weights(*learn(seed_rows()))
    return {name: accuracy(known, [p for p in ps if held_out(p)], label) for name, (label, ps) in sets.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=os.environ.get("NLRL_DATA"), help="default: $NLRL_DATA")
    parser.add_argument("--leave-out", action="store_true", help="measure sets unseen and write nothing")
    options = parser.parse_args()
    sets = public_sets(Path(options.data_root)) if options.data_root else {}
    if len(sets) < 7:
        print(f"Found {sorted(sets)} under {options.data_root}; seven sets are needed. See --help.", file=sys.stderr)
        return 2
    if options.leave_out:
        for title, result in (("set left out", left_out(sets)), ("written prompts only", seeds_alone(sets))):
            print(title, {name: round(100 * share, 1) for name, share in result.items()})
        return 0
    bias, weights = learn(training_rows(sets))
    write(TARGET, bias, weights)
    print(f"{TARGET}: {len(weights)} features, {TARGET.stat().st_size} bytes")
    for name, (label, prompts) in sets.items():
        unseen = [p for p in prompts if held_out(p)]
        print(f"  {name:16} {accuracy(compile_weights(bias, weights), unseen, label):.1%} of {len(unseen)} unseen rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
