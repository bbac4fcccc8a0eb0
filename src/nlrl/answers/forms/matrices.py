"""Matrices and determinants in any notation, and what is worked out with matrices of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from nlrl.answers.forms.brackets import MAX_ITEMS, Part, encloses, split
from nlrl.answers.forms.numerals import Exact, tidy
from nlrl.answers.forms.shapes import Form, Matrix, Reading, Scalar

Numbers = list[list[Fraction]]

_ENVIRONMENT = re.compile(r"^\\begin\s*\{([a-zA-Z]*matrix|array)\*?\}(?:\s*\{[lcr| ]*\})?(.*)\\end\s*\{\1\*?\}$", re.S)
_ANY_ENVIRONMENT = re.compile(r"\\begin\s*\{([a-zA-Z]*matrix)\}.*?\\end\s*\{\1\}", re.S)
_WRAPPED = re.compile(r"^(?:(?:np|numpy|sp|sympy)\.)?(?:[Mm]atrix|array|[Vv]ector)\s*\((.*)\)$", re.S)


def matrix(text: str, part: Part) -> list[Reading]:
    """LaTeX environments, [[1, 2], [3, 4]], Matrix(...), [1 2; 3 4]."""
    bars = False
    environment = _ENVIRONMENT.match(text)
    if environment:
        bars = environment.group(1) == "vmatrix"
        lines = [line for line in re.split(r"\\\\", environment.group(2)) if line.strip() and line.strip() != r"\hline"]
        rows = [line.split("&") for line in lines]
    else:
        if encloses(text) and _ENVIRONMENT.match(text[1:-1].strip()):
            return matrix(text[1:-1].strip(), part)
        wrapped = _WRAPPED.match(text)
        if wrapped:
            text = wrapped.group(1).strip()
        if not (encloses(text) and text[0] == "["):
            return []
        inner = text[1:-1].strip()
        if ";" in inner and "[" not in inner:
            rows = [row.replace(",", " ").split() for row in inner.split(";")]
        else:
            lines = [line.strip() for line in split(inner, ",") if line.strip()]
            if not lines or not all(encloses(line) and line[0] == "[" and line[-1] == "]" for line in lines):
                if not wrapped:
                    return []
                rows = [[entry] for entry in split(inner, ",")]  # Matrix([1, 2]) is a column
            else:
                rows = [split(line[1:-1], ",") for line in lines]
    if not rows or not rows[0] or len({len(row) for row in rows}) != 1 or len(rows) * len(rows[0]) > MAX_ITEMS:
        return []
    forms = tuple(tuple(part(entry) for entry in row) for row in rows)
    numbers = _numbers(forms) if bars else None
    return (
        [Scalar(_determinant(numbers))] if numbers and len(numbers) == len(numbers[0]) <= 8 else [Matrix(forms, bars)]
    )


def matrix_formula(text: str, part: Part) -> list[Reading]:
    """Sums, differences and products of matrices of numbers, worked out."""
    spans = (
        [m.span() for m in _ANY_ENVIRONMENT.finditer(text)] if text.count(r"\begin") > 1 and len(text) < 1000 else []
    )
    if len(spans) < 2 or spans[0][0] or spans[-1][1] != len(text):
        return []
    terms: list[Numbers] = []
    for i, (start, end) in enumerate(spans):
        sign = text[spans[i - 1][1] : start].strip() if i else "+"
        only = matrix(text[start:end], part)
        numbers = _numbers(only[0].rows) if only and isinstance(only[0], Matrix) else None
        if numbers is None or sign not in ("+", "-", "", "*"):
            return []
        if sign in ("+", "-"):
            terms.append(numbers if sign == "+" else [[-x for x in row] for row in numbers])
        elif len(terms[-1][0]) == len(numbers):
            columns = list(zip(*numbers, strict=True))
            terms[-1] = [[_dot(row, column) for column in columns] for row in terms[-1]]
        else:
            return []
    if len({(len(term), len(term[0])) for term in terms}) > 1:
        return []
    total = [
        [tidy(sum(entries, Fraction(0))) for entries in zip(*rows, strict=True)] for rows in zip(*terms, strict=True)
    ]
    return [Matrix(tuple(tuple(Form(str(x), "", (Scalar(x),), key=f"v:{x}") for x in row) for row in total))]


def _dot(row: Sequence[Fraction], column: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0))


def _numbers(rows: tuple[tuple[Form, ...], ...]) -> Numbers | None:
    """The entries of a matrix of rational numbers, None of all others."""
    out: Numbers = []
    for row in rows:
        readings = [form.readings[0] if form.readings else None for form in row]
        numbers = [Fraction(r.exact) for r in readings if isinstance(r, Scalar) and r.exact is not None and not r.unit]
        if len(numbers) < len(row):
            return None
        out.append(numbers)
    return out


def _determinant(grid: Numbers) -> Exact:
    """Of a square matrix, by elimination."""
    out = Fraction(1)
    grid = [*grid]
    for i in range(len(grid)):
        pivot = next((j for j in range(i, len(grid)) if grid[j][i]), None)
        if pivot is None:
            return 0
        if pivot != i:
            grid[i], grid[pivot], out = grid[pivot], grid[i], -out
        out *= grid[i][i]
        for j in range(i + 1, len(grid)):
            factor = grid[j][i] / grid[i][i]
            grid[j] = [x - factor * y for x, y in zip(grid[j], grid[i], strict=True)]
    return tidy(out)
