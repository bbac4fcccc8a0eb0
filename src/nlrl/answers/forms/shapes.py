"""The shapes an answer can have. A `Form` is one answer with all its readings: "(0, 1)" is a pair and an interval."""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from nlrl.answers.forms.fingerprint import fingerprint
from nlrl.answers.forms.numerals import Exact
from nlrl.answers.forms.reals import integers, reals
from nlrl.answers.forms.trees import Node, symbols, walk
from nlrl.answers.forms.units import Unit


class Scalar:
    """A number or formula, perhaps with a unit.

    exact     its rational value, None if it is not rational or too long to write out
    node      its tree, None where `exact` says it all (it does not where a decimal in the formula may be rounded)
    decimals  digits after the point if it was written as a decimal, else 0
    digits    significant digits if it was written as a decimal, else 0 (the number is exact)
    """

    def __init__(
        self,
        exact: Exact | None,
        node: Node | None = None,
        *,
        unit: Unit | None = None,
        decimals: int = 0,
        digits: int = 0,
    ) -> None:
        self.exact, self.node, self.unit = exact, node, unit
        self.decimals, self.digits = decimals, digits

    def __repr__(self) -> str:
        return f"Scalar({self.exact if self.exact is not None else self.node}, unit={self.unit})"

    def with_unit(self, unit: Unit | None) -> Scalar:
        """The same number with another unit."""
        return Scalar(self.exact, self.node, unit=unit, decimals=self.decimals, digits=self.digits)

    @cached_property
    def tree(self) -> Node:
        """A tree in any case."""
        return self.node if self.node is not None else ("n", self.exact)

    @cached_property
    def names(self) -> frozenset[str]:
        """Its symbols without the constants."""
        return frozenset(symbols(self.tree) - {"π", "e", "i", "∞"})

    @cached_property
    def fingerprint(self) -> tuple[int, int] | None:
        """See `forms.fingerprint`."""
        return fingerprint(self.tree)

    @cached_property
    def reals(self) -> tuple[complex | None, ...]:
        """See `forms.reals`."""
        return reals(self.tree)

    @cached_property
    def integers(self) -> frozenset[str]:
        """The symbols that can only be meant as integers; see `forms.reals`."""
        return frozenset() if self.node is None else frozenset(integers(self.node))

    @cached_property
    def inexact(self) -> tuple[Node, ...]:
        """The numbers in its tree that may be rounded decimals: ("n", value, places)."""
        return () if self.node is None else tuple(part for part in walk(self.node) if part[0] == "n" and len(part) > 2)

    @cached_property
    def real(self) -> float | None:
        """The real number it is, None if it has symbols or is not finite and real."""
        if self.exact is not None:
            try:
                return float(self.exact)
            except OverflowError:
                return None
        if self.names:
            return None
        value = self.reals[0]
        return (
            None if value is None or cmath.isinf(value) or abs(value.imag) > 1e-9 * max(1.0, abs(value)) else value.real
        )


INFINITY = ("s", "∞")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the number line; None is infinity on that side. A point has equal ends, both closed."""

    low: Scalar | None
    low_closed: bool
    high: Scalar | None
    high_closed: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A union of intervals and points, in order, nothing touching; `name` of the variable where one was given."""

    pieces: tuple[Piece, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Several answers. "set" {..} and "bare" (no brackets) have no order; "tuple" (..) and "list" [..] have one.

    In "bare" and all with order each entry counts as often as it stands there. "cases" are the (value, condition) pairs
    of a piecewise definition.
    """

    kind: Literal["set", "tuple", "list", "bare", "cases"]
    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries, all of one length. `bars`: it stood between bars, so it is a determinant."""

    rows: tuple[tuple[Form, ...], ...]
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """left (sign) right, for the signs = ≠ < ≤ that no region covers; left ≈ right for a value and its approximation.

    gap    the tree of left - right
    name   what is given a value, where the left side of an equation is a name: "x", "f(2)", "AB", "area"
    steps  what stands between two equality signs, as in S = π r^2 = 9π
    domain what an equation of functions is said to hold for, "" where nothing is said
    """

    sign: str
    left: Form
    right: Form
    gap: Scalar | None = None
    name: str = ""
    steps: tuple[Form, ...] = ()
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Based:
    """1011_2: digits to a base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Congruence:
    """x ≡ 3 (mod 7): residues in order, each below the modulus."""

    residues: tuple[int, ...]
    modulus: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """x = kπ, k ∈ ℤ: all values of the body as its parameter runs through "ℤ", "ℕ" (from 1) or "ℕ0" (from 0)."""

    body: Form
    parameter: str
    domain: str


@dataclass(frozen=True, slots=True)
class Boolean:
    """A formula of logic (p ∧ q) or of sets (A ∩ B): its atoms in order, and whether it holds for each assignment."""

    atoms: tuple[str, ...]
    table: tuple[bool, ...]
    sets: bool


@dataclass(frozen=True, slots=True)
class Ratio:
    """2:3, 1:√3:2, also a time of day. `seconds` since midnight where it can be one; `half` is "am", "pm" or ""."""

    terms: tuple[Scalar, ...]
    seconds: int | None = None
    half: str = ""


Reading = Scalar | Region | Group | Matrix | Relation | Ratio | Based | Congruence | Family | Boolean


@dataclass(frozen=True)
class Form:
    """One answer, read.

    text      cleaned notation
    words     the key of its words
    readings  what it may be as mathematics; empty for plain text
    label     the letter of "B) Paris", upper case; `body` is the rest, None if there is none
    key       equal keys mean equal answers
    """

    text: str
    words: str
    readings: tuple[Reading, ...] = ()
    label: str = ""
    body: Form | None = None
    key: str = ""
