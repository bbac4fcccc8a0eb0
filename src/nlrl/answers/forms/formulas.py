"""Formulas as answers: any tree the reader knows, with both signs of a ±, perhaps with a unit behind it.

formula("2√3 cm")   [Scalar(2√3, unit cm)]
formula("1 ± √2")   [Group of two scalars]
"""

from __future__ import annotations

import re

from nlrl.answers.forms.clean import UNIT_VECTORS
from nlrl.answers.forms.exact import CannotTell, exact
from nlrl.answers.forms.numerals import Exact
from nlrl.answers.forms.shapes import Form, Group, Reading, Scalar
from nlrl.answers.forms.syntax import NotAFormula, parse
from nlrl.answers.forms.trees import Node, symbols, walk
from nlrl.answers.forms.units import Unit, currency_of, units

DATE = re.compile(r"\d{4}-\d\d-\d\d$|\d{1,2}/\d{1,2}/\d{4}$")
_MODULE = re.compile(r"\b(?:math|cmath|np|numpy|sympy|sp)\.(?=[a-zA-Z])")
_RATIONAL = re.compile(r"\b(?:Fraction|Rational)\(\s*(-?\d+)\s*,\s*(\d+)\s*\)")
_CHOOSE = re.compile(r"\b(?:C\(\s*(?=\d+\s*,)|(?=\d{1,4}C\d))(\d+)(?:\s*,\s*|C)(\d+)\b\)?")
_INFINITY = re.compile(r"\bfloat\(['\"]inf(?:inity)?['\"]\)")
_CONSTANT = re.compile(r"(?<=[+-] )(?:an? )?(?:arbitrary )?const(?:ant)?\.?(?= |$)", re.I)


def scalar_of(node: Node, unit: Unit | None = None) -> Scalar:
    """A tree as a scalar, evaluated exactly where that is cheap."""
    try:
        value: Exact = exact(node)
    except (CannotTell, ArithmeticError, ValueError):
        return Scalar(None, node, unit=unit)
    return Scalar(value, node if any(len(part) > 2 for part in walk(node) if part[0] == "n") else None, unit=unit)


def _variants(node: Node) -> list[Node]:
    """Both trees of a formula with ±, or the one without."""

    def pick(tree: Node, sign: int) -> Node:
        if tree[0] in ("n", "s"):
            return tree
        children = [pick(child, sign) for child in tree[1:]]
        if tree[0] == "±":
            return ("+", children[0], children[1] if sign > 0 else ("-", children[1]))
        return (tree[0], *children)

    return [pick(node, 1), pick(node, -1)] if any(part[0] == "±" for part in walk(node)) else [node]


def formula(text: str) -> list[Reading]:
    """Any formula, also with a known unit behind it."""
    if len(text) > 1000 or DATE.match(text):
        return []
    text = _CONSTANT.sub("C", _MODULE.sub("", text))
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    text = _INFINITY.sub("∞", _RATIONAL.sub(r"(\1)/(\2)", text))
    found = _formula_with_unit(text)
    try:
        trees = _variants(parse(text))
    except NotAFormula:
        return found
    if len(trees) == 1:
        scalar = scalar_of(trees[0])
        vector = _vector(scalar)
        return [*found, vector] if vector else [*found, scalar]
    return [Group("bare", tuple(_form_of(scalar_of(tree), text) for tree in trees))]


def _vector(scalar: Scalar) -> Group | None:
    """a i + b j + c k: its coordinates, where the letters are bold, have hats, or stand there with a j or k."""
    bold, plain = tuple(UNIT_VECTORS.values()), ("i", "j", "k")
    names = symbols(scalar.tree)
    letters = bold if names & {*bold} else plain
    used = [letter for letter in letters if letter in names]
    if not used or (letters is plain and (names - {*plain, "π", "e"} or not {"i", "j"} <= names)):
        return None
    size = 3 if letters[2] in used else 2

    def at(**values: int) -> Node:
        tree = scalar.tree
        for letter in used:
            tree = _put(tree, letter, values.get(letter, 0))
        return tree

    zero = scalar_of(at())
    if zero.exact != 0:  # a number beside the vectors: it is none
        return None
    parts = [scalar_of(at(**{letter: 1})) for letter in letters[:size]]
    for letter, part in zip(letters, parts, strict=False):
        if not _same_value(scalar_of(at(**{letter: 2})), scalar_of(("*", ("n", 2), part.tree))):
            return None
    return Group("tuple", tuple(_form_of(part, str(part.tree)) for part in parts))


def _same_value(a: Scalar, b: Scalar) -> bool:
    if a.exact is not None and b.exact is not None:
        return a.exact == b.exact
    pairs = zip(a.reals, b.reals, strict=True)
    return all(x is not None and y is not None and abs(x - y) <= 1e-9 * max(1.0, abs(x)) for x, y in pairs)


def _put(node: Node, name: str, value: int) -> Node:
    if node[0] == "s":
        return ("n", value) if node[1] == name else node
    return node if node[0] == "n" else (node[0], *(_put(child, name, value) for child in node[1:]))


def _form_of(scalar: Scalar, text: str) -> Form:
    return Form(text, "", (scalar,), key=f"v:{scalar.tree}")


def _formula_with_unit(text: str) -> list[Reading]:
    words = text.split(" ")
    if words[0][:1] in "$€£" and len(words[0]) > 1:  # "$3x$" was cleaned already; "$\frac{7}{2}" is money
        unit = currency_of(words[0][0])
        try:
            return [scalar_of(parse(text[1:]), unit)]
        except NotAFormula:
            return []
    for n in range(1, min(5, len(words))):
        found = [u for u in units(" ".join(words[-n:])) if not u.nouns]
        if not found:
            continue
        try:
            node = parse(" ".join(words[:-n]))
        except NotAFormula:
            continue
        scalar = scalar_of(node)
        if scalar.names and re.fullmatch(r"[A-Za-z](?:\s*\^.*)?", " ".join(words[-n:])):  # the h of "π r h" is no hour
            continue
        return [scalar.with_unit(u if u.dimensions or u.factor != 1 else None) for u in found]
    return []
