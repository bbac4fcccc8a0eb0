"""Public sets with known verdicts or known answers, read from a folder that a person has filled.

The folder holds files of these repositories of github.com, each as `DIR/<folder>/<path in the repository>`:

    folder          repository                files                                               licence
    math_verify     huggingface/Math-Verify   tests/test_*.py                                     Apache-2.0
    lighteval       huggingface/lighteval     tests/unit/metrics/test_extractive_match.py         MIT
    nemo_skills     NVIDIA/NeMo-Skills        tests/test_math_equal.py,                           Apache-2.0
                                              nemo_skills/dataset/comp-math-24-25/test.txt
    hendrycks_math  hendrycks/math            modeling/math_equivalence_test.py                   MIT
    qwen_math       QwenLM/Qwen2.5-Math       evaluation/data/<set>/test.jsonl,                   MIT; each set
                                              evaluation/data/eval_rm_maj_example/*.jsonl         has its own
    tinyv           uw-nsl/TinyV              benchmarks/HardVerify-Math.json                     MIT

and these sets under a path of their own:

    evouna/TQ.json, evouna/NQ.json      the folder EVOUNA of wangcunxiang/QA-Eval                 Apache-2.0
    math/test/*/*.json, math/train/...  MATH, unpacked, as hendrycks/math links to it             MIT
    gsm8k/test.jsonl, gsm8k/train.jsonl grade_school_math/data of openai/grade-school-math        MIT
    imo_answerbench/answerbench_v2.csv  IMO-AnswerBench of google-deepmind/superhuman             CC-BY-4.0

Test files are read as text: their lists of cases are literals, and none of their code is run. A file that is absent is
an empty list, so that a script can say what it left out.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["completion", "answer", "choice", "text"]
SYSTEMS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")  # whose answers people judged in EVOUNA


@dataclass(frozen=True)
class Decision:
    """One text, one gold, and whether the text was said to give it.

    kind    completion  the answer must first be read out of the text
            answer      the text is the answer
            choice      a completion that names one of the options
            text        a completion that answers a question of knowledge; any of the aliases will do
    """

    source: str
    gold: str
    text: str
    right: bool
    kind: Kind
    question: str = ""
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A hash of what was decided, and how: stable over runs, and one where two sources share a case."""
        return digest(self.question, self.gold, self.text, str(self.right))


def digest(*parts: str) -> str:
    """12 hex digits for some texts."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file, a line each; none where the file is absent."""
    if not path.is_file():
        return []
    # not splitlines: texts hold other line ends within a line
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


# --- decisions -------------------------------------------------------------------------------------------------------


def parametrized(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each test and, by parameter, each of its rows; values that are no literals are left out of a row."""
    if not path.is_file():
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for call in node.decorator_list:
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and len(call.args) > 1):
                continue
            names, rows = (_literal(call.args[0]), call.args[1])
            if call.func.attr != "parametrize" or not isinstance(names, str) or not isinstance(rows, ast.List):
                continue
            parameters = [name.strip() for name in names.split(",")]
            for row in rows.elts:
                values = row.elts if len(parameters) > 1 and isinstance(row, ast.Tuple) else [row]
                yield node.name, {n: _literal(v) for n, v in zip(parameters, values, strict=True)}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def math_verify_tests(root: Path) -> list[Decision]:
    """The tests of math-verify: a gold, and a prediction that may be a whole completion."""
    found = []
    for path in sorted((root / "math_verify" / "tests").glob("test_*.py")):
        for _, row in parametrized(path):
            gold, text = row.get("gold"), row.get("pred")
            expected = row.get("expected", row.get("result"))
            if isinstance(gold, str) and isinstance(text, str) and expected is not None:
                found.append(Decision("math-verify's tests", gold, text, bool(expected), "completion"))
    return found


_LETTERED = re.compile(r"^\(?([A-D])\)?\s+([A-Z]\w+)", re.M)


def lighteval_tests(root: Path) -> list[Decision]:
    """The tests of lighteval's extractive match, in several languages; options by letter are a source of their own."""
    found = []
    for name, row in parametrized(root / "lighteval/tests/unit/metrics/test_extractive_match.py"):
        gold, text, expected = row.get("gold"), row.get("pred"), row.get("expected")
        if not isinstance(gold, str) or not isinstance(text, str) or expected is None:
            continue
        if name.endswith("_abc"):
            # the options have no texts there, except where the gold says one: neutral ones stand for the others
            choices = ["first thing", "second thing", "third thing", "fourth thing"]
            for letter, words in _LETTERED.findall(gold):
                choices[ord(letter) - ord("A")] = words
            found.append(
                Decision("lighteval's tests, options", gold, text, bool(expected), "choice", choices=tuple(choices))
            )
        else:
            found.append(Decision("lighteval's tests, maths", gold, text, bool(expected), "completion"))
    return found


def nemo_skills_tests(root: Path) -> list[Decision]:
    """The tests of NeMo-Skills' grader: pairs of bare answers."""
    found = []
    for name, row in parametrized(root / "nemo_skills/tests/test_math_equal.py"):
        pair = row.get("output_pair")
        if isinstance(pair, tuple) and None not in pair:
            gold, text = (str(side) for side in pair)
            found.append(Decision("NeMo-Skills' tests", gold, text, name == "test_correct_examples", "answer"))
    return found


def hendrycks_tests(root: Path) -> list[Decision]:
    """The tests of MATH's own grader: pairs of bare answers."""
    path = root / "hendrycks_math/modeling/math_equivalence_test.py"
    if not path.is_file():
        return []
    found = []
    # the file mixes tabs and spaces, which only older versions of the language read
    tree = ast.parse(path.read_text(encoding="utf-8").expandtabs(4).replace("\n\t", "\n    "))
    for test in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        texts = [_literal(step.value) for step in test.body if isinstance(step, ast.Assign)]
        calls = [
            step.value.func.attr
            for step in test.body
            if isinstance(step, ast.Expr) and isinstance(step.value, ast.Call)
            and isinstance(step.value.func, ast.Attribute)
        ]  # fmt: skip
        if len(texts) == 2 and len(calls) == 1:
            found.append(Decision("MATH's own tests", texts[0], texts[1], calls[0] == "assertTrue", "answer"))
    return found


def qwen_completions(root: Path) -> list[Decision]:
    """A hundred problems of MATH with eight completions each, and the verdict that was recorded for each."""
    found = []
    for row in json_lines(root / "qwen_math/evaluation/data/eval_rm_maj_example/math_cot_100.jsonl"):
        for text, score in zip(row["code"], row["score"], strict=True):
            found.append(Decision("Qwen's completions", row["gt"], text, bool(score), "completion", row["question"]))
    return found


def hard_verify(root: Path) -> list[Decision]:
    """HardVerify-Math: of each problem one answer that is right though rules refuse it, and one that is wrong."""
    path = root / "tinyv/benchmarks/HardVerify-Math.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [
        Decision("HardVerify-Math", row["ground_truth"], row[field], field == "fn_output", "answer", row["question"])
        for row in rows
        for field in ("fn_output", "tn_output")
    ]


