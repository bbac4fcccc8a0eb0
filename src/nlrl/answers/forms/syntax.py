"""A reader for formulas: LaTeX, Python and pen-and-paper notation become one small tree; nothing is evaluated.

    parse("3*x^2")         ->  ("*", ("n", 3), ("^", ("s", "x"), ("n", 2)))
    parse("\\\\frac{1}{2}x")  ->  ("*", ("/", ("n", 1), ("n", 2)), ("s", "x"))
    parse("f(g(x))")       ->  (":f", (":g", ("s", "x")))

Nodes are described in `trees`. Input comes from `clean`. A text that is not a formula, or of
which any piece is not understood, raises `NotAFormula`; tokens and depth are bounded, so that a hostile text cannot
exhaust the stack.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from nlrl.answers.forms.lexing import CONSTANTS, FUNCTIONS, SAME, NotAFormula, Token, tokens
from nlrl.answers.forms.numerals import MAX_DIGITS, tidy, whole_number
from nlrl.answers.forms.trees import Node, binders, rename, starts_with, without_differential

MAX_DEPTH = 50  # about nine frames each: half of Python's own limit

_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_CLOSERS = {"(": ")", "{": "}", "[": "]"}
_STOPS = frozenset(")}]|,⌋⌉+-±∓*/=<>≤≥≠∈→∘⨯%!°") | {""}
_MARKS = {  # over a letter, they make another symbol of it
    "bar": "bar", "overline": "bar", "hat": "hat", "widehat": "hat", "tilde": "tilde", "widetilde": "tilde",
    "dot": "dot", "ddot": "ddot", "dddot": "dddot", "vec": "vec",
}  # fmt: skip
_NAMED = frozenset({  # functions that are only told apart
    "det", "arg", "deg", "dim", "ker", "Pr", "Re", "Im", "tr", "rank", "erf", "sup", "inf", "nabla", "divergence",
    "curl", "Var", "Cov",
})  # fmt: skip
_BIG = {"sum": "sum", "prod": "prod", "int": "∫", "iint": "∬", "iiint": "∭", "oint": "∮", "lim": "lim",
        "∑": "sum", "∏": "prod", "∫": "∫"}  # fmt: skip
CALLED = frozenset("fghΓζφΦψΨ") | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")  # f(x) is no product; y'(x) neither
INEXACT_DIGITS = 4  # a decimal of so many significant digits in a formula may stand for a longer number


def _number(text: str) -> Node:
    mantissa, _, power = text.lower().partition("e")
    whole, _, part = mantissa.partition(".")
    if len(whole) + len(part) > MAX_DIGITS:
        raise NotAFormula("too many digits")
    value = tidy(Fraction(whole_number(whole + part), 10 ** len(part)))
    if not power:
        # a decimal that may be rounded carries its number of places
        return ("n", value, len(part)) if part and len((whole + part).lstrip("0")) >= INEXACT_DIGITS else ("n", value)
    if len(power) > 12:
        raise NotAFormula("exponent too long")
    return ("*", ("n", value), ("^", ("n", 10), ("n", int(power))))  # the power is never written out here


class _Reader:
    """Recursive descent with one token of look-ahead; implicit products bind like written ones."""

    def __init__(self, tokens: list[Token], depth: int = 0) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = depth
        self.bars = 0
        self.integrals = 0  # around this place: there, "dx" ends the argument of a function

    def whole(self) -> Node:
        """The tree of all tokens."""
        if not self.tokens:
            self.fail("empty")
        node = self.sum()
        if self.at != len(self.tokens):
            self.fail(f"left over: {self.peek()}")
        return node

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
            elif op in ("∘", "⨯"):  # neither commutes
                self.at += 1
                left = (":" + op, left, self.signed())
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
        if token in _BIG:
            self.at += 1
            return self.big(_BIG[token])
        if token not in "∞…∂" and not token.isalpha():
            self.fail(f"unexpected {token}")
        self.at += 1
        return self.applied(self.symbol(token))

    def applied(self, symbol: Node) -> Node:
        """f(x), g(f(2)), y'(t), F(x, y): a function of its arguments; but h(a - b) is a product."""
        name = symbol[1]
        if self.peek() != "(" or self.tokens[self.at][2] or not (name[0] in CALLED or name[-1] == "'"):
            return symbol
        arguments = self.arguments()
        if len(arguments) == 1 and arguments[0][0] in ("+", "±") and name[0] not in "fF" and name[-1] != "'":
            return ("*", symbol, arguments[0])
        return (":" + name, *arguments)

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
            if plain and not proper and top[1] > 0:
                self.fail("one and nine fifths, or their product?")
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
            return self.quotient(self.braced(), self.braced())
        if name == "binom":
            return ("binom", self.braced(), self.braced())
        if name == "sqrt":
            index: Node = ("n", 2)
            if self.peek() == "[":
                index = self.group()
            inner = self.group() if self.peek() in _CLOSERS else self.atom()
            return ("^", inner, ("/", ("n", 1), index))
        if name in _BIG:
            return self.big(_BIG[name])
        if name in _MARKS:
            return self.marked(_MARKS[name])
        name = SAME.get(name, name)
        if name in FUNCTIONS:
            return self.call(name)
        if name in _NAMED:
            if self.peek() == "_":
                self.at += 1
                name += "_" + "".join(token[1] for token in self.raw())
            return (":" + name, *(self.arguments() if self.peek() in ("(", "{") else [self.power()]))
        if self.peek() != "{" or name in ("begin", "end", "text"):
            self.fail(f"unknown command {name}")
        arguments = []
        while self.peek() == "{":
            arguments.append(self.group())
        return (":\\" + name, *arguments)

    def marked(self, mark: str) -> Node:
        """A symbol with a mark over it is a symbol of its own; over a formula, an operation of its own."""
        inner = self.braced()
        return ("s", f"{mark}({inner[1]})") if inner[0] == "s" and inner[1] not in "πei" else (":" + mark, inner)

    def quotient(self, top: Node, under: Node) -> Node:
        """A fraction; dy/dx is a derivative, whose d does not cancel."""
        for d in ("d", "∂"):
            if starts_with(top, d) and starts_with(under, d):
                return (f":{d}/{d}", top, under)
        return ("/", top, under)

    def raw(self) -> list[Token]:
        """The tokens of a sub- or superscript: those of a group, or a single one."""
        if self.peek() != "{":
            self.take()
            return self.tokens[self.at - 1 : self.at]
        start = self.at + 1
        open_braces = 0
        while True:
            token = self.take()
            open_braces += (token == "{") - (token == "}")
            if not open_braces:
                return self.tokens[start : self.at - 1]

    def big(self, name: str) -> Node:
        """A sum, product, integral or limit with its bounds and what stands behind it."""
        self.deeper()
        lower: list[Token] = []
        upper: list[Token] = []
        while self.peek() in ("_", "^") and not (lower and upper):
            if self.take() == "_":
                lower = self.raw()
            else:
                upper = self.raw()
        self.integrals += name in "∫∬∭∮"
        body = self.sum() if name in "∫∬∭∮" else self.product()
        self.integrals -= name in "∫∬∭∮"
        self.depth -= 1
        head = [token[1] for token in lower[:2]]
        if name in ("sum", "prod", "lim") and len(head) == 2 and head[1] == ("→" if name == "lim" else "="):
            bound = ("s", f"#{binders(body)}")
            body = rename(body, CONSTANTS.get(head[0], head[0]), bound[1])
            low = _Reader(lower[2:], self.depth + 1).whole()
            if name == "lim":
                return (":lim", bound, low, body)
            if upper:
                return (name, bound, low, _Reader(upper, self.depth + 1).whole(), body)
        if lower and upper and name == "∫":
            low, high = (_Reader(part, self.depth + 1).whole() for part in (lower, upper))
            integrand, variable = without_differential(body)
            if variable:
                bound = ("s", f"#{binders(integrand)}")
                return ("integral", bound, low, high, rename(integrand, variable, bound[1]))
            return (":∫", low, high, body)
        scripts = "_".join("".join(token[1] for token in part) for part in (lower, upper))
        return (f":{name} {scripts}", body)

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
        elif name in ("max", "min", "gcd", "lcm"):
            self.fail(f"{name} of what?")
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
            if self.integrals and self.peek() == "d" and self.peek(1).isalpha():
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
    return _Reader(tokens(text)).whole()  # `tokens` raises where a sign is unknown


__all__ = ["CALLED", "FUNCTIONS", "Node", "NotAFormula", "parse"]
