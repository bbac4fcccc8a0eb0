"""Learn the weights of the task classifier and write them to src/nlrl/tasks/classifier.json.

    python scripts/learn_classifier.py --data-root DIR              # DIR/gsm8k/test.jsonl, DIR/mbpp/mbpp.jsonl, ...
    python scripts/learn_classifier.py --data-root DIR --leave-out  # print how each set fares unseen; write nothing

Learned from: `scripts/data/classifier_seed.jsonl` (prompts and terms written for this purpose, with slots that are
filled in) and at most 2,000 rows of half of each of seven public sets. The other half, chosen by a hash of the prompt,
is never learned from (`kept_apart`), and `benchmarks/classify.py` measures on it. Nothing of the sets is kept but
weights.

The concepts of words (`words` in the file) are written by hand and stay as they are. The model is multinomial logistic
regression with an L2 penalty, fitted by projected, accelerated gradient descent: what is no concept of programs never
speaks for coding, and what is none of mathematics never for mathematics (`may_speak_for`). Each prompt is learned
twice, once in a frame that says how to answer (`framed`), so that frames are evidence of nothing. Every source (a
public set, a style of written prompts) weighs the same inside its class however many rows it has, and a feature must
occur in at least two of them, so that the names and topics of one set do not become evidence.
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
import textwrap
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nlrl.tasks.classify import LABELS, Weights, as_feature, classify_task, learned
from nlrl.tasks.evidence import FOR_CODING, FOR_MATH, features

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "nlrl" / "tasks" / "classifier.json"
SEED_FILE = HERE / "data" / "classifier_seed.jsonl"
CLASS_SHARE = (0.3, 0.3, 0.4)  # when unsure, commonsense
CLASS_OF = {label.value: i for i, label in enumerate(LABELS)}
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

TOPICS = ("the sea", "winter", "honesty", "school uniforms", "the moon", "social media", "old trains", "a lost dog",
          "climate change", "jazz", "first love", "remote work", "video games", "the number seven", "money",
          "a chess program", "computers", "the history of numbers", "modern cars", "time travel")  # fmt: skip
PLACES = ("Kenya", "Paris", "Japan", "Texas", "Norway", "Lima", "Scotland", "India", "the Alps", "Boston")
FIGURES = ("Shakespeare", "Mozart", "Ada Lovelace", "Gandhi", "Sherlock Holmes", "Einstein", "Cleopatra", "Darwin")

# What says only how to answer is said around prompts of every class, so that it is evidence of nothing.
FRAMES = (
    "Question: {}\nAnswer:", "Q: {}\nA:", "{}\n\nAnswer:", "Please answer the following question. {}",
    "Read the question and answer it.\n\n{}", "Answer the question below.\n{}", "Problem: {}",
    "### Instruction:\n{}\n\n### Response:",
    "Please answer this: {}", "Hi, can you help me with this? {}", "{} Thanks!", "Task: {}", "User: {}\nAssistant:",
    "{}\nLet's think step by step.", "{} Explain your reasoning.", "{} Show your work.", "{}\nGive a short answer.",
    "{} Answer in JSON format.", "{}\nYour entire output should be a JSON object, nothing else.",
    "{} Wrap the output in JSON. You can use markdown ticks such as ```.",
    "{} Do not use any commas in your response.", "{} Your response must have at least {k} words.",
    "{} Write exactly {k} paragraphs, separated by ***.", "{} Use less than {k} sentences.",
    "{} Your answer must contain exactly {k} bullet points, such as:\n* This is point 1.\n* This is point 2.",
    "{} Highlight at least {k} sections with markdown, i.e. *highlighted section*.",
    "{} Include a title, wrapped in double angular brackets, such as <<title>>.",
    "{} Use only lowercase letters.", "{} Use all capital letters.",
    "{} The letter q should appear at least {k} times.",
    "{} Include the keywords 'river' and 'table'.",
    "{} Do not include the words 'list' and 'function' in your response.",
    "{} Finish with the exact phrase \"Is there anything else I can help with?\"",
    "{}\nFirst repeat the request word for word without change, then give your answer.",
    "{} Put double quotation marks around your whole response.", "{} Answer in German only, no other language.",
    "{}\n\nAnswer format: true/false", "{}\n\nAnswer format: answer1/answer2/answer3",
    "{}\nOptions:\n- Yes\n- No", "{}\nOptions:\n(A) 12\n(B) 15\n(C) 20", "{}\nA. none\nB. one\nC. many\nD. all",
    "{} Answer Choices: (A) 4 (B) 6 (C) 8", "{} Output the answer only.", "{}\nReturn only the final answer.",
    "{} Add a postscript that starts with P.S.", "{} Put your final answer in \\boxed.",
    "{} There should be {k} sections, marked with SECTION X.",
)  # fmt: skip

SLOT = re.compile(r"\{(n|w|y|name|things|person|topic|place|figure)\}")

Triple = tuple[float, float, float]  # one number per class of LABELS


class Row(NamedTuple):
    """One prompt with its class (index into LABELS) and where it is from."""

    text: str
    label: int
    source: str


def kept_apart(prompt: str) -> bool:
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
        "topic": lambda: draw.choice(TOPICS),
        "place": lambda: draw.choice(PLACES),
        "figure": lambda: draw.choice(FIGURES),
    }
    rows = []
    for line in path.read_text("utf-8").splitlines():
        seed = json.loads(line)
        text, label, source = seed["text"], CLASS_OF[seed["label"]], f"seed:{seed['label']}:{seed['style']}"
        for _ in range(fillings if SLOT.search(text) else 1):
            thing = draw.choice(GOODS)
            filled = text.replace("{things}", thing)
            filled = SLOT.sub(lambda m: slots[m[1]](), filled)
            rows.append(Row(filled, label, source))
    return rows


def learn(
    rows: list[Row],
    *,
    penalty: float = 2e-4,
    min_sources: int = 2,
    min_rows: int = 3,
    keep: int = 800,
    steps: int = 800,
) -> tuple[Triple, dict[str, Triple]]:
    """Bias and weights, rounded to two decimals, of the `keep` strongest features."""
    found = [named(row.text) if not row.source.endswith(":terms") else concepts(row.text) for row in rows]
    sources_of: dict[str, set[str]] = defaultdict(set)
    rows_of: Counter[str] = Counter()
    for row, fs in zip(rows, found, strict=True):
        for f in fs:
            sources_of[f].add(row.source)
            rows_of[f] += 1
            if row.source.endswith(":terms"):  # written down as a keyword: evidence though no second source has it
                sources_of[f].add("terms")
                rows_of[f] += min_rows
    vocabulary = sorted(
        f for f in rows_of if not f.endswith(" ^") and len(sources_of[f]) >= min_sources and rows_of[f] >= min_rows
    )
    weight_N = source_weights(rows)

    while True:  # fit, then keep only the strongest features and fit again: the file stays small
        column = {f: j for j, f in enumerate(vocabulary)}
        x_NF = np.zeros((len(rows), len(vocabulary) + 1), np.float32)
        x_NF[:, -1] = 1.0
        for i, fs in enumerate(found):
            x_NF[i, [column[f] for f in fs if f in column]] = 1.0
        w_FC = fit(x_NF, np.array([row.label for row in rows]), weight_N, may_speak_for(vocabulary), penalty, steps)
        if len(vocabulary) <= keep:
            break
        strength_F = np.abs(w_FC[:-1]).max(axis=1)
        best = set(np.argsort(-strength_F)[:keep].tolist())
        vocabulary = [f for j, f in enumerate(vocabulary) if j in best]
    rounded = [tuple(round(float(v), 2) + 0.0 for v in row) for row in w_FC]  # + 0.0 turns -0.0 into 0.0
    return rounded[-1], {f: rounded[j] for f, j in column.items() if any(rounded[j])}  # pyright: ignore[reportReturnType]


def concepts(text: str) -> set[str]:
    """Features of a listed term: its concepts only, since it is no prompt that starts, ends or lacks numbers."""
    return {f for f in named(text) if not f.startswith(("<", "^"))}


def named(text: str) -> set[str]:
    """The names of the features of a prompt."""
    return {f if isinstance(f, str) else " ".join(f) for f in features(text, learned().lexicon)} - {"^", "?^"}


def source_weights(rows: list[Row]) -> np.ndarray:
    """Weight per row: each class its share; inside, each source the same, and the listed terms three times."""
    size = Counter(row.source for row in rows)
    label_of = {row.source: row.label for row in rows}
    parts = {source: 3.0 if source.endswith(":terms") else 1.0 for source in size}
    share = {s: parts[s] / sum(parts[t] for t in size if label_of[t] == label_of[s]) for s in size}
    return np.array([CLASS_SHARE[row.label] * share[row.source] / size[row.source] for row in rows], np.float32)


MARKS_OF_MATH = (
    "<a function of mathematics>", "<# op #>", "<$x$>", "<\\command>", "<f(x)>", "<x = >", "<letters>",
    "<formula sign>", "<numbers ", "<mathematics ", "<how many", "<quantity", "<$#>", "<#%>", "<^>",
)  # fmt: skip
MARKS_OF_CODING = (
    "<();>", "<) {>", "<->>", "<=>>", "<==>", "<doctest>", "<docstring>", "</*>", "<[#, >", "<[]>", '<"x": >', "<tag>",
    "<call()>", "<snake_case>", "<statement>", "<declaration>", "<code fence>", "<SQL>", "<`x`>", "<programs ",
)  # fmt: skip


def may_speak_for(vocabulary: list[str]) -> np.ndarray:
    """Which features can be evidence of mathematics, and which of a program: those of its concepts and marks."""

    def speaks(feature: str, concepts_: frozenset[str], marks: tuple[str, ...]) -> bool:
        if feature.startswith("<"):
            return feature.startswith(marks)
        bare = feature.removeprefix("?").removeprefix("^ ")
        return bare in concepts_ or any(bare.startswith(c + " ") or bare.endswith(" " + c) for c in concepts_)

    return np.array(
        [[speaks(f, FOR_MATH, MARKS_OF_MATH), speaks(f, FOR_CODING, MARKS_OF_CODING)] for f in vocabulary]
        + [[False, False]]  # no evidence
    )


def fit(
    x_NF: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray, may_F2: np.ndarray, penalty: float, steps: int
) -> np.ndarray:
    """Minimise weighted cross-entropy + penalty/2 * |W|^2 by projected gradient with Nesterov momentum.

    The bias is not penalised. What may not speak for mathematics or for a program has no more weight there than for
    commonsense, so that nothing but evidence of a class can bring it about.
    """
    target_NC = np.eye(len(LABELS), dtype=np.float32)[y_N]
    w_FC = np.zeros((x_NF.shape[1], len(LABELS)), np.float32)
    velocity = np.zeros_like(w_FC)
    decay_F1 = np.full((x_NF.shape[1], 1), penalty, np.float32)
    decay_F1[-1] = 0.0
    # Lipschitz bound of the gradient: half the largest eigenvalue of the weighted Gram matrix, by power iteration
    v, size = np.ones(x_NF.shape[1], np.float32), 1.0
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
        stepped = ahead - rate * gradient
        stepped -= stepped[:, 2:]
        stepped[:, :2] = np.where(may_F2, stepped[:, :2], np.minimum(stepped[:, :2], 0.0))
        stepped -= stepped.mean(axis=1, keepdims=True)
        velocity, w_FC = stepped - w_FC, stepped
    return w_FC


def framed(rows: list[Row]) -> list[Row]:
    """The rows, and each once more (listed terms aside) in a frame that says how to answer."""
    draw = random.Random(1)
    again = []
    for row in rows:
        if not row.source.endswith(":terms"):
            frame = draw.choice(FRAMES).replace("{k}", str(draw.choice((2, 3, 4, 5, 6, 8, 10, 100, 300, 500))))
            again.append(row._replace(text=frame.replace("{}", row.text)))
    return rows + again


def training_rows(sets: dict[str, tuple[str, list[str]]], cap: int = 2000) -> list[Row]:
    """The written prompts, and up to `cap` rows of each public set from the half that is not kept apart."""
    rows = seed_rows()
    for name, (label, prompts) in sets.items():
        rows += [Row(p, CLASS_OF[label], name) for p in prompts if not kept_apart(p)][:cap]
    return framed(rows)


def write(path: Path, bias: Triple, weights: dict[str, Triple]) -> None:
    """The concepts as they are, and one feature a line, sorted, so that a change of weights reads as a diff."""
    raw = json.loads(path.read_text("utf-8"))

    def wrapped(words: list[str]) -> str:
        lines = textwrap.wrap(" ".join(words), 106, break_long_words=False, break_on_hyphens=False)
        return "[" + ",\n    ".join(json.dumps(line, ensure_ascii=False) for line in lines) + "]"

    concepts_ = ",\n".join(f"  {json.dumps(name)}:\n    {wrapped(words)}" for name, words in raw["words"].items())
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(w)}" for name, w in sorted(weights.items()))
    path.write_text(
        f'{{"classes": {json.dumps(list(CLASS_OF))},\n"words": {{\n{concepts_}\n}},\n'
        f'"rules":\n    {wrapped(raw["rules"])},\n"bias": {json.dumps(bias)},\n"weights": {{\n{lines}\n}}}}\n',
        "utf-8",
    )


def compiled(bias: Triple, weights: dict[str, Triple]) -> Weights:
    """These weights with the concepts of the shipped file."""
    return learned()._replace(bias=bias, weights={as_feature(name): w for name, w in weights.items()})


def accuracy(known: Weights, prompts: list[str], label: str) -> float:
    """Share of prompts that get the label."""
    return sum(classify_task(p, known=known) == label for p in prompts) / len(prompts)


def left_out(sets: dict[str, tuple[str, list[str]]]) -> dict[str, float]:
    """Accuracy on the half kept apart of each set by weights that were learned without that set."""
    rows, result = training_rows(sets), {}
    for name, (label, prompts) in sets.items():
        known = compiled(*learn([row for row in rows if row.source != name]))
        result[name] = accuracy(known, [p for p in prompts if kept_apart(p)], label)
    return result


def seeds_alone(sets: dict[str, tuple[str, list[str]]]) -> dict[str, float]:
    """Accuracy on the half kept apart of each set by weights learned from the written prompts alone."""
    known = compiled(*learn(framed(seed_rows())))
    return {name: accuracy(known, [p for p in ps if kept_apart(p)], label) for name, (label, ps) in sets.items()}


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
        unseen = [p for p in prompts if kept_apart(p)]
        print(f"  {name:16} {accuracy(compiled(bias, weights), unseen, label):.1%} of {len(unseen)} unseen rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
