"""Tables: CSV and its kin, with whatever separates their values, and rows that are not UTF-8 left out one by one."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlrl.core import DataError

BAD_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8
_SEPARATORS = (",", ";", "\t", "|")
_LOOKED_AT = 20  # rows


def table_rows(text: str, usual: str, path: Path) -> Iterator[tuple[int, Any]]:
    """(line, row or the DataError that stands for it) of a table with a header line.

    usual  what separates values where several characters could
    """
    csv.field_size_limit(100_000_000)
    separator, skipped = _separator(text, usual)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names: list[str] | None = None
    begin = 1
    lines, is_open = text.count("\n") + 1, _is_open(text, separator)
    try:
        for values in reader:
            line, begin = begin, reader.line_num + 1
            if line <= skipped or not any(value.strip() for value in values):
                continue
            if names is None:
                names = _header(values)
            elif is_open and reader.line_num >= lines - 1:
                what = "a quotation mark is not closed: this row and all after it are left out"
                yield line, DataError(what, path=str(path), line=line)
                return
            else:
                yield line, _row(names, values, path, line)
    except csv.Error as error:
        yield reader.line_num, DataError(f"not CSV: {error}", path=str(path), line=reader.line_num)


def _is_open(text: str, separator: str) -> bool:
    """Whether the file ends within quotation marks."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _header(values: list[str]) -> list[str]:
    """The names of the columns; of two that are alike, the second has its number behind it."""
    names: list[str] = []
    for name in (_readable(value).strip() for value in values):
        times = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({times + 1})" if name in names else name)
    return names


def _row(names: list[str], values: list[str], path: Path, line: int) -> dict[str, Any] | DataError:
    bad = next((value for value in values if BAD_BYTE.search(value)), None)
    if bad is not None:
        return not_utf8(bad, path, line)
    while len(values) > len(names) and not values[-1].strip():
        values = values[:-1]
    if len(values) > len(names):
        return DataError(
            f"more values than columns ({len(values)} for {len(names)}): a text that holds the separator needs "
            "quotation marks around it; the row is left out", path=str(path), line=line,
        )  # fmt: skip
    return dict(itertools.zip_longest(names, values))


def not_utf8(text: str, path: Path, line: int) -> DataError:
    """The error for a row with a byte that is no text, and what to do about it."""
    match = BAD_BYTE.search(text)
    byte = ord(match.group()) - 0xDC00 if match else 0
    before = text[max(0, match.start() - 20) : match.start()] if match else ""
    return DataError(
        f"not UTF-8 text (byte {byte:#04x} behind {BAD_BYTE.sub('?', before)!r}); the row is left out. "
        "Convert the file, for example: iconv -f latin1 -t utf-8",
        path=str(path), line=line,
    )  # fmt: skip


def is_table(text: str) -> bool:
    """Whether a text reads as a table with at least two columns and one row."""
    return any(_width(text, separator) for separator in _SEPARATORS)


def _separator(text: str, usual: str) -> tuple[str, int]:
    """What separates the values, and how many lines stand before the header ("sep=;", as Excel writes it)."""
    if match := re.match(r"sep=(.)\r?\n", text):
        return match[1], 1
    widths = {separator: _width(text, separator) for separator in _SEPARATORS}
    return max(_SEPARATORS, key=lambda separator: (widths[separator], separator == usual)), 0


def _width(text: str, separator: str) -> int:
    """The number of columns if all rows fit to the header, else 0; rows that are one short or long are let pass."""
    reader = csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=separator)
    try:
        rows = [row for row in itertools.islice(reader, _LOOKED_AT) if row]
    except csv.Error:
        return 0
    if len(rows) < 2 or len(rows[0]) < 2:
        return 0
    fit = sum(len(row) == len(rows[0]) for row in rows[1:])
    return len(rows[0]) if 2 * fit >= len(rows) - 1 else 0


def _readable(name: str) -> str:
    """A header is never left out: bytes of it that are not UTF-8 are read as Latin-1."""
    return name.encode("utf-8", "surrogateescape").decode("latin-1") if BAD_BYTE.search(name) else name
