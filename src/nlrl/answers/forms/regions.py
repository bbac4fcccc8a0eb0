"""Subsets of the number line: intervals, points, unions and complements, brought into one order.

union([(-oo, 0)], [(0, 1)], [{0}])  ->  (-oo, 1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce

from nlrl.answers.forms.shapes import Piece, Region, Scalar

LINE = Region((Piece(None, False, None, False),))
Same = Callable[[Scalar, Scalar], bool]


def point(value: Scalar, name: str = "") -> Region:
    """The region of one number."""
    return Region((Piece(value, True, value, True),), name)


def _low(piece: Piece) -> tuple[float, int]:
    """Sorting key of the lower end: a closed end comes before an open one."""
    real = float("-inf") if piece.low is None else piece.low.real
    return (0.0 if real is None else real, 0 if piece.low_closed else 1)


def _high(piece: Piece) -> tuple[float, int]:
    real = float("inf") if piece.high is None else piece.high.real
    return (0.0 if real is None else real, 1 if piece.high_closed else 0)


def numeric(region: Region) -> bool:
    """Whether every end is a known number (or infinite)."""
    return all(end is None or end.real is not None for p in region.pieces for end in (p.low, p.high))


def _tidy(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Sorted, without empty ones, touching ones joined. Ends must be numbers."""
    out: list[Piece] = []
    for piece in sorted(pieces, key=_low):
        (low, low_open), (high, high_closed) = _low(piece), _high(piece)
        if low > high or (low == high and (low_open or not high_closed)):
            continue
        if out:
            last = out[-1]
            end, end_closed = _high(last)
            if low < end or (low == end and (end_closed or not low_open)):
                if _high(piece) > (end, end_closed):
                    out[-1] = Piece(last.low, last.low_closed, piece.high, piece.high_closed)
                continue
        out.append(piece)
    return tuple(out)


def union(regions: Iterable[Region]) -> Region | None:
    """All of them together; None where ends are symbols and there is more than one piece."""
    found = list(regions)
    names = {r.name for r in found if r.name}
    name = names.pop() if len(names) == 1 else ""
    if not all(numeric(r) for r in found):
        return found[0] if len(found) == 1 else None
    return Region(_tidy(p for r in found for p in r.pieces), name)


def complement(region: Region) -> Region | None:
    """The rest of the line."""
    if not numeric(region):
        return None
    out: list[Piece] = []
    low, low_closed = None, False
    for piece in _tidy(region.pieces):
        if piece.low is not None:
            out.append(Piece(low, low_closed, piece.low, not piece.low_closed))
        if piece.high is None:
            return Region(_tidy(out), region.name)
        low, low_closed = piece.high, not piece.high_closed
    out.append(Piece(low, low_closed, None, False))
    return Region(_tidy(out), region.name)


def intersection(regions: Iterable[Region]) -> Region | None:
    """What all have in common, by De Morgan."""

    def both(a: Region | None, b: Region | None) -> Region | None:
        rests = [complement(r) if r is not None else None for r in (a, b)]
        if rests[0] is None or rests[1] is None:
            return None
        rest = union([rests[0], rests[1]])
        return complement(rest) if rest is not None else None

    found: list[Region | None] = list(regions)
    return reduce(both, found)


def same_region(a: Region, b: Region, same: Same) -> bool:
    """Whether two regions are one, their ends compared by `same`; named variables must agree."""
    if a.name and b.name and a.name != b.name:
        return False
    if len(a.pieces) != len(b.pieces):
        return False

    def end(x: Scalar | None, y: Scalar | None) -> bool:
        return x is y if x is None or y is None else same(x, y)

    return all(
        (p.low_closed, p.high_closed) == (q.low_closed, q.high_closed) and end(p.low, q.low) and end(p.high, q.high)
        for p, q in zip(a.pieces, b.pieces, strict=True)
    )
