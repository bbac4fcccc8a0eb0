"""Arithmetic chains: an expression that is worked out strictly from left to right, one step a line.

    17+5*3-20   ->   17+5=22
                     22*3=66
                     66-20=46
                     Final Answer: 46

Difficulty grows with the number of steps (2 to 8) and with the size of the operands (1 or 2 digits).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from nlrl.core import ANSWER_PHRASE, Problem, TaskType

STEPS = range(2, 9)
DIGITS = (1, 2)
_TOKENS = re.compile(r"\d+|[-+*]")


@dataclass(frozen=True, slots=True)
class Chain:
    """An expression and its lines of work, the last one stating the answer."""

    question: str
    lines: tuple[str, ...]
    steps: int
    digits: int

    @property
    def answer(self) -> str:
        """What the last line states."""
        return self.lines[-1].removeprefix(ANSWER_PHRASE).strip()

    @property
    def problem(self) -> Problem:
        """As a problem; its id is a hash of the expression and the answer."""
        return Problem(self.question, self.answer, TaskType.MATH, source=f"chains k={self.steps} digits={self.digits}")


def make_chain(rng: random.Random, steps: int, digits: int) -> Chain:
    """A random chain. Values stay within 0 and 10**(digits + 1) - 1; factors have one digit."""
    low, high, most = (1, 9, 99) if digits == 1 else (10 ** (digits - 1), 10**digits - 1, 10 ** (digits + 1) - 1)
    value = rng.randint(low, high)
    question, lines = str(value), []
    for _ in range(steps):
        choices = []
        if value + low <= most:
            choices.append("+")
        if value - low >= 0:
            choices.append("-")
        if value * 2 <= most:
            choices.append("*")
        sign = rng.choice(choices)
        if sign == "*":
            other = rng.randint(2, min(9, most // max(value, 1)))
        else:
            other = rng.randint(low, min(high, most - value if sign == "+" else value))
        before, value = value, _apply(value, sign, other)
        question += f"{sign}{other}"
        lines.append(f"{before}{sign}{other}={value}")
    return Chain(question, (*lines, f"{ANSWER_PHRASE} {value}"), steps, digits)


def make_chains(count: int, seed: int | str, *, exclude: frozenset[str] = frozenset()) -> list[Chain]:
    """`count` different chains, all numbers of steps and sizes equally often; none of the questions in `exclude`."""
    rng = random.Random(f"chains {seed}")
    made: dict[str, Chain] = {}
    kinds = [(steps, digits) for steps in STEPS for digits in DIGITS]
    tries = 0
    while len(made) < count:
        tries += 1
        if tries > 100 * count + 1000:
            raise ValueError(f"there are not {count} different chains")
        chain = make_chain(rng, *kinds[len(made) % len(kinds)])
        if chain.question not in exclude:
            made.setdefault(chain.question, chain)
    return list(made.values())


def solve_lines(question: str) -> list[str]:
    """The right lines of work for a question, answer line included. Raises ValueError for anything else."""
    parts = _TOKENS.findall(question)
    if "".join(parts) != question or len(parts) % 2 == 0:
        raise ValueError(f"not a chain: {question!r}")
    value, lines = int(parts[0]), []
    for sign, other in zip(parts[1::2], parts[2::2], strict=True):
        before, value = value, _apply(value, sign, int(other))
        lines.append(f"{before}{sign}{other}={value}")
    return [*lines, f"{ANSWER_PHRASE} {value}"]


def right_steps(question: str, text: str) -> list[bool]:
    """For every line of `text`, whether it and all before it are right: what a perfect step judge would say."""
    verdicts, fine = [], True
    right = solve_lines(question)
    for i, line in enumerate(line for line in text.splitlines() if line.strip()):
        fine = fine and i < len(right) and line.strip() == right[i]
        verdicts.append(fine)
    return verdicts


def _apply(value: int, sign: str, other: int) -> int:
    if sign == "+":
        return value + other
    return value - other if sign == "-" else value * other
