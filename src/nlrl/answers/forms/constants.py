"""The constant of integration: "x^2 + C" and "K + x**2" are one family of functions, "x^2" is not.

A small c beside a and b is taken for a variable.
"""

from __future__ import annotations

import cmath

from nlrl.answers.forms.fingerprint import fingerprint
from nlrl.answers.forms.reals import reals
from nlrl.answers.forms.shapes import Scalar
from nlrl.answers.forms.trees import Node, symbols

_CONSTANTS = frozenset(("C", "c", "K", "C_1", "c_1", "C_0"))


def _terms(node: Node) -> list[Node]:
    out: list[Node] = []
    todo = [node]
    while todo:
        node = todo.pop()
        if node[0] == "+":
            todo += [node[2], node[1]]
        else:
            out.append(node)
    return out


def constant_apart(scalar: Scalar) -> Node | None:
    """The rest of "... + C", None if there is no such constant."""
    if scalar.node is None or not scalar.names & _CONSTANTS or {"a", "b"} & scalar.names:
        return None
    terms = _terms(scalar.node)
    found = [t for t in terms if (t[1:] if t[0] == "-" else (t,))[0][:1] == ("s",) and _letter(t) in _CONSTANTS]
    if len(found) != 1 or len(terms) < 2:
        return None
    rest = [t for t in terms if t is not found[0]]
    if any(_letter(found[0]) in symbols(t) for t in rest):
        return None
    tree = rest[0]
    for term in rest[1:]:
        tree = ("+", tree, term)
    return tree


def _letter(term: Node) -> str:
    inner = term[1] if term[0] == "-" else term
    return inner[1] if inner[0] == "s" else ""


def differ_by_constant(a: Node, b: Node) -> bool | None:
    """Whether a - b has the same value everywhere; None if it cannot be evaluated."""
    gap: Node = ("+", a, ("-", b))
    residues = fingerprint(gap)
    if residues is not None:
        return residues[0] == residues[1]
    points = [v for v in reals(gap) if v is not None and cmath.isfinite(v)]
    if len(points) < 2:
        return None
    scale = max(1.0, *(abs(p) for p in points))
    if abs(points[0].imag) > 1e-9 * scale:  # ln(-x) is no ln(x) + C
        return False
    return all(abs(p - points[0]) <= 1e-9 * scale for p in points)
