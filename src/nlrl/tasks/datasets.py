"""Data sets by name or path, through one loader.

    load_problems("builtin:coding", limit=10)
    load_problems("gsm8k")                          # from NLRL_DATA if it is there, else from the Hugging Face hub
    load_problems("my-questions.csv")
    load_problems("reasoning_gym:chain_sum", limit=50, seed=1)

Malformed rows are kept as errors with file and line; the rest goes on.
"""

from __future__ import annotations

import difflib
import importlib
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from nlrl.core import DataError, MissingExtra, Problem, TaskType, UnknownName, UserError
from nlrl.tasks.files import read_rows
from nlrl.tasks.rows import problem_of

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
}


@dataclass(frozen=True)
class Dataset:
    """A named list of problems, and what could not be read."""

    name: str
    problems: tuple[Problem, ...]
    errors: tuple[DataError, ...] = ()
    licence: str = ""
    source: str = ""

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __len__(self) -> int:
        return len(self.problems)


def load_problems(
    name: str | Path,
    *,
    limit: int | None = None,
    offset: int = 0,
    seed: int | None = None,
    split: str | None = None,
    data_root: str | Path | None = None,
) -> Dataset:
    """The problems of a data set or file.

    limit, offset  a slice of the rows; with `seed`, of the shuffled rows
    split          of a hub set, where another than the usual one is wanted
    data_root      directory that holds the sets' original files; default: the environment's NLRL_DATA

    Raises UnknownName for an unknown name, DataError for a file without one usable row, MissingExtra where a package
    is needed, UserError for a bad limit or a set that cannot be fetched.
    """
    if offset < 0 or (limit is not None and limit < 1):
        raise UserError(f"limit must be at least 1 and offset at least 0, got limit={limit}, offset={offset}.")
    text = str(name)
    if text.startswith("builtin:"):
        return _builtin(text, limit, offset, seed)
    if text.startswith("reasoning_gym:"):
        return _reasoning_gym(text, limit or 100, offset, seed or 0)
    if text in SOURCES:
        return _named(text, limit, offset, seed, split, data_root)
    path = Path(text).expanduser()
    if path.is_file():
        return _collect(text, _numbered(path), None, limit, offset, seed)
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


def _builtin(name: str, limit: int | None, offset: int, seed: int | None) -> Dataset:
    kind = name.removeprefix("builtin:")
    if kind not in BUILTIN:
        raise UnknownName("data set", name, names())
    with as_file(files("nlrl.tasks") / "builtin" / f"{kind}.jsonl") as path:
        return _collect(name, _numbered(path), TaskType(kind), limit, offset, seed, "Apache-2.0")


def _named(
    name: str, limit: int | None, offset: int, seed: int | None, split: str | None, root: str | Path | None
) -> Dataset:
    source = SOURCES[name]
    root = root or os.environ.get("NLRL_DATA")
    if root:
        for path in _local(Path(root), source, split):
            if path.is_file():
                return _collect(name, _numbered(path), source.task_type, limit, offset, seed, source.licence)
    rows = enumerate(_from_hub(name, source, split), 1)
    return _collect(name, rows, source.task_type, limit, offset, seed, source.licence)


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
    return _collect(name, rows, None, None, 0, None, "Apache-2.0")


def _numbered(path: Path) -> Iterator[tuple[int, Any]]:
    for number, row in read_rows(path):
        if not isinstance(row, DataError):
            yield number, _Placed(row, str(path))
        else:
            yield number, row


@dataclass(frozen=True)
class _Placed:
    row: Any
    path: str


def _collect(
    name: str,
    rows: Iterable[tuple[int, Any]],
    task_type: TaskType | None,
    limit: int | None,
    offset: int,
    seed: int | None,
    licence: str = "",
) -> Dataset:
    problems: list[Problem] = []
    errors: list[DataError] = []
    for number, item in rows:
        row, path = (item.row, item.path) if isinstance(item, _Placed) else (item, "")
        if isinstance(row, DataError):
            errors.append(row)
            continue
        try:
            problems.append(problem_of(row, source=f"{name}:{number}", task_type=task_type))
        except DataError as error:
            errors.append(DataError(str(error), path=path or name, line=number))
    if not problems:
        first = f" First error: {errors[0]}" if errors else " It is empty."
        raise DataError(f"no usable row.{first}", path=name)
    if seed is not None:
        random.Random(seed).shuffle(problems)
    end = None if limit is None else offset + limit
    return Dataset(name, tuple(problems[offset:end]), tuple(errors), licence, name)
