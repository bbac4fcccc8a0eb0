"""Data sets by name or path, through one loader.

    load_problems("builtin:coding", limit=10)
    load_problems("gsm8k")                          # from NLRL_DATA if it is there, else from the Hugging Face hub
    load_problems("my-questions.csv")
    load_problems("reasoning_gym:chain_sum", limit=50, seed=1)

Malformed rows are kept as errors with file and line; the rest goes on. What was read, and from which columns, is told
by printing the data set.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from nlrl.core import DataError, MissingExtra, Problem, TaskType, UnknownName, UserError
from nlrl.tasks.columns import shown
from nlrl.tasks.files import read_rows
from nlrl.tasks.rows import NO_QUESTION, Reader, expanded

_log = logging.getLogger("nlrl.tasks")

BUILTIN = ("math", "coding", "commonsense", "writing")


@dataclass(frozen=True)
class Source:
    """Where a named set comes from: its files under NLRL_DATA, and its place on the Hugging Face hub."""

    task_type: TaskType
    licence: str
    files: tuple[str, ...] = ()
    hub: str = ""
    config: str | None = None
    split: str = "test"


SOURCES: dict[str, Source] = {
    "gsm8k": Source(TaskType.MATH, "MIT", ("gsm8k/test.jsonl",), "openai/gsm8k", "main"),
    "math500": Source(TaskType.MATH, "MIT", ("math500/test.jsonl",), "HuggingFaceH4/MATH-500"),
    "math": Source(TaskType.MATH, "MIT", ("math500/test.jsonl",), "HuggingFaceH4/MATH-500"),
    "aime": Source(TaskType.MATH, "see the hub", ("aime/aime.jsonl",), "HuggingFaceH4/aime_2024", split="train"),
    "imo-answerbench": Source(TaskType.MATH, "CC BY 4.0", ("imo_answerbench/answerbench_v2.csv",)),
    "humaneval": Source(TaskType.CODING, "MIT", ("humaneval/HumanEval.jsonl.gz",), "openai/openai_humaneval"),
    "mbpp": Source(TaskType.CODING, "CC BY 4.0", ("mbpp/mbpp.jsonl",), "google-research-datasets/mbpp", "full"),
    "mbpp-sanitized": Source(
        TaskType.CODING, "CC BY 4.0", ("mbpp/sanitized-mbpp.json",), "google-research-datasets/mbpp", "sanitized"
    ),
    "commonsenseqa": Source(
        TaskType.COMMONSENSE, "MIT", ("commonsenseqa/dev_rand_split.jsonl",), "tau/commonsense_qa", split="validation"
    ),
    "strategyqa": Source(TaskType.COMMONSENSE, "MIT", ("strategyqa/dev.json",), "ChilleD/StrategyQA"),
    "hotpotqa": Source(
        TaskType.COMMONSENSE,
        "CC BY-SA 4.0",
        ("hotpotqa_closed_book/hotpot_dev_v1_simplified.json",),
        "hotpotqa/hotpot_qa",
        "distractor",
        "validation",
    ),
    "collie": Source(
        TaskType.WRITING, "MIT; its texts by their sources", ("collie/all_data.dill", "collie/collie.jsonl")
    ),
}


@dataclass(frozen=True, repr=False)
class Dataset:
    """A named list of problems, what could not be read, and which columns it was read from.

    columns  what they hold -> their name, such as {"question": "Problem", "reference": "Ground Truth"}
    unread   columns that were not looked at
    notes    what may not be what was meant, one sentence each
    advice   the columns that there are, and what to type to choose between them
    """

    name: str
    problems: tuple[Problem, ...]
    errors: tuple[DataError, ...] = ()
    licence: str = ""
    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    advice: str = ""

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __repr__(self) -> str:
        """What was read: how many rows, from which columns, and the first of them."""
        return "\n".join([self.about(), *map(as_read, self.problems[:3])])

    def about(self) -> str:
        """How many problems there are, what they are graded by, and which columns they were read from."""
        parts = [f"{self.name}: {_counted(len(self.problems), 'problem')}, {self._graded_by()}"]
        taken = [(role, column) for role, column in self.columns.items() if role in _TOLD or role != column]
        if taken:
            parts.append(", ".join(f"{role} from {column!r}" for role, column in taken))
        if self.unread and self.columns:
            parts.append(f"not read: {', '.join(self.unread)}")
        if self.errors:
            parts.append(f"{_counted(len(self.errors), 'row')} left out")
        return "; ".join(parts)

    def _graded_by(self) -> str:
        ways = {
            "a reference": sum(p.reference is not None and p.tests is None for p in self.problems),
            "tests": sum(p.tests is not None for p in self.problems),
            "constraints": sum(bool(p.constraints) for p in self.problems),
        }
        told = [f"{'all' if n == len(self.problems) else f'{n} of them'} with {what}" for what, n in ways.items() if n]
        return ", ".join(told) or "none of them with a reference"

    def require_references(self) -> None:
        """Raises DataError, with what was seen and what to type, where not one problem can be graded."""
        if not any(is_graded(problem) for problem in self.problems):
            raise DataError(
                f"none of its {_counted(len(self.problems), 'problem')} has a reference, tests or constraints to grade "
                f"answers by. {self.advice}".strip(), path=self.name,
            )  # fmt: skip


_TOLD = ("question", "reference")  # always with their columns; others where they go by another name


def is_graded(problem: Problem) -> bool:
    """Whether there is anything by which an answer to it can be right or wrong."""
    return problem.reference is not None or problem.tests is not None or bool(problem.constraints)


def as_read(problem: Problem) -> str:
    """One problem as it was read, on a few lines."""
    lines = [f"  question: {shown(problem.question, 160)}"]
    if problem.context:
        lines.append(f"  context: {shown(problem.context)}")
    if problem.choices:
        lines.append(f"  options: {' | '.join(shown(choice, 40) for choice in problem.choices)}")
    if problem.tests is not None:
        lines.append(f"  tests: {len(problem.tests.checks)}, {len(problem.tests.public)} of them public")
    elif problem.constraints:
        lines.append(f"  constraints: {', '.join(str(c.get('kind')) for c in problem.constraints)}")
    else:
        lines.append(f"  reference: {'none' if problem.reference is None else shown(problem.reference)}")
    if problem.aliases:
        lines.append(f"  also right: {', '.join(shown(alias, 40) for alias in problem.aliases[:5])}")
    return "\n".join(lines)


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def load_problems(
    name: str | Path | Iterable[Mapping[str, Any]],
    *,
    limit: int | None = None,
    offset: int = 0,
    seed: int | None = None,
    split: str | None = None,
    data_root: str | Path | None = None,
    question_column: str | None = None,
    answer_column: str | None = None,
) -> Dataset:
    """The problems of a data set, a file, or rows.

    limit, offset    a slice of the rows; with `seed`, of the shuffled rows
    split            of a hub set, where another than the usual one is wanted
    data_root        directory that holds the sets' original files; default: the environment's NLRL_DATA
    question_column, answer_column  of a file or rows, where the names are none that is known; "a.b" is b within a

    What was read is told by `repr` of the result, and by the logger "nlrl.tasks": doubts as warnings, the rest as info.
    Raises UnknownName for an unknown name, DataError for a file without one usable row, MissingExtra where a package
    is needed, UserError for a bad limit or a set that cannot be fetched.
    """
    loaded = read_problems(
        name, limit=limit, offset=offset, seed=seed, split=split, data_root=data_root, question_column=question_column,
        answer_column=answer_column,
    )  # fmt: skip
    _log.info("%r", loaded)
    for note in loaded.notes:
        _log.warning("%s: %s", loaded.name, note)
    return loaded


def read_problems(
    name: str | Path | Iterable[Mapping[str, Any]],
    *,
    limit: int | None = None,
    offset: int = 0,
    seed: int | None = None,
    split: str | None = None,
    data_root: str | Path | None = None,
    question_column: str | None = None,
    answer_column: str | None = None,
) -> Dataset:
    """The same, for callers that tell themselves what was read: nothing is logged."""
    if offset < 0 or (limit is not None and limit < 1):
        raise UserError(f"limit must be at least 1 and offset at least 0, got limit={limit}, offset={offset}.")
    chosen = {r: c for r, c in (("question", question_column), ("reference", answer_column)) if c is not None}
    part = _Slice(limit, offset, seed)
    if not isinstance(name, str | Path):
        return _collect("rows", enumerate(name, 1), None, part, chosen=chosen)
    text = str(name)
    if chosen and (text.startswith(("builtin:", "reasoning_gym:")) or text in SOURCES):
        raise UserError(f"The columns of {text} are known; question and answer columns can be chosen of a file only.")
    if text.startswith("builtin:"):
        return _builtin(text, part)
    if text.startswith("reasoning_gym:"):
        return _reasoning_gym(text, limit or 100, offset, seed or 0)
    if text in SOURCES:
        return _named(text, part, split, data_root)
    path = Path(text).expanduser()
    if path.is_file():
        return _collect(text, read_rows(path), None, part, path=str(path), chosen=chosen)
    if path.is_dir() or path.suffix or os.sep in text:
        raise UserError(_no_file(path))
    raise UnknownName("data set", text, names())


def names() -> list[str]:
    """All names that `load_problems` knows, files and generators aside."""
    return [*(f"builtin:{kind}" for kind in BUILTIN), *SOURCES]


def _no_file(path: Path) -> str:
    """What to say where a path leads to no file: a directory's files, or the names most like it."""
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:8]
        return f"{str(path)!r} is a directory. Name a file in it{': ' + ', '.join(inside) if inside else ''}."
    if not path.parent.is_dir():
        return f"There is no file {str(path)!r}, and no directory {str(path.parent)!r} either."
    there = [p.name for p in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, there, n=3, cutoff=0.4) or sorted(there)[:8]
    return f"There is no file {str(path)!r}." + (f" Its directory holds: {', '.join(near)}." if near else "")


