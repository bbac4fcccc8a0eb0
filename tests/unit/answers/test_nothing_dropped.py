"""What is not shown equal is different: a piece that nobody understands is part of what is compared."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.answers.equivalence import default_equivalence
from nlrl.answers.forms.read import forget

EQUAL = default_equivalence().equal_sync

# one piece each whose meaning the reader does not know, with a hole for what it is applied to
UNKNOWN = [
    r"\ddot{{{}}}", r"\bar{{{}}}", r"\hat{{{}}}", "f({})", "g({})", "f'({})", r"\Gamma({})",
    r"\operatorname{{foo}}({})",
    r"\foo{{{}}}", r"\det {}", r"\lim_{{t\to 0}} {}", r"\sum_{{i \in I}} {}", r"\oint {}", r"\nabla {}", "{} +", "{} =",
    r"\frac{{1}}{{{}", r"\star {}", r"{} \preceq 1", "P({} | Y)", r"\int {} \, dt",
]  # fmt: skip
INNER = ["x", "y", "x+1", "2x", "1", r"\sin x", "x_1", "a b"]


@pytest.mark.parametrize("piece", UNKNOWN)
def test_a_piece_that_is_not_understood_counts(piece: str) -> None:
    for one in INNER:
        dressed = piece.format(one)
        assert EQUAL(dressed, dressed)
        assert not EQUAL(dressed, one), dressed
        for other in INNER:
            if other != one:
                assert not EQUAL(dressed, piece.format(other)), (dressed, other)


@pytest.mark.parametrize("one", UNKNOWN)
def test_two_unknown_pieces_are_not_each_other(one: str) -> None:
    for other in UNKNOWN:
        if other != one:
            assert not EQUAL(one.format("x"), other.format("x")), (one, other)


@pytest.mark.parametrize(
    "operator", [r"\circ", r"\star", r"\otimes", r"\setminus", r"\to", r"\bmod", r"\preceq", r"\succ"]
)
def test_what_does_not_commute_is_not_turned_round(operator: str) -> None:
    assert not EQUAL(f"A {operator} B", f"B {operator} A")
    assert not EQUAL(f"f {operator} g", f"g {operator} f")


@given(
    before=st.sampled_from(["x", "2", r"\frac{1}{2}", r"\sqrt{x}", "(1, 2)", r"\{1\}", "x = 3", "3 cm"]),
    rest=st.text(alphabet="xy12+-*/^_(){}[]\\|!'<>=,;:~&%$ ", min_size=1, max_size=8),
)
def test_equality_is_symmetric_and_never_raises(before: str, rest: str) -> None:
    assert EQUAL(before, before + rest) == EQUAL(before + rest, before)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("n", r"\lfloor n \rfloor + (-1)^n - (-1)^n + \{n\}"),
        (r"\cos(n\pi)", "1"),
        (r"\lfloor\sqrt{n}\rfloor", r"\lfloor\sqrt{n-1}\rfloor"),
        (r"\lceil n/2\rceil", r"\lfloor n/2\rfloor"),
        ("(-1)^{n+m}", "1"),
        ("(-1)^{nm}", "(-1)^{n+m}"),
        ("i^n", "(-i)^n"),
        ("(x-1)^n", "(1-x)^n"),
        ("|z|^2", "z^2"),
        (r"\sqrt{z^2}+|z|", "2z"),
        ("x+|x|", "2x"),
        (r"\gcd(n, 2)", "1"),
    ],
)
def test_sampling_has_points_that_can_tell(one: str, two: str) -> None:
    assert not EQUAL(one, two)


@pytest.mark.alone
def test_no_hostile_pair_takes_a_second() -> None:
    roots = ", ".join(rf"\sqrt{{{i}x}}+\lfloor n/{i}\rfloor" for i in range(2, 62))
    pairs = [
        (roots, roots.replace("x", "y")),
        (r"\sum_{i=1}^{n}\sum_{j=1}^{n}\sum_{k=1}^{n} ijk", r"\sum_{i=1}^{n}\sum_{j=1}^{n}\sum_{k=1}^{n} ijk+1"),
        (r"\sum_{i=1}^{200}\sum_{j=1}^{200} \sin(ij)", r"\sum_{i=1}^{200}\sum_{j=1}^{200} \cos(ij)"),
        (r"\int_0^1\int_0^1\int_0^1 \sin(xyz) dx dy dz", r"\int_0^1\int_0^1\int_0^1 \cos(xyz) dx dy dz"),
        (r"\sum_{k=1}^{10^9} k^k", r"\prod_{k=1}^{1000} k^{k^k}"),
        ("10^" * 60 + "10", "10^" * 60 + "11"),
        ("(" * 1900, "(" * 1901),
        ("=" * 1500, "x=" * 700),
        ("x, " * 600, "y; " * 600),
        (r"\frac{1}{" * 45 + "2" + "}" * 45, r"\frac{1}{" * 45 + "3" + "}" * 45),
    ]
    for one, two in pairs:
        forget()
        start = time.process_time()
        EQUAL(one, two)
        assert time.process_time() - start < 1.0, one[:80]
