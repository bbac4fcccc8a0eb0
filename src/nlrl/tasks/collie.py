"""COLLIE: constrained writing, with constraints that a program checks (Yao et al. 2023, 2307.08689).

    load_problems("collie")             # NLRL_DATA/collie/all_data.dill, the authors' file; or collie.jsonl beside it
    {"collie": "wiki_c07", "prompt": "Please generate a sentence ...", "targets": ["have", "the"]}      # a row of JSON

The authors' file is a pickle, and loading a pickle runs what stands in it. It is not loaded here: it is read by a
machine to which every class and function named in it is an inert thing, so that nothing in it can run. What is needed
are texts and numbers: the family of the constraints, their targets, and the prompt.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nlrl.core import DataError, Problem, TaskType
from nlrl.tasks.columns import Row, shown, text_of

COLUMNS = ("collie", "prompt", "targets")
_MOST_BYTES = 256 * 2**20
_PLACES = (4, 8, 11)  # of the letters in c02 and the words in c05


def _size(kind: str, op: str, value: int) -> dict[str, Any]:
    return {"kind": kind, "op": op, "value": _number(value)}


def _at(kind: str, values: list[str]) -> list[dict[str, Any]]:
    return [{"kind": kind, "position": at, "value": v} for at, v in zip(_PLACES, _texts(values), strict=True)]


# Families of COLLIE-v1, as its examples/*_constraints.py build them: what is asked of a text by their targets.
FAMILIES: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "c01": lambda n: [_size("character_count", ">=", n)],
    "c02": lambda n, letters: [_size("character_count", "==", n), *_at("letter_at", letters)],
    "c03": lambda n, last: [_size("character_count", "==", n), {"kind": "letter_at", "position": -1, "value": last}],
    "c04": lambda n: [_size("character_count", "==", n)],
    "c05": lambda n, words: [_size("word_count", "==", n), *_at("word_at", words)],
    "c06a": lambda n, most: [_size("word_count", ">=", n), _size("word_length", "<=", most)],
    "c07": lambda *words: [{"kind": "include_words", "words": _texts(words)}],
    "c08": lambda first: [{"kind": "every_sentence_starts_with", "value": first}],
    "c09": lambda n, *words: [_size("sentence_count", "==", n), {"kind": "exclude_words", "words": _texts(words)}],
    "c10": lambda n, least, most: [
        _size("sentence_count", "==", n), _size("words_per_sentence", ">=", least),
        _size("words_per_sentence", "<=", most),
    ],
    "c11": lambda n, least: [_size("sentence_count", ">=", n), _size("words_per_sentence", ">=", least)],
    "c12": lambda n, last: [
        _size("sentence_count", "==", n), {"kind": "sentence_last_words", "values": _texts(last)},
    ],
    "c14": lambda last, least: [
        {"kind": "paragraph_last_sentences", "values": _texts(last)}, _size("sentences_per_paragraph", ">=", least),
    ],
}  # fmt: skip


def collie(row: Row, source: str) -> Problem:
    """The problem in a row of COLLIE. Raises DataError for a family that is unknown, or targets that do not fit it."""
    name, targets = text_of(row.use("collie"), "collie"), row.use("targets")
    prompt = text_of(row.use("prompt"), "prompt")
    constraints = constraints_of(name, targets)
    return Problem(prompt, None, TaskType.WRITING, constraints=tuple(constraints), source=source)


def constraints_of(name: str, targets: Any) -> list[dict[str, Any]]:
    """What a text must meet.

    name     of the family, alone or behind the source of its texts: "c07", "wiki_c07"
    targets  as COLLIE has them: one, or one for each part of the constraint
    """
    family = name.rpartition("_")[2]
    if family not in FAMILIES:
        raise DataError(f"{name!r} is no family of COLLIE. Known: {', '.join(FAMILIES)}.")
    try:
        return FAMILIES[family](*(targets if isinstance(targets, list | tuple) else [targets]))
    except (TypeError, ValueError) as error:
        raise DataError(f"targets {shown(targets)} do not fit the family {family} of COLLIE: {error}") from None


def dill_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of the authors' file, numbered. Raises DataError for a file that is none, or is too large."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"larger than {_MOST_BYTES // 2**20} MiB; the set of COLLIE-v1 has 2", path=str(path))
        with path.open("rb") as file:
            found = _Inertly(file).load()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from None
    except DataError:
        raise
    except Exception as error:  # a hostile or torn pickle fails in any way
        raise DataError(f"not the file of COLLIE ({type(error).__name__}: {error})", path=str(path)) from None
    if not isinstance(found, dict) or not all(isinstance(rows, list) for rows in found.values()):
        raise DataError("not the file of COLLIE: it holds no lists of rows by family", path=str(path))
    rows = [(name, row) for name, some in found.items() for row in some if isinstance(row, Mapping)]
    for number, (name, row) in enumerate(rows, 1):
        yield number, {"collie": name} | {key: row.get(key) for key in ("prompt", "targets")}


class _Inert:
    """What a pickle calls a class or a function: takes everything, and does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class _Inertly(pickle.Unpickler):
    """Reads a pickle in which every name stands for `_Inert`: nothing is imported, nothing but `_Inert` is called."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        return _Inert


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is no whole number")
    return value


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list | tuple) or not values or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{shown(values)} is no list of words")
    return list(values)