@dataclass(frozen=True)
class _Slice:
    """Which rows are wanted."""

    limit: int | None = None
    offset: int = 0
    seed: int | None = None

    def of(self, problems: list[Problem]) -> tuple[Problem, ...]:
        if self.seed is not None:
            random.Random(self.seed).shuffle(problems)
        return tuple(problems[self.offset : None if self.limit is None else self.offset + self.limit])


def _builtin(name: str, part: _Slice) -> Dataset:
    kind = name.removeprefix("builtin:")
    if kind not in BUILTIN:
        raise UnknownName("data set", name, names())
    with as_file(files("nlrl.tasks") / "builtin" / f"{kind}.jsonl") as path:
        return _collect(name, read_rows(path), TaskType(kind), part, path=str(path), licence="Apache-2.0")


def _named(name: str, part: _Slice, split: str | None, root: str | Path | None) -> Dataset:
    source = SOURCES[name]
    root = root or os.environ.get("NLRL_DATA")
    if root:
        for path in _local(Path(root), source, split):
            if path.is_file():
                rows = read_rows(path)
                return _collect(name, rows, source.task_type, part, path=str(path), licence=source.licence)
    rows = enumerate(_from_hub(name, source, split), 1)
    return _collect(name, rows, source.task_type, part, licence=source.licence)


