"""Rows out of files: JSON lines, JSON, tables and Parquet, plain or gzipped.

`read_rows` yields (line number, row or DataError): a malformed row is named and the rest goes on. What a file holds is
looked up in it where its name does not say: a list in a .jsonl, semicolons or tabs in a .csv, a table in a .txt.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlrl.core import DataError, MissingExtra
from nlrl.tasks.collie import dill_rows
from nlrl.tasks.columns import NAMES, folded
from nlrl.tasks.tables import BAD_BYTE, is_table, not_utf8, table_rows

_SPACE = re.compile(r"\s*")
_QUESTIONS = frozenset(folded(n) for n in f"{NAMES['question']} {NAMES['question, if nothing else is']}".split())
_FIELDS = frozenset(folded(n) for names in NAMES.values() for n in names.split())
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
Numbered = tuple[int, Any]  # (line, a row or the DataError that stands for it)


def read_rows(path: Path) -> Iterator[Numbered]:
    """Every row of a file. Raises DataError where the file as a whole cannot be read."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _parquet(path)
        return
    if name.endswith(".dill"):
        yield from dill_rows(path)
        return
    text = _text(path, name)
    if name.endswith((".csv", ".tsv")):
        yield from table_rows(text, "\t" if name.endswith(".tsv") else ",", path)
    elif text.lstrip()[:1] in ("[", "{") and not _is_lines(text, named=name.endswith((".jsonl", ".ndjson"))):
        yield from _json(text, path)
    elif text.lstrip()[:1] in ("[", "{") or name.endswith((".jsonl", ".ndjson", ".json")):
        yield from _lines(text, path)
    elif is_table(text):
        yield from table_rows(text, ",", path)
    elif text.strip():
        raise DataError(
            "neither JSON nor a table. Give JSON lines (.jsonl), a JSON list (.json), CSV with a header (.csv, .tsv) "
            "or Parquet (.parquet)", path=str(path),
        )  # fmt: skip


def _text(path: Path, name: str) -> str:
    """The text of a file; bytes that are not UTF-8 stay in it as lone surrogates, and spoil only their row."""
    try:
        raw = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from None
    if name.endswith(_SPREADSHEETS) or raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError("a spreadsheet or archive; save it as CSV (UTF-8) and give that file", path=str(path))
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    if b"\0" in raw:
        raise DataError(f"not text (byte {raw.index(0)} is 0); give JSON, CSV or Parquet", path=str(path))
    return raw.decode("utf-8-sig", "surrogateescape")


def _is_lines(text: str, *, named: bool) -> bool:
    """Whether there is one JSON value a line, and not one in the whole file.

    named  whether the file's name says that there is: then a broken line is more likely than one object over many lines
    """
    lines = text.strip().split("\n", 2)
    if named and lines[0].startswith("{"):
        return len(lines) == 1 or not _is_json(text)
    if _is_json(lines[0]):
        return len(lines) > 1
    return len(lines) > 1 and all(line.lstrip().startswith('{"') for line in lines[:2])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(text: str, path: Path) -> Iterator[Numbered]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if BAD_BYTE.search(line):
            yield number, not_utf8(line, path, number)
            continue
        try:
            yield number, json.loads(line)
        except ValueError as error:
            yield number, DataError(f"not JSON: {error}", path=str(path), line=number)
        except RecursionError:
            yield number, DataError("nested too deeply", path=str(path), line=number)


# --- one JSON value --------------------------------------------------------------------------------------------------


def _json(text: str, path: Path) -> Iterator[Numbered]:
    """A list of rows, or an object that holds rows; every row of a list with the line on which it starts."""
    if text.lstrip()[0] == "{":
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}", path=str(path)) from None
        broken = BAD_BYTE.search(text) is not None
        for number, row in enumerate(_rows_of_object(whole, path), 1):
            written = json.dumps(row, ensure_ascii=False) if broken else ""
            yield number, not_utf8(written, path, number) if BAD_BYTE.search(written) else row
        return
    yield from _json_list(text, path)


def _json_list(text: str, path: Path) -> Iterator[Numbered]:
    """The list is read row by row, so that what stands before a broken row is kept. After it, no row can be told from
    the rubbish any more."""
    decoder, line, counted = json.JSONDecoder(), 1, 0
    start = _behind_space(text, text.index("[") + 1)
    while not text.startswith("]", start):
        line += text.count("\n", counted, start)
        counted = start
        try:
            row, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            what = "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}"
            yield line, DataError(f"{what}; this row and all after it are left out", path=str(path), line=line)
            return
        piece = text[start:end]
        yield line, not_utf8(piece, path, line) if BAD_BYTE.search(piece) else row
        start = _behind_space(text, end)
        if text.startswith(",", start):
            start = _behind_space(text, start + 1)
        elif not text.startswith("]", start):
            line += text.count("\n", counted, start)
            yield line, DataError("expected a comma or the end of the list", path=str(path), line=line)
            return


def _behind_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _rows_of_object(whole: Mapping[str, Any], path: Path) -> list[Any]:
    """The rows in one object: columns, a list under some name, itself, or an object of objects."""
    if columns := _columns(whole):
        return columns
    lists = {name: value for name, value in whole.items() if _is_rows(value) and folded(name) not in _FIELDS}
    asking = {name: value for name, value in lists.items() if any(folded(str(n)) in _QUESTIONS for n in value[0])}
    itself = any(folded(name) in _QUESTIONS and not isinstance(value, dict) for name, value in whole.items())
    lists = asking or ({} if itself else lists)
    if len(lists) > 1:
        sizes = ", ".join(f"{name} ({len(rows)} row{'s' * (len(rows) != 1)})" for name, rows in lists.items())
        raise DataError(
            f"holds several lists of rows: {sizes}. Keep the one you want in a file of its own", path=str(path)
        )
    if lists:
        return next(iter(lists.values()))
    if itself:
        return [whole]
    values = list(whole.values())
    if values and all(isinstance(value, dict) for value in values):
        return values
    return next((value for value in values if isinstance(value, list)), [whole])


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _columns(whole: Mapping[str, Any]) -> list[Any]:
    """Rows of a table that is kept by its columns, in the ways that pandas and others write it; [] if it is none."""
    names, data = whole.get("columns"), whole.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [dict(zip(names, row, strict=False)) for row in data]
    values = list(whole.values())
    if not any(folded(name) in _QUESTIONS for name in whole):
        return []
    if all(isinstance(v, dict) and all(key.isdigit() for key in v) for v in values):
        keys = dict.fromkeys(key for value in values for key in value)
        return [{name: value.get(key) for name, value in whole.items()} for key in keys]
    same = all(isinstance(v, list) for v in values) and len({len(v) for v in values}) == 1
    chat = any(isinstance(item, dict) and {"role", "from"} & item.keys() for value in values for item in value)
    if same and not chat:
        return [dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True)]
    return []


def _parquet(path: Path) -> Iterator[Numbered]:
    try:
        import pyarrow as arrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("pyarrow", "data", "Reading Parquet files") from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"not a Parquet file: {error}", path=str(path)) from None
    yield from enumerate(rows, 1)
