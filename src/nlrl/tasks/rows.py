"""One row of a data file becomes one problem, whatever set it comes from.

The shape is recognised by its fields: HumanEval, MBPP (both versions), GSM8K, CommonsenseQA, StrategyQA, HotpotQA,
IMO-AnswerBench, and else the usual names (question, problem, prompt, input; answer, reference, target,
solution, output; choices; tests). Raises DataError for a row in which no question can be found.
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Mapping, Sequence
from typing import Any

from nlrl.core import CodeTests, DataError, Problem, TaskType

Row = Mapping[str, Any]

_QUESTION = ("question", "problem", "prompt", "input", "query", "instruction", "text", "Problem", "Question")
_ANSWER = ("answer", "reference", "target", "final_answer", "output", "label", "Short Answer", "Answer", "solution")


def problem_of(row: Row, *, source: str = "", task_type: TaskType | None = None) -> Problem:
    """The problem in a row. `task_type` is used where the row and its shape do not say."""
    if not isinstance(row, Mapping):
        raise DataError(f"a row must be an object with named fields, not {type(row).__name__}")
    fields = row.keys()
    if {"prompt", "test", "entry_point"} <= fields:
        return _humaneval(row, source)
    if "test_list" in fields:
        return _mbpp(row, source)
    if isinstance(row.get("question"), Mapping):
        return _commonsenseqa(row, source)
    return _general(row, source, task_type)


def _general(row: Row, source: str, task_type: TaskType | None) -> Problem:
    name = next((n for n in _QUESTION if row.get(n) not in (None, "")), None)
    if name is None:
        raise DataError(f"no question found; expected one of the fields {', '.join(_QUESTION[:5])}")
    question = _text(row[name], name)
    stated = row.get("task_type")
    if stated is not None:
        if stated not in list(TaskType):
            raise DataError(f"unknown task_type {stated!r}; use one of {', '.join(TaskType)}")
        task_type = TaskType(stated)
    reference = next((row[n] for n in _ANSWER if n != name and row.get(n) is not None), None)
    yes_no = isinstance(reference, bool)
    if yes_no:
        reference = "yes" if reference else "no"
    answer = None if reference is None else _text(reference, "answer")
    if answer is not None and "solution" in row and reference is row["solution"]:
        found = boxed(answer)  # MATH keeps its result in a box at the end of a worked solution
        answer, task_type = found or answer, task_type or (TaskType.MATH if found else None)
    if answer is not None and "####" in answer:  # GSM8K keeps its result behind a worked solution
        answer = answer.rsplit("####", 1)[1].strip().replace(",", "")
        task_type = task_type or TaskType.MATH
    if task_type is None and (yes_no or "supporting_facts" in row or row.get("type") in ("bridge", "comparison")):
        task_type = TaskType.COMMONSENSE
    if task_type is None and ("Short Answer" in row or "level" in row):
        task_type = TaskType.MATH
    choices, labels = _choices(row.get("choices", row.get("options")))
    if answer is not None and answer in labels:
        answer = choices[labels.index(answer)]
    constraints = row.get("constraints") or ()
    if not isinstance(constraints, Sequence) or not all(isinstance(c, Mapping) for c in constraints):
        raise DataError("constraints must be a list of objects")
    return Problem(
        question=question,
        reference=answer,
        task_type=task_type,
        choices=choices,
        context=next((row[n] for n in ("context", "passage") if isinstance(row.get(n), str)), ""),
        tests=_tests(row),
        constraints=tuple(constraints),
        aliases=_texts(row.get("aliases"), "aliases"),
        source=source,
    )


def boxed(solution: str) -> str | None:
    """What the last \\boxed{...} of a LaTeX solution holds, braces balanced; None if there is none."""
    start = solution.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for i in range(start + 6, len(solution)):
        depth += (solution[i] == "{") - (solution[i] == "}")
        if depth == 0:
            return solution[start + 7 : i].strip()
    return None


def _tests(row: Row) -> CodeTests | None:
    checks = _texts(row.get("checks", row.get("tests")), "checks")
    if not checks:
        return None
    entry = row.get("entry_point")
    return CodeTests(checks, _texts(row.get("public"), "public"), entry, _text(row.get("setup", ""), "setup"))


def _choices(value: Any) -> tuple[tuple[str, ...], list[str]]:
    """Choices and their labels, from a list of texts, of {label, text}, or from parallel lists."""
    if not value:
        return (), []
    if isinstance(value, Mapping) and "text" in value:
        texts = _texts(value["text"], "choices")
        return texts, list(_texts(value.get("label"), "labels")) or _letters(texts)
    if isinstance(value, Mapping):
        return _texts(list(value.values()), "choices"), [str(k) for k in value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(c, Mapping) and "text" in c for c in value):
            texts = tuple(_text(c["text"], "choices") for c in value)
            return texts, [str(c.get("label", letter)) for c, letter in zip(value, _letters(texts), strict=True)]
        texts = _texts(value, "choices")
        return texts, _letters(texts)
    raise DataError("choices must be a list of texts")


def _letters(texts: Sequence[str]) -> list[str]:
    return [chr(ord("A") + i) for i in range(len(texts))]


def _commonsenseqa(row: Row, source: str) -> Problem:
    inner = row["question"]
    choices, labels = _choices(inner.get("choices"))
    key = row.get("answerKey")
    if key is not None and key not in labels:
        raise DataError(f"answerKey {key!r} is none of the choices' labels")
    reference = choices[labels.index(key)] if key is not None else None
    return Problem(_text(inner.get("stem"), "stem"), reference, TaskType.COMMONSENSE, choices, source=source)


def _humaneval(row: Row, source: str) -> Problem:
    prompt, entry = _text(row["prompt"], "prompt"), _text(row["entry_point"], "entry_point")
    preamble = prompt.split(f"def {entry}(")[0]
    question = f"Complete this Python function:\n\n```python\n{prompt.rstrip()}\n```"
    tests = CodeTests((_text(row["test"], "test"),), _doctests(prompt, entry), entry, preamble)
    return Problem(question, None, TaskType.CODING, tests=tests, source=source)


# HumanEval/47 shows a median that its own tests and reference solution contradict: the median of that list is 8.0.
_WRONG_EXAMPLES = frozenset(("assert median([-10, 4, 6, 1000, 10, 20]) == 15.0",))


def _doctests(prompt: str, entry: str) -> tuple[str, ...]:
    """The docstring's examples as asserts, where call and result are plain data."""
    found = []
    try:
        examples = doctest.DocTestParser().get_examples(prompt.replace('"""', "\n").replace("'''", "\n"))
    except ValueError:
        return ()
    for example in examples:
        call, want = example.source.strip(), example.want.strip()
        try:
            tree = ast.parse(call, mode="eval").body
            ast.literal_eval(want)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        shown = f"assert {call} == {want}"
        calls_entry = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == entry
        if calls_entry and shown not in _WRONG_EXAMPLES:
            found.append(shown)
    return tuple(found)


