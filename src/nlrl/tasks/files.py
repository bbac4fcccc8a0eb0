"""Rows out of files: JSON lines, JSON, CSV and Parquet, plain or gzipped.

`read_rows` yields (line number, row or DataError): a malformed row is named and the rest goes on.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlrl.core import DataError, MissingExtra

_SPACE = re.compile(r"\s*")
_BAD_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8
Numbered = tuple[int, Any]  # (line, a row or the DataError that stands for it)


def read_rows(path: Path) -> Iterator[Numbered]:
    """Every row of a file. Raises DataError where the file as a whole cannot be read."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _parquet(path)
        return
    raw = b""
    try:
        raw = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" not in raw and not name.endswith((".csv", ".tsv", ".json")):
            yield from _lines(raw.decode("utf-8-sig", "surrogateescape"), path)  # a bad byte spoils its line only
            return
        raise DataError(f"not UTF-8 text (byte {error.start}); convert it first", path=str(path)) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from None
    if name.endswith((".csv", ".tsv")):
        yield from _csv(text, "\t" if name.endswith(".tsv") else ",", path)
    elif name.endswith(".json") and text.lstrip().startswith(("[", "{")) and not _is_lines(text):
        yield from _json(text, path)
    else:
        yield from _lines(text, path)


def _is_lines(text: str) -> bool:
    """Whether a .json file holds one object a line after all."""
    first = text.lstrip().split("\n", 1)[0]
    try:
        return isinstance(json.loads(first), dict) and "\n" in text.strip()
    except (ValueError, RecursionError):
        return False


def _lines(text: str, path: Path) -> Iterator[Numbered]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if _BAD_BYTE.search(line):
            yield number, DataError("not UTF-8 text", path=str(path), line=number)
            continue
        try:
            yield number, json.loads(line)
        except ValueError as error:
            yield number, DataError(f"not JSON: {error}", path=str(path), line=number)
        except RecursionError:
            yield number, DataError("nested too deeply", path=str(path), line=number)


def _json(text: str, path: Path) -> Iterator[Numbered]:
    """A list of rows, or an object that holds one; every row with the line on which it starts.

    The list is read row by row, so that what stands before a broken row is kept. After it, no row can be told from the
    rubbish any more.
    """
    start = text.index("[") + 1 if text.lstrip()[0] == "[" else None
    if start is None:
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}", path=str(path)) from None
        yield from enumerate(next((v for v in whole.values() if isinstance(v, list)), [whole]), 1)
        return
    decoder, line, counted = json.JSONDecoder(), 1, 0
    start = _SPACE.match(text, start).end()  # pyright: ignore[reportOptionalMemberAccess]
    while not text.startswith("]", start):
        line += text.count("\n", counted, start)
        counted = start
        try:
            row, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            what = "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}"
            yield line, DataError(f"{what}; this row and all after it are left out", path=str(path), line=line)
            return
        yield line, row
        start = _SPACE.match(text, end).end()  # pyright: ignore[reportOptionalMemberAccess]
        if text.startswith(",", start):
            start = _SPACE.match(text, start + 1).end()  # pyright: ignore[reportOptionalMemberAccess]
        elif not text.startswith("]", start):
            line += text.count("\n", counted, start)
            yield line, DataError("expected a comma or the end of the list", path=str(path), line=line)
            return


def _csv(text: str, delimiter: str, path: Path) -> Iterator[Numbered]:
    csv.field_size_limit(100_000_000)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if None in row:
                yield reader.line_num, DataError("more values than columns", path=str(path), line=reader.line_num)
            else:
                yield reader.line_num, row
    except csv.Error as error:
        yield reader.line_num, DataError(f"not CSV: {error}", path=str(path), line=reader.line_num)


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
