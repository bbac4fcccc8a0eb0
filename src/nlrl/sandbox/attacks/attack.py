"""What an attack is, and how a file of them is read."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an attack is after, and so when it is contained."""

    FORGE = "forge"  # pass tests without the right answer: no test may pass
    ESCAPE = "escape"  # reach something outside: it must not be able to print BREACH, nor change a canary
    EXHAUST = "exhaust"  # use up the machine: it must be stopped in time, with every process it made


@dataclass(frozen=True, slots=True)
class Attack:
    """A program, with the words {secret_pattern}, {victim}, ... that the range fills in written as `$name`."""

    name: str
    kind: Kind
    program: str
    processes: int = 1  # how many the program is allowed; more than 1 only tells something inside walls


def attacks(kind: Kind, text: str, processes: int = 1) -> tuple[Attack, ...]:
    """Read `# === name` headed programs."""
    found: list[Attack] = []
    for block in textwrap.dedent(text).split("# === ")[1:]:
        name, _, program = block.partition("\n")
        found.append(Attack(name.strip(), kind, program, processes))
    return tuple(found)