def _local(root: Path, source: Source, split: str | None) -> list[Path]:
    """Where the set's file may stand: its usual one, or for another split one of that name beside it."""
    usual = [root / file for file in source.files]
    if split is None:
        return usual
    named = [path.with_name(split + ending) for path in usual for ending in (".jsonl", ".jsonl.gz", ".json", ".csv")]
    return [path for path in usual if path.name.split(".")[0] == split] + named


def _from_hub(name: str, source: Source, split: str | None) -> Iterable[Mapping[str, Any]]:
    where = f"Put its file at NLRL_DATA/{source.files[0]}, or give a path." if source.files else "Give a path."
    if not source.hub:
        raise UserError(f"{name} is not on the Hugging Face hub. {where}")
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise MissingExtra(
            "datasets", "data", f"{name} is not under NLRL_DATA, and fetching it from the Hugging Face hub"
        ) from None
    try:
        return datasets.load_dataset(  # pyright: ignore[reportAttributeAccessIssue]
            source.hub, source.config, split=split or source.split
        )
    except Exception as error:  # the boundary to a library that raises whatever its transport raises
        raise UserError(f"{name} cannot be fetched from the hub ({type(error).__name__}: {error}). {where}") from error


def _reasoning_gym(name: str, limit: int, offset: int, seed: int) -> Dataset:
    generator = name.removeprefix("reasoning_gym:")
    try:
        import reasoning_gym  # pyright: ignore[reportMissingImports]
        from reasoning_gym.factory import DATASETS  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("reasoning-gym", "gym", f"The generator {generator}") from None
    if generator not in DATASETS:
        raise UnknownName("reasoning_gym generator", generator, DATASETS)
    made = reasoning_gym.create_dataset(generator, size=offset + limit, seed=seed)
    rows = ((i, {"question": made[i]["question"], "answer": made[i]["answer"]}) for i in range(offset, offset + limit))
    return _collect(name, rows, None, _Slice(), licence="Apache-2.0")


def _collect(
    name: str,
    rows: Iterable[tuple[int, Any]],
    task_type: TaskType | None,
    part: _Slice,
    *,
    path: str = "",
    licence: str = "",
    chosen: Mapping[str, str] | None = None,
) -> Dataset:
    where = path or name
    numbered = [(number, row) for number, whole in rows for row in expanded(whole)]
    try:
        reader = Reader([row for _, row in numbered], chosen, task_type=task_type)
    except DataError as error:
        raise DataError(str(error), path=where) from None
    problems: list[Problem] = []
    errors: list[DataError] = []
    for number, row in numbered:
        if isinstance(row, DataError):
            errors.append(row)
            continue
        try:
            problems.append(reader.problem(row, source=f"{name}:{number}"))
        except DataError as error:
            errors.append(DataError(str(error), path=where, line=number))
    if not problems and errors and all(NO_QUESTION in str(error) for error in errors):
        raise DataError(f"{NO_QUESTION} in any of its {_counted(len(errors), 'row')}. {reader.to_type()}", path=name)
    if not problems:
        first = f" First error: {errors[0]}" if errors else " It is empty."
        raise DataError(f"no usable row.{first}", path=name)
    notes = reader.notes
    advice = reader.to_type(reference=True)
    if not any(map(is_graded, problems)):
        notes = (f"no problem has a reference, tests or constraints to grade answers by. {advice}", *notes)
    return Dataset(
        name, part.of(problems), tuple(errors), licence, name, reader.columns, reader.unread, notes, advice
    )  # fmt: skip
