"""The trees of formulas, and what is asked of them.

Nodes are tuples: ("n", number), ("s", symbol), (operator, left, right) for + * / ^ and "±", ("-", x), and
(function, argument, ...). ("sum", variable, from, to, term), "prod" and "integral" bind their variable, whose name
starts with "#".
An operation whose meaning is not known (a mark over a letter, somebody's function, an integral) starts with ":": it is
equal to itself with equal arguments and to nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = tuple[Any, ...]


def walk(node: Node) -> Iterator[Node]:
    """A tree and all the trees in it."""
    todo = [node]
    while todo:
        node = todo.pop()
        yield node
        if node[0] not in ("n", "s"):
            todo.extend(node[1:])


def symbols(node: Node) -> set[str]:
    """The names of all symbols in a tree, constants included, bound ones not."""
    return {part[1] for part in walk(node) if part[0] == "s" and part[1][0] != "#"}


def rename(node: Node, old: str, new: str) -> Node:
    """The tree with one symbol renamed."""
    if node[0] == "s":
        return ("s", new) if node[1] == old else node
    return node if node[0] == "n" else (node[0], *(rename(child, old, new) for child in node[1:]))


def binders(node: Node) -> int:
    """How many sums and products a tree holds: a number for the next bound variable around it."""
    return sum(part[0] in ("sum", "prod", "integral", ":lim") for part in walk(node))


def without_differential(node: Node) -> tuple[Node, str]:
    """The integrand and variable of what stands behind an integral sign: x^2 and "x" of x^2 dx."""
    if node[0] == "+":
        last, variable = without_differential(node[2])
        return ("+", node[1], last), variable
    if node[0] == "-":
        last, variable = without_differential(node[1])
        return ("-", last), variable
    if node[0] == "/":
        top, variable = without_differential(node[1])
        return ("/", top, node[2]), variable
    if node[0] == "*" and node[2][0] == "s":
        inner = node[1]
        if inner == ("s", "d"):
            return ("n", 1), node[2][1]
        if inner[0] == "*" and inner[2] == ("s", "d"):
            return inner[1], node[2][1]
    return node, ""


def starts_with(node: Node, name: str) -> bool:
    """Whether the first factor of a product is a symbol, or a power of it."""
    while node[0] == "*":
        node = node[1]
    return node == ("s", name) or (node[0] == "^" and node[1] == ("s", name))