def _mbpp(row: Row, source: str) -> Problem:
    text = _text(row.get("text", row.get("prompt")), "text")
    checks = _texts(row["test_list"], "test_list")
    if not checks:
        raise DataError("test_list is empty")
    setup = "\n".join(
        [*_texts(row.get("test_imports"), "test_imports"), _text(row.get("test_setup_code") or "", "setup")]
    )
    checks += _texts(row.get("challenge_test_list"), "challenge_test_list")
    tests = CodeTests(checks, checks[:1], _tested_name(checks[0]), setup.strip())
    return Problem(text, None, TaskType.CODING, tests=tests, source=source)


def _tested_name(check: str) -> str | None:
    """The function that an assert calls: the innermost call by name that is no builtin wrapper."""
    try:
        calls = [n for n in ast.walk(ast.parse(check)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    wrappers = {"set", "sorted", "list", "tuple", "len", "round", "abs", "sum", "str", "int", "float", "dict", "bool"}
    names = [n.func.id for n in calls if isinstance(n.func, ast.Name)]
    own = [name for name in names if name not in wrappers]
    return next(iter(own or names), None)  # MBPP 126 asks for a function that is called "sum"


def _text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"the field {name!r} must be text, not {type(value).__name__}")


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if value is None or (isinstance(value, str) and not value):
        return ()
    if isinstance(value, str):
        return (value,)
    if hasattr(value, "tolist"):  # arrays, as Parquet gives them
        value = value.tolist()
    if isinstance(value, Sequence):
        return tuple(_text(v, name) for v in value)
    raise DataError(f"the field {name!r} must be a list of texts")