def evouna(root: Path, name: Literal["TQ", "NQ"]) -> list[Decision]:
    """EVOUNA: what five systems answered, and what people said of it; questions marked improper are left out."""
    path = root / "evouna" / f"{name}.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    found = []
    for row in rows:
        if row["improper"]:
            continue
        golds = tuple(gold.strip() for gold in row["golden_answer"].split("/") if gold.strip())
        if not golds:
            continue
        for system in SYSTEMS:
            text, said = row[f"answer_{system}"], row[f"judge_{system}"]
            source = f"EVOUNA {name}, {system}"
            found.append(Decision(source, golds[0], text or "", said, "text", row["question"], aliases=golds[1:]))
    return found


# --- answers ---------------------------------------------------------------------------------------------------------


def golds(root: Path) -> dict[str, list[str]]:
    """The answers of each set that is there, as it writes them, without dollar signs around."""
    qwen = root / "qwen_math/evaluation/data"
    found: dict[str, list[Any]] = {}
    for part in ("test", "train"):
        paths = sorted((root / "math" / part).glob("*/*.json"))
        found[f"MATH {part}"] = [boxed(json.loads(path.read_text(encoding="utf-8"))["solution"]) for path in paths]
    for name in (
        "college_math", "gaokao2023en", "carp_en", "gaokao_math_cloze", "gaokao2024_mix", "gaokao2024_I",
        "gaokao2024_II", "cn_middle_school", "aime24", "amc23", "cmath",
    ):  # fmt: skip
        found[name] = [row.get("answer") for row in json_lines(qwen / name / "test.jsonl")]
    found["olympiadbench"] = [
        answer for row in json_lines(qwen / "olympiadbench/test.jsonl") for answer in row.get("final_answer") or ()
    ]
    found["minerva_math"] = [boxed(row["solution"]) for row in json_lines(qwen / "minerva_math/test.jsonl")]
    found["comp-math-24-25"] = [
        row["expected_answer"] for row in json_lines(root / "nemo_skills/nemo_skills/dataset/comp-math-24-25/test.txt")
    ]
    found["HardVerify-Math"] = [decision.gold for decision in hard_verify(root) if decision.right]
    found["gsm8k"] = [
        row["answer"].rsplit("####", 1)[-1]
        for part in ("test", "train")
        for row in json_lines(root / "gsm8k" / f"{part}.jsonl")
    ]
    path = root / "imo_answerbench/answerbench_v2.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as lines:
            found["imo_answerbench"] = [row["Short Answer"] for row in csv.DictReader(lines)]
    texts = {name: [bare(str(answer)) for answer in answers if answer is not None] for name, answers in found.items()}
    return {name: [text for text in some if text] for name, some in texts.items() if some}


def boxed(solution: str) -> str | None:
    """What stands in the last box of a solution."""
    start = max(solution.rfind("\\boxed{"), solution.rfind("\\fbox{"))
    if start < 0:
        return None
    open_at = solution.index("{", start)
    depth = 0
    for at in range(open_at, len(solution)):
        depth += (solution[at] == "{") - (solution[at] == "}")
        if depth == 0:
            return solution[open_at + 1 : at]
    return None


def bare(answer: str) -> str:
    """An answer without dollar signs around all of it, a full stop behind it, and space."""
    answer = answer.strip().rstrip(".").strip()
    if len(answer) > 2 and answer[0] == answer[-1] == "$" and "$" not in answer[1:-1]:
        answer = answer[1:-1].strip()
    return answer
