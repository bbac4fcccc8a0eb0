"""The fingerprint of a formula: its value modulo a 61-bit prime, with pseudo-random values for the symbols.

Equal fingerprints show that two rational functions are equal, up to a chance of about degree / 2^61 (Schwartz 1980,
Zippel 1979); different ones prove that they are not. Pi and e count as symbols, exponents stand for integers, and
10^10^10 + 1 costs as little as 2 + 2.
"""

from __future__ import annotations

import zlib
from functools import lru_cache, reduce

from nlrl.answers.forms.exact import MAX_BITS, CannotTell, exact
from nlrl.answers.forms.trees import Node, symbols

PRIME = 2305843009213648633  # below 2^61, 1 modulo 4 (a square root of -1 exists), and PRIME - 1 has small factors only


@lru_cache(maxsize=4096)
def symbol_value(name: str, point: int) -> int:
    high = zlib.crc32(f"{point}:{name}".encode("utf-8", "surrogatepass"))
    return (high << 27 | zlib.crc32(f"{name}:{point + 7}".encode("utf-8", "surrogatepass")) >> 5) % (PRIME - 2) + 2


def _positive(node: Node) -> bool:
    """Whether a base surely has no sign of its own, so that a power of it does not hang on the parity of the exponent.

    Symbols count as positive numbers here, also on the other side of the comparison.
    """
    if node[0] == "n":
        return node[1] > 0
    if node[0] == "s":
        return node[1] not in ("i", "I")
    return node[0] in ("+", "*", "/", "^") and all(map(_positive, node[1:]))


def _square_root_of_minus_one() -> int:
    """The smaller square root of -1 modulo PRIME."""
    for base in range(2, 100):
        root = pow(base, (PRIME - 1) // 4, PRIME)
        if root * root % PRIME == PRIME - 1:
            return min(root, PRIME - root)
    raise ArithmeticError("no square root of -1")


_IMAGINARY = _square_root_of_minus_one()


@lru_cache(maxsize=256)
def _totient(n: int) -> int:
    out, rest, factor = n, n, 2
    while factor * factor <= rest and factor < 1 << 16:
        if rest % factor == 0:
            while rest % factor == 0:
                rest //= factor
            out -= out // factor
        factor += 1
    if rest > 1:
        if rest >= 1 << 32:  # may be composite: factors above 2^16 were not tried
            raise CannotTell
        out -= out // rest
    return out


def _whole(node: Node, point: int) -> int:
    """The integer a tree stands for, its symbols being large integers; CannotTell beyond a few thousand digits."""
    op = node[0]
    if op == "s":
        if node[1] in ("π", "e", "i", "I", "∞"):
            raise CannotTell
        return symbol_value(node[1], point)
    if op == "n":
        if not isinstance(node[1], int):
            raise CannotTell
        return node[1]
    values = [_whole(child, point) for child in node[1:]]
    first = values[0]
    if op == "+":
        out = first + values[1]
    elif op == "-":
        out = -first
    elif op == "*":
        out = first * values[1]
    elif op == "/" and values[1] and first % values[1] == 0:
        out = first // values[1]
    elif op == "^" and values[1] >= 0 and values[1] * max(first.bit_length(), 1) <= MAX_BITS:
        out = first ** values[1]
    else:
        raise CannotTell
    if out.bit_length() > 4 * MAX_BITS:
        raise CannotTell
    return out


def _modulo(node: Node, modulus: int, point: int) -> int:
    """A non-negative integer tree modulo any modulus; towers of powers by Euler's theorem."""
    if modulus == 1:
        return 0
    try:
        return _whole(node, point) % modulus
    except CannotTell:
        pass
    op = node[0]
    if op == "+":
        return (_modulo(node[1], modulus, point) + _modulo(node[2], modulus, point)) % modulus
    if op == "-":
        return -_modulo(node[1], modulus, point) % modulus
    if op == "*":
        return _modulo(node[1], modulus, point) * _modulo(node[2], modulus, point) % modulus
    if op == "^":
        base = _modulo(node[1], modulus, point)
        try:
            power = _whole(node[2], point)
        except CannotTell:
            totient = _totient(modulus)  # a^b = a^(b mod phi + phi) for b >= log2 m; such a tower is far larger
            power = _modulo(node[2], totient, point) + totient
        if power < 0:
            raise CannotTell
        return pow(base, power, modulus)
    raise CannotTell


def _residue(node: Node, point: int) -> int:
    op = node[0]
    if op == "n":
        value = node[1]
        if isinstance(value, int):
            return value % PRIME
        return value.numerator * pow(value.denominator, -1, PRIME) % PRIME
    if op == "s":
        if node[1] == "∞":
            raise CannotTell
        return _IMAGINARY if node[1] in ("i", "I") else symbol_value(node[1], point)
    if op == "^":
        if symbols(node[2]) and not _positive(node[1]):
            raise CannotTell  # (-1)^n: two points would see two parities of n at most
        base = _residue(node[1], point)
        try:
            power = _whole(node[2], point)
        except CannotTell:
            power = _modulo(node[2], PRIME - 1, point)
        if not base and power <= 0:
            raise CannotTell
        return pow(base, power % (PRIME - 1), PRIME) if base else 0
    if op[0] == ":":  # its value is known to nobody: a hash of its arguments, in order
        out = symbol_value(op, point)
        for child in node[1:]:
            out = pow(out + _residue(child, point), 3, PRIME) + symbol_value(op, point + 1)
        return out % PRIME
    if op not in ("+", "-", "*", "/"):
        if op == "factorial" and 1000 < (n := _whole(node[1], point)) <= 20_000:
            return reduce(lambda product, factor: product * factor % PRIME, range(2, n + 1))
        value = exact(node)  # 5!, |-3|, binomials of numbers
        return value.numerator * pow(value.denominator, -1, PRIME) % PRIME
    values = [_residue(child, point) for child in node[1:]]
    if op == "+":
        return (values[0] + values[1]) % PRIME
    if op == "-":
        return -values[0] % PRIME
    if op == "*":
        return values[0] * values[1] % PRIME
    if not values[1]:
        raise CannotTell
    return values[0] * pow(values[1], -1, PRIME) % PRIME


def fingerprint(node: Node) -> tuple[int, int] | None:
    """Residues at two points; None where a formula is not made of integers, symbols and + - * / ^."""
    try:
        return _residue(node, 1), _residue(node, 2)
    except (CannotTell, ValueError, ZeroDivisionError, OverflowError):
        return None
