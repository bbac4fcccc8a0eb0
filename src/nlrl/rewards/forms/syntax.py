"""A reader for formulas: LaTeX, Python and pen-and-paper notation become one small tree; nothing is evaluated.

    parse("3*x^2")         ->  ("*", ("n", 3), ("^", ("s", "x"), ("n", 2)))
    parse("\\\\frac{1}{2}x")  ->  ("*", ("/", ("n", 1), ("n", 2)), ("s", "x"))

Nodes are tuples: ("n", number), ("s", symbol), (operator, left, right) for + * / ^ and "±", ("-", x), and
(function, argument, ...). Input comes from `clean`. A text that is not a formula raises `NotAFormula`; tokens and depth
are bounded, so that a hostile text cannot exhaust the stack.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NoReturn

from nlrl.rewards.forms.lexing import CONSTANTS, FUNCTIONS, SAME, NotAFormula, tokens
from nlrl.rewards.forms.numerals import MAX_DIGITS, tidy, whole_number

Node = tuple[Any, ...]

MAX_DEPTH = 50  # about nine frames each: half of Python's own limit

_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_CLOSERS = {"(": ")", "{": "}", "[": "]"}
_STOPS = frozenset(")}]|,⌋⌉+-±∓*/") | {"", "%", "!", "°"}


def _number(text: str) -> Node:
    mantissa, _, power = text.lower().partition("e")
    whole, _, part = mantissa.partition(".")
    if len(whole) + len(part) > MAX_DIGITS:
        raise NotAFormula("too many digits")
    value = tidy(Fraction(whole_number(whole + part), 10 ** len(part)))
    if not power:
        return ("n", value)
    if len(power) > 12:
        raise NotAFormula("exponent too long")
    return ("*", ("n", value), ("^", ("n", 10), ("n", int(power))))  # the power is never written out here


class _Reader:
    """Recursive descent with one token of look-ahead; implicit products bind like written ones."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0
        self.bars = 0

    def fail(self, why: str) -> NoReturn:
        raise NotAFormula(why)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail("nested too deeply")

    def peek(self, ahead: int = 0) -> str:
        i = self.at + ahead
        return self.tokens[i][1] if i < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            self.fail(f"expected {expected or 'more'}")
        self.at += 1
        return token

    def sum(self) -> Node:
        left = self.product()
        while (op := self.peek()) in ("+", "-", "±", "∓") and op:
            self.at += 1
            right = self.product()
            if op == "+":
                left = ("+", left, right)
            elif op == "-":
                left = ("+", left, ("-", right))
            else:
                left = ("±", left, right if op == "±" else ("-", right))
        return left

    def product(self) -> Node:
        left = self.signed()
        while True:
            op = self.peek()
            if op in ("*", "/") and op:
                self.at += 1
                if op == "/" == self.peek():  # Python's floor division
                    self.at += 1
                    left = ("floor", ("/", left, self.signed()))
                else:
                    left = (op, left, self.signed())
            elif self.starts_factor():
                left = ("*", left, self.power())
            else:
                return left

    def starts_factor(self) -> bool:
        token = self.peek()
        if token in _STOPS or token in ("^", "_", "'"):
            return bool(token == "|" and not self.bars)
        if self.kind() == "num" and self.at and self.tokens[self.at - 1][0] == "num":
            self.fail("two numbers side by side")
        return True

    def signed(self) -> Node:
        sign = self.peek()
        if sign in ("+", "-", "±", "∓") and sign:
            self.at += 1
            self.deeper()
            inner = self.signed()
            self.depth -= 1
            if sign == "+":
                return inner
            if sign == "-":
                return ("-", inner)
            return ("±", ("n", 0), inner if sign == "±" else ("-", inner))
        return self.power()

    def power(self) -> Node:
        base = self.postfix(self.atom())
        if self.peek() == "^":
            self.at += 1
            base = ("^", base, self.exponent())
        return base

    def exponent(self) -> Node:
        """What follows ^: a group, or a signed atom that may carry a further power."""
        if self.peek() == "*":  # "^*" is no power
            self.fail("a starred symbol")
        self.deeper()
        if self.peek() in ("+", "-"):
            sign = self.take()
            inner = self.exponent()
            out = inner if sign == "+" else ("-", inner)
        else:
            out = self.power()
        self.depth -= 1
        return out

    def postfix(self, node: Node) -> Node:
        while True:
            token = self.peek()
            if token == "!":
                self.at += 1
                double = self.peek() == "!" and not self.tokens[self.at][2]
                self.at += double
                node = ("factorial2" if double else "factorial", node)
            elif token == "°":
                self.at += 1
                node = ("/", ("*", node, ("s", "π")), ("n", 180))
            elif token == "%":
                self.at += 1
                node = ("/", node, ("n", 100))
            else:
                return node

    def group(self) -> Node:
        opener = self.take()
        bars, self.bars = self.bars, 0
        node = self.sum()
        self.bars = bars
        self.take(_CLOSERS[opener])
        return node

    def braced(self) -> Node:
        """A TeX argument: a group, one digit, one symbol or command."""
        if self.peek() == "{":
            return self.group()
        kind = self.kind()
        if kind == "num":
            number = self.peek()
            head, rest = number[0], number[1:]
            if not head.isdigit() or rest.startswith("."):
                self.fail("a decimal as a TeX argument")
            if rest:
                self.tokens[self.at] = ("num", rest, False)
            else:
                self.at += 1
            return ("n", int(head))
        return self.atom()

    def atom(self) -> Node:
        self.deeper()
        node = self.undivided()
        self.depth -= 1
        return node

    def undivided(self) -> Node:
        kind, token = self.kind(), self.peek()
        if token == "":
            self.fail("ends early")
        if kind == "num":
            self.at += 1
            return self.mixed(_number(token))
        if kind == "cmd":
            return self.command(token[1:])
        if kind == "name":
            self.at += 1
            name = SAME.get(token, token)
            return self.symbol(CONSTANTS[token]) if token in CONSTANTS else self.call(name)
        if token in _CLOSERS:
            return self.group()
        if token == "|":
            self.at += 1
            self.bars += 1
            inner = self.sum()
            self.bars -= 1
            self.take("|")
            return ("abs", inner)
        if token in "⌊⌈":
            self.at += 1
            inner = self.sum()
            self.take("⌋" if token == "⌊" else "⌉")
            return ("floor" if token == "⌊" else "ceil", inner)
        if token == "√":
            self.at += 1
            return ("^", self.atom(), ("n", Fraction(1, 2)))
        if token != "∞" and not token.isalpha():
            self.fail(f"unexpected {token}")
        self.at += 1
        return self.symbol(token)

    def symbol(self, name: str) -> Node:
        if self.peek() == "_":
            self.at += 1
            if self.peek() == "{":
                self.at += 1
                parts = []
                while self.peek() != "}":
                    parts.append(self.take())
                    if len(parts) > 12:
                        self.fail("a long subscript")
                self.at += 1
                name += "_" + "".join(parts)
            else:
                name += "_" + self.take()
        elif self.kind() == "num" and not self.tokens[self.at][2] and self.peek().isdigit() and name not in "πe":
            name += "_" + self.take()  # "x1" is a name
        while self.peek() == "'":
            self.at += 1
            name += "'"
        return ("s", name)

    def mixed(self, node: Node) -> Node:
        r"""3\frac{1}{4} and 3 1/4 are sums."""
        whole = node[1] if node[0] == "n" else None
        if not isinstance(whole, int):
            return node
        if self.peek() == r"\frac" and not (self.at > 1 and self.tokens[self.at - 2][1] in ("^", "_", "/")):
            self.at += 1
            top, under = self.braced(), self.braced()
            plain = top[0] == under[0] == "n" and isinstance(top[1], int) and isinstance(under[1], int)
            proper = plain and 0 < top[1] < under[1]
            return ("+" if proper else "*", node, ("/", top, under))
        if self.kind() == "num" and self.tokens[self.at][2] and self.peek(1) == "/":
            top, under = self.peek(), self.peek(2)
            if top.isdigit() and under.isdigit() and len(top) < 9 > len(under) and 0 < int(top) < int(under):
                self.at += 3
                return ("+", node, ("n", Fraction(int(top), int(under))))
        return node

    def command(self, name: str) -> Node:
        self.at += 1
        if name == "frac":
            return ("/", self.braced(), self.braced())
        if name == "binom":
            return ("binom", self.braced(), self.braced())
        if name == "sqrt":
            index: Node = ("n", 2)
            if self.peek() == "[":
                index = self.group()
            inner = self.group() if self.peek() in _CLOSERS else self.atom()
            return ("^", inner, ("/", ("n", 1), index))
        name = SAME.get(name, name)
        if name not in FUNCTIONS:
            self.fail(f"unknown command {name}")
        return self.call(name)

    def call(self, name: str) -> Node:
        """A function with its argument: parenthesised, or as in "\\sin 2x" all factors up to the next sign."""
        base: Node | None = None
        power: Node | None = None
        if name == "log" and self.peek() == "_":
            self.at += 1
            base = self.braced() if self.kind() != "num" else _number(self.take())
        if self.peek() == "^":
            self.at += 1
            power = self.exponent() if self.peek() != "{" else self.group()
            if power == ("-", ("n", 1)) and name in _INVERSE:
                name, power = _INVERSE[name], None
        if self.peek() == "(" or (self.peek() == "{" and name != "log"):
            arguments = self.arguments()
        elif self.peek() == "|":
            arguments = [self.atom()]
        else:
            arguments = [self.loose()]
        node = self.build(name, arguments, base)
        return node if power is None else ("^", node, power)

    def arguments(self) -> list[Node]:
        closer = _CLOSERS[self.take()]
        bars, self.bars = self.bars, 0
        out = [self.sum()]
        while self.peek() == ",":
            self.at += 1
            out.append(self.sum())
        self.bars = bars
        self.take(closer)
        return out

    def loose(self) -> Node:
        node = self.power()
        while self.starts_factor() and self.kind() not in ("name",) and self.peek() not in ("(", r"\frac"):
            if self.kind() == "cmd" and self.peek()[1:] in FUNCTIONS:
                break
            node = ("*", node, self.power())
        return node

    def build(self, name: str, arguments: list[Node], base: Node | None) -> Node:
        wanted = {"binom": 2, "max": None, "min": None, "gcd": None, "lcm": None, "log": None}.get(name, 1)
        if wanted is not None and len(arguments) != wanted:
            self.fail(f"{name} takes {wanted}")
        first = arguments[0]
        if name == "log" and len(arguments) > 2:
            self.fail("log takes one or two")
        if name == "log" and len(arguments) == 2:
            base = arguments[1]
        if name in ("log2", "log10", "lg"):
            base = ("n", 2 if name == "log2" else 10)
        if base is not None:
            return ("/", ("ln", first), ("ln", base))
        if name == "sqrt":
            return ("^", first, ("n", Fraction(1, 2)))
        if name == "cbrt":
            return ("^", first, ("n", Fraction(1, 3)))
        if name == "exp":
            return ("^", ("s", "e"), first)
        return (name, *arguments)


def parse(text: str) -> Node:
    """The tree of a cleaned formula. Raises NotAFormula."""
    reader = _Reader(text)  # raises where a sign is unknown
    if not reader.tokens:
        reader.fail("empty")
    node = reader.sum()
    if reader.at != len(reader.tokens):
        reader.fail(f"left over: {reader.peek()}")
    return node


def symbols(node: Node) -> set[str]:
    """The names of all symbols in a tree, constants included."""
    found: set[str] = set()
    todo = [node]
    while todo:
        node = todo.pop()
        if node[0] == "s":
            found.add(node[1])
        elif node[0] != "n":
            todo.extend(node[1:])
    return found


__all__ = ["FUNCTIONS", "Node", "NotAFormula", "parse", "symbols"]
